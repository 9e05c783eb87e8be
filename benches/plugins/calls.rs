//! One call after the other of a small plugin: beside bare wasmtime, and what thousands of them leave behind.

use std::error::Error;
use std::time::Instant;

use moltrun::wasm::PluginsConfig;

use super::Sizes;
use super::bare::Bare;
use super::stage::{self, Calls, SMALL, median, show};

pub async fn times(sizes: &Sizes) -> Result<(), Box<dyn Error>> {
    println!("a call of a small plugin with 1 KB of JSON, fresh instance each: µs, mean of {} calls", sizes.calls);
    let plugins = stage::host(PluginsConfig::default()).load_all().await;
    let step = stage::step(&plugins, "keyword-score/score")?;
    let (calls, input, bare) = (Calls::new(), stage::input(), Bare::new(SMALL)?);
    let text = input.to_string();
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..sizes.rounds {
        let from = Instant::now();
        for _ in 0..sizes.calls {
            bare.call("score", &text).await?;
        }
        floor.push(from.elapsed().as_secs_f64() * 1e6 / sizes.calls as f64);
        let from = Instant::now();
        for _ in 0..sizes.calls {
            step.run(calls.with(&input)).await.map_err(|error| format!("{error:?}"))?;
        }
        ours.push(from.elapsed().as_secs_f64() * 1e6 / sizes.calls as f64);
    }
    show("bare wasmtime with its pool", &figures(&floor));
    show("moltrun: all bounds on, input and output checked", &figures(&ours));
    let ratios: Vec<f64> = ours.iter().zip(&floor).map(|(ours, floor)| ours / floor).collect();
    show("ratio of each round", &figures(&ratios));
    Ok(())
}

pub async fn memory(sizes: &Sizes) -> Result<(), Box<dyn Error>> {
    println!("resident memory of this process, MB");
    let plugins = stage::host(PluginsConfig::default()).load_all().await;
    let step = stage::step(&plugins, "keyword-score/score")?;
    let (calls, input) = (Calls::new(), stage::input());
    // 32 at once, so that places of the pool are used that the first call does not use.
    let run = async |count: usize| {
        for _ in 0..count / 32 {
            futures::future::join_all((0..32).map(|_| step.run(calls.with(&input)))).await;
        }
    };
    run(320).await;
    let before = stage::resident();
    run(sizes.calls).await;
    let after = stage::resident();
    show(format!("before and after {} calls, 32 at once", sizes.calls), &format!("{before:8.1} {after:8.1}"));
    Ok(())
}

fn figures(figures: &[f64]) -> String {
    let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let most = figures.iter().copied().fold(0.0, f64::max);
    format!("{:8.2} in the middle ({least:.2} to {most:.2})", median(figures))
}
