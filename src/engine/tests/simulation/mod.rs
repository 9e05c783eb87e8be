//! Random workflows on a random far side, killed at every commit and taken up again.
//!
//! `MOLTRUN_SIM_SEEDS=10000 cargo test --lib simulation` plays more seeds, each with a crash at every commit; without it a
//! few hundred are played with a crash at some. `MOLTRUN_SIM_SEED=77` plays only that one, whole.

mod check;
mod cues;
mod engine;
mod life;
mod pure;
mod workflow;
mod world;
mod worlds;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How thoroughly a seed is played.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Depth {
    /// A crash at every commit, before and after it.
    Whole,
    /// A crash at some commits.
    Some,
}

/// Seeds of one test: `few` unless the environment says otherwise. A failing seed prints itself.
fn each_seed(test: &str, few: u64, play: impl Fn(u64, Depth) + Sync) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (seeds, depth) = match (number("MOLTRUN_SIM_SEED"), number("MOLTRUN_SIM_SEEDS")) {
        (Some(seed), _) => (seed..seed + 1, Depth::Whole),
        (None, Some(seeds)) => (0..seeds, Depth::Whole),
        (None, None) => (0..few, Depth::Some),
    };
    let (next, failed) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    if catch_unwind(AssertUnwindSafe(|| play(seed, depth))).is_err() {
                        failed.store(true, Ordering::Relaxed);
                        eprintln!(
                            "seed {seed} fails; again: MOLTRUN_SIM_SEED={seed} cargo test --lib simulation::{test}"
                        );
                        for text in workflow::Workflows::new(seed).texts {
                            eprintln!("---\n{text}");
                        }
                    }
                }
            });
        }
    });
    assert!(!failed.into_inner(), "a seed fails; it is printed above");
}
