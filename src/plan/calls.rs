//! What workflows start: the names that are constants, against the workflows there are.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::graph::{DiGraph, NodeIndex};

use super::Plan;
use super::graph::circles;
use super::layout::Layout;
use super::with::Field;
use crate::base::Json;
use crate::base::json::{JsonMap, kind};
use crate::expr::Tree;
use crate::lang::diagnostic::suggestion;
use crate::lang::workflow::{InputKind, Trigger};
use crate::lang::{Diagnostic, Diagnostics, Source};

/// Checks what the workflows of a folder start of each other, by `call` steps with a constant name, by `on_failure` and by
/// `workflow` triggers: that the workflow exists, that it is given the inputs it needs, and that no workflow comes back to
/// itself.
///
/// `plans` are all that are without errors of their own, each with its file. `broken` are the names of those that are not: a
/// call of one of them is no second error. `source` gives a file's text, for the places of what is found; without it the
/// whole file is meant.
pub fn check_calls(
    plans: &[(&str, &Plan)],
    broken: &BTreeSet<String>,
    source: &dyn Fn(&str) -> Option<Source>,
) -> Vec<Diagnostic> {
    let known: BTreeMap<&str, usize> =
        plans.iter().enumerate().map(|(index, (_, plan))| (&*plan.name, index)).collect();
    let mut graph = DiGraph::<usize, Call<'_>>::new();
    let nodes: Vec<NodeIndex> = (0..plans.len()).map(|index| graph.add_node(index)).collect();
    // By plan.
    let mut problems: Vec<Vec<Problem>> = plans.iter().map(|_| Vec::new()).collect();
    for (index, (_, plan)) in plans.iter().enumerate() {
        for call in calls(plan) {
            match known.get(call.name) {
                Some(&called) => {
                    problems[index].extend(inputs(&call, plans[called].1));
                    graph.update_edge(nodes[index], nodes[called], call);
                }
                None if broken.contains(call.name) => {}
                None => {
                    let names = known.keys().copied().chain(broken.iter().map(String::as_str));
                    let names: Vec<&str> = names.filter(|name| *name != &*plan.name).collect();
                    problems[index].push(Problem {
                        code: "unknown-workflow",
                        message: format!("there is no workflow `{}`", call.name),
                        help: suggestion(call.name, "workflows", names),
                        path: call.path,
                    });
                }
            }
        }
    }
    for (index, (_, plan)) in plans.iter().enumerate() {
        for after in afters(plan) {
            match known.get(after.name) {
                // It is the earlier one that starts this one. A call that is there already says more.
                Some(&earlier) if graph.find_edge(nodes[earlier], nodes[index]).is_none() => {
                    graph.add_edge(nodes[earlier], nodes[index], after);
                }
                Some(_) => {}
                None if broken.contains(after.name) => {}
                None => {
                    let names = known.keys().copied().chain(broken.iter().map(String::as_str));
                    let names: Vec<&str> = names.filter(|name| *name != &*plan.name).collect();
                    problems[index].push(Problem {
                        code: "unknown-workflow",
                        message: format!("there is no workflow `{}`", after.name),
                        help: suggestion(after.name, "workflows", names),
                        path: after.path,
                    });
                }
            }
        }
    }
    for circle in circles(&graph) {
        let drawing: Vec<&str> = circle.iter().map(|node| &*plans[graph[*node]].1.name).collect();
        let edges = circle.windows(2).filter_map(|pair| graph.find_edge(pair[0], pair[1]));
        let has_after = edges.into_iter().any(|edge| graph[edge].after);
        let Some(edge) = graph.find_edge(circle[0], circle[1]) else { continue };
        // The words of an edge stand in the file of who calls, or of who comes after.
        let teller = if graph[edge].after { circle[1] } else { circle[0] };
        let (verb, help) = match has_after {
            true => ("start", "remove one of these calls or triggers"),
            false => ("call", "remove one of these calls"),
        };
        problems[graph[teller]].push(Problem {
            code: "call-cycle",
            message: format!("these workflows {verb} each other in a circle: {}", drawing.join(" → ")),
            help: Some(help.to_string()),
            path: graph[edge].path.clone(),
        });
    }
    let found = plans.iter().zip(problems).filter(|(_, problems)| !problems.is_empty());
    found.flat_map(|((file, plan), problems)| placed(file, plan, problems, source)).collect()
}

/// One call whose name is a constant.
#[derive(Clone, Debug)]
struct Call<'p> {
    name: &'p str,
    /// Where the name stands in the file.
    path: Vec<String>,
    /// What it is given as inputs; None when that is known only when it is called.
    given: Option<Given<'p>>,
    /// It is no call: the other one begins after this one's end.
    after: bool,
}

/// The inputs of a call, by name; their values where they are constants.
#[derive(Clone, Debug)]
struct Given<'p> {
    values: BTreeMap<&'p str, Option<&'p Json>>,
    /// Where they stand in the file, or the call if it gives none.
    path: Vec<String>,
}

struct Problem {
    code: &'static str,
    message: String,
    help: Option<String>,
    path: Vec<String>,
}

fn calls(plan: &Plan) -> Vec<Call<'_>> {
    let mut calls = Vec::new();
    if let Some(name) = plan.on_failure.as_deref() {
        let path = vec!["on_failure".to_string()];
        calls.push(Call {
            name,
            path: path.clone(),
            given: Some(Given { values: BTreeMap::new(), path }),
            after: false,
        });
    }
    if plan.steps.iter().all(|step| step.calls.is_none()) {
        return calls;
    }
    let layout = Layout::of(&plan.workflow);
    for (step, slot) in plan.steps.iter().zip(&layout.slots) {
        let Some(name) = step.calls.as_deref() else { continue };
        let field = slot.step.with.iter().find(|(_, value)| value.as_str() == Some(name)).map_or("", |(key, _)| key);
        let path: Vec<String> = slot.at(&["with", field]).into_iter().map(String::from).collect();
        let below = slot.at(&["with", INPUTS]).into_iter().map(String::from).collect();
        let given = match step.with.fields.iter().find(|(key, _)| key == INPUTS) {
            None => Some(Given { values: BTreeMap::new(), path: path.clone() }),
            Some((_, Field::Tree(Tree::Map(entries)))) => {
                let values = entries.iter().map(|(key, tree)| match tree {
                    Tree::Constant(value) => (key.as_str(), Some(value)),
                    _ => (key.as_str(), None),
                });
                Some(Given { values: values.collect(), path: below })
            }
            Some((_, Field::Tree(Tree::Constant(Json::Object(map))))) => {
                Some(Given { values: constants(map), path: below })
            }
            Some(_) => None,
        };
        calls.push(Call { name, path, given, after: false });
    }
    calls
}

/// The workflows after whose runs this one begins.
fn afters(plan: &Plan) -> Vec<Call<'_>> {
    let triggers = plan.triggers.iter().enumerate();
    let named = triggers.filter_map(|(index, trigger)| match &trigger.trigger {
        Trigger::Workflow { name, .. } => Some((index, name)),
        _ => None,
    });
    let after = named.map(|(index, name)| {
        let path = ["triggers", &index.to_string(), "workflow", "name"].map(String::from).to_vec();
        Call { name, path, given: None, after: true }
    });
    after.collect()
}

/// The field of a call that holds what the called workflow gets.
const INPUTS: &str = "inputs";

fn constants(map: &JsonMap) -> BTreeMap<&str, Option<&Json>> {
    map.iter().map(|(key, value)| (key.as_str(), Some(value))).collect()
}

/// What is wrong with the inputs that a call gives to `called`.
fn inputs(call: &Call<'_>, called: &Plan) -> Vec<Problem> {
    let Some(Given { values, path }) = &call.given else { return Vec::new() };
    let declared = &called.workflow.inputs;
    let mut problems = Vec::new();
    for (name, value) in values {
        let path: Vec<String> = path.iter().cloned().chain([name.to_string()]).collect();
        let Some(input) = declared.iter().find(|input| input.name == *name) else {
            let names: Vec<&str> = declared.iter().map(|input| input.name.as_str()).collect();
            let message = format!("the workflow `{}` has no input `{name}`", called.name);
            problems.push(Problem { code: "unknown-input", message, help: suggestion(name, "inputs", names), path });
            continue;
        };
        if let Some(value) = value.filter(|value| !input.kind.fits(value)) {
            let wanted = match input.kind {
                InputKind::String => "text",
                InputKind::Number => "a number",
                InputKind::Boolean => "true or false",
                InputKind::Json => "JSON",
            };
            let message = format!("the input `{name}` of `{}` is {wanted}, not {}", called.name, kind(value));
            problems.push(Problem { code: "wrong-type", message, help: None, path });
        }
    }
    for input in declared.iter().filter(|input| input.default.is_none() && !values.contains_key(input.name.as_str())) {
        let message = format!("the workflow `{}` needs the input `{}`", called.name, input.name);
        let help = match call.path.len() {
            1 => "a workflow that runs after a failure is given no inputs: let each have a `default`".to_string(),
            _ => format!("give it under `{INPUTS}`"),
        };
        problems.push(Problem { code: "missing-input", message, help: Some(help), path: path.clone() });
    }
    problems
}

/// The problems of one file, with their positions.
fn placed(file: &str, plan: &Plan, problems: Vec<Problem>, source: &dyn Fn(&str) -> Option<Source>) -> Vec<Diagnostic> {
    let source = source(file).unwrap_or_else(|| Source { path: file.to_string(), text: String::new() });
    // It was read without an error before; what is found now is about positions only.
    let spans = crate::lang::parse(&plan.workflow.folder, &JsonMap::new(), &mut Diagnostics::new(&source));
    let mut found = Diagnostics::new(&source);
    for Problem { code, message, help, path } in problems {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let span = spans.as_ref().map_or(0..0, |parsed| match code {
            "unknown-input" => parsed.spans.key(&path),
            _ => parsed.spans.value(&path),
        });
        found.error(code, span, message).help = help;
    }
    found.finish()
}

#[cfg(test)]
mod tests {
    use super::super::samples::{checked, source};
    use super::*;

    /// `file code line:column message` of what is wrong between these workflows.
    fn mistakes(files: &[(&str, &str)], broken: &[&str]) -> Vec<String> {
        let sources: BTreeMap<String, Source> = files
            .iter()
            .map(|(name, text)| {
                let file = format!("{name}.yaml");
                (file.clone(), Source { path: file, ..source(&format!("name: {name}\n{text}")) })
            })
            .collect();
        let plans: Vec<_> = sources
            .iter()
            .map(|(file, source)| {
                let checked = checked(&source.text);
                (file.as_str(), checked.plan.unwrap_or_else(|| panic!("{:#?}", checked.diagnostics)))
            })
            .collect();
        let plans: Vec<_> = plans.iter().map(|(file, plan)| (*file, &**plan)).collect();
        let broken = broken.iter().map(|name| name.to_string()).collect();
        let found = check_calls(&plans, &broken, &|file| sources.get(file).cloned());
        let line = |d: &Diagnostic| {
            let help = d.help.as_deref().unwrap_or_default();
            format!("{} {} {}:{} {} ({help})", d.file, d.code, d.line, d.column, d.message)
        };
        found.iter().map(line).collect()
    }

    const SET: &str = "steps: [{ id: a, uses: set }]";

    #[test]
    fn names_are_those_of_workflows() {
        let calls = "on_failure: alarm\nsteps:\n  - { id: a, uses: call, with: { workflow: remnd } }\n  - { id: b, uses: call, with: { workflow: '{{ event.x }}' } }\n  - { id: c, uses: call, for_each: { in: '[1]' }, with: { workflow: half } }";
        assert_eq!(
            mistakes(&[("main", calls), ("remind", SET), ("call", SET)], &["half"]),
            [
                "main.yaml unknown-workflow 2:13 there is no workflow `alarm` (known workflows: `call`, `remind`, `half`)",
                "main.yaml unknown-workflow 4:44 there is no workflow `remnd` (did you mean `remind`?)",
            ]
        );
        assert_eq!(
            mistakes(&[("main", "on_failure: alarm\nsteps: [{ id: a, uses: set }]"), ("alarm", SET)], &[]),
            [""; 0]
        );
    }

    #[test]
    fn a_call_gives_what_is_needed() {
        let called = "inputs: { who: string, count: { type: number, default: 1 } }\nsteps: [{ id: a, uses: set }]";
        let main = "on_failure: called\nsteps:\n  - { id: a, uses: call, with: { workflow: called } }\n  - { id: b, uses: call, with: { workflow: called, inputs: { who: 5, cont: 2 } } }\n  - { id: c, uses: call, with: { workflow: called, inputs: { who: '{{ event.x }}', count: 2 } } }\n  - { id: d, uses: call, with: { workflow: called, inputs: '{{ event.x }}' } }\n  - { id: e, uses: call, with: { workflow: called, inputs: { count: '{{ event.x }}' } } }";
        assert_eq!(
            mistakes(&[("called", called), ("main", main)], &[]),
            [
                "main.yaml missing-input 2:13 the workflow `called` needs the input `who` (a workflow that runs after a failure is given no inputs: let each have a `default`)",
                "main.yaml missing-input 4:44 the workflow `called` needs the input `who` (give it under `inputs`)",
                "main.yaml wrong-type 5:67 the input `who` of `called` is text, not a number ()",
                "main.yaml unknown-input 5:70 the workflow `called` has no input `cont` (did you mean `count`?)",
                "main.yaml missing-input 8:60 the workflow `called` needs the input `who` (give it under `inputs`)",
            ]
        );
    }

    #[test]
    fn nobody_comes_back_to_himself() {
        let call = |name: &str| format!("steps: [{{ id: a, uses: call, with: {{ workflow: {name} }} }}]");
        assert_eq!(
            mistakes(
                &[("a", &call("b")), ("b", &call("c")), ("c", "on_failure: a\nsteps: [{ id: a, uses: set }]")],
                &[]
            ),
            [
                "a.yaml call-cycle 2:48 these workflows call each other in a circle: a → b → c → a (remove one of these calls)"
            ]
        );
        assert_eq!(
            mistakes(&[("a", "on_failure: a\nsteps: [{ id: a, uses: set }]")], &[]),
            ["a.yaml call-cycle 2:13 these workflows call each other in a circle: a → a (remove one of these calls)"]
        );
        assert_eq!(mistakes(&[("a", &call("c")), ("b", &call("c")), ("c", SET)], &[]), [""; 0]);
    }

    #[test]
    fn a_workflow_trigger_names_another_one_and_closes_no_circle() {
        let after = |name: &str| format!("triggers: [{{ workflow: {{ name: {name} }} }}]\n{SET}");
        assert_eq!(mistakes(&[("a", SET), ("b", &after("a")), ("c", &after("b")), ("d", &after("b"))], &[]), [""; 0]);
        assert_eq!(
            mistakes(&[("import", SET), ("b", &after("imprt")), ("c", &after("half"))], &["half"]),
            ["b.yaml unknown-workflow 2:32 there is no workflow `imprt` (did you mean `import`?)"]
        );
        assert_eq!(
            mistakes(&[("a", &after("a"))], &[]),
            [
                "a.yaml call-cycle 2:32 these workflows start each other in a circle: a → a (remove one of these calls or triggers)"
            ]
        );
        assert_eq!(
            mistakes(&[("a", &after("b")), ("b", &after("a"))], &[]),
            [
                "b.yaml call-cycle 2:32 these workflows start each other in a circle: a → b → a (remove one of these calls or triggers)"
            ]
        );
        // It calls the one whose end starts it.
        let calls = "triggers: [{ workflow: { name: b } }]\nsteps: [{ id: a, uses: call, with: { workflow: b } }]";
        let found = mistakes(&[("a", calls), ("b", SET)], &[]);
        assert!(found.len() == 1 && found[0].contains("in a circle: a → b → a"), "{found:?}");
    }
}
