//! `moltrun.yaml`, then `MOLTRUN_*` variables, then flags.
//!
//! The file goes through the same YAML front end as workflows, so its mistakes are drawn alike. `MOLTRUN_SERVER__LISTEN`
//! stands for `server.listen` (nesting with `__`). Its value is taken as it is: a text, which is also a number or a truth
//! value where one is wanted; only `[…]` and `{…}` are read as YAML, and an empty one is as if the key were empty. In the
//! texts of the file `${NAME}` is read from the environment and `${file:/run/secrets/x}` from a file.

mod ai;
mod credentials;
mod environment;
mod grants;
mod masked;
mod public;
mod sections;
mod senders;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use self::environment::Environment;
use self::masked::masked;

use crate::base::json::JsonMap;
use crate::base::phone::Region;
use crate::base::{Secret, limits};
use crate::lang::diagnostic::{Diagnostic, Diagnostics, Source};
use crate::lang::yaml;
use crate::senders::Policy;
use crate::steps::ai_prompt::AiProviders;
use crate::steps::credentials::Keyring;
use crate::{moltflow, net, wasm};

/// Everything a daemon or a run is told.
#[derive(Debug)]
pub struct Config {
    pub workflows: PathBuf,
    pub plugins: PathBuf,
    pub database: PathBuf,
    pub server: Server,
    /// None: workflows that use MoltFlow cannot run.
    pub moltflow: Option<moltflow::Config>,
    /// Where phone numbers without a country code are meant; None: they are refused.
    pub region: Option<Region>,
    /// Signs the webhooks that MoltFlow delivers.
    pub webhook_secret: Option<Secret>,
    /// Those that webhooks of workflows may name; without a value where none is needed ([`Need::Shape`]).
    pub secrets: BTreeMap<String, Option<Secret>>,
    pub ai: AiProviders,
    /// What `auth` of a step may name.
    pub credentials: Keyring,
    pub net: net::Policy,
    pub vars: JsonMap,
    pub engine: Engine,
    pub senders: BTreeMap<String, Policy>,
    pub grants: BTreeMap<String, wasm::Grant>,
}

#[derive(Debug)]
pub struct Server {
    pub listen: SocketAddr,
    /// Where others reach this daemon, without a slash at its end; None: MoltFlow is not told of it.
    pub public_url: Option<String>,
    pub token: Option<Secret>,
}

#[derive(Clone, Copy, Debug)]
pub struct Engine {
    /// Runs that are worked on at once.
    pub workers: usize,
    /// Of those, runs of one workflow.
    pub workers_per_workflow: usize,
    /// Runs that are accepted and neither ended nor parked, at most.
    pub queue: usize,
    /// How long an ended run is kept where its workflow does not say, in milliseconds; None: for ever.
    pub retention_ms: Option<u64>,
    /// How long a stop waits for steps that are at work, in milliseconds.
    pub grace_ms: u64,
}

/// How long steps at work may go on after a stop: longer than most answers take, shorter than the 10 seconds after which
/// container runtimes kill.
const GRACE_MS: u64 = 8_000;

impl Default for Engine {
    fn default() -> Self {
        Self {
            workers: limits::ACTIVE_RUNS,
            workers_per_workflow: limits::WORKERS_PER_WORKFLOW,
            queue: limits::QUEUED_RUNS,
            retention_ms: None,
            grace_ms: GRACE_MS,
        }
    }
}

/// What a command needs to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Checking only: a `${NAME}` that is not set is no mistake, so that files can be checked where no secret is.
    Shape,
    /// Running.
    Everything,
}

/// What is wrong with the configuration, and the text it was found in, without what may be secret.
#[derive(Debug)]
pub struct Invalid {
    pub diagnostics: Vec<Diagnostic>,
    pub source: Source,
}

/// The name that is looked for when `--config` names none.
pub const DEFAULT_FILE: &str = "moltrun.yaml";

impl Config {
    /// Reads the configuration. Without `path` the default file is read if it is there. Relative paths in it start from
    /// its folder.
    pub fn load(path: Option<&Path>, need: Need, environment: &Environment) -> Result<Self, Box<Invalid>> {
        let shown = path.unwrap_or(Path::new(DEFAULT_FILE));
        let text = match Source::read(shown) {
            Ok(source) => source.text,
            Err(_) if path.is_none() && !shown.exists() => String::new(),
            Err(diagnostic) => {
                let source = Source { path: shown.display().to_string(), text: String::new() };
                return Err(Box::new(Invalid { diagnostics: vec![*diagnostic], source }));
            }
        };
        let source = Source { path: shown.display().to_string(), text: environment.appended(text) };
        let folder = shown.parent().map(Path::to_path_buf).unwrap_or_default();
        Self::read(&source, &folder, need, environment).map_err(|diagnostics| {
            let text = masked(&source.text, &diagnostics);
            Box::new(Invalid { diagnostics, source: Source { text, ..source } })
        })
    }

    fn read(source: &Source, folder: &Path, need: Need, environment: &Environment) -> Result<Self, Vec<Diagnostic>> {
        let mut found = Diagnostics::new(source);
        let Some(mut tree) = yaml::read(&mut found) else { return Err(found.finish()) };
        environment.overlay(&mut tree, &found);
        environment.expand(&mut tree, need, &mut found);
        let config = sections::read(&tree, folder, need, &mut found);
        match config {
            Some(config) if !found.has_errors() => Ok(config),
            _ => Err(found.finish()),
        }
    }
}

#[cfg(test)]
mod tests;
