//! The keys of `moltrun.yaml`, section by section.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use super::{Config, Engine, Need, Server, ai, credentials, grants, public};
use crate::base::json::JsonMap;
use crate::base::phone::Region;
use crate::base::{Secret, limits};
use crate::lang::diagnostic::Diagnostics;
use crate::lang::reader::{self, Fields};
use crate::lang::yaml::{Entry, Node, Value};
use crate::moltflow::{self, Credentials};
use crate::net::Policy;
use crate::steps::ai_prompt::AiProviders;

/// MoltFlow's own address (the guide's).
const MOLTFLOW_URL: &str = "https://apiv2.waiflow.app/api/v2";

/// Local by default: nothing of a daemon is open to a network unless somebody says so.
const LISTEN: &str = "127.0.0.1:8787";

pub fn read(tree: &Node, folder: &Path, need: Need, found: &mut Diagnostics<'_>) -> Option<Config> {
    let mut fields = Fields::open(tree, "the configuration", found)?;
    let path = |key: &'static str, default: &str, fields: &mut Fields<'_>, found: &mut Diagnostics<'_>| {
        let given = fields.optional(key).and_then(|entry| reader::text(&entry.value, found));
        folder.join(given.unwrap_or_else(|| default.to_string()))
    };
    let workflows = path("workflows", "workflows", &mut fields, found);
    let plugins = path("plugins", "plugins", &mut fields, found);
    let database = path("database", "moltrun.db", &mut fields, found);
    let mut net = Policy::default();
    let server = server(fields.optional("server"), need, found);
    let (moltflow, webhook_secret, region) = match fields.optional("moltflow") {
        Some(entry) => moltflow_section(&entry.value, need, &mut net, found),
        None => (None, None, None),
    };
    let ai = match fields.optional("ai") {
        Some(entry) => ai::read(&entry.value, &mut net, found),
        None => AiProviders::default(),
    };
    let credentials = credentials::read(fields.optional("credentials"), found);
    if let Some(entry) = fields.optional("net") {
        net_section(&entry.value, &mut net, found);
    }
    let vars =
        fields.optional("vars").map_or_else(Vec::new, |entry| reader::constants(&entry.value, "variable", found));
    let secrets = public::secrets(fields.optional("secrets"), need, found);
    let engine = engine(fields.optional("engine"), found);
    let senders = named(fields.optional("senders"), found, super::senders::sender);
    let grants = named(fields.optional("grants"), found, |entry, found| grants::read(entry, &secrets, found));
    fields.finish(found);
    Some(Config {
        workflows,
        plugins,
        database,
        server: server?,
        moltflow,
        region,
        webhook_secret,
        secrets,
        ai,
        credentials,
        net,
        vars: vars.into_iter().collect::<JsonMap>(),
        engine,
        senders,
        grants,
    })
}

/// A text that guards something. An empty one would guard nothing, since everybody knows it; one with a line break cannot
/// be sent.
pub(super) fn secret(entry: Option<&Entry>, found: &mut Diagnostics<'_>) -> Option<Secret> {
    let entry = entry?;
    let text = reader::text(&entry.value, found)?;
    let wrong = match text.trim() {
        "" => "is empty",
        _ if text.contains(char::is_control) => "holds a line break or another control character",
        _ => return Some(Secret::new(text)),
    };
    found
        .error("bad-secret", entry.value.span.clone(), format!("`{}` {wrong}", entry.key))
        .help("set a value, or leave the key out");
    None
}

fn server(entry: Option<&Entry>, need: Need, found: &mut Diagnostics<'_>) -> Option<Server> {
    let default: SocketAddr = LISTEN.parse().ok()?;
    let Some(entry) = entry else { return Some(Server { listen: default, public_url: None, token: None }) };
    let mut fields = Fields::open(&entry.value, "`server`", found)?;
    let listen = fields.optional("listen");
    let public_url = fields.optional("public_url").and_then(|entry| public::url(entry, found));
    let token_entry = fields.present("token");
    fields.finish(found);
    let token = secret(token_entry.filter(|entry| !entry.value.is_null()), found);
    // Where no secret is needed, a token that is read from somewhere is one.
    let guarded = token.is_some() || need == Need::Shape && token_entry.is_some();
    let Some(listen) = listen else { return Some(Server { listen: default, public_url, token }) };
    let text = reader::text(&listen.value, found)?;
    let Ok(address) = text.parse::<SocketAddr>() else {
        let span = listen.value.span.clone();
        found
            .error("bad-address", span, format!("`{}` is no address to listen on", reader::shown(&text)))
            .help("write an IP address and a port, such as 127.0.0.1:8787");
        return None;
    };
    if !address.ip().is_loopback() && !guarded {
        found
            .error("open-server", listen.value.span.clone(), format!("{address} is open to others and no token is set"))
            .help("add `server.token: ${MOLTRUN_TOKEN}`, or listen on 127.0.0.1");
    }
    Some(Server { listen: address, public_url, token })
}

fn moltflow_section(
    node: &Node,
    need: Need,
    net: &mut Policy,
    found: &mut Diagnostics<'_>,
) -> (Option<moltflow::Config>, Option<Secret>, Option<Region>) {
    let Some(mut fields) = Fields::open(node, "`moltflow`", found) else { return (None, None, None) };
    let base = fields.optional("base_url");
    let api_key = fields.present("api_key");
    let email = fields.present("email");
    let password = fields.present("password");
    let webhook_secret = fields.present("webhook_secret");
    let region = fields.optional("region");
    fields.finish(found);
    let base_url = base.and_then(|entry| reader::text(&entry.value, found)).unwrap_or_else(|| MOLTFLOW_URL.to_string());
    trust(net, base.map_or(node, |entry| &entry.value), &base_url, found);
    let filled = |entry: Option<&Entry>, found: &mut Diagnostics<'_>| match entry {
        Some(entry) if !entry.value.is_null() => reader::text(&entry.value, found),
        _ => None,
    };
    let credentials = match (api_key, email, password) {
        (Some(_), None, None) => secret(api_key.filter(|entry| !entry.value.is_null()), found).map(Credentials::ApiKey),
        (None, Some(_), Some(_)) => {
            let (email, password) = (filled(email, found), filled(password, found));
            email.zip(password).map(|(email, password)| Credentials::Login { email, password: Secret::new(password) })
        }
        (Some(_), email, password) => {
            let login = [email.map(|_| "`email`"), password.map(|_| "`password`")];
            let login = login.into_iter().flatten().collect::<Vec<_>>().join(" and ");
            found
                .error("moltflow-credentials", node.span.clone(), "`moltflow` has two ways to authenticate")
                .help(format!("drop {login}, or drop `api_key`"));
            None
        }
        _ => {
            found
                .error("moltflow-credentials", node.span.clone(), "`moltflow` needs one way to authenticate")
                .help("give `api_key`, or `email` and `password`");
            None
        }
    };
    let config = credentials.map(|credentials| moltflow::Config { base_url, credentials });
    // A blank one would switch the check of signatures off unseen.
    let blank = webhook_secret.filter(|entry| entry.value.is_null());
    if let (Some(entry), Need::Everything) = (blank, need) {
        found
            .error("bad-secret", entry.key_span.clone(), "`webhook_secret` has no value")
            .help("write `${NAME}` to read it from the environment, or leave the key out: then nobody needs to sign");
    }
    let webhook_secret = secret(webhook_secret.filter(|entry| !entry.value.is_null()), found);
    (config, webhook_secret, region.and_then(|entry| country(entry, found)))
}

/// Where phone numbers without a country code are meant.
fn country(entry: &Entry, found: &mut Diagnostics<'_>) -> Option<Region> {
    let text = reader::text(&entry.value, found)?;
    match Region::parse(&text) {
        Ok(region) => Some(region),
        Err(error) => {
            found.error("bad-region", entry.value.span.clone(), error.to_string());
            None
        }
    }
}

pub(super) fn trust(net: &mut Policy, node: &Node, base_url: &str, found: &mut Diagnostics<'_>) {
    if let Err(error) = net.trust(base_url) {
        found.error("bad-url", node.span.clone(), error.to_string());
    }
}

fn net_section(node: &Node, net: &mut Policy, found: &mut Diagnostics<'_>) {
    let Some(mut fields) = Fields::open(node, "`net`", found) else { return };
    let allowed = fields.optional("allow_private").and_then(|entry| reader::list(&entry.value, found));
    fields.finish(found);
    for item in allowed.unwrap_or_default() {
        let Some(text) = reader::text(item, found) else { continue };
        if let Err(error) = net.allow_private(&text) {
            found.error("bad-address", item.span.clone(), error.to_string());
        }
    }
}

fn engine(entry: Option<&Entry>, found: &mut Diagnostics<'_>) -> Engine {
    let mut engine = Engine::default();
    let Some(mut fields) = entry.and_then(|entry| Fields::open(&entry.value, "`engine`", found)) else { return engine };
    let workers = fields.optional("workers");
    let of_one = fields.optional("workers_per_workflow");
    let queue = fields.optional("queue");
    let retention = fields.optional("retention");
    let grace = fields.optional("grace");
    fields.finish(found);
    let mut count = |entry: Option<&Entry>, max: usize| match entry.map(|entry| &entry.value) {
        Some(Node { value: Value::String(word), .. }) if word == "auto" => None,
        Some(node) => reader::integer(node, 1, max as u64, found).map(|count| count as usize),
        None => None,
    };
    if let Some(workers) = count(workers, limits::ACTIVE_RUNS) {
        engine.workers = workers;
        engine.workers_per_workflow = workers.div_ceil(2);
    }
    engine.workers_per_workflow = count(of_one, limits::ACTIVE_RUNS).unwrap_or(engine.workers_per_workflow);
    engine.queue = count(queue, limits::QUEUED_RUNS).unwrap_or(engine.queue);
    engine.retention_ms = retention.and_then(|entry| reader::positive_ms(&entry.value, "a retention", found));
    if let Some(ms) = grace.and_then(|entry| reader::duration_ms(&entry.value, found)) {
        engine.grace_ms = ms;
    }
    engine
}

/// A mapping of free names to values of one kind.
pub(super) fn named<T>(
    entry: Option<&Entry>,
    found: &mut Diagnostics<'_>,
    mut read: impl FnMut(&Entry, &mut Diagnostics<'_>) -> Option<T>,
) -> BTreeMap<String, T> {
    let entries = entry.and_then(|entry| reader::entries(&entry.value, found)).unwrap_or_default();
    entries.iter().filter_map(|entry| Some((entry.key.clone(), read(entry, found)?))).collect()
}
