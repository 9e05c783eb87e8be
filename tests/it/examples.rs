//! Each file of `workflows/` through the real program: what it sends, to whom, on every branch.

use serde_json::{Value, json};

use crate::support::folder::Finished;
use crate::support::shop;
use crate::support::{Answer, Daemon, Folder, GuideServer, load, repository};

pub const ONCALL: &str = "15551230000@c.us";
const CUSTOMER: &str = "15551234567@c.us";
const WATCHED: &str = "120363012345678901@g.us";

/// A folder whose workflows are those of the repository, with the names that they need in its configuration.
pub fn folder(far: &GuideServer) -> Folder {
    named(Folder::new(far.address())).configure(|config| config["workflows"] = json!(repository("workflows")))
}

/// A folder with one of them alone, in which `changes` stand for what takes too long or is elsewhere.
pub fn shortened(far: &GuideServer, workflow: &str, changes: &[(&str, &str)]) -> Folder {
    let mut text = std::fs::read_to_string(repository("workflows").join(format!("{workflow}.yaml"))).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{workflow} has no {from:?} any more");
        text = text.replace(from, to);
    }
    named(Folder::new(far.address())).workflow(workflow, &text)
}

/// The names of the examples.
pub fn named(folder: Folder) -> Folder {
    folder.configure(|config| {
        config["secrets"] = json!({
            "shop": "shop-signs-with-this",
            "site": "site-signs-with-this",
            "CRM_WEBHOOK_TOKEN": "crm-token-77aa",
            "CRM_WEBHOOK_KEY": "crm-signs-with-this",
        });
        config["credentials"] = json!({"shop": {"bearer": shop::TOKEN, "allow": ["shop.example.com"]}});
    })
}

fn run(folder: &Folder, file: &str, event: &Value) -> Finished {
    let event = folder.file("event.json", &event.to_string());
    let file = repository("workflows").join(file);
    folder.run(["run".as_ref(), file.as_os_str(), "--event".as_ref(), event.as_os_str(), "--json".as_ref()])
}

/// The receiver and text of each message, in the order of arrival.
pub fn sent(far: &GuideServer) -> Vec<(String, String)> {
    far.ledger().messages().into_iter().map(|message| (message.to, message.text)).collect()
}

/// The status and port of each step, `-` for a port that is none.
fn steps(run: &Value) -> Vec<String> {
    let steps = run["steps"].as_object().expect("`steps` is an object");
    let word = |value: &Value| value.as_str().unwrap_or("-").to_string();
    steps.iter().map(|(id, step)| format!("{id} {} {}", word(&step["status"]), word(&step["port"]))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn support_reply_takes_each_of_its_branches() {
    let urgent = "URGENT: the shop is down, can I get a refund?";
    let paged = format!("Urgent from {CUSTOMER}: {urgent}");
    let answered = [
        "question succeeded ok",
        "intent succeeded ok",
        "route succeeded else",
        "page skipped -",
        "answer succeeded ok",
        "reply succeeded ok",
    ];
    let handed_over = [
        "question succeeded ok",
        "intent succeeded ok",
        "route succeeded urgent",
        "page succeeded ok",
        "answer skipped -",
        "reply skipped -",
    ];
    let left_alone = [
        "question succeeded rejected",
        "intent skipped -",
        "route skipped -",
        "page skipped -",
        "answer skipped -",
        "reply skipped -",
    ];
    let cases = [
        ("Where is my order?", Some((CUSTOMER, "You asked: Where is my order?")), answered),
        (urgent, Some((ONCALL, &*paged)), handed_over),
        // One of the three words is not urgent yet.
        ("Can I get a refund?", Some((CUSTOMER, "You asked: Can I get a refund?")), answered),
        ("Thank you.", None, left_alone),
    ];
    for (body, message, expected) in cases {
        let far = GuideServer::start();
        let folder = folder(&far);
        let event = load::message("M1", CUSTOMER, body);
        let run = run(&folder, "support-reply.yaml", &event).exits(0).json();
        assert_eq!((&run["status"], &run["workflow"]), (&json!("succeeded"), &json!("support-reply")), "{run:#}");
        assert_eq!(steps(&run), expected, "{body}");
        let message = message.map(|(to, text)| (to.to_string(), text.to_string()));
        assert_eq!(sent(&far), Vec::from_iter(message), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn support_reply_remembers_what_was_said_in_the_chat() {
    let far = GuideServer::start();
    let folder = folder(&far);
    let daemon = Daemon::start(&folder);
    let written =
        [("M1", CUSTOMER, "Do you have tea?"), ("M2", CUSTOMER, "Which?"), ("M3", "15559876543@c.us", "Open?")];
    for (id, from, body) in written {
        daemon.api().webhook(load::message(id, from, body).to_string(), None).await.unwrap();
        daemon.api().settled(far.ledger()).await;
    }
    let said = |messages: &[Value]| messages.iter().map(|one| one["content"].clone()).collect::<Vec<_>>();
    let asked: Vec<_> = far.model_asked().iter().map(|messages| said(&messages[1..])).collect();
    let first = json!("Do you have tea?");
    assert_eq!(
        asked,
        [vec![first.clone()], vec![first, json!("You asked: Do you have tea?"), json!("Which?")], vec![json!("Open?")]]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_alert_pages_for_trouble_in_the_watched_group_only() {
    let cases = [
        (WATCHED, "The bot is DOWN again", Some("Trouble in 120363012345678901@g.us (score 1): The bot is DOWN again")),
        (WATCHED, "Lunch?", None),
        // A keyword is a word, not a part of one.
        (WATCHED, "I am downloading the debugger", None),
        ("120363099999999999@g.us", "urgent: help", None),
    ];
    for (group, body, page) in cases {
        let far = GuideServer::start();
        let folder = folder(&far);
        let run = run(&folder, "group-alert.yaml", &load::message("M1", group, body)).exits(0).json();
        assert_eq!(run["status"], "succeeded", "{run:#}");
        let page = page.map(|text| (ONCALL.to_string(), text.to_string()));
        assert_eq!(sent(&far), Vec::from_iter(page), "{group}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_alert_pages_again_when_a_page_may_be_lost() {
    let far = GuideServer::start();
    let folder = folder(&far);
    far.script([Answer::CutBefore]);
    let event = load::message("M1", WATCHED, "help");
    run(&folder, "group-alert.yaml", &event).exits(0);
    assert_eq!((far.send_requests(), far.ledger().len()), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weekly_broadcast_sends_each_row_its_own_message() {
    let far = GuideServer::start();
    let folder = folder(&far);
    let monday = json!({"scheduled_at": "2026-01-26T08:00:00Z"});
    let run = run(&folder, "weekly-broadcast.yaml", &monday).exits(0).json();

    let mut rows = csv::Reader::from_path(repository("workflows/recipients.csv")).unwrap();
    let mut expected: Vec<(String, String)> = rows
        .records()
        .map(|row| {
            let row = row.unwrap();
            let (phone, name, course, day) = (&row[0], &row[1], &row[2], &row[3]);
            let text = format!("Good morning {name}! Your {course} class is this {day}. Reply STOP to opt out.");
            (format!("{}@c.us", phone.trim_start_matches('+')), text)
        })
        .collect();
    assert_eq!(expected.len(), 5);
    expected.push((ONCALL.to_string(), "Weekly broadcast: 5 of 5 sent.".to_string()));
    assert_eq!(sent(&far), expected, "one message for each row, in the order of the file, and the summary");

    let output = &run["steps"]["message"]["output"];
    for (count, expected) in [("total", 5), ("succeeded", 5), ("failed", 0), ("skipped", 0), ("unknown", 0)] {
        assert_eq!(output[count], expected, "{count}: {run:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weekly_broadcast_sends_nobody_two_messages_in_a_week() {
    let far = GuideServer::start();
    let folder = folder(&far);
    let plan = |folder: &Folder| {
        let file = repository("workflows").join("weekly-broadcast.yaml");
        folder.run(["plan".as_ref(), file.as_os_str(), "--json".as_ref()]).exits(0).json()
    };
    let before = plan(&folder);
    assert_eq!((&before["recipients"], &before["messages"], far.send_requests()), (&json!(5), &json!(6), 0));

    let daemon = Daemon::start(&folder);
    let first = daemon.api().start("weekly-broadcast", &json!({})).await;
    daemon.api().reaches(&first, "succeeded").await;
    assert_eq!(sent(&far).len(), 6);
    let again = plan(&folder);
    assert_eq!((&again["excluded"], &again["messages"]), (&json!({"once": 5}), &json!(1)), "{again:#}");

    let second = daemon.api().start("weekly-broadcast", &json!({})).await;
    let run = daemon.api().reaches(&second, "succeeded").await;
    assert_eq!(run["steps"]["message"]["output"]["reasons"], json!({"once": 5}), "{run:#}");
    let told = sent(&far);
    assert_eq!((told.len(), &*told[6].1), (7, "Weekly broadcast: 0 of 5 sent, 5 once."));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_goes_on_past_a_recipient_that_fails_and_holds_one_that_is_unknown() {
    let far = GuideServer::start();
    let folder = folder(&far);
    far.script([Answer::Refused { status: 400, error_code: "INVALID_CHAT_ID" }, Answer::CutAfter]);
    let monday = json!({"scheduled_at": "2026-01-26T08:00:00Z"});
    let run = run(&folder, "weekly-broadcast.yaml", &monday).exits(5).json();
    assert_eq!(run["status"], "attention", "{run:#}");
    // The first was refused; the second was taken, though nobody knows; the other three are as ever.
    assert_eq!((far.send_requests(), far.ledger().len()), (5, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_them_serve_together() {
    let far = GuideServer::start();
    let folder = folder(&far);
    let daemon = Daemon::start(&folder);
    let messages = [
        load::message("M1", CUSTOMER, "Where is my order?"),
        load::message("M2", WATCHED, "The bot is down"),
        load::message("M3", WATCHED, "Lunch?"),
    ];
    for message in messages {
        let answered = daemon.api().webhook(message.to_string(), None).await.unwrap();
        // Each message is for one of the two: a contact's for support-reply, a group's for group-alert.
        assert_eq!((answered.status, answered.body), (200, json!({"accepted": 1})), "{message}");
    }
    let runs = daemon.api().settled(far.ledger()).await;
    assert!(runs.iter().all(|run| run["status"] == "succeeded"), "{runs:#?}");
    let mut receivers: Vec<String> = sent(&far).into_iter().map(|(to, _)| to).collect();
    receivers.sort();
    assert_eq!(receivers, [ONCALL, CUSTOMER]);
}

/// `workflows/appointment-reminder.yaml`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appointment_reminder_waits_for_each_answer() {
    let far = GuideServer::start();
    let folder = folder(&far);
    let daemon = Daemon::start(&folder);
    let mut rows = csv::Reader::from_path(repository("workflows/appointments.csv")).unwrap();
    let patients: Vec<(String, String)> = rows
        .records()
        .map(|row| row.unwrap())
        .map(|row| (format!("{}@c.us", row[0].trim_start_matches('+')), row[1].to_string()))
        .collect();
    let id = daemon.api().start("appointment-reminder", &json!({})).await;
    far.ledger().arrived(patients.len()).await;
    let asked: Vec<String> = sent(&far).into_iter().map(|(to, _)| to).collect();
    assert!(patients.iter().all(|(chat, _)| asked.contains(chat)), "{asked:?}");
    let waiting = daemon.api().reaches(&id, "waiting").await;
    assert_eq!(waiting["steps"]["reminders"]["items"]["total"], 3, "{waiting:#}");

    // Only words of those who were asked are answers, and the last is no yes.
    let stranger = load::message("M0", CUSTOMER, "yes");
    assert_eq!(daemon.api().webhook(stranger.to_string(), None).await.unwrap().body["delivered"], Value::Null);
    for (number, ((chat, _), body)) in patients.iter().zip(["Yes!", "YES please", "I moved away"]).enumerate() {
        let answer = load::message(&format!("A{number}"), chat, body);
        let answered = daemon.api().webhook(answer.to_string(), None).await.unwrap();
        assert_eq!((answered.status, &answered.body["delivered"]), (200, &json!(1)), "{body}");
    }
    let run = daemon.api().reaches(&id, "succeeded").await;
    assert_eq!(run["steps"]["reminders"]["output"]["collected"], json!(["agreed", "agreed", "else"]), "{run:#}");
    let mut told = sent(&far)[3..].to_vec();
    told.sort();
    assert_eq!(
        told[0],
        (ONCALL.to_string(), "Chidi, Dr. (+15551230003), Tuesday 11:00: said I moved away".to_string())
    );
    assert!(told[1].1.starts_with("Thank you, Ana.") && told[2].1.starts_with("Thank you, Bela."), "{told:?}");

    // Nobody is reminded of the same appointment again; nobody answers, either, so the run waits.
    let again = daemon.api().start("appointment-reminder", &json!({})).await;
    let run = daemon.api().reaches(&again, "succeeded").await;
    assert_eq!(run["steps"]["reminders"]["output"]["skipped"], 3, "{run:#}");
    assert_eq!(sent(&far).len(), 6);
}

/// `workflows/announcement.yaml`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn announcement_is_sent_only_when_a_person_says_yes() {
    let far = GuideServer::start();
    let folder = folder(&far);
    let daemon = Daemon::start(&folder);
    let inputs = json!({"text": "We are closed on Friday."});

    let id = daemon.api().start("announcement", &inputs).await;
    daemon.api().reaches(&id, "waiting").await;
    let word = ["runs", "approve", &id, "--step", "approval", "--reject", "--by", "ana", "--comment", "too long"];
    folder.ask(daemon.url(), word).exits(0);
    let run = daemon.api().reaches(&id, "failed").await;
    assert_eq!(run["steps"]["withdrawn"]["error"]["message"], "ana said no: too long", "{run:#}");
    assert_eq!(sent(&far), []);

    let id = daemon.api().start("announcement", &inputs).await;
    daemon.api().reaches(&id, "waiting").await;
    folder.ask(daemon.url(), ["runs", "approve", &id, "--step", "approval"]).exits(0);
    let run = daemon.api().reaches(&id, "succeeded").await;
    assert_eq!((&run["output"], sent(&far).len()), (&json!({"number": 1}), 5), "{run:#}");
    assert!(sent(&far).iter().all(|(_, text)| text == "No. 1: We are closed on Friday."));
}
