//! Plugins that were compiled before: how soon one is ready, and what a folder full of them adds to a start.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use moltrun::wasm::{Origin, PluginsConfig};

use super::Sizes;
use super::stage::{self, SMALL, median, show};

/// Longer than a file must have been left alone before its stamp is trusted.
const SETTLED: Duration = Duration::from_secs(4);

const STARTS: usize = 10;

pub async fn run(sizes: &Sizes) -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let (empty, full) = (dir.path().join("empty"), dir.path().join("full"));
    fs::create_dir_all(&empty)?;
    fs::create_dir_all(&full)?;
    for number in 0..sizes.plugins {
        fs::write(full.join(format!("plugin-{number}.wasm")), stage::variant(SMALL, number))?;
    }
    let cache = dir.path().join("cache");
    let config = |dir: &Path| PluginsConfig {
        dir: Some(dir.to_path_buf()),
        cache_dir: Some(cache.clone()),
        ..PluginsConfig::default()
    };

    println!("start with plugins: ms");
    let from = Instant::now();
    let plugins = stage::host(config(&full)).load_all().await;
    if let Some((name, reason)) = plugins.broken.first_key_value() {
        return Err(format!("{name}: {reason}").into());
    }
    show(format!("{} plugins, nothing compiled yet", sizes.plugins), &format!("{:8.1}", ms(from)));
    tokio::time::sleep(SETTLED).await;
    let from = Instant::now();
    drop(stage::host(config(&full)).load_all().await);
    show("the start after that: hashed once more", &format!("{:8.1}", ms(from)));
    let (mut with, mut without, mut engine) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let from = Instant::now();
        let host = stage::host(config(&empty));
        engine.push(ms(from));
        drop(host.load_all().await);
        without.push(ms(from));
        let from = Instant::now();
        drop(stage::host(config(&full)).load_all().await);
        with.push(ms(from));
    }
    show("the engine and its pool", &format!("{:8.1}", median(&engine)));
    show("no plugin but the bundled", &format!("{:8.1}", median(&without)));
    show(format!("{} plugins", sizes.plugins), &format!("{:8.1}", median(&with)));

    println!("one component from the cache: ms");
    ready("a small one", &full.join("plugin-0.wasm"), &config(&full)).await?;
    for path in &sizes.components {
        ready(&path.display().to_string(), path, &config(&empty)).await?;
    }
    Ok(())
}

async fn ready(what: &str, path: &Path, config: &PluginsConfig) -> Result<(), Box<dyn Error>> {
    let load = async || {
        let host = stage::host(config.clone());
        let from = Instant::now();
        let loaded = host.load("plugin", Origin::File(path.to_path_buf())).await;
        loaded.map(|plugin| (plugin.bytes, ms(from)))
    };
    let (bytes, first) = load().await?;
    tokio::time::sleep(SETTLED).await;
    let (_, second) = load().await?;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        times.push(load().await?.1);
    }
    let figures = format!("{first:8.1} first, {second:.1} second, {:.2} from then on", median(&times));
    show(format!("{what}, {:.2} MB", bytes as f64 / 1e6), &figures);
    Ok(())
}

fn ms(from: Instant) -> f64 {
    from.elapsed().as_secs_f64() * 1e3
}
