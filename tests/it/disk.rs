//! A disk that takes no more, and files that may not be written: what is not on the disk is not confirmed, nothing that was
//! confirmed is lost, and it goes on by itself when there is room again.
//!
//! Full is played by the limit on the size of files (`ulimit -f`): it needs no rights, and a write beyond it fails as on a
//! full disk.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::folder::finish;
use crate::support::{Api, Daemon, Folder, GuideServer, load};

/// One send and nothing else.
const SEND: &str = r#"
name: send
triggers:
  - message: {}
steps:
  - id: reply
    uses: moltflow.send
    with: { session: "{{ event.session }}", to: "{{ event.data.from }}", text: "{{ event.data.id }}" }
"#;

/// Writes beyond 400 blocks of 512 bytes fail, for the files of what it starts. Soft, so that it can be lifted.
const SMALL_DISK: [&str; 4] = ["sh", "-c", r#"ulimit -S -f 400 && exec "$@""#, "sh"];

/// Of one message, so that a small disk is soon full.
const TEXT_BYTES: usize = 10_000;

fn message(id: &str) -> String {
    load::message(id, "15551234567@c.us", &"x".repeat(TEXT_BYTES)).to_string()
}

/// Posts until one message is put off, and some more; the answer is those accepted and those put off.
async fn fill(api: &Api) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut accepted, mut put_off) = (BTreeSet::new(), BTreeSet::new());
    for id in load::ids(100) {
        let answered = api.webhook(message(&id), None).await.expect("a full disk does not end the daemon");
        match answered.status {
            200 => drop(accepted.insert(id)),
            503 => {
                assert!(answered.retry_after.is_some(), "{answered:?}");
                assert!(answered.body["detail"].as_str().unwrap().contains("database"), "{answered:?}");
                put_off.insert(id);
            }
            _ => panic!("{id}: {answered:?}"),
        }
        if put_off.len() == 5 {
            return (accepted, put_off);
        }
    }
    panic!("the disk was never full: {} accepted", accepted.len());
}

/// `prlimit` is Linux's; elsewhere a limit cannot be lifted from outside.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_webhooks_are_put_off_and_with_room_again_it_goes_on_by_itself() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("send", SEND);
    let daemon = Daemon::of(&mut folder.command_under(&SMALL_DISK, ["serve"]));
    let (mut accepted, put_off) = fill(daemon.api()).await;
    // Reading does not need room.
    assert!(!daemon.api().runs(None).await.is_empty());

    let lifted = std::process::Command::new("prlimit")
        .args(["--pid", &daemon.pid().to_string(), "--fsize=unlimited"])
        .status()
        .expect("prlimit (util-linux) lifts the limit");
    assert!(lifted.success());
    for id in put_off {
        let answered = daemon.api().webhook(message(&id), None).await.unwrap();
        assert_eq!(answered.status, 200, "{answered:?}");
        accepted.insert(id);
    }
    let runs = daemon.api().settled(far.ledger()).await;
    assert!(runs.iter().all(|run| run["status"] == "succeeded"), "{runs:#?}");
    assert_eq!(runs.len(), accepted.len());
    let sent = far.ledger().by_text();
    assert!(sent.values().all(|count| *count == 1), "{sent:?}");
    assert_eq!(sent.into_keys().collect::<BTreeSet<_>>(), accepted);
    assert!(!daemon.stderr().contains("panicked"), "{}", daemon.stderr());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_on_a_full_disk_it_ends_in_order_and_the_next_start_goes_on() {
    for dies in [false, true] {
        let far = GuideServer::start();
        let folder = Folder::new(far.address()).workflow("send", SEND);
        let daemon = Daemon::of(&mut folder.command_under(&SMALL_DISK, ["serve"]));
        let (accepted, _) = fill(daemon.api()).await;
        match dies {
            true => daemon.kill(),
            false => assert_eq!(daemon.terminate(), Some(0)),
        }

        let daemon = Daemon::start(&folder);
        let runs = daemon.api().settled(far.ledger()).await;
        assert_eq!(runs.len(), accepted.len());
        let mut sent = far.ledger().by_text();
        for run in &runs {
            let run = daemon.api().run(run["id"].as_str().unwrap()).await;
            let id = run["event"]["data"]["id"].as_str().unwrap();
            assert!(accepted.contains(id), "{id} was put off");
            match (run["status"].as_str().unwrap(), sent.remove(id).unwrap_or(0)) {
                // Held: it was sent, and there was no room to write that down.
                ("succeeded", 1) | ("attention", 0 | 1) => {}
                (status, count) => panic!("{id} is {status} and was sent {count} times"),
            }
        }
        assert!(sent.is_empty(), "{sent:?}");
    }
}

/// A start for which the modes of files count: the administrator's does not heed them unless that power is dropped.
fn obedient_start(folder: &Folder) -> std::process::Command {
    let id = std::process::Command::new("id").arg("-u").output().unwrap();
    match String::from_utf8(id.stdout).unwrap().trim() {
        "0" => folder.command_under(
            &["setpriv", "--inh-caps=-dac_override", "--bounding-set=-dac_override,-dac_read_search"],
            ["serve"],
        ),
        _ => folder.command(["serve"]),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_may_not_be_written_is_said_at_the_start() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address())
        .configure(|config| config["database"] = serde_json::json!("data/moltrun.db"))
        .workflow("send", SEND);
    std::fs::create_dir(folder.path("data")).unwrap();
    let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    let (data, file) = (folder.path("data"), folder.path("data/moltrun.db"));

    // Nowhere to create it.
    mode(&data, 0o500);
    let refused = finish(&mut obedient_start(&folder)).exits(1);
    assert!(refused.stderr.contains("data/moltrun.db"), "{refused:#?}");
    mode(&data, 0o700);

    let daemon = Daemon::of(&mut obedient_start(&folder));
    load::post_all(daemon.api().clone(), load::ids(3), 1).await;
    far.ledger().arrived(3).await;
    daemon.kill();

    mode(&file, 0o400);
    let refused = finish(&mut obedient_start(&folder)).exits(1);
    let said = refused.stderr.contains("data/moltrun.db") && refused.stderr.contains("readonly");
    assert!(said && refused.stdout.is_empty(), "{refused:#?}");
    mode(&file, 0o600);

    let daemon = Daemon::of(&mut obedient_start(&folder));
    assert_eq!(daemon.api().settled(far.ledger()).await.len(), 3);
}
