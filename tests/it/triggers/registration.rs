//! The daemon's own webhook at MoltFlow.

use serde_json::{Value, json};

use crate::support::guide_server::API_KEY;
use crate::support::{Daemon, Folder, GuideServer, Reserved, http_client};

async fn webhooks(far: std::net::SocketAddr) -> Vec<Value> {
    let request = http_client().get(format!("http://{far}/api/v2/webhooks")).header("x-api-key", API_KEY);
    let list: Value = request.send().await.unwrap().json().await.unwrap();
    list.as_array().unwrap().clone()
}

fn with_address(far: std::net::SocketAddr) -> Folder {
    Folder::new(far).configure(|config| config["server"]["public_url"] = json!("https://bot.example.com/flows/"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_registered_once_and_found_after_a_restart() {
    let far = GuideServer::start();
    let folder = with_address(far.address());
    let daemon = Daemon::start(&folder);
    daemon.says("the webhook is registered at MoltFlow").await;
    daemon.kill();
    let daemon = Daemon::start(&folder);
    daemon.says("the webhook is registered at MoltFlow already").await;
    let webhooks = webhooks(far.address()).await;
    assert_eq!(webhooks.len(), 1, "{webhooks:#?}");
    assert_eq!(webhooks[0]["url"], "https://bot.example.com/flows/hooks/moltflow");
    assert_eq!(webhooks[0]["events"], json!(["message", "session_status", "group_join"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_far_side_that_is_down_delays_nothing_but_that() {
    let down = Reserved::new();
    let address = down.address();
    let folder = with_address(address);
    let daemon = Daemon::start(&folder);
    daemon.says("the webhook is not registered at MoltFlow yet").await;
    assert_eq!(daemon.api().ready().await.unwrap().status, 200);
    let far = down.open();
    daemon.says("the webhook is registered at MoltFlow").await;
    assert_eq!(webhooks(far.address()).await.len(), 1);
    assert!(!daemon.stderr().contains(API_KEY));
    assert_eq!(daemon.terminate(), Some(0));
}
