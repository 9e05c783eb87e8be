//! One daemon a database: a second one is refused with the first one's pid, whatever name it calls the file by, and as
//! long as the first one lives, even frozen. When the first one is dead, there is nothing to wait for.

use std::path::Path;

use tokio::sync::watch;

use crate::support::{Daemon, Fleet, Folder, GuideServer, load};

/// Starts a second daemon in `folder` that calls the database `name`, and checks that it is turned away.
#[track_caller]
fn is_refused(folder: &Folder, name: &Path, first: &Daemon) {
    let mut command = folder.command(["serve"]);
    command.env("MOLTRUN_DATABASE", name);
    let refused = crate::support::folder::finish(&mut command).exits(1);
    let pid = format!("process {};", first.pid());
    assert!(refused.stderr.contains(&pid), "as {}: it does not name the first one: {refused:#?}", name.display());
    assert_eq!(refused.stdout, "", "as {}", name.display());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_daemon_is_refused_by_every_path_and_starts_when_the_first_is_dead() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("answer-each", load::ANSWER_EACH);
    let first = Daemon::start(&folder);
    let absolute = folder.path("moltrun.db");
    std::os::unix::fs::symlink(folder.path("."), folder.path("link")).unwrap();
    for name in [
        absolute.as_path(),
        Path::new("./moltrun.db"),
        Path::new("workflows/../moltrun.db"),
        Path::new("link/moltrun.db"),
    ] {
        is_refused(&folder, name, &first);
    }
    // The one that was refused has not harmed it.
    let posted = load::post_all(first.api().clone(), load::ids(3), 1).await;
    assert!(posted.iter().all(|post| post.status == Some(200)), "{posted:#?}");
    far.ledger().arrived(3).await;

    first.kill();
    let second = Daemon::start(&folder);
    let runs = second.api().settled(far.ledger()).await;
    assert_eq!(runs.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_daemon_keeps_its_database_and_goes_on_when_it_is_revived() {
    let far = GuideServer::start();
    let folder = Fleet::folder(far.address());
    let mut fleet = Fleet::default();
    let daemon = Daemon::start(&folder);
    for wanted in [1, 5, 20] {
        let before = far.ledger().len();
        let posting = fleet.post(daemon.api(), 20, watch::Sender::new(0));
        far.ledger().arrived(before + wanted).await;
        daemon.signal("STOP");
        is_refused(&folder, Path::new("moltrun.db"), &daemon);
        daemon.signal("CONT");
        fleet.posted(posting).await;
    }
    fleet.finish(daemon.api()).await;
    let account = fleet.account(daemon.api(), &far).await;
    assert_eq!((account.messages, account.held), (60, 0), "a pause is no reason to ask a person: {account:?}");
    assert_eq!(daemon.terminate(), Some(0));
}
