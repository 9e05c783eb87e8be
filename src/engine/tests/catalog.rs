//! Steps for tests, and plans made of YAML text.

use std::path::Path;
use std::sync::Arc;

use crate::base::json::JsonMap;
use crate::base::{Effect, limits};
use crate::lang::catalog::{Field, FieldKind, Fields, Ports, StepSpec};
use crate::lang::{Catalog, Source, render};
use crate::plan::{Plan, check};

/// Name, effect and ports of every step whose outcome a test (or the far side) chooses.
pub const STEPS: [(&str, Effect, &[&str]); 8] = [
    ("t.pure", Effect::Pure, &["ok"]),
    ("t.read", Effect::Idempotent, &["ok"]),
    ("t.send", Effect::AtMostOnce, &["ok"]),
    ("t.route", Effect::Pure, &["ok", "left", "right"]),
    ("t.wait", Effect::Pure, &["ok"]),
    ("t.event", Effect::Pure, &["ok", "timeout"]),
    ("t.approve", Effect::Pure, &["ok", "rejected", "timeout"]),
    ("t.call", Effect::Pure, &["ok"]),
];

pub fn spec(name: &str, effect: Effect, ports: Ports, fields: Fields) -> StepSpec {
    StepSpec {
        name: name.to_string(),
        summary: String::new(),
        effect,
        ports,
        fields,
        output: None,
        timeout_ms: limits::STEP_TIMEOUT_MS,
    }
}

pub fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    for (name, effect, ports) in STEPS {
        let ports = Ports::Fixed(ports.iter().map(|port| port.to_string()).collect());
        catalog.insert(spec(name, effect, ports, Fields::Any));
    }
    let cases = Field { name: "cases", kind: FieldKind::Conditions, required: true, summary: "" };
    catalog.insert(spec("t.switch", Effect::Pure, Ports::KeysOf("cases"), Fields::Known(vec![cases])));
    catalog
}

/// The plan of a workflow with these keys, `steps:` among them, or what is wrong with it.
pub fn try_workflow(name: &str, keys: &str) -> Result<Arc<Plan>, String> {
    let text = format!("name: {name}\ntriggers: [manual]\n{keys}\n");
    let source = Source { path: "t.yaml".to_string(), text };
    let checked = check(&source, Path::new("."), &catalog(), &JsonMap::new());
    checked.plan.ok_or_else(|| render::human(&checked.diagnostics, &[source], false))
}

/// The plan of a workflow with these `steps:`; text before a line `steps:` is its other keys.
pub fn try_plan(steps: &str) -> Result<Arc<Plan>, String> {
    match steps.contains("steps:\n") && !steps.trim_start().starts_with('-') {
        true => try_workflow("t", steps),
        false => try_workflow("t", &format!("steps:\n{steps}")),
    }
}

pub fn plan(steps: &str) -> Arc<Plan> {
    try_plan(steps).unwrap_or_else(|problems| panic!("{problems}"))
}
