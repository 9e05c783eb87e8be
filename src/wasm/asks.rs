//! What a plugin asks for, beside what it is granted.

use super::{Grant, HostPattern};

/// What a plugin asks for: in its description, and by what it imports. All of it was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// As `host:port`, `*.host:port` or `*:port`.
    pub hosts: Vec<String>,
    /// Names, each with the hosts the secret is to be sent to.
    pub secrets: Vec<(String, Vec<String>)>,
    /// It imports `moltrun:step/state`.
    pub state: bool,
    /// It imports state, secrets or `wasi:http`: it does more than compute.
    pub is_connector: bool,
}

impl Asks {
    /// One line for each ask that `grant` does not meet: what it is, and what to paste into `moltrun.yaml`.
    pub fn not_granted(&self, plugin: &str, grant: &Grant) -> Vec<String> {
        let mut lines = Vec::new();
        let asked: Vec<_> = self.hosts.iter().filter_map(|host| Some((host, HostPattern::asked(host).ok()?))).collect();
        // Who asks for whichever host is granted has what was asked for with the first one, on whichever port.
        let whichever = |granted: &HostPattern| asked.iter().any(|(_, asked)| asked.is_any() && granted.meets(asked));
        let has_one = grant.http.iter().any(whichever);
        for (host, asked) in asked.iter().filter(|(_, asked)| !(has_one && asked.is_any())) {
            if !grant.http.iter().any(|granted| granted.meets(asked)) {
                let entry = match asked.is_any() {
                    true => format!("THE.HOST.YOU.MEAN:{}", asked.port()),
                    false => host.to_string(),
                };
                lines.push(format!("asks to reach {host}; to allow it, put {}", http(plugin, &entry)));
            }
        }
        for (name, hosts) in &self.secrets {
            if !grant.secrets.contains(name) {
                let to = if hosts.is_empty() { String::new() } else { format!(" for {}", hosts.join(", ")) };
                lines.push(format!("asks for the secret {name}{to}; to allow it, put {}", secret(plugin, name)));
            }
        }
        if self.state && !grant.state {
            lines.push(format!("asks to keep values across runs; to allow it, put {}", state(plugin)));
        }
        lines
    }

    /// One line for each grant that the plugin has no use for: most likely a slip of the pen.
    pub fn not_asked(&self, grant: &Grant) -> Vec<String> {
        let asked: Vec<_> = self.hosts.iter().filter_map(|host| HostPattern::asked(host).ok()).collect();
        let hosts = grant.http.iter().filter(|granted| !asked.iter().any(|asked| asked.meets(granted)));
        let hosts = hosts.map(|host| format!("is granted {host} and does not ask for it"));
        let secrets = grant.secrets.iter().filter(|name| !self.secrets.iter().any(|(asked, _)| asked == *name));
        let secrets = secrets.map(|name| format!("is granted the secret {name} and does not ask for it"));
        let state = (grant.state && !self.state).then(|| "is granted state and has no use for it".to_string());
        hosts.chain(secrets).chain(state).collect()
    }

    /// Says both in the log: what is asked for and not granted is a warning, since the plugin will miss it.
    pub(super) fn compare(&self, plugin: &str, grant: &Grant) {
        for line in self.not_granted(plugin, grant) {
            tracing::warn!("the plugin {plugin} {line}");
        }
        for line in self.not_asked(grant) {
            tracing::warn!("the plugin {plugin} {line}");
        }
    }
}

/// What to put into the configuration to allow `entry`.
pub(super) fn http(plugin: &str, entry: &str) -> String {
    paste(plugin, &format!("http: [\"{entry}\"]"))
}

/// The same for a secret.
pub(super) fn secret(plugin: &str, name: &str) -> String {
    paste(plugin, &format!("secrets: [{name}]"))
}

/// The same for state.
pub(super) fn state(plugin: &str) -> String {
    paste(plugin, "state: true")
}

fn paste(plugin: &str, grant: &str) -> String {
    format!("`grants: {{ {plugin}: {{ {grant} }} }}` in moltrun.yaml")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks() -> Asks {
        Asks {
            hosts: vec!["api.crm.example:443".into(), "*.shop.example:443".into(), "*:8443".into()],
            secrets: vec![("TOKEN".into(), vec!["api.crm.example:443".into()]), ("KEY".into(), vec![])],
            state: true,
            is_connector: true,
        }
    }

    #[test]
    fn what_is_not_granted_is_there_to_paste() {
        assert_eq!(
            asks().not_granted("crm", &Grant::default()),
            [
                r#"asks to reach api.crm.example:443; to allow it, put `grants: { crm: { http: ["api.crm.example:443"] } }` in moltrun.yaml"#,
                r#"asks to reach *.shop.example:443; to allow it, put `grants: { crm: { http: ["*.shop.example:443"] } }` in moltrun.yaml"#,
                r#"asks to reach *:8443; to allow it, put `grants: { crm: { http: ["THE.HOST.YOU.MEAN:8443"] } }` in moltrun.yaml"#,
                "asks for the secret TOKEN for api.crm.example:443; to allow it, put `grants: { crm: { secrets: [TOKEN] } }` in moltrun.yaml",
                "asks for the secret KEY; to allow it, put `grants: { crm: { secrets: [KEY] } }` in moltrun.yaml",
                "asks to keep values across runs; to allow it, put `grants: { crm: { state: true } }` in moltrun.yaml",
            ]
        );
    }

    #[test]
    fn what_is_granted_is_quiet_and_what_is_of_no_use_is_not() {
        let http = ["api.crm.example", "eu.shop.example", "files.example:8443"];
        let mut grant = Grant {
            http: http.iter().map(|text| HostPattern::granted(text).unwrap()).collect(),
            secrets: ["TOKEN", "KEY"].map(String::from).into(),
            state: true,
            ..Grant::default()
        };
        assert_eq!(asks().not_granted("crm", &grant), Vec::<String>::new());
        assert_eq!(asks().not_asked(&grant), Vec::<String>::new());
        // One of those that ask for whichever host.
        let any = Asks { hosts: vec!["*:443".into(), "*:8080".into()], ..Asks::default() };
        assert_eq!(any.not_granted("crm", &grant), Vec::<String>::new());
        assert_eq!(any.not_granted("crm", &Grant::default()).len(), 2);
        grant.http.push(HostPattern::granted("typo.example").unwrap());
        assert_eq!(asks().not_asked(&grant), ["is granted typo.example:443 and does not ask for it"]);
        assert_eq!(Asks::default().not_asked(&grant).len(), 4 + 2 + 1);
    }
}
