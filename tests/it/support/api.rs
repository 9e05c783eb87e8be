//! The daemon's HTTP API as a stranger would call it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::ledger::Ledger;
use super::{PATIENCE, http_client};

#[derive(Clone)]
pub struct Api {
    pub url: String,
    client: reqwest::Client,
}

/// An HTTP answer, read whole.
#[derive(Clone, Debug)]
pub struct Answered {
    pub status: u16,
    pub body: Value,
}

impl Api {
    pub fn new(url: &str) -> Self {
        Self { url: url.trim_end_matches('/').to_string(), client: http_client() }
    }

    /// `POST /hooks/moltflow`; an error is a connection that gave no whole answer.
    pub async fn webhook(
        &self,
        body: impl Into<reqwest::Body>,
        signature: Option<String>,
    ) -> reqwest::Result<Answered> {
        let mut request = self.client.post(format!("{}/hooks/moltflow", self.url));
        request = request.header("content-type", "application/json");
        if let Some(signature) = signature {
            request = request.header("x-webhook-signature", signature);
        }
        let response = request.body(body).send().await?;
        let status = response.status().as_u16();
        let text = response.bytes().await?;
        Ok(Answered { status, body: serde_json::from_slice(&text).unwrap_or(Value::Null) })
    }

    pub async fn get(&self, path: &str) -> Answered {
        let response = self.client.get(format!("{}{path}", self.url)).send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        let body =
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("GET {path} gave {status} and no JSON: {text}"));
        Answered { status, body }
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answered {
        let response = self.client.post(format!("{}{path}", self.url)).json(body).send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.bytes().await.unwrap();
        Answered { status, body: serde_json::from_slice(&text).unwrap_or(Value::Null) }
    }

    /// The status of a GET by a client that calls the daemon by another name.
    pub async fn status_as(&self, host: &str, path: &str) -> u16 {
        let request = self.client.get(format!("{}{path}", self.url)).header("host", host);
        request.send().await.unwrap().status().as_u16()
    }

    /// Every run, newest first, page by page.
    pub async fn runs(&self, status: Option<&str>) -> Vec<Value> {
        let mut runs = Vec::new();
        let mut cursor = String::new();
        loop {
            let status = status.map(|status| format!("&status={status}")).unwrap_or_default();
            let page = self.get(&format!("/api/v1/runs?limit=500{status}{cursor}")).await;
            assert_eq!(page.status, 200, "{}", page.body);
            runs.extend(page.body["runs"].as_array().expect("`runs` is a list").iter().cloned());
            match page.body["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return runs,
            }
        }
    }

    pub async fn run(&self, id: &str) -> Value {
        let answered = self.get(&format!("/api/v1/runs/{id}")).await;
        assert_eq!(answered.status, 200, "{}", answered.body);
        answered.body
    }

    /// All runs, once each of them has ended or waits for a person.
    pub async fn settled(&self, ledger: &Ledger) -> Vec<Value> {
        let settled = async {
            loop {
                if !self.any(&["queued", "running", "waiting"]).await {
                    // Only now the whole list, which may show one that moved between the looks above.
                    let runs = self.runs(None).await;
                    if runs.iter().all(|run| is_settled(&run["status"])) {
                        return runs;
                    }
                }
                ledger.next_or_a_moment().await;
            }
        };
        tokio::time::timeout(PATIENCE, settled).await.expect("the runs never settled")
    }

    /// Returns once some run stands so.
    pub async fn some_run_is(&self, status: &str) {
        let reached = async {
            while self.runs(Some(status)).await.is_empty() {
                tokio::task::yield_now().await;
            }
        };
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        assert!(reached.is_ok(), "no run ever was `{status}`");
    }

    async fn any(&self, statuses: &[&str]) -> bool {
        for status in statuses {
            let page = self.get(&format!("/api/v1/runs?limit=1&status={status}")).await;
            if page.body["runs"].as_array().is_none_or(|runs| !runs.is_empty()) {
                return true;
            }
        }
        false
    }
}

fn is_settled(status: &Value) -> bool {
    ["succeeded", "failed", "cancelled", "attention"].iter().any(|settled| status == settled)
}

/// How many runs stand how.
pub fn by_status(runs: &[Value]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for run in runs {
        *counts.entry(run["status"].as_str().unwrap_or("?").to_string()).or_default() += 1;
    }
    counts
}
