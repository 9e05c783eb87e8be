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
    /// What the header of that name says.
    pub retry_after: Option<String>,
    pub body: Value,
}

impl Answered {
    async fn of(response: reqwest::Response) -> reqwest::Result<Self> {
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let retry_after = retry_after.map(str::to_string);
        let text = response.bytes().await?;
        Ok(Self { status, retry_after, body: serde_json::from_slice(&text).unwrap_or(Value::Null) })
    }
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
        Answered::of(request.body(body).send().await?).await
    }

    pub async fn get(&self, path: &str) -> Answered {
        let response = self.client.get(format!("{}{path}", self.url)).send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        let body =
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("GET {path} gave {status} and no JSON: {text}"));
        Answered { status, retry_after: None, body }
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answered {
        let response = self.client.post(format!("{}{path}", self.url)).json(body).send().await.unwrap();
        Answered::of(response).await.unwrap()
    }

    /// `GET /readyz`; an error is a connection that gave no whole answer.
    pub async fn ready(&self) -> reqwest::Result<Answered> {
        Answered::of(self.client.get(format!("{}/readyz", self.url)).send().await?).await
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

    /// Starts a run by hand; its id.
    pub async fn start(&self, workflow: &str, inputs: &Value) -> String {
        let body = serde_json::json!({ "inputs": inputs });
        let answered = self.post(&format!("/api/v1/workflows/{workflow}/runs"), &body).await;
        assert_eq!(answered.status, 201, "{}", answered.body);
        answered.body["run_id"].as_str().expect("a run has an id").to_string()
    }

    /// The run, once it stands so. One that has ended otherwise fails the test.
    pub async fn reaches(&self, id: &str, status: &str) -> Value {
        let run = self.reaches_with(id, |run| run["status"] == status || has_ended(&run["status"])).await;
        assert_eq!(run["status"], status, "{run:#}");
        run
    }

    /// The same of a run that had ended and goes on.
    pub async fn reaches_again(&self, id: &str, status: &str) -> Value {
        self.reaches_with(id, |run| run["status"] == status).await
    }

    /// The run, once this holds of it.
    pub async fn reaches_with(&self, id: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let reached = async {
            loop {
                let run = self.run(id).await;
                if holds(&run) {
                    return run;
                }
                tokio::task::yield_now().await;
            }
        };
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        reached.unwrap_or_else(|_| panic!("the run {id} never came to what was waited for"))
    }

    /// All runs, once this holds of them.
    pub async fn runs_are(&self, holds: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let reached = async {
            loop {
                let runs = self.runs(None).await;
                if holds(&runs) {
                    return runs;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("the runs never were what was waited for")
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

fn has_ended(status: &Value) -> bool {
    ["succeeded", "failed", "cancelled"].iter().any(|ended| status == ended)
}

fn is_settled(status: &Value) -> bool {
    has_ended(status) || status == "attention"
}

/// How many runs stand how.
pub fn by_status(runs: &[Value]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for run in runs {
        *counts.entry(run["status"].as_str().unwrap_or("?").to_string()).or_default() += 1;
    }
    counts
}
