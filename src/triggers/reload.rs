//! Hot reload: the workflows folder is looked at now and then, and what changed is served from then on.
//!
//! It is looked at, and not watched by the kernel's notifications, because a look sees what is there: on network mounts, on
//! folders bound into containers and behind swapped links, where notifications are lost or never sent; it has no table of
//! watches to exhaust and no queue to overflow. A look costs a `stat` a file, and files whose [`Stamp`] is the same are not
//! opened. The pauses between looks are at least [`SHARE`] times as long as a look takes, so that all looking together takes
//! less than half a percent of one core however many files there are: a thousand of them are looked at in about two
//! milliseconds, and so every [`PAUSE_MS`].
//!
//! **What is served.** A file must look the same twice, [`SETTLE_MS`] apart, before it is read: an editor that truncates and
//! writes, or moves the old file away before the new one is there, is not met half way. A version with mistakes is not
//! served: its workflow stays as it last was, marked stale, and the mistakes are logged once and shown by the API until the
//! file changes again. The last good version is held in memory only: a start knows nothing but the files.
//!
//! **Plugins.** When other steps are there, every file is checked anew: what was invalid because of a plugin is served as soon
//! as that plugin is there, and what no longer fits stays as it was, marked stale.
//!
//! **Names.** The file that serves a name keeps it: another file that claims it is a mistake of that other file, until the
//! first one drops the name or goes. A file that is moved takes its workflow along. A file that is deleted ends its workflow;
//! a folder that can no longer be read does not, since nobody knows what is in it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;

use super::live::{Live, Served, ServedWorkflow};
use crate::base::json::JsonMap;
use crate::engine::clock::stopwatch;
use crate::engine::ports::Clock;
use crate::engine::run::Steps;
use crate::lang::{Catalog, Diagnostic, Severity, Source, render};
use crate::plan::{CheckedFile, Folder, Plan, Stamp, calls_of, find};

/// Pause between two looks, in milliseconds: with [`SETTLE_MS`], an edit is served within half a second.
pub const PAUSE_MS: u64 = 350;

/// What has just changed is looked at again after this long, in milliseconds. Editors write a file in a few.
pub const SETTLE_MS: u64 = 100;

/// A pause is at least this many times as long as the look before it took.
const SHARE: u64 = 200;

/// The longest pause, in milliseconds, however slow the disk is.
const PAUSE_MAX_MS: u64 = 10_000;

/// Says why a plan cannot be served, if it cannot.
pub type Refuses = dyn Fn(&Plan) -> Option<String> + Send;

/// What files are checked against.
pub struct Checker {
    /// The steps of the moment: when a plugin changed, every file is checked anew.
    pub steps: Steps,
    /// Of the configuration.
    pub vars: JsonMap,
    /// A reason why a plan without mistakes cannot be served here.
    pub refuses: Box<Refuses>,
}

/// The files of the workflows folder, as they were last seen.
pub struct Files {
    roots: Vec<PathBuf>,
    checker: Checker,
    known: BTreeMap<PathBuf, Known>,
    /// What looked different at the last look: the stamp it had, None for a file that was not there.
    unsettled: HashMap<PathBuf, Option<Stamp>>,
    /// What is wrong with the folder itself.
    searching: Vec<Diagnostic>,
    /// Files that claim a name which another one serves.
    duplicates: Vec<Diagnostic>,
    /// Calls of workflows that are not there.
    calls: Vec<Diagnostic>,
}

struct Known {
    file: CheckedFile,
    /// What it was checked against.
    catalog: Arc<Catalog>,
    /// What of this file is served: its plan, or one of an earlier version.
    served: Option<Arc<Plan>>,
}

/// What a look brought.
#[derive(Debug, Default)]
pub struct Look {
    /// What is to be served now; None if nothing changed.
    pub served: Option<Served>,
    /// Something looks different and is to be looked at again soon.
    pub unsettled: bool,
}

/// Looks until the daemon stops.
pub async fn watch(mut files: Files, live: Live, clock: Arc<dyn Clock>, mut stopping: watch::Receiver<bool>) {
    let mut pause_ms = PAUSE_MS;
    let mut steps = files.checker.steps.subscribe();
    loop {
        tokio::select! {
            () = clock.pause(pause_ms) => {}
            // `files` holds what says so, and it is here.
            Ok(()) = steps.changed() => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        let looked = tokio::task::spawn_blocking(move || {
            let watch = stopwatch();
            let look = files.look();
            (files, look, watch.elapsed().as_millis() as u64)
        });
        let Ok((back, look, took_ms)) = looked.await else {
            tracing::error!("the workflows folder is no longer looked at: a look panicked; restart to see changes");
            return;
        };
        files = back;
        pause_ms = if look.unsettled { SETTLE_MS } else { (took_ms * SHARE).clamp(PAUSE_MS, PAUSE_MAX_MS) };
        if let Some(served) = look.served {
            live.publish(served);
        }
    }
}

impl Files {
    /// `folder` is what the start found at `roots`, checked against `catalog`.
    pub fn new(roots: Vec<PathBuf>, folder: &Folder, catalog: Arc<Catalog>, checker: Checker) -> Self {
        let plans: HashSet<*const Plan> = folder.plans.iter().map(Arc::as_ptr).collect();
        let known = folder.files.iter().map(|file| {
            let served = file.plan.clone().filter(|plan| plans.contains(&Arc::as_ptr(plan)));
            (file.path.clone(), Known { file: file.clone(), catalog: catalog.clone(), served })
        });
        let known = known.collect();
        Self {
            roots,
            checker,
            known,
            unsettled: HashMap::new(),
            searching: Vec::new(),
            duplicates: Vec::new(),
            calls: Vec::new(),
        }
    }

    /// Looks at every file and reads those that have changed and settled, or were checked against other steps.
    pub fn look(&mut self) -> Look {
        let found = find(&self.roots);
        let catalog = self.checker.steps.now().catalog.clone();
        let mut unsettled = HashMap::new();
        let mut changed = Vec::new();
        for (path, stamp) in &found.files {
            let known = self.known.get(path).filter(|known| known.file.stamp == *stamp);
            if known.is_some_and(|known| Arc::ptr_eq(&known.catalog, &catalog)) {
                continue;
            }
            if known.is_some() || self.unsettled.get(path) == Some(&Some(*stamp)) {
                changed.push((path.clone(), *stamp));
            } else {
                unsettled.insert(path.clone(), Some(*stamp));
            }
        }
        let there: HashSet<&Path> = found.files.iter().map(|(path, _)| &**path).collect();
        let unknown = |path: &Path| found.unreadable.iter().any(|folder| path.starts_with(folder));
        let mut gone = Vec::new();
        for path in self.known.keys().filter(|path| !there.contains(&***path) && !unknown(path)) {
            if self.unsettled.get(path) == Some(&None) {
                gone.push(path.clone());
            } else {
                unsettled.insert(path.clone(), None);
            }
        }
        let elsewhere = found.diagnostics != self.searching;
        if elsewhere && !found.diagnostics.is_empty() {
            tracing::warn!("{}", render::human(&found.diagnostics, &[], false).trim_end());
        }
        self.searching = found.diagnostics;
        let any = !changed.is_empty() || !gone.is_empty() || elsewhere;
        for path in gone {
            self.known.remove(&path);
        }
        let checked = CheckedFile::check_all(&changed, &catalog, &self.checker.vars);
        for (file, source) in checked {
            if Stamp::read(&file.path) != Some(file.stamp) {
                // It changed while it was read: what was read may be half of it.
                unsettled.insert(file.path.clone(), None);
                continue;
            }
            self.take(file, source, &catalog);
        }
        self.unsettled = unsettled;
        Look { served: any.then(|| self.served()), unsettled: !self.unsettled.is_empty() }
    }

    /// A new version of a file, or a new file.
    fn take(&mut self, mut file: CheckedFile, source: Option<Source>, catalog: &Arc<Catalog>) {
        if let Some(reason) = file.plan.as_ref().and_then(|plan| (self.checker.refuses)(plan)) {
            file.plan = None;
            file.diagnostics.push(Diagnostic::of_file(file.path.display().to_string(), "unconfigured", reason));
        }
        let before = self.known.remove(&file.path);
        let served = before.as_ref().and_then(|known| known.served.clone());
        if !file.diagnostics.is_empty() && before.is_none_or(|known| known.file.diagnostics != file.diagnostics) {
            let drawn = render::human(&file.diagnostics, source.as_slice(), false);
            let broken = file.diagnostics.iter().any(|found| found.severity == Severity::Error);
            match &served {
                Some(plan) if broken => {
                    tracing::error!(workflow = %plan.name, "what the file says is not served, the last good version still is:\n{}", drawn.trim_end());
                }
                _ => tracing::warn!("{}", drawn.trim_end()),
            }
        }
        self.known.insert(file.path.clone(), Known { file, catalog: catalog.clone(), served });
    }

    /// Decides which file serves which name.
    fn served(&mut self) -> Served {
        let mut claims: Vec<(&PathBuf, &mut Known)> = self.known.iter_mut().collect();
        // Those that serve their name already come first; the sort keeps the order of paths among the others.
        claims.sort_by_key(|(_, known)| match (&known.file.plan, &known.served) {
            (Some(plan), Some(served)) => plan.name != served.name,
            _ => true,
        });
        let files: Vec<_> = claims.iter().map(|(_, known)| known.file.clone()).collect();
        let calls = calls_of(&files, &|file| Source::read(Path::new(file)).ok());
        let in_vain: HashSet<&str> = calls.iter().map(|found| found.file.as_str()).collect();
        let mut names: HashMap<Arc<str>, &Path> = HashMap::new();
        let mut workflows = Vec::new();
        let mut duplicates = Vec::new();
        let mut behind = Vec::new();
        for (path, known) in claims {
            // A version that calls in vain is not served anew; one that is served stays, whoever else went away.
            let serves = |plan: &Arc<Plan>| known.served.as_ref().is_some_and(|served| served.digest == plan.digest);
            let calls_in_vain = in_vain.contains(&*path.display().to_string());
            let claimed = known.file.plan.clone().filter(|plan| !calls_in_vain || serves(plan));
            let holder = claimed.as_ref().and_then(|plan| names.get(&plan.name).copied());
            match (claimed, holder) {
                (Some(plan), None) => {
                    if known.served.as_ref().is_none_or(|served| served.digest != plan.digest) {
                        tracing::info!(workflow = %plan.name, file = %path.display(), digest = %plan.digest, "served from now on");
                    }
                    names.insert(plan.name.clone(), path);
                    known.served = Some(plan.clone());
                    workflows.push(workflow(plan, path, false));
                }
                (Some(plan), Some(holder)) => {
                    duplicates.push(known.file.duplicate(&plan.name, &holder.display().to_string()));
                    behind.push((path, known));
                }
                (None, _) => behind.push((path, known)),
            }
        }
        for (path, known) in behind {
            match known.served.take().filter(|plan| !names.contains_key(&plan.name)) {
                Some(plan) => {
                    names.insert(plan.name.clone(), path);
                    known.served = Some(plan.clone());
                    workflows.push(workflow(plan, path, true));
                }
                // Whoever has the name now serves it.
                None => known.served = None,
            }
        }
        let mut problems = self.searching.clone();
        problems.extend(self.known.values().flat_map(|known| known.file.diagnostics.iter().cloned()));
        problems.extend(duplicates.iter().cloned());
        let news = calls.iter().filter(|found| !self.calls.contains(found));
        news.for_each(|found| tracing::warn!("{}: {}", found.file, found.message));
        problems.extend(calls.iter().cloned());
        self.calls = calls;
        for duplicate in duplicates.iter().filter(|duplicate| !self.duplicates.contains(duplicate)) {
            tracing::warn!("{}: {}", duplicate.file, duplicate.message);
        }
        self.duplicates = duplicates;
        Served::new(workflows, problems)
    }
}

fn workflow(plan: Arc<Plan>, path: &Path, stale: bool) -> ServedWorkflow {
    ServedWorkflow { plan, file: path.display().to_string().into(), stale }
}

#[cfg(test)]
mod tests;
