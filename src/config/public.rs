//! What others outside are told or have to prove: `server.public_url` and `secrets:`.

use std::collections::BTreeMap;

use super::Need;
use super::sections::secret;
use crate::base::{Secret, limits};
use crate::lang::diagnostic::Diagnostics;
use crate::lang::reader;
use crate::lang::yaml::Entry;
use crate::net::{Url, shown_url};

/// An address of this daemon as others see it: http or https, perhaps with a path, without what a path cannot be appended to.
pub fn url(entry: &Entry, found: &mut Diagnostics<'_>) -> Option<String> {
    let text = reader::text(&entry.value, found)?;
    let bare = text.trim().trim_end_matches('/');
    let wrong = match Url::parse(bare) {
        Err(_) => "is no URL",
        Ok(url) if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() => "is no http or https URL",
        Ok(url) if url.query().is_some() || url.fragment().is_some() => "has a query or a fragment",
        Ok(url) if !url.username().is_empty() || url.password().is_some() => "holds credentials",
        Ok(url) if url.path().trim_end_matches('/').ends_with("/hooks/moltflow") => "names the webhook itself",
        Ok(_) => return Some(bare.to_string()),
    };
    found
        .error("bad-url", entry.value.span.clone(), format!("`{}` {wrong}", shown_url(&text)))
        .help("write the address that others reach this daemon at, such as https://bot.example.com; /hooks/moltflow is appended");
    None
}

/// `secrets: { name: value }`.
pub fn secrets(entry: Option<&Entry>, need: Need, found: &mut Diagnostics<'_>) -> BTreeMap<String, Option<Secret>> {
    let entries = entry.and_then(|entry| reader::entries(&entry.value, found)).unwrap_or_default();
    let mut secrets = BTreeMap::new();
    for entry in entries {
        let good = entry.key.len() <= limits::SECRET_NAME
            && entry.key.starts_with(|c: char| c.is_ascii_alphabetic())
            && entry.key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !good {
            let message = format!("`{}` is no name of a secret", reader::shown(&entry.key));
            found
                .error("bad-name", entry.key_span.clone(), message)
                .help("write letters, digits, - and _, a letter first");
            continue;
        }
        // Where no secret is needed, one that is read from somewhere has a name.
        let value = match (entry.value.is_null(), need) {
            (true, Need::Shape) => None,
            (true, Need::Everything) => {
                let message = format!("the secret `{}` has no value", entry.key);
                found
                    .error("bad-secret", entry.key_span.clone(), message)
                    .help("write `${NAME}` to read it from the environment");
                None
            }
            (false, _) => secret(Some(entry), found),
        };
        secrets.insert(entry.key.clone(), value);
    }
    secrets
}
