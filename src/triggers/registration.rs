//! The daemon's own webhook at MoltFlow: registered once, and found again after a restart.
//!
//! What is registered is looked up before anything is created, each time anew: a create whose outcome is unknown (a cut
//! connection, a 5xx) is not repeated before the list says that nothing came of it. Where the address is registered for some of
//! the events only, it is registered once more, for the others alone, so that no event is delivered twice.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::base::limits;
use crate::engine::backoff::pause_ms;
use crate::engine::ports::Clock;
use crate::lang::workflow::Retry;
use crate::moltflow::event::KINDS;
use crate::moltflow::{ApiError, MoltFlow, Webhook};
use crate::net::Url;

/// Where this daemon takes MoltFlow's events, after `server.public_url`.
pub const PATH: &str = "/hooks/moltflow";

/// What MoltFlow has of this daemon's webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Those of its address.
    pub webhooks: Vec<Webhook>,
    /// Events that none of them is for.
    pub missing: Vec<&'static str>,
}

impl Registered {
    /// Reads a list of webhooks for those of `url`.
    pub fn of(webhooks: Vec<Webhook>, url: &str) -> Self {
        let address = address(url);
        let webhooks: Vec<Webhook> =
            webhooks.into_iter().filter(|webhook| self::address(&webhook.url) == address).collect();
        let is_there = |kind: &str| webhooks.iter().any(|webhook| webhook.events.iter().any(|event| event == kind));
        let missing = KINDS.into_iter().filter(|kind| !is_there(kind)).collect();
        Self { webhooks, missing }
    }
}

/// What is equal for URLs that lead to one place: the case of a host, a port that goes without saying and a slash at the end
/// make no difference. What is no URL is compared as it stands.
fn address(url: &str) -> String {
    let url = Url::parse(url).map_or_else(|_| url.to_string(), String::from);
    url.trim_end_matches('/').to_string()
}

/// The two calls this takes.
pub trait Registry: Send + Sync + 'static {
    fn webhooks(&self) -> BoxFuture<'_, Result<Vec<Webhook>, ApiError>>;

    fn create<'a>(&'a self, url: &'a str, events: &'a [&'a str]) -> BoxFuture<'a, Result<Webhook, ApiError>>;
}

impl Registry for MoltFlow {
    fn webhooks(&self) -> BoxFuture<'_, Result<Vec<Webhook>, ApiError>> {
        Box::pin(self.list_webhooks())
    }

    fn create<'a>(&'a self, url: &'a str, events: &'a [&'a str]) -> BoxFuture<'a, Result<Webhook, ApiError>> {
        Box::pin(self.create_webhook(url, events))
    }
}

/// Sees to it that MoltFlow delivers to `url`, however long that takes, until the daemon stops.
pub async fn register(
    registry: Arc<dyn Registry>,
    url: String,
    clock: Arc<dyn Clock>,
    mut stopping: watch::Receiver<bool>,
) {
    let registering = async {
        let mut failures = 0;
        let mut complaint = String::new();
        while let Err(error) = once(&*registry, &url).await {
            failures += 1;
            let pause_ms = pause(failures, &error, &*clock);
            let why = error.to_string();
            if why == complaint {
                tracing::debug!(url, error = why, pause_ms, "the webhook is not registered yet");
            } else {
                tracing::warn!(
                    url,
                    error = why,
                    pause_ms,
                    "the webhook is not registered at MoltFlow yet; it is tried again"
                );
                complaint = why;
            }
            clock.pause(pause_ms).await;
        }
    };
    tokio::select! {
        biased;
        _ = stopping.wait_for(|stopping| *stopping) => {}
        () = registering => {}
    }
}

/// Finds the webhook, or creates what is missing of it.
async fn once(registry: &dyn Registry, url: &str) -> Result<(), ApiError> {
    let found = Registered::of(registry.webhooks().await?, url);
    if found.missing.is_empty() {
        let ids: Vec<String> = found.webhooks.iter().map(|webhook| webhook.id.to_string()).collect();
        tracing::info!(url, id = ids.join(", "), "the webhook is registered at MoltFlow already");
        return Ok(());
    }
    let created = registry.create(url, &found.missing).await?;
    tracing::info!(url, id = %created.id, events = found.missing.join(", "), "the webhook is registered at MoltFlow");
    Ok(())
}

fn pause(failures: u32, error: &ApiError, clock: &dyn Clock) -> u64 {
    let pauses = Retry {
        attempts: u32::MAX,
        initial_ms: limits::REGISTER_PAUSE_MS,
        factor: 2.0,
        max_ms: limits::REGISTER_PAUSE_MAX_MS,
        jitter: true,
    };
    let pause = pause_ms(&pauses, failures, clock.random() as u64);
    match error {
        ApiError::Later { after_ms, .. } => pause.max((*after_ms).min(limits::RETRY_AFTER_MS)),
        _ => pause,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::triggers::testing::Wall;
    use serde_json::json;

    const URL: &str = "https://bot.example.com/hooks/moltflow";

    /// A far side with webhooks, and what it answers next in place of the truth.
    #[derive(Default)]
    struct Far {
        webhooks: Mutex<Vec<Webhook>>,
        lists_fail: Mutex<u32>,
        /// Creates whose answer is lost: carried out, or not.
        lost: Mutex<Vec<bool>>,
        calls: Mutex<Vec<String>>,
    }

    fn webhook(id: u32, url: &str, events: &[&str]) -> Webhook {
        serde_json::from_value(json!({"id": id, "url": url, "events": events})).unwrap()
    }

    impl Registry for Far {
        fn webhooks(&self) -> BoxFuture<'_, Result<Vec<Webhook>, ApiError>> {
            self.calls.lock().unwrap().push("list".to_string());
            let mut fails = self.lists_fail.lock().unwrap();
            let answer = match *fails {
                0 => Ok(self.webhooks.lock().unwrap().clone()),
                _ => {
                    *fails -= 1;
                    Err(ApiError::Failed { code: "moltflow.server_error", message: "down".to_string() })
                }
            };
            Box::pin(std::future::ready(answer))
        }

        fn create<'a>(&'a self, url: &'a str, events: &'a [&'a str]) -> BoxFuture<'a, Result<Webhook, ApiError>> {
            self.calls.lock().unwrap().push(format!("create {}", events.join(" ")));
            let lost = self.lost.lock().unwrap().pop();
            let mut webhooks = self.webhooks.lock().unwrap();
            let created = webhook(webhooks.len() as u32 + 1, url, events);
            if lost != Some(false) {
                webhooks.push(created.clone());
            }
            let answer = match lost {
                None => Ok(created),
                Some(_) => Err(ApiError::Unknown { code: "http.cut", message: "cut".to_string() }),
            };
            Box::pin(std::future::ready(answer))
        }
    }

    async fn registered(far: Far) -> Vec<String> {
        let (far, clock) = (Arc::new(far), Wall::at(0));
        let (_stop, stopping) = watch::channel(false);
        let mut task = tokio::spawn(register(far.clone(), URL.to_string(), clock.clone(), stopping));
        while !task.is_finished() {
            tokio::task::yield_now().await;
            clock.pass(60 * 60_000);
        }
        (&mut task).await.unwrap();
        far.calls.lock().unwrap().clone()
    }

    #[tokio::test]
    async fn it_is_created_once_and_found_again() {
        const ALL: &str = "create message session_status group_join";
        let others = || webhook(1, "https://other.example.com/hooks/moltflow", &KINDS);
        let far = |webhooks: Vec<Webhook>| Far { webhooks: Mutex::new(webhooks), ..Far::default() };
        assert_eq!(registered(far(vec![])).await, ["list", ALL]);
        assert_eq!(registered(far(vec![others()])).await, ["list", ALL]);
        assert_eq!(registered(far(vec![others(), webhook(2, URL, &KINDS)])).await, ["list"]);
        // Written otherwise, it is the same place; another scheme, port or path is not.
        for same in [
            "https://bot.example.com/hooks/moltflow/",
            "https://Bot.Example.COM/hooks/moltflow",
            "HTTPS://bot.example.com:443/hooks/moltflow/",
        ] {
            assert_eq!(registered(far(vec![webhook(2, same, &KINDS)])).await, ["list"], "{same}");
        }
        for other in [
            "http://bot.example.com/hooks/moltflow",
            "https://bot.example.com:8443/hooks/moltflow",
            "https://bot.example.com/hooks/Moltflow",
            "bot.example.com/hooks/moltflow",
        ] {
            assert_eq!(registered(far(vec![webhook(2, other, &KINDS)])).await, ["list", ALL], "{other}");
        }
        // For what is missing alone: nothing comes twice.
        let some = webhook(2, URL, &["message", "group_join"]);
        assert_eq!(registered(far(vec![some])).await, ["list", "create session_status"]);
        let two = [webhook(1, URL, &["message"]), webhook(2, URL, &["group_join", "session_status"])];
        assert_eq!(registered(far(two.to_vec())).await, ["list"]);
    }

    #[tokio::test]
    async fn what_is_not_known_is_looked_up_first() {
        const ALL: &str = "create message session_status group_join";
        let far = |lost: &[bool]| Far { lost: Mutex::new(lost.to_vec()), ..Far::default() };
        assert_eq!(registered(far(&[true])).await, ["list", ALL, "list"]);
        assert_eq!(registered(far(&[false])).await, ["list", ALL, "list", ALL]);
        let down = Far { lists_fail: Mutex::new(3), ..Far::default() };
        assert_eq!(registered(down).await, ["list", "list", "list", "list", ALL]);
    }

    #[tokio::test]
    async fn a_stop_ends_the_tries() {
        let far = Arc::new(Far { lists_fail: Mutex::new(u32::MAX), ..Far::default() });
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(register(far, URL.to_string(), Wall::at(0), stopping));
        tokio::task::yield_now().await;
        stop.send_replace(true);
        task.await.unwrap();
    }
}
