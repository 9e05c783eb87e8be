//! Whole broadcasts through the real program: nobody twice, nobody forgotten, whatever happens in between; and what a person
//! can say and see meanwhile.
//!
//! `MOLTRUN_BROADCAST=10000` makes the one at full speed as large; `MOLTRUN_KILL_SEED` sets the seed of what is drawn.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::faults::Shares;
use crate::support::{Api, Daemon, Folder, GuideServer, PATIENCE, Starting};

/// Requests at once.
const SENDERS: usize = 32;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn seed() -> u64 {
    let seed = number("MOLTRUN_KILL_SEED", u64::from(std::process::id()));
    eprintln!("again with MOLTRUN_KILL_SEED={seed}");
    seed
}

fn people(folder: &Folder, count: usize) {
    let rows: String = (0..count).map(|row| format!("1555{row:07}@c.us,{row}\n")).collect();
    folder.file("workflows/people.csv", &format!("chat,row\n{rows}"));
}

/// A broadcast to `people.csv`, so many at once.
fn broadcast(concurrency: usize) -> String {
    format!(
        r#"
name: cast
triggers: [manual]
steps:
  - id: people
    uses: data.read
    with: {{ path: people.csv }}
  - id: message
    uses: moltflow.send
    for_each: {{ in: steps.people, concurrency: {concurrency} }}
    with: {{ session: support-team, to: "{{{{ item.chat }}}}", text: "hello {{{{ item.row }}}}" }}
"#
    )
}

/// The run once this holds of its status, looked at when something arrives.
async fn stands(api: &Api, far: &GuideServer, id: &str, statuses: &[&str]) -> Value {
    let reached = async {
        loop {
            let run = api.run(id).await;
            if statuses.iter().any(|status| run["status"] == *status) {
                return run;
            }
            far.ledger().next_or_a_moment().await;
        }
    };
    let reached = tokio::time::timeout(PATIENCE, reached).await;
    reached.unwrap_or_else(|_| panic!("the run never was one of {statuses:?}"))
}

/// The counts of `message`, at work or done.
fn counts(run: &Value) -> &Value {
    let step = &run["steps"]["message"];
    if step["output"].is_object() { &step["output"] } else { &step["items"] }
}

fn held(run: &Value) -> BTreeSet<usize> {
    let held = counts(run)["held"].as_array().cloned().unwrap_or_default();
    held.iter().map(|place| place["items"][0].as_u64().unwrap() as usize).collect()
}

fn arrived(far: &GuideServer) -> BTreeMap<usize, usize> {
    let row = |text: &String| text.strip_prefix("hello ").and_then(|row| row.parse().ok()).expect("ours");
    far.ledger().by_text().iter().map(|(text, count)| (row(text), *count)).collect()
}

/// Every recipient is there exactly once, or held: the summary and the ledger say the same.
fn closes(run: &Value, far: &GuideServer, count: usize) {
    let (held, arrived) = (held(run), arrived(far));
    let of = |name: &str| counts(run)[name].as_u64().unwrap() as usize;
    assert_eq!((of("total"), of("failed"), of("skipped"), of("unknown")), (count, 0, 0, 0), "{}", counts(run));
    assert_eq!(of("succeeded") + held.len(), count, "{}", counts(run));
    for row in 0..count {
        let times = arrived.get(&row).copied().unwrap_or(0);
        match held.contains(&row) {
            true => assert!(times <= 1, "{row} is held and was sent {times} times"),
            false => assert_eq!(times, 1, "{row} is said to be sent"),
        }
    }
    let sent = arrived.keys().filter(|row| !held.contains(row)).count();
    assert_eq!(sent, of("succeeded"), "the summary's count and the ledger's");
}

/// A person looks up what became of each held one, and says so, until none is held.
async fn resolve(api: &Api, far: &GuideServer, id: &str) -> Value {
    loop {
        let run = stands(api, far, id, &["attention", "succeeded"]).await;
        if run["status"] == "succeeded" {
            return run;
        }
        let arrived = arrived(far);
        for row in held(&run) {
            let outcome = if arrived.contains_key(&row) { "sent" } else { "not_sent" };
            let body = json!({"step": "message", "item": row, "outcome": outcome});
            let answered = api.post(&format!("/api/v1/runs/{id}/resolve"), &body).await;
            assert_eq!(answered.status, 204, "{}", answered.body);
        }
    }
}

/// Five in a hundred requests meet a rate limit, two a 503, one a cut connection. What is promised while `Retry-After` runs:
/// a request whose sending begins after a 429 was read is not sent. At the far side that is: after everybody who met a limit
/// was told, only those come who had not met it, since they were on their way or had not been told; each of the senders
/// that was told stays away until the limit is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_full_speed_with_faults_everybody_is_sent_once_or_held() {
    let count = number("MOLTRUN_BROADCAST", 2_000) as usize;
    let far = GuideServer::start();
    far.faults(Shares { seed: seed(), senders: SENDERS, limited: 50, unavailable: 20, cut: 10 });
    let folder = Folder::new(far.address()).workflow("cast", &broadcast(SENDERS));
    people(&folder, count);
    let daemon = Daemon::start(&folder);
    let id = daemon.api().start("cast", &json!({})).await;
    let run = stands(daemon.api(), &far, &id, &["attention", "succeeded", "failed"]).await;
    closes(&run, &far, count);

    let account = far.fault_account();
    let requests = far.send_requests();
    eprintln!(
        "{requests} requests: {} refused in {} limits, {} unavailable, {} cut",
        account.limited(),
        account.limits.len(),
        account.unavailable,
        account.cut
    );
    for limit in &account.limits {
        assert!(limit.told + limit.late <= SENDERS, "somebody came twice while the limit ran: {limit:?}");
    }
    // Every unknown outcome is held, with its reason, and nothing else is.
    assert_eq!(held(&run).len(), account.unavailable + account.cut);
    let code = run["steps"]["message"]["error"]["code"].as_str().unwrap();
    assert!(["moltflow.server_error", "http.cut"].contains(&code), "{code}");
    // The faults were really there, about as often as asked: a quarter more or less of few is no surprise.
    let thousandths = |part: usize| part * 1_000 / requests;
    assert!((30..=70).contains(&thousandths(account.limited())), "{}", account.limited());
    assert!((8..=35).contains(&thousandths(account.unavailable)), "{}", account.unavailable);
    assert!((2..=20).contains(&thousandths(account.cut)), "{}", account.cut);

    let run = resolve(daemon.api(), &far, &id).await;
    closes(&run, &far, count);
    assert_eq!(held(&run).len(), 0);
    assert_eq!(far.ledger().len(), count, "everybody exactly once");
}

/// Kills the daemon `kills` times at random places of a broadcast; now and then it is paused over a kill.
async fn killed(kills: u64, mut random: u64, far: &GuideServer, folder: &Folder) -> (Daemon, String) {
    let mut below = move |bound: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % bound
    };
    let mut daemon = Daemon::start(folder);
    let id = daemon.api().start("cast", &json!({})).await;
    for kill in 0..kills {
        let more = 1 + below(90) as usize;
        far.ledger().arrived(far.ledger().len() + more).await;
        let is_paused = kill % 2 == 0;
        let mut before = None;
        if is_paused {
            folder.ask(daemon.url(), ["runs", "pause", &id, "--reason", "a look"]).exits(0);
            if below(2) == 0 {
                let run = stands(daemon.api(), far, &id, &["paused"]).await;
                assert_eq!(run["paused"]["reason"], "a look", "{run:#}");
                before = Some(far.ledger().len());
            }
        }
        daemon.kill();
        daemon = Starting::of(&mut folder.command(["serve"])).listens_within(PATIENCE).unwrap();
        if is_paused {
            stands(daemon.api(), far, &id, &["paused"]).await;
            if let Some(before) = before {
                assert_eq!(far.ledger().len(), before, "nothing is sent while it is paused");
            }
            folder.ask(daemon.url(), ["runs", "resume", &id]).exits(0);
        }
    }
    (daemon, id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_and_paused_a_broadcast_goes_on_with_the_next_recipient() {
    const PEOPLE: usize = 1_000;
    const AT_ONCE: usize = 8;
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("cast", &broadcast(AT_ONCE));
    people(&folder, PEOPLE);
    let kills = 8;
    let (daemon, id) = killed(kills, seed(), &far, &folder).await;
    let run = stands(daemon.api(), &far, &id, &["attention", "succeeded"]).await;
    closes(&run, &far, PEOPLE);
    assert!(held(&run).len() <= kills as usize * AT_ONCE, "more are held than kills can have interrupted");
    let run = resolve(daemon.api(), &far, &id).await;
    closes(&run, &far, PEOPLE);
    assert_eq!(far.ledger().len(), PEOPLE, "everybody exactly once");
    assert!(!daemon.stderr().contains("panicked"), "{}", daemon.stderr());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_in_the_middle_it_stops_and_a_retry_goes_on_with_the_rest() {
    const PEOPLE: usize = 1_000;
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("cast", &broadcast(8));
    people(&folder, PEOPLE);
    let (daemon, id) = killed(3, seed(), &far, &folder).await;
    folder.ask(daemon.url(), ["runs", "pause", &id]).exits(0);
    folder.ask(daemon.url(), ["runs", "cancel", &id, "--reason", "enough"]).exits(0);
    let run = stands(daemon.api(), &far, &id, &["cancelled"]).await;
    assert!(run["paused"].is_null(), "{run:#}");
    let sent = far.ledger().len();
    assert!((1..PEOPLE).contains(&sent), "{sent}");
    assert!(arrived(&far).values().all(|times| *times == 1), "somebody got it twice");

    folder.ask(daemon.url(), ["runs", "retry", &id]).exits(0);
    let run = resolve(daemon.api(), &far, &id).await;
    closes(&run, &far, PEOPLE);
    assert_eq!(far.ledger().len(), PEOPLE, "everybody exactly once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pause_resume_and_watch_by_command() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("cast", &broadcast(1));
    people(&folder, 20);
    let daemon = Daemon::start(&folder);
    far.hold_answers_after(5);
    let id = daemon.api().start("cast", &json!({})).await;
    far.ledger().arrived(6).await;
    folder.ask(daemon.url(), ["runs", "pause", &id, "--reason", "wrong list"]).exits(0);
    // The sixth is on its way, and nobody takes it back.
    assert_eq!(daemon.api().run(&id).await["status"], "running");
    far.release_answers();
    let run = stands(daemon.api(), &far, &id, &["paused"]).await;
    assert_eq!((&run["steps"]["message"]["items"]["succeeded"], far.ledger().len()), (&json!(6), 6));

    let list = folder.ask(daemon.url(), ["runs", "list", "--status", "paused", "--json"]).exits(0).json();
    assert_eq!(list["runs"][0]["id"], id.as_str());
    let shown = folder.ask(daemon.url(), ["runs", "show", &id]).exits(0).stdout;
    assert!(shown.contains("wrong list") && shown.contains(&format!("moltrun runs resume {id}")), "{shown}");
    let again = folder.ask(daemon.url(), ["runs", "pause", &id]).exits(2);
    assert!(again.stderr.contains("paused already"), "{again:?}");

    folder.ask(daemon.url(), ["runs", "resume", &id]).exits(0);
    let watched = folder.ask(daemon.url(), ["runs", "watch", &id]).exits(0);
    assert_eq!(watched.stdout, "message: 20 of 20 succeeded\ncast succeeded\n", "{watched:?}");
    folder.ask(daemon.url(), ["runs", "resume", &id]).exits(2);
    folder.ask(daemon.url(), ["runs", "pause", "01J00000000000000000000000"]).exits(3);
    folder.ask(daemon.url(), ["runs", "watch", "01J00000000000000000000000"]).exits(3);
}

/// Watching ends with the run's code.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_exits_as_the_run_does() {
    use crate::support::Answer;
    let far = GuideServer::start();
    let folder = Folder::new(far.address()).workflow("cast", &broadcast(1));
    people(&folder, 3);
    let daemon = Daemon::start(&folder);
    far.script([Answer::CutAfter]);
    let id = daemon.api().start("cast", &json!({})).await;
    let watched = folder.ask(daemon.url(), ["runs", "watch", &id]).exits(5);
    assert!(watched.stderr.contains(&format!("moltrun runs resolve {id} --step message --item 0")), "{watched:?}");
    folder.ask(daemon.url(), ["runs", "cancel", &id]).exits(0);
    folder.ask(daemon.url(), ["runs", "watch", &id]).exits(1);
}
