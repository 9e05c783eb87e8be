//! Random workflows on a random far side, killed at every commit and taken up again.
//!
//! `MOLTRUN_SIM_SEEDS=10000 cargo test --lib simulation` plays more seeds; `MOLTRUN_SIM_SEED=77` only that one.

mod check;
mod engine;
mod pure;
mod workflow;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Seeds of one test: `few` unless the environment says otherwise. A failing seed prints itself.
fn each_seed(test: &str, few: u64, play: impl Fn(u64)) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("MOLTRUN_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("MOLTRUN_SIM_SEEDS").unwrap_or(few),
    };
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| play(seed))) {
            eprintln!("seed {seed} fails; again: MOLTRUN_SIM_SEED={seed} cargo test --lib simulation::{test}");
            eprintln!("{}", workflow::steps(seed));
            resume_unwind(panic);
        }
    }
}
