//! From files to steps. A plugin that cannot be loaded is a name with a reason; it stops nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt;
use wasmtime::component::Component;

use super::bindings::TransformPre;
use super::cache::Cache;
use super::call::{self, Bounds};
use super::describe;
use super::grant::Grant;
use super::runtime::Runtime;
use super::scan::{self, Origin};
use super::state::State;
use super::step::{Plugin, PluginStep};
use super::text::clean;
use super::wasi;
use crate::base::limits::{PLUGIN_DESCRIBE_MS, PLUGIN_FILE, PLUGIN_MEMORY, PLUGINS};
use crate::base::nearest::nearest;
use crate::engine::ports::Step;

/// The package of `wit/step.wit` and the version this host speaks.
const PACKAGE: &str = "moltrun:step";
const VERSION: &str = "1.0.0";

/// Plugins that are compiled at once: one for each core of a small machine. A large one uses all cores by itself.
const LOADS_AT_ONCE: usize = 2;

/// What to load, and what it may do.
#[derive(Clone, Debug)]
pub struct PluginsConfig {
    /// The folder of `*.wasm`; none, or one that does not exist, leaves the bundled plugins.
    pub dir: Option<PathBuf>,
    /// Where compiled plugins are kept; the folder must be ours alone. None compiles at every start.
    pub cache_dir: Option<PathBuf>,
    /// By plugin name.
    pub grants: BTreeMap<String, Grant>,
    /// The largest file that is read, in bytes.
    pub max_file_bytes: usize,
}

impl Default for PluginsConfig {
    fn default() -> Self {
        Self { dir: None, cache_dir: None, grants: BTreeMap::new(), max_file_bytes: PLUGIN_FILE }
    }
}

/// What was loaded.
#[derive(Default)]
pub struct Plugins {
    /// One for each step, named `<plugin>/<step>`.
    pub steps: Vec<Arc<dyn Step>>,
    /// Plugins that could not be loaded, with one line that says why.
    pub broken: BTreeMap<String, String>,
}

impl Plugins {
    /// Loads every plugin there is. Compiling and reading happen on blocking threads.
    pub async fn load(config: PluginsConfig) -> Self {
        let found = {
            let dir = config.dir.clone();
            tokio::task::spawn_blocking(move || scan::scan(dir.as_deref())).await.unwrap_or_default()
        };
        for name in config.grants.keys().filter(|name| !found.contains_key(*name)) {
            let nearest = nearest(name, found.keys().map(String::as_str)).unwrap_or("none");
            tracing::warn!(plugin = %name, nearest, "a grant names a plugin that does not exist");
        }
        let mut plugins = Self::default();
        let memory = config.grants.values().map(Grant::memory).fold(PLUGIN_MEMORY, usize::max);
        let loader = match Loader::new(config, memory) {
            Ok(loader) => Arc::new(loader),
            Err(error) => {
                let reason = format!("the WASM engine does not start on this machine: {error}");
                plugins.broken = found.into_keys().map(|name| (name, reason.clone())).collect();
                return plugins;
            }
        };
        let mut loads = futures::stream::iter(found.into_iter().enumerate())
            .map(|(number, (name, origin))| {
                let loader = loader.clone();
                async move {
                    let loaded = match number < PLUGINS {
                        true => loader.load(&name, origin).await,
                        false => Err(format!("there are more than {PLUGINS} plugins")),
                    };
                    (name, loaded)
                }
            })
            .buffered(LOADS_AT_ONCE);
        while let Some((name, loaded)) = loads.next().await {
            match loaded {
                Ok(steps) => plugins.steps.extend(steps),
                Err(reason) => {
                    tracing::warn!(plugin = %name, reason, "a plugin cannot be loaded");
                    plugins.broken.insert(name, reason);
                }
            }
        }
        plugins
    }
}

struct Loader {
    config: PluginsConfig,
    runtime: Arc<Runtime>,
    cache: Option<Cache>,
}

impl Loader {
    fn new(config: PluginsConfig, memory_bytes: usize) -> wasmtime::Result<Self> {
        let runtime = Arc::new(Runtime::new(memory_bytes)?);
        let cache = config.cache_dir.as_deref().and_then(|dir| match Cache::open(dir) {
            Ok(cache) => Some(cache),
            Err(reason) => {
                tracing::warn!(reason, "compiled plugins are not kept");
                None
            }
        });
        Ok(Self { config, runtime, cache })
    }

    async fn load(self: Arc<Self>, name: &str, origin: Origin) -> Result<Vec<Arc<dyn Step>>, String> {
        let grant = self.config.grants.get(name).cloned().unwrap_or_default();
        let (loader, plugin, pin) = (self.clone(), name.to_string(), grant.sha256.clone());
        let (pre, digest) = tokio::task::spawn_blocking(move || {
            let (bytes, digest) = scan::read(&plugin, &origin, loader.config.max_file_bytes, pin.as_deref())?;
            let component = loader.component(&bytes, &digest)?;
            Ok::<_, String>((loader.link(&component)?, digest))
        })
        .await
        .map_err(|_| "compiling it failed inside the compiler".to_string())??;

        let bounds = Bounds { memory_bytes: grant.memory(), timeout_ms: grant.timeout() };
        let tight = Bounds { timeout_ms: PLUGIN_DESCRIBE_MS, ..bounds };
        let info = call::describe(&self.runtime, &pre, name, tight).await;
        let info = info.map_err(|cause| format!("asked what it offers, it {}", cause.text))?;
        let described = describe::check(info)?;

        let plugin = Arc::new(Plugin { runtime: self.runtime.clone(), pre, name: name.to_string(), digest, bounds });
        let steps = described
            .into_iter()
            .map(|described| Arc::new(PluginStep::new(plugin.clone(), described)) as Arc<dyn Step>)
            .collect();
        Ok(steps)
    }

    /// From the cache, or compiled and kept.
    fn component(&self, bytes: &[u8], digest: &str) -> Result<Component, String> {
        let engine = &self.runtime.engine;
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

    /// Checks that the component speaks our interface and wants nothing we do not have.
    fn link(&self, component: &Component) -> Result<TransformPre<State>, String> {
        let engine = &self.runtime.engine;
        let ty = component.component_type();
        let guest = format!("{PACKAGE}/guest");
        let exported = ty.exports(engine).find_map(|(name, _)| {
            let (interface, version) = name.split_once('@')?;
            (interface == guest).then(|| version.to_string())
        });
        match exported {
            Some(version) if version == VERSION => {}
            Some(version) => {
                let version = clean(&version, 32);
                return Err(format!(
                    "it is built for {PACKAGE}@{version}, and this moltrun speaks {PACKAGE}@{VERSION}"
                ));
            }
            None => return Err(format!("it does not export {guest}@{VERSION}; it is no moltrun plugin")),
        }
        for (import, _) in ty.imports(engine) {
            if !is_offered(import) {
                return Err(format!("it imports `{}`, which a transform plugin is not given", clean(import, 100)));
            }
        }
        self.runtime
            .linker
            .instantiate_pre(component)
            .and_then(TransformPre::new)
            .map_err(|e| format!("it does not fit {PACKAGE}@{VERSION}: {}", one_line(&e)))
    }
}

fn is_offered(import: &str) -> bool {
    let Some((interface, version)) = import.split_once('@') else { return false };
    match interface.strip_prefix(PACKAGE) {
        Some(own) => ["/types", "/context", "/log"].contains(&own) && version == VERSION,
        None => wasi::INTERFACES.contains(&interface) && version.starts_with("0.2."),
    }
}

/// An error and its causes.
fn one_line(error: &wasmtime::Error) -> String {
    let chain: Vec<String> = error.chain().map(|cause| cause.to_string()).collect();
    clean(&chain.join(": "), 400)
}
