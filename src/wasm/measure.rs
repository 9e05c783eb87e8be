//! What a call costs, for the person who writes the plugin: fuel and memory.
//!
//! Fuel makes a guest slower, and needs code that was compiled for it. So the engine of the house has none
//! of it, and there is a second one that counts, for `moltrun plugin call` alone.

use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::Store;

use super::cache::Cache;
use super::host::{Host, PluginsConfig, Services, Shared};
use super::runtime::Runtime;
use super::state::State;

/// What the last call took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// About one for each WASM instruction that was executed; the same for the same call on every machine.
    pub fuel: u64,
    /// Linear memory of the guest at its end, in bytes. It never shrinks, so this is the most it had.
    pub memory_bytes: u64,
}

/// Reads the counters of each call that ends.
#[derive(Debug, Default)]
pub struct Meter(Mutex<Usage>);

/// No bound: time bounds a call, fuel only counts.
const TANK: u64 = u64::MAX;

impl Meter {
    /// Of the call that ended last, and from then on nothing.
    pub fn take(&self) -> Usage {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn begin(store: &mut Store<State>) {
        // An error would mean an engine that does not count, and then there is nothing to fill.
        let _ = store.set_fuel(TANK);
    }

    pub(super) fn end(&self, store: &Store<State>) {
        let fuel = store.get_fuel().map_or(0, |left| TANK - left);
        let memory_bytes = store.data().quota.used_bytes() as u64;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Usage { fuel, memory_bytes };
    }
}

impl Host {
    /// A host of its own whose calls are counted. Its plugins are compiled apart from those of [`Host::new`].
    pub fn metered(config: PluginsConfig, services: Services) -> (Self, Arc<Meter>) {
        let meter = Arc::new(Meter::default());
        let runtime = Runtime::metered(services, meter.clone())
            .map(Arc::new)
            .map_err(|error| format!("the WASM engine does not start on this machine: {error}"));
        // Without one it only takes longer; `Host::new` has said why.
        let cache = config
            .cache_dir
            .as_deref()
            .zip(runtime.as_ref().ok())
            .and_then(|(dir, runtime)| Cache::open(dir, &runtime.engine, runtime.services.clock.clone()).ok());
        (Self(Arc::new(Shared { config, runtime, cache })), meter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::call;
    use serde_json::json;

    #[tokio::test]
    async fn the_same_call_takes_the_same_and_more_takes_more() {
        let (host, meter) = Host::metered(PluginsConfig::default(), Services::none());
        let origin = host.found().await["keyword-score"].clone();
        let plugin = host.load("keyword-score", origin).await.unwrap();
        let mut took = Vec::new();
        for text in ["urgent", "urgent", &"urgent ".repeat(100)] {
            plugin.steps[0].run(call(json!({"text": text, "keywords": ["urgent"]}))).await.unwrap();
            took.push(meter.take());
        }
        assert!(took[0].fuel > 1_000 && took[0].memory_bytes >= 64 * 1024, "{took:?}");
        assert_eq!(took[0], took[1]);
        assert!(took[2].fuel > took[1].fuel, "{took:?}");
    }
}
