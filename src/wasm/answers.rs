//! What a component answers, in plain texts: judged here and nowhere else, so that it can be tried with any text at all
//! (`fuzz/`). Nothing here knows of wasmtime.

use std::collections::BTreeSet;

use super::text::{clean, is_name};
use crate::base::json::text_len;
use crate::base::limits::{FAILURE_DETAILS, PLUGIN_JSON, PLUGIN_LOG_LINE, PLUGIN_STEPS};
use crate::base::{Effect, Json};
use crate::engine::ports::Failure;
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

/// Longest summary, in bytes.
const SUMMARY: usize = 200;

/// A stable code and one line, a clause with the plugin as its subject.
#[derive(Debug, PartialEq, Eq)]
pub struct Cause {
    pub code: &'static str,
    pub text: String,
}

impl Cause {
    pub fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

/// What a plugin says of one step.
#[derive(Clone, Debug)]
pub struct Says {
    pub name: String,
    pub summary: String,
    pub effect: Effect,
    pub input_schema: String,
    pub output_schema: String,
    pub ports: Vec<String>,
}

/// One step, checked.
#[derive(Debug)]
pub struct DescribedStep {
    pub name: String,
    pub summary: String,
    pub effect: Effect,
    pub input: Schema,
    pub output: Schema,
    /// `ok` among them.
    pub ports: Vec<String>,
}

/// The steps that a plugin offers; an error is one line that says what is wrong.
pub fn steps(says: Vec<Says>) -> Result<Vec<DescribedStep>, String> {
    if says.is_empty() {
        return Err("it offers no step".to_string());
    }
    if says.len() > PLUGIN_STEPS {
        return Err(format!("it offers {} steps, more than the {PLUGIN_STEPS} allowed", says.len()));
    }
    let mut names = BTreeSet::new();
    let mut steps = Vec::with_capacity(says.len());
    for step in says {
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
        steps.push(described(step).map_err(|reason| format!("its step `{name}` {reason}"))?);
    }
    Ok(steps)
}

fn described(says: Says) -> Result<DescribedStep, String> {
    let input = Schema::parse(&says.input_schema).map_err(|e| format!("has a bad input schema: {e}"))?;
    if input.json.get("type").and_then(Json::as_str) != Some("object") {
        return Err("has a bad input schema: its `type` must be `object`, since `with:` is one".to_string());
    }
    let output = Schema::parse(&says.output_schema).map_err(|e| format!("has a bad output schema: {e}"))?;
    let mut ports = vec!["ok".to_string()];
    if says.ports.len() > PORTS {
        return Err(format!("has {} ports, more than the {PORTS} allowed", says.ports.len()));
    }
    for port in says.ports {
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
    let summary = clean(&says.summary, SUMMARY);
    Ok(DescribedStep { name: says.name, summary, effect: says.effect, input, output, ports })
}

/// The port and the output of a call that ended well, if they are what the step promised.
pub fn output(schema: &Schema, ports: &[String], data: &str, port: Option<&str>) -> Result<(String, Json), Cause> {
    let bad = |text: String| Cause::new("plugin.bad_output", text);
    if data.len() > PLUGIN_JSON {
        let text = format!("answered {} bytes, more than the {PLUGIN_JSON} allowed", data.len());
        return Err(Cause::new("plugin.too_large", text));
    }
    let data: Json = serde_json::from_str(data).map_err(|e| bad(format!("answered what is not JSON: {e}")))?;
    // It is kept as it is written here, which may be longer: `1e15` has all its zeros.
    let bytes = text_len(&data);
    if bytes > PLUGIN_JSON {
        let text = format!("answered what takes {bytes} bytes, more than the {PLUGIN_JSON} allowed");
        return Err(Cause::new("plugin.too_large", text));
    }
    schema.check(&data).map_err(|e| bad(format!("answered against its own output schema: {e}")))?;
    let port = port.unwrap_or("ok");
    if !ports.iter().any(|known| known == port) {
        return Err(bad(format!("answered on the port `{}`; it has {}", clean(port, 64), ports.join(", "))));
    }
    Ok((port.to_string(), data))
}

/// A failure that a step of the plugin reports itself.
pub fn failure(plugin: &str, code: &str, message: &str, details: Option<&str>) -> Result<Failure, Cause> {
    let bad = |text: String| Cause::new("plugin.bad_output", text);
    if !is_name(code, &['_']) {
        return Err(bad(format!("failed with the code `{}`, which is not [a-z][a-z0-9_]*", clean(code, 64))));
    }
    let reported = Failure::new(format!("plugin.{plugin}.{code}"), clean(message, PLUGIN_LOG_LINE));
    let Some(details) = details else { return Ok(reported) };
    if details.len() > FAILURE_DETAILS {
        let bytes = details.len();
        return Err(bad(format!("failed with {bytes} bytes of details, more than the {FAILURE_DETAILS} allowed")));
    }
    let details =
        serde_json::from_str(details).map_err(|e| bad(format!("failed with details that are not JSON: {e}")))?;
    Ok(reported.with_details(details))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_measured_as_it_is_kept() {
        let any = Schema::parse("{}").unwrap();
        let list = |count: usize| format!("[{}]", vec!["1e15"; count].join(","));
        let judged = |text: &str| output(&any, &["ok".to_string()], text, None);
        assert_eq!(judged(&list(2)).unwrap().1.to_string(), "[1000000000000000.0,1000000000000000.0]");
        let long = list(100_000);
        assert!(long.len() < PLUGIN_JSON);
        let cause = judged(&long).unwrap_err();
        assert_eq!(cause.code, "plugin.too_large");
        assert!(cause.text.starts_with("answered what takes 1900001 bytes, more than"), "{}", cause.text);
    }
}
