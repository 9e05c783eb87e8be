//! Which components there are: `*.wasm` of the plugins folder and the bundled ones, read and looked at from outside.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::bundled::{BUNDLED, SCRIPT};
use super::host::Origin;
use super::text::{clean, is_name};
use crate::base::hex::hex;
use crate::lang::file::{FileError, read_bounded};

/// First segments of built-in step names (`ai.prompt`, `moltflow.send`): `ai/prompt` would be mistaken for one.
const RESERVED_PLUGINS: &[&str] = &["ai", "data", "http", "moltflow", "moltrun", "state"];

/// A component's bytes and their SHA-256 (hex).
pub(super) struct Found {
    pub(super) bytes: Cow<'static, [u8]>,
    pub(super) digest: String,
}

/// Every plugin by name. The order is that of the names, so that loading is the same every time.
pub(super) fn scan(dir: Option<&Path>) -> BTreeMap<String, Origin> {
    let mut found: BTreeMap<String, Origin> =
        BUNDLED.iter().map(|(name, bytes)| (name.to_string(), Origin::Bundled(bytes))).collect();
    let Some(dir) = dir.filter(|dir| dir.exists()) else { return found };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::warn!(folder = %dir.display(), %error, "the plugins folder cannot be read");
            return found;
        }
    };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        // What editors, copying tools and foreign file systems keep beside a file (`.x.wasm`, `._x.wasm`) is hidden.
        if path.extension().is_some_and(|extension| extension == "wasm") && !stem.starts_with('.') {
            found.insert(clean(&stem, 64), Origin::File(path));
        }
    }
    found
}

/// Whether a plugin can be called so; an error says why not.
pub fn check_name(name: &str) -> Result<(), String> {
    if !is_name(name, &['-']) {
        return Err(format!("`{}` is no plugin name; one is [a-z][a-z0-9-]*, at most 64 characters", clean(name, 64)));
    }
    if RESERVED_PLUGINS.contains(&name) {
        return Err(format!("`{name}` is reserved for built-in steps"));
    }
    Ok(())
}

/// The digest of a component that is part of this binary, as it was written down when it was built.
pub(super) fn bundled_digest(bytes: &'static [u8]) -> Option<&'static str> {
    let (name, _) = BUNDLED.iter().chain([&("script", SCRIPT)]).find(|(_, bundled)| *bundled == bytes)?;
    include_str!("../../plugins/dist/SHA256SUMS").lines().find_map(|line| {
        let (digest, file) = line.split_once("  ")?;
        (file.strip_suffix(".wasm") == Some(name)).then_some(digest)
    })
}

/// The component, if size, pin and first bytes are right.
pub(super) fn read(origin: &Origin, limit: usize, pin: Option<&str>) -> Result<Found, String> {
    let bytes: Cow<'static, [u8]> = match origin {
        Origin::File(path) => read_file(path, limit)?.into(),
        Origin::Bundled(bytes) => (*bytes).into(),
    };
    let digest = hex(&Sha256::digest(&bytes));
    if let Some(pin) = pin.filter(|pin| !pin.eq_ignore_ascii_case(&digest)) {
        let pin = clean(pin, 64);
        return Err(format!(
            "its sha256 is {digest}, and its grant pins {pin}; if you trust the new file, set the new one"
        ));
    }
    look(&bytes)?;
    Ok(Found { bytes, digest })
}

fn read_file(path: &Path, limit: usize) -> Result<Vec<u8>, String> {
    read_bounded(path, limit).map_err(|error| match error {
        FileError::Io(error) => format!("{} cannot be read: {error}", path.display()),
        FileError::NotRegular => format!("{} is not a regular file", path.display()),
        FileError::TooLarge(limit) => format!("the file is larger than the {limit} bytes allowed"),
    })
}

/// What kind of file this is, from its first 8 bytes: magic, version, layer.
fn look(bytes: &[u8]) -> Result<(), String> {
    match bytes {
        [] => Err("the file is empty".to_string()),
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', _, _, 0, 0, ..] => Err("the file is a core module, not a component; build it for \
             wasm32-wasip2, or make a component of it with wasm-tools component new"
            .to_string()),
        [0, b'a', b's', b'm', ..] => Err("the file is WebAssembly of an unknown kind, or was cut off".to_string()),
        _ => Err("the file is not WebAssembly".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digests_that_were_written_down_are_right() {
        for (name, bytes) in BUNDLED.iter().chain([&("script", SCRIPT)]) {
            assert_eq!(bundled_digest(bytes), Some(hex(&Sha256::digest(bytes)).as_str()), "{name}");
        }
        assert_eq!(bundled_digest(b"other"), None);
    }

    #[test]
    fn hidden_files_and_others_are_no_plugins() {
        let home = tempfile::tempdir().unwrap();
        for name in ["one.wasm", ".two.wasm", "._one.wasm", ".wasm", "three.txt", "four.wasm~"] {
            fs::write(home.path().join(name), "").unwrap();
        }
        let found = scan(Some(home.path()));
        let files = found.iter().filter(|(_, origin)| matches!(origin, Origin::File(_)));
        assert_eq!(files.map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["one"]);
    }
}
