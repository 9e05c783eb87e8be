//! One file, whole: `lang`'s findings and the analysis's, with positions.

use std::path::Path;
use std::sync::Arc;

use super::analyse::{Analysis, Part, Weight, analyse};
use super::{Checked, digest, hooks, script};
use crate::base::json::JsonMap;
use crate::lang::catalog::FieldKind;
use crate::lang::{Catalog, Diagnostics, Parsed, Source, Spans};

/// Checks one workflow file whole: syntax, keys, steps, graph, references, templates. `vars` are those of `moltrun.yaml`.
pub fn check(source: &Source, folder: &Path, catalog: &Catalog, vars: &JsonMap) -> Checked {
    let mut found = Diagnostics::new(source);
    if folder.to_str().is_none() {
        // The path is part of the plan, which is stored as JSON.
        found.error("bad-path", 0..0, "the path of the file's folder is not UTF-8").help("rename the folder");
    }
    let Some(Parsed { mut workflow, spans }) = crate::lang::parse(folder, vars, &mut found) else {
        return Checked { name: None, plan: None, diagnostics: found.finish() };
    };
    let name = Some(workflow.name.clone());
    workflow.code = script::places(&workflow, catalog, &spans, &source.text);
    let workflow = Arc::new(workflow);
    let analysis = analyse(&workflow, catalog, catalog.scripts.as_ref());
    for problem in &analysis.problems.found {
        let path: Vec<&str> = problem.path.iter().map(String::as_str).collect();
        let span = match &problem.part {
            Part::Key => spans.key(&path),
            Part::Value => spans.value(&path),
            Part::Word(word) => spans.word(&path, &source.text, word.clone()),
        };
        let message = problem.message.clone();
        let diagnostic = match problem.weight {
            Weight::Error | Weight::Contract => found.error(problem.code, span, message),
            Weight::Warning => found.warning(problem.code, span, message),
        };
        diagnostic.help = problem.help.clone();
    }
    idle_timeouts(&analysis, &spans, &mut found);
    hooks::secrets(&workflow, catalog, &spans, &mut found);
    let plan = if found.has_errors() { None } else { digest::assemble(&workflow, analysis) };
    Checked { name, plan: plan.map(Arc::new), diagnostics: found.finish() }
}

/// A `timeout` bounds an attempt, and a step that parks the run has none that lasts. One from `defaults` is not meant for
/// such steps, which is why this is asked of the file.
fn idle_timeouts(analysis: &Analysis<'_, '_>, spans: &Spans, found: &mut Diagnostics<'_>) {
    for (slot, spec) in analysis.layout.slots.iter().zip(&analysis.specs) {
        let Some((spec, field)) = spec.and_then(|spec| Some((spec, spec.parks()?))) else { continue };
        let path = slot.at(&["timeout"]);
        if !spans.has(&path) {
            continue;
        }
        let message = format!("`timeout` bounds an attempt, and `{}` parks the run", spec.name);
        found.error("misplaced-key", spans.key(&path), message).help(match field.kind {
            FieldKind::Workflow => "the `timeout` of the workflow that is called bounds its run".to_string(),
            _ => format!("say how long the run waits with `{}`, under `with`", field.name),
        });
    }
}
