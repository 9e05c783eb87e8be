//! A stand-in for moltrun, so that steps are tested with `cargo test`.
//!
//! ```
//! use moltrun_step::prelude::*;
//! use moltrun_step::test::Fake;
//!
//! let fake = Fake::new().attempt(2).now_ms(1_700_000_000_000);
//! let context = fake.context();
//! info!(context, "tried again"; attempt = context.attempt());
//! assert_eq!(fake.lines()[0].fields, [("attempt".to_string(), "2".to_string())]);
//! ```

#[cfg(feature = "connector")]
mod far_side;

use std::cell::{RefCell, RefMut};
use std::rc::Rc;

use serde_json::Value;

use crate::plugin::{About, Plugin, parsed};
use crate::{Context, Error, Exit, Level};

#[cfg(feature = "connector")]
pub(crate) use far_side::has_acted;
#[cfg(feature = "connector")]
pub use far_side::{Answer, Sent};

/// What a [`Context`] stands on in tests. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Fake(Rc<RefCell<Inner>>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) run_id: String,
    pub(crate) step_id: String,
    pub(crate) attempt: u32,
    pub(crate) idempotency_key: String,
    pub(crate) now_ms: u64,
    pub(crate) remaining_ms: u64,
    pub(crate) lines: Vec<Line>,
    #[cfg(feature = "connector")]
    pub(crate) far: far_side::FarSide,
}

/// A line that a step left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub level: Level,
    pub message: String,
    pub fields: Vec<(String, String)>,
}

impl Default for Fake {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(Inner {
            run_id: "run".to_string(),
            step_id: "step".to_string(),
            attempt: 1,
            idempotency_key: "key".to_string(),
            now_ms: 0,
            remaining_ms: 5_000,
            lines: Vec::new(),
            #[cfg(feature = "connector")]
            far: far_side::FarSide::default(),
        })))
    }
}

impl Context {
    /// The context of a first attempt, at the epoch, with nothing granted but state.
    pub fn fake() -> Self {
        Fake::new().context()
    }
}

impl Fake {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn context(&self) -> Context {
        #[cfg(feature = "connector")]
        far_side::begin();
        Context { fake: self.clone() }
    }

    #[must_use]
    pub fn run_id(self, id: &str) -> Self {
        self.inner().run_id = id.to_string();
        self
    }

    #[must_use]
    pub fn step_id(self, id: &str) -> Self {
        self.inner().step_id = id.to_string();
        self
    }

    #[must_use]
    pub fn attempt(self, number: u32) -> Self {
        self.inner().attempt = number;
        self
    }

    #[must_use]
    pub fn idempotency_key(self, key: &str) -> Self {
        self.inner().idempotency_key = key.to_string();
        self
    }

    #[must_use]
    pub fn now_ms(self, now_ms: u64) -> Self {
        self.inner().now_ms = now_ms;
        self
    }

    #[must_use]
    pub fn remaining_ms(self, remaining_ms: u64) -> Self {
        self.inner().remaining_ms = remaining_ms;
        self
    }

    /// The lines that were left so far.
    pub fn lines(&self) -> Vec<Line> {
        self.inner().lines.clone()
    }

    pub(crate) fn inner(&self) -> RefMut<'_, Inner> {
        self.0.borrow_mut()
    }
}

/// One attempt of a step of `P`, by its name, as moltrun calls it: from JSON to JSON, and what it staged of the state is kept
/// only if it succeeds. The input is not checked against its schema.
///
/// # Panics
///
/// If the step fails with a code or details that moltrun does not take: a component would change them.
pub fn call<P: Plugin>(step: &str, input: impl Into<Value>, context: &Context) -> Result<Exit<Value>, Error> {
    #[cfg(feature = "connector")]
    far_side::begin();
    let result = P::run(step, &input.into().to_string(), context);
    if let Err(error) = &result {
        assert_eq!(error.faults(), Vec::<String>::new(), "moltrun does not take this error as it is: {error}");
    }
    #[cfg(feature = "connector")]
    context.fake.settle(result.is_ok());
    result.map(parsed)
}

/// What `P` says of itself, with its schemas.
pub fn about<P: Plugin>() -> About {
    P::about()
}
