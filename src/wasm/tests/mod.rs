//! The host against guests, good and hostile: real components, loaded from a folder and called as the engine calls them.

mod bundled;
mod calls;
mod engine;
mod guests;
mod hostile;
mod http;
mod loading;
mod outcomes;
mod probe;
mod secrets;
mod values;

use std::fs;
use std::sync::Arc;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Asks, Grant, Host, Origin, Plugin, Plugins, PluginsConfig, Services};
use crate::base::hex::hex;
use crate::base::{Json, RunId};
use crate::engine::ports::{Failure, Outcome, Step, StepCall, StepError};
use guests::Guest;

/// A folder of plugins.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(self, name: &str, guest: &Guest) -> Self {
        self.file(name, &guest.component())
    }

    fn file(self, name: &str, bytes: &[u8]) -> Self {
        fs::write(self.0.path().join(format!("{name}.wasm")), bytes).unwrap();
        self
    }

    fn config(&self) -> PluginsConfig {
        PluginsConfig { dir: Some(self.0.path().to_path_buf()), ..PluginsConfig::default() }
    }

    async fn load(&self) -> Plugins {
        load(self.config()).await
    }
}

/// Everything of `config`, in a host of its own. Unless a test has its own place for it, what was compiled is kept beside
/// the test program: the bundled plugins take seconds.
async fn load(mut config: PluginsConfig) -> Plugins {
    let beside = || std::env::current_exe().unwrap().with_file_name("compiled-plugins");
    config.cache_dir.get_or_insert_with(beside);
    Host::new(config, Services::none()).load_all().await
}

fn step(plugins: &Plugins, name: &str) -> Arc<dyn Step> {
    let found = plugins.steps().find(|step| step.spec().name == name);
    found.unwrap_or_else(|| panic!("no step {name}; broken: {:#?}", plugins.broken))
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn call(input: Json) -> StepCall {
    StepCall {
        run: RunId::new(1_000, 7),
        workflow: std::sync::Arc::new(crate::lang::Workflow::without_steps("shop")),
        step: "score".into(),
        items: Vec::new(),
        keys: crate::engine::ports::Keys::new(
            Arc::new(crate::store::memory::MemoryStore::default()),
            Arc::new(crate::engine::clock::SystemClock),
        ),
        attempt: 1,
        now: 1_700_000_000_000,
        began: 1_700_000_000_000,
        timeout_ms: 60_000,
        input,
        log: Default::default(),
        heard: Vec::new(),
    }
}

/// One call of `<plugin>/step`.
async fn run(plugins: &Plugins, plugin: &str, input: Json) -> Result<Outcome, StepError> {
    step(plugins, &format!("{plugin}/step")).run(call(input)).await
}

fn permanent(result: Result<Outcome, StepError>) -> Failure {
    match result {
        Err(StepError::Permanent(failure)) => failure,
        other => panic!("not a permanent failure: {other:?}"),
    }
}

/// The bundled plugin still answers: what came before did the host no harm.
async fn assert_works(plugins: &Plugins) {
    let input = json!({"text": "urgent!", "keywords": ["urgent", "down"]});
    let outcome = step(plugins, "keyword-score/score").run(call(input)).await;
    assert_eq!(outcome, Ok(Outcome::ok(json!({"score": 1, "matched": ["urgent"]}))));
}
