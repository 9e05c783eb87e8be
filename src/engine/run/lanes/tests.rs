//! The lanes beside a naive model, and the cases one by one.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn run(number: u128) -> RunId {
    RunId::new(0, number)
}

fn go() -> (Arrival, Vec<RunId>) {
    (Arrival::Go, Vec::new())
}

fn queued() -> (Arrival, Vec<RunId>) {
    (Arrival::Queued, Vec::new())
}

#[test]
fn runs_of_one_key_go_one_after_the_other() {
    let lanes = Lanes::default();
    let arrive = |lane: &str, number| lanes.arrive(lane, 1, Overflow::Queue, run(number), false);
    assert_eq!(arrive("a", 1), go());
    assert_eq!(arrive("b", 2), go());
    assert_eq!(arrive("a", 4), queued());
    assert_eq!(arrive("a", 3), queued());
    // Arriving again changes nothing.
    assert_eq!(arrive("a", 1), go());
    assert_eq!(arrive("a", 4), queued());
    assert_eq!(lanes.end("a", run(1)), [run(3)]);
    assert_eq!(lanes.end("b", run(2)), []);
    assert!(lanes.remove_queued("a", run(4)));
    assert!(!lanes.remove_queued("a", run(3)));
    assert_eq!(lanes.end("a", run(3)), []);
    assert!(lanes.is_empty());
}

#[test]
fn a_run_too_many_is_skipped() {
    let lanes = Lanes::default();
    let arrive = |number| lanes.arrive("a", 2, Overflow::Skip, run(number), false);
    assert_eq!([arrive(1), arrive(2)], [go(), go()]);
    assert_eq!(arrive(3), (Arrival::Skip { running: vec![run(1), run(2)] }, Vec::new()));
    assert_eq!(lanes.end("a", run(3)), []);
    assert_eq!(lanes.end("a", run(1)), []);
    assert_eq!(arrive(4), go());
}

#[test]
fn the_newest_replaces_those_before_it() {
    let lanes = Lanes::default();
    let arrive = |number| lanes.arrive("a", 2, Overflow::CancelRunning, run(number), false).0;
    assert_eq!([arrive(1), arrive(2)], [Arrival::Go, Arrival::Go]);
    assert_eq!(arrive(3), Arrival::GoAfter { cancel: vec![run(1)] });
    assert_eq!(arrive(4), Arrival::GoAfter { cancel: vec![run(1), run(3)] });
    assert_eq!(lanes.end("a", run(3)), []);
    assert_eq!(lanes.end("a", run(1)), [run(4)]);
    assert_eq!(arrive(5), Arrival::GoAfter { cancel: vec![run(2)] });
}

#[test]
fn those_that_had_begun_hold_slots_beyond_a_lower_limit() {
    let lanes = Lanes::default();
    for number in 1..=3 {
        assert_eq!(lanes.arrive("a", 1, Overflow::Queue, run(number), true), go());
    }
    assert_eq!(lanes.arrive("a", 1, Overflow::Queue, run(4), false), queued());
    assert_eq!([lanes.end("a", run(2)), lanes.end("a", run(1))], [vec![], vec![]]);
    assert_eq!(lanes.end("a", run(3)), [run(4)]);
}

#[test]
fn a_higher_limit_lets_those_go_that_were_queued() {
    let lanes = Lanes::default();
    let arrive = |limit, number| lanes.arrive("a", limit, Overflow::Queue, run(number), false);
    assert_eq!([arrive(1, 1), arrive(1, 2), arrive(1, 3)], [go(), queued(), queued()]);
    assert_eq!(arrive(3, 4), (Arrival::Queued, vec![run(2), run(3)]));
    assert_eq!(arrive(4, 4), go());
}

#[test]
fn a_lane_has_one_short_name() {
    assert_eq!(&*lane("w", "a:b"), "w:a:b");
    assert_ne!(lane("w", "a"), lane("v", "a"));
    let long = "x".repeat(100_000);
    assert_eq!(lane("w", &long), lane("w", &long));
    assert_ne!(lane("w", &long), lane("w", &long[1..]));
    assert!(lane("w", &long).len() < limits::LANE_KEY);
}

#[test]
fn lanes_that_ended_give_their_memory_back() {
    let lanes = Lanes::default();
    for number in 0..10_000 {
        lanes.arrive(&number.to_string(), 1, Overflow::Queue, run(number), false);
    }
    for number in 0..10_000u128 {
        assert_eq!(lanes.end(&number.to_string(), run(number)), []);
    }
    assert!(lanes.lanes().capacity() < 64);
}

/// The rules in their plainest form: every run in the order of arrival, and whether it holds a slot.
#[derive(Default)]
struct Model(BTreeMap<&'static str, BTreeMap<RunId, bool>>);

impl Model {
    fn running(&self, lane: &str) -> Vec<RunId> {
        let runs = self.0.get(lane).into_iter().flatten();
        runs.filter(|(_, runs)| **runs).map(|(run, _)| *run).collect()
    }

    /// Lets the first of those that wait go while there are slots.
    fn fill(&mut self, lane: &'static str, limit: usize) -> Vec<RunId> {
        let mut went = Vec::new();
        while self.running(lane).len() < limit {
            let next = self.0.entry(lane).or_default().iter_mut().find(|(_, runs)| !**runs);
            let Some((run, runs)) = next else { break };
            *runs = true;
            went.push(*run);
        }
        went
    }
}

#[derive(Clone, Debug)]
enum Move {
    Arrive(&'static str, Overflow),
    /// One that is there, by its place among those that are: ended, or cancelled.
    End(&'static str, usize),
    RemoveQueued(&'static str, usize),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let lane = || prop::sample::select(vec!["a", "b", "c"]);
    let overflow = prop::sample::select(vec![
        Overflow::Queue,
        Overflow::Queue,
        Overflow::Queue,
        Overflow::Skip,
        Overflow::CancelRunning,
    ]);
    prop::collection::vec(
        prop_oneof![
            3 => (lane(), overflow).prop_map(|(lane, overflow)| Move::Arrive(lane, overflow)),
            2 => (lane(), 0usize..8).prop_map(|(lane, place)| Move::End(lane, place)),
            1 => (lane(), 0usize..8).prop_map(|(lane, place)| Move::RemoveQueued(lane, place)),
        ],
        0..200,
    )
}

proptest! {
    #[test]
    fn the_lanes_are_as_the_model(limit in 1u32..4, moves in moves()) {
        let lanes = Lanes::default();
        let mut model = Model::default();
        let mut began = BTreeSet::new();
        let slots = limit as usize;
        for (number, step) in moves.into_iter().enumerate() {
            match step {
                Move::Arrive(lane, overflow) => {
                    let run = run(number as u128);
                    let running = model.running(lane);
                    let (arrival, others) = lanes.arrive(lane, limit, overflow, run, false);
                    prop_assert_eq!(others, Vec::new());
                    let runs = model.0.entry(lane).or_default();
                    let is_full = running.len() == slots;
                    let expected = match overflow {
                        _ if !is_full => Arrival::Go,
                        Overflow::Queue => Arrival::Queued,
                        Overflow::Skip => Arrival::Skip { running: running.clone() },
                        Overflow::CancelRunning => {
                            let waiting = runs.iter().filter(|(_, runs)| !**runs).map(|(run, _)| *run);
                            let cancel = [running[0]].into_iter().chain(waiting).collect();
                            runs.retain(|_, runs| *runs);
                            Arrival::GoAfter { cancel }
                        }
                    };
                    if !matches!(expected, Arrival::Skip { .. }) {
                        runs.insert(run, expected == Arrival::Go);
                    }
                    prop_assert!(expected != Arrival::Go || began.insert(run));
                    prop_assert_eq!(arrival, expected);
                }
                Move::End(lane, place) => {
                    let runs = model.0.entry(lane).or_default();
                    let Some(run) = runs.keys().nth(place).copied() else { continue };
                    runs.remove(&run);
                    let went = lanes.end(lane, run);
                    prop_assert!(went.iter().all(|run| began.insert(*run)), "none begins twice");
                    prop_assert_eq!(went, model.fill(lane, slots));
                }
                Move::RemoveQueued(lane, place) => {
                    let runs = model.0.entry(lane).or_default();
                    let Some((run, holds)) = runs.iter().nth(place).map(|(run, holds)| (*run, *holds)) else { continue };
                    prop_assert_eq!(lanes.remove_queued(lane, run), !holds);
                    if !holds {
                        runs.remove(&run);
                    }
                }
            }
            let known = model.0.values().filter(|runs| !runs.is_empty()).count();
            prop_assert_eq!(lanes.len(), known);
        }
        // None is forgotten: all those that are there begin once the others end.
        for lane in ["a", "b", "c"] {
            while let Some(run) = model.running(lane).first().copied() {
                model.0.entry(lane).or_default().remove(&run);
                prop_assert_eq!(lanes.end(lane, run), model.fill(lane, slots));
            }
            prop_assert!(model.0.entry(lane).or_default().is_empty());
        }
        prop_assert!(lanes.is_empty());
    }
}
