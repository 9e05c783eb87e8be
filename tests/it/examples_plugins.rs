//! The example workflows that use bundled plugins: leads, and answers under guard.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};

use crate::examples::{ONCALL, sent, shortened};
use crate::support::{Daemon, Folder, GuideServer, http_client, load, repository};

const CUSTOMER: &str = "15551234567@c.us";

/// A CRM that takes events, and keeps them with their headers.
#[derive(Clone)]
struct Crm {
    address: SocketAddr,
    told: Arc<Mutex<Vec<(HeaderMap, String)>>>,
}

impl Crm {
    async fn start() -> Self {
        let told: Arc<Mutex<Vec<(HeaderMap, String)>>> = Arc::default();
        let take = async |State(told): State<Arc<Mutex<Vec<_>>>>, headers: HeaderMap, body: String| {
            told.lock().unwrap().push((headers, body));
            StatusCode::ACCEPTED
        };
        let router = Router::new().route("/moltrun", post(take)).with_state(told.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, told }
    }
}

/// A folder with `lead-intake`, whose CRM is here. The plugin asks for the usual ports of webhooks, and those of tests are
/// chance: this one asks for it in the place of its longest.
fn leads(far: &GuideServer, crm: &Crm) -> Folder {
    let here = format!("http://{}", crm.address);
    let folder = shortened(far, "lead-intake", &[("https://hooks.crm.example", &here)]).configure(|config| {
        let place = crm.address.to_string();
        config["net"] = json!({"allow_private": [place]});
        config["grants"] =
            json!({"crm-webhook": {"http": [place], "secrets": ["CRM_WEBHOOK_TOKEN", "CRM_WEBHOOK_KEY"]}});
    });
    let mut bytes = std::fs::read(repository("plugins/dist/crm-webhook.wasm")).unwrap();
    let longest = b"*:10443";
    let at = bytes.windows(longest.len()).position(|window| window == longest).expect("it asks for this port");
    bytes[at..at + longest.len()].copy_from_slice(format!("*:{:0>5}", crm.address.port()).as_bytes());
    std::fs::create_dir(folder.path("plugins")).unwrap();
    std::fs::write(folder.path("plugins/crm-webhook.wasm"), bytes).unwrap();
    folder
}

async fn form(daemon: &Daemon, body: &Value) -> u16 {
    let body = body.to_string();
    let request = http_client().post(format!("{}/hooks/site/leads", daemon.url()));
    let request = request.header("content-type", "application/json");
    let request = request.header("x-webhook-signature", load::sign("site-signs-with-this", &body));
    request.body(body).send().await.unwrap().status().as_u16()
}

/// `workflows/lead-intake.yaml`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lead_intake_tells_of_hot_leads_and_greets_the_warm_ones_too() {
    let (far, crm) = (GuideServer::start(), Crm::start().await);
    let folder = leads(&far, &crm);
    let daemon = Daemon::start(&folder);
    let hello = |name: &str| format!("Hello {name}, thank you for your interest. When may we call you?");
    let desk = "Ana scores 75: has a team. +34612345678";
    let leads = [
        (
            json!({"id": "L-1", "name": "Ana", "phone": "612 34 56 78", "country": "es", "employees": 40}),
            vec![(ONCALL, desk.to_string()), ("34612345678@c.us", hello("Ana"))],
        ),
        (
            json!({"id": "L-2", "name": "Bo", "phone": "+34 612 345 679", "country": "ES"}),
            vec![("34612345679@c.us", hello("Bo"))],
        ),
        (json!({"id": "L-3", "name": "Cy", "phone": "612 345 670", "country": "FR"}), vec![]),
        (json!({"id": "L-4", "name": "Di", "phone": "by mail", "country": "ES", "employees": 90}), vec![]),
    ];
    let mut expected = Vec::new();
    for (body, messages) in leads {
        assert_eq!(form(&daemon, &body).await, 200);
        let runs = daemon.api().settled(far.ledger()).await;
        assert!(runs.iter().all(|run| run["status"] == "succeeded"), "{body}: {runs:#?}");
        expected.extend(messages.into_iter().map(|(to, text)| (to.to_string(), text)));
        let (mut found, mut wanted) = (sent(&far), expected.clone());
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted, "{body}");
    }
    let told = crm.told.lock().unwrap();
    let [(headers, body)] = &told[..] else { panic!("{told:?}") };
    let header = |name: &str| headers[name].to_str().unwrap();
    assert_eq!(header("authorization"), "Bearer crm-token-77aa");
    assert_eq!(header("x-webhook-signature"), format!("sha256={}", load::sign("crm-signs-with-this", body)));
    let event: Value = serde_json::from_str(body).unwrap();
    assert_eq!(event["data"], json!({"id": "L-1", "phone": "+34612345678", "score": 75}));
    assert_eq!((&event["event"], event["id"].as_str()), (&json!("lead.hot"), Some(header("idempotency-key"))));
}

/// `workflows/guarded-reply.yaml`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarded_reply_hides_from_the_model_and_holds_back_what_it_should_not_say() {
    let held = format!("An answer to {CUSTOMER} was held back: it holds email b***@shop.example.");
    for (body, says, to, text) in [
        ("Is 4111 1111 1111 1111 my card?", None, CUSTOMER, "You asked: Is [card] my card?"),
        ("Who helps?", Some("Write to help@shop.example."), CUSTOMER, "Write to help@shop.example."),
        ("Who is the boss?", Some("Write to boss@shop.example."), ONCALL, &*held),
    ] {
        let far = GuideServer::start();
        if let Some(says) = says {
            far.model_says(says);
        }
        let folder = shortened(&far, "guarded-reply", &[]);
        let event = folder.file("event.json", &load::message("M1", CUSTOMER, body).to_string());
        let event = event.to_str().unwrap();
        let run = folder.run(["run", "workflows/guarded-reply.yaml", "--event", event, "--json"]).exits(0).json();
        assert_eq!(run["status"], "succeeded", "{run:#}");
        assert_eq!(sent(&far), [(to.to_string(), text.to_string())], "{body}");
        let asked = far.model_asked();
        assert!(!format!("{asked:?}").contains("4111"), "{asked:?}");
    }
}
