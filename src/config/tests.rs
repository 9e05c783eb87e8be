//! The configuration from a file and an environment of its own.

use super::*;

fn load(text: &str, variables: &[(&str, &str)], need: Need) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("moltrun.yaml");
    std::fs::write(&path, text).unwrap();
    let environment = Environment::new(variables.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    Config::load(Some(&path), need, &environment).map_err(|invalid| {
        let found = invalid.diagnostics.iter();
        found.map(|one| format!("{}: {}", one.line, one.message)).collect::<Vec<_>>().join("\n")
    })
}

/// What is wrong with a file, each with its help.
fn helped(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("moltrun.yaml");
    std::fs::write(&path, text).unwrap();
    let invalid = Config::load(Some(&path), Need::Everything, &Environment::new(std::iter::empty())).err().unwrap();
    let found = invalid.diagnostics.iter();
    found
        .map(|one| format!("{}; {}", one.message, one.help.as_deref().unwrap_or_default()))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn an_empty_file_is_local_and_closed() {
    let config = load("", &[], Need::Everything).unwrap();
    assert!(config.server.listen.ip().is_loopback() && config.server.token.is_none() && config.moltflow.is_none());
    assert!(config.database.ends_with("moltrun.db") && config.database.is_absolute());
}

#[test]
fn the_environment_stands_over_the_file() {
    let text = "server: { listen: '127.0.0.1:1', token: '${MOLTRUN_TOKEN}' }\n";
    let variables =
        [("MOLTRUN_SERVER__LISTEN", "127.0.0.1:2"), ("MOLTRUN_TOKEN", "t"), ("MOLTRUN_DATABASE", "/d/x.db")];
    let config = load(text, &variables, Need::Everything).unwrap();
    assert_eq!(config.server.listen.port(), 2);
    assert_eq!(config.server.token.unwrap().expose(), "t");
    assert_eq!(config.database, Path::new("/d/x.db"));
}

#[test]
fn mistakes_say_where_even_in_the_environment() {
    for (text, variables, expected) in [
        ("databse: x.db\n", &[][..], "1: the configuration has no key `databse`"),
        ("\nserver: { listen: '0.0.0.0:80' }\n", &[], "2: 0.0.0.0:80 is open to others and no token is set"),
        ("moltflow: { api_key: '${NOPE}' }\n", &[], "1: the environment variable NOPE is not set"),
        ("moltflow: {}\n", &[], "1: `moltflow` needs one way to authenticate"),
        (
            "moltflow: { api_key: k, region: UK }\n",
            &[],
            "1: `UK` is no region; write the two letters of its country, such as US or DE (did you mean GB?)",
        ),
        ("vars: { a: '${file:/no/such/file}' }\n", &[], "1: the file /no/such/file cannot be read"),
        ("ai: { providers: { a: { base_url: 'ftp://x', model: m } } }\n", &[], "1: `ftp://x/` is no base URL"),
        (
            "ai: { providers: { a: { base_url: 'http://x', model: m, kind: openia } } }\n",
            &[],
            "1: `openia` is none of its values",
        ),
        (
            "ai: { providers: { a: { base_url: 'http://x', model: m } }, budget: { cost: 5/day } }\n",
            &[],
            "1: `budget.cost` cannot be kept: provider `a` has no `prices`",
        ),
        (
            "ai: { providers: { a: { base_url: 'http://x', model: m } }, budget: { tokens: 5 } }\n",
            &[],
            "1: expected text, found",
        ),
        (
            "ai: { providers: { a: { base_url: 'http://x', model: m, prices: { input: -1, output: 1 } } } }\n",
            &[],
            "1: `-1` is no number from 0",
        ),
        ("credentials: { c: { bearer: tttttt } }\n", &[], "1: credential `c` needs `allow`"),
        ("credentials: { c: { bearer: tttttt, allow: [] } }\n", &[], "1: credential `c` may go nowhere"),
        (
            "credentials: { c: { bearer: tttttt, allow: ['*.x.example'] } }\n",
            &[],
            "1: credential `c`: `*.x.example` is no host",
        ),
        ("credentials: { c: { allow: [x.example] } }\n", &[], "1: credential `c` is one of three kinds"),
        (
            "credentials: { c: { bearer: tttttt, header: { name: a, value: b }, allow: [x.example] } }\n",
            &[],
            "1: credential `c` is one of three kinds",
        ),
        (
            "credentials: { c: { basic: { user: a }, allow: [x.example] } }\n",
            &[],
            "1: `basic` of credential `c` needs `password`",
        ),
        (
            "credentials: { c: { header: { name: 'a b', value: b }, allow: [x.example] } }\n",
            &[],
            "1: `a b` is no name of a header",
        ),
        ("senders: { s: { pace: { rate: 20/week } } }\n", &[], "1: sender `s`: `20/week` is no rate"),
        ("senders: { s: { pace: { rate: 20/h, burst: 0 } } }\n", &[], "1: `0` is no whole number from 1"),
        ("senders: { s: { pace: { rate: 20/h }, dayly_cap: 5 } }\n", &[], "1: sender `s` has no key `dayly_cap`"),
        ("senders: { s: {} }\n", &[], "1: sender `s` needs `pace`"),
        ("server: { token: '${NONE}' }\n", &[("NONE", "")], "1: `token` is empty"),
        ("moltflow: { api_key: k, webhook_secret: }\n", &[], "1: `webhook_secret` has no value"),
        ("moltflow: { api_key: k, webhook_secret: '' }\n", &[], "1: `webhook_secret` is empty"),
        (
            "moltflow: { api_key: k, webhook_secret: s }\n",
            &[("MOLTRUN_MOLTFLOW__WEBHOOK_SECRET", "")],
            "1: `webhook_secret` has no value",
        ),
        ("server: { listen: '0.0.0.0:80', token: }\n", &[], "1: 0.0.0.0:80 is open to others and no token is set"),
        ("vars: {}\n", &[("MOLTRUN_SERVR__LISTEN", "x")], "2: the configuration has no key `servr`"),
        ("vars: {}\n", &[("MOLTRUN_ENGINE__WORKERS", "0")], "2: "),
    ] {
        let message = load(text, variables, Need::Everything).unwrap_err();
        assert!(message.starts_with(expected), "{text}: {message}");
    }
}

#[test]
fn checking_needs_no_secret() {
    let text = "moltflow: { api_key: '${NOPE}', webhook_secret: '${NOPE}' }\nserver: { token: '${NOPE}' }\n";
    assert!(load(text, &[], Need::Shape).is_ok());
    let text = "server: { listen: '0.0.0.0:80', token: '${NOPE}' }\n";
    assert!(load(text, &[], Need::Shape).is_ok());
    let open = load("server: { listen: '0.0.0.0:80' }\n", &[], Need::Shape).unwrap_err();
    assert!(open.contains("no token is set"), "{open}");
}

#[test]
fn a_value_of_the_environment_is_taken_as_it_is() {
    for secret in ["abc #def", "12345", "true", "a: b", "'quoted'", "${HOME}", "{half", "- x", " spaced "] {
        let variables = [("MOLTRUN_SERVER__TOKEN", secret), ("MOLTRUN_MOLTFLOW__API_KEY", secret)];
        let config = load("", &variables, Need::Everything).unwrap();
        assert_eq!(config.server.token.unwrap().expose(), secret);
        let Some(moltflow::Credentials::ApiKey(key)) = config.moltflow.map(|moltflow| moltflow.credentials) else {
            panic!("{secret}: no API key")
        };
        assert_eq!(key.expose(), secret);
    }
}

#[test]
fn models_and_credentials_are_read_whole() {
    let text = "ai:\n  default: claude\n  budget: { tokens: 1M/day, cost: 5/day }\n  providers:\n    claude: { kind: anthropic, base_url: 'https://api.anthropic.com/v1', api_key: '${KEY}', model: m, max_tokens: 500, timeout: 30s, stream: true, prices: { input: 3, output: 15 } }\ncredentials:\n  crm: { bearer: '${KEY}', allow: [api.example.com, 'crm.internal:8080'] }\n  old: { basic: { user: ana, password: '${KEY}' }, allow: [x.example] }\n  odd: { header: { name: X-Key, value: '${KEY}' }, allow: [x.example] }\n";
    let config = load(text, &[("KEY", "s3cret-key")], Need::Everything).unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains("s3cret-key"), "{shown}");
    let provider = &config.ai.providers["claude"];
    assert_eq!((provider.max_tokens, provider.timeout_ms, provider.stream), (Some(500), Some(30_000), true));
    assert_eq!(provider.kind, crate::steps::ai_prompt::Kind::Anthropic);
    assert_eq!((config.ai.budget.tokens, config.ai.budget.cost), (Some(1_000_000), Some(5.0)));
    assert_eq!(config.credentials.0["crm"].allow.len(), 2);
    assert_eq!(config.credentials.0.len(), 3);
    // Checking needs none of them.
    assert!(load(text, &[], Need::Shape).is_ok());
}

#[test]
fn the_engine_is_bounded_as_it_is_told() {
    let engine = |text: &str| load(text, &[], Need::Everything).unwrap().engine;
    let usual = engine("");
    assert_eq!((usual.workers, usual.workers_per_workflow, usual.queue), (1024, 512, 20_000));
    assert_eq!(usual.retention_ms, None);
    let given = engine("engine: { workers: 7, queue: 5, retention: 30d }\n");
    assert_eq!((given.workers, given.workers_per_workflow, given.queue), (7, 4, 5));
    assert_eq!(given.retention_ms, Some(30 * 86_400_000));
    assert_eq!(engine("engine: { workers: auto, workers_per_workflow: 1024 }\n").workers_per_workflow, 1024);
    for wrong in ["workers: 0", "workers_per_workflow: 1025", "queue: 20001", "retention: 0s", "retention: long"] {
        assert!(load(&format!("engine: {{ {wrong} }}\n"), &[], Need::Everything).is_err(), "{wrong}");
    }
}

#[test]
fn a_value_of_the_environment_is_a_number_or_a_list_where_one_is_wanted() {
    let variables = [
        ("MOLTRUN_ENGINE__WORKERS", "7"),
        ("MOLTRUN_SENDERS__S__PACE__RATE", "20/min"),
        ("MOLTRUN_SENDERS__S__PACE__BURST", "4"),
        ("MOLTRUN_NET__ALLOW_PRIVATE", "['10.0.0.1:80']"),
        ("MOLTRUN_VARS__SHOP", "{ code: '007', count: 3, cost: '${5}' }"),
        ("MOLTRUN_VARS__ONCALL", "15551234567"),
        ("MOLTRUN_SERVER__TOKEN", ""),
    ];
    let config = load("server: { token: '${NOT_SET}' }\n", &variables, Need::Everything).unwrap();
    assert_eq!(config.engine.workers, 7);
    assert_eq!(config.senders["s"].pace, crate::senders::Pace::new("20/min".parse().unwrap(), 4));
    let shop = serde_json::json!({"code": "007", "count": 3, "cost": "${5}"});
    let vars = serde_json::json!({"shop": shop, "oncall": "15551234567"});
    assert_eq!(serde_json::Value::Object(config.vars), vars);
    assert!(config.server.token.is_none());
}

#[test]
fn a_value_is_read_from_a_regular_file_only() {
    let message = load("vars: { a: '${file:/dev/zero}' }\n", &[], Need::Everything).unwrap_err();
    assert!(message.contains("no regular file"), "{message}");
}

#[test]
fn a_secret_in_the_environment_is_not_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("moltrun.yaml");
    std::fs::write(&path, "").unwrap();
    let variables = [("MOLTRUN_MOLTFLOW__APIKEY".to_string(), "s3cret".to_string())];
    let invalid = Config::load(Some(&path), Need::Everything, &Environment::new(variables)).unwrap_err();
    assert!(!format!("{invalid:?}").contains("s3cret"));
}

#[test]
fn an_address_for_others_is_one_that_a_path_can_follow() {
    let url = |text: &str| load(&format!("server: {{ public_url: '{text}' }}\n"), &[], Need::Everything);
    for (text, expected) in [
        ("https://bot.example.com", "https://bot.example.com"),
        ("https://bot.example.com/", "https://bot.example.com"),
        ("http://127.0.0.1:8787/flows/", "http://127.0.0.1:8787/flows"),
    ] {
        assert_eq!(url(text).unwrap().server.public_url.as_deref(), Some(expected));
    }
    for (text, expected) in [
        ("bot.example.com", "is no URL"),
        ("ftp://bot.example.com", "is no http or https URL"),
        ("https://bot.example.com?a=1", "has a query or a fragment"),
        ("https://u:p@bot.example.com", "holds credentials"),
        ("https://bot.example.com/hooks/moltflow/", "names the webhook itself"),
    ] {
        let message = url(text).unwrap_err();
        assert!(message.contains(expected) && !message.contains("u:p"), "{text}: {message}");
    }
    assert!(load("", &[], Need::Everything).unwrap().server.public_url.is_none());
}

#[test]
fn grants_name_what_a_plugin_may_use() {
    let text = "secrets: { CRM_TOKEN: abcdefgh, other: abcdefgh }
grants:
  crm: { http: [API.crm.example, '*.shop.example:8443', '10.0.0.5:8080'], secrets: [CRM_TOKEN], state: true, memory: 16MiB, timeout: 2s }
  scorer: {}
";
    let config = load(text, &[], Need::Everything).unwrap();
    let grant = &config.grants["crm"];
    let hosts: Vec<String> = grant.http.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["api.crm.example:443", "*.shop.example:8443", "10.0.0.5:8080"]);
    assert_eq!(grant.secrets.iter().collect::<Vec<_>>(), ["CRM_TOKEN"]);
    assert_eq!((grant.state, grant.memory_bytes, grant.timeout_ms), (true, Some(16 << 20), Some(2_000)));
    assert_eq!(config.grants["scorer"], crate::wasm::Grant::default());
    let hosts = vec!["a.example"; 65].join(", ");
    for (grant, expected) in [
        ("http: ['*']", "`*` would grant every host"),
        ("http: ['*:443']", "`*:443` would grant every host"),
        ("http: ['https://a.example']", "`https://a.example` has no port from 1 to 65535"),
        ("http: [a.example/x]", "`a.example/x` names no host"),
        ("http: a.example", "a list"),
        (&format!("http: [{hosts}]"), "a grant names at most 64 hosts"),
        ("secrets: [CRM_TOKN]", "there is no secret `CRM_TOKN`; did you mean `CRM_TOKEN`?"),
        ("state: perhaps", "expected true or false"),
        ("hosts: [a.example]", "the grant of `crm` has no key `hosts`"),
    ] {
        let text = format!("secrets: {{ CRM_TOKEN: abcdefgh }}\ngrants: {{ crm: {{ {grant} }} }}\n");
        let message = helped(&text);
        assert!(message.contains(expected), "{grant}: {message}");
    }
    let message = helped("grants: { crm: { secrets: [TOKEN] } }\n");
    assert!(message.contains("add it: `secrets: { TOKEN: ${TOKEN} }`"), "{message}");
    // Where no secret is needed, one that is not set has a name all the same.
    let text = "secrets: { TOKEN: '${TOKEN}' }\ngrants: { crm: { secrets: [TOKEN] } }\n";
    assert!(load(text, &[], Need::Shape).unwrap().grants["crm"].secrets.contains("TOKEN"));
}

#[test]
fn secrets_have_names_and_values() {
    let text = "secrets: { shop: '${SHOP}', crm-2: plain }\n";
    let config = load(text, &[("SHOP", "s3cret")], Need::Everything).unwrap();
    let value = |name: &str| config.secrets[name].as_ref().map(|secret| secret.expose().to_string());
    assert_eq!((value("shop").as_deref(), value("crm-2").as_deref()), (Some("s3cret"), Some("plain")));
    let checked = load(text, &[], Need::Shape).unwrap();
    assert!(checked.secrets["shop"].is_none() && checked.secrets.len() == 2);
    for (text, expected) in [
        (text, "the environment variable SHOP is not set"),
        ("secrets: { shop: }\n", "the secret `shop` has no value"),
        ("secrets: { shop: '' }\n", "`shop` is empty"),
        ("secrets: { '1': x }\n", "`1` is no name of a secret"),
        ("secrets: [shop]\n", "a mapping"),
    ] {
        let message = load(text, &[], Need::Everything).unwrap_err();
        assert!(message.contains(expected), "{text}: {message}");
    }
}
