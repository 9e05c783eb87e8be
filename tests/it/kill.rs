//! `kill -9` in the middle of the load. After that every accepted message was sent exactly once, or its run is held
//! for a person; none is lost, none is sent twice.

use std::collections::{BTreeMap, BTreeSet};

use futures::FutureExt;

use crate::support::load;
use crate::support::{Api, Daemon, Folder, GuideServer, api};

const MESSAGES: usize = 1000;
const CLIENTS: usize = 32;

/// Runs between the model's answer and the proof that their send is journaled, at most.
const LEAD: usize = 32;

/// One send for each question, and a second one that tells the far side of the first: being at most once itself, it leaves
/// only after its own intention is journaled, and so after the first one's outcome.
const ANSWER_AND_TELL: &str = r#"
name: answer-each
triggers:
  - message: { session: support-team }
steps:
  - id: answer
    uses: ai.prompt
    with: { prompt: "{{ event.data.id }}: {{ event.data.body }}" }
  - id: reply
    uses: moltflow.send
    with:
      session: "{{ event.session }}"
      to: "{{ event.data.from }}"
      text: "{{ event.data.id }}: {{ steps.answer.text }}"
  - id: tell
    uses: moltflow.send
    with: { session: "{{ event.session }}", to: "{{ event.data.from }}", text: "sent {{ event.data.id }}" }
    on_unknown: resend
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_the_first_send() {
    killed_after(&[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_half_way() {
    killed_after(&[500]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again() {
    killed_after(&[20, 100, 3, 250, 1]).await;
}

/// Kills the daemon each time that many more messages have arrived, and starts it again.
async fn killed_after(more_sends: &[usize]) {
    let far = GuideServer::start();
    far.model_leads_by(LEAD);
    let folder = Folder::new(far.address()).workflow("answer-each", ANSWER_AND_TELL);
    let mut delivery = Delivery::of(load::ids(MESSAGES));
    for more in more_sends {
        let daemon = Daemon::start(&folder);
        let wanted = far.ledger().len() + more;
        let api = daemon.api().clone();
        let posting = tokio::spawn(load::post_all(api.clone(), delivery.open.clone(), CLIENTS));
        // Shared, because both branches below want what it gives.
        let posting = posting.map(Result::unwrap).shared();
        // When earlier kills held so many that the next one's turn cannot come, there is nothing left to kill.
        tokio::select! {
            () = far.ledger().arrived(wanted) => {
                daemon.kill();
                delivery.killed(posting.await, &far);
            }
            posted = async {
                let posted = posting.clone().await;
                api.settled(far.ledger()).await;
                posted
            } => {
                daemon.kill();
                delivery.killed(posted, &far);
            }
        }
    }
    let daemon = Daemon::start(&folder);
    delivery.finish(daemon.api()).await;
    audit(daemon.api(), &far, &delivery).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_taken_but_never_confirmed_is_held_and_not_sent_again() {
    let far = GuideServer::start();
    far.model_leads_by(LEAD);
    let folder = Folder::new(far.address()).workflow("answer-each", ANSWER_AND_TELL);
    let mut delivery = Delivery::of(load::ids(MESSAGES));
    // From the 200th on the far side takes messages and stays silent: the kill finds all of these in flight.
    let confirmed = 200;
    far.hold_answers_after(confirmed);
    let daemon = Daemon::start(&folder);
    let posting = tokio::spawn(load::post_all(daemon.api().clone(), delivery.open.clone(), CLIENTS));
    far.ledger().arrived(confirmed + 1).await;
    daemon.kill();
    delivery.killed(posting.await.unwrap(), &far);
    let in_flight: Vec<String> = far.ledger().messages()[confirmed..].iter().map(|sent| sent.text.clone()).collect();
    far.release_answers();

    let daemon = Daemon::start(&folder);
    delivery.finish(daemon.api()).await;
    let held = audit(daemon.api(), &far, &delivery).await;
    for text in &in_flight {
        assert!(held.contains(load::id_of(text)), "{text:?} was never confirmed, yet its run is not held");
    }
}

/// Webhooks until each has been answered 200, as MoltFlow redelivers them.
struct Delivery {
    all: Vec<String>,
    open: Vec<String>,
    /// Those whose send a kill may have interrupted: the model had answered, and that their send was journaled was not
    /// yet seen at the far side.
    exposed: BTreeSet<String>,
}

impl Delivery {
    fn of(all: Vec<String>) -> Self {
        Self { open: all.clone(), all, exposed: BTreeSet::new() }
    }

    /// What a daemon answered before it was killed, and what it was about then.
    fn killed(&mut self, posted: Vec<load::Posted>, far: &GuideServer) {
        self.close(posted);
        let exposed = far.take_unconfirmed();
        assert!(exposed.len() <= LEAD, "{} sends at once", exposed.len());
        self.exposed.extend(exposed);
    }

    /// Delivers what is open to a daemon that lives.
    async fn finish(&mut self, api: &Api) {
        let posted = load::post_all(api.clone(), self.open.clone(), CLIENTS).await;
        self.close(posted);
        assert_eq!(self.open, Vec::<String>::new(), "refused by a daemon that lives");
    }

    fn close(&mut self, posted: Vec<load::Posted>) {
        let answered: BTreeSet<String> =
            posted.into_iter().filter(|post| post.status == Some(200)).map(|post| post.id).collect();
        self.open.retain(|id| !answered.contains(id));
    }
}

/// Compares what the daemon says with what the far side received; the answer is the ids whose runs are held.
async fn audit(api: &Api, far: &GuideServer, delivery: &Delivery) -> BTreeSet<String> {
    let runs = api.settled(far.ledger()).await;
    assert_eq!(runs.len(), delivery.all.len(), "runs were lost or doubled: {:?}", api::by_status(&runs));
    let mut held = BTreeSet::new();
    for run in &runs {
        match run["status"].as_str() {
            Some("succeeded") => {}
            Some("attention") => {
                let run = api.run(run["id"].as_str().unwrap()).await;
                held.insert(run["event"]["data"]["id"].as_str().expect("a run shows its event").to_string());
            }
            _ => panic!("neither sent nor held: {run}"),
        }
    }
    let mut received = BTreeMap::<String, usize>::new();
    for (text, count) in far.ledger().by_text() {
        *received.entry(load::id_of(&text).to_string()).or_default() += count;
    }
    for id in &delivery.all {
        let count = received.get(id).copied().unwrap_or(0);
        match held.contains(id) {
            true => assert!(count <= 1, "{id} is held and was sent {count} times"),
            false => assert_eq!(count, 1, "{id} is said to be sent"),
        }
    }
    eprintln!("{:?}, {} received", api::by_status(&runs), far.ledger().len());
    // Only a send that a kill may have interrupted can be unknown: holding everything would be no proof of anything.
    let needless: Vec<_> = held.difference(&delivery.exposed).collect();
    assert!(needless.is_empty(), "held, though no kill can have interrupted their send: {needless:?}");
    held
}
