//! The step `script`, as the daemon has it: three lines of JavaScript.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use futures::future::join_all;
use moltrun::engine::ports::Step;
use moltrun::wasm::{PluginsConfig, ScriptEngine, ScriptStep};
use serde_json::json;

use super::Sizes;
use super::stage::{self, Calls, median, quantile, show};

const CODE: &str = "const words = input.text.split(' ');\nconst long = words.filter((word) => word.length > 4);\nreturn { words: words.length, long };";

/// Calls at once, where it is about how many there are in a second.
const AT_ONCE: usize = 8;

pub async fn run(sizes: &Sizes) -> Result<(), Box<dyn Error>> {
    println!("the step script, three lines");
    let host = stage::host(PluginsConfig::default());
    let script: Arc<dyn Step> = Arc::new(ScriptStep::new(ScriptEngine::new(&host)));
    let (calls, input) = (Arc::new(Calls::new()), json!({"code": CODE, "input": {"text": "where is my parcel"}}));
    script.run(calls.with(&input)).await.map_err(|error| format!("{error:?}"))?;
    let (mut p50, mut p99, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    let count = sizes.calls.div_ceil(10);
    for _ in 0..sizes.rounds {
        let mut times = Vec::new();
        for _ in 0..count {
            let from = Instant::now();
            script.run(calls.with(&input)).await.map_err(|error| format!("{error:?}"))?;
            times.push(from.elapsed());
        }
        p50.push(quantile(&mut times, 0.5));
        p99.push(quantile(&mut times, 0.99));
        let from = Instant::now();
        let workers = (0..AT_ONCE).map(|_| {
            let (script, calls, input) = (script.clone(), calls.clone(), input.clone());
            tokio::spawn(async move {
                for _ in 0..count / AT_ONCE {
                    let _ = script.run(calls.with(&input)).await;
                }
            })
        });
        join_all(workers).await;
        rates.push((count / AT_ONCE * AT_ONCE) as f64 / from.elapsed().as_secs_f64());
    }
    show("a call, µs", &format!("{:8.0} p50 {:8.0} p99", median(&p50), median(&p99)));
    show(format!("calls a second, {AT_ONCE} at once"), &format!("{:8.0}", median(&rates)));
    Ok(())
}
