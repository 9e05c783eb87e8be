//! Steps that can never run: what must have happened before them contradicts itself.
//!
//! For each step, the ports that must have been taken before it can run. A step ends on one port, so two ports of one
//! step never hold together. `join: all` must have everything of all its needs; `join: any` only what all of its
//! possible needs share. This proves impossibility, never possibility: conditions are not looked into.

use super::analyse::{Part, Problems};
use super::graph::Graph;
use super::layout::Layout;
use crate::lang::workflow::Join;

/// By step number, the port the step must have ended on.
type Must<'a> = Vec<Option<&'a str>>;

pub(super) fn check(layout: &Layout<'_>, graph: &Graph, problems: &mut Problems) {
    // None: the step can never run.
    let mut must: Vec<Option<Must<'_>>> = vec![Some(Vec::new()); layout.slots.len()];
    for &step in &graph.order {
        let needs = &graph.needs[step];
        let nothing = || vec![None; layout.slots.len()];
        let mut clash = None;
        must[step] = match layout.slots[step].step.join {
            Join::All => needs.iter().try_fold(nothing(), |mut all: Must<'_>, need| {
                let above = must[need.from].as_ref()?;
                let own = std::iter::once((need.from, need.port.as_str()));
                let above = above.iter().enumerate().filter_map(|(from, port)| Some((from, (*port)?)));
                for (from, port) in above.chain(own) {
                    match all[from].replace(port) {
                        Some(other) if other != port => {
                            clash = Some((from, other, port));
                            return None;
                        }
                        _ => {}
                    }
                }
                Some(all)
            }),
            Join::Any if needs.is_empty() => Some(nothing()),
            Join::Any => {
                let branches = needs.iter().filter_map(|need| {
                    let mut branch = must[need.from].clone()?;
                    branch.resize(layout.slots.len(), None);
                    branch[need.from] = Some(need.port.as_str());
                    Some(branch)
                });
                branches.reduce(|mut shared, branch| {
                    shared.iter_mut().zip(branch).for_each(|(one, other)| *one = one.filter(|one| Some(*one) == other));
                    shared
                })
            }
        };
        // A step after one that never runs is not reported again.
        if let Some((from, one, other)) = clash {
            let slot = &layout.slots[step];
            let (id, from) = (&slot.step.id, &layout.slots[from].step.id);
            let message = format!("`{id}` can never run: it needs both `{from}.{one}` and `{from}.{other}`");
            let help = format!("`{from}` ends on one port only; `join: any` runs after either");
            problems.add("never-runs", &slot.at(&["needs"]), Part::Value, message).help = Some(help);
        }
    }
}
