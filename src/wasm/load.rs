//! From a component to steps: read, compiled or taken from the cache, checked for what it imports, asked what it offers.

use std::sync::Arc;

use wasmtime::component::Component;

use super::bindings::TransformPre;
use super::call::{self, Bounds};
use super::describe::{self, Described};
use super::host::{Host, Origin, Plugin, Shared};
use super::imports::{Imports, Reach};
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
        let Ready { digest, bytes, pre, imports } = ready;

        let bounds = Bounds { memory_bytes: grant.memory(), timeout_ms: grant.timeout() };
        let tight = Bounds { timeout_ms: PLUGIN_DESCRIBE_MS, ..bounds };
        let info = call::describe(&runtime, &pre, name, tight).await;
        let info = info.map_err(|cause| format!("asked what it offers, it {}", cause.text))?;
        let Described { version, steps, asks } = describe::check(info, imports)?;
        asks.compare(name, &grant);

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
}

impl Shared {
    fn ready(&self, runtime: &Runtime, name: &str, origin: &Origin, pin: Option<&str>) -> Result<Ready, String> {
        let Found { bytes, digest } = scan::read(name, origin, self.config.max_file_bytes, pin)?;
        let component = self.component(runtime, &bytes, &digest)?;
        let imports = check_imports(runtime, &component)?;
        let pre = runtime
            .linker
            .instantiate_pre(&component)
            .and_then(TransformPre::new)
            .map_err(|e| format!("it does not fit {PACKAGE}@{VERSION}: {}", one_line(&e)))?;
        Ok(Ready { digest, bytes: bytes.len() as u64, pre, imports })
    }

    /// From the cache, or compiled and kept.
    fn component(&self, runtime: &Runtime, bytes: &[u8], digest: &str) -> Result<Component, String> {
        let engine = &runtime.engine;
        if let Some(component) = self.cache.as_ref().and_then(|cache| cache.get(engine, digest)) {
            return Ok(component);
        }
        let component = Component::from_binary(engine, bytes)
            .map_err(|e| format!("the file is not a component this host can run: {}", one_line(&e)))?;
        if let Some(cache) = &self.cache {
            cache.put(engine, digest, &component);
        }
        Ok(component)
    }
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
fn one_line(error: &wasmtime::Error) -> String {
    let chain: Vec<String> = error.chain().map(|cause| cause.to_string()).collect();
    clean(&chain.join(": "), 400)
}
