//! `wait`: parks the run for a time or until one. A parked run is a row and a timer, nothing more.

use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use super::field;
use crate::base::{Effect, Json, Millis, duration, time};
use crate::engine::ports;
use crate::engine::ports::{Failure, Outcome, Step, StepCall, StepError};
use crate::lang::StepSpec;
use crate::lang::catalog::FieldKind;

pub struct Wait(StepSpec);

impl Default for Wait {
    fn default() -> Self {
        Self(spec())
    }
}

/// For the catalog.
pub fn spec() -> StepSpec {
    let fields = vec![
        field("for", FieldKind::Pause, false, "how long, such as `30s` or `6h`"),
        field("until", FieldKind::Until, false, "a time: RFC 3339 with an offset, or milliseconds since 1970"),
    ];
    super::spec("wait", "parks the run; give `for` or `until`", Effect::Pure, fields)
}

impl Step for Wait {
    fn spec(&self) -> &StepSpec {
        &self.0
    }

    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>> {
        let until = until(&call).map_err(|message| StepError::Permanent(Failure::new("wait.bad_time", message)));
        ready(until.map(|until| Outcome::Waits(ports::Wait::Until(until)))).boxed()
    }
}

fn until(call: &StepCall) -> Result<Millis, String> {
    match (call.input.get("for"), call.input.get("until")) {
        (Some(Json::String(text)), None) => {
            let ms = duration::parse_ms(text).map_err(|error| error.to_string())?;
            Ok(call.now.saturating_add_unsigned(ms))
        }
        (None, Some(Json::String(text))) => time::parse(text).map_err(|error| error.to_string()),
        (None, Some(Json::Number(ms))) => ms.as_i64().ok_or_else(|| format!("{ms} is no time in milliseconds")),
        (None, None) => Err("give `for` or `until`".to_string()),
        (Some(_), Some(_)) => Err("give `for` or `until`, not both".to_string()),
        (Some(other), None) => Err(format!("`for` must be a duration such as 30s, not {other}")),
        (None, Some(other)) => Err(format!("`until` must be a time, not {other}")),
    }
}
