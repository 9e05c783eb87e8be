//! Back-pressure: when too much waits for a worker, webhooks are put off with 503 until it has drained. Nothing that was
//! accepted is lost over it, and nothing that was put off leaves a trace.

use serde_json::json;

use crate::support::api::Answered;
use crate::support::{Api, Daemon, Folder, GuideServer, load};

/// Of a large message: what waits is counted by its size, so that a few of these fill the queue.
const LARGE: usize = 1_000_000;

/// More than what is left of a queue in which there is no room for a large one.
const SMALL_ONES: usize = 1_000;

async fn post(api: &Api, id: &str, bytes: usize) -> Answered {
    let body = load::message(id, "15551234567@c.us", &"x".repeat(bytes));
    api.webhook(body.to_string(), None).await.unwrap()
}

/// Posts until one is put off; the answer is how many were accepted.
async fn fill(api: &Api, name: &str, bytes: usize, at_most: usize) -> usize {
    for count in 0..at_most {
        let answered = post(api, &format!("{name}-{count}"), bytes).await;
        if answered.status == 503 {
            let seconds = answered.retry_after.as_ref().map(|seconds| seconds.parse::<u32>());
            assert!(matches!(seconds, Some(Ok(1..=60))), "{answered:?}");
            return count;
        }
        assert_eq!((answered.status, answered.body), (200, json!({"accepted": 1})));
    }
    panic!("{at_most} messages of {bytes} bytes were accepted, and nothing was worked on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_puts_webhooks_off_and_takes_them_again_when_it_drains() {
    let far = GuideServer::start();
    let folder = Folder::new(far.address())
        .configure(|config| config["engine"] = json!({"workers": 1}))
        .workflow("ask", load::ASK_AND_SEND);
    far.model_answers(false);
    let daemon = Daemon::start(&folder);
    let api = daemon.api();
    assert_eq!(api.ready().await.unwrap().status, 200);

    let large = fill(api, "large", LARGE, 400).await;
    let small = fill(api, "small", 10, SMALL_ONES).await;
    let ready = api.ready().await.unwrap();
    assert_eq!((ready.status, ready.retry_after.is_some()), (503, true), "{ready:?}");
    assert_eq!(far.ledger().len(), 0);

    far.model_answers(true);
    let runs = api.settled(far.ledger()).await;
    assert!(runs.iter().all(|run| run["status"] == "succeeded"), "{:?}", crate::support::api::by_status(&runs));
    assert_eq!(runs.len(), large + small);
    assert_eq!(api.ready().await.unwrap().status, 200);
    // The very one that was put off is as welcome as any.
    let again = post(api, &format!("large-{large}"), LARGE).await;
    assert_eq!((again.status, again.body), (200, json!({"accepted": 1})));
    far.ledger().arrived(large + small + 1).await;
    assert!(far.ledger().by_text().values().all(|count| *count == 1));
}
