//! `moltrun plugin inspect`: what a component is, before or after it is trusted.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::asks::{self, Ask};
use super::schema::compact;
use super::target::{self, Target};
use crate::base::hex::hex;
use crate::base::{Effect, Json, limits};
use crate::cli::{Exit, Failed, Globals, out, setup};
use crate::config::Need;
use crate::engine::clock::stopwatch;
use crate::engine::ports::Step;
use crate::lang::catalog::{Fields, Ports};
use crate::lang::file::read_bounded;
use crate::wasm::{Host, Origin, Plugin};

#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A component's file, or the name of a plugin of the folder or of this binary
    plugin: String,
    /// Everything, schemas as they are
    #[arg(long)]
    json: bool,
}

/// A component that was looked at.
pub struct Found {
    pub target: Target,
    /// Size in bytes and SHA-256 of the file, if it can be read.
    pub file: Option<(usize, String)>,
    /// Or why it is no plugin.
    pub loaded: Result<Plugin, String>,
    /// Reading, compiling, linking and asking it what it offers.
    pub took: Duration,
}

pub async fn run(globals: &Globals, args: InspectArgs) -> Result<Exit, Failed> {
    let config = setup::config(globals, Need::Shape)?;
    let host = target::host(&config, true);
    let target = Target::find(&host, &args.plugin).await?;
    let found = look(&host, target).await;
    if args.json {
        out::line(format_args!("{:#}", document(&found)));
    } else {
        print(&found);
    }
    Ok(if found.loaded.is_ok() { Exit::Ok } else { Exit::Invalid })
}

/// Loads it as the daemon would.
pub async fn look(host: &Host, target: Target) -> Found {
    let file = match &target.origin {
        Origin::File(path) => read_bounded(path, limits::PLUGIN_FILE).ok().map(|bytes| measured(&bytes)),
        Origin::Bundled(bytes) => Some(measured(bytes)),
    };
    let watch = stopwatch();
    let loaded = host.load(&target.name, target.origin.clone()).await;
    Found { target, file, loaded, took: watch.elapsed() }
}

fn measured(bytes: &[u8]) -> (usize, String) {
    (bytes.len(), hex(&Sha256::digest(bytes)))
}

fn place(origin: &Origin) -> String {
    match origin {
        Origin::File(path) => path.display().to_string(),
        Origin::Bundled(_) => "part of this moltrun".to_string(),
    }
}

fn world(plugin: &Plugin) -> &'static str {
    if plugin.asks.is_connector { "connector" } else { "transform" }
}

fn schemas(step: &dyn Step) -> (Json, Json) {
    let spec = step.spec();
    let input = match &spec.fields {
        Fields::Schema(schema) => schema.clone(),
        Fields::Any | Fields::Known(_) => Json::Null,
    };
    (input, spec.output.clone().unwrap_or_default())
}

fn ports(step: &dyn Step) -> Vec<String> {
    match &step.spec().ports {
        Ports::Fixed(ports) => ports.clone(),
        Ports::KeysOf(_) => Vec::new(),
    }
}

fn document(found: &Found) -> Json {
    let (bytes, sha256) = found.file.clone().unzip();
    let mut document = json!({
        "name": found.target.name,
        "file": match &found.target.origin { Origin::File(path) => Some(path.display().to_string()), Origin::Bundled(_) => None },
        "bytes": bytes,
        "sha256": sha256,
        "loads": found.loaded.is_ok(),
        "load_us": found.took.as_micros() as u64,
        "reason": found.loaded.as_ref().err(),
    });
    if let Ok(plugin) = &found.loaded {
        let steps = plugin.steps.iter().map(|step| {
            let (input, output) = schemas(step.as_ref());
            let spec = step.spec();
            json!({
                "name": spec.name,
                "summary": spec.summary,
                "effect": spec.effect,
                "ports": ports(step.as_ref()),
                "input": input,
                "output": output,
            })
        });
        document["version"] = plugin.version.as_str().into();
        document["world"] = world(plugin).into();
        document["memory_bytes"] = plugin.grant.memory().into();
        document["timeout_ms"] = plugin.grant.timeout().into();
        document["steps"] = steps.collect();
        document["asks"] = json!(asks::compared(&plugin.name, &plugin.asks, &plugin.grant));
        document["granted_in_vain"] = json!(plugin.asks.not_asked(&plugin.grant));
    }
    document
}

/// The first lines: what it is, and whether it loads.
pub fn print_short(found: &Found) {
    head(found, |line| out::note(out::shown(line)));
}

fn head(found: &Found, line: impl Fn(&str)) {
    let name = &found.target.name;
    match &found.loaded {
        Ok(plugin) => {
            let steps: Vec<&str> = plugin.steps.iter().map(|step| step.spec().name.as_str()).collect();
            line(&format!("{name} {}: {} ({})", plugin.version, steps.join(", "), world(plugin)));
        }
        Err(reason) => line(&format!("{name} does not load: {reason}")),
    }
    if let Some((bytes, sha256)) = &found.file {
        line(&format!("  {}, {}", place(&found.target.origin), size(*bytes as u64)));
        line(&format!("  sha256 {sha256}"));
    }
}

fn print(found: &Found) {
    let line = |line: &str| out::line(out::shown(line));
    head(found, line);
    let Ok(plugin) = &found.loaded else { return };
    let timeout = crate::base::duration::human(plugin.grant.timeout());
    line(&format!("  loads in {} without the cache", time(found.took)));
    line(&format!("  a call: at most {} and {timeout}", size(plugin.grant.memory() as u64)));
    for step in &plugin.steps {
        let (spec, (input, output)) = (step.spec(), schemas(step.as_ref()));
        line("");
        line(&format!("{}  {}", spec.name, word(spec.effect)));
        line(&format!("  {}", spec.summary));
        line(&format!("  input   {}", compact(&input)));
        line(&format!("  output  {}", compact(&output)));
        line(&format!("  ports   {}", ports(step.as_ref()).join(", ")));
    }
    let asked = asks::compared(&plugin.name, &plugin.asks, &plugin.grant);
    line("");
    if asked.is_empty() {
        line("asks for nothing");
    }
    for ask in &asked {
        print_ask(ask);
    }
    for unused in plugin.asks.not_asked(&plugin.grant) {
        line(&unused);
    }
}

fn print_ask(ask: &Ask) {
    let verdict = if ask.granted { "granted" } else { "not granted" };
    out::line(out::shown(&format!("{verdict:<12}  {}", ask.shown())));
    if let Some(help) = &ask.help {
        out::line(out::shown(&format!("{:<12}  → {help}", "")));
    }
}

fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Pure => "pure",
        Effect::Idempotent => "idempotent",
        Effect::AtMostOnce => "at_most_once",
    }
}

/// Bytes as people read them.
pub fn size(bytes: u64) -> String {
    const KIB: u64 = 1024;
    match bytes {
        0..KIB => format!("{bytes} B"),
        KIB..1_048_576 => format!("{:.1} KiB", bytes as f64 / KIB as f64),
        _ => format!("{:.1} MiB", bytes as f64 / (KIB * KIB) as f64),
    }
}

/// A short time as people read it.
pub fn time(took: Duration) -> String {
    match took.as_micros() {
        us @ 0..1_000 => format!("{us} µs"),
        us @ 1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        us => format!("{:.1} s", us as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_short() {
        assert_eq!([12, 2_048, 19 << 20].map(size), ["12 B", "2.0 KiB", "19.0 MiB"]);
        assert_eq!([41, 2_340, 8_100_000].map(|us| time(Duration::from_micros(us))), ["41 µs", "2.3 ms", "8.1 s"]);
    }
}
