//! Exit codes, which scripts rely on, and errors that carry one.

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Ok = 0,
    /// A run or a test failed.
    Failed = 1,
    /// Usage, workflow or configuration.
    Invalid = 2,
    NotFound = 3,
    /// The daemon or the API cannot be reached.
    Unreachable = 4,
    /// A run waits, or needs a person.
    Attention = 5,
    Interrupted = 130,
}

/// A command that could not do what was asked, with what to tell the user.
#[derive(Debug)]
pub struct Failed {
    pub exit: Exit,
    pub message: String,
}

impl Failed {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Exit::Invalid, message)
    }
}

impl From<crate::app::StartError> for Failed {
    fn from(error: crate::app::StartError) -> Self {
        Self::new(Exit::Failed, error.to_string())
    }
}
