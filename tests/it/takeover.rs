//! Who the database belongs to when names and locks do not say it: another name of the same file, a lock file that somebody
//! removed, a database file that is gone. Nothing is confirmed, sent or written by a daemon that no longer has it.

use serde_json::json;

use crate::support::{Daemon, Folder, GuideServer, PATIENCE, Starting, folder::finish, load};

/// With a second name the write-ahead log would have one, too, and each daemon would see half of what was written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_name_of_the_same_file_is_refused() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("ask", load::ASK_AND_SEND);
    let first = Daemon::start(&folder);
    let (link, hard) = (folder.path("link.db"), folder.path("hard.db"));
    for name in [&link, &hard] {
        match name == &link {
            true => std::os::unix::fs::symlink(folder.path("moltrun.db"), name).unwrap(),
            false => std::fs::hard_link(folder.path("moltrun.db"), name).unwrap(),
        }
        let refused = finish(folder.command(["serve"]).env("MOLTRUN_DATABASE", name)).exits(1);
        // A symbolic link stands for the file, a hard link is one.
        let said = refused.stderr.contains(if name == &link { "moltrun.db" } else { "hard.db" });
        assert!(said && refused.stdout.is_empty(), "{refused:#?}");
        // A hard link is refused for itself, whoever runs.
        assert!(*name == hard || refused.stderr.contains(&format!("process {};", first.pid())), "{refused:#?}");
    }
}

/// The lock file is gone while its holder is frozen. The second one waits until the first one's lease is over; the first
/// one, revived, sees that it is no longer the owner, does nothing more, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revived_daemon_whose_database_was_taken_over_does_nothing_more_and_ends() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("ask", load::ASK_AND_SEND);
    far.model_answers(false);
    let first = Daemon::start(&folder);
    let posted = load::post_all(first.api().clone(), load::ids(3), 1).await;
    assert!(posted.iter().all(|post| post.status == Some(200)), "{posted:#?}");
    while far.model_calls() < 3 {
        tokio::task::yield_now().await;
    }
    first.signal("STOP");
    std::fs::remove_file(folder.path("moltrun.db.lock")).unwrap();

    let second = match Starting::of(&mut folder.command(["serve"])).listens_within(PATIENCE) {
        Ok(second) => second,
        Err(stderr) => panic!("it neither waited for the lease's end nor took over:\n{stderr}"),
    };
    far.model_answers(true);
    far.ledger().arrived(3).await;
    // The answers that the first one has waited for are there when it wakes up: it would send now.
    first.signal("CONT");
    if let Ok(answered) = first.api().webhook(load::question("late").to_string(), None).await {
        assert_eq!(answered.status, 503, "{answered:?}");
    }
    first.says("another").await;
    let code = first.ended();
    assert!(code.is_some_and(|code| code != 0), "{code:?}");

    let runs = second.api().settled(far.ledger()).await;
    assert_eq!(runs.len(), 3, "{runs:#?}");
    assert!(runs.iter().all(|run| run["status"] == "succeeded"), "{runs:#?}");
    let sent = far.ledger().by_text();
    assert_eq!((far.ledger().len(), sent.len()), (3, 3), "{sent:?}");
    // It is as good as new.
    let answered = second.api().webhook(load::question("late").to_string(), None).await.unwrap();
    assert_eq!((answered.status, answered.body), (200, json!({"accepted": 1})));
    assert_eq!(second.terminate(), Some(0));
}

/// What is written into a file without a name is gone with the process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_removed_or_replaced_under_the_daemon_confirms_nothing() {
    for replaced in [false, true] {
        let far = GuideServer::start();
        let folder = Folder::new(far.address()).workflow("ask", load::ASK_AND_SEND);
        let daemon = Daemon::start(&folder);
        let posted = load::post_all(daemon.api().clone(), load::ids(2), 1).await;
        assert!(posted.iter().all(|post| post.status == Some(200)), "{posted:#?}");
        daemon.api().settled(far.ledger()).await;

        let file = folder.path("moltrun.db");
        match replaced {
            true => {
                std::fs::copy(&file, folder.path("copy")).unwrap();
                std::fs::rename(folder.path("copy"), &file).unwrap();
            }
            false => std::fs::remove_file(&file).unwrap(),
        }
        let answered = daemon.api().webhook(load::question("lost").to_string(), None).await;
        assert!(answered.is_err() || answered.as_ref().unwrap().status == 503, "{answered:?}");
        daemon.says("moltrun.db").await;
        assert!(!daemon.stderr().contains("panicked"), "{}", daemon.stderr());
        assert_eq!(far.ledger().len(), 2);
    }
}

/// Readiness is about what a webhook would be answered, and that needs a write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_the_daemon_is_not_ready_and_says_why() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("ask", load::ASK_AND_SEND);
    let small = ["sh", "-c", r#"ulimit -S -f 400 && exec "$@""#, "sh"];
    let daemon = Daemon::of(&mut folder.command_under(&small, ["serve"]));
    let mut refused = false;
    for id in load::ids(100) {
        let body = load::message(&id, "15551234567@c.us", &"x".repeat(10_000)).to_string();
        refused = daemon.api().webhook(body, None).await.unwrap().status == 503;
        if refused {
            break;
        }
    }
    assert!(refused);
    let ready = daemon.api().ready().await.unwrap();
    assert_eq!((ready.status, ready.retry_after.is_some()), (503, true), "{ready:?}");
    daemon.says("ERROR").await;
}
