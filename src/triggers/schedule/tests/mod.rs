//! Schedules under a clock that the tests set: one alone, all of them through random histories, and the loop with a real
//! engine.

mod alone;
mod histories;
mod nights;
mod together;

use std::sync::Arc;

use crate::base::Millis;
use crate::plan::Plan;
use crate::triggers::testing::plan;

const MINUTE: Millis = 60_000;
const HOUR: Millis = 60 * MINUTE;
const DAY: Millis = 24 * HOUR;

fn at(text: &str) -> Millis {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// The workflow `w` with one schedule.
fn scheduled(fields: &str) -> Arc<Plan> {
    plan(&format!("name: w\ntriggers: [{{ schedule: {{ {fields} }} }}]"))
}
