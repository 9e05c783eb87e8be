//! From a component to steps: read, compiled or taken from the cache, checked for what it imports, asked what it offers.

use std::fs;
use std::sync::Arc;

use wasmtime::component::Component;

use super::bindings::TransformPre;
use super::call::{self, Bounds};
use super::describe::{self, Described};
use super::grant::Grant;
use super::host::{Host, Origin, Plugin, Shared};
use super::imports::{Imports, Reach};
use super::kept::Kept;
use super::runtime::Runtime;
use super::scan::{self, Found};
use super::state::State;
use super::step::{Common, PluginStep};
use super::text::clean;
use super::wasi;
use crate::base::limits::PLUGIN_DESCRIBE_MS;
use crate::engine::ports::Step;

/// The package of `wit/step.wit` and the version this host speaks.
const PACKAGE: &str = "moltrun:step";
const VERSION: &str = "1.0.0";

impl Host {
    /// One component under the name `name`. Reading and compiling happen on a blocking thread. An error is one line that
    /// says why it is no plugin of ours.
    pub async fn load(&self, name: &str, origin: Origin) -> Result<Plugin, String> {
        let shared = &self.0;
        let runtime = shared.runtime.clone()?;
        let grant = shared.config.grants.get(name).cloned().unwrap_or_default();
        let ready = {
            let (shared, name, origin) = (shared.clone(), name.to_string(), origin.clone());
            let (runtime, pin) = (runtime.clone(), grant.sha256.clone());
            tokio::task::spawn_blocking(move || shared.ready(&runtime, &name, &origin, pin.as_deref()))
                .await
                .map_err(|_| "compiling it failed inside the compiler".to_string())??
        };
        let Ready { digest, bytes, pre, imports, said } = ready;

        let bounds = Bounds::new(grant.memory(), grant.timeout());
        let said = said.filter(|said| said.memory_bytes <= bounds.memory_bytes);
        let is_new = said.is_none();
        let info = match said {
            Some(said) => said.info(),
            None => {
                let tight = Bounds::new(bounds.memory_bytes, PLUGIN_DESCRIBE_MS);
                let info = call::describe(&runtime, &pre, name, tight).await;
                info.map_err(|cause| format!("asked what it offers, it {}", cause.text))?
            }
        };
        let said = is_new.then(|| Kept::new(&info, bounds.memory_bytes));
        let Described { version, steps, asks } = describe::check(info, imports)?;
        if let (Some(cache), Some(said)) = (&shared.cache, said) {
            cache.said(&digest, said);
        }
        // A bundled plugin is there whether anybody wants it or not.
        if grant != Grant::default() || !matches!(origin, Origin::Bundled(_)) {
            asks.compare(name, &grant);
        }

        let reach = Arc::new(Reach::new(name, &asks, &grant, &runtime.services, &runtime.accounts));
        let common = Arc::new(Common { runtime, pre, name: name.to_string(), digest: digest.clone(), bounds, reach });
        let steps = steps
            .into_iter()
            .map(|described| Arc::new(PluginStep::new(common.clone(), described)) as Arc<dyn Step>)
            .collect();
        Ok(Plugin { name: name.to_string(), version, digest, bytes, origin, asks, grant, steps })
    }
}

/// A component that can be called.
struct Ready {
    digest: String,
    bytes: u64,
    pre: TransformPre<State>,
    imports: Imports,
    /// What it said of itself when it was first loaded.
    said: Option<Kept>,
}

impl Shared {
    fn ready(&self, runtime: &Runtime, name: &str, origin: &Origin, pin: Option<&str>) -> Result<Ready, String> {
        scan::check_name(name)
            .map_err(|reason| format!("a plugin is named after its file: {reason}; rename the file"))?;
        let known = if pin.is_none() { self.known(origin) } else { None };
        let cached = known.and_then(|(digest, bytes)| {
            let (component, said) = self.cache.as_ref()?.get(&digest)?;
            Some((digest, bytes, component, said))
        });
        let (digest, bytes, component, said) = match cached {
            Some(cached) => cached,
            None => self.read(runtime, origin, pin)?,
        };
        let imports = check_imports(runtime, &component)?;
        let pre = runtime
            .linker
            .instantiate_pre(&component)
            .and_then(TransformPre::new)
            .map_err(|e| format!("it does not fit {PACKAGE}@{VERSION}: {}", one_line(&e)))?;
        Ok(Ready { digest, bytes, pre, imports, said })
    }

    /// A component of this binary, from the cache or compiled and kept.
    pub(super) fn own(&self, runtime: &Runtime, bytes: &'static [u8]) -> Result<Component, String> {
        let origin = Origin::Bundled(bytes);
        let cached = self.known(&origin).and_then(|(digest, _)| self.cache.as_ref()?.get(&digest));
        match cached {
            Some((component, _)) => Ok(component),
            None => self.read(runtime, &origin, None).map(|(_, _, component, _)| component),
        }
    }

    /// Digest and length of a component that was loaded before, without reading it.
    fn known(&self, origin: &Origin) -> Option<(String, u64)> {
        match origin {
            Origin::Bundled(bytes) => Some((scan::bundled_digest(bytes)?.to_string(), bytes.len() as u64)),
            Origin::File(path) => {
                let found = fs::metadata(path).ok()?;
                let may_be_read = found.is_file() && found.len() <= self.config.max_file_bytes as u64;
                self.cache.as_ref().filter(|_| may_be_read)?.seen(path, &found)
            }
        }
    }

    /// A component that has to be read; from the cache all the same, or compiled and kept.
    fn read(
        &self,
        runtime: &Runtime,
        origin: &Origin,
        pin: Option<&str>,
    ) -> Result<(String, u64, Component, Option<Kept>), String> {
        let found = match origin {
            Origin::File(path) => fs::metadata(path).ok().map(|found| (path, found)),
            Origin::Bundled(_) => None,
        };
        let Found { bytes, digest } = scan::read(origin, self.config.max_file_bytes, pin)?;
        let len = bytes.len() as u64;
        let Some(cache) = &self.cache else { return Ok((digest, len, compile(runtime, &bytes)?, None)) };
        if let Some((path, found)) = found {
            cache.saw(path, &found, &digest);
        }
        if let Some((component, said)) = cache.get(&digest) {
            return Ok((digest, len, component, said));
        }
        let component = compile(runtime, &bytes)?;
        cache.put(&digest, &component);
        Ok((digest, len, component, None))
    }
}

fn compile(runtime: &Runtime, bytes: &[u8]) -> Result<Component, String> {
    Component::from_binary(&runtime.engine, bytes)
        .map_err(|e| format!("the file is not a component this host can run: {}", one_line(&e)))
}

/// Checks that the component speaks our interface and wants nothing we do not have; what it wants beyond computing.
fn check_imports(runtime: &Runtime, component: &Component) -> Result<Imports, String> {
    let (engine, ty) = (&runtime.engine, component.component_type());
    let guest = format!("{PACKAGE}/guest");
    let exported = ty.exports(engine).find_map(|(name, _)| {
        let (interface, version) = name.split_once('@')?;
        (interface == guest).then(|| version.to_string())
    });
    match exported {
        Some(version) if version == VERSION => {}
        Some(version) => {
            let version = clean(&version, 32);
            return Err(format!("it is built for {PACKAGE}@{version}, and this moltrun speaks {PACKAGE}@{VERSION}"));
        }
        None => return Err(format!("it does not export {guest}@{VERSION}; it is no moltrun plugin")),
    }
    let mut imports = Imports::default();
    for (import, _) in ty.imports(engine) {
        if !is_offered(import, &mut imports) {
            return Err(format!("it imports `{}`, which no plugin is given", clean(import, 100)));
        }
    }
    Ok(imports)
}

fn is_offered(import: &str, imports: &mut Imports) -> bool {
    let Some((interface, version)) = import.split_once('@') else { return false };
    let goes_out = imports.note(interface);
    match interface.strip_prefix(PACKAGE) {
        Some(own) => (goes_out || ["/types", "/context", "/log"].contains(&own)) && version == VERSION,
        None => (goes_out || wasi::INTERFACES.contains(&interface)) && version.starts_with("0.2."),
    }
}

/// An error and its causes.
pub(super) fn one_line(error: &wasmtime::Error) -> String {
    let chain: Vec<String> = error.chain().map(|cause| cause.to_string()).collect();
    clean(&chain.join(": "), 400)
}
