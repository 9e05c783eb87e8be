//! What a plugin says of itself, checked: nothing of it reaches a catalog, a log or a person unchecked.

use super::answers::{self, DescribedStep, Says};
use super::asks::Asks;
use super::bindings::moltrun::step::types::{Effect as WitEffect, PluginInfo, SecretRequest, StepInfo};
use super::hosts::HostPattern;
use super::imports::Imports;
use super::text::clean;
use crate::base::Effect;
use crate::base::limits::{PLUGIN_ASKS, SECRET_NAME};

/// A whole plugin, checked.
pub(super) struct Described {
    /// Its own, for people.
    pub(super) version: String,
    pub(super) steps: Vec<DescribedStep>,
    pub(super) asks: Asks,
}

/// `info` of a component that imports `imports`; an error is one line that says what is wrong.
pub(super) fn check(info: PluginInfo, imports: Imports) -> Result<Described, String> {
    let asks = check_asks(info.hosts, info.secrets, imports)?;
    let steps = answers::steps(info.steps.into_iter().map(says).collect())?;
    let acting = steps.iter().filter(|_| !imports.is_connector()).find_map(|step| match step.effect {
        Effect::Pure => None,
        Effect::Idempotent => Some((&step.name, "idempotent")),
        Effect::AtMostOnce => Some((&step.name, "at-most-once")),
    });
    if let Some((name, claimed)) = acting {
        let why = "a transform plugin has nothing to act with and must say pure";
        return Err(format!("its step `{name}` claims to be {claimed}; {why}"));
    }
    Ok(Described { version: clean(&info.version, 64), steps, asks })
}

fn check_asks(hosts: Vec<String>, secrets: Vec<SecretRequest>, imports: Imports) -> Result<Asks, String> {
    if !imports.is_connector() {
        if let Some(host) = hosts.first() {
            let host = clean(host, 64);
            return Err(format!("it asks for the host `{host}`; a transform plugin cannot reach the network"));
        }
        if let Some(secret) = secrets.first() {
            return Err(format!("it asks for the secret `{}`; a transform plugin gets none", clean(&secret.name, 64)));
        }
    }
    check_hosts(&hosts)?;
    if secrets.len() > PLUGIN_ASKS {
        return Err(format!("it asks for {} secrets, more than the {PLUGIN_ASKS} allowed", secrets.len()));
    }
    let mut asked = Vec::with_capacity(secrets.len());
    for SecretRequest { name, hosts } in secrets {
        let shown = clean(&name, 64);
        if !is_secret(&name) {
            return Err(format!(
                "it asks for the secret `{shown}`; a name is [A-Za-z_][A-Za-z0-9_-]*, at most {SECRET_NAME} characters"
            ));
        }
        if asked.iter().any(|(known, _)| *known == name) {
            return Err(format!("it asks for the secret `{shown}` twice"));
        }
        check_hosts(&hosts).map_err(|reason| format!("for the secret `{shown}` {reason}"))?;
        asked.push((name, hosts));
    }
    Ok(Asks { hosts, secrets: asked, state: imports.state, is_connector: imports.is_connector() })
}

fn check_hosts(hosts: &[String]) -> Result<(), String> {
    if hosts.len() > PLUGIN_ASKS {
        return Err(format!("it asks for {} hosts, more than the {PLUGIN_ASKS} allowed", hosts.len()));
    }
    for host in hosts {
        HostPattern::asked(host)
            .map_err(|reason| format!("it asks for the host `{}`, which {reason}", clean(host, 64)))?;
    }
    Ok(())
}

/// Whatever the section `secrets` of the configuration may call one; it does not begin one with `_`, which is asked in vain.
fn is_secret(name: &str) -> bool {
    name.len() <= SECRET_NAME
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn says(step: StepInfo) -> Says {
    let StepInfo { name, summary, effect, input_schema, output_schema, ports } = step;
    let effect = match effect {
        WitEffect::Pure => Effect::Pure,
        WitEffect::Idempotent => Effect::Idempotent,
        WitEffect::AtMostOnce => Effect::AtMostOnce,
    };
    Says { name, summary, effect, input_schema, output_schema, ports }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::PLUGIN_STEPS;
    use crate::wasm::bindings::moltrun::step::types::SecretRequest;

    fn step(name: &str) -> StepInfo {
        StepInfo {
            name: name.into(),
            summary: "does\n things".into(),
            effect: WitEffect::Pure,
            input_schema: r#"{"type": "object"}"#.into(),
            output_schema: "{}".into(),
            ports: vec!["big".into()],
        }
    }

    fn info(steps: Vec<StepInfo>) -> PluginInfo {
        PluginInfo { version: "1".into(), steps, hosts: vec![], secrets: vec![] }
    }

    fn connector() -> Imports {
        let mut imports = Imports::default();
        assert!(imports.note("wasi:http/types"));
        imports
    }

    #[test]
    fn a_connector_asks_for_hosts_and_secrets() {
        let hosts = vec!["api.crm.example:443".to_string(), "*.shop.example:443".to_string(), "*:8443".to_string()];
        let secret = |name: &str, hosts: &[String]| SecretRequest { name: name.into(), hosts: hosts.to_vec() };
        let asking = |hosts: Vec<String>, secrets| PluginInfo { hosts, secrets, ..info(vec![step("one")]) };
        let good = asking(hosts.clone(), vec![secret("CRM_TOKEN", &hosts[..1]), secret("shop-key_2", &[])]);
        let asks = check(good, connector()).unwrap().asks;
        assert_eq!(asks.hosts, hosts);
        assert_eq!(asks.secrets, [("CRM_TOKEN".to_string(), hosts[..1].to_vec()), ("shop-key_2".to_string(), vec![])]);
        assert!(asks.is_connector && !asks.state);

        let many = || (1..=PLUGIN_ASKS + 1).map(|port| format!("a.example:{port}")).collect::<Vec<_>>();
        let a_few = |count: usize| (0..count).map(|n| secret(&format!("S{n}"), &[])).collect::<Vec<_>>();
        for (info, reason) in [
            (
                asking(vec!["API.example:443".into()], vec![]),
                "it asks for the host `API.example:443`, which is written",
            ),
            (asking(vec!["api.example".into()], vec![]), "it asks for the host `api.example`, which has no port"),
            (asking(many(), vec![]), "it asks for 65 hosts, more than the 64 allowed"),
            (asking(vec![], a_few(65)), "it asks for 65 secrets, more than the 64 allowed"),
            (asking(vec![], vec![secret("a.b", &[])]), "it asks for the secret `a.b`; a name is"),
            (asking(vec![], vec![secret("-key", &[])]), "it asks for the secret `-key`; a name is"),
            (asking(vec![], vec![secret("", &[])]), "it asks for the secret ``; a name is"),
            (asking(vec![], [a_few(1), a_few(1)].concat()), "it asks for the secret `S0` twice"),
            (asking(vec![], vec![secret("S", &many())]), "for the secret `S` it asks for 65 hosts"),
            (asking(vec![], vec![secret("S", &["x".into()])]), "for the secret `S` it asks for the host `x`, which"),
        ] {
            let error = check(info, connector()).err().unwrap();
            assert!(error.starts_with(reason), "{error}");
        }
    }

    #[test]
    fn a_connector_may_act() {
        for (wit, effect) in [(WitEffect::Idempotent, Effect::Idempotent), (WitEffect::AtMostOnce, Effect::AtMostOnce)]
        {
            let acting = info(vec![StepInfo { effect: wit, ..step("one") }]);
            assert_eq!(check(acting, connector()).unwrap().steps[0].effect, effect);
        }
    }

    #[test]
    fn a_good_plugin() {
        let steps = check(info(vec![step("one"), step("two-b")]), Imports::default()).unwrap().steps;
        assert_eq!(steps[1].name, "two-b");
        assert_eq!(steps[0].summary, "does  things");
        assert_eq!(steps[0].ports, ["ok", "big"]);
    }

    #[test]
    fn every_claim_is_checked() {
        let with = |change: fn(&mut StepInfo)| {
            let mut step = step("one");
            change(&mut step);
            info(vec![step])
        };
        let hosts = PluginInfo { hosts: vec!["x.example:443".into()], ..info(vec![step("one")]) };
        let secret = SecretRequest { name: "KEY".into(), hosts: vec![] };
        let secrets = PluginInfo { secrets: vec![secret], ..info(vec![step("one")]) };
        let many = info((0..PLUGIN_STEPS + 1).map(|n| step(&format!("s{n}"))).collect());
        for (info, reason) in [
            (hosts, "it asks for the host `x.example:443`"),
            (secrets, "it asks for the secret `KEY`"),
            (info(vec![]), "it offers no step"),
            (many, "it offers 65 steps, more than the 64 allowed"),
            (info(vec![step("ai.prompt")]), "it offers a step `ai.prompt`; a name is"),
            (info(vec![step("other/step")]), "it offers a step `other/step`; a name is"),
            (info(vec![step("filter")]), "it offers a step `filter`; that word is reserved"),
            (info(vec![step("one"), step("one")]), "it offers the step `one` twice"),
            (with(|s| s.effect = WitEffect::AtMostOnce), "its step `one` claims to be at-most-once"),
            (with(|s| s.input_schema = "{".into()), "its step `one` has a bad input schema: it is not JSON"),
            (with(|s| s.input_schema = "{}".into()), "its step `one` has a bad input schema: its `type` must be"),
            (with(|s| s.output_schema = "[]".into()), "its step `one` has a bad output schema: it is not an object"),
            (with(|s| s.ports = vec!["Big".into()]), "its step `one` has a port `Big`; a port is"),
            (with(|s| s.ports = vec!["error".into()]), "its step `one` has a port `error`; that word is reserved"),
            (with(|s| s.ports = vec!["a".into(), "a".into()]), "its step `one` has the port `a` twice"),
            (with(|s| s.ports = vec!["a".into(); 33]), "its step `one` has 33 ports"),
        ] {
            let error = check(info, Imports::default()).err().unwrap();
            assert!(error.starts_with(reason), "{error}");
        }
    }
}
