//! Compiled components, kept for the next start: compiling takes up to seconds, loading machine code microseconds.
//!
//! An entry is machine code that will run in this process, so an entry is trusted only if nobody else can have written
//! it: the folder and the file belong to us and are closed to everyone else, and the file begins with the SHA-256 of the
//! rest, which finds damage. What is verified is what is loaded: the bytes are read once, into memory. An entry that
//! fails any of this is compiled anew and replaced. Without a usable folder there is no cache, and nothing else changes.
//!
//! This is the one file of the house with `unsafe` code; see [`Cache::get`].
#![allow(unsafe_code)]

use std::fs::{self, File, Metadata};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::base::hex::hex;
use crate::base::limits::{PLUGIN_CACHE_ENTRIES, PLUGIN_CACHE_ENTRY};

const SUFFIX: &str = ".cwasm";
const DIGEST_LEN: usize = 32;

/// A folder that only we write.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// Uses `dir`, which is made if need be; an error says why it cannot be trusted.
    pub(super) fn open(dir: &Path) -> Result<Self, String> {
        make_private_dir(dir).map_err(|e| format!("{} cannot be made: {e}", dir.display()))?;
        let cache = Self { dir: dir.to_path_buf() };
        let found = fs::symlink_metadata(dir).map_err(|e| format!("{} cannot be read: {e}", dir.display()))?;
        if !found.is_dir() {
            return Err(format!("{} is not a folder", dir.display()));
        }
        // A file of our own shows who we are, and that we may write.
        let (probe, file) = cache.temporary().map_err(|e| format!("{} cannot be written: {e}", dir.display()))?;
        let ours = file.metadata();
        let _ = fs::remove_file(&probe);
        let ours = ours.map_err(|e| format!("{} cannot be read: {e}", dir.display()))?;
        if !is_private(&found, &ours) {
            return Err(format!("{} is not ours alone to write; run chmod 700 on it, as its owner", dir.display()));
        }
        Ok(cache)
    }

    /// The component of `digest` (SHA-256 of its file, hex) as this engine compiled it before.
    pub(super) fn get(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let bytes = self.read(&self.path(engine, digest))?;
        // SAFETY: `deserialize` is sound for bytes that `Component::serialize` made and nobody changed since, from a
        // compatible engine (which it checks itself). `read` has shown that only we can have written these bytes, that
        // they are as we wrote them, and we write nothing but what `serialize` gives (`put`).
        match unsafe { Component::deserialize(engine, &bytes[DIGEST_LEN..]) } {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::debug!(%error, digest, "a compiled plugin cannot be used and is compiled anew");
                None
            }
        }
    }

    /// Keeps `component` for the next start. An error is only a lost chance.
    pub(super) fn put(&self, engine: &Engine, digest: &str, component: &Component) {
        let kept = component.serialize().map_err(|e| e.to_string()).and_then(|code| {
            let path = self.path(engine, digest);
            self.write(&path, &code).map_err(|e| e.to_string())?;
            self.prune(&path).map_err(|e| e.to_string())
        });
        if let Err(error) = kept {
            tracing::warn!(error, folder = %self.dir.display(), "a compiled plugin cannot be kept");
        }
    }

    /// Another wasmtime, another setting or another processor make another name.
    fn path(&self, engine: &Engine, digest: &str) -> PathBuf {
        let mut hasher = StableHasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let compatibility = hex(&hasher.0.finalize());
        self.dir.join(format!("{digest}-{}{SUFFIX}", &compatibility[..16]))
    }

    /// The whole file, if it is ours, closed to others, and as it was written.
    fn read(&self, path: &Path) -> Option<Vec<u8>> {
        let file = File::open(path).ok()?;
        let (probe, ours) = self.temporary().ok()?;
        let private = is_private(&file.metadata().ok()?, &ours.metadata().ok()?);
        let _ = fs::remove_file(probe);
        let mut bytes = Vec::new();
        file.take(PLUGIN_CACHE_ENTRY as u64 + 1).read_to_end(&mut bytes).ok()?;
        let sound = private
            && bytes.len() > DIGEST_LEN
            && bytes.len() <= PLUGIN_CACHE_ENTRY
            && Sha256::digest(&bytes[DIGEST_LEN..])[..] == bytes[..DIGEST_LEN];
        if !sound {
            tracing::warn!(file = %path.display(), "a compiled plugin is damaged or not ours and is compiled anew");
            return None;
        }
        Some(bytes)
    }

    /// All of it under its name, or nothing.
    fn write(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        let (temporary, mut file) = self.temporary()?;
        let written = file
            .write_all(&Sha256::digest(code))
            .and_then(|()| file.write_all(code))
            .and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Forgets the oldest files beyond the bound, never `keep`. Another process may do the same at this moment, so a file
    /// that is gone already is none to worry about.
    fn prune(&self, keep: &Path) -> io::Result<()> {
        let mut entries: Vec<_> = fs::read_dir(&self.dir)?
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                Some((fs::metadata(&path).ok()?.modified().ok()?, path))
            })
            .filter(|(_, path)| path != keep)
            .collect();
        entries.sort();
        let surplus = (entries.len() + 1).saturating_sub(PLUGIN_CACHE_ENTRIES);
        for (_, path) in entries.into_iter().take(surplus) {
            let _ = fs::remove_file(path);
        }
        Ok(())
    }

    /// A new file that only we can open.
    fn temporary(&self) -> io::Result<(PathBuf, File)> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("tmp-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = self.dir.join(name);
        // Left by a process of this number that died.
        let _ = fs::remove_file(&path);
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok((path.clone(), options.open(&path)?))
    }
}

fn make_private_dir(dir: &Path) -> io::Result<()> {
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

/// Whether `found` belongs to the owner of `ours` and is closed to everyone else.
#[cfg(unix)]
fn is_private(found: &Metadata, ours: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    found.uid() == ours.uid() && found.mode() & 0o077 == 0
}

/// Elsewhere there is no cheap way to know, so there is no cache.
#[cfg(not(unix))]
fn is_private(_: &Metadata, _: &Metadata) -> bool {
    false
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

    fn component(engine: &Engine) -> Component {
        Component::new(engine, wat::parse_str("(component)").unwrap()).unwrap()
    }

    fn entries(dir: &Path) -> Vec<PathBuf> {
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect()
    }

    #[test]
    fn what_was_put_is_found_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let (engine, cache) = (Engine::default(), Cache::open(&dir.path().join("deep/cache")).unwrap());
        assert!(cache.get(&engine, "aa").is_none());
        cache.put(&engine, "aa", &component(&engine));
        assert!(cache.get(&engine, "aa").is_some());
        assert!(cache.get(&engine, "bb").is_none());
        assert_eq!(entries(&cache.dir).len(), 1);
    }

    #[test]
    fn another_engine_does_not_find_it() {
        let dir = tempfile::tempdir().unwrap();
        let (engine, cache) = (Engine::default(), Cache::open(&dir.path().join("cache")).unwrap());
        cache.put(&engine, "aa", &component(&engine));
        let other = Engine::new(wasmtime::Config::new().epoch_interruption(true)).unwrap();
        assert!(cache.get(&other, "aa").is_none());
    }

    #[test]
    fn a_damaged_or_open_entry_is_not_trusted_and_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (engine, cache) = (Engine::default(), Cache::open(&dir.path().join("cache")).unwrap());
        cache.put(&engine, "aa", &component(&engine));
        let path = entries(&cache.dir).remove(0);
        let sound = fs::read(&path).unwrap();
        let mut flipped = sound.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for damaged in [&flipped[..], &sound[..sound.len() / 2], &sound[..10], b""] {
            fs::write(&path, damaged).unwrap();
            assert!(cache.get(&engine, "aa").is_none(), "{} bytes", damaged.len());
            cache.put(&engine, "aa", &component(&engine));
            assert!(cache.get(&engine, "aa").is_some());
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o622)).unwrap();
        assert!(cache.get(&engine, "aa").is_none());
    }

    #[test]
    fn a_folder_that_others_may_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = Cache::open(dir.path()).unwrap_err();
        assert!(error.contains("is not ours alone to write; run chmod 700"), "{error}");
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(Cache::open(&file).unwrap_err().ends_with("is not a folder"));
    }

    #[test]
    fn old_entries_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let (engine, cache) = (Engine::default(), Cache::open(&dir.path().join("cache")).unwrap());
        for number in 0..PLUGIN_CACHE_ENTRIES + 5 {
            fs::write(cache.dir.join(format!("{number}.cwasm")), "old").unwrap();
        }
        cache.put(&engine, "aa", &component(&engine));
        assert_eq!(entries(&cache.dir).len(), PLUGIN_CACHE_ENTRIES);
        assert!(cache.get(&engine, "aa").is_some());
    }
}
