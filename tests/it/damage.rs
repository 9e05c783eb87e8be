//! A database that is not what was written: said plainly, with the file's name, by a daemon that neither panics nor goes on
//! as if nothing were wrong; and what is whole goes on.

use serde_json::json;

use crate::support::load::{self, ANSWER_EACH};
use crate::support::{Daemon, Folder, GuideServer, PATIENCE, Starting, database};

const MESSAGES: usize = 20;

/// The page of every table and index in turn, the file's first one among them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_in_any_page_is_said_and_never_a_panic() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("answer-each", ANSWER_EACH);
    let daemon = Daemon::start(&folder);
    load::post_all(daemon.api().clone(), load::ids(MESSAGES), 4).await;
    daemon.api().settled(far.ledger()).await;
    assert_eq!(daemon.terminate(), Some(0));
    let path = folder.path("moltrun.db");
    let mut pages = database::pages(&path).await;
    pages.push(("sqlite_schema".to_string(), 1));
    assert!(pages.len() > 5, "{pages:?}");
    let whole = std::fs::read(&path).unwrap();

    let mut refused = 0;
    for (name, page) in pages {
        for companion in ["moltrun.db-wal", "moltrun.db-shm"] {
            // An error means that SQLite has removed it.
            let _ = std::fs::remove_file(folder.path(companion));
        }
        std::fs::write(&path, &whole).unwrap();
        database::spoil(&path, page);
        let stderr = match Starting::of(&mut folder.command(["serve"])).listens_within(PATIENCE) {
            Err(stderr) => {
                refused += 1;
                let said = stderr
                    .lines()
                    .any(|line| line.starts_with("error: ") && line.contains("moltrun.db") && line.contains("corrupt"));
                assert!(said, "{name}: it does not say which file is corrupt:\n{stderr}");
                stderr
            }
            Ok(daemon) => {
                let answered = daemon.api().webhook(load::question(&name).to_string(), None).await.unwrap();
                assert!([200, 500, 503].contains(&answered.status), "{name}: {answered:?}");
                if answered.status != 200 {
                    let said = answered.body["detail"].as_str().unwrap_or_default();
                    assert!(said.contains("corrupt"), "{name}: {answered:?}");
                    // Not only to the one who sent it.
                    daemon.says("corrupt").await;
                }
                let listed = daemon.api().get("/api/v1/runs").await;
                assert!([200, 500].contains(&listed.status), "{name}: {listed:?}");
                daemon.signal("TERM");
                daemon.says("stopping").await;
                let stderr = daemon.stderr();
                assert_eq!(daemon.ended(), Some(0), "{name}");
                stderr
            }
        };
        assert!(!stderr.contains("panicked"), "{name}: {stderr}");
    }
    assert!(refused > 0, "a spoiled first page cannot be served");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_no_database_is_left_as_it_is() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("answer-each", ANSWER_EACH);
    let text = "a letter to somebody\n".repeat(1000);
    let path = folder.file("moltrun.db", &text);
    let refused = folder.run(["serve"]).exits(1);
    assert!(refused.stderr.contains("moltrun.db") && refused.stderr.contains("not a database"), "{refused:#?}");
    assert_eq!(std::fs::read_to_string(path).unwrap(), text);
}

/// What one run has lost costs that run, and a person is told which.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_journal_is_garbage_is_reported_and_the_others_go_on() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("answer-each", ANSWER_EACH);
    // Silent, so that all runs are in the middle of their work when the daemon dies.
    far.model_answers(false);
    let daemon = Daemon::start(&folder);
    let posted = load::post_all(daemon.api().clone(), load::ids(5), 1).await;
    assert!(posted.iter().all(|post| post.status == Some(200)), "{posted:#?}");
    daemon.kill();
    let path = folder.path("moltrun.db");
    database::execute(&path, "UPDATE journal SET events = '[{\"e\":' WHERE run = (SELECT min(id) FROM runs)").await;
    far.model_answers(true);

    // Twice: a report is not a repair.
    for _ in 0..2 {
        let daemon = Daemon::start(&folder);
        far.ledger().arrived(4).await;
        let runs = daemon.api().runs(None).await;
        assert_eq!(runs.len(), 5);
        let spoiled = runs.last().unwrap()["id"].as_str().unwrap().to_string();
        daemon.says(&spoiled).await;
        let shown = daemon.api().get(&format!("/api/v1/runs/{spoiled}")).await;
        assert_eq!((shown.status, &shown.body["code"]), (500, &json!("corrupt")), "{shown:?}");
        assert!(shown.body["detail"].as_str().unwrap().contains(&spoiled), "{shown:?}");
        // New work is not held up by it.
        while daemon.api().runs(Some("succeeded")).await.len() < 4 {
            far.ledger().next_or_a_moment().await;
        }
        assert_eq!(daemon.terminate(), Some(0));
    }
    let sent = far.ledger().by_text();
    assert_eq!((far.ledger().len(), sent.len()), (4, 4), "{sent:?}");
}
