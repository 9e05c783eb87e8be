//! Which component is meant: a file, or a plugin of the folder or of the binary by its name.

use std::path::Path;

use crate::app;
use crate::base::nearest::nearest;
use crate::cli::{Exit, Failed};
use crate::config::Config;
use crate::wasm::{Host, Origin};

/// A component, and the name by which it is granted things.
#[derive(Clone, Debug)]
pub struct Target {
    pub name: String,
    pub origin: Origin,
}

impl Target {
    /// What `text` means: a path if it looks like one, else a name.
    pub async fn find(host: &Host, text: &str) -> Result<Self, Failed> {
        let path = Path::new(text);
        if path.extension().is_some_and(|extension| extension == "wasm") || path.components().count() > 1 {
            if !path.exists() {
                return Err(Failed::new(Exit::NotFound, format!("{text}: there is no such file")));
            }
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            return Ok(Self { name, origin: Origin::File(path.to_path_buf()) });
        }
        let mut found = host.found().await;
        if let Some(origin) = found.remove(text) {
            return Ok(Self { name: text.to_string(), origin });
        }
        let help = match nearest(text, found.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", found.into_keys().collect::<Vec<_>>().join(", ")),
        };
        Err(Failed::new(Exit::NotFound, format!("there is no plugin `{text}`; {help}; a file is given as FILE.wasm")))
    }
}

/// The plugin host of the configuration. Compiled components are kept, unless compiling is what is looked at.
pub fn host(config: &Config, compiles: bool) -> Host {
    let (mut given, services) = app::plugins::given(config, &app::system_clock());
    if compiles {
        given.cache_dir = None;
    }
    Host::new(given, services)
}
