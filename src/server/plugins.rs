//! Plugins: what there is, what it offers and asks for, and what is wrong with it.

use std::sync::Arc;

use axum::Json as Body;
use axum::extract::State;
use serde_json::json;

use super::Server;
use crate::base::Json;
use crate::engine::ports::Step;
use crate::lang::Diagnostic;
use crate::lang::catalog::Ports;
use crate::wasm::{Grant, Origin, Plugin};

/// A plugin as it stands.
#[derive(Clone)]
pub struct PluginSeen {
    pub name: String,
    /// The version whose steps are used; None where none could be loaded.
    pub plugin: Option<Plugin>,
    /// Where its component is; None for a bundled one, and for one that was removed.
    pub file: Option<String>,
    /// Why the component that is there is not the one that is used.
    pub trouble: Option<String>,
}

impl PluginSeen {
    /// `ok`; `stale`: an earlier version of it is used; `broken`: none is.
    fn status(&self) -> &'static str {
        match (&self.plugin, &self.trouble) {
            (Some(_), None) => "ok",
            (Some(_), Some(_)) => "stale",
            (None, _) => "broken",
        }
    }

    /// What is wrong with it, as what is wrong with workflows is told.
    pub fn problem(&self) -> Option<Diagnostic> {
        let reason = self.trouble.as_ref()?;
        let stays = if self.plugin.is_some() { "; its last good version is used" } else { "" };
        let file = self.file.clone().unwrap_or_else(|| format!("{}.wasm", self.name));
        let message = format!("the plugin `{}` cannot be loaded: {reason}{stays}", self.name);
        Some(Diagnostic::of_file(file, "plugin", message))
    }
}

pub async fn list(State(server): State<Arc<Server>>) -> Body<Json> {
    let seen = server.plugins.borrow().clone();
    let plugins: Vec<_> = seen.iter().map(shown).collect();
    Body(json!({"plugins": plugins}))
}

fn shown(seen: &PluginSeen) -> Json {
    let mut shown = match &seen.plugin {
        Some(plugin) => of_plugin(plugin),
        None => json!({}),
    };
    shown["name"] = json!(seen.name);
    shown["status"] = json!(seen.status());
    if let Some(reason) = &seen.trouble {
        shown["reason"] = json!(reason);
    }
    if let Some(file) = &seen.file {
        shown["file"] = json!(file);
    }
    shown
}

fn of_plugin(plugin: &Plugin) -> Json {
    let Plugin { name, version, digest, bytes, origin, asks, grant, steps } = plugin;
    let secrets: Vec<_> = asks.secrets.iter().map(|(name, hosts)| json!({"name": name, "hosts": hosts})).collect();
    json!({
        "version": version,
        "sha256": digest,
        "size": bytes,
        "origin": match origin {
            Origin::File(_) => "file",
            Origin::Bundled(_) => "bundled",
        },
        "steps": steps.iter().map(|step| of_step(&**step)).collect::<Vec<_>>(),
        "asks": {"http": asks.hosts, "secrets": secrets, "state": asks.state},
        "grant": of_grant(grant),
        // What it asks for and is not granted, with what to paste.
        "not_granted": asks.not_granted(name, grant),
    })
}

fn of_step(step: &dyn Step) -> Json {
    let spec = step.spec();
    let ports = match &spec.ports {
        Ports::Fixed(ports) => ports.clone(),
        Ports::KeysOf(_) => Vec::new(),
    };
    json!({"name": spec.name, "summary": spec.summary, "effect": spec.effect, "ports": ports})
}

fn of_grant(grant: &Grant) -> Json {
    let Grant { http, secrets, state, memory_bytes, timeout_ms, sha256 } = grant;
    let http: Vec<_> = http.iter().map(ToString::to_string).collect();
    json!({
        "http": http,
        "secrets": secrets,
        "state": state,
        "memory_bytes": memory_bytes,
        "timeout_ms": timeout_ms,
        "sha256": sha256,
    })
}
