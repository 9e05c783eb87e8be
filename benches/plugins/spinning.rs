//! Guests that never end: what they do to the calls of others and to everything else on the async threads, and how late they
//! are stopped.

use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use moltrun::engine::ports::Step;
use moltrun::wasm::{Grant, PluginsConfig};
use serde_json::json;

use super::Sizes;
use super::stage::guests::Guest;
use super::stage::{self, Calls, median, quantile, show};

/// How long one round looks.
const ROUND: Duration = Duration::from_secs(4);

/// Time of an endless guest's call.
const TIMEOUT_MS: u64 = 500;

/// Those who call the small plugin meanwhile, each with a pause between its calls.
const OTHERS: usize = 4;
const PAUSE: Duration = Duration::from_millis(2);

pub async fn run(sizes: &Sizes) -> Result<(), Box<dyn Error>> {
    println!("{} endless guests, stopped after {TIMEOUT_MS} ms and begun again: µs", sizes.spinners);
    let dir = tempfile::tempdir()?;
    fs::write(dir.path().join("spins.wasm"), Guest::doing("(loop $l (br $l)) unreachable").component())?;
    let grant = Grant { timeout_ms: Some(TIMEOUT_MS), ..Grant::default() };
    let grants = [("spins".to_string(), grant)].into();
    let config = PluginsConfig { dir: Some(dir.path().to_path_buf()), grants, ..PluginsConfig::default() };
    let plugins = stage::host(config).load_all().await;
    let (small, spins) = (stage::step(&plugins, "keyword-score/score")?, stage::step(&plugins, "spins/step")?);
    let (mut quiet, mut loud) = (Vec::new(), Vec::new());
    let mut late = Vec::new();
    for _ in 0..sizes.rounds {
        quiet.push(watch(&small).await);
        let stop = Arc::new(AtomicBool::new(false));
        let spinning = tokio::spawn(spin(spins.clone(), sizes.spinners, stop.clone()));
        loud.push(watch(&small).await);
        stop.store(true, Ordering::Relaxed);
        late.extend(spinning.await?);
    }
    for (what, figure) in [
        ("a call, p50", (|seen: &Seen| seen.call_p50) as fn(&Seen) -> f64),
        ("a call, p99", |seen| seen.call_p99),
        ("waking from a pause of 2 ms, p99 beyond it", |seen| seen.pause_p99),
    ] {
        let of = |seen: &[Seen]| median(&seen.iter().map(figure).collect::<Vec<_>>());
        let (quiet, loud) = (of(&quiet), of(&loud));
        show(what, &format!("{quiet:8.0} undisturbed {loud:8.0} disturbed, {:.2} times", loud / quiet));
    }
    let (p50, most) = (quantile(&mut late, 0.5) / 1e3, quantile(&mut late, 1.0) / 1e3);
    show("stopped after the deadline, ms", &format!("{p50:8.1} p50 {most:8.1} at most, of {} calls", late.len()));
    Ok(())
}

/// What the others see.
struct Seen {
    call_p50: f64,
    call_p99: f64,
    pause_p99: f64,
}

async fn watch(small: &Arc<dyn Step>) -> Seen {
    let until = Instant::now() + ROUND;
    let others = (0..OTHERS).map(|_| {
        let small = small.clone();
        tokio::spawn(async move {
            let (calls, input) = (Calls::new(), stage::input());
            let (mut called, mut paused) = (Vec::new(), Vec::new());
            while Instant::now() < until {
                let from = Instant::now();
                let _ = small.run(calls.with(&input)).await;
                called.push(from.elapsed());
                let from = Instant::now();
                tokio::time::sleep(PAUSE).await;
                paused.push(from.elapsed().saturating_sub(PAUSE));
            }
            (called, paused)
        })
    });
    let (mut called, mut paused) = (Vec::new(), Vec::new());
    for (some, pauses) in join_all(others).await.into_iter().flatten() {
        called.extend(some);
        paused.extend(pauses);
    }
    Seen {
        call_p50: quantile(&mut called, 0.5),
        call_p99: quantile(&mut called, 0.99),
        pause_p99: quantile(&mut paused, 0.99),
    }
}

/// How long after its deadline each call was answered.
async fn spin(spins: Arc<dyn Step>, count: usize, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let spinners = (0..count).map(|_| {
        let (spins, stop) = (spins.clone(), stop.clone());
        tokio::spawn(async move {
            let (calls, mut late) = (Calls::new(), Vec::new());
            while !stop.load(Ordering::Relaxed) {
                let from = Instant::now();
                let _ = spins.run(calls.with(&json!({}))).await;
                late.push(from.elapsed().saturating_sub(Duration::from_millis(TIMEOUT_MS)));
            }
            late
        })
    });
    join_all(spinners).await.into_iter().flatten().flatten().collect()
}
