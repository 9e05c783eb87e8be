//! One file, whole: `lang`'s findings and the analysis's, with positions.

use std::path::Path;
use std::sync::Arc;

use super::analyse::{Part, analyse};
use super::{Checked, digest};
use crate::base::json::JsonMap;
use crate::lang::{Catalog, Diagnostics, Source};

/// Checks one workflow file whole: syntax, keys, steps, graph, references, templates. `vars` are those of `moltrun.yaml`.
pub fn check(source: &Source, folder: &Path, catalog: &Catalog, vars: &JsonMap) -> Checked {
    let mut found = Diagnostics::new(source);
    if folder.to_str().is_none() {
        // The path is part of the plan, which is stored as JSON.
        found.error("bad-path", 0..0, "the path of the file's folder is not UTF-8").help("rename the folder");
    }
    let Some(parsed) = crate::lang::parse(folder, vars, &mut found) else {
        return Checked { plan: None, diagnostics: found.finish() };
    };
    let analysis = analyse(&parsed.workflow, catalog);
    for problem in &analysis.problems.found {
        let path: Vec<&str> = problem.path.iter().map(String::as_str).collect();
        let span = match &problem.part {
            Part::Key => parsed.spans.key(&path),
            Part::Value => parsed.spans.value(&path),
            Part::Word(word) => parsed.spans.word(&path, &source.text, word.clone()),
        };
        found.error(problem.code, span, problem.message.clone()).help = problem.help.clone();
    }
    let plan = if found.has_errors() { None } else { digest::assemble(parsed.workflow, analysis) };
    Checked { plan: plan.map(Arc::new), diagnostics: found.finish() }
}
