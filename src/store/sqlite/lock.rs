//! One process a database: a lock file beside it, held by the kernel and so freed by any death of its holder.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The lock, freed when dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    id: FileId,
}

/// A file itself, whatever its name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileId {
    pub device: u64,
    pub inode: u64,
}

impl From<Metadata> for FileId {
    fn from(file: Metadata) -> Self {
        Self { device: file.dev(), inode: file.ino() }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("the database {} is in use by the moltrun process {pid}; stop that one first, or name another database", path.display())]
    Held { path: PathBuf, pid: String },
    #[error(
        "the database {} has {names} names (hard links), and SQLite would keep a log for each of them; remove the others, or copy the file",
        path.display()
    )]
    Names { path: PathBuf, names: u64 },
    #[error("the lock file {} could not be written: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
}

impl Lock {
    /// Takes the lock of the database at `path`, or says who has it. The path is the real one, without links.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let lock_path = beside(path, ".lock");
        let io = |source| LockError::Io { path: lock_path.clone(), source };
        let names = std::fs::metadata(path).map_or(1, |file| file.nlink());
        if names > 1 {
            return Err(LockError::Names { path: path.to_path_buf(), names });
        }
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&lock_path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // The pid is for people; the lock itself is what counts.
                let _ = file.take(32).read_to_string(&mut pid);
                return Err(LockError::Held { path: path.to_path_buf(), pid: pid.trim().to_string() });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        file.set_len(0).map_err(io)?;
        writeln!(file, "{}", std::process::id()).map_err(io)?;
        let id = file.metadata().map_err(io)?.into();
        Ok(Self { _file: file, id })
    }

    pub fn id(&self) -> FileId {
        self.id
    }
}

/// A companion of the database: its path with `ending` after it.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("moltrun.db");
        let first = Lock::take(&path).unwrap();
        let refused = Lock::take(&path).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {};", std::process::id())), "{refused}");
        drop(first);
        Lock::take(&path).unwrap();
    }
}
