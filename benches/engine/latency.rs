//! From the first byte of a webhook to the request that leaves because of it, as the far side sees it: by a steady load of half
//! of what the daemon can do, and by one client alone.

use std::error::Error;
use std::sync::Arc;

use super::Sizes;
use super::book::{Book, quantile};
use super::far::Far;
use super::load::Load;
use super::throughput::{Contender, round};

pub async fn run(far: &Far, sizes: &Sizes) -> Result<(), Box<dyn Error>> {
    println!("latency: webhook written → answered 200, → model asked, → message sent; ms");
    println!("  {:24} {:22} {:>15} {:>22} {:>15}", "", "load", "200 p50/p99", "asked p50/p99/max", "sent p50/p99");
    let mut contenders = vec![Contender::floor(far)?];
    for binary in &sizes.binaries {
        contenders.push(Contender::moltrun(far, binary)?);
    }
    let mut first = 0;
    for contender in &contenders {
        let full = Load { clients: sizes.clients, rate: None, window: sizes.window };
        let mut best = 0.0_f64;
        for _ in 0..2 {
            let events = sizes.events.min(5_000);
            let (round, _) = round(far, &contender.server, first, events, full).await?;
            best = best.max(round.rate);
            first += events;
            if contender.durable {
                contender.server.settled().await?;
            }
        }
        let half = Load { rate: Some(best / 2.0), ..full };
        let one = Load { clients: 1, rate: None, window: Some(1) };
        for (name, load, events) in [
            (format!("half, {:.0}/s", best / 2.0), half, sizes.events),
            ("one client".to_string(), one, sizes.events / 10),
        ] {
            let (_, book) = round(far, &contender.server, first, events, load).await?;
            first += events;
            print(&contender.name, &name, &book);
        }
    }
    Ok(())
}

fn print(contender: &str, load: &str, book: &Arc<Book>) {
    let accepted = book.spans(|line| &line.posted, |line| &line.accepted);
    let asked = book.spans(|line| &line.posted, |line| &line.asked);
    let sent = book.spans(|line| &line.posted, |line| &line.sent);
    let of = |spans: &[f64], share| quantile(spans, share);
    println!(
        "  {contender:24} {load:22} {:7.2}/{:7.2} {:7.2}/{:6.2}/{:7.2} {:7.2}/{:7.2}",
        of(&accepted, 0.5),
        of(&accepted, 0.99),
        of(&asked, 0.5),
        of(&asked, 0.99),
        of(&asked, 1.0),
        of(&sent, 0.5),
        of(&sent, 0.99),
    );
}
