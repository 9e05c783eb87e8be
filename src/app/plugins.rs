//! What the configuration gives the plugin host.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::Config;
use crate::engine::ports::Clock;
use crate::net::Net;
use crate::wasm::{PluginsConfig, Services};

/// Which plugins there are, what each may do, and what they do it with.
pub fn given(config: &Config, clock: &Arc<dyn Clock>) -> (PluginsConfig, Services) {
    let given = PluginsConfig {
        dir: Some(config.plugins.clone()),
        cache_dir: cache_dir(),
        grants: config.grants.clone(),
        ..PluginsConfig::default()
    };
    let net = Arc::new(Net::new(config.net.without_trusted(), clock.clone()));
    let secrets = config.secrets.iter().filter_map(|(name, secret)| Some((name.clone(), secret.clone()?))).collect();
    (given, Services { net, secrets, clock: clock.clone() })
}

/// Where compiled plugins are kept; None where there is no home.
fn cache_dir() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || absolute("HOME").map(|home| home.join(".cache"));
    Some(absolute("XDG_CACHE_HOME").or_else(home)?.join("moltrun").join("plugins"))
}
