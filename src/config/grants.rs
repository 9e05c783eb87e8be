//! `grants:`: what each plugin may use, of what it asks for.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{Secret, limits};
use crate::lang::diagnostic::Diagnostics;
use crate::lang::reader::{self, Fields};
use crate::lang::yaml::Entry;
use crate::wasm::{Grant, HostPattern};

/// `<plugin>: { http, secrets, state, memory, timeout, sha256 }`. `secrets` are those of the configuration.
pub fn read(entry: &Entry, secrets: &BTreeMap<String, Option<Secret>>, found: &mut Diagnostics<'_>) -> Option<Grant> {
    let mut fields = Fields::open(&entry.value, format!("the grant of `{}`", entry.key), found)?;
    let http = fields.optional("http");
    let named = fields.optional("secrets");
    let state = fields.optional("state");
    let memory = fields.optional("memory");
    let timeout = fields.optional("timeout");
    let sha256 = fields.optional("sha256");
    fields.finish(found);
    Some(Grant {
        http: http.map_or_else(Vec::new, |entry| hosts(entry, found)),
        secrets: named.map_or_else(BTreeSet::new, |entry| names(entry, secrets, found)),
        state: state.and_then(|entry| reader::boolean(&entry.value, found)).unwrap_or_default(),
        memory_bytes: memory.and_then(|entry| size(entry, found)),
        timeout_ms: timeout.and_then(|entry| reader::duration_ms(&entry.value, found)),
        sha256: sha256.and_then(|entry| digest(entry, found)),
    })
}

/// Places on the web.
fn hosts(entry: &Entry, found: &mut Diagnostics<'_>) -> Vec<HostPattern> {
    let mut hosts = Vec::new();
    for item in reader::list(&entry.value, found).unwrap_or_default() {
        let Some(text) = reader::text(item, found) else { continue };
        if hosts.len() >= limits::PLUGIN_ASKS {
            let message = format!("a grant names at most {} hosts", limits::PLUGIN_ASKS);
            found.error("too-many", item.span.clone(), message).help("write `*.shop.example` for all names below one");
            break;
        }
        match HostPattern::granted(&text) {
            Ok(host) => hosts.push(host),
            Err(reason) => {
                found
                    .error("bad-host", item.span.clone(), format!("`{}` {reason}", reader::shown(&text)))
                    .help("write a host, with a port unless it is 443: api.crm.example, *.shop.example, 10.0.0.5:8080");
            }
        }
    }
    hosts
}

/// Names of the section `secrets`.
fn names(entry: &Entry, secrets: &BTreeMap<String, Option<Secret>>, found: &mut Diagnostics<'_>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for item in reader::list(&entry.value, found).unwrap_or_default() {
        let Some(name) = reader::text(item, found) else { continue };
        if secrets.contains_key(&name) {
            names.insert(name);
            continue;
        }
        let shown = reader::shown(&name);
        let diagnostic = found.error("unknown-secret", item.span.clone(), format!("there is no secret `{shown}`"));
        match secrets.is_empty() {
            true => diagnostic.help(format!("add it: `secrets: {{ {shown}: ${{{shown}}} }}`")),
            false => diagnostic.known(&name, "secrets", secrets.keys().map(String::as_str).collect::<Vec<_>>()),
        }
    }
    names
}

fn size(entry: &Entry, found: &mut Diagnostics<'_>) -> Option<usize> {
    let text = reader::text(&entry.value, found)?;
    let bytes = parse_bytes(&text);
    if bytes.is_none() {
        let span = entry.value.span.clone();
        let message = format!("`{}` is no size", reader::shown(&text));
        found.error("bad-size", span, message).help("write a whole number and KiB, MiB or GiB, such as 64MiB");
    }
    bytes
}

fn digest(entry: &Entry, found: &mut Diagnostics<'_>) -> Option<String> {
    let text = reader::text(&entry.value, found)?;
    let is_digest = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_digest {
        let span = entry.value.span.clone();
        found.error("bad-digest", span, "a SHA-256 digest is 64 hexadecimal digits").help("see `sha256sum FILE`");
    }
    is_digest.then(|| text.to_ascii_lowercase())
}

fn parse_bytes(text: &str) -> Option<usize> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let (digits, unit) = units.into_iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    digits.trim().parse::<usize>().ok()?.checked_mul(unit)
}
