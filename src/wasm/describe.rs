//! What a plugin says of itself, checked: nothing of it reaches a catalog, a log or a person unchecked.

use std::collections::BTreeSet;

use super::bindings::moltrun::step::types::{Effect as WitEffect, PluginInfo, StepInfo};
use super::text::{clean, is_name};
use crate::base::Json;
use crate::base::limits::PLUGIN_STEPS;
use crate::lang::schema::Schema;

/// Words of the built-in steps: `crm/switch` would promise the ports of `switch` and not have them.
const RESERVED_STEPS: &[&str] = &[
    "approve", "call", "error", "fail", "filter", "for_each", "http", "ok", "script", "set", "switch", "wait",
    "wait_for",
];

/// Ports every step has or the language gives a meaning.
const RESERVED_PORTS: &[&str] = &["error", "ok", "else"];

/// Ports of one step.
const PORTS: usize = 32;

/// One step, checked.
pub(super) struct Described {
    pub(super) name: String,
    pub(super) summary: String,
    pub(super) input: Schema,
    pub(super) output: Schema,
    /// `ok` among them.
    pub(super) ports: Vec<String>,
}

/// The steps of `info`; an error is one line that says what is wrong.
pub(super) fn check(info: PluginInfo) -> Result<Vec<Described>, String> {
    if let Some(host) = info.hosts.first() {
        return Err(format!("it asks for the host `{}`; a transform plugin cannot reach the network", clean(host, 64)));
    }
    if let Some(secret) = info.secrets.first() {
        return Err(format!("it asks for the secret `{}`; a transform plugin gets none", clean(&secret.name, 64)));
    }
    if info.steps.is_empty() {
        return Err("it offers no step".to_string());
    }
    if info.steps.len() > PLUGIN_STEPS {
        return Err(format!("it offers {} steps, more than the {PLUGIN_STEPS} allowed", info.steps.len()));
    }
    let mut names = BTreeSet::new();
    let mut steps = Vec::with_capacity(info.steps.len());
    for step in info.steps {
        if !is_name(&step.name, &['-', '_']) {
            let name = clean(&step.name, 64);
            return Err(format!("it offers a step `{name}`; a name is [a-z][a-z0-9_-]*, at most 64 characters"));
        }
        if RESERVED_STEPS.contains(&step.name.as_str()) {
            return Err(format!("it offers a step `{}`; that word is reserved for the built-in one", step.name));
        }
        if !names.insert(step.name.clone()) {
            return Err(format!("it offers the step `{}` twice", step.name));
        }
        let name = step.name.clone();
        steps.push(check_step(step).map_err(|reason| format!("its step `{name}` {reason}"))?);
    }
    Ok(steps)
}

fn check_step(step: StepInfo) -> Result<Described, String> {
    let claimed = match step.effect {
        WitEffect::Pure => None,
        WitEffect::Idempotent => Some("idempotent"),
        WitEffect::AtMostOnce => Some("at-most-once"),
    };
    if let Some(claimed) = claimed {
        return Err(format!("claims to be {claimed}; a transform plugin has nothing to act with and must say pure"));
    }
    let input = Schema::parse(&step.input_schema).map_err(|e| format!("has a bad input schema: {e}"))?;
    if input.json.get("type").and_then(Json::as_str) != Some("object") {
        return Err("has a bad input schema: its `type` must be `object`, since `with:` is one".to_string());
    }
    let output = Schema::parse(&step.output_schema).map_err(|e| format!("has a bad output schema: {e}"))?;
    let mut ports = vec!["ok".to_string()];
    if step.ports.len() > PORTS {
        return Err(format!("has {} ports, more than the {PORTS} allowed", step.ports.len()));
    }
    for port in step.ports {
        let shown = clean(&port, 64);
        if !is_name(&port, &['_']) {
            return Err(format!("has a port `{shown}`; a port is [a-z][a-z0-9_]*, at most 64 characters"));
        }
        if RESERVED_PORTS.contains(&port.as_str()) {
            return Err(format!("has a port `{shown}`; that word is reserved"));
        }
        if ports.contains(&port) {
            return Err(format!("has the port `{shown}` twice"));
        }
        ports.push(port);
    }
    Ok(Described { name: step.name, summary: clean(&step.summary, 200), input, output, ports })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm::bindings::moltrun::step::types::SecretRequest;

    fn step(name: &str) -> StepInfo {
        StepInfo {
            name: name.into(),
            summary: "does\n things".into(),
            effect: WitEffect::Pure,
            input_schema: r#"{"type": "object"}"#.into(),
            output_schema: "{}".into(),
            ports: vec!["big".into()],
        }
    }

    fn info(steps: Vec<StepInfo>) -> PluginInfo {
        PluginInfo { version: "1".into(), steps, hosts: vec![], secrets: vec![] }
    }

    #[test]
    fn a_good_plugin() {
        let steps = check(info(vec![step("one"), step("two-b")])).unwrap();
        assert_eq!(steps[1].name, "two-b");
        assert_eq!(steps[0].summary, "does  things");
        assert_eq!(steps[0].ports, ["ok", "big"]);
    }

    #[test]
    fn every_claim_is_checked() {
        let with = |change: fn(&mut StepInfo)| {
            let mut step = step("one");
            change(&mut step);
            info(vec![step])
        };
        let hosts = PluginInfo { hosts: vec!["x.example:443".into()], ..info(vec![step("one")]) };
        let secret = SecretRequest { name: "KEY".into(), hosts: vec![] };
        let secrets = PluginInfo { secrets: vec![secret], ..info(vec![step("one")]) };
        let many = info((0..PLUGIN_STEPS + 1).map(|n| step(&format!("s{n}"))).collect());
        for (info, reason) in [
            (hosts, "it asks for the host `x.example:443`"),
            (secrets, "it asks for the secret `KEY`"),
            (info(vec![]), "it offers no step"),
            (many, "it offers 65 steps, more than the 64 allowed"),
            (info(vec![step("ai.prompt")]), "it offers a step `ai.prompt`; a name is"),
            (info(vec![step("other/step")]), "it offers a step `other/step`; a name is"),
            (info(vec![step("filter")]), "it offers a step `filter`; that word is reserved"),
            (info(vec![step("one"), step("one")]), "it offers the step `one` twice"),
            (with(|s| s.effect = WitEffect::AtMostOnce), "its step `one` claims to be at-most-once"),
            (with(|s| s.input_schema = "{".into()), "its step `one` has a bad input schema: it is not JSON"),
            (with(|s| s.input_schema = "{}".into()), "its step `one` has a bad input schema: its `type` must be"),
            (with(|s| s.output_schema = "[]".into()), "its step `one` has a bad output schema: it is not an object"),
            (with(|s| s.ports = vec!["Big".into()]), "its step `one` has a port `Big`; a port is"),
            (with(|s| s.ports = vec!["error".into()]), "its step `one` has a port `error`; that word is reserved"),
            (with(|s| s.ports = vec!["a".into(), "a".into()]), "its step `one` has the port `a` twice"),
            (with(|s| s.ports = vec!["a".into(); 33]), "its step `one` has 33 ports"),
        ] {
            let error = check(info).err().unwrap();
            assert!(error.starts_with(reason), "{error}");
        }
    }
}
