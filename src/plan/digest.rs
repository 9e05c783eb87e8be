//! From an analysis to a plan; the stored form and its digest.

use std::sync::Arc;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::analyse::{Analysis, analyse};
use super::{Plan, PlanForEach, PlanStep, PlanTrigger};
use crate::base::Json;
use crate::base::hex::hex;
use crate::lang::{Catalog, Workflow};

/// The form of stored plans. A later one can read this one's.
const VERSION: u64 = 1;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored plan cannot be run any more: {0}")]
pub struct RestoreError(pub String);

/// The plan of a workflow in which the analysis found nothing wrong; None if it did.
pub(super) fn assemble(workflow: Workflow, analysis: Analysis<'_>) -> Option<Plan> {
    let Analysis { problems, specs, graph, triggers, parts } = analysis;
    if !problems.found.is_empty() || graph.order.len() != workflow.steps.len() {
        return None;
    }
    let mut steps = Vec::with_capacity(workflow.steps.len());
    for (index, ((step, spec), parts)) in workflow.steps.iter().zip(specs).zip(parts).enumerate() {
        let spec = spec?;
        let dependents = |port: Option<&str>| {
            let needs = |step: &usize| {
                graph.needs[*step].iter().any(|edge| edge.from == index && port.is_none_or(|port| edge.port == port))
            };
            (0..workflow.steps.len()).filter(needs).collect::<Vec<_>>()
        };
        let for_each = match &step.for_each {
            None => None,
            Some(each) => Some(PlanForEach {
                items: parts.items?,
                name: each.name.as_str().into(),
                concurrency: each.concurrency,
                on_item_error: each.on_item_error,
                collect: parts.collect,
            }),
        };
        steps.push(PlanStep {
            id: step.id.as_str().into(),
            uses: step.uses.as_str().into(),
            effect: spec.effect,
            needs: graph.needs[index].clone(),
            dependents: dependents(None),
            join: step.join,
            handles_error: !dependents(Some("error")).is_empty(),
            condition: parts.condition,
            with: parts.with,
            for_each,
            retry: step.retry.clone().unwrap_or_default(),
            timeout_ms: step.timeout_ms.unwrap_or(spec.timeout_ms),
            on_unknown: step.on_unknown,
            reads: parts.reads,
        });
    }
    let defaults = workflow.inputs.iter().filter_map(|input| Some((input.name.clone(), input.default.clone()?)));
    let defaults = Json::Object(defaults.collect());
    let plan_triggers = workflow.triggers.iter().cloned().zip(triggers);
    Some(Plan {
        digest: digest(&stored(&workflow)).into(),
        name: workflow.name.as_str().into(),
        vars: Arc::new(Json::Object(workflow.vars.clone())),
        default_inputs: Arc::new(defaults),
        triggers: plan_triggers.map(|(trigger, when)| PlanTrigger { trigger, when }).collect(),
        steps,
        order: graph.order,
        workflow: Arc::new(workflow),
    })
}

/// Keys stay in the order of the file, because the order of a switch's cases means something.
fn stored(workflow: &Workflow) -> Json {
    // String keys, finite numbers, and a path that `check` has seen to be text: it cannot fail.
    let workflow = serde_json::to_value(workflow).unwrap_or_default();
    json!({ "version": VERSION, "workflow": workflow })
}

fn digest(stored: &Json) -> String {
    hex(&Sha256::digest(stored.to_string().as_bytes()))
}

impl Plan {
    /// The form that is saved under the digest.
    pub fn stored(&self) -> Json {
        stored(&self.workflow)
    }

    /// A plan back from its stored form; an error says what the catalog of today lacks.
    pub fn restore(stored: &Json, catalog: &Catalog) -> Result<Self, RestoreError> {
        let version = stored["version"].as_u64();
        if version != Some(VERSION) {
            return Err(RestoreError(format!("its form is version {}, not {VERSION}", stored["version"])));
        }
        let workflow: Workflow = serde_json::from_value(stored["workflow"].clone())
            .map_err(|error| RestoreError(format!("its form is not that of a workflow: {error}")))?;
        let analysis = analyse(&workflow, catalog);
        let reasons = analysis.problems.found.iter().take(5);
        let reasons: Vec<_> = reasons.map(|p| format!("{}: {}", p.path.join("."), p.message)).collect();
        assemble(workflow, analysis).ok_or_else(|| RestoreError(reasons.join("; ")))
    }
}
