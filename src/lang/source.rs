//! Source files, read within their bound.

use std::path::Path;

use super::diagnostic::{Diagnostic, Source};
use super::file::{FileError, read_bounded};
use crate::base::limits;

impl Source {
    /// The file at `path`, if it is text of a size that people write.
    pub fn read(path: &Path) -> Result<Self, Box<Diagnostic>> {
        let shown = path.display().to_string();
        let bytes = read_bounded(path, limits::SOURCE_FILE).map_err(|error| {
            let (code, message) = match error {
                FileError::TooLarge(limit) => ("too-large", format!("{shown} is larger than {limit} bytes")),
                error => ("unreadable", format!("{shown} cannot be read: {error}")),
            };
            Box::new(Diagnostic::of_file(shown.clone(), code, message))
        })?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { path: shown, text }),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let message = format!("{shown} is not UTF-8: byte {at} begins no character");
                Err(Box::new(Diagnostic::of_file(shown, "not-utf8", message)))
            }
        }
    }
}
