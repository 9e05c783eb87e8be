//! What a plugin asks for, each beside whether it is granted.

use serde::Serialize;

use crate::wasm::{Asks, Grant};

/// One thing that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ask {
    /// `http`, `secret` or `state`.
    pub what: &'static str,
    /// The host or the secret's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Of a secret: where it is to be sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    pub granted: bool,
    /// Of what is not granted: what it is, and what to put into the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Ask {
    /// For a list: `http api.crm.example:443`.
    pub fn shown(&self) -> String {
        let of = self.of.as_deref().map(|of| format!(" {of}")).unwrap_or_default();
        let to = if self.hosts.is_empty() { String::new() } else { format!(" for {}", self.hosts.join(", ")) };
        format!("{}{of}{to}", self.what)
    }
}

/// All that `asks` holds, in its order.
pub fn compared(plugin: &str, asks: &Asks, grant: &Grant) -> Vec<Ask> {
    let ask = |what, of: Option<&String>, hosts: &[String], alone: Asks| {
        let help = alone.not_granted(plugin, grant).into_iter().next();
        Ask { what, of: of.cloned(), hosts: hosts.to_vec(), granted: help.is_none(), help }
    };
    let hosts = asks.hosts.iter().map(|host| {
        let alone = Asks { hosts: vec![host.clone()], ..Asks::default() };
        ask("http", Some(host), &[], alone)
    });
    let secrets = asks.secrets.iter().map(|(name, hosts)| {
        let alone = Asks { secrets: vec![(name.clone(), hosts.clone())], ..Asks::default() };
        ask("secret", Some(name), hosts, alone)
    });
    let state = asks.state.then(|| ask("state", None, &[], Asks { state: true, ..Asks::default() }));
    hosts.chain(secrets).chain(state).collect()
}
