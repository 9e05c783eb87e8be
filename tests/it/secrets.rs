//! What is secret is used and never shown: not in the log at its most talkative, the journal, the API, the commands or
//! `/metrics`, whatever goes wrong.

use std::path::Path;

use reqwest::Method;
use serde_json::json;

use crate::examples::shortened;
use crate::support::guide_server::{EMAIL, MODEL_KEY, PASSWORD};
use crate::support::shop::{self, Shop};
use crate::support::{Answer, Daemon, Folder, GuideServer, http_client, load};

const HOOK_SECRET: &str = "whsec-planted-77";
const SHOP_SECRET: &str = "shop-planted-78";
const API_TOKEN: &str = "api-planted-79";

/// The far side's own: what it gives out for the password.
const TOKENS: [&str; 3] = ["access-login-", "access-refresh-", "refresh-me"];

/// Uses every credential there is, twice where the far side refuses them at first.
const ALL: &str = r#"
name: all
triggers:
  - message: { session: support-team }
  - webhook: { path: shop, secret: shop }
  - session_events: { session: support-team }
steps:
  - id: answer
    uses: ai.prompt
    with: { prompt: "Hello" }
    retry: { attempts: 3, initial: 1ms }
  - id: order
    uses: http
    needs: []
    with: { url: "http://SHOP/api/orders/A-7", auth: shop }
  - id: refused
    uses: http
    needs: []
    with: { url: "http://SHOP/api/nothing", auth: shop }
  - id: elsewhere
    uses: http
    needs: []
    with: { url: "http://FAR/api/v2/sessions", auth: shop }
  - id: send
    needs: [answer, order, refused.error, elsewhere.error]
    uses: moltflow.send
    with: { session: support-team, to: 15551234567@c.us, text: "{{ steps.answer.text }}" }
    retry: { attempts: 3, initial: 1ms }
  - id: asked
    uses: moltflow.request
    with: { path: /sessions }
"#;

fn planted() -> Vec<&'static str> {
    let mut planted = vec![PASSWORD, HOOK_SECRET, SHOP_SECRET, API_TOKEN, MODEL_KEY, shop::TOKEN];
    planted.extend(TOKENS);
    planted
}

#[track_caller]
fn holds_none(what: &str, bytes: &[u8]) {
    for secret in planted() {
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{what} holds {secret:?}");
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file() && !path.ends_with("moltrun.yaml")).collect()
}

async fn asked(daemon: &Daemon, method: Method, path: &str) -> String {
    let request = http_client().request(method, format!("{}{path}", daemon.url())).bearer_auth(API_TOKEN);
    request.send().await.unwrap().text().await.unwrap()
}

fn planting(far: &GuideServer, shop: &Shop) -> Folder {
    let text = ALL.replace("SHOP", &shop.address().to_string()).replace("FAR", &far.address().to_string());
    Folder::new(far.address()).workflow("all", &text).configure(|config| {
        let base_url = config["moltflow"]["base_url"].clone();
        config["moltflow"] =
            json!({"base_url": base_url, "email": EMAIL, "password": PASSWORD, "webhook_secret": HOOK_SECRET});
        config["server"]["token"] = json!(API_TOKEN);
        config["secrets"] = json!({"shop": SHOP_SECRET});
        config["credentials"] = json!({"shop": {"bearer": shop::TOKEN, "allow": [shop.address().to_string()]}});
        config["net"] = json!({"allow_private": [shop.address().to_string(), far.address().to_string()]});
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_logged_journaled_or_answered() {
    let (far, shop) = (GuideServer::start(), Shop::start().await);
    shop.order_is("A-7", ["paid"]);
    let folder = planting(&far, &shop);
    let mut command = folder.command(["-vv", "serve"]);
    let daemon = Daemon::of(command.env("RUST_LOG", "trace"));

    // What goes wrong is talkative: a model that fails, a refused send, a revoked token, a bad signature.
    far.model_fails_with([500, 401]);
    far.script([Answer::Refused { status: 403, error_code: "PLAN_LIMIT_REACHED" }, Answer::Garbage]);
    for number in 0..4 {
        let body = load::question(&format!("M{number}")).to_string();
        let signed = daemon.api().webhook(body.clone(), Some(load::sign(HOOK_SECRET, &body))).await.unwrap();
        assert_eq!(signed.status, 200, "{}", signed.body);
        far.revoke_tokens();
    }
    let unsigned = daemon.api().webhook(load::question("M9").to_string(), None).await.unwrap();
    assert_eq!(unsigned.status, 401);
    let order = json!({"id": "A-7", "token": "mine"}).to_string();
    let hook = http_client().post(format!("{}/hooks/shop?key={SHOP_SECRET}", daemon.url()));
    let hook = hook.header("authorization", format!("Bearer {SHOP_SECRET}")).header("x-api-key", SHOP_SECRET);
    let hook = hook.header("x-webhook-signature", load::sign(SHOP_SECRET, &order)).body(order);
    let hook = hook.header("content-type", "application/json").send().await.unwrap().status();
    assert_eq!(hook, 200);

    // Five runs by webhooks, and those of the stream.
    let ids = loop {
        let runs: serde_json::Value = serde_json::from_str(&asked(&daemon, Method::GET, "/api/v1/runs").await).unwrap();
        let runs = runs["runs"].as_array().unwrap().clone();
        let rests = |run: &serde_json::Value| {
            ["succeeded", "failed", "attention"].contains(&run["status"].as_str().unwrap_or_default())
        };
        if runs.len() >= 6 && runs.iter().all(rests) {
            break runs.iter().map(|run| run["id"].as_str().unwrap().to_string()).collect::<Vec<_>>();
        }
        tokio::task::yield_now().await;
    };
    let mut routes: Vec<String> = ["workflows", "workflows/all", "runs", "attention", "schedules", "senders"]
        .map(|route| format!("/api/v1/{route}"))
        .to_vec();
    routes.extend(["/metrics", "/healthz", "/readyz", "/nowhere"].map(str::to_string));
    routes.extend(ids.iter().flat_map(|id| [format!("/api/v1/runs/{id}"), format!("/api/v1/runs/{id}/journal")]));
    for route in routes {
        holds_none(&route, asked(&daemon, Method::GET, &route).await.as_bytes());
    }
    for arguments in [vec!["doctor"], vec!["doctor", "--json"], vec!["runs", "list"], vec!["senders"], vec!["validate"]]
    {
        let mut command = folder.command(&arguments);
        let output = command.env("RUST_LOG", "trace").env("MOLTRUN_SERVER__LISTEN", listens(&daemon)).output().unwrap();
        holds_none(&format!("stdout of {arguments:?}"), &output.stdout);
        holds_none(&format!("stderr of {arguments:?}"), &output.stderr);
    }
    let log = daemon.stderr();
    assert!(log.contains("TRACE") && log.len() > 10_000, "the log is not talkative:\n{log}");
    assert!(far.authentications().0 > 0 && !far.model_asked().is_empty() && !shop.asked().is_empty());
    holds_none("the log", log.as_bytes());
    assert_eq!(daemon.terminate(), Some(0));
    for file in files(folder.path("").as_path()) {
        holds_none(&file.display().to_string(), &std::fs::read(&file).unwrap());
    }
}

fn listens(daemon: &Daemon) -> String {
    daemon.url().trim_start_matches("http://").to_string()
}

/// The examples hold none either: they name what the configuration holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_with_a_mistake_does_not_print_its_secrets() {
    let far = GuideServer::start();
    let folder = shortened(&far, "payment-follow-up", &[]).configure(|config| {
        config["moltflow"]["api_key"] = json!(["molt-planted-80"]);
        config["server"]["tokn"] = json!("tokn-planted-81");
        config["secrets"]["shop"] = json!({"value": "shop-planted-82"});
    });
    let finished = folder.run(["validate"]).exits(2);
    for planted in ["molt-planted-80", "tokn-planted-81", "shop-planted-82"] {
        assert!(!finished.stderr.contains(planted) && !finished.stdout.contains(planted), "{finished:#?}");
    }
}
