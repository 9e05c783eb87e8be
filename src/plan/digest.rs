//! From an analysis to a plan; the stored form and its digest.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::analyse::{Analysis, Parts, Weight, analyse};
use super::fields::Input;
use super::graph::Graph;
use super::layout::{Role, Slot};
use super::recipients;
use super::{Plan, PlanConcurrency, PlanForEach, PlanOnce, PlanStep};
use crate::base::hex::hex;
use crate::base::{Effect, Json, limits};
use crate::lang::workflow::{Join, OnUnknown, Retry, StepDef};
use crate::lang::{Catalog, CodePlace, StepSpec, Workflow};

/// The form of stored plans. Version 1 had no blocks and numbered the steps of the file, so a run of a version 1 plan goes
/// on unless it had a `for_each`.
const VERSION: u64 = 2;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored plan cannot be run any more: {0}")]
pub struct RestoreError(pub String);

/// The plan of a workflow in which the analysis found nothing wrong; None if it did.
pub(super) fn assemble(workflow: &Arc<Workflow>, analysis: Analysis<'_, '_>) -> Option<Plan> {
    let Analysis { problems, layout, specs, graph, triggers, key, parts, output } = analysis;
    if problems.found.iter().any(|problem| problem.weight != Weight::Warning) || graph.order.len() != layout.slots.len()
    {
        return None;
    }
    let mut steps = Vec::with_capacity(layout.slots.len());
    for (index, (slot, (spec, parts))) in layout.slots.iter().zip(specs.into_iter().zip(parts)).enumerate() {
        steps.push(match slot.role {
            Role::Container(block) => container(index, slot, block, &graph, parts)?,
            Role::Single | Role::Repeated => single(index, slot, spec?, &graph, parts),
        });
    }
    let defaults = workflow.inputs.iter().filter_map(|input| Some((input.name.clone(), input.default.clone()?)));
    let defaults = Json::Object(defaults.collect());
    let plan_triggers = workflow.triggers.iter().cloned().zip(triggers);
    let concurrency = workflow.concurrency.as_ref().zip(key);
    Some(Plan {
        digest: digest(&Stored::of(workflow)).into(),
        name: workflow.name.as_str().into(),
        vars: Arc::new(Json::Object(workflow.vars.clone())),
        default_inputs: Arc::new(defaults),
        triggers: plan_triggers.map(|(trigger, parts)| parts.of(trigger)).collect(),
        blocks: layout.blocks,
        concurrency: concurrency.map(|(concurrency, key)| PlanConcurrency {
            key,
            limit: concurrency.limit,
            overflow: concurrency.overflow,
        }),
        timeout_ms: workflow.timeout_ms,
        on_failure: workflow.on_failure.as_deref().map(Into::into),
        retention_ms: workflow.retention_ms,
        output,
        steps,
        order: graph.order,
        workflow: workflow.clone(),
    })
}

/// A step without what is about its place in the graph, which a step that is repeated leaves to its container.
fn bare(slot: &Slot<'_>, uses: &str, effect: Effect, timeout_ms: u64, parts: Parts) -> PlanStep {
    let Parts { condition, input: Input { with, deferred, calls, effect: decided }, once, reads, .. } = parts;
    let written = slot.step.once.as_ref();
    PlanStep {
        id: slot.step.id.as_str().into(),
        block: slot.block,
        uses: uses.into(),
        effect: decided.unwrap_or(effect),
        needs: Vec::new(),
        dependents: Vec::new(),
        join: Join::default(),
        handles_error: false,
        condition,
        with,
        for_each: None,
        retry: slot.step.retry.clone().unwrap_or_default(),
        timeout_ms: slot.step.timeout_ms.unwrap_or(timeout_ms),
        on_unknown: slot.step.on_unknown,
        reads,
        once: once.zip(written).map(|(key, once)| PlanOnce { key, ttl_ms: once.ttl_ms }),
        correlate: deferred.as_ref().map(|when| when.demands("incoming")).unwrap_or_default(),
        deferred,
        calls: calls.map(Into::into),
    }
}

fn single(index: usize, slot: &Slot<'_>, spec: &StepSpec, graph: &Graph, parts: Parts) -> PlanStep {
    let step = bare(slot, &slot.step.uses, spec.effect, spec.timeout_ms, parts);
    if slot.role == Role::Repeated { step } else { placed(index, slot, graph, step) }
}

fn container(index: usize, slot: &Slot<'_>, block: usize, graph: &Graph, mut parts: Parts) -> Option<PlanStep> {
    let each = slot.step.for_each.as_ref()?;
    let for_each = PlanForEach {
        items: parts.items.take()?,
        source: parts.source,
        block,
        name: each.name.as_str().into(),
        concurrency: each.concurrency,
        on_item_error: each.on_item_error,
        collect: parts.collect.take(),
    };
    let step = bare(slot, StepDef::BLOCK, Effect::Pure, limits::STEP_TIMEOUT_MS, parts);
    // The attempts are those of its steps.
    let step = PlanStep {
        for_each: Some(for_each),
        retry: Retry::default(),
        timeout_ms: limits::STEP_TIMEOUT_MS,
        on_unknown: OnUnknown::default(),
        once: None,
        ..step
    };
    Some(placed(index, slot, graph, step))
}

/// The step at its place in the graph.
fn placed(index: usize, slot: &Slot<'_>, graph: &Graph, step: PlanStep) -> PlanStep {
    let dependents = |port: Option<&str>| {
        let needs = |step: &usize| {
            graph.needs[*step].iter().any(|edge| edge.from == index && port.is_none_or(|port| edge.port == port))
        };
        (0..graph.needs.len()).filter(needs).collect::<Vec<_>>()
    };
    PlanStep {
        needs: graph.needs[index].clone(),
        dependents: dependents(None),
        join: slot.step.join,
        handles_error: !dependents(Some("error")).is_empty(),
        ..step
    }
}

/// The form of a plan in the store. Keys stay in the order of the file, because the order of a switch's cases means
/// something.
#[derive(Serialize)]
struct Stored<'w> {
    version: u64,
    workflow: &'w Workflow,
    /// Beside what the digest is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'w BTreeMap<String, CodePlace>>,
}

impl<'w> Stored<'w> {
    fn of(workflow: &'w Workflow) -> Self {
        Self { version: VERSION, workflow, code: None }
    }
}

/// Of the compact JSON text. String keys, finite numbers, and a path that `check` has seen to be text: making it cannot
/// fail.
fn digest(stored: &impl Serialize) -> String {
    hex(&Sha256::digest(serde_json::to_vec(stored).unwrap_or_default()))
}

impl Plan {
    /// The form that is saved under the digest.
    pub fn stored(&self) -> Json {
        let code = Some(&self.workflow.code).filter(|code| !code.is_empty());
        serde_json::to_value(Stored { code, ..Stored::of(&self.workflow) }).unwrap_or_default()
    }

    /// A plan back from its stored form; an error says what the catalog of today lacks.
    pub fn restore(stored: &Json, catalog: &Catalog) -> Result<Self, RestoreError> {
        let version = stored["version"].as_u64();
        if !matches!(version, Some(1..=VERSION)) {
            return Err(RestoreError(format!("its form is version {}, not {VERSION}", stored["version"])));
        }
        let mut workflow: Workflow = serde_json::from_value(stored["workflow"].clone())
            .map_err(|error| RestoreError(format!("its form is not that of a workflow: {error}")))?;
        // Places are only for messages.
        workflow.code = serde_json::from_value(stored["code"].clone()).unwrap_or_default();
        let workflow = Arc::new(workflow);
        if version == Some(1)
            && let Some(step) = workflow.steps.iter().find(|step| step.for_each.is_some())
        {
            let reason =
                format!("its step `{}` has a `for_each`, which an earlier version journaled otherwise", step.id);
            return Err(RestoreError(reason));
        }
        // Its code was read before it was stored: reading it takes long, and this is done where runs are.
        let mut analysis = analyse(&workflow, catalog, None);
        // The region of today may not be that of the day it was stored: its step says so when it is reached, and the run can be
        // looked at and ended.
        let problems = &mut analysis.problems.found;
        problems.retain(|problem| problem.weight == Weight::Error && !recipients::CODES.contains(&problem.code));
        let reasons = analysis.problems.found.iter().take(5);
        let reasons: Vec<_> = reasons.map(|p| format!("{}: {}", p.path.join("."), p.message)).collect();
        let plan = assemble(&workflow, analysis).ok_or_else(|| RestoreError(reasons.join("; ")))?;
        // That of the form it was stored in, whatever its version.
        let digest = match stored.get("code") {
            Some(_) => {
                let mut stored = stored.clone();
                stored.as_object_mut().map(|stored| stored.shift_remove("code"));
                digest(&stored)
            }
            None => digest(stored),
        };
        Ok(Self { digest: digest.into(), ..plan })
    }
}
