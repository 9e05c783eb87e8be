//! `GET /metrics`, in Prometheus' text format.
//!
//! | name | labels | |
//! |---|---|---|
//! | `moltrun_runs_ended_total` | `workflow`, `status` | runs that ended; one that a person retries may end again |
//! | `moltrun_steps_ended_total` | `workflow`, `uses`, `result` | steps by how they ended: `succeeded`, `failed`, `skipped`, `held` |
//! | `moltrun_step_microseconds_total` | `workflow`, `uses` | time of the last attempts of steps that succeeded or failed |
//! | `moltrun_runs_at_work` | | runs that were accepted and are neither parked nor ended |
//! | `moltrun_runs_given_up_total` | | runs that cannot go on before a restart; the log says why |
//! | `process_resident_memory_bytes` | | where the system tells it |
//!
//! Counters begin at 0 with the process. Labels are names out of workflow files: nothing that came from outside.

use std::fmt;

use metrics::{Counter, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use crate::base::RunId;
use crate::engine::event::{Event, SkipReason};
use crate::engine::run::{Engine, Observer};
use crate::engine::state::RunState;
use crate::plan::Plan;

/// Counts what is committed.
pub struct Metrics(PrometheusRecorder);

impl Default for Metrics {
    fn default() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        for (name, what) in [
            (RUNS_ENDED, "runs that ended"),
            (STEPS_ENDED, "steps that ended, by result"),
            (STEP_TIME, "time of steps that succeeded or failed"),
            (GIVEN_UP, "runs that cannot go on before a restart"),
        ] {
            recorder.describe_counter(name.into(), None, what.into());
        }
        recorder.describe_gauge(AT_WORK.into(), None, "runs accepted and neither parked nor ended".into());
        recorder.describe_gauge(MEMORY.into(), None, "resident memory".into());
        Self(recorder)
    }
}

const RUNS_ENDED: &str = "moltrun_runs_ended_total";
const STEPS_ENDED: &str = "moltrun_steps_ended_total";
const STEP_TIME: &str = "moltrun_step_microseconds_total";
const GIVEN_UP: &str = "moltrun_runs_given_up_total";
const AT_WORK: &str = "moltrun_runs_at_work";
const MEMORY: &str = "process_resident_memory_bytes";

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

impl Metrics {
    /// The text, with the gauges as they are now.
    pub fn text(&self, engine: &Engine) -> String {
        let gauge = |name| self.0.register_gauge(&Key::from_static_name(name), &METADATA);
        gauge(AT_WORK).set(engine.load() as f64);
        if let Some(bytes) = resident_bytes() {
            gauge(MEMORY).set(bytes as f64);
        }
        self.0.handle().render()
    }

    fn counter(&self, name: &'static str, labels: Vec<Label>) -> Counter {
        self.0.register_counter(&Key::from_parts(name, labels), &METADATA)
    }

    fn step(&self, plan: &Plan, step: u32, result: &'static str, took_us: Option<u64>) {
        let uses = &plan.steps[step as usize].uses;
        let labels = vec![label("workflow", &plan.name), label("uses", uses)];
        if let Some(took_us) = took_us {
            self.counter(STEP_TIME, labels.clone()).increment(took_us);
        }
        let result = Label::new("result", result);
        self.counter(STEPS_ENDED, [labels, vec![result]].concat()).increment(1);
    }
}

fn label(name: &'static str, value: &str) -> Label {
    Label::new(name, value.to_string())
}

impl Observer for Metrics {
    fn committed(&self, plan: &Plan, _: &RunState, events: &[Event]) {
        for event in events {
            match event {
                Event::StepSucceeded { step, took_us, .. } => self.step(plan, *step, "succeeded", Some(*took_us)),
                Event::StepFailed { step, took_us, .. } => self.step(plan, *step, "failed", Some(*took_us)),
                Event::StepSkipped { reason: SkipReason::NotReached, .. } => {}
                Event::StepSkipped { step, .. } => self.step(plan, *step, "skipped", None),
                Event::StepHeld { step, .. } => self.step(plan, *step, "held", None),
                Event::RunEnded { status, .. } => {
                    let labels = vec![label("workflow", &plan.name), label("status", status.as_str())];
                    self.counter(RUNS_ENDED, labels).increment(1);
                }
                _ => {}
            }
        }
    }

    fn gave_up(&self, _: RunId, _: &str) {
        self.counter(GIVEN_UP, Vec::new()).increment(1);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// None where there is no `/proc`.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}
