//! Four workflows that every message starts at once, messages until each is answered, and the account of what came of them.
//!
//! Each run's sends can be told apart at the far side by workflow, message and row, so that the account closes: nothing
//! twice, nothing lost, nothing that nobody asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use futures::StreamExt;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Api, Folder, GuideServer, api, load};

/// Runs that the daemon works on at once: what a kill can interrupt is bounded by it.
pub const WORKERS: usize = 8;

/// Webhooks in flight at once.
const CLIENTS: usize = 6;

const ROWS: usize = 3;

/// Name, and the workflow without name and trigger.
const WORKFLOWS: [(&str, &str); 4] = [
    (
        "answer",
        r#"
  - id: question
    uses: filter
    with: { when: "'?' in event.data.body" }
  - id: answer
    uses: ai.prompt
    with: { prompt: "{{ event.data.body }}" }
    retry: { attempts: 100, initial: 5ms, max: 20ms }
  - id: reply
    uses: moltflow.send
    with: { session: "{{ event.session }}", to: "{{ event.data.from }}", text: "answer {{ event.data.id }}" }
"#,
    ),
    (
        "each",
        r#"
  - id: people
    uses: data.read
    with: { path: people.csv }
  - id: message
    uses: moltflow.send
    for_each: { in: steps.people, concurrency: 2 }
    with: { session: "{{ event.session }}", to: "{{ item.chat }}", text: "each {{ event.data.id }} {{ item.row }}" }
"#,
    ),
    (
        "later",
        r#"
  - id: pause
    uses: wait
    with: { for: 150ms }
  - id: reply
    uses: moltflow.send
    with: { session: "{{ event.session }}", to: "{{ event.data.from }}", text: "later {{ event.data.id }}" }
"#,
    ),
    (
        "told",
        r#"
  - id: ask
    uses: ai.prompt
    with: { prompt: "{{ event.data.body }}" }
    retry: { attempts: 100, initial: 5ms, max: 20ms }
  - id: reply
    uses: moltflow.send
    with: { session: "{{ event.session }}", to: "{{ event.data.from }}", text: "told {{ event.data.id }} first" }
  - id: again
    uses: moltflow.send
    with: { session: "{{ event.session }}", to: "{{ event.data.from }}", text: "told {{ event.data.id }} second" }
"#,
    ),
];

/// The texts that one run of `workflow` sends.
fn texts(workflow: &str, id: &str) -> Vec<String> {
    match workflow {
        "each" => (0..ROWS).map(|row| format!("each {id} {row}")).collect(),
        "told" => ["first", "second"].map(|which| format!("told {id} {which}")).to_vec(),
        _ => vec![format!("{workflow} {id}")],
    }
}

/// Messages, and what each delivery of them was answered.
#[derive(Default)]
pub struct Fleet {
    answers: BTreeMap<String, Vec<Option<Value>>>,
    open: BTreeSet<String>,
}

/// What the account came to.
#[derive(Debug)]
pub struct Account {
    pub messages: usize,
    /// Runs that wait for a person.
    pub held: usize,
}

impl Fleet {
    /// A folder whose daemon serves the four workflows.
    pub fn folder(far: SocketAddr) -> Folder {
        let folder = Folder::new(far).configure(|config| config["engine"] = json!({"workers": WORKERS}));
        let rows: String = (0..ROWS).map(|row| format!("1555123000{row}@c.us,{row}\n")).collect();
        folder.file("workflows/people.csv", &format!("chat,row\n{rows}"));
        WORKFLOWS.into_iter().fold(folder, |folder, (name, steps)| {
            folder.workflow(name, &format!("name: {name}\ntriggers:\n  - message: {{}}\nsteps:{steps}"))
        })
    }

    /// Delivers what is open and `new` messages, once each; `taken` counts the answers with 200.
    pub fn post(&mut self, api: &Api, new: usize, taken: watch::Sender<usize>) -> Posting {
        let known = self.answers.len();
        for number in known..known + new {
            let id = format!("3EB0{number:06X}");
            self.open.insert(id.clone());
            self.answers.insert(id, Vec::new());
        }
        let api = api.clone();
        let ids: Vec<String> = self.open.iter().cloned().collect();
        tokio::spawn(async move {
            let posts = futures::stream::iter(ids).map(|id| {
                let (api, taken) = (api.clone(), taken.clone());
                async move {
                    let answered = api.webhook(load::question(&id).to_string(), None).await.ok();
                    if answered.as_ref().is_some_and(|answered| answered.status == 200) {
                        taken.send_modify(|count| *count += 1);
                    }
                    (id, answered)
                }
            });
            posts.buffer_unordered(CLIENTS).collect().await
        })
    }

    /// What became of a delivery: whatever has no 200 is delivered again, as MoltFlow does.
    pub async fn posted(&mut self, posting: Posting) {
        for (id, answered) in posting.await.unwrap() {
            let answer = answered.and_then(|answered| match answered.status {
                200 => Some(answered.body["accepted"].clone()),
                503 => None,
                _ => panic!("{id}: neither accepted nor put off: {answered:?}"),
            });
            if answer.is_some() {
                self.open.remove(&id);
            }
            self.answers.get_mut(&id).unwrap().push(answer);
        }
    }

    /// Delivers what is open to a daemon that lives and has nothing else to do.
    pub async fn finish(&mut self, api: &Api) {
        let posting = self.post(api, 0, watch::Sender::new(0));
        self.posted(posting).await;
        assert!(self.open.is_empty(), "refused by a daemon that lives: {:?}", self.open);
    }

    /// Waits until all runs have settled, and compares what the daemon says with what the far side received.
    pub async fn account(&self, api: &Api, far: &GuideServer) -> Account {
        for (id, answers) in &self.answers {
            self.check_answers(id, answers);
        }
        let runs = api.settled(far.ledger()).await;
        let mut by_workflow = BTreeMap::<&str, usize>::new();
        let mut held = BTreeSet::new();
        for run in &runs {
            *by_workflow.entry(run["workflow"].as_str().unwrap()).or_default() += 1;
            match run["status"].as_str() {
                Some("succeeded") => {}
                Some("attention") => {
                    let run = api.run(run["id"].as_str().unwrap()).await;
                    assert!(says_why(&run), "it waits for a person and does not say why: {run:#}");
                    let id = run["event"]["data"]["id"].as_str().expect("a run shows its event");
                    held.insert((run["workflow"].as_str().unwrap().to_string(), id.to_string()));
                }
                _ => panic!("neither done nor held: {:#}", api.run(run["id"].as_str().unwrap()).await),
            }
        }
        let wanted: BTreeMap<&str, usize> = WORKFLOWS.iter().map(|(name, _)| (*name, self.answers.len())).collect();
        assert_eq!(by_workflow, wanted, "runs were lost or doubled");
        let mut received = far.ledger().by_text();
        for (workflow, _) in WORKFLOWS {
            for id in self.answers.keys() {
                let is_held = held.contains(&(workflow.to_string(), id.clone()));
                for text in texts(workflow, id) {
                    match (received.remove(&text).unwrap_or(0), is_held) {
                        (1, _) | (0, true) => {}
                        (count, true) => panic!("{text:?}: its run is held, and it was sent {count} times"),
                        (count, false) => panic!("{text:?}: its run is done, and it was sent {count} times"),
                    }
                }
            }
        }
        assert!(received.is_empty(), "sent, though nobody asked for it: {received:?}");
        Account { messages: self.answers.len(), held: held.len() }
    }

    /// All four runs of a message are accepted by one answer, or were by one that got lost.
    fn check_answers(&self, id: &str, answers: &[Option<Value>]) {
        let taken: Vec<u64> = answers.iter().flatten().map(|accepted| accepted.as_u64().unwrap()).collect();
        match taken[..] {
            [4] => {}
            [0] if answers.contains(&None) => {}
            _ => panic!("{id} was answered {answers:?}"),
        }
    }
}

pub type Posting = tokio::task::JoinHandle<Vec<(String, Option<api::Answered>)>>;

/// Whether a step of the run is held and a person can read why.
fn says_why(run: &Value) -> bool {
    let mut steps = run["steps"].as_object().unwrap().values();
    steps.any(|step| step["status"] == "held" && step["error"]["message"].as_str().is_some_and(|why| !why.is_empty()))
}
