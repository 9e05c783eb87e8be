//! Whoever reads what the program prints may go away at any moment: `moltrun runs show ID | head -1`. That ends neither
//! the program nor its work, and it is no failure.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::support::folder::{finish, kill};
use crate::support::load::{self, ANSWER_EACH};
use crate::support::{Daemon, Folder, GuideServer, PATIENCE, repository};

/// An end of a pipe whose other end is closed.
fn nobody() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

const SENDS: &str = "
name: sends
steps:
  - id: each
    uses: moltflow.send
    for_each: { in: range(20) }
    with: { session: support-team, to: 15551234567@c.us, text: 'number {{ item }}' }
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_nobody_watches_goes_on_to_its_end() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("sends", SENDS);
    let mut command = folder.command(["run", "-vv", "workflows/sends.yaml"]);
    command.stderr(nobody());
    finish(&mut command).exits(0);
    assert_eq!(far.ledger().len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_minds_a_closed_pipe() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("answer-each", ANSWER_EACH);
    let daemon = Daemon::start(&folder);
    load::post_all(daemon.api().clone(), load::ids(1), 1).await;
    let runs = daemon.api().settled(far.ledger()).await;
    let id = runs[0]["id"].as_str().unwrap();
    let listen = daemon.url().trim_start_matches("http://");
    let example = repository("workflows/support-reply.yaml");
    for args in [
        vec!["runs", "show", id],
        vec!["runs", "show", id, "--json"],
        vec!["runs", "list"],
        vec!["graph", example.to_str().unwrap()],
        vec!["validate"],
        vec!["validate", "--format", "json"],
        vec!["demo"],
    ] {
        let mut command = folder.command(&args);
        let finished = finish(command.env("MOLTRUN_SERVER__LISTEN", listen).stdout(nobody())).exits(0);
        assert_eq!(finished.stderr, "", "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_whose_log_nobody_reads_serves() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("answer-each", ANSWER_EACH);
    let mut daemon = folder.command(["serve", "-vv"]).stderr(nobody()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut line).unwrap();
    // Its stdout is closed by now, too.
    let url = line.trim().strip_prefix("listening on ").expect("it says where it listens");
    let answered = crate::support::Api::new(url).webhook(load::question("M1").to_string(), None).await.unwrap();
    assert_eq!(answered.status, 200);
    tokio::time::timeout(PATIENCE, far.ledger().arrived(1)).await.expect("the answer is sent");
    kill(&mut daemon);
}

#[test]
fn a_full_disk_is_a_failure() {
    let Ok(full) = std::fs::File::create("/dev/full") else { return };
    let mut command = Command::new(env!("CARGO_BIN_EXE_moltrun"));
    command.args(["graph".as_ref(), repository("workflows/support-reply.yaml").as_os_str()]);
    let finished = finish(command.stdout(full).stderr(Stdio::piped())).exits(1);
    assert!(finished.stderr.contains("stdout cannot be written"), "{finished:?}");
}
