//! Plugins to call, calls to make, and figures to show.

use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use moltrun::base::{Json, RunId};
use moltrun::engine::clock::SystemClock;
use moltrun::engine::ports::{Keys, Step, StepCall};
use moltrun::lang::Workflow;
use moltrun::store::memory::MemoryStore;
use moltrun::wasm::{Host, Plugins, PluginsConfig, Services};
use serde_json::json;

#[allow(dead_code, reason = "the guests of the host's own tests, of which a bench needs a few")]
#[path = "../../src/wasm/tests/guests.rs"]
pub mod guests;

/// The small plugin of all scenarios: a Rust guest.
pub const SMALL: &[u8] = include_bytes!("../../plugins/dist/keyword-score.wasm");

pub fn host(config: PluginsConfig) -> Host {
    Host::new(config, Services::none())
}

pub fn step(plugins: &Plugins, name: &str) -> Result<Arc<dyn Step>, Box<dyn Error>> {
    let found = plugins.steps().find(|step| step.spec().name == name);
    found.ok_or_else(|| format!("no step {name}; broken: {:#?}", plugins.broken).into())
}

/// 1 KB of JSON for the small plugin.
pub fn input() -> Json {
    let text = "where is my parcel, it was promised for monday and nobody answers the phone. ".repeat(12);
    json!({"text": text, "keywords": ["refund", "parcel", "broken", "phone", "cancel"]})
}

/// Calls of one run.
#[derive(Clone)]
pub struct Calls(StepCall);

impl Calls {
    pub fn new() -> Self {
        Self(StepCall {
            run: RunId::new(1_700_000_000_000, 7),
            workflow: Arc::new(Workflow::without_steps("bench")),
            step: "step".into(),
            items: Vec::new(),
            attempt: 1,
            now: 1_700_000_000_000,
            began: 1_700_000_000_000,
            timeout_ms: 60_000,
            input: Json::Null,
            heard: Vec::new(),
            keys: Keys::new(Arc::new(MemoryStore::default()), Arc::new(SystemClock)),
            log: Default::default(),
        })
    }

    pub fn with(&self, input: &Json) -> StepCall {
        StepCall { input: input.clone(), ..self.0.clone() }
    }
}

/// `component` as a file of its own that does the same: another digest, by a section that says nothing.
pub fn variant(component: &[u8], number: usize) -> Vec<u8> {
    let name = format!("variant-{number:05}");
    let mut bytes = component.to_vec();
    bytes.extend([0, name.len() as u8 + 1, name.len() as u8]);
    bytes.extend(name.as_bytes());
    bytes
}

/// Of this process, in MB (of 1,000,000 bytes).
pub fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) * 1024.0 / 1e6
}

/// The `share` of `times` that is below it, in microseconds; sorts them.
pub fn quantile(times: &mut [Duration], share: f64) -> f64 {
    times.sort();
    let index = (times.len() as f64 * share) as usize;
    times.get(index.min(times.len().saturating_sub(1))).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

pub fn median(figures: &[f64]) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}

pub fn show(what: impl AsRef<str>, figures: &str) {
    println!("  {:58} {figures}", what.as_ref());
}
