//! `moltrun serve`

use std::sync::Arc;

use super::setup::{drawn, setup};
use super::signals::Signals;
use super::{Exit, Failed, Globals, out};
use crate::app::{self, App, Listener};
use crate::config::{Config, Need};
use crate::lang::workflow::Trigger;
use crate::plan::Plan;
use crate::triggers::live::{Live, Served};

pub async fn run(globals: &Globals) -> Result<Exit, Failed> {
    let setup = setup(globals, &[], Need::Everything).await?;
    let (config, folder) = (setup.config, setup.folder);
    if let Some(missing) = app::unconfigured(&folder.plans, &config) {
        return Err(Failed::invalid(missing));
    }
    if !folder.diagnostics.is_empty() {
        // The others are served all the same: one bad file must not stop every workflow.
        out::note(drawn(&folder.diagnostics, &folder.sources).trim_end());
    }
    // Before anything is said to be ready: a signal that comes early must not kill.
    let mut signals = Signals::watch()?;
    if let Some(open) = unsigned(&folder.plans, &config) {
        tracing::warn!("{open}");
    }
    let listener = Listener::bind(config.server.listen).await?;
    let live = Live::new(Served::of(&folder));
    let workflows = Arc::new(live.clone());
    let app = App::start(&config, setup.steps, &config.database, setup.clock, workflows, Vec::new(), true).await?;
    tracing::info!(workflows = folder.plans.len(), database = %config.database.display(), "moltrun is up");
    let serving = match app.serve(&config, folder, live, listener).await {
        Ok(serving) => serving,
        Err(error) => {
            app.stop(None, config.engine.grace_ms).await;
            return Err(error.into());
        }
    };
    out::line(format_args!("listening on http://{}", serving.address));
    let mut lost = app.store.lost();
    let lost = tokio::select! {
        () = signals.received() => None,
        Ok(reason) = lost.wait_for(Option::is_some) => reason.clone(),
    };
    if let Some(reason) = lost {
        app.stop(Some(serving), LOST_GRACE_MS).await;
        let message = format!("the database {} is lost: {reason}", config.database.display());
        return Err(Failed::new(Exit::Failed, message));
    }
    tracing::info!(grace_ms = config.engine.grace_ms, "stopping: no new events, steps at work may end");
    tokio::select! {
        () = app.stop(Some(serving), config.engine.grace_ms) => Ok(Exit::Ok),
        // Whoever asks twice does not want to wait. That is no worse than the end of the grace period.
        () = signals.received() => {
            tracing::warn!("asked again to stop: what was at work is cut off; its runs go on after the next start");
            Ok(Exit::Interrupted)
        }
    }
}

/// Time for open requests to be answered after the database is lost, in milliseconds; nothing is journaled any more.
const LOST_GRACE_MS: u64 = 1_000;

/// What to say of webhooks that anybody may send: others reach this daemon by its address, or by the one that it tells.
fn unsigned(plans: &[Arc<Plan>], config: &Config) -> Option<String> {
    if config.server.listen.ip().is_loopback() && config.server.public_url.is_none() {
        return None;
    }
    let address = config.server.listen.to_string();
    let address = config.server.public_url.as_ref().unwrap_or(&address);
    plans.iter().filter(|plan| plan.workflow.enabled).find_map(|plan| {
        plan.workflow.triggers.iter().find_map(|trigger| {
            let remedy = match trigger {
                Trigger::Webhook(hook) if hook.secret.is_none() => "give its webhook a `secret`",
                trigger if trigger.is_delivered() && config.webhook_secret.is_none() => "set `moltflow.webhook_secret`",
                _ => return None,
            };
            let name = &plan.name;
            Some(format!("anybody who reaches {address} can start `{name}` with made-up events: {remedy}"))
        })
    })
}
