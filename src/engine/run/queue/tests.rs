//! The bounds hold, workflows take turns, and no job is lost.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Move {
    Push(usize),
    Pop,
    /// One of those at work is done.
    Drop(usize),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let step = prop_oneof![
        3 => prop_oneof![Just(0usize), 0usize..4].prop_map(Move::Push),
        3 => Just(Move::Pop),
        2 => (0usize..8).prop_map(Move::Drop),
    ];
    prop::collection::vec(step, 0..300)
}

proptest! {
    #[test]
    fn jobs_go_in_turns_within_the_bounds(workers in 1usize..6, per_workflow in 1usize..4, moves in moves()) {
        let names: Vec<Arc<str>> = ["a", "b", "c", "d"].map(Arc::from).to_vec();
        let queue = Queue::new(workers, per_workflow);
        let mut waiting: BTreeMap<usize, VecDeque<usize>> = BTreeMap::new();
        let mut at_work: Vec<(usize, Permit<(usize, usize)>)> = Vec::new();
        // How often others were popped since a workflow has had work and room: never twice one of them.
        let mut passed_by: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (number, step) in moves.into_iter().enumerate() {
            match step {
                Move::Push(workflow) => {
                    queue.push(&names[workflow], (workflow, number));
                    waiting.entry(workflow).or_default().push_back(number);
                }
                Move::Pop => {
                    let ready = passed_by.keys().copied().collect::<Vec<_>>();
                    let Some(((workflow, job), permit)) = queue.pop() else {
                        prop_assert!(at_work.len() == workers || ready.is_empty());
                        continue;
                    };
                    prop_assert!(ready.contains(&workflow));
                    prop_assert_eq!(waiting.get_mut(&workflow).unwrap().pop_front(), Some(job));
                    at_work.push((workflow, permit));
                    passed_by.remove(&workflow);
                    for others in passed_by.values_mut() {
                        prop_assert!(!others.contains(&workflow), "{workflow} went twice while another waited");
                        others.push(workflow);
                    }
                }
                Move::Drop(place) if !at_work.is_empty() => drop(at_work.swap_remove(place % at_work.len())),
                Move::Drop(_) => {}
            }
            prop_assert!(at_work.len() <= workers);
            for workflow in 0..names.len() {
                let working = at_work.iter().filter(|(other, _)| *other == workflow).count();
                prop_assert!(working <= per_workflow);
                if working < per_workflow && waiting.get(&workflow).is_some_and(|jobs| !jobs.is_empty()) {
                    passed_by.entry(workflow).or_default();
                } else {
                    passed_by.remove(&workflow);
                }
            }
            prop_assert_eq!(queue.waiting(), waiting.values().map(VecDeque::len).sum::<usize>());
        }
        at_work.clear();
        while let Some(((workflow, job), _)) = queue.pop() {
            prop_assert_eq!(waiting.get_mut(&workflow).unwrap().pop_front(), Some(job));
        }
        prop_assert!(waiting.values().all(VecDeque::is_empty));
        let lines = queue.lines();
        prop_assert!(lines.workflows.is_empty() && lines.turns.is_empty());
    }
}

#[tokio::test]
async fn the_dispatcher_hears_of_jobs_and_of_free_workers() {
    let queue = Queue::new(1, 1);
    let workflow: Arc<str> = "w".into();
    let mut next = Box::pin(queue.next());
    assert!(futures::poll!(&mut next).is_pending());
    queue.push(&workflow, 1);
    let (job, permit) = next.await;
    assert_eq!(job, 1);
    queue.push(&workflow, 2);
    let mut next = Box::pin(queue.next());
    assert!(futures::poll!(&mut next).is_pending());
    drop(permit);
    assert_eq!(next.await.0, 2);
}
