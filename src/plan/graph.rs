//! The edges between steps, who is upstream of whom, and cycles.

use std::collections::HashMap;

use petgraph::algo::{tarjan_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use super::Edge;
use super::analyse::{Part, Problems};
use super::layout::{Layout, Role, Slot};
use crate::base::json::Json;
use crate::lang::StepSpec;
use crate::lang::catalog::{FieldKind, Ports};
use crate::lang::diagnostic::suggestion;
use crate::lang::workflow::Need;

/// The graph of a workflow's steps, block by block: no edge leaves its block. Node weights are step numbers, edges point
/// from what is needed to what needs it.
#[derive(Debug)]
pub(super) struct Graph {
    /// Of each step.
    pub needs: Vec<Vec<Edge>>,
    /// The needs of this step, or of one above it, are not all known: nothing can be said about its upstream.
    pub uncertain: Vec<bool>,
    /// Every step after those it needs and after the containers around it; shorter than the steps when there is a cycle.
    pub order: Vec<usize>,
    upstream: Vec<Vec<u64>>,
}

impl Graph {
    /// Has `other` been settled when `step` is reached: is it above it, or above a container around it?
    pub fn is_upstream(&self, other: usize, step: usize) -> bool {
        self.upstream[step][other / 64] >> (other % 64) & 1 == 1
    }
}

/// The ports of a step besides `error`, or None where they cannot be known. A `for_each` ends as a whole.
fn ports(slot: &Slot<'_>, spec: Option<&StepSpec>) -> Option<Vec<String>> {
    if matches!(slot.role, Role::Container(_)) {
        return Some(vec!["ok".to_string()]);
    }
    match &spec?.ports {
        Ports::Fixed(ports) => {
            let untimed = spec.and_then(|spec| untimed(slot, spec));
            Some(ports.iter().filter(|port| untimed != Some(port)).cloned().collect())
        }
        Ports::KeysOf(field) => match slot.step.with.get(*field) {
            Some(Json::Object(cases)) if !cases.is_empty() => {
                Some(cases.keys().cloned().chain(std::iter::once("else".to_string())).collect())
            }
            // Reported with the field.
            _ => None,
        },
    }
}

/// The name of the field that says how long the step waits, and of the port it then ends on, when it waits for ever.
fn untimed(slot: &Slot<'_>, spec: &StepSpec) -> Option<&'static str> {
    let name = spec.field(FieldKind::Pause)?.name;
    slot.step.with.get(name).is_none_or(Json::is_null).then_some(name)
}

pub(super) fn build(layout: &Layout<'_>, specs: &[Option<&StepSpec>], problems: &mut Problems) -> Graph {
    let slots = &layout.slots;
    let mut needs = vec![Vec::new(); slots.len()];
    let mut uncertain = vec![false; slots.len()];
    let mut graph = DiGraph::<usize, usize>::with_capacity(slots.len(), slots.len());
    let nodes: Vec<NodeIndex> = (0..slots.len()).map(|index| graph.add_node(index)).collect();
    for (index, slot) in slots.iter().enumerate() {
        let known = |from: usize| ports(&slots[from], specs[from]);
        match &slot.step.needs {
            // The container has them.
            _ if slot.role == Role::Repeated => {}
            None if index == layout.blocks[slot.block].first => {}
            None => {
                implied(&slots[index - 1], slot, known(index - 1), problems);
                needs[index].push(Edge { from: index - 1, port: "ok".to_string() });
            }
            Some(list) => {
                for (place, need) in list.iter().enumerate() {
                    let place = place.to_string();
                    let path = slot.at(&["needs", &place]);
                    let Some(from) = needed(layout, index, need, &path, problems) else {
                        uncertain[index] = true;
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
                        let untimed = specs[from].and_then(|spec| untimed(&slots[from], spec));
                        unknown_port(&slots[from], &need.port, &ports, untimed, &path, problems);
                    }
                    needs[index].push(edge);
                }
            }
        }
        for edge in &needs[index] {
            graph.update_edge(nodes[edge.from], nodes[index], index);
        }
    }
    cycles(layout, &graph, problems);
    let mut order: Vec<usize> =
        toposort(&graph, None).unwrap_or_default().into_iter().map(|node| graph[node]).collect();
    // Stable: within a block the order stays. A container's block has a larger number than the one it is in.
    order.sort_by_key(|step| slots[*step].block);
    let upstream = upstream(layout, &graph, &mut uncertain);
    Graph { needs, uncertain, order, upstream }
}

/// The number of the step that is needed; None, and reported, if there is none in the block.
fn needed(layout: &Layout<'_>, index: usize, need: &Need, path: &[&str], problems: &mut Problems) -> Option<usize> {
    let slot = &layout.slots[index];
    let found = layout.ids.get(need.step.as_str()).copied();
    if let Some(from) = found.filter(|from| layout.slots[*from].block == slot.block) {
        return Some(from);
    }
    if need.step.is_empty() {
        return None;
    }
    let Some(from) = found else {
        let own = layout.numbers(slot.block).map(|number| layout.slots[number].step.id.as_str());
        let mut others: Vec<&str> = own.filter(|id| !id.is_empty() && *id != slot.step.id).collect();
        others.sort_unstable();
        let message = format!("there is no step `{}`", need.step);
        problems.add("unknown-step", path, Part::Value, message).help = suggestion(&need.step, "steps", others);
        return None;
    };
    let id_of = |number: usize| layout.slots[number].step.id.as_str();
    let (own, other) = (id_of(index), id_of(from));
    // The containers through which the one is reached from the block of the other, if one block is around the other.
    let around_own = layout.around(index).iter().find(|step| layout.slots[**step].block == layout.slots[from].block);
    let around_other = layout.around(from).iter().find(|step| layout.slots[**step].block == slot.block);
    let help = match (around_own, around_other) {
        (Some(container), _) if *container == from => {
            "a step of a block starts with the block: leave the need out".to_string()
        }
        (Some(container), _) => format!("let `{}` need it: the block starts after that", id_of(*container)),
        (None, Some(container)) => {
            format!("need `{}`: it ends when its block has run for every item", id_of(*container))
        }
        (None, None) => "a need stays within one block".to_string(),
    };
    let message = format!("`{own}` cannot need `{other}`, a step of another block");
    problems.add("other-block", path, Part::Value, message).help = Some(help);
    None
}

fn written(step: &str, port: &str) -> String {
    if port == "ok" { step.to_string() } else { format!("{step}.{port}") }
}

/// Without `needs:` a step follows the `ok` of the one before it, which must have one.
fn implied(before: &Slot<'_>, slot: &Slot<'_>, ports: Option<Vec<String>>, problems: &mut Problems) {
    let Some(ports) = ports.filter(|ports| !ports.iter().any(|port| port == "ok")) else { return };
    let message = format!("`{}` follows `{}`, which has no port `ok`", slot.step.id, before.step.id);
    let choices: Vec<_> = ports.iter().map(|port| format!("`needs: [{}.{port}]`", before.step.id)).collect();
    let help = match choices.is_empty() {
        true => format!("nothing follows `{}` but what needs its `error`: say what this step needs", before.step.id),
        false => format!("say which: {}", choices.join(" or ")),
    };
    problems.add("missing-needs", &slot.at(&["id"]), Part::Value, message).help = Some(help);
}

fn unknown_port(
    slot: &Slot<'_>,
    port: &str,
    ports: &[String],
    untimed: Option<&str>,
    path: &[&str],
    problems: &mut Problems,
) {
    let message = format!("the step `{}` has no port `{port}`", slot.step.id);
    let known: Vec<&str> = ports.iter().map(String::as_str).chain(std::iter::once("error")).collect();
    let near = crate::base::nearest::nearest(port, known.iter().copied());
    let listed: Vec<_> = known.iter().map(|port| format!("`{port}`")).collect();
    let mut help = format!("its ports are {}", listed.join(", "));
    if let Some(near) = near {
        help = format!("did you mean `{near}`? {help}");
    }
    if untimed == Some(port) {
        help = format!("it waits for ever unless `{port}` under `with` says how long");
    }
    problems.add("unknown-port", path, Part::Value, message).help = Some(help);
}

/// Draws one cycle of each knot: `a → b → a`.
fn cycles(layout: &Layout<'_>, graph: &DiGraph<usize, usize>, problems: &mut Problems) {
    for cycle in circles(graph) {
        let drawing: Vec<&str> = cycle.iter().map(|node| layout.slots[graph[*node]].step.id.as_str()).collect();
        // The entry of the first step's `needs` that closes the circle.
        let slot = &layout.slots[graph[cycle[0]]];
        let id = &layout.slots[graph[cycle[cycle.len() - 2]]].step.id;
        let place = slot.step.needs.iter().flatten().position(|need| &need.step == id);
        let message = format!("these steps need each other in a circle: {}", drawing.join(" → "));
        let problem = match place.map(|place| place.to_string()) {
            Some(place) => problems.add("cycle", &slot.at(&["needs", &place]), Part::Value, message),
            None => problems.add("cycle", &slot.at(&["id"]), Part::Value, message),
        };
        problem.help = Some("remove one of these needs".to_string());
    }
}

/// One cycle of each knot, from its first node back to it: the shortest one through that node.
pub(super) fn circles<N, E>(graph: &DiGraph<N, E>) -> Vec<Vec<NodeIndex>> {
    let mut circles = Vec::new();
    for knot in tarjan_scc(graph) {
        let Some(&start) = knot.iter().min() else { continue };
        if knot.len() == 1 && !graph.contains_edge(start, start) {
            continue;
        }
        // Breadth first along the edges inside the knot, back to its first node.
        let mut came: HashMap<NodeIndex, NodeIndex> = HashMap::new();
        let mut queue = std::collections::VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            let mut next: Vec<_> =
                graph.edges(at).map(|edge| edge.target()).filter(|node| knot.contains(node)).collect();
            next.sort();
            for node in next {
                came.entry(node).or_insert_with(|| {
                    queue.push_back(node);
                    at
                });
            }
        }
        let mut circle = vec![start];
        let mut at = start;
        while let Some(&before) = came.get(&at) {
            circle.push(before);
            at = before;
            if at == start {
                break;
            }
        }
        circle.reverse();
        circles.push(circle);
    }
    circles
}

/// For each step the set of steps above it and above the containers around it, as bits; also passes uncertainty down.
fn upstream(layout: &Layout<'_>, graph: &DiGraph<usize, usize>, uncertain: &mut [bool]) -> Vec<Vec<u64>> {
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
    // Blocks come after the ones they are in.
    for block in &layout.blocks {
        let Some(&container) = block.chain.last() else { continue };
        let above = sets[container].clone();
        for step in block.first..block.first + block.len {
            sets[step].iter_mut().zip(&above).for_each(|(bits, above)| *bits |= above);
            uncertain[step] |= uncertain[container];
        }
    }
    sets
}
