//! One process a database: a lock file beside it, held by the kernel and so freed by any death of its holder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The lock, freed when dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("the database {} is in use by the moltrun process {pid}; stop that one first, or name another database", path.display())]
    Held { path: PathBuf, pid: String },
    #[error("the lock file {} could not be written: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
}

impl Lock {
    /// Takes the lock of the database at `path`, or says who has it.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let mut name = path.as_os_str().to_os_string();
        name.push(".lock");
        let lock_path = PathBuf::from(name);
        let io = |source| LockError::Io { path: lock_path.clone(), source };
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
        Ok(Self { _file: file })
    }
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
