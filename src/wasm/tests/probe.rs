//! The connector `probe` (`plugins/tests/probe`), which does what its input says, and a world for it to do it in.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::*;
use crate::base::Secret;
use crate::engine::clock::SystemClock;
use crate::engine::ports::{Keys, LogLevel, StepLog, Store};
use crate::net::testing::{Answer, Scripted};
use crate::net::{Lookup, Net, Policy};
use crate::store::memory::MemoryStore;
use crate::wasm::{HostPattern, Origin, Services};

const COMPONENT: &[u8] = include_bytes!("probe.wasm");
const MARK: &[u8] = b"# what is asked for\n";

/// The component, asking for these: lines `host HOST` and `secret NAME HOST…`.
pub fn component(asks: &str) -> Vec<u8> {
    let mut bytes = COMPONENT.to_vec();
    let at = bytes.windows(MARK.len()).position(|window| window == MARK).expect("the probe has its mark");
    bytes[at..at + asks.len()].copy_from_slice(asks.as_bytes());
    if asks.len() < MARK.len() {
        bytes[at + asks.len()..at + MARK.len()].fill(b'\n');
    }
    bytes
}

/// Every name ends in `.example` and leads to this machine; others have no address.
struct Names;

impl Lookup for Names {
    fn lookup(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let known = name.ends_with(".example");
        async move { if known { Ok(vec!["127.0.0.1".parse().unwrap()]) } else { Ok(vec![]) } }.boxed()
    }
}

/// Time enough on a slow machine.
pub fn patient() -> Grant {
    Grant { timeout_ms: Some(60_000), ..Grant::default() }
}

/// What a [`Lab`] is made of.
#[derive(Default)]
pub struct Given {
    pub asks: String,
    pub grant: Grant,
    pub secrets: Vec<(&'static str, &'static str)>,
    /// Private places that the network lets through.
    pub open: Vec<String>,
}

impl Given {
    /// Asks for one far side, is granted it, and it is let through.
    pub fn reaching(far: &Scripted) -> Self {
        let host = host(far);
        let grant = Grant { http: vec![HostPattern::granted(&host).unwrap()], ..patient() };
        Self { asks: format!("host {host}\n"), grant, open: vec![host], ..Self::default() }
    }

    /// Also with a secret that may go to the first far side.
    pub fn with_secret(mut self, name: &'static str, value: &'static str) -> Self {
        self.asks += &format!("secret {name} {}\n", self.open[0]);
        self.grant.secrets.insert(name.to_string());
        self.secrets.push((name, value));
        self
    }

    /// With state.
    pub fn keeping() -> Self {
        Self { grant: Grant { state: true, ..patient() }, ..Self::default() }
    }
}

/// `127.0.0.1:PORT`.
pub fn host(far: &Scripted) -> String {
    far.url.strip_prefix("http://").unwrap().to_string()
}

/// The probe, loaded.
pub struct Lab {
    pub plugin: crate::wasm::Plugin,
    pub store: Arc<MemoryStore>,
    pub keys: Keys,
    _folder: tempfile::TempDir,
}

impl Lab {
    pub async fn new(given: Given) -> Self {
        Self::load(given).await.unwrap_or_else(|reason| panic!("{reason}"))
    }

    pub async fn load(given: Given) -> Result<Self, String> {
        let Given { asks, grant, secrets, open } = given;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("probe.wasm");
        fs::write(&path, component(&asks)).unwrap();
        let mut policy = Policy::default();
        open.iter().for_each(|entry| policy.allow_private(entry).unwrap());
        let clock: Arc<dyn crate::engine::ports::Clock> = Arc::new(SystemClock);
        let secrets: BTreeMap<_, _> =
            secrets.into_iter().map(|(name, value)| (name.to_string(), Secret::new(value))).collect();
        let net = Arc::new(Net::with_lookup(policy, clock.clone(), Arc::new(Names)));
        let grants = [("probe".to_string(), grant)].into();
        let config = PluginsConfig { grants, ..PluginsConfig::default() };
        let host = crate::wasm::Host::new(config, Services { net, secrets, clock: clock.clone() });
        let plugin = host.load("probe", Origin::File(path)).await?;
        let store = Arc::new(MemoryStore::default());
        let keys = Keys::new(store.clone(), clock);
        Ok(Self { plugin, store, keys, _folder: folder })
    }

    /// A call of `probe/<step>`, and what the run's log has of it.
    pub async fn call(&self, step: &str, script: &str) -> (Result<Outcome, StepError>, Vec<String>) {
        let name = format!("probe/{step}");
        let step = self.plugin.steps.iter().find(|step| step.spec().name == name).expect("the probe has this step");
        let log = StepLog::default();
        let call = StepCall { keys: self.keys.clone(), log: log.clone(), ..call(json!({ "do": script })) };
        let ended = step.run(call).await;
        let lines = log.take().into_iter().map(|line| match line.level {
            LogLevel::Warn => format!("warn: {}", line.text),
            _ => line.text,
        });
        (ended, lines.collect())
    }

    /// The answers of `probe/again` to a script that goes well.
    pub async fn answers(&self, script: &str) -> Vec<String> {
        answers(self.call("again", script).await.0)
    }

    /// The same, committed as the engine does.
    pub async fn commit(&self, script: &str) -> Vec<String> {
        let ended = self.call("again", script).await.0;
        match ended {
            Ok(Outcome::Written { output, writes, held, .. }) => {
                self.store.put(writes).await.unwrap();
                drop(held);
                serde_json::from_value(output).unwrap()
            }
            other => answers(other),
        }
    }
}

pub fn answers(ended: Result<Outcome, StepError>) -> Vec<String> {
    match ended {
        Ok(Outcome::Done { output, .. } | Outcome::Written { output, .. }) => serde_json::from_value(output).unwrap(),
        other => panic!("it failed: {other:?}"),
    }
}

/// A far side with these answers, and a probe that reaches it.
pub async fn lab(script: Vec<Answer>) -> (Scripted, Lab) {
    let far = Scripted::start(script).await;
    let lab = Lab::new(Given::reaching(&far)).await;
    (far, lab)
}
