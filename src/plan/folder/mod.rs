//! A folder of workflow files: found, read, checked, each name once.
//!
//! Files are independent of each other until their names are compared, so they are checked on all cores.

mod find;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use self::find::{Found, Stamp, find};

use super::{Plan, check, check_calls, hooks};
use crate::base::json::JsonMap;
use crate::lang::{Catalog, Diagnostic, Source};

/// What the checker found in a set of files.
#[derive(Clone, Debug, Default)]
pub struct Folder {
    /// Of the files without errors, by name.
    pub plans: Vec<Arc<Plan>>,
    pub diagnostics: Vec<Diagnostic>,
    /// The files that were read.
    pub sources: Vec<Source>,
    /// Every file by itself.
    pub files: Vec<CheckedFile>,
}

/// One workflow file, checked alone: whether another has its name is not its business.
#[derive(Clone, Debug)]
pub struct CheckedFile {
    pub path: PathBuf,
    /// From before it was read: a change in between makes it look changed.
    pub stamp: Stamp,
    /// The workflow's, as far as the file says one.
    pub name: Option<String>,
    /// None when there are errors.
    pub plan: Option<Arc<Plan>>,
    pub diagnostics: Vec<Diagnostic>,
}

/// Files a thread must have to be worth starting: checking one takes about as long as starting a thread.
const FILES_A_THREAD: usize = 16;

impl Folder {
    /// Checks every workflow file of `paths`; folders are searched for `*.yaml` and `*.yml`, tests (`*.test.yaml`) left out.
    pub fn check(paths: &[PathBuf], catalog: &Catalog, vars: &JsonMap) -> Self {
        let found = find(paths);
        let mut folder = Self { diagnostics: found.diagnostics, ..Self::default() };
        let mut names: BTreeMap<Arc<str>, String> = BTreeMap::new();
        for (file, source) in CheckedFile::check_all(&found.files, catalog, vars) {
            folder.diagnostics.extend(file.diagnostics.iter().cloned());
            if let Some(plan) = &file.plan {
                match names.get(&plan.name) {
                    Some(other) => folder.diagnostics.push(file.duplicate(&plan.name, other)),
                    None => {
                        names.insert(plan.name.clone(), file.path.display().to_string());
                        folder.plans.push(plan.clone());
                    }
                }
            }
            folder.sources.extend(source);
            folder.files.push(file);
        }
        // One file alone says nothing of the workflows beside it.
        if paths.iter().all(|path| path.is_dir()) {
            folder.check_calls();
        }
        folder.plans.sort_by(|a, b| a.name.cmp(&b.name));
        folder
    }

    /// What workflows call must be there. One that calls in vain is not served.
    fn check_calls(&mut self) {
        let found = calls_of(&self.files, &|file| self.sources.iter().find(|source| source.path == file).cloned());
        for file in &mut self.files {
            let path = file.path.display().to_string();
            if let Some(plan) = &file.plan
                && found.iter().any(|diagnostic| diagnostic.file == path)
            {
                self.plans.retain(|other| !Arc::ptr_eq(plan, other));
            }
        }
        self.diagnostics.extend(found);
    }
}

/// What is wrong between the workflows of `files`: what they start of each other, and the paths they share.
pub fn calls_of(files: &[CheckedFile], source: &dyn Fn(&str) -> Option<Source>) -> Vec<Diagnostic> {
    let named: Vec<_> =
        files.iter().filter_map(|file| Some((file.path.display().to_string(), file.plan.as_ref()?))).collect();
    let plans: Vec<_> = named.iter().map(|(file, plan)| (file.as_str(), &***plan)).collect();
    let broken = files.iter().filter(|file| file.plan.is_none()).filter_map(|file| file.name.clone()).collect();
    let mut found = check_calls(&plans, &broken, source);
    found.extend(hooks::shared_paths(&plans, source));
    found
}

impl CheckedFile {
    /// Reads and checks one file; the text is there if it could be read.
    pub fn check(path: &Path, stamp: Stamp, catalog: &Catalog, vars: &JsonMap) -> (Self, Option<Source>) {
        let checked = |name, plan, diagnostics| Self { path: path.to_path_buf(), stamp, name, plan, diagnostics };
        let source = match Source::read(path) {
            Ok(source) => source,
            Err(diagnostic) => return (checked(None, None, vec![*diagnostic]), None),
        };
        // Absolute, so that a run of tomorrow finds its files wherever the daemon is started.
        let home = path.parent().filter(|home| !home.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let home = std::path::absolute(home).unwrap_or_else(|_| home.to_path_buf());
        let found = check(&source, &home, catalog, vars);
        (checked(found.name, found.plan, found.diagnostics), Some(source))
    }

    /// Checks `files` on as many threads as there are cores; the answers are in their order.
    pub fn check_all(files: &[(PathBuf, Stamp)], catalog: &Catalog, vars: &JsonMap) -> Vec<(Self, Option<Source>)> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = cores.min(files.len() / FILES_A_THREAD);
        let one = |(path, stamp): &(PathBuf, Stamp)| Self::check(path, *stamp, catalog, vars);
        if threads < 2 {
            return files.iter().map(one).collect();
        }
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(file) = files.get(index) else { return done };
                done.push((index, one(file)));
            }
        };
        let mut done = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let mut done = Vec::with_capacity(files.len());
            for worker in workers {
                match worker.join() {
                    Ok(some) => done.extend(some),
                    Err(cause) => std::panic::resume_unwind(cause),
                }
            }
            done
        });
        done.sort_unstable_by_key(|(index, _)| *index);
        done.into_iter().map(|(_, checked)| checked).collect()
    }

    /// What is wrong with this file when the workflow `name` is already in the file `other`.
    pub fn duplicate(&self, name: &str, other: &str) -> Diagnostic {
        let message = format!("the workflow `{name}` is already in {other}");
        Diagnostic::of_file(self.path.display().to_string(), "duplicate-workflow", message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_checked_once_by_whatever_path() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("deep").join("a.yaml");
        std::fs::create_dir(home.path().join("deep")).unwrap();
        std::fs::write(&file, "name: a\n").unwrap();
        std::os::unix::fs::symlink(home.path(), home.path().join("deep").join("loop")).unwrap();
        std::os::unix::fs::symlink(&file, home.path().join("link.yaml")).unwrap();
        let paths = [home.path().to_path_buf(), file.clone(), home.path().join("deep"), home.path().join("link.yaml")];
        let folder = Folder::check(&paths, &Catalog::default(), &JsonMap::new());
        assert_eq!(folder.sources.len(), 1);
    }

    #[test]
    fn many_files_keep_their_order_whoever_checks_them() {
        let home = tempfile::tempdir().unwrap();
        for number in 0..4 * FILES_A_THREAD {
            std::fs::write(home.path().join(format!("w{number:03}.yaml")), "steps: []\n").unwrap();
        }
        let folder = Folder::check(&[home.path().to_path_buf()], &Catalog::default(), &JsonMap::new());
        assert_eq!(folder.files.len(), 4 * FILES_A_THREAD);
        assert!(folder.files.is_sorted_by_key(|file| &file.path));
        assert!(folder.diagnostics.is_sorted_by_key(|diagnostic| &diagnostic.file));
    }
}
