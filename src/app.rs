//! The composition root: the only place that knows every concrete type.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::{Either, select};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::base::Millis;
use crate::config::Config;
use crate::engine::clock::SystemClock;
use crate::engine::ports::{Clock, Store, StoreError};
use crate::engine::run::{Engine, Observer, Parts};
use crate::lang::Catalog;
use crate::moltflow::{ApiError, MoltFlow};
use crate::net::Net;
use crate::plan::{Folder, Plan};
use crate::senders::Senders;
use crate::server::{self, Bounds, Server, router};
use crate::steps::ai_prompt::AiPrompt;
use crate::steps::data_read::DataRead;
use crate::steps::filter::Filter;
use crate::steps::moltflow_send::MoltflowSend;
use crate::steps::set::Set;
use crate::steps::switch::Switch;
use crate::steps::unconfigured::Unconfigured;
use crate::steps::wait::Wait;
use crate::steps::{Registry, ai_prompt, moltflow_send};
use crate::store::sqlite::{OpenError, SqliteStore};
use crate::triggers::schedule;
use crate::wasm::{Plugins, PluginsConfig};

/// How often expired dedupe keys are forgotten, in milliseconds.
const PRUNE_EVERY_MS: Millis = 3_600_000;

/// Everything of a process that can run workflows.
pub struct App {
    pub clock: Arc<dyn Clock>,
    pub store: Arc<SqliteStore>,
    pub engine: Engine,
    pub catalog: Arc<Catalog>,
    pub moltflow: Option<Arc<MoltFlow>>,
}

/// Why it could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("moltflow: {0}")]
    MoltFlow(#[from] ApiError),
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
}

/// The steps there are, and the client they share.
pub struct Steps {
    pub registry: Registry,
    pub moltflow: Option<Arc<MoltFlow>>,
}

/// Every built-in step and every plugin, ready to be checked against and to run.
pub async fn steps(config: &Config, clock: &Arc<dyn Clock>) -> Result<Steps, StartError> {
    let net = Arc::new(Net::new(config.net.clone(), clock.clone()));
    let mut registry = Registry::default();
    registry.add(Arc::new(Filter::default()));
    registry.add(Arc::new(Switch::default()));
    registry.add(Arc::new(Set::default()));
    registry.add(Arc::new(Wait::default()));
    registry.add(Arc::new(DataRead::new(config.workflows.clone())));
    if config.ai.providers.is_empty() {
        registry.add(Arc::new(Unconfigured::new(ai_prompt::spec(), "ai")));
    } else {
        registry.add(Arc::new(AiPrompt::new(config.ai.clone(), net.clone(), clock.clone())));
    }
    let moltflow = match &config.moltflow {
        Some(given) => Some(Arc::new(MoltFlow::new(given.clone(), net, clock.clone())?)),
        None => None,
    };
    match &moltflow {
        Some(moltflow) => {
            let senders = Arc::new(Senders::new(config.senders.clone(), clock.clone()));
            registry.add(Arc::new(MoltflowSend::new(moltflow.clone(), senders)));
        }
        None => registry.add(Arc::new(Unconfigured::new(moltflow_send::spec(), "moltflow"))),
    }
    let plugins = PluginsConfig {
        dir: Some(config.plugins.clone()),
        cache_dir: cache_dir(),
        grants: config.grants.clone(),
        ..PluginsConfig::default()
    };
    let plugins = Plugins::load(plugins).await;
    plugins.steps.into_iter().for_each(|step| registry.add(step));
    for (plugin, reason) in plugins.broken {
        registry.catalog.insert_broken_plugin(plugin, reason);
    }
    Ok(Steps { registry, moltflow })
}

/// Where compiled plugins are kept; None where there is no home.
fn cache_dir() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || absolute("HOME").map(|home| home.join(".cache"));
    Some(absolute("XDG_CACHE_HOME").or_else(home)?.join("moltrun").join("plugins"))
}

/// The first thing `plans` need that the configuration does not have.
pub fn unconfigured(plans: &[Arc<Plan>], config: &Config) -> Option<String> {
    for plan in plans.iter().filter(|plan| plan.workflow.enabled) {
        for step in &plan.steps {
            let section = match &*step.uses {
                "ai.prompt" if config.ai.providers.is_empty() => "ai",
                uses if uses.starts_with("moltflow.") && config.moltflow.is_none() => "moltflow",
                _ => continue,
            };
            return Some(format!(
                "workflow `{}`: step `{}` uses {}, but the configuration has no `{section}` section",
                plan.name, step.id, step.uses
            ));
        }
    }
    None
}

impl App {
    /// Opens the database and starts the engine. With `recover` the database's unfinished runs go on.
    pub async fn start(
        config: &Config,
        steps: Steps,
        database: &Path,
        clock: Arc<dyn Clock>,
        observers: Vec<Arc<dyn Observer>>,
        recover: bool,
    ) -> Result<Self, StartError> {
        let store = Arc::new(SqliteStore::open(database).await?);
        let catalog = Arc::new(steps.registry.catalog);
        let parts = Parts {
            store: store.clone(),
            clock: clock.clone(),
            catalog: catalog.clone(),
            steps: steps.registry.steps,
            observers,
            active_runs: config.engine.workers,
            recover,
        };
        let engine = Engine::start(parts).await?;
        Ok(Self { clock, store, engine, catalog, moltflow: steps.moltflow })
    }

    /// Starts triggers, webhooks and API on `listener`.
    pub async fn serve(&self, config: &Config, folder: Folder, listener: Listener) -> Result<Serving, StartError> {
        let plans: Vec<_> = folder.plans.iter().filter(|plan| plan.workflow.enabled).cloned().collect();
        let Listener { address, listener } = listener;
        let store: Arc<dyn Store> = self.store.clone();
        let schedules = schedule::load(&plans, &*store, self.clock.now()).await?;
        let stopping = self.engine.stopping();
        tokio::spawn(schedule::run(
            schedules,
            self.engine.clone(),
            store.clone(),
            self.clock.clone(),
            stopping.clone(),
        ));
        tokio::spawn(prune(store, self.clock.clone(), stopping.clone()));
        let router = router(Server {
            engine: self.engine.clone(),
            query: self.store.clone(),
            clock: self.clock.clone(),
            plans,
            folder,
            token: config.server.token.clone(),
            webhook_secret: config.webhook_secret.clone(),
        });
        let server = tokio::spawn(server::serve(listener, router, self.clock.clone(), Bounds::default(), stopping));
        Ok(Serving { address, server })
    }

    /// Stops in order: no new events, steps at work and open requests may end for `grace_ms`, the rest is in the journal.
    pub async fn stop(&self, serving: Option<Serving>, grace_ms: u64) {
        let grace = self.clock.sleep_until(self.clock.now().saturating_add_unsigned(grace_ms));
        let closed = async {
            if let Some(serving) = serving {
                // An error is a panic of the server, which is no longer of interest.
                let _ = serving.server.await;
            }
        };
        let stopped = futures::future::join(self.engine.stop(), closed);
        if let Either::Right(_) = select(std::pin::pin!(stopped), grace).await {
            tracing::warn!(grace_ms, "what was at work is cut off; its runs go on after the next start");
        }
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
}

/// Forgets what has expired, now and then.
async fn prune(store: Arc<dyn Store>, clock: Arc<dyn Clock>, mut stopping: watch::Receiver<bool>) {
    loop {
        if let Err(error) = store.prune(clock.now()).await {
            tracing::warn!(%error, "expired dedupe keys could not be removed");
        }
        tokio::select! {
            () = clock.sleep_until(clock.now() + PRUNE_EVERY_MS) => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
    }
}

/// The clock of this machine.
pub fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}
