//! Files that people name, read within a bound: a pipe would be waited for and a device never ends.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is no regular file")]
    NotRegular,
    #[error("it is larger than {0} bytes")]
    TooLarge(usize),
}

/// The bytes of the regular file at `path`, links followed, if there are at most `limit`.
pub fn read_bounded(path: &Path, limit: usize) -> Result<Vec<u8>, FileError> {
    // Before it is opened: opening a pipe would wait for its other end.
    let found = fs::metadata(path)?;
    if !found.is_file() {
        return Err(FileError::NotRegular);
    }
    if found.len() > limit as u64 {
        return Err(FileError::TooLarge(limit));
    }
    let mut bytes = Vec::new();
    // Whatever its size is said to be: it may grow while it is read, and files of `/proc` say 0.
    File::open(path)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(FileError::TooLarge(limit));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_or_too_large_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "12345").unwrap();
        let made = std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap();
        assert!(made.success());
        assert_eq!(read_bounded(&path("file"), 5).unwrap(), b"12345");
        assert!(matches!(read_bounded(&path("file"), 4), Err(FileError::TooLarge(4))));
        assert!(matches!(read_bounded(&path("none"), 5), Err(FileError::Io(_))));
        for other in [path("pipe"), path(""), "/dev/zero".into()] {
            assert!(matches!(read_bounded(&other, 5), Err(FileError::NotRegular)), "{}", other.display());
        }
    }
}
