//! The plugin host of the process: what every plugin shares, and the list of what was loaded.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt;

use super::asks::Asks;
use super::cache::Cache;
use super::grant::Grant;
use super::runtime::Runtime;
use super::scan;
use crate::base::Secret;
use crate::base::limits::{PLUGIN_FILE, PLUGIN_MEMORY, PLUGINS};
use crate::base::nearest::nearest;
use crate::engine::clock::SystemClock;
use crate::engine::ports::{Clock, Step};
use crate::net::{Net, Policy};

/// Plugins that are loaded at once: one for each core of a small machine. A large one compiles with all cores by itself.
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

/// What plugins reach the world with, as far as each is granted it.
#[derive(Clone)]
pub struct Services {
    /// Without what only the house itself may reach ([`Policy::without_trusted`]).
    pub net: Arc<Net>,
    /// By the name that grants use.
    pub secrets: BTreeMap<String, Secret>,
    pub clock: Arc<dyn Clock>,
}

impl Services {
    /// No secrets, the machine's clock, and a net that blocks private addresses: enough for plugins that only compute.
    pub fn none() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Self { net: Arc::new(Net::new(Policy::default(), clock.clone())), secrets: BTreeMap::new(), clock }
    }
}

/// Where a component is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    File(PathBuf),
    /// Part of this binary.
    Bundled(&'static [u8]),
}

/// A plugin that was loaded, and what is known of it.
#[derive(Clone)]
pub struct Plugin {
    pub name: String,
    /// Its own, for people.
    pub version: String,
    /// SHA-256 of its file, hex.
    pub digest: String,
    /// The size of its file.
    pub bytes: u64,
    pub origin: Origin,
    pub asks: Asks,
    pub grant: Grant,
    /// Named `<plugin>/<step>`.
    pub steps: Vec<Arc<dyn Step>>,
}

/// What was loaded, and what was not.
#[derive(Default)]
pub struct Plugins {
    /// In the order of their names.
    pub loaded: Vec<Plugin>,
    /// Plugins that could not be loaded, with one line that says why.
    pub broken: BTreeMap<String, String>,
}

impl Plugins {
    /// The steps of all plugins.
    pub fn steps(&self) -> impl Iterator<Item = Arc<dyn Step>> {
        self.loaded.iter().flat_map(|plugin| plugin.steps.iter().cloned())
    }
}

/// Engine, pool, compiled cache and grants. Cheap to clone; all of it goes with the last clone and the last step.
#[derive(Clone)]
pub struct Host(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) config: PluginsConfig,
    /// The engine, or why there is none on this machine.
    pub(super) runtime: Result<Arc<Runtime>, String>,
    pub(super) cache: Option<Cache>,
}

impl Host {
    /// Never fails: without an engine every plugin is broken, without a usable cache each is compiled at every start.
    pub fn new(config: PluginsConfig, services: Services) -> Self {
        let memory_bytes = config.grants.values().map(Grant::memory).fold(PLUGIN_MEMORY, usize::max);
        let runtime = Runtime::new(memory_bytes, services)
            .map(Arc::new)
            .map_err(|error| format!("the WASM engine does not start on this machine: {error}"));
        let cache = config.cache_dir.as_deref().zip(runtime.as_ref().ok()).and_then(|(dir, runtime)| {
            Cache::open(dir, &runtime.engine, runtime.services.clock.clone())
                .inspect_err(|reason| tracing::warn!(reason, "compiled plugins are not kept"))
                .ok()
        });
        Self(Arc::new(Shared { config, runtime, cache }))
    }

    /// Every plugin there is by name, not yet looked at: the files of the folder, and the bundled ones that no file of the
    /// same name replaces.
    pub async fn found(&self) -> BTreeMap<String, Origin> {
        let dir = self.0.config.dir.clone();
        tokio::task::spawn_blocking(move || scan::scan(dir.as_deref())).await.unwrap_or_default()
    }

    /// Loads every plugin of the folder and every bundled one. One that cannot be loaded stops nothing.
    pub async fn load_all(&self) -> Plugins {
        let found = self.found().await;
        for name in self.0.config.grants.keys().filter(|name| !found.contains_key(*name)) {
            let nearest = nearest(name, found.keys().map(String::as_str)).unwrap_or("none");
            tracing::warn!(plugin = %name, nearest, "a grant names a plugin that does not exist");
        }
        let mut loads = futures::stream::iter(found.into_iter().enumerate())
            .map(async |(number, (name, origin))| {
                let loaded = match number < PLUGINS {
                    true => self.load(&name, origin).await,
                    false => Err(format!("there are more than {PLUGINS} plugins")),
                };
                (name, loaded)
            })
            .buffered(LOADS_AT_ONCE);
        let mut plugins = Plugins::default();
        while let Some((name, loaded)) = loads.next().await {
            match loaded {
                Ok(plugin) => plugins.loaded.push(plugin),
                Err(reason) => {
                    tracing::warn!(plugin = %name, reason, "a plugin cannot be loaded");
                    plugins.broken.insert(name, reason);
                }
            }
        }
        plugins
    }
}
