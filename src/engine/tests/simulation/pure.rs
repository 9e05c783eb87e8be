//! The pure core, a store and a world in one thread: each seed without a crash, then with one at every commit.

use std::sync::Arc;

use super::workflow::Workflows;
use super::world::{Death, World, plot};
use super::{Depth, check, each_seed};
use crate::plan::Plan;

/// Crashes of a seed that is not played whole.
const SOME: u64 = 6;

/// One seed: without a crash, then with one at every commit.
fn every_commit(seed: u64, depth: Depth) {
    let workflows = Arc::new(Workflows::new(seed));
    let mut calm = World::new(seed, workflows.clone(), None);
    calm.play();
    check::ended(&calm);
    check::prefixes(&calm);
    let (compared, ledger) = compared(seed, &workflows);
    let compared = compared && !check::was_interrupted(&calm);
    for number in 0..calm.commits {
        for death in [Death::Before, Death::After] {
            let crash = number * 2 + u64::from(death == Death::After);
            let every = if depth == Depth::Whole { 1 } else { (calm.commits * 2).div_ceil(SOME) };
            if crash % every != seed % every {
                continue;
            }
            let mut world = World::new(seed, workflows.clone(), Some((number, death)));
            world.play();
            check::ended(&world);
            if compared && !check::was_interrupted(&world) {
                assert_eq!(world.ends(), calm.ends(), "dead {death:?} commit {number}");
                if ledger {
                    assert_eq!(world.cues.ledger, calm.cues.ledger, "dead {death:?} commit {number}");
                }
            }
        }
    }
}

/// Whether a crash must change nothing: no time, no order and no person's moment decides anything. And the ledger?
fn compared(seed: u64, workflows: &Workflows) -> (bool, bool) {
    let (retries, cancel_after) = plot(seed);
    let once = |plan: &Plan| plan.steps.iter().any(|step| step.once.is_some());
    let timed = |plan: &Plan| plan.timeout_ms.is_some();
    let stops = workflows.any(check::stops_items);
    let free = cancel_after.is_none() && !workflows.any(once) && !workflows.any(timed);
    // Items that are stopped in one world and done in another meet other luck at the retry.
    (free && !(stops && retries > 0), !stops)
}

#[test]
fn a_crash_at_every_commit_changes_nothing_that_must_not_change() {
    each_seed("pure", 300, every_commit);
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    each_seed("pure", 20, |seed, _| {
        let journals = || {
            let mut world = World::new(seed, Arc::new(Workflows::new(seed)), Some((2, Death::After)));
            world.play();
            world.rows().iter().map(|row| world.journal(row.id)).collect::<Vec<_>>()
        };
        assert_eq!(journals(), journals());
    });
}

/// Each has found something once.
#[test]
fn seeds_that_failed_before_hold() {
    // A retry of what failed began a `for_each` inside an item anew, and with it what had succeeded.
    [648].into_iter().for_each(|seed| every_commit(seed, Depth::Whole));
}
