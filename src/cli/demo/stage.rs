//! The demo's stage: a sandbox and a daemon beside each other, in a temporary folder.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::super::progress::{Committed, Progress};
use super::super::setup::drawn;
use super::super::signals::Signals;
use super::super::{Exit, Failed, out};
use super::script::FILES;
use crate::app::{self, App, Listener, Serving};
use crate::base::Secret;
use crate::base::json::JsonMap;
use crate::config::{Config, Engine, Server};
use crate::engine::run::Submission;
use crate::moltflow::{self, Credentials};
use crate::net::Policy;
use crate::plan::{Folder, Plan};
use crate::sandbox::{Options, Sandbox};
use crate::steps::ai_prompt::{AiProviders, Provider};
use crate::steps::credentials::Keyring;
use crate::triggers::live::{Live, Served};

/// How long the end waits for what is still at work, in milliseconds. Nothing should be.
const GRACE_MS: u64 = 1_000;

/// Signs the sandbox's webhooks, so that the demo goes the way real ones go. It protects nothing: both ends are this
/// process, on loopback, for as long as the demo runs.
const WEBHOOK_SECRET: &str = "the-demo-signs-with-this";

pub struct Stage {
    pub sandbox: Sandbox,
    app: App,
    serving: Serving,
    plans: Vec<Arc<Plan>>,
    /// Removed with the demo's database when dropped.
    _folder: TempDir,
}

impl Stage {
    pub async fn set() -> Result<(Self, mpsc::UnboundedReceiver<Committed>), Failed> {
        let failed = |error: &dyn std::fmt::Display| Failed::new(Exit::Failed, error.to_string());
        let clock = app::system_clock();
        let secret = Secret::new(WEBHOOK_SECRET);
        let options = Options { webhook_secret: Some(secret.clone()), ..Options::default() };
        let sandbox = Sandbox::start(options.clone(), clock.clone()).await.map_err(|error| failed(&error))?;
        let folder = tempfile::tempdir().map_err(|error| failed(&error))?;
        let config = config(&folder, &sandbox, &options, secret).map_err(|error| failed(&error))?;
        std::fs::create_dir(&config.workflows).map_err(|error| failed(&error))?;
        for (name, text) in FILES {
            std::fs::write(config.workflows.join(name), text).map_err(|error| failed(&error))?;
        }
        let steps = app::steps(&config, &clock).await?;
        let checked = Folder::check(std::slice::from_ref(&config.workflows), &steps.registry.catalog, &config.vars);
        if !checked.diagnostics.is_empty() {
            return Err(Failed::new(Exit::Failed, drawn(&checked.diagnostics, &checked.sources)));
        }
        let (progress, committed) = Progress::new();
        let listener = Listener::bind(config.server.listen).await?;
        let plans = checked.plans.clone();
        let live = Live::new(Served::of(&checked));
        let workflows = Arc::new(live.clone());
        let app = App::start(&config, steps, &config.database, clock, workflows, vec![progress], true).await?;
        let serving = app.serve(&config, checked, live, listener).await?;
        if let Some(moltflow) = &app.moltflow {
            let url = format!("http://{}/hooks/moltflow", serving.address);
            moltflow.create_webhook(&url, &["message"]).await.map_err(|error| failed(&error))?;
        }
        Ok((Self { sandbox, app, serving, plans, _folder: folder }, committed))
    }

    pub fn address(&self) -> SocketAddr {
        self.serving.address
    }

    /// Starts a run of the workflow by hand.
    pub async fn start(&self, workflow: &str) -> Result<(), Failed> {
        let plan = self.plans.iter().find(|plan| *plan.name == *workflow);
        let plan = plan.ok_or_else(|| Failed::new(Exit::Failed, format!("there is no workflow {workflow}")))?;
        let submission = Submission {
            plan: plan.clone(),
            trigger: "manual",
            event: Arc::new(json!({"event": "manual"})),
            inputs: plan.default_inputs.clone(),
            dedupe: None,
            lane: None,
        };
        let accepted = self.app.engine.submit(vec![submission]).await;
        accepted.map(|_| ()).map_err(|error| Failed::new(Exit::Failed, error.to_string()))
    }

    /// Until Ctrl-C or SIGTERM.
    pub async fn keep_up(&self) -> Result<(), Failed> {
        let mut signals = Signals::watch()?;
        out::line(format_args!("\nstill up; Ctrl-C ends it. Runs: http://{}/api/v1/runs", self.address()));
        out::line("write as a customer:");
        let message = r#"{"session": "support-team", "from": "15551230101@c.us", "body": "Are you open?"}"#;
        let origin = &self.sandbox.origin;
        out::line(format_args!("  curl -H 'content-type: application/json' -d '{message}' {origin}/sandbox/messages"));
        signals.received().await;
        Ok(())
    }

    pub async fn strike(self) {
        self.app.stop(Some(self.serving), GRACE_MS).await;
        self.sandbox.stop().await;
    }
}

fn config(
    folder: &TempDir,
    sandbox: &Sandbox,
    options: &Options,
    webhook_secret: Secret,
) -> Result<Config, crate::net::PolicyError> {
    let mut net = Policy::default();
    net.trust(&sandbox.moltflow_url)?;
    net.trust(&sandbox.model_url)?;
    let provider = Provider::new(&sandbox.model_url, Some(options.model_key.clone()), "canned");
    Ok(Config {
        workflows: folder.path().join("workflows"),
        plugins: folder.path().join("plugins"),
        database: folder.path().join("demo.db"),
        server: Server { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), public_url: None, token: None },
        moltflow: Some(moltflow::Config {
            base_url: sandbox.moltflow_url.clone(),
            credentials: Credentials::ApiKey(options.api_key.clone()),
        }),
        region: None,
        webhook_secret: Some(webhook_secret),
        secrets: Default::default(),
        ai: AiProviders::only("sandbox", provider),
        credentials: Keyring::default(),
        net,
        vars: JsonMap::new(),
        engine: Engine { grace_ms: GRACE_MS, ..Engine::default() },
        senders: BTreeMap::new(),
        grants: BTreeMap::new(),
    })
}
