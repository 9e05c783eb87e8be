//! Host-side types of `plugins/script/script.wit`, and the one function that the engine may call.

use tracing::Level;

use self::moltrun::script::log;
use crate::base::limits::PLUGIN_LOG_LINE;
use crate::engine::ports::LogLevel;
use crate::wasm::state::State;
use crate::wasm::text::clean;

wasmtime::component::bindgen!({
    path: "plugins/script/script.wit",
    world: "script",
    imports: { default: trappable },
    exports: { default: async },
});

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        self.count_call()?;
        let line = clean(&message, PLUGIN_LOG_LINE);
        let (run, step) = (&self.attempt.run, &self.attempt.step);
        // The level of a tracing event is part of its call site.
        macro_rules! event {
            ($level:expr) => {
                tracing::event!(target: "moltrun::script", $level, %run, %step, "{line}")
            };
        }
        let level = match level {
            log::Level::Debug => {
                event!(Level::DEBUG);
                LogLevel::Debug
            }
            log::Level::Info => {
                event!(Level::INFO);
                LogLevel::Info
            }
            log::Level::Warn => {
                event!(Level::WARN);
                LogLevel::Warn
            }
            log::Level::Error => {
                event!(Level::ERROR);
                LogLevel::Error
            }
        };
        self.attempt.log.push(level, line);
        Ok(())
    }
}
