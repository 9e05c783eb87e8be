//! `moltrun plugin call`: one call of a step as the engine would make it, outside any run.
//!
//! What it costs is measured in two ways. A step that only computes is called twice: once on an engine that counts fuel, then
//! on the ordinary one, whose time is shown. A step that acts is called once, on the engine that counts; its time is then
//! longer than in a run.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::inspect::{size, time};
use super::target::{self, Target};
use crate::app;
use crate::base::nearest::nearest;
use crate::base::{Effect, Json, RunId, limits};
use crate::cli::{Exit, Failed, Globals, out, setup};
use crate::config::Need;
use crate::engine::clock::stopwatch;
use crate::engine::ports::{Clock, Failure, Keys, LogLine, Outcome, Step, StepCall, StepError, StepLog, Write};
use crate::lang::Workflow;
use crate::lang::file::read_bounded;
use crate::store::memory::MemoryStore;
use crate::wasm::{Host, Plugin, Usage};

/// The grants are those of the configuration: what a connector is granted it really does, requests included. What it keeps
/// across runs is not the daemon's: it finds nothing, and what it writes is shown and forgotten.
#[derive(Debug, Args)]
pub struct CallArgs {
    /// A component's file, or the name of a plugin of the folder or of this binary
    plugin: String,
    /// The step's name
    step: String,
    /// Its `with:` as JSON: as it stands here, from a file (`@FILE`), or from stdin (`-`)
    #[arg(long, default_value = "{}", value_name = "JSON|@FILE|-")]
    input: String,
    /// Call a step that only computes this often, and show the median of the times
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    times: u32,
    /// One document with the result and all that is known of the call
    #[arg(long)]
    json: bool,
}

/// A call that was made.
struct Called {
    result: Result<Done, StepError>,
    took: Duration,
    usage: Usage,
    lines: Vec<LogLine>,
}

/// How it ended well.
struct Done {
    port: String,
    output: Json,
    writes: Vec<Write>,
}

pub async fn run(globals: &Globals, args: CallArgs) -> Result<Exit, Failed> {
    let config = setup::config(globals, Need::Shape)?;
    let clock = app::system_clock();
    let (given, services) = app::plugins::given(&config, &clock);
    let (counting, meter) = Host::metered(given, services);
    let target = Target::find(&counting, &args.plugin).await?;
    // Before anything is compiled.
    let input = input(&args.input)?;

    let (plugin, step) = step(&counting, &target, &args.step).await?;
    if args.times > 1 && step.spec().effect != Effect::Pure {
        let name = &step.spec().name;
        return Err(Failed::invalid(format!(
            "--times: {name} acts, and would act each time; it is for steps that only compute"
        )));
    }
    for line in plugin.asks.not_granted(&plugin.name, &plugin.grant) {
        out::note(out::shown(&format!("{} {line}", plugin.name)));
    }
    // What it took to describe itself is not of this call.
    meter.take();
    let mut called = call(step.as_ref(), &input, &clock).await?;
    called.usage = meter.take();
    if step.spec().effect == Effect::Pure {
        let (_, step) = self::step(&target::host(&config, false), &target, &args.step).await?;
        let mut times = Vec::new();
        for _ in 0..args.times {
            times.push(call(step.as_ref(), &input, &clock).await?.took);
        }
        times.sort();
        called.took = times[times.len() / 2];
    }

    if args.json {
        out::line(format_args!("{:#}", document(&step.spec().name, &called)));
    } else {
        print(&called);
    }
    Ok(if called.result.is_ok() { Exit::Ok } else { Exit::Failed })
}

/// What `--input` says.
fn input(text: &str) -> Result<Json, Failed> {
    let invalid = |error: &dyn std::fmt::Display| Failed::invalid(format!("--input: {error}"));
    let bytes = match text.strip_prefix('@') {
        Some(file) => read_bounded(file.as_ref(), limits::PLUGIN_JSON)
            .map_err(|error| Failed::invalid(format!("--input: {file}: {error}")))?,
        None if text == "-" => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().take(limits::PLUGIN_JSON as u64 + 1).read_to_end(&mut bytes);
            read.map_err(|error| invalid(&error))?;
            bytes
        }
        None => text.as_bytes().to_vec(),
    };
    if bytes.len() > limits::PLUGIN_JSON {
        return Err(invalid(&format!("larger than {} bytes", limits::PLUGIN_JSON)));
    }
    serde_json::from_slice(&bytes).map_err(|error| invalid(&format!("not JSON: {error}")))
}

/// The step of that name, with or without the plugin's before it.
async fn step(host: &Host, target: &Target, name: &str) -> Result<(Plugin, Arc<dyn Step>), Failed> {
    let loaded = host.load(&target.name, target.origin.clone()).await;
    let plugin = loaded.map_err(|reason| Failed::invalid(format!("{} does not load: {reason}", target.name)))?;
    let bare = |full: &str| full.rsplit('/').next().unwrap_or_default().to_string();
    let wanted = name.strip_prefix(&format!("{}/", plugin.name)).unwrap_or(name);
    if let Some(step) = plugin.steps.iter().find(|step| bare(&step.spec().name) == wanted).cloned() {
        return Ok((plugin, step));
    }
    let own: Vec<String> = plugin.steps.iter().map(|step| bare(&step.spec().name)).collect();
    let help = match nearest(wanted, own.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it has {}", own.join(", ")),
    };
    Err(Failed::new(Exit::NotFound, format!("the plugin {} has no step `{name}`; {help}", plugin.name)))
}

async fn call(step: &dyn Step, input: &Json, clock: &Arc<dyn Clock>) -> Result<Called, Failed> {
    let (now, log) = (clock.now(), StepLog::default());
    let call = StepCall {
        run: RunId::new(now, clock.random()),
        workflow: Arc::new(Workflow::without_steps("plugin-call")),
        step: "call".into(),
        items: Vec::new(),
        attempt: 1,
        now,
        began: now,
        timeout_ms: step.spec().timeout_ms,
        input: input.clone(),
        heard: Vec::new(),
        keys: Keys::new(Arc::new(MemoryStore::default()), clock.clone()),
        log: log.clone(),
    };
    let watch = stopwatch();
    let result = step.run(call).await;
    let took = watch.elapsed();
    let result = match result {
        Ok(Outcome::Done { port, output }) => Ok(Done { port: port.into(), output, writes: Vec::new() }),
        Ok(Outcome::Written { port, output, writes, .. }) => Ok(Done { port: port.into(), output, writes }),
        Ok(other) => return Err(Failed::new(Exit::Failed, format!("a plugin's step ended as none does: {other:?}"))),
        Err(error) => Err(error),
    };
    Ok(Called { result, took, usage: Usage::default(), lines: log.take() })
}

/// What becomes of a failed attempt, in a word; the failure; and the pause that it named.
fn apart(error: &StepError) -> (&'static str, &Failure, Option<u64>) {
    match error {
        StepError::Permanent(failure) => ("permanent", failure, None),
        StepError::Transient(failure) => ("transient", failure, None),
        StepError::Later { failure, after_ms } => ("later", failure, Some(*after_ms)),
        StepError::Unknown(failure) => ("unknown", failure, None),
    }
}

fn document(step: &str, called: &Called) -> Json {
    let mut document = json!({
        "step": step,
        "took_us": called.took.as_micros() as u64,
        "fuel": called.usage.fuel,
        "memory_bytes": called.usage.memory_bytes,
        "log": called.lines,
    });
    match &called.result {
        Ok(Done { port, output, writes }) => {
            document["port"] = port.as_str().into();
            document["output"] = output.clone();
            let writes = writes.iter().map(|write| json!({"key": write.key, "value": write.value}));
            document["writes"] = writes.collect();
        }
        Err(error) => {
            let (kind, failure, after_ms) = apart(error);
            document["error"] = json!({"kind": kind, "code": failure.code, "message": failure.message});
            if let Some(details) = &failure.details {
                document["error"]["details"] = (**details).clone();
            }
            if let Some(after_ms) = after_ms {
                document["error"]["after_ms"] = after_ms.into();
            }
        }
    }
    document
}

/// The output is data; the rest is for people.
fn print(called: &Called) {
    let note = |line: &str| out::note(out::shown(line));
    for LogLine { level, text } in &called.lines {
        note(&format!("{:<5}  {text}", level.as_str()));
    }
    match &called.result {
        Ok(Done { port, output, writes }) => {
            out::line(format_args!("{output:#}"));
            for write in writes {
                let value = write.value.as_ref().map_or_else(|| "(deleted)".to_string(), Json::to_string);
                note(&format!("state  {} = {value}", write.key));
            }
            note(&format!("port   {port}"));
        }
        Err(error) => {
            let (kind, failure, after_ms) = apart(error);
            note(&format!("failed {}: {} ({kind})", failure.code, failure.message));
            if let Some(details) = &failure.details {
                note(&format!("       details {details}"));
            }
            if let Some(after_ms) = after_ms {
                note(&format!("       again in {}", crate::base::duration::human(after_ms)));
            }
        }
    }
    let Usage { fuel, memory_bytes } = called.usage;
    note(&format!("took   {}, {} of memory, {fuel} fuel", time(called.took), size(memory_bytes)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_comes_from_three_places_and_is_json() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("input.json");
        std::fs::write(&file, "{\"a\": 1}").unwrap();
        assert_eq!(input(&format!("@{}", file.display())).unwrap(), json!({"a": 1}));
        assert_eq!(input("[1]").unwrap(), json!([1]));
        for (text, reason) in [("{", "--input: not JSON: "), ("@/no/such", "--input: /no/such: ")] {
            let failed = input(text).unwrap_err();
            assert!(failed.exit == Exit::Invalid && failed.message.starts_with(reason), "{failed:?}");
        }
        std::fs::write(&file, "1".repeat(limits::PLUGIN_JSON + 1)).unwrap();
        assert!(input(&format!("@{}", file.display())).unwrap_err().message.contains("larger than 1048576 bytes"));
    }

    #[test]
    fn a_failure_is_told_with_all_it_has() {
        let failure = Failure::new("plugin.a.busy", "try later").with_details(json!({"left": 0}));
        let called = Called {
            result: Err(StepError::Later { failure, after_ms: 2_000 }),
            took: Duration::from_micros(5),
            usage: Usage { fuel: 7, memory_bytes: 65_536 },
            lines: Vec::new(),
        };
        assert_eq!(
            document("a/b", &called),
            json!({"step": "a/b", "took_us": 5, "fuel": 7, "memory_bytes": 65_536, "log": [], "error": {
                "kind": "later", "code": "plugin.a.busy", "message": "try later", "details": {"left": 0}, "after_ms": 2_000
            }})
        );
    }
}
