//! A dry run: the real engine on a store that is forgotten, with steps that write down what they would do.

use std::path::Path;
use std::sync::Arc;

use crate::config::Config;
use crate::engine::ports::{Clock, StoreError, Workflows};
use crate::engine::run::{Engine, Observer, Parts, Steps as Live};
use crate::senders::Senders;
use crate::steps::dry::{self, Recorder};
use crate::store::dry::DryStore;
use crate::store::sqlite::ReadOnly;

use super::{StartError, Steps};

/// What a dry run needs, and what it leaves.
pub struct DryRun {
    pub engine: Engine,
    pub store: Arc<DryStore>,
    pub recorder: Arc<Recorder>,
    /// As the database has them, if there is one.
    pub senders: Arc<Senders>,
    /// There is a database, and it was asked for opt-outs and `once` keys.
    pub has_database: bool,
}

impl DryRun {
    /// Starts an engine that changes nothing. `samples` messages are kept.
    pub async fn start(
        config: &Config,
        steps: Steps,
        clock: Arc<dyn Clock>,
        workflows: Arc<dyn Workflows>,
        observers: Vec<Arc<dyn Observer>>,
        samples: usize,
    ) -> Result<Self, StartError> {
        let unusable = |path: &Path, source| StartError::Store { path: path.to_path_buf(), source };
        let database = ReadOnly::open(&config.database).await;
        let database = database.map_err(|source: StoreError| unusable(&config.database, source))?;
        let has_database = database.is_some();
        let store = Arc::new(DryStore::new(database));
        let recorder = Arc::new(Recorder::new(samples));
        let mut registry = steps.registry;
        let senders = steps.senders;
        senders.start(store.clone(), &registry.catalog).await.map_err(|source| unusable(&config.database, source))?;
        dry::steps(&mut registry, &recorder, &senders, config.region);
        let parts = Parts {
            store: store.clone(),
            clock,
            steps: Live::new(registry.into_set()),
            workflows,
            observers,
            workers: config.engine.workers,
            workers_per_workflow: config.engine.workers_per_workflow,
            queue: config.engine.queue,
            retention_ms: None,
            recover: false,
        };
        let engine = Engine::start(parts).await.map_err(|source| unusable(Path::new("(in memory)"), source))?;
        Ok(Self { engine, store, recorder, senders, has_database })
    }
}
