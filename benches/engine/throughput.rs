//! Webhook → filter → `ai.prompt` → `moltflow.send` with 32 clients, until every message has arrived: messages a second, beside
//! the floor, in turns.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use super::Sizes;
use super::book::{Book, median};
use super::daemon::{Folder, Server};
use super::far::Far;
use super::load::{self, Load};
use super::usage::Usage;

/// The workflow that is measured.
pub const REPLY: &str = "
name: reply
triggers:
  - message: { session: support-team }
steps:
  - id: question
    uses: filter
    with: { when: \"'?' in event.data.body\" }
  - id: answer
    uses: ai.prompt
    with: { system: You answer customers., prompt: \"{{ event.data.body }}\" }
  - id: reply
    uses: moltflow.send
    with: { session: \"{{ event.session }}\", to: \"{{ event.data.from }}\", text: \"{{ steps.answer.text }}\" }
";

/// One who takes part.
pub struct Contender {
    pub name: String,
    pub server: Server,
    pub durable: bool,
    /// Removed after the server.
    _folder: Option<Folder>,
}

impl Contender {
    pub fn floor(far: &Far) -> Result<Self, Box<dyn Error>> {
        Ok(Self { name: "floor".to_string(), server: Server::floor(far)?, durable: false, _folder: None })
    }

    pub fn moltrun(far: &Far, binary: &Path) -> Result<Self, Box<dyn Error>> {
        let folder = Folder::new(far, &[("reply", REPLY)])?;
        let name = binary.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok(Self { name, server: Server::moltrun(binary, &folder)?, durable: true, _folder: Some(folder) })
    }

    /// One whose database is there already.
    pub fn started(name: &str, server: Server, folder: Folder) -> Self {
        Self { name: name.to_string(), server, durable: true, _folder: Some(folder) }
    }

    pub fn named(self, name: &str) -> Self {
        Self { name: name.to_string(), ..self }
    }
}

/// What one round of one contender gave.
pub struct Round {
    pub rate: f64,
    pub used: Usage,
    /// Of this process: load and far side.
    pub bench: Usage,
    pub refused: usize,
    pub repeated: usize,
}

/// Posts `events` and waits for all their messages.
pub async fn round(
    far: &Far,
    server: &Server,
    first: usize,
    events: usize,
    load: Load,
) -> Result<(Round, Arc<Book>), Box<dyn Error>> {
    let book = Arc::new(Book::new(first, events));
    far.open(book.clone());
    let (before, bench) = (Usage::of(server.pid()), Usage::of(std::process::id()));
    let refused = load::post(server.address, load, &book, load::question).await?;
    let waited = tokio::time::timeout(super::PATIENCE, book.until_sent(events)).await;
    waited.map_err(|_| format!("only {} of {events} messages arrived", book.sent()))?;
    let used = Usage::of(server.pid()) - before;
    let bench = Usage::of(std::process::id()) - bench;
    let rate = events as f64 / book.seconds();
    Ok((Round { rate, used, bench, refused, repeated: book.repeated() }, book))
}

pub async fn run(far: &Far, sizes: &Sizes) -> Result<(), Box<dyn Error>> {
    let mut contenders = vec![Contender::floor(far)?];
    for binary in &sizes.binaries {
        contenders.push(Contender::moltrun(far, binary)?);
    }
    println!("throughput: {} events a round, {} clients", sizes.events, sizes.clients);
    compare(far, sizes, &contenders).await
}

/// Rounds in turns; ratios are to the first of the contenders.
pub async fn compare(far: &Far, sizes: &Sizes, contenders: &[Contender]) -> Result<(), Box<dyn Error>> {
    let load = Load { clients: sizes.clients, rate: None, window: sizes.window };
    let mut rounds: Vec<Vec<Round>> = contenders.iter().map(|_| Vec::new()).collect();
    println!(
        "  {:24} {:>8} {:>6} {:>9} {:>9} {:>9} {:>8} {:>6}",
        "", "sends/s", "ratio", "user µs", "system µs", "bench µs", "switches", "503s"
    );
    let mut first = FIRST;
    // The first round warms up: connections, caches, the plan. It is not counted.
    for turn in 0..=sizes.rounds {
        for (contender, rounds_of) in contenders.iter().zip(&mut rounds) {
            let events = if turn == 0 { sizes.events.min(1_000) } else { sizes.events };
            let (round, _) = round(far, &contender.server, first, events, load).await?;
            first += events;
            if contender.durable {
                contender.server.settled().await?;
            }
            if turn > 0 {
                rounds_of.push(round);
            }
        }
        if turn == 0 {
            continue;
        }
        let base = rounds[0].last().map_or(f64::NAN, |round| round.rate);
        for (contender, rounds_of) in contenders.iter().zip(&rounds) {
            let Some(round) = rounds_of.last() else { continue };
            let each = |seconds: f64| seconds * 1e6 / sizes.events as f64;
            println!(
                "  {:24} {:8.0} {:6.2} {:9.0} {:9.0} {:9.0} {:8.1} {:6}{}",
                contender.name,
                round.rate,
                round.rate / base,
                each(round.used.user),
                each(round.used.system),
                each(round.bench.cpu()),
                round.used.switches as f64 / sizes.events as f64,
                round.refused,
                if round.repeated > 0 { format!("  {} came twice", round.repeated) } else { String::new() },
            );
        }
    }
    println!(
        "  {:24} {:>8} {:>6} {:>22} {:>17}",
        "in the middle", "sends/s", "ratio", "CPU µs (middle, least)", "best sends/s"
    );
    let middle = |rounds: &[Round]| median(&rounds.iter().map(|round| round.rate).collect::<Vec<_>>());
    for (contender, rounds_of) in contenders.iter().zip(&rounds) {
        let cpu: Vec<f64> = rounds_of.iter().map(|round| round.used.cpu() * 1e6 / sizes.events as f64).collect();
        println!(
            "  {:24} {:8.0} {:6.2} {:11.0} {:10.0} {:17.0}",
            contender.name,
            middle(rounds_of),
            middle(rounds_of) / middle(&rounds[0]),
            median(&cpu),
            cpu.iter().copied().fold(f64::INFINITY, f64::min),
            rounds_of.iter().map(|round| round.rate).fold(0.0, f64::max),
        );
    }
    Ok(())
}

/// The number of a round's first event; smaller ones are for whoever fills a database before.
const FIRST: usize = 1_000_000;
