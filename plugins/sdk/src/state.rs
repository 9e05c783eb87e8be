//! Values that outlive runs, of this plugin alone: [`Context::state`].
//!
//! What is set or deleted is staged: it is committed together with the step's success, and forgotten if the step fails in any
//! way. A key that was read or written is held until then. Whoever uses several keys takes them in ascending order.
//!
//! A step that sends something as well takes its keys before that ([`State::get`] is enough): a key which another call holds is
//! then a transient error. Behind a request that may have changed something it is unknown, since a repetition would send that again.

use std::fmt::{self, Display};

use serde::Serialize;
use serde::de::DeserializeOwned;

#[cfg(target_arch = "wasm32")]
use crate::http::send::has_acted;
#[cfg(not(target_arch = "wasm32"))]
use crate::test::has_acted;
use crate::{Context, Error};

/// Values by key: at most 512 bytes a key, 64 KiB a value, 64 keys a call, 16 MiB in all.
///
/// ```
/// use moltrun_step::{Context, Error};
///
/// fn count(context: &Context) -> Result<u64, Error> {
///     let state = context.state();
///     let seen = state.get::<u64>("seen")?.unwrap_or(0) + 1;
///     state.set("seen", &seen)?;
///     Ok(seen)
/// }
///
/// let context = Context::fake();
/// assert_eq!((count(&context), count(&context)), (Ok(1), Ok(2)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct State<'a> {
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "only a stand-in keeps its values in the context"))]
    context: &'a Context,
}

/// Why a value is not to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateError {
    /// The limit that was met, in its unit.
    TooLarge(u64),
    /// Not granted, or not to be had now; with the reason.
    Unavailable(String),
    /// The value is not what it was read as.
    Unreadable(String),
}

impl Context {
    /// Needs `state: true` in the plugin's grant.
    pub fn state(&self) -> State<'_> {
        State { context: self }
    }
}

impl State<'_> {
    /// The value of `key`, which was written as JSON.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StateError> {
        let Some(bytes) = self.get_bytes(key)? else { return Ok(None) };
        let unreadable = |e| StateError::Unreadable(format!("the value of `{key}` is of another form: {e}"));
        serde_json::from_slice(&bytes).map(Some).map_err(unreadable)
    }

    /// Writes `value` as JSON.
    pub fn set<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<(), StateError> {
        let unwritable = |e| StateError::Unreadable(format!("the value of `{key}` cannot be written as JSON: {e}"));
        self.set_bytes(key, &serde_json::to_vec(value).map_err(unwritable)?)
    }
}

#[cfg(target_arch = "wasm32")]
mod imported {
    use super::{State, StateError};
    use crate::guest::bindings::moltrun::step::state as host;

    impl State<'_> {
        /// The value of `key` as it was written.
        pub fn get_bytes(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
            host::get(key).map_err(failed)
        }

        pub fn set_bytes(&self, key: &str, value: &[u8]) -> Result<(), StateError> {
            host::set(key, value).map_err(failed)
        }

        pub fn delete(&self, key: &str) -> Result<(), StateError> {
            host::delete(key).map_err(failed)
        }
    }

    fn failed(error: host::StateError) -> StateError {
        match error {
            host::StateError::TooLarge(limit) => StateError::TooLarge(limit),
            host::StateError::Unavailable(reason) => StateError::Unavailable(reason),
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl State<'_> {
    /// The value of `key` as it was written.
    pub fn get_bytes(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.context.fake.get(key)
    }

    pub fn set_bytes(&self, key: &str, value: &[u8]) -> Result<(), StateError> {
        self.context.fake.set(key, Some(value.to_vec()))
    }

    pub fn delete(&self, key: &str) -> Result<(), StateError> {
        self.context.fake.set(key, None)
    }
}

impl Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(limit) => write!(f, "the state is too large: the limit is {limit}"),
            Self::Unavailable(reason) | Self::Unreadable(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for StateError {}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        match &error {
            StateError::TooLarge(_) => Self::permanent("state_too_large", error),
            // The next attempt would send again what this one has sent.
            StateError::Unavailable(_) if has_acted() => Self::unknown("state_unavailable", error),
            // Another call may hold the key: it works the next time. What is not granted fails as often as it is tried.
            StateError::Unavailable(_) => Self::transient("state_unavailable", error),
            StateError::Unreadable(_) => Self::permanent("state_unreadable", error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use crate::http::{Answer, Request};
    use crate::test::Fake;

    /// What a step that has made these requests says of a key that it cannot have.
    fn error_after(methods: &[&str]) -> Error {
        let fake = Fake::new().answers(methods.iter().map(|_| Answer::status(200))).busy("seen");
        let context = fake.context();
        for method in methods {
            Request::new(*method, "https://h/").send(&context).unwrap();
        }
        context.state().get::<u64>("seen").unwrap_err().into()
    }

    #[test]
    fn a_busy_key_is_unknown_where_a_repetition_would_send_again() {
        for (methods, kind) in [
            (&[][..], Kind::Transient),
            (&["GET", "HEAD"], Kind::Transient),
            (&["POST"], Kind::Unknown),
            (&["PUT", "GET"], Kind::Unknown),
            (&["DELETE"], Kind::Unknown),
        ] {
            assert_eq!(
                (error_after(methods).kind(), error_after(methods).code()),
                (kind, "state_unavailable"),
                "{methods:?}"
            );
        }
        let refused = Fake::new().answers([Answer::denied(), Answer::refused()]).busy("seen");
        let context = refused.context();
        for _ in 0..2 {
            Request::post("https://h/").send(&context).unwrap_err();
        }
        let error: Error = context.state().set("seen", &1).unwrap_err().into();
        assert_eq!(error.kind(), Kind::Transient, "nothing was sent");
    }

    #[test]
    fn what_never_fits_is_permanent_whatever_was_sent() {
        let fake = Fake::new().answers([Answer::status(200)]);
        let context = fake.context();
        Request::post("https://h/").send(&context).unwrap();
        let error: Error = context.state().set_bytes("seen", &[0; 70_000]).unwrap_err().into();
        assert_eq!((error.kind(), error.code()), (Kind::Permanent, "state_too_large"));
    }
}
