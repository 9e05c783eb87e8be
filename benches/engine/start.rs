//! From the start of the process to the line that says where it listens: with many workflow files, and with many unfinished runs;
//! and until all of those have ended.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::Sizes;
use super::book::{Book, median};
use super::daemon::{Folder, Server};
use super::far::Far;
use super::history;
use super::load::{self, Load};
use super::throughput::REPLY;

/// Runs that are cut off at work and copied.
const CUT_OFF: usize = 100;

pub async fn run(far: &Far, sizes: &Sizes) -> Result<(), Box<dyn Error>> {
    for binary in &sizes.binaries {
        println!("start of {}: ms until it listens", binary.display());
        let folder = Folder::new(far, &[])?;
        println!("  {:56} {:8.0}", "no workflow", listening(binary, &folder)?);
        for number in 0..sizes.files {
            let name = format!("reply-{number}");
            let text = REPLY.replace("name: reply", &format!("name: {name}")).replace("support-team", &name);
            folder.workflow(&name, &text)?;
        }
        println!("  {:56} {:8.0}", format!("{} workflow files", sizes.files), listening(binary, &folder)?);
        recovery(far, sizes, binary).await?;
    }
    Ok(())
}

/// The middle one of five starts, in milliseconds.
fn listening(binary: &Path, folder: &Folder) -> Result<f64, Box<dyn Error>> {
    let mut times = Vec::new();
    for _ in 0..5 {
        let server = Server::moltrun(binary, folder)?;
        times.push(server.started_in.as_secs_f64() * 1e3);
        server.stop()?;
    }
    Ok(median(&times))
}

async fn recovery(far: &Far, sizes: &Sizes, binary: &Path) -> Result<(), Box<dyn Error>> {
    let folder = Folder::new(far, &[("reply", REPLY)])?;
    let server = Server::moltrun(binary, &folder)?;
    far.answers(false);
    let book = Arc::new(Book::new(0, CUT_OFF));
    far.open(book.clone());
    let load = Load { clients: sizes.clients, rate: None, window: None };
    load::post(server.address, load, &book, load::question).await?;
    // SIGKILL while the model is silent: all of them are unfinished.
    drop(server);
    let runs = history::grow(&folder.database(), sizes.unfinished.saturating_sub(CUT_OFF)).await? + CUT_OFF;
    far.answers(true);
    let from = Instant::now();
    let server = Server::moltrun(binary, &folder)?;
    println!("  {:56} {:8.0}", format!("{runs} unfinished runs"), server.started_in.as_secs_f64() * 1e3);
    book.until_arrived(runs).await;
    println!("  {:56} {:8.0}", "until all of them have sent their message", from.elapsed().as_secs_f64() * 1e3);
    Ok(())
}
