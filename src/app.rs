//! The composition root: the only place that knows every concrete type.

pub mod components;
pub mod dry;
pub mod plugins;
mod prune;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::{Either, select};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::components::Components;
use crate::base::limits;
use crate::config::Config;
use crate::engine::clock::SystemClock;
use crate::engine::ports::{Clock, Space, Store, StoreError, Workflows, Write};
use crate::engine::run::{Engine, Observer, Parts, Steps as LiveSteps};
use crate::lang::workflow::Trigger;
use crate::moltflow::{ApiError, MoltFlow};
use crate::net::Net;
use crate::plan::{Folder, Plan, PlanTrigger};
use crate::senders::{Senders, Sessions};
use crate::server::{self, Bounds, Metrics, Server, router};
use crate::steps::ai_prompt::AiPrompt;
use crate::steps::approve::Approve;
use crate::steps::call::Call;
use crate::steps::data_read::DataRead;
use crate::steps::fail::Fail;
use crate::steps::filter::Filter;
use crate::steps::http::{Http, Web};
use crate::steps::moltflow_send::MoltflowSend;
use crate::steps::set::Set;
use crate::steps::state::State;
use crate::steps::switch::Switch;
use crate::steps::unconfigured::Unconfigured;
use crate::steps::wait::Wait;
use crate::steps::wait_for::WaitFor;
use crate::steps::{Registry, ai_prompt, moltflow_calls as moltflow_steps, moltflow_send};
use crate::store::sqlite::{OpenError, ReadOnly, SqliteStore};
use crate::triggers::live::Live;
use crate::triggers::reload::{self, Checker, Files};
use crate::triggers::session_events::{self, Ears};
use crate::triggers::{registration, schedule};
use crate::wasm::{Host, ScriptEngine, ScriptStep};

/// Everything of a process that can run workflows.
pub struct App {
    pub clock: Arc<dyn Clock>,
    pub store: Arc<SqliteStore>,
    pub engine: Engine,
    /// Those there are at this moment.
    pub steps: LiveSteps,
    pub moltflow: Option<Arc<MoltFlow>>,
    pub senders: Arc<Senders>,
    components: Components,
    metrics: Arc<Metrics>,
}

/// Why it could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the database {} cannot be used: {source}", path.display())]
    Store { path: PathBuf, source: StoreError },
    #[error("moltflow: {0}")]
    MoltFlow(#[from] ApiError),
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
}

/// The steps there are, and what they share.
pub struct Steps {
    pub registry: Registry,
    pub moltflow: Option<Arc<MoltFlow>>,
    pub senders: Arc<Senders>,
    pub components: Components,
}

/// Every built-in step and every plugin, ready to be checked against and to run.
pub async fn steps(config: &Config, clock: &Arc<dyn Clock>) -> Result<Steps, StartError> {
    let net = Arc::new(Net::new(config.net.clone(), clock.clone()));
    let mut registry = Registry::default();
    registry.add(Arc::new(Filter::default()));
    registry.add(Arc::new(Switch::default()));
    registry.add(Arc::new(Set::default()));
    registry.add(Arc::new(Fail::default()));
    registry.add(Arc::new(Wait::default()));
    registry.add(Arc::new(WaitFor::default()));
    registry.add(Arc::new(Approve::default()));
    registry.add(Arc::new(Call::default()));
    State::all().into_iter().for_each(|step| registry.add(Arc::new(step)));
    let credentials = Arc::new(config.credentials.clone());
    let fetching = Arc::new(Net::new(config.net.without_trusted(), clock.clone()));
    let web = Web { net: fetching, credentials, clock: clock.clone() };
    registry.add(Arc::new(DataRead::new(config.workflows.clone(), web.clone())));
    registry.add(Arc::new(Http::new(web)));
    if config.ai.providers.is_empty() {
        registry.add(Arc::new(Unconfigured::new(ai_prompt::spec(), "ai")));
    } else {
        registry.add(Arc::new(AiPrompt::new(config.ai.clone(), net.clone(), clock.clone())));
    }
    let moltflow = match &config.moltflow {
        Some(given) => Some(Arc::new(MoltFlow::new(given.clone(), net, clock.clone())?.in_region(config.region))),
        None => None,
    };
    let sessions = moltflow.clone().map(|moltflow| moltflow as Arc<dyn Sessions>);
    let senders = Arc::new(Senders::new(config.senders.clone(), sessions, clock.clone()));
    match &moltflow {
        Some(moltflow) => {
            registry.add(Arc::new(MoltflowSend::new(moltflow.clone(), senders.clone(), clock.clone())));
            moltflow_steps::all(moltflow, clock).into_iter().for_each(|step| registry.add(step));
        }
        None => {
            let specs = moltflow_steps::specs().into_iter().chain([moltflow_send::spec()]);
            specs.for_each(|spec| registry.add(Arc::new(Unconfigured::new(spec, "moltflow"))));
        }
    }
    registry.catalog.region = config.region;
    let now = clock.now();
    let (given, services) = plugins::given(config, clock);
    let host = Host::new(given, services);
    let scripts = ScriptEngine::new(&host);
    registry.catalog.scripts = Some(scripts.reader());
    registry.add(Arc::new(ScriptStep::new(scripts)));
    registry.catalog.set_secrets(config.secrets.keys());
    let components = Components::load(host, config.plugins.clone(), registry, now).await;
    Ok(Steps { registry: components.registry(), moltflow, senders, components })
}

/// The first thing `plans` need that the configuration does not have.
pub fn unconfigured(plans: &[Arc<Plan>], config: &Config) -> Option<String> {
    let (ai, moltflow) = has(config);
    plans.iter().find_map(|plan| lacks(plan, ai, moltflow))
}

/// Whether there is a model, and a MoltFlow.
fn has(config: &Config) -> (bool, bool) {
    (!config.ai.providers.is_empty(), config.moltflow.is_some())
}

/// What an enabled `plan` needs and there is none of.
fn lacks(plan: &Plan, ai: bool, moltflow: bool) -> Option<String> {
    if !plan.workflow.enabled {
        return None;
    }
    let streams = |trigger: &PlanTrigger| matches!(trigger.trigger, Trigger::SessionEvents { .. });
    if !moltflow && plan.triggers.iter().any(streams) {
        let name = &plan.name;
        return Some(format!(
            "workflow `{name}`: a session_events trigger listens to MoltFlow, but the configuration has no `moltflow` section"
        ));
    }
    plan.steps.iter().find_map(|step| {
        let section = match &*step.uses {
            "ai.prompt" if !ai => "ai",
            uses if uses.starts_with("moltflow.") && !moltflow => "moltflow",
            _ => return None,
        };
        Some(format!(
            "workflow `{}`: step `{}` uses {}, but the configuration has no `{section}` section",
            plan.name, step.id, step.uses
        ))
    })
}

impl App {
    /// Opens the database and starts the engine. `workflows` are those that runs may call. With `recover` the database's
    /// unfinished runs go on.
    pub async fn start(
        config: &Config,
        steps: Steps,
        database: &Path,
        clock: Arc<dyn Clock>,
        workflows: Arc<dyn Workflows>,
        mut observers: Vec<Arc<dyn Observer>>,
        recover: bool,
    ) -> Result<Self, StartError> {
        let store = Arc::new(SqliteStore::open(database, clock.clone()).await?);
        let live = LiveSteps::new(steps.registry.into_set());
        let metrics = Arc::new(Metrics::default());
        observers.push(metrics.clone());
        let parts = Parts {
            workflows,
            retention_ms: config.engine.retention_ms,
            store: store.clone(),
            clock: clock.clone(),
            steps: live.clone(),
            observers,
            workers: config.engine.workers,
            workers_per_workflow: config.engine.workers_per_workflow,
            queue: config.engine.queue,
            recover,
        };
        let unusable = |source| StartError::Store { path: database.to_path_buf(), source };
        // Before the engine: runs that go on send at once.
        steps.senders.start(store.clone(), &live.now().catalog).await.map_err(unusable)?;
        let engine = Engine::start(parts).await.map_err(unusable)?;
        let Steps { moltflow, senders, components, .. } = steps;
        Ok(Self { clock, store, engine, steps: live, moltflow, senders, components, metrics })
    }

    /// Takes over who opted out by another database, if it is there: nobody gets a message because it is sent from elsewhere.
    pub async fn inherit_opt_outs(&self, database: &Path) -> Result<(), StartError> {
        let unusable = |source| StartError::Store { path: database.to_path_buf(), source };
        let Some(theirs) = ReadOnly::open(database).await.map_err(unusable)? else { return Ok(()) };
        let (now, mut after) = (self.clock.now(), None);
        loop {
            let page = theirs.values(Space::OptOut, String::new(), after, limits::PAGE, now).await.map_err(unusable)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            let writes = page.into_iter().map(|(key, value)| Write {
                space: Space::OptOut,
                key,
                value: Some(value),
                expires_at: None,
            });
            self.store.put(writes.collect()).await.map_err(unusable)?;
        }
    }

    /// Starts triggers, webhooks and API on `listener`. `live` holds the workflows of `folder`, and changes as it does.
    pub async fn serve(
        &self,
        config: &Config,
        folder: Folder,
        live: Live,
        listener: Listener,
    ) -> Result<Serving, StartError> {
        let Listener { address, listener } = listener;
        let store: Arc<dyn Store> = self.store.clone();
        let started = schedule::start(&live, self.engine.clone(), store.clone(), self.clock.clone()).await;
        let unusable = |source| StartError::Store { path: config.database.clone(), source };
        let (schedules, firing) = started.map_err(unusable)?;
        let stopping = self.engine.stopping();
        let (ai, moltflow) = has(config);
        let checker = Checker {
            steps: self.steps.clone(),
            vars: config.vars.clone(),
            refuses: Box::new(move |plan| lacks(plan, ai, moltflow)),
        };
        let catalog = self.steps.now().catalog.clone();
        let files = Files::new(vec![config.workflows.clone()], &folder, catalog, checker);
        // Its sources and findings have served their purpose.
        drop(folder);
        tokio::spawn(reload::watch(files, live.clone(), self.clock.clone(), stopping.clone()));
        let (seen, plugins) = watch::channel(Arc::new(self.components.seen()));
        let (components, steps) = (self.components.clone(), self.steps.clone());
        tokio::spawn(components::watch(components, steps, seen, self.clock.clone(), stopping.clone()));
        tokio::spawn(prune::run(store, self.clock.clone(), stopping.clone()));
        self.meet_moltflow(config, &live);
        let router = router(Server {
            engine: self.engine.clone(),
            query: self.store.clone(),
            clock: self.clock.clone(),
            live,
            schedules,
            senders: self.senders.clone(),
            plugins,
            metrics: self.metrics.clone(),
            token: config.server.token.clone(),
            webhook_secret: config.webhook_secret.clone(),
            secrets: config.secrets.clone(),
        });
        let server = tokio::spawn(server::serve(listener, router, self.clock.clone(), Bounds::default(), stopping));
        Ok(Serving { address, server, firing })
    }

    /// Listens to what MoltFlow streams, and has it deliver the rest.
    fn meet_moltflow(&self, config: &Config, live: &Live) {
        let Some(moltflow) = &self.moltflow else { return };
        let stopping = self.engine.stopping();
        let ears = Ears {
            source: moltflow.clone(),
            live: live.clone(),
            engine: self.engine.clone(),
            store: self.store.clone(),
            senders: self.senders.clone(),
            clock: self.clock.clone(),
        };
        tokio::spawn(session_events::watch(ears, stopping.clone()));
        if let Some(url) = &config.server.public_url {
            let url = format!("{url}{}", registration::PATH);
            tokio::spawn(registration::register(moltflow.clone(), url, self.clock.clone(), stopping));
        }
    }

    /// Stops in order: no new events, steps at work and open requests may end for `grace_ms`, the rest is in the journal.
    pub async fn stop(&self, serving: Option<Serving>, grace_ms: u64) {
        let grace = self.clock.sleep_until(self.clock.now().saturating_add_unsigned(grace_ms));
        let closed = async {
            if let Some(serving) = serving {
                // An error is a panic of the server, which is no longer of interest.
                let _ = serving.server.await;
                let _ = serving.firing.await;
            }
        };
        let stopped = futures::future::join(self.engine.stop(), closed);
        if let Either::Right(_) = select(std::pin::pin!(stopped), grace).await {
            tracing::warn!(grace_ms, "what was at work is cut off; its runs go on after the next start");
        }
        self.store.close().await;
    }
}

/// An open port. Taken before the engine starts, so that a port in use does not interrupt runs that have just gone on.
pub struct Listener {
    address: SocketAddr,
    listener: TcpListener,
}

impl Listener {
    pub async fn bind(address: SocketAddr) -> Result<Self, StartError> {
        let failed = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { address, listener })
    }
}

/// The running HTTP side.
pub struct Serving {
    pub address: SocketAddr,
    server: JoinHandle<()>,
    /// The schedules, until their places are saved.
    firing: JoinHandle<()>,
}

/// The clock of this machine.
pub fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{Environment, Need};
    use crate::engine::ports::StepError;
    use crate::net::testing::{Answer, Scripted};
    use crate::steps::testing::call;

    /// The code with which `uses` fails to fetch a base URL of the configuration; None if it is fetched.
    async fn refused(uses: &str, section: &str, is_allowed: bool) -> Option<String> {
        let far = Scripted::start(vec![Answer::full(200, "content-type: text/csv\r\n", "a\n1\n")]).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("moltrun.yaml");
        let host = far.url.strip_prefix("http://").unwrap();
        let private = if is_allowed { format!("net: {{ allow_private: ['{host}'] }}\n") } else { String::new() };
        std::fs::write(&path, section.replace("BASE", &far.url) + &private).unwrap();
        let environment = Environment::new(std::iter::empty());
        let config = Config::load(Some(&path), Need::Everything, &environment).unwrap();
        let Steps { registry, .. } = steps(&config, &system_clock()).await.unwrap();
        let ended = registry.steps[uses].run(call(json!({"url": format!("{}/a.csv", far.url)}))).await;
        match ended {
            Ok(_) => None,
            Err(StepError::Permanent(failure)) => {
                assert!(far.requests().is_empty());
                Some(failure.code)
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn workflows_fetch_nothing_from_a_private_base_url_unless_it_is_allowed() {
        for section in [
            "moltflow: { api_key: k, base_url: 'BASE/api/v2' }\n",
            "ai: { providers: { a: { base_url: 'BASE/v1', model: m } } }\n",
        ] {
            for uses in ["http", "data.read"] {
                assert_eq!(refused(uses, section, false).await.as_deref(), Some("http.blocked"), "{uses} {section}");
                assert_eq!(refused(uses, section, true).await, None, "{uses} {section}");
            }
        }
    }
}
