//! The database's files under its path. SQLite goes on writing into a file that was deleted or replaced; what it commits
//! there is gone with the process.

use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::lock::{FileId, beside};

/// The database and its log, as they were when the writer opened them.
pub struct Files {
    path: PathBuf,
    wal: PathBuf,
    seen: Option<[FileId; 2]>,
}

impl Files {
    /// `path` is the real one.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf(), wal: beside(path, "-wal"), seen: None }
    }

    /// The log may be another one after the writer has opened the database anew.
    pub fn reopened(&mut self) {
        if let (Some(seen), Ok(wal)) = (&mut self.seen, id(&self.wal)) {
            seen[1] = wal;
        }
    }

    /// What is wrong with them; None: nothing. Asked after every commit: two calls of the kernel that touch no disk.
    pub fn trouble(&mut self) -> Option<String> {
        let now = match id(&self.path).and_then(|database| Ok([database, id(&self.wal)?])) {
            Ok(now) => now,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(self.gone("deleted or moved")),
            Err(error) => return Some(format!("{} cannot be looked at: {error}", self.path.display())),
        };
        match *self.seen.get_or_insert(now) == now {
            true => None,
            false => Some(self.gone("replaced")),
        }
    }

    fn gone(&self, how: &str) -> String {
        let path = self.path.display();
        format!("{path} or its log {path}-wal was {how} while moltrun was using it; restore the file and start again")
    }
}

fn id(path: &Path) -> io::Result<FileId> {
    std::fs::metadata(path).map(FileId::from)
}

/// Creates the file, if there is none, for this user alone: it holds what customers write. SQLite gives its companions
/// (`-wal`, `-shm`) the same rights.
pub fn private(path: &Path) -> io::Result<()> {
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
