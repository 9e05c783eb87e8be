//! What all workflows together may spend in a day (of UTC), kept across restarts.
//!
//! What a request may cost is reserved before it leaves and replaced by what it did cost when its answer is there, so that
//! a hundred at once cannot all find the last cent free. A request that is given up counts as it was estimated: what may
//! have been spent counts as spent. The sum is stored after every answer; an answer that is under way when the process dies
//! is not in it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;

use super::permanent;
use super::provider::Budget;
use crate::base::{Json, Millis};
use crate::engine::ports::{Clock, Keys, Space, StepError, StoreError, Write};

const DAY_MS: i64 = 86_400_000;

/// How long a day's sum is kept, in milliseconds: long enough to look at it the day after.
const KEPT_MS: i64 = 7 * DAY_MS;

/// Tokens an answer is taken for that nobody has bounded: a page of text.
pub(super) const UNBOUNDED: u64 = 1_000;

/// The sums of today.
pub(super) struct Ledger {
    budget: Budget,
    clock: Arc<dyn Clock>,
    today: Mutex<Today>,
}

#[derive(Debug, Default)]
struct Today {
    /// Days since 1970; None before the first request.
    day: Option<i64>,
    spent: Sum,
    /// What is under way, of whatever day.
    reserved: Sum,
}

/// Tokens and money.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sum {
    pub tokens: u64,
    pub cost: f64,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.cost += other.cost;
    }

    fn remove(&mut self, other: Self) {
        self.tokens = self.tokens.saturating_sub(other.tokens);
        self.cost = (self.cost - other.cost).max(0.0);
    }
}

/// Room for one request. Dropped, it counts as spent.
pub(super) struct Reservation<'a> {
    ledger: &'a Ledger,
    reserved: Sum,
    spent: Sum,
}

impl Ledger {
    /// None: there is nothing to keep count of.
    pub fn new(budget: Budget, clock: Arc<dyn Clock>) -> Option<Self> {
        let bounded = budget.tokens.is_some() || budget.cost.is_some();
        bounded.then(|| Self { budget, clock, today: Mutex::default() })
    }

    /// Makes room for a request, or says that there is none.
    pub async fn reserve(&self, keys: &Keys, wanted: Sum) -> Result<Reservation<'_>, StepError> {
        let day = self.clock.now().div_euclid(DAY_MS);
        if self.today().day != Some(day) {
            let value = keys.value(Space::Budget, &key(day)).await?;
            let mut today = self.today();
            // Somebody else may have been faster, and have spent since.
            if today.day != Some(day) {
                today.day = Some(day);
                today.spent = parse(value.as_ref());
            }
        }
        let mut today = self.today();
        let mut used = today.spent;
        used.add(today.reserved);
        let over = |limit: String, used: String, wanted: String| {
            let message = format!(
                "today's budget of {limit} is reached: {used} are spent or under way, and this may take {wanted}; it begins anew at 00:00 UTC"
            );
            Err(permanent("ai.budget_exceeded", message))
        };
        if let Some(limit) = self.budget.tokens.filter(|limit| used.tokens.saturating_add(wanted.tokens) > *limit) {
            return over(format!("{limit} tokens"), used.tokens.to_string(), wanted.tokens.to_string());
        }
        if let Some(limit) = self.budget.cost.filter(|limit| used.cost + wanted.cost > *limit) {
            return over(limit.to_string(), format!("{:.4}", used.cost), format!("{:.4}", wanted.cost));
        }
        today.reserved.add(wanted);
        Ok(Reservation { ledger: self, reserved: wanted, spent: wanted })
    }

    /// Stores today's sum. The key is held meanwhile: a later sum is never replaced by an earlier one.
    pub async fn save(&self, keys: &Keys) -> Result<(), StoreError> {
        let Some(day) = self.today().day else { return Ok(()) };
        let _held = keys.hold(Space::Budget, &key(day)).await?;
        let spent = {
            let today = self.today();
            // The next day has begun since: its sum is another one, and this one's is as good as it was.
            if today.day != Some(day) {
                return Ok(());
            }
            today.spent
        };
        let value = Some(json!({ "tokens": spent.tokens, "cost": spent.cost }));
        let expires_at = Some((day + 1) * DAY_MS + KEPT_MS);
        keys.put(vec![Write { space: Space::Budget, key: key(day), value, expires_at }]).await
    }

    fn today(&self) -> MutexGuard<'_, Today> {
        self.today.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation<'_> {
    /// What it did cost.
    pub fn settle(mut self, spent: Sum) {
        self.spent = spent;
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut today = self.ledger.today();
        today.reserved.remove(self.reserved);
        today.spent.add(self.spent);
    }
}

/// `2026-01-31`.
fn key(day: i64) -> String {
    let start: Millis = day.saturating_mul(DAY_MS);
    match jiff::Timestamp::from_millisecond(start) {
        Ok(start) => start.strftime("%Y-%m-%d").to_string(),
        Err(_) => day.to_string(),
    }
}

fn parse(value: Option<&Json>) -> Sum {
    let field = |name: &str| value.and_then(|value| value.get(name));
    Sum {
        tokens: field("tokens").and_then(Json::as_u64).unwrap_or(0),
        cost: field("cost").and_then(Json::as_f64).unwrap_or(0.0),
    }
}
