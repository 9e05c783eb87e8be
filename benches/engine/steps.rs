//! What a pure step costs: runs of 40 `set` steps beside runs of one, each followed by a send; the difference by 39.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;

use super::Sizes;
use super::book::quantile;
use super::daemon::{Folder, Server};
use super::far::Far;
use super::load::Load;
use super::throughput::round;

const MANY: usize = 40;

/// `count` steps of which each reads the one before, and a send.
fn workflow(count: usize) -> String {
    let mut text = "name: chain\ntriggers:\n  - message: {}\nsteps:\n".to_string();
    for index in 0..count {
        let value = match index {
            0 => "event.data.timestamp".to_string(),
            _ => format!("steps.s{}.n + 1", index - 1),
        };
        // Writing to a text cannot fail.
        let _ = writeln!(text, "  - {{ id: s{index}, uses: set, with: {{ n: \"{{{{ {value} }}}}\" }} }}");
    }
    let send = "  - id: reply\n    uses: moltflow.send\n    with:\n      session: s\n      to: \"{{ event.data.from }}\"\n      \
                text: \"{{ event.data.body }}\"\n";
    text + send
}

struct Measured {
    /// Of the daemon, in µs a run.
    cpu: f64,
    wall: f64,
    /// From webhook to send with one client, in µs, the middle one.
    alone: f64,
}

pub async fn run(far: &Far, sizes: &Sizes) -> Result<(), Box<dyn Error>> {
    println!("steps: a run of {MANY} pure steps and a send, less a run of one and a send; µs a step");
    println!("  {:24} {:>10} {:>12} {:>12}", "", "CPU", "under load", "one client");
    for binary in &sizes.binaries {
        let one = measure(far, sizes, binary, 1).await?;
        let many = measure(far, sizes, binary, MANY).await?;
        let each = |of: fn(&Measured) -> f64| (of(&many) - of(&one)) / (MANY - 1) as f64;
        println!(
            "  {:24} {:10.1} {:12.1} {:12.1}",
            binary.file_name().unwrap_or_default().to_string_lossy(),
            each(|measured| measured.cpu),
            each(|measured| measured.wall),
            each(|measured| measured.alone),
        );
    }
    Ok(())
}

async fn measure(far: &Far, sizes: &Sizes, binary: &Path, count: usize) -> Result<Measured, Box<dyn Error>> {
    let folder = Folder::new(far, &[("chain", &workflow(count))])?;
    let server = Server::moltrun(binary, &folder)?;
    let full = Load { clients: sizes.clients, rate: None, window: sizes.window };
    round(far, &server, 0, 500, full).await?;
    server.settled().await?;
    let events = sizes.events / 2;
    let (round_, _) = round(far, &server, 500, events, full).await?;
    server.settled().await?;
    let one = Load { clients: 1, rate: None, window: Some(1) };
    let (_, book) = round(far, &server, 500 + events, 500, one).await?;
    let alone = quantile(&book.spans(|line| &line.posted, |line| &line.sent), 0.5) * 1e3;
    Ok(Measured { cpu: round_.used.cpu() * 1e6 / events as f64, wall: 1e6 / round_.rate, alone })
}
