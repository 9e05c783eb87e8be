//! Whether a file is still the one it was, without reading it.

use std::fs::Metadata;

use serde::{Deserialize, Serialize};

use crate::base::Millis;

/// How long a file must have been left alone before a stamp says anything, in milliseconds: two changes within one grain of
/// the file system's clock leave the same times. The coarsest one in use (FAT) counts two seconds.
const SETTLED_MS: Millis = 2_500;

/// Which file it is, how long, when written and when changed in any other way. Nobody can set the last back without
/// setting the machine's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    device: u64,
    file: u64,
    pub(super) bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// None where the system does not tell, or the file was changed so shortly before `now` that a change to come may not
    /// show.
    #[cfg(unix)]
    pub(super) fn of(file: &Metadata, now: Millis) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let latest = file.mtime().max(file.ctime());
        let is_settled = latest.checked_mul(1_000)?.checked_add(SETTLED_MS)? <= now;
        is_settled.then(|| Self {
            device: file.dev(),
            file: file.ino(),
            bytes: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }

    #[cfg(not(unix))]
    pub(super) fn of(_: &Metadata, _: Millis) -> Option<Self> {
        None
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_change_shows_and_a_fresh_file_has_no_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "one").unwrap();
        let later = i64::MAX / 2;
        let stamp = || Stamp::of(&fs::metadata(&path).unwrap(), later).unwrap();
        let first = stamp();
        assert_eq!(first, stamp());
        assert_eq!(first.bytes, 3);
        // Another file of the same name and length.
        fs::write(dir.path().join("other"), "two").unwrap();
        fs::rename(dir.path().join("other"), &path).unwrap();
        assert_ne!(first, stamp());

        use std::os::unix::fs::MetadataExt;
        let found = fs::metadata(&path).unwrap();
        let seconds = found.mtime().max(found.ctime());
        assert_eq!(Stamp::of(&found, seconds * 1_000 + SETTLED_MS - 1), None);
        assert!(Stamp::of(&found, seconds * 1_000 + SETTLED_MS).is_some());
    }
}
