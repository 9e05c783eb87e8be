//! Throughput with many finished runs in the database, beside the same with none, in turns.

use std::error::Error;

use super::Sizes;
use super::daemon::{Folder, Server};
use super::far::Far;
use super::history;
use super::load::Load;
use super::throughput::{self, Contender, REPLY, round};

pub async fn run(far: &Far, sizes: &Sizes) -> Result<(), Box<dyn Error>> {
    for binary in &sizes.binaries {
        let folder = Folder::new(far, &[("reply", REPLY)])?;
        let server = Server::moltrun(binary, &folder)?;
        let load = Load { clients: sizes.clients, rate: None, window: sizes.window };
        round(far, &server, 0, 200, load).await?;
        server.settled().await?;
        server.stop()?;
        let from = std::time::Instant::now();
        let runs = history::grow(&folder.database(), sizes.finished).await?;
        let bytes = std::fs::metadata(folder.database())?.len();
        println!(
            "growth: {runs} finished runs in a database of {} MB (copied in {:.0} s)",
            bytes / 1_000_000,
            from.elapsed().as_secs_f64()
        );
        let none = Contender::moltrun(far, binary)?.named("no runs");
        let many = Contender::started("many runs", Server::moltrun(binary, &folder)?, folder);
        throughput::compare(far, sizes, &[none, many]).await?;
    }
    Ok(())
}
