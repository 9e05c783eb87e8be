//! A folder that only we write: what is read from it is what this program wrote.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::base::hex::hex;

/// Bytes of the line before the text of a sealed file: a SHA-256 in hex, and the line's end.
const SEAL: usize = 65;

/// How the names of files begin that are not whole yet.
const TEMPORARY: &str = "tmp-";

/// The age at which such a file belongs to nobody any more: compiling and writing the largest takes minutes.
const LEFTOVER: Duration = Duration::from_secs(60 * 60);

/// The folder and the files in it belong to us and are closed to everyone else.
#[derive(Clone, Debug)]
pub(super) struct PrivateDir {
    pub(super) path: PathBuf,
    owner: Owner,
}

impl PrivateDir {
    /// Uses `path`, which is made if need be; an error says why it cannot be trusted.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        make(path).map_err(|e| format!("{} cannot be made: {e}", path.display()))?;
        let found = fs::symlink_metadata(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
        if !found.is_dir() {
            return Err(format!("{} is not a folder", path.display()));
        }
        // A file of our own shows who we are, and that we may write.
        let (probe, file) = temporary(path).map_err(|e| format!("{} cannot be written: {e}", path.display()))?;
        let ours = file.metadata();
        let _ = fs::remove_file(&probe);
        let ours = ours.map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
        let dir = Self { path: path.to_path_buf(), owner: Owner::of(&ours) };
        if !dir.owner.keeps(&found) {
            return Err(format!("{} is not ours alone to write; run chmod 700 on it, as its owner", path.display()));
        }
        if let Ok(now) = ours.modified() {
            forget_leftovers(path, now);
        }
        Ok(dir)
    }

    /// The file `name`, open for reading, if it is ours and closed to others.
    pub(super) fn file(&self, name: &str) -> Option<File> {
        let path = self.path.join(name);
        let file = File::open(&path).ok()?;
        if !self.owner.keeps(&file.metadata().ok()?) {
            tracing::warn!(file = %path.display(), "a file of the plugin cache is not ours alone and is not used");
            return None;
        }
        Some(file)
    }

    /// What [`Self::seal`] wrote, of at most `limit` bytes, undamaged.
    pub(super) fn sealed<T: DeserializeOwned>(&self, name: &str, limit: usize) -> Option<T> {
        let mut text = String::new();
        self.file(name)?.take((SEAL + limit) as u64).read_to_string(&mut text).ok()?;
        let (seal, text) = text.split_once('\n')?;
        (hex(&Sha256::digest(text)) == seal).then(|| serde_json::from_str(text).ok())?
    }

    /// Writes `value` with a digest that finds damage.
    pub(super) fn seal<T: Serialize>(&self, name: &str, value: &T) -> io::Result<()> {
        let text = serde_json::to_string(value)?;
        self.write(name, |file| {
            file.write_all(hex(&Sha256::digest(&text)).as_bytes())?;
            file.write_all(b"\n")?;
            file.write_all(text.as_bytes())
        })
    }

    /// Makes or replaces the file `name`: all of it or nothing, never in place, so that whoever has the old one open keeps it.
    pub(super) fn write(&self, name: &str, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
        let (temporary, mut file) = temporary(&self.path)?;
        let written = write(&mut file).and_then(|()| fs::rename(&temporary, self.path.join(name)));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Forgets the oldest files that end in `suffix` beyond `most`, never `keep`. Another process may do the same at this
    /// moment, so a file that is gone already is none to worry about.
    pub(super) fn prune(&self, suffix: &str, most: usize, keep: &str) -> io::Result<()> {
        let names = fs::read_dir(&self.path)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let names: Vec<String> = names.filter(|name| name.ends_with(suffix)).collect();
        if names.len() <= most {
            return Ok(());
        }
        let mut files: Vec<_> = names
            .into_iter()
            .filter(|name| name != keep)
            .filter_map(|name| {
                let path = self.path.join(name);
                Some((fs::metadata(&path).ok()?.modified().ok()?, path))
            })
            .collect();
        files.sort();
        let surplus = (files.len() + 1).saturating_sub(most);
        for (_, path) in files.into_iter().take(surplus) {
            let _ = fs::remove_file(path);
        }
        Ok(())
    }
}

fn make(dir: &Path) -> io::Result<()> {
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Removes what processes that died left behind. `now` is by the clock of the file system, as the files' own times are.
fn forget_leftovers(dir: &Path, now: SystemTime) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(TEMPORARY));
        let written = || entry.metadata().ok().filter(Metadata::is_file)?.modified().ok();
        if is_ours && written().and_then(|at| now.duration_since(at).ok()).is_some_and(|age| age > LEFTOVER) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A new file that only we can open.
fn temporary(dir: &Path) -> io::Result<(PathBuf, File)> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("{TEMPORARY}{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let path = dir.join(name);
    // Left by a process of this number that died.
    let _ = fs::remove_file(&path);
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    Ok((path.clone(), options.open(&path)?))
}

/// Who we are.
#[cfg(unix)]
#[derive(Clone, Copy, Debug)]
struct Owner(u32);

/// Elsewhere there is no cheap way to know, so there is no cache.
#[cfg(not(unix))]
#[derive(Clone, Copy, Debug)]
struct Owner;

#[cfg(unix)]
impl Owner {
    fn of(ours: &Metadata) -> Self {
        Self(std::os::unix::fs::MetadataExt::uid(ours))
    }

    /// Whether `found` is ours and closed to everyone else.
    fn keeps(self, found: &Metadata) -> bool {
        use std::os::unix::fs::MetadataExt;
        found.uid() == self.0 && found.mode() & 0o077 == 0
    }
}

#[cfg(not(unix))]
impl Owner {
    fn of(_: &Metadata) -> Self {
        Self
    }

    fn keeps(self, _: &Metadata) -> bool {
        false
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_that_others_may_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = PrivateDir::open(dir.path()).unwrap_err();
        assert!(error.contains("is not ours alone to write; run chmod 700"), "{error}");
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(PrivateDir::open(&file).unwrap_err().ends_with("is not a folder"));
    }

    #[test]
    fn what_dead_processes_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        let private = PrivateDir::open(&path).unwrap();
        private.seal("a.json", &1).unwrap();
        for (name, hours) in [("tmp-1-0", 2), ("tmp-1-1", 0), ("old.json", 2)] {
            let file = File::create(path.join(name)).unwrap();
            let made = file.metadata().unwrap().modified().unwrap();
            file.set_modified(made - Duration::from_secs(hours * 60 * 60)).unwrap();
        }
        PrivateDir::open(&path).unwrap();
        let mut names: Vec<_> =
            fs::read_dir(&path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["a.json", "old.json", "tmp-1-1"]);
    }

    #[test]
    fn what_is_sealed_is_read_back_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let private = PrivateDir::open(&dir.path().join("deep/er")).unwrap();
        let read = || private.sealed::<Vec<String>>("a.json", 100);
        assert_eq!(read(), None);
        let value = vec!["one\ntwo".to_string()];
        private.seal("a.json", &value).unwrap();
        assert_eq!(read(), Some(value));
        assert_eq!(private.sealed::<Vec<String>>("a.json", 3), None);
        let path = private.path.join("a.json");
        let sound = fs::read(&path).unwrap();
        let mut flipped = sound.clone();
        flipped[70] ^= 1;
        for damaged in [&flipped[..], &sound[..sound.len() - 1], &sound[..10], b""] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(read(), None);
        }
        fs::write(&path, &sound).unwrap();
        assert!(read().is_some());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o622)).unwrap();
        assert_eq!(read(), None);
        assert_eq!(fs::read_dir(&private.path).unwrap().count(), 1);
    }
}
