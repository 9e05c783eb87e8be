//! MoltFlow: whether it answers, whose clock is right, the credentials, the sessions, the webhook.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::check::Check;
use crate::base::duration::human;
use crate::base::{Json, Millis};
use crate::config::Config;
use crate::engine::ports::Clock;
use crate::lang::workflow::{StepDef, Trigger};
use crate::moltflow::{ApiError, MoltFlow, Session};
use crate::net::{Method, Net, Redirects, Request};
use crate::plan::Plan;
use crate::triggers::registration::{PATH, Registered};

/// Time for an answer, in milliseconds.
const TIMEOUT_MS: u64 = 10_000;

/// A clock that is wrong by more than this is told of, in milliseconds: tokens and rate limits are about seconds and minutes.
const SKEW_MS: u64 = 60_000;

pub async fn check(
    config: &Config,
    moltflow: Option<&MoltFlow>,
    plans: &[Arc<Plan>],
    net: &Net,
    clock: &dyn Clock,
) -> Vec<Check> {
    let (Some(moltflow), Some(given)) = (moltflow, &config.moltflow) else {
        return vec![Check::skipped("moltflow", "the configuration has no `moltflow` section")];
    };
    let base = given.base_url.trim_end_matches('/');
    let mut checks = match reach(base, net, clock).await {
        Ok(clock) => vec![Check::ok("moltflow", format!("{base} answers")), clock],
        Err(error) => {
            let help = "see `moltflow.base_url` and the network; credentials, sessions and webhook are not checked";
            return vec![Check::unreachable("moltflow", error, help)];
        }
    };
    let sessions = match moltflow.list_sessions().await {
        Ok(sessions) => sessions,
        Err(error) => {
            checks.push(refused("credentials", &error));
            return checks;
        }
    };
    checks.push(Check::ok("credentials", format!("taken; the account has {} sessions", sessions.len())));
    checks.extend(named(plans, config).iter().map(|(session, users)| session_check(session, users, &sessions)));
    checks.push(webhook(config, moltflow, plans).await);
    checks
}

/// Any answer will do; what its `Date` says of this machine's clock.
async fn reach(base: &str, net: &Net, clock: &dyn Clock) -> Result<Check, String> {
    let request =
        Request::new(Method::GET, format!("{base}/sessions")).timeout_ms(TIMEOUT_MS).redirects(Redirects::HandBack);
    let before = clock.now();
    let answer = net.send(request).await.map_err(|error| error.to_string())?;
    let now = before + (clock.now() - before) / 2;
    let date = answer.header("date").and_then(|text| jiff::fmt::rfc2822::parse(text.trim()).ok());
    Ok(match date {
        None => Check::skipped("clock", "MoltFlow's answer has no date to compare with"),
        Some(date) => skew(now - date.timestamp().as_millisecond()),
    })
}

/// `ahead` is how far this machine's clock is ahead of MoltFlow's, which names whole seconds.
pub(super) fn skew(ahead: Millis) -> Check {
    let by = human(ahead.unsigned_abs() / 1_000 * 1_000);
    let way = if ahead < 0 { "behind" } else { "ahead of" };
    if ahead.unsigned_abs() > SKEW_MS {
        let detail = format!("this machine is {by} {way} MoltFlow's");
        return Check::warning(
            "clock",
            detail,
            "set the clock, or have it kept (NTP): schedules and rate limits go by it",
        );
    }
    Check::ok("clock", "within a minute of MoltFlow's")
}

fn refused(name: &'static str, error: &ApiError) -> Check {
    let detail = error.to_string();
    match error {
        ApiError::Refused { status: 401, .. } => {
            Check::problem(name, detail, "correct `moltflow.api_key`, or `email` and `password`")
        }
        ApiError::Refused { status: 403, .. } => {
            Check::problem(name, detail, "give the key the scopes it needs (sessions:read, messages:send)")
        }
        ApiError::Refused { .. } | ApiError::Invalid(_) | ApiError::NotSent { permanent: true, .. } => {
            Check::problem(name, detail, "correct the `moltflow` section")
        }
        ApiError::Later { .. } => Check::warning(name, detail, "ask again later"),
        _ => Check::unreachable(name, detail, "ask again later"),
    }
}

/// The sessions that enabled workflows and senders name, and who does.
pub(super) fn named(plans: &[Arc<Plan>], config: &Config) -> BTreeMap<String, BTreeSet<String>> {
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut add = |session: &str, user: String| {
        named.entry(session.to_string()).or_default().insert(user);
    };
    for plan in plans.iter().filter(|plan| plan.workflow.enabled) {
        let user = || format!("workflow `{}`", plan.name);
        plan.workflow.triggers.iter().filter_map(Trigger::session).for_each(|session| add(session, user()));
        in_steps(&plan.workflow.steps, &mut |session| add(session, user()));
    }
    config.senders.keys().for_each(|session| add(session, "`senders`".to_string()));
    named
}

/// Constants: what a template gives is known when it runs.
fn in_steps(steps: &[StepDef], add: &mut dyn FnMut(&str)) {
    for step in steps {
        let session = step.with.get("session").and_then(Json::as_str).filter(|session| !session.contains("{{"));
        if let Some(session) = session.filter(|_| step.uses.starts_with("moltflow.")) {
            add(session);
        }
        in_steps(&step.steps, add);
    }
}

pub(super) fn session_check(name: &str, users: &BTreeSet<String>, sessions: &[Session]) -> Check {
    let users = users.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let Some(session) = sessions.iter().find(|session| session.name == name) else {
        let names: Vec<&str> = sessions.iter().map(|session| session.name.as_str()).collect();
        let near = crate::lang::diagnostic::suggestion(name, "sessions", names);
        let help = near.unwrap_or_else(|| "create it in the dashboard, or with moltflow.create_session".to_string());
        return Check::problem("session", format!("there is no `{name}`, which {users} names"), help);
    };
    match session.status.as_str() {
        "working" => Check::ok("session", format!("`{name}` is working")),
        "qr_code" => {
            let help = "scan its code with the phone of that number";
            Check::warning("session", format!("`{name}` waits for its code to be scanned; its sends wait"), help)
        }
        status => {
            let detail = format!("`{name}` is {status}; its sends wait");
            Check::warning("session", detail, "start it anew in the dashboard if it stays so")
        }
    }
}

async fn webhook(config: &Config, moltflow: &MoltFlow, plans: &[Arc<Plan>]) -> Check {
    let delivered =
        |plan: &&Arc<Plan>| plan.workflow.enabled && plan.workflow.triggers.iter().any(Trigger::is_delivered);
    let wanting = plans.iter().find(delivered);
    let Some(public) = &config.server.public_url else {
        return match wanting {
            None => Check::skipped("webhook", "no workflow waits for MoltFlow's events"),
            Some(plan) => {
                let detail = format!("`{}` waits for MoltFlow's events, and `server.public_url` is not set", plan.name);
                let help = format!(
                    "set it to have the webhook registered, or register {PATH} of this daemon by hand; a \
                                    machine that nobody reaches can use `session_events`"
                );
                Check::warning("webhook", detail, help)
            }
        };
    };
    let url = format!("{public}{PATH}");
    let webhooks = match moltflow.list_webhooks().await {
        Ok(webhooks) => webhooks,
        Err(error) => return refused("webhook", &error),
    };
    let found = Registered::of(webhooks, &url);
    if !found.missing.is_empty() {
        let detail = match found.webhooks.is_empty() {
            true => format!("{url} is not registered at MoltFlow"),
            false => format!("{url} is not registered for {}", found.missing.join(", ")),
        };
        return Check::warning("webhook", detail, "`moltrun serve` registers what is missing when it starts");
    }
    if config.webhook_secret.is_none() {
        let detail = format!("{url} is registered, and takes events from anybody");
        return Check::warning("webhook", detail, "set `moltflow.webhook_secret`, and the same one at MoltFlow");
    }
    let stats: Vec<_> = found.webhooks.iter().map(|webhook| webhook.stats()).collect();
    let sum = |of: fn(&crate::moltflow::DeliveryStats) -> Option<u64>| stats.iter().filter_map(of).sum::<u64>();
    let (succeeded, failed) = (sum(|stats| stats.succeeded), sum(|stats| stats.failed));
    let last = stats.iter().filter_map(|stats| stats.last_delivered_at.as_deref()).max().unwrap_or("never");
    let detail = format!("{url} is registered; {succeeded} delivered, {failed} failed, the last one: {last}");
    match failed > succeeded {
        true => Check::warning(
            "webhook",
            detail,
            "see whether MoltFlow reaches that address, and whether the secrets agree",
        ),
        false => Check::ok("webhook", detail),
    }
}
