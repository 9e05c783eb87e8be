//! `credentials:` of `moltrun.yaml`: what `auth` of a step may name, and where each may go.

use super::sections::{named, secret};
use crate::lang::diagnostic::Diagnostics;
use crate::lang::reader::{self, Fields};
use crate::lang::yaml::Entry;
use crate::net::HeaderName;
use crate::steps::credentials::{Credential, Host, Keyring, Proof};

pub(super) fn read(entry: Option<&Entry>, found: &mut Diagnostics<'_>) -> Keyring {
    Keyring(named(entry, found, credential))
}

fn credential(entry: &Entry, found: &mut Diagnostics<'_>) -> Option<Credential> {
    let what = format!("credential `{}`", entry.key);
    let mut fields = Fields::open(&entry.value, &what, found)?;
    let bearer = fields.present("bearer");
    let basic = fields.present("basic");
    let header = fields.present("header");
    let allow = fields.required("allow", found);
    fields.finish(found);
    let proof = match (bearer, basic, header) {
        (Some(_), None, None) => secret(bearer.filter(|entry| !entry.value.is_null()), found).map(Proof::Bearer),
        (None, Some(basic), None) => self::basic(basic, &what, found),
        (None, None, Some(header)) => self::header(header, &what, found),
        _ => {
            found
                .error("bad-credential", entry.key_span.clone(), format!("{what} is one of three kinds"))
                .help("give one of `bearer: TOKEN`, `basic: { user, password }`, `header: { name, value }`");
            None
        }
    };
    let allow = allow?;
    let mut hosts: Vec<Host> = Vec::new();
    let listed = reader::list(&allow.value, found)?;
    for item in listed {
        let Some(text) = reader::text(item, found) else { continue };
        match text.parse() {
            Ok(host) => hosts.push(host),
            Err(error) => {
                let error: crate::steps::credentials::BadHost = error;
                found.error("bad-address", item.span.clone(), format!("{what}: {error}"));
            }
        }
    }
    if listed.is_empty() {
        let message = format!("{what} may go nowhere");
        found
            .error("out-of-range", allow.value.span.clone(), message)
            .help("name the hosts that may get it in `allow`");
    }
    Some(Credential { proof: proof?, allow: hosts })
}

fn basic(entry: &Entry, what: &str, found: &mut Diagnostics<'_>) -> Option<Proof> {
    let mut fields = Fields::open(&entry.value, format!("`basic` of {what}"), found)?;
    let user = fields.required("user", found);
    let password = filled(&mut fields, "password", entry, what, found);
    fields.finish(found);
    let (user, password) = (reader::text(&user?.value, found), secret(password, found));
    let user = user.filter(|user| {
        let good = !user.contains(':') && !user.contains(char::is_control);
        if !good {
            found.error(
                "bad-value",
                entry.value.span.clone(),
                format!("the user of {what} holds a colon or a control character"),
            );
        }
        good
    });
    Some(Proof::Basic { user: user?, password: password? })
}

/// The entry of a secret. Where no secret is needed it may have nothing after its `:`, but it must be there.
fn filled<'n>(
    fields: &mut Fields<'n>,
    key: &'static str,
    entry: &Entry,
    what: &str,
    found: &mut Diagnostics<'_>,
) -> Option<&'n Entry> {
    let secret = fields.present(key);
    if secret.is_none() {
        found.error("missing-key", entry.key_span.clone(), format!("`{}` of {what} needs `{key}`", entry.key));
    }
    secret.filter(|secret| !secret.value.is_null())
}

fn header(entry: &Entry, what: &str, found: &mut Diagnostics<'_>) -> Option<Proof> {
    let mut fields = Fields::open(&entry.value, format!("`header` of {what}"), found)?;
    let name = fields.required("name", found);
    let value = filled(&mut fields, "value", entry, what, found);
    fields.finish(found);
    let value = secret(value, found);
    let name = name?;
    let text = reader::text(&name.value, found)?;
    let Ok(header) = HeaderName::from_bytes(text.as_bytes()) else {
        let message = format!("`{}` is no name of a header", reader::shown(&text));
        found.error("bad-name", name.value.span.clone(), message);
        return None;
    };
    Some(Proof::Header { name: header.as_str().to_string(), value: value? })
}
