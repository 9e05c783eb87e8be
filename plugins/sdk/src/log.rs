//! Lines for the operator.

use std::fmt::Display;

use crate::Context;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Context {
    /// Leaves a line with named values beside the message; `info!` and its like are shorter. moltrun keeps 4 KiB of a line and
    /// 100 lines of a call.
    pub fn log(&self, level: Level, message: impl Display, fields: &[(&str, &dyn Display)]) {
        let fields: Vec<(String, String)> =
            fields.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        self.write_log(level, message.to_string(), fields);
    }
}

/// The form of all four macros.
#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($level:ident, $context:expr, $format:literal $(, $argument:expr)* $(; $($name:ident = $value:expr),+)? $(,)?) => {
        $context.log(
            $crate::Level::$level,
            ::core::format_args!($format $(, $argument)*),
            &[$($((::core::stringify!($name), &$value as &dyn ::core::fmt::Display)),+)?],
        )
    };
}

/// A line for whoever looks for a fault: `debug!(context, "read {} rows", 12; file = name)`.
#[macro_export]
macro_rules! debug {
    ($($rest:tt)+) => { $crate::__log!(Debug, $($rest)+) };
}

/// A line worth knowing: `info!(context, "synchronised"; rows = 12)`.
#[macro_export]
macro_rules! info {
    ($($rest:tt)+) => { $crate::__log!(Info, $($rest)+) };
}

/// A line about what is odd but does no harm: `warn!(context, "row {} is empty", 7)`.
#[macro_export]
macro_rules! warn {
    ($($rest:tt)+) => { $crate::__log!(Warn, $($rest)+) };
}

/// A line about what somebody must look at. To fail, return an [`Error`](crate::Error).
#[macro_export]
macro_rules! error {
    ($($rest:tt)+) => { $crate::__log!(Error, $($rest)+) };
}
