//! Resident memory: at idle, with many runs parked in `wait`, after a restart with them, and during a large `for_each`.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Sizes;
use super::book::Book;
use super::daemon::{Folder, Server};
use super::far::Far;
use super::load::{self, Load};
use super::usage::resident;

const PARKED: &str = "
name: parked
triggers:
  - message: {}
steps:
  - { id: pause, uses: wait, with: { for: 30d } }
";

const EACH: &str = "
name: each
triggers:
  - message: {}
steps:
  - { id: rows, uses: data.read, with: { path: rows.csv } }
  - id: each
    uses: set
    for_each: { in: steps.rows, as: row }
    with: { n: \"{{ row.n }}\" }
  - id: done
    uses: moltflow.send
    with: { session: s, to: \"{{ event.data.from }}\", text: \"{{ event.data.body }}\" }
";

pub async fn run(far: &Far, sizes: &Sizes) -> Result<(), Box<dyn Error>> {
    for binary in &sizes.binaries {
        println!("memory of {}: MB resident now, and at most since its start", binary.display());
        parked(far, sizes, binary).await?;
        each(far, sizes, binary).await?;
    }
    Ok(())
}

fn print(what: &str, server: &Server) {
    let (now, most) = resident(server.pid());
    println!("  {what:56} {now:7.1} {most:7.1}");
}

async fn parked(far: &Far, sizes: &Sizes, binary: &Path) -> Result<(), Box<dyn Error>> {
    let folder = Folder::new(far, &[("parked", PARKED)])?;
    let server = Server::moltrun(binary, &folder)?;
    print("idle", &server);
    let book = Arc::new(Book::new(0, sizes.parked));
    let load = Load { clients: sizes.clients, rate: None, window: None };
    let from = Instant::now();
    load::post(server.address, load, &book, load::question).await?;
    server.settled().await?;
    let took = from.elapsed().as_secs_f64();
    print(&format!("{} runs parked in `wait` (in {took:.1} s)", sizes.parked), &server);
    server.stop()?;
    let server = Server::moltrun(binary, &folder)?;
    server.settled().await?;
    let took = server.started_in.as_millis();
    print(&format!("the same after a restart (listening in {took} ms)"), &server);
    Ok(())
}

async fn each(far: &Far, sizes: &Sizes, binary: &Path) -> Result<(), Box<dyn Error>> {
    let folder = Folder::new(far, &[("each", EACH)])?;
    let rows: String = (0..sizes.items).map(|number| format!("{number}\n")).collect();
    std::fs::write(folder.path("workflows/rows.csv"), format!("n\n{rows}"))?;
    let server = Server::moltrun(binary, &folder)?;
    let book = Arc::new(Book::new(0, 1));
    far.open(book.clone());
    let from = Instant::now();
    load::post(server.address, Load { clients: 1, rate: None, window: None }, &book, load::question).await?;
    while book.sent() == 0 {
        if server.any("failed").await? {
            let page = server.get("/api/v1/runs?limit=1").await?;
            let id = page["runs"][0]["id"].as_str().unwrap_or_default();
            let shown = server.get(&format!("/api/v1/runs/{id}")).await?;
            println!("  for_each over {} items: the run failed: {}", sizes.items, shown["error"]);
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let took = from.elapsed().as_secs_f64();
    print(&format!("after a for_each over {} items (in {took:.1} s)", sizes.items), &server);
    Ok(())
}
