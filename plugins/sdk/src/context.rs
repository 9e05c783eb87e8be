//! The attempt that is being made.

#[cfg(not(target_arch = "wasm32"))]
use crate::test::Fake;

/// What a step knows of the attempt it makes, and its way to the host. On the host itself (in tests) a
#[cfg_attr(not(target_arch = "wasm32"), doc = "[`Fake`](crate::test::Fake) stands in for moltrun.")]
#[cfg_attr(target_arch = "wasm32", doc = "fake stands in for moltrun.")]
#[derive(Clone, Debug)]
pub struct Context {
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fake: Fake,
    #[cfg(target_arch = "wasm32")]
    _of_the_host: (),
}

#[cfg(target_arch = "wasm32")]
mod attempt {
    use super::Context;
    use crate::Level;
    use crate::guest::bindings::moltrun::step::{context, log};

    impl Context {
        pub(crate) fn of_the_host() -> Self {
            Self { _of_the_host: () }
        }

        pub fn run_id(&self) -> String {
            context::run_id()
        }

        pub fn step_id(&self) -> String {
            context::step_id()
        }

        /// From 1.
        pub fn attempt(&self) -> u32 {
            context::attempt()
        }

        /// Equal for all attempts of a step (and item) in a run; different for everything else.
        pub fn idempotency_key(&self) -> String {
            context::idempotency_key()
        }

        /// The run's logical time in milliseconds since the Unix epoch. It stands still during a call.
        pub fn now_ms(&self) -> u64 {
            context::now_ms()
        }

        /// Milliseconds until the host ends this call.
        pub fn remaining_ms(&self) -> u64 {
            context::remaining_ms()
        }

        pub(crate) fn write_log(&self, level: Level, message: String, fields: Vec<(String, String)>) {
            let level = match level {
                Level::Debug => log::Level::Debug,
                Level::Info => log::Level::Info,
                Level::Warn => log::Level::Warn,
                Level::Error => log::Level::Error,
            };
            log::write(level, &message, &fields);
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod attempt {
    use super::Context;
    use crate::Level;

    impl Context {
        pub fn run_id(&self) -> String {
            self.fake.inner().run_id.clone()
        }

        pub fn step_id(&self) -> String {
            self.fake.inner().step_id.clone()
        }

        /// From 1.
        pub fn attempt(&self) -> u32 {
            self.fake.inner().attempt
        }

        /// Equal for all attempts of a step (and item) in a run; different for everything else.
        pub fn idempotency_key(&self) -> String {
            self.fake.inner().idempotency_key.clone()
        }

        /// The run's logical time in milliseconds since the Unix epoch. It stands still during a call.
        pub fn now_ms(&self) -> u64 {
            self.fake.inner().now_ms
        }

        /// Milliseconds until the host ends this call.
        pub fn remaining_ms(&self) -> u64 {
            self.fake.inner().remaining_ms
        }

        pub(crate) fn write_log(&self, level: Level, message: String, fields: Vec<(String, String)>) {
            self.fake.inner().lines.push(crate::test::Line { level, message, fields });
        }
    }
}
