//! The `webhook` trigger: anybody's deliveries to `POST /hooks/{path}`.
//!
//! - Who signs is believed: a trigger that names a secret takes only bodies whose HMAC-SHA256 its header carries.
//! - A delivery is one run of a workflow, however often it comes: what makes two deliveries one is what `dedupe` gives, and
//!   without it (or where it gives null) path, query and body together. `dedupe: false` makes each delivery a run.
//! - Secrets stay out of the journal: `request` redacts headers and parameters that carry them. Deliveries are compared with
//!   them, by digests.

mod request;

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

pub use self::request::{BadBody, Delivery, Received};

use super::delivered::{holds, scope};
use super::live::Served;
use crate::base::hex::hex;
use crate::base::{Json, Millis, Secret, limits};
use crate::engine::ports::Dedupe;
use crate::engine::run::Submission;
use crate::expr::Context;
use crate::lang::workflow::{Hook, Trigger};
use crate::moltflow::signature;
use crate::plan::{Plan, PlanTrigger};

/// The secrets of the configuration, by name. One whose value is not known signs nothing.
pub type Secrets = BTreeMap<String, Option<Secret>>;

/// The webhooks at one path, those that believe a delivery.
pub struct Believers<'s> {
    hooks: Vec<(&'s Arc<Plan>, &'s PlanTrigger, &'s Hook)>,
}

/// Why nobody takes a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// No workflow has a webhook there.
    Unknown,
    /// The header of this name does not sign the body.
    Unsigned { header: String },
}

/// What a delivery starts.
#[derive(Debug, Default)]
pub struct Wanted {
    pub submissions: Vec<Submission>,
    /// That of the first workflow that wants the delivery and says how to answer it.
    pub answer: Option<Answer>,
    /// Names the delivery, for runs that wait for it.
    pub key: String,
}

/// What the sender is answered when the runs are committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub body: Option<Json>,
}

/// Who takes a delivery of `body` to `path`.
pub fn believers<'s>(
    served: &'s Served,
    path: &str,
    received: &Received<'_>,
    secrets: &Secrets,
) -> Result<Believers<'s>, Refused> {
    let mut refused = Refused::Unknown;
    let mut believers = Vec::new();
    for plan in served.hooked(path) {
        for trigger in &plan.triggers {
            let Trigger::Webhook(hook) = &trigger.trigger else { continue };
            if hook.path != path {
                continue;
            }
            if is_signed(hook, received, secrets) {
                believers.push((plan, trigger, hook));
            } else {
                refused = Refused::Unsigned { header: hook.header.clone() };
            }
        }
    }
    if believers.is_empty() { Err(refused) } else { Ok(Believers { hooks: believers }) }
}

fn is_signed(hook: &Hook, received: &Received<'_>, secrets: &Secrets) -> bool {
    let Some(name) = &hook.secret else { return true };
    let Some(Some(secret)) = secrets.get(name) else { return false };
    let given = received.headers.get(hook.header.as_str()).and_then(|value| value.to_str().ok());
    signature::verify(secret, received.body, given.unwrap_or_default())
}

impl Believers<'_> {
    /// The headers that carry signatures here.
    pub fn signatures(&self) -> impl Iterator<Item = &str> {
        self.hooks.iter().map(|(_, _, hook)| hook.header.as_str())
    }

    /// A submission for each workflow that wants the delivery. `random` names it where nothing is to be recognised.
    pub fn wanted(&self, delivery: &Delivery, now: Millis, random: u128) -> Wanted {
        let event = &delivery.event;
        let mut wanted = Wanted { key: self.key(delivery, now, random), ..Wanted::default() };
        for (plan, trigger, hook) in &self.hooks {
            let taken = wanted.submissions.iter().any(|other| Arc::ptr_eq(&other.plan, plan));
            if taken || !holds(plan, trigger, event, now) {
                continue;
            }
            let dedupe = match key(plan, trigger, delivery, now) {
                Key::Each => None,
                Key::Same(key) => Some(Dedupe {
                    key: format!("webhook:{}:{key}", plan.name),
                    expires_at: Some(now + limits::DEDUPE_TTL_MS),
                }),
            };
            if wanted.answer.is_none() {
                wanted.answer = answer(plan, trigger, hook, event, now);
            }
            wanted.submissions.push(Submission {
                plan: (*plan).clone(),
                trigger: "webhook",
                event: event.clone(),
                inputs: plan.default_inputs.clone(),
                dedupe,
                lane: None,
            });
        }
        wanted
    }

    /// Names the delivery for runs that wait for one: by the first trigger that says what makes two of them one, whether it
    /// wants this one or not, so that a redelivery that starts nothing ends no wait either.
    fn key(&self, delivery: &Delivery, now: Millis, random: u128) -> String {
        let saying = self.hooks.iter().find(|(_, trigger, _)| trigger.dedupe.is_some());
        match saying.map(|(plan, trigger, _)| key(plan, trigger, delivery, now)) {
            None => fingerprint(&delivery.whole),
            Some(Key::Same(key)) => key,
            Some(Key::Each) => format!("webhook:{random:032x}"),
        }
    }
}

enum Key {
    /// Equal for deliveries that are one.
    Same(String),
    /// Each delivery is another one.
    Each,
}

fn key(plan: &Plan, trigger: &PlanTrigger, delivery: &Delivery, now: Millis) -> Key {
    let whole = &delivery.whole;
    let Some(dedupe) = &trigger.dedupe else { return Key::Same(fingerprint(whole)) };
    match dedupe.eval(&scope(plan, whole, now)) {
        Ok(Json::Bool(false)) => Key::Each,
        Ok(Json::Null) => Key::Same(fingerprint(whole)),
        Ok(value) => Key::Same(digest(&[&whole["path"], &value])),
        Err(_) => {
            // Taken for one that was seen, an event would be lost; refused, it would be repeated for ever. What is said of it
            // must hold nothing that is redacted.
            let error = dedupe.eval(&scope(plan, &delivery.event, now)).err().map(|error| error.to_string());
            tracing::warn!(workflow = %plan.name, error, "`dedupe` of a webhook trigger cannot be evaluated; path, query and body are compared instead");
            Key::Same(fingerprint(whole))
        }
    }
}

/// What is equal for two deliveries of one thing, as far as anybody can tell.
fn fingerprint(event: &Json) -> String {
    digest(&[&event["path"], &event["query"], &event["body"]])
}

fn digest(parts: &[&Json]) -> String {
    let mut parts = Json::Array(parts.iter().map(|part| (*part).clone()).collect());
    parts.sort_all_objects();
    hex(&Sha256::digest(parts.to_string()))
}

fn answer(plan: &Plan, trigger: &PlanTrigger, hook: &Hook, event: &Arc<Json>, now: Millis) -> Option<Answer> {
    let respond = hook.respond.as_ref()?;
    let Some(tree) = &trigger.respond else { return Some(Answer { status: respond.status, body: None }) };
    match tree.render(&Context::new(&scope(plan, event, now))) {
        Ok(body) => Some(Answer { status: respond.status, body: Some(body) }),
        Err(error) => {
            // The runs are begun all the same: what is wrong is only what the sender reads.
            tracing::warn!(workflow = %plan.name, %error, "`respond` of a webhook trigger cannot be rendered; the usual answer is given");
            None
        }
    }
}

#[cfg(test)]
mod tests;
