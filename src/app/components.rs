//! The plugins of the process, while it runs too: a component that is put into the plugins folder, replaced or removed is
//! noticed, and the steps there are follow.
//!
//! The folder is looked at as the workflows folder is (`triggers/reload.rs`): a file must look the same twice, [`SETTLE_MS`]
//! apart, before it is read. Loading (compiling it, asking what it offers) happens on other threads and is followed by a
//! pause of [`SHARE`] times its length, so that a component that changes all the time takes a fifth of a core at most.
//!
//! **What is used.** When a component loads, its steps take the places of the old ones. When it does not, the version before
//! it stays, and the reason is logged once and shown until it loads; it is tried again when the file changes and, since the
//! reason may have been the moment's, after [`RETRY_MS`] and ever longer pauses. When it is removed, a bundled plugin of its
//! name is used again. Steps that are there no more, because the plugin is gone or a new version lacks them, are forgotten by
//! the checker, so that new versions of workflows cannot use them; those that are served keep them until the process ends.

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use crate::base::Millis;
use crate::base::limits::PLUGINS;
use crate::engine::clock::stopwatch;
use crate::engine::ports::{Clock, Step};
use crate::engine::run::Steps;
use crate::plan::Stamp;
use crate::server::PluginSeen;
use crate::steps::Registry;
use crate::triggers::reload::{PAUSE_MS, SETTLE_MS};
use crate::wasm::{Host, Origin, Plugin, Plugins};

/// A pause after loading something is so many times as long as that took.
const SHARE: u64 = 4;

/// The longest pause, in milliseconds, however long a component takes.
const PAUSE_MAX_MS: u64 = 10_000;

/// First pause before what could not be loaded is tried again, in milliseconds; it doubles up to the maximum. A machine that
/// was too busy to load something is to be left alone for a while, and a disk that failed may take minutes.
const RETRY_MS: u64 = 10_000;
const RETRY_MAX_MS: u64 = 600_000;

/// Why a plugin is not offered any more.
const GONE: &str = "its file was removed";

/// What there is of plugins, and the steps they are added to.
#[derive(Clone)]
pub struct Components {
    host: Host,
    dir: PathBuf,
    built_in: Registry,
    known: BTreeMap<String, Known>,
    /// What looked different at the last look: the version it had, None for one that was not there.
    unsettled: HashMap<String, Option<Version>>,
    /// The folder could not be read at the last look.
    is_unreadable: bool,
}

#[derive(Clone)]
struct Known {
    /// What was loaded, or tried, last; None: it is not there any more.
    version: Option<Version>,
    /// The one whose steps are used.
    plugin: Option<Plugin>,
    /// Steps of versions before it that it does not have any more, by name: at most [`PLUGINS`].
    earlier: BTreeMap<String, Arc<dyn Step>>,
    /// Why that is not what is there.
    trouble: Option<String>,
    /// When the version is tried again, if it could not be loaded.
    retry: Option<Retry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Retry {
    at: Millis,
    pause_ms: u64,
}

impl Retry {
    /// After a failure at `now`, and those before it.
    fn after(before: Option<Self>, now: Millis) -> Self {
        let pause_ms = before.map_or(RETRY_MS, |before| before.pause_ms.saturating_mul(2).min(RETRY_MAX_MS));
        Self { at: now.saturating_add_unsigned(pause_ms), pause_ms }
    }

    fn is_due(self, now: Millis) -> bool {
        // The time of day may have been set back.
        now >= self.at || self.at.saturating_sub_unsigned(self.pause_ms) > now
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Version {
    /// Without a stamp it cannot be looked at.
    File(PathBuf, Option<Stamp>),
    Bundled,
}

impl Version {
    fn of(origin: &Origin) -> Self {
        match origin {
            Origin::File(path) => Self::File(path.clone(), Stamp::read(path)),
            Origin::Bundled(_) => Self::Bundled,
        }
    }
}

/// What a look brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Look {
    /// Other steps are there, or other reasons why they are not.
    changed: bool,
    /// Something was loaded, or tried.
    loaded: bool,
    /// Something looks different and is to be looked at again soon.
    unsettled: bool,
}

/// Looks until the daemon stops; `steps` and `seen` follow.
pub async fn watch(
    mut components: Components,
    steps: Steps,
    seen: watch::Sender<Arc<Vec<PluginSeen>>>,
    clock: Arc<dyn Clock>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut pause_ms = PAUSE_MS;
    loop {
        tokio::select! {
            () = clock.pause(pause_ms) => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        let watch = stopwatch();
        let look = tokio::select! {
            look = components.look(clock.now()) => look,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        pause_ms = match look {
            Look { loaded: true, .. } => {
                (watch.elapsed().as_millis() as u64).saturating_mul(SHARE).clamp(PAUSE_MS, PAUSE_MAX_MS)
            }
            Look { unsettled: true, .. } => SETTLE_MS,
            _ => PAUSE_MS,
        };
        if look.changed {
            steps.replace(components.registry().into_set());
            seen.send_replace(Arc::new(components.seen()));
        }
    }
}

impl Components {
    /// Loads every plugin of the folder `dir` of `host`, and every bundled one, at `now`.
    pub async fn load(host: Host, dir: PathBuf, built_in: Registry, now: Millis) -> Self {
        // From before they are read: a change in between makes them look changed.
        let mut versions = versions(&host).await;
        let Plugins { loaded, broken } = host.load_all().await;
        let mut known = |name: &str, plugin, trouble: Option<String>| {
            let retry = trouble.as_ref().map(|_| Retry::after(None, now));
            let version = versions.remove(name).map(|(_, version)| version);
            (name.to_string(), Known { version, plugin, trouble, retry, earlier: BTreeMap::new() })
        };
        let mut all: BTreeMap<_, _> = broken.into_iter().map(|(name, why)| known(&name, None, Some(why))).collect();
        all.extend(loaded.into_iter().map(|plugin| known(&plugin.name.clone(), Some(plugin), None)));
        Self { host, dir, built_in, known: all, unsettled: HashMap::new(), is_unreadable: false }
    }

    /// Every step there is.
    pub fn registry(&self) -> Registry {
        let mut registry = self.built_in.clone();
        for (name, known) in &self.known {
            known.earlier.values().for_each(|step| registry.add_unseen(step.clone()));
            for step in known.plugin.iter().flat_map(|plugin| &plugin.steps) {
                match known.version {
                    Some(_) => registry.add(step.clone()),
                    None => registry.add_unseen(step.clone()),
                }
            }
            if let Some(reason) = &known.trouble {
                registry.catalog.insert_broken_plugin(name.clone(), reason.clone());
            }
        }
        registry
    }

    /// For people.
    pub fn seen(&self) -> Vec<PluginSeen> {
        let seen = self.known.iter().map(|(name, known)| PluginSeen {
            name: name.clone(),
            plugin: known.plugin.clone(),
            file: known.version.as_ref().and_then(|version| match version {
                Version::File(path, _) => Some(path.display().to_string()),
                Version::Bundled => None,
            }),
            trouble: known.trouble.clone(),
        });
        seen.collect()
    }

    /// Looks at every component and loads those that have changed and settled, or are to be tried again at `now`.
    async fn look(&mut self, now: Millis) -> Look {
        if !self.is_readable().await {
            return Look::default();
        }
        let found = versions(&self.host).await;
        let mut look = Look::default();
        let mut unsettled = HashMap::new();
        let is_there = |known: &Known| known.version.is_some();
        let gone = self.known.iter().filter(|(name, known)| is_there(known) && !found.contains_key(*name));
        let gone: Vec<String> = gone.map(|(name, _)| name.clone()).collect();
        for name in gone {
            if self.unsettled.get(&name) == Some(&None) {
                self.forget(&name);
                look.changed = true;
            } else {
                unsettled.insert(name, None);
            }
        }
        for (name, (origin, version)) in found {
            let known = self.known.get(&name).filter(|known| known.version.as_ref() == Some(&version));
            let retry = known.map(|known| known.retry);
            if retry.is_some_and(|retry| !retry.is_some_and(|retry| retry.is_due(now))) {
                continue;
            }
            if retry.is_none() && self.unsettled.get(&name) != Some(&Some(version.clone())) {
                unsettled.insert(name, Some(version));
                continue;
            }
            look.loaded = true;
            match self.try_load(&name, &origin, version, now).await {
                Some(changed) => look.changed |= changed,
                // What was read may be half of it.
                None => drop(unsettled.insert(name, None)),
            }
        }
        self.unsettled = unsettled;
        look.unsettled = !self.unsettled.is_empty();
        look
    }

    /// Whether anything is known of what is in the folder. One that is not there is empty.
    async fn is_readable(&mut self) -> bool {
        let dir = self.dir.clone();
        let read = tokio::task::spawn_blocking(move || match std::fs::read_dir(&dir) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.to_string()),
            _ => Ok(()),
        });
        let read = read.await.unwrap_or_else(|error| Err(error.to_string()));
        if let Err(error) = &read
            && !self.is_unreadable
        {
            tracing::warn!(folder = %self.dir.display(), error, "the plugins folder cannot be read; its plugins stay");
        }
        self.is_unreadable = read.is_err();
        read.is_ok()
    }

    /// Its steps stay for the workflows that are served; the checker does not know them any more.
    fn forget(&mut self, name: &str) {
        let Some(mut known) = self.known.remove(name) else { return };
        tracing::warn!(plugin = name, "the file of a plugin was removed");
        if known.plugin.is_some() {
            known.version = None;
            known.retry = None;
            known.trouble = Some(GONE.to_string());
            self.known.insert(name.to_string(), known);
        }
    }

    /// Whether one more may be loaded, or this one again. Those that are gone count: what is served may use their steps.
    fn has_room(&self, name: &str) -> bool {
        let is_loaded = |known: &Known| known.plugin.is_some();
        self.known.get(name).is_some_and(is_loaded)
            || self.known.values().filter(|known| is_loaded(known)).count() < PLUGINS
    }

    /// Whether that changed anything; None if the file changed meanwhile and is none now.
    async fn try_load(&mut self, name: &str, origin: &Origin, version: Version, now: Millis) -> Option<bool> {
        let loaded = match self.has_room(name) {
            true => self.host.load(name, origin.clone()).await,
            false => {
                Err(format!("there are more than {PLUGINS} plugins, with those that were removed since the start"))
            }
        };
        let before = self.known.get(name);
        let used = before.and_then(|known| known.plugin.clone());
        let mut earlier = before.map(|known| known.earlier.clone()).unwrap_or_default();
        let (plugin, trouble, changed) = match loaded {
            Ok(plugin) => {
                let is_same =
                    used.as_ref().is_some_and(|used| used.digest == plugin.digest && used.origin == plugin.origin);
                let changed = !is_same || before.is_none_or(|known| known.trouble.is_some() || known.version.is_none());
                if changed {
                    let (version, sha256) = (&plugin.version, &plugin.digest);
                    tracing::info!(plugin = name, version, sha256, "its steps are used from now on");
                }
                let steps = used.iter().flat_map(|used| used.steps.iter().cloned());
                earlier.extend(steps.map(|step| (step.spec().name.clone(), step)));
                plugin.steps.iter().for_each(|step| drop(earlier.remove(&step.spec().name)));
                while earlier.len() > PLUGINS {
                    earlier.pop_first();
                }
                (Some(plugin), None, changed)
            }
            Err(_) if Version::of(origin) != version => return None,
            Err(reason) => {
                let changed = before.is_none_or(|known| known.trouble.as_ref() != Some(&reason));
                match &used {
                    _ if !changed => {}
                    Some(_) => {
                        tracing::error!(
                            plugin = name,
                            reason,
                            "a component cannot be loaded, the version before it is used"
                        );
                    }
                    None => tracing::error!(plugin = name, reason, "a plugin cannot be loaded"),
                }
                (used, Some(reason), changed)
            }
        };
        let again = before.filter(|known| known.version.as_ref() == Some(&version)).and_then(|known| known.retry);
        let retry = trouble.as_ref().map(|_| Retry::after(again, now));
        self.known.insert(name.to_string(), Known { version: Some(version), plugin, earlier, trouble, retry });
        Some(changed)
    }
}

/// What there is now.
async fn versions(host: &Host) -> BTreeMap<String, (Origin, Version)> {
    let found = host.found().await;
    let look = move || {
        let version = |(name, origin): (String, Origin)| {
            let version = Version::of(&origin);
            (name, (origin, version))
        };
        found.into_iter().map(version).collect()
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm::{PluginsConfig, Services};

    /// A folder with this as `x.wasm`, which could not be loaded at 0, and nothing else that is to be looked at.
    async fn components(home: &tempfile::TempDir, bytes: &[u8]) -> Components {
        std::fs::write(home.path().join("x.wasm"), bytes).unwrap();
        // Compiling takes seconds.
        let cache_dir = Some(std::env::current_exe().unwrap().with_file_name("compiled-plugins"));
        let config = PluginsConfig { dir: Some(home.path().to_path_buf()), cache_dir, ..PluginsConfig::default() };
        let host = Host::new(config, Services::none());
        let known = versions(&host).await.into_iter().map(|(name, (_, version))| {
            let trouble = (name == "x").then(|| "the machine was busy".to_string());
            let retry = trouble.as_ref().map(|_| Retry::after(None, 0));
            (name, Known { version: Some(version), plugin: None, earlier: BTreeMap::new(), trouble, retry })
        });
        Components {
            known: known.collect(),
            host,
            dir: home.path().to_path_buf(),
            built_in: Registry::default(),
            unsettled: HashMap::new(),
            is_unreadable: false,
        }
    }

    const TRIED: Look = Look { changed: true, loaded: true, unsettled: false };

    #[tokio::test]
    async fn what_could_not_be_loaded_is_tried_again_after_longer_and_longer_pauses() {
        let home = tempfile::tempdir().unwrap();
        let mut components = components(&home, b"no component").await;
        assert_eq!(components.look(9_999).await, Look::default());
        // For another reason than at the start.
        assert_eq!(components.look(10_000).await, TRIED);
        assert_eq!(components.look(29_999).await, Look::default());
        assert_eq!(components.look(30_000).await, Look { changed: false, ..TRIED });
        let mut now = 30_000;
        for pause_ms in [40_000, 80_000, 160_000, 320_000, 600_000, 600_000] {
            now += pause_ms;
            assert_eq!(components.look(now - 1).await, Look::default(), "{pause_ms}");
            assert_eq!(components.look(now).await, Look { changed: false, ..TRIED }, "{pause_ms}");
        }
        // The time of day is set back.
        assert_eq!(components.look(0).await, Look { changed: false, ..TRIED });
    }

    #[tokio::test]
    async fn what_loads_at_last_is_used() {
        let home = tempfile::tempdir().unwrap();
        let good = concat!(env!("CARGO_MANIFEST_DIR"), "/plugins/dist/keyword-score.wasm");
        let mut components = components(&home, &std::fs::read(good).unwrap()).await;
        assert_eq!(components.look(10_000).await, TRIED);
        let known = &components.known["x"];
        assert!(known.plugin.is_some() && known.trouble.is_none() && known.retry.is_none());
        assert_eq!(components.look(1_000_000).await, Look::default());
    }

    #[tokio::test]
    async fn no_plugin_takes_the_place_of_one_whose_steps_may_be_in_use() {
        let home = tempfile::tempdir().unwrap();
        let good = concat!(env!("CARGO_MANIFEST_DIR"), "/plugins/dist/keyword-score.wasm");
        let mut components = components(&home, &std::fs::read(good).unwrap()).await;
        components.look(10_000).await;
        let gone = Known { version: None, trouble: Some(GONE.to_string()), ..components.known["x"].clone() };
        let loaded = components.known.values().filter(|known| known.plugin.is_some()).count();
        let names = (loaded..PLUGINS).map(|number| format!("gone-{number}"));
        components.known.extend(names.map(|name| (name, gone.clone())));
        assert!(!components.has_room("new") && components.has_room("x") && components.has_room("gone-7"));
        let origin = Origin::File(home.path().join("x.wasm"));
        let version = Version::of(&origin);
        assert_eq!(components.try_load("new", &origin, version, 20_000).await, Some(true));
        let refused = &components.known["new"];
        assert!(refused.trouble.as_ref().is_some_and(|why| why.starts_with("there are more than 256 plugins")));
        assert!(components.known["gone-7"].plugin.is_some());
        // A place is free.
        components.known.remove("gone-7");
        let version = components.known["new"].version.clone().unwrap();
        assert_eq!(components.try_load("new", &origin, version, 30_000).await, Some(true));
        assert!(components.known["new"].plugin.is_some());
    }
}
