//! Compiled components, kept for the next start: compiling takes up to seconds, loading machine code microseconds. Beside
//! each lies what the plugin said of itself, so that a start need not ask again; and which file had which digest, so that it
//! need not read the plugins either.
//!
//! An entry is machine code that will run in this process, so it is used only if two things are sure. *Nobody else can have
//! written it*: the folder and the files belong to us and are closed to everyone else ([`PrivateDir`]), and we write nothing
//! but what wasmtime's `serialize` gave, never in place. *It is as it was written*: its SHA-256 is that in the sealed record
//! beside it. Once that was seen and the file has been left alone for a while, its stamp (which file, length, times of
//! change) stands for the digest, and the file is mapped, not read: from then on we trust the disk with it as the system
//! trusts it with this binary. An entry that fails any of this is compiled anew and replaced. Without a usable folder there
//! is no cache, and nothing else changes.
//!
//! That a plugin's file is known by its stamp decides only which entry is used. A plugin whose grant pins a digest is read
//! and hashed at every start.
//!
//! This is the one file of the house with `unsafe` code; see [`Cache::map`] and [`Cache::read`].
#![allow(unsafe_code)]

use std::fs::{self, File, Metadata};
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::kept::Kept;
use super::private::PrivateDir;
use super::stamp::Stamp;
use crate::base::hex::hex;
use crate::base::limits::{PLUGIN_CACHE_ENTRIES, PLUGIN_CACHE_ENTRY, PLUGIN_KEPT};
use crate::engine::ports::Clock;

const CODE: &str = ".cwasm";
const RECORD: &str = ".json";
const SEEN: &str = ".file";

/// Room in a record beside what the plugin said.
const RECORD_SLACK: usize = 4 * 1024;

pub(super) struct Cache {
    folder: PrivateDir,
    engine: Engine,
    /// Another wasmtime, another setting or another processor make another one.
    compatibility: String,
    clock: Arc<dyn Clock>,
}

/// What is known of one compiled component.
#[derive(Serialize, Deserialize)]
struct Record {
    /// Of the code, hex.
    sha256: String,
    /// The code's file when its digest was last seen to be right.
    stamp: Option<Stamp>,
    said: Option<Kept>,
}

/// A plugin's file.
#[derive(Serialize, Deserialize)]
struct Seen {
    stamp: Stamp,
    digest: String,
}

impl Cache {
    /// Keeps what `engine` compiles in `dir`, which is made if need be; an error says why it cannot be trusted.
    pub(super) fn open(dir: &Path, engine: &Engine, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let folder = PrivateDir::open(dir)?;
        let mut hasher = StableHasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let compatibility = hex(&hasher.0.finalize()[..8]);
        Ok(Self { folder, engine: engine.clone(), compatibility, clock })
    }

    /// The component of `digest` (SHA-256 of its file, hex) as this engine compiled it before, and what it said of itself.
    pub(super) fn get(&self, digest: &str) -> Option<(Component, Option<Kept>)> {
        let mut record = self.record(digest)?;
        let file = self.folder.file(&self.name(digest, CODE))?;
        let stamp = Stamp::of(&file.metadata().ok()?, self.clock.now());
        let mapped = if stamp.is_some() && stamp == record.stamp { self.map(&file) } else { None };
        let component = match mapped {
            Some(component) => component,
            None => {
                let Some(component) = self.read(file, &record.sha256) else {
                    tracing::warn!(digest, "a compiled plugin is damaged or does not fit and is compiled anew");
                    return None;
                };
                if stamp.is_some() && stamp != record.stamp {
                    record.stamp = stamp;
                    self.keep(digest, &record);
                }
                component
            }
        };
        Some((component, record.said))
    }

    /// Keeps `component` for the next start. An error is only a lost chance.
    pub(super) fn put(&self, digest: &str, component: &Component) {
        let kept = component.serialize().map_err(|e| e.to_string()).and_then(|code| {
            let name = self.name(digest, CODE);
            let write = |file: &mut File| {
                file.write_all(&code)?;
                // The record outlives a loss of power, so the code must, too.
                file.sync_data()
            };
            self.folder.write(&name, write).map_err(|e| e.to_string())?;
            self.folder.prune(CODE, PLUGIN_CACHE_ENTRIES, &name).map_err(|e| e.to_string())?;
            let record = Record { sha256: hex(&Sha256::digest(&code)), stamp: None, said: None };
            self.keep(digest, &record);
            self.folder.prune(RECORD, PLUGIN_CACHE_ENTRIES, &self.name(digest, RECORD)).map_err(|e| e.to_string())
        });
        if let Err(error) = kept {
            tracing::warn!(error, folder = %self.folder.path.display(), "a compiled plugin cannot be kept");
        }
    }

    /// Keeps what the plugin of `digest` said of itself beside its code.
    pub(super) fn said(&self, digest: &str, said: Kept) {
        if let Some(record) = self.record(digest).filter(|_| said.text_len() <= PLUGIN_KEPT) {
            self.keep(digest, &Record { said: Some(said), ..record });
        }
    }

    /// The digest and length of the file at `path`, if it is the one that was [`saw`](Self::saw).
    pub(super) fn seen(&self, path: &Path, found: &Metadata) -> Option<(String, u64)> {
        let stamp = Stamp::of(found, self.clock.now())?;
        let seen: Seen = self.folder.sealed(&seen_name(path), RECORD_SLACK)?;
        (seen.stamp == stamp).then_some((seen.digest, stamp.bytes))
    }

    /// The file at `path` was `found`, then read, and had this digest.
    pub(super) fn saw(&self, path: &Path, found: &Metadata, digest: &str) {
        let now = self.clock.now();
        let after = fs::metadata(path).ok().and_then(|after| Stamp::of(&after, now));
        // Else it may have been replaced before it was read.
        let Some(stamp) = Stamp::of(found, now).filter(|before| after.as_ref() == Some(before)) else { return };
        let name = seen_name(path);
        let kept = self.folder.seal(&name, &Seen { stamp, digest: digest.to_string() });
        if let Err(error) = kept.and_then(|()| self.folder.prune(SEEN, PLUGIN_CACHE_ENTRIES, &name)) {
            tracing::debug!(%error, "the digest of a plugin cannot be kept");
        }
    }

    fn record(&self, digest: &str) -> Option<Record> {
        self.folder.sealed(&self.name(digest, RECORD), PLUGIN_KEPT + RECORD_SLACK)
    }

    fn keep(&self, digest: &str, record: &Record) {
        if let Err(error) = self.folder.seal(&self.name(digest, RECORD), record) {
            tracing::warn!(%error, folder = %self.folder.path.display(), "the record of a compiled plugin cannot be kept");
        }
    }

    fn name(&self, digest: &str, suffix: &str) -> String {
        format!("{digest}-{}{suffix}", self.compatibility)
    }

    /// Maps the code in `file`, whose digest was right and which was left alone since. None where that is not possible: a
    /// file system that runs no programs, no `/proc`.
    #[cfg(target_os = "linux")]
    fn map(&self, file: &File) -> Option<Component> {
        use std::os::fd::AsRawFd;
        // The file that is open here, whatever its name leads to by now.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        // SAFETY: `deserialize_file` is sound for what `Component::serialize` gave, unchanged before and while it is mapped,
        // from a compatible engine (which it checks itself). The caller has shown that only we can have written this file,
        // and that it is the one whose digest was right. It does not change while it is mapped: we replace files by renaming
        // others over them, and nobody else can open it to write.
        let component = unsafe { Component::deserialize_file(&self.engine, path) };
        component.inspect_err(|error| tracing::debug!(%error, "a compiled plugin cannot be mapped")).ok()
    }

    #[cfg(not(target_os = "linux"))]
    fn map(&self, _: &File) -> Option<Component> {
        None
    }

    /// Reads the code in `file`, if its digest is `sha256`.
    fn read(&self, file: File, sha256: &str) -> Option<Component> {
        let mut code = Vec::new();
        file.take(PLUGIN_CACHE_ENTRY as u64 + 1).read_to_end(&mut code).ok()?;
        if code.len() > PLUGIN_CACHE_ENTRY || hex(&Sha256::digest(&code)) != sha256 {
            return None;
        }
        // SAFETY: `deserialize` is sound for what `Component::serialize` gave, unchanged, from a compatible engine (which it
        // checks itself). `PrivateDir` has shown that only we can have written file and record, and the record's digest is
        // that of these bytes, which are in our memory now.
        let component = unsafe { Component::deserialize(&self.engine, &code) };
        component.inspect_err(|error| tracing::debug!(%error, "a compiled plugin cannot be used")).ok()
    }
}

/// One a path.
fn seen_name(path: &Path) -> String {
    format!("{}{SEEN}", &hex(&Sha256::digest(path.as_os_str().as_encoded_bytes()))[..32])
}

/// A hash that is the same in every process and every release of Rust.
struct StableHasher(Sha256);

impl Hasher for StableHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest: [u8; 32] = self.0.clone().finalize().into();
        u64::from_le_bytes(digest[..8].try_into().unwrap_or_default())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicI64, Ordering};

    use futures::future::BoxFuture;

    use crate::base::Millis;
    use crate::engine::clock::SystemClock;

    /// The real time, and as much more as a test wants.
    #[derive(Default)]
    struct Later(AtomicI64);

    impl Clock for Later {
        fn now(&self) -> Millis {
            SystemClock.now() + self.0.load(Ordering::Relaxed)
        }

        fn sleep_until(&self, _: Millis) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }

        fn random(&self) -> u128 {
            0
        }
    }

    struct House {
        dir: tempfile::TempDir,
        clock: Arc<Later>,
        cache: Cache,
    }

    impl House {
        fn new(engine: &Engine) -> Self {
            let (dir, clock) = (tempfile::tempdir().unwrap(), Arc::new(Later::default()));
            let cache = Cache::open(&dir.path().join("cache"), engine, clock.clone()).unwrap();
            Self { dir, clock, cache }
        }

        /// Everything that was written so far has been left alone for long.
        fn settle(&self) {
            self.clock.0.fetch_add(10_000, Ordering::Relaxed);
        }

        fn put(&self) {
            let component = Component::new(&self.cache.engine, wat::parse_str("(component)").unwrap()).unwrap();
            self.cache.put("aa", &component);
        }

        fn names(&self, suffix: &str) -> Vec<PathBuf> {
            let entries = fs::read_dir(&self.cache.folder.path).unwrap().map(|e| e.unwrap().path());
            entries.filter(|path| path.to_string_lossy().ends_with(suffix)).collect()
        }
    }

    #[test]
    fn what_was_put_is_found_and_nothing_else_is_left() {
        let house = House::new(&Engine::default());
        assert!(house.cache.get("aa").is_none());
        house.put();
        // Read and hashed, read and recorded, mapped.
        for _ in 0..3 {
            assert!(house.cache.get("aa").is_some());
            house.settle();
        }
        assert!(house.cache.get("bb").is_none());
        assert_eq!(house.names("").len(), 2);
    }

    #[test]
    fn another_engine_does_not_find_it() {
        let house = House::new(&Engine::default());
        house.put();
        let other = Engine::new(wasmtime::Config::new().epoch_interruption(true)).unwrap();
        let other = Cache::open(&house.cache.folder.path, &other, house.clock.clone()).unwrap();
        assert!(other.get("aa").is_none());
    }

    #[test]
    fn a_damaged_or_open_entry_is_not_trusted_and_is_replaced() {
        for is_settled in [false, true] {
            let house = House::new(&Engine::default());
            let again = || {
                house.put();
                if is_settled {
                    house.settle();
                    assert!(house.cache.get("aa").is_some());
                }
            };
            again();
            for path in [house.names(CODE).remove(0), house.names(RECORD).remove(0)] {
                let sound = fs::read(&path).unwrap();
                let mut flipped = sound.clone();
                *flipped.last_mut().unwrap() ^= 1;
                for damaged in [&flipped[..], &sound[..sound.len() / 2], &sound[..10], b""] {
                    fs::write(&path, damaged).unwrap();
                    assert!(house.cache.get("aa").is_none(), "{} bytes of {}", damaged.len(), path.display());
                    again();
                    assert!(house.cache.get("aa").is_some());
                }
                fs::set_permissions(&path, fs::Permissions::from_mode(0o622)).unwrap();
                assert!(house.cache.get("aa").is_none());
                again();
            }
        }
    }

    #[test]
    fn a_file_is_known_again_until_it_changes() {
        let house = House::new(&Engine::default());
        let path = house.dir.path().join("plugin.wasm");
        fs::write(&path, "one").unwrap();
        let found = || fs::metadata(&path).unwrap();
        let seen = || house.cache.seen(&path, &found());
        house.cache.saw(&path, &found(), "d1");
        assert_eq!(seen(), None, "it may still change unseen");
        house.settle();
        house.cache.saw(&path, &found(), "d1");
        assert_eq!(seen(), Some(("d1".to_string(), 3)));
        assert_eq!(house.cache.seen(&house.dir.path().join("other.wasm"), &found()), None);
        fs::write(house.dir.path().join("new"), "two").unwrap();
        fs::rename(house.dir.path().join("new"), &path).unwrap();
        house.settle();
        assert_eq!(seen(), None);
    }

    #[test]
    fn old_entries_make_room() {
        let house = House::new(&Engine::default());
        for number in 0..PLUGIN_CACHE_ENTRIES + 5 {
            for suffix in [CODE, RECORD] {
                fs::write(house.cache.folder.path.join(format!("{number}{suffix}")), "old").unwrap();
            }
        }
        house.put();
        for suffix in [CODE, RECORD] {
            assert_eq!(house.names(suffix).len(), PLUGIN_CACHE_ENTRIES);
        }
        assert!(house.cache.get("aa").is_some());
    }
}
