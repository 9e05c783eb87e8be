//! Regular expressions of filters: linear in the text by construction, bounded in the size of what they compile to.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use minijinja::Error;
use regex::{Regex, RegexBuilder};

use super::guard::refused;

/// One compiled pattern. A pattern people write takes a few KB; Unicode classes with large counts take all of this.
const COMPILED_BYTES: usize = 256 * 1024;

/// Patterns kept compiled: more than a folder of workflows writes. Patterns made of data may be endless, so the cache
/// is emptied when it is full.
const CACHED: usize = 256;

/// The compiled form of `pattern`.
pub(super) fn compiled(pattern: &str) -> Result<Regex, Error> {
    static CACHE: OnceLock<Mutex<HashMap<String, Regex>>> = OnceLock::new();
    let cache = CACHE.get_or_init(Mutex::default);
    // A poisoned cache is still a valid map.
    if let Some(regex) = cache.lock().unwrap_or_else(PoisonError::into_inner).get(pattern) {
        return Ok(regex.clone());
    }
    let regex = RegexBuilder::new(pattern)
        .size_limit(COMPILED_BYTES)
        .dfa_size_limit(COMPILED_BYTES)
        .nest_limit(64)
        .build()
        .map_err(|error| {
            refused(format!("`{}` is no regular expression: {}", super::env::shown(pattern), reason(&error)))
        })?;
    let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
    if cache.len() >= CACHED {
        cache.clear();
    }
    cache.insert(pattern.to_string(), regex.clone());
    Ok(regex)
}

/// The last line of the parser's drawing says what is wrong.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_string()
}
