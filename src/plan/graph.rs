//! The edges between steps, who is upstream of whom, and cycles.

use std::collections::HashMap;

use petgraph::algo::{tarjan_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use super::Edge;
use super::analyse::{Part, Problems};
use crate::base::json::Json;
use crate::lang::catalog::Ports;
use crate::lang::diagnostic::suggestion;
use crate::lang::workflow::StepDef;
use crate::lang::{StepSpec, Workflow};

/// The graph of a workflow's steps. Node weights are step numbers, edges point from what is needed to what needs it.
#[derive(Debug)]
pub(super) struct Graph {
    /// Of each step, in the order they are written.
    pub needs: Vec<Vec<Edge>>,
    /// The needs of this step, or of one above it, are not all known: nothing can be said about its upstream.
    pub uncertain: Vec<bool>,
    /// Every step after those it needs; shorter than the steps when there is a cycle.
    pub order: Vec<usize>,
    upstream: Vec<Vec<u64>>,
}

impl Graph {
    /// Does `step` come after `other` on every path there is between them?
    pub fn is_upstream(&self, other: usize, step: usize) -> bool {
        self.upstream[step][other / 64] >> (other % 64) & 1 == 1
    }
}

/// The ports of a step besides `error`, or None where they cannot be known. A step with `for_each` ends as a whole.
pub(super) fn ports(step: &StepDef, spec: Option<&StepSpec>) -> Option<Vec<String>> {
    let spec = spec?;
    if step.for_each.is_some() {
        return Some(vec!["ok".to_string()]);
    }
    match &spec.ports {
        Ports::Fixed(ports) => Some(ports.clone()),
        Ports::KeysOf(field) => match step.with.get(*field) {
            Some(Json::Object(cases)) if !cases.is_empty() => {
                Some(cases.keys().cloned().chain(std::iter::once("else".to_string())).collect())
            }
            // Reported with the field.
            _ => None,
        },
    }
}

pub(super) fn build(
    workflow: &Workflow,
    specs: &[Option<&StepSpec>],
    ids: &HashMap<String, usize>,
    problems: &mut Problems,
) -> Graph {
    let steps = &workflow.steps;
    let mut needs = vec![Vec::new(); steps.len()];
    let mut uncertain = vec![false; steps.len()];
    let mut graph = DiGraph::<usize, usize>::with_capacity(steps.len(), steps.len());
    let nodes: Vec<NodeIndex> = (0..steps.len()).map(|index| graph.add_node(index)).collect();
    for (index, step) in steps.iter().enumerate() {
        let known = |from: usize| ports(&steps[from], specs[from]);
        match &step.needs {
            None if index == 0 => {}
            None => {
                implied(workflow, index, known(index - 1), problems);
                needs[index].push(Edge { from: index - 1, port: "ok".to_string() });
            }
            Some(list) => {
                for (place, need) in list.iter().enumerate() {
                    let (number, place) = (index.to_string(), place.to_string());
                    let path = ["steps", number.as_str(), "needs", place.as_str()];
                    let Some(&from) = ids.get(&need.step) else {
                        uncertain[index] = true;
                        if !need.step.is_empty() {
                            let mut others: Vec<&str> =
                                ids.keys().map(String::as_str).filter(|id| *id != step.id).collect();
                            others.sort_unstable();
                            let message = format!("there is no step `{}`", need.step);
                            problems.add("unknown-step", &path, Part::Value, message).help =
                                suggestion(&need.step, "steps", others);
                        }
                        continue;
                    };
                    let edge = Edge { from, port: need.port.clone() };
                    if needs[index].contains(&edge) {
                        let message = format!("`{}` is needed twice", written(&need.step, &need.port));
                        problems.add("duplicate-need", &path, Part::Value, message);
                        continue;
                    }
                    if let Some(ports) = known(from)
                        && need.port != "error"
                        && !ports.contains(&need.port)
                    {
                        unknown_port(&steps[from], &need.port, &ports, &path, problems);
                    }
                    needs[index].push(edge);
                }
            }
        }
        for edge in &needs[index] {
            graph.update_edge(nodes[edge.from], nodes[index], index);
        }
    }
    cycles(workflow, &graph, problems);
    let order = toposort(&graph, None).unwrap_or_default().into_iter().map(|node| graph[node]).collect();
    let upstream = upstream(&graph, &mut uncertain);
    Graph { needs, uncertain, order, upstream }
}

fn written(step: &str, port: &str) -> String {
    if port == "ok" { step.to_string() } else { format!("{step}.{port}") }
}

/// Without `needs:` a step follows the `ok` of the one before it, which must have one.
fn implied(workflow: &Workflow, index: usize, ports: Option<Vec<String>>, problems: &mut Problems) {
    let (before, step) = (&workflow.steps[index - 1], &workflow.steps[index]);
    let Some(ports) = ports.filter(|ports| !ports.iter().any(|port| port == "ok")) else { return };
    let number = index.to_string();
    let message = format!("`{}` follows `{}`, which has no port `ok`", step.id, before.id);
    let choices: Vec<_> = ports.iter().map(|port| format!("`needs: [{}.{port}]`", before.id)).collect();
    problems.add("missing-needs", &["steps", &number, "id"], Part::Value, message).help =
        Some(format!("say which: {}", choices.join(" or ")));
}

fn unknown_port(step: &StepDef, port: &str, ports: &[String], path: &[&str], problems: &mut Problems) {
    let message = format!("the step `{}` has no port `{port}`", step.id);
    let known: Vec<&str> = ports.iter().map(String::as_str).chain(std::iter::once("error")).collect();
    let near = crate::base::nearest::nearest(port, known.iter().copied());
    let listed: Vec<_> = known.iter().map(|port| format!("`{port}`")).collect();
    let mut help = format!("its ports are {}", listed.join(", "));
    if let Some(near) = near {
        help = format!("did you mean `{near}`? {help}");
    }
    problems.add("unknown-port", path, Part::Value, message).help = Some(help);
}

/// Draws one cycle of each knot: `a → b → a`.
fn cycles(workflow: &Workflow, graph: &DiGraph<usize, usize>, problems: &mut Problems) {
    for knot in tarjan_scc(graph) {
        let Some(&start) = knot.iter().min() else { continue };
        let knotted = |node: NodeIndex| knot.contains(&node);
        if knot.len() == 1 && !graph.contains_edge(start, start) {
            continue;
        }
        // Breadth first along the edges inside the knot, back to its first step: the shortest cycle through it.
        let mut came: HashMap<NodeIndex, NodeIndex> = HashMap::new();
        let mut queue = std::collections::VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            let mut next: Vec<_> = graph.edges(at).map(|edge| edge.target()).filter(|node| knotted(*node)).collect();
            next.sort();
            for node in next {
                came.entry(node).or_insert_with(|| {
                    queue.push_back(node);
                    at
                });
            }
        }
        let mut cycle = vec![start];
        let mut at = start;
        while let Some(&before) = came.get(&at) {
            cycle.push(before);
            at = before;
            if at == start {
                break;
            }
        }
        cycle.reverse();
        let drawing: Vec<&str> = cycle.iter().map(|node| workflow.steps[graph[*node]].id.as_str()).collect();
        // The entry of the first step's `needs` that closes the circle.
        let closing = cycle.len().checked_sub(2).map_or(graph[start], |index| graph[cycle[index]]);
        let step = graph[start];
        let id = &workflow.steps[closing].id;
        let place = workflow.steps[step].needs.iter().flatten().position(|need| &need.step == id);
        let (number, place) = (step.to_string(), place.map(|place| place.to_string()));
        let message = format!("these steps need each other in a circle: {}", drawing.join(" → "));
        let problem = match &place {
            Some(place) => problems.add("cycle", &["steps", &number, "needs", place], Part::Value, message),
            None => problems.add("cycle", &["steps", &number, "id"], Part::Value, message),
        };
        problem.help = Some("remove one of these needs".to_string());
    }
}

/// For each step the set of steps above it, as bits; also passes uncertainty down.
fn upstream(graph: &DiGraph<usize, usize>, uncertain: &mut [bool]) -> Vec<Vec<u64>> {
    let count = graph.node_count();
    let mut sets = vec![vec![0u64; count.div_ceil(64)]; count];
    for node in graph.node_indices() {
        let mut stack = vec![node];
        let step = graph[node];
        while let Some(at) = stack.pop() {
            for before in graph.neighbors_directed(at, petgraph::Direction::Incoming) {
                let number = graph[before];
                let bit = 1u64 << (number % 64);
                if sets[step][number / 64] & bit == 0 {
                    sets[step][number / 64] |= bit;
                    stack.push(before);
                }
            }
        }
    }
    let own: Vec<usize> = (0..count).filter(|step| uncertain[*step]).collect();
    for step in 0..count {
        uncertain[step] = uncertain[step] || own.iter().any(|above| sets[step][above / 64] >> (above % 64) & 1 == 1);
    }
    sets
}
