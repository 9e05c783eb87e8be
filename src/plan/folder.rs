//! A folder of workflow files: found, read, checked, each name once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Plan, check};
use crate::base::json::JsonMap;
use crate::base::limits;
use crate::lang::{Catalog, Diagnostic, Source};

/// What the checker found in a set of files.
#[derive(Clone, Debug, Default)]
pub struct Folder {
    /// Of the files without errors, by name.
    pub plans: Vec<Arc<Plan>>,
    pub diagnostics: Vec<Diagnostic>,
    /// The files that were read.
    pub sources: Vec<Source>,
}

impl Folder {
    /// Checks every workflow file of `paths`; folders are searched for `*.yaml` and `*.yml`, tests (`*.test.yaml`) left out.
    pub fn check(paths: &[PathBuf], catalog: &Catalog, vars: &JsonMap) -> Self {
        let mut folder = Self::default();
        let mut names: BTreeMap<Arc<str>, String> = BTreeMap::new();
        // Two paths may lead to one file: given twice, or by links.
        let mut seen = BTreeSet::new();
        for path in paths {
            for file in folder.files(path) {
                if !seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone())) {
                    continue;
                }
                match Source::read(&file) {
                    Ok(source) => folder.add(source, &file, catalog, vars, &mut names),
                    Err(diagnostic) => folder.diagnostics.push(*diagnostic),
                }
            }
        }
        folder.plans.sort_by(|a, b| a.name.cmp(&b.name));
        folder
    }

    fn add(
        &mut self,
        source: Source,
        file: &Path,
        catalog: &Catalog,
        vars: &JsonMap,
        names: &mut BTreeMap<Arc<str>, String>,
    ) {
        // Absolute, so that a run of tomorrow finds its files wherever the daemon is started.
        let home = file.parent().filter(|home| !home.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let home = std::path::absolute(home).unwrap_or_else(|_| home.to_path_buf());
        let checked = check(&source, &home, catalog, vars);
        self.diagnostics.extend(checked.diagnostics);
        if let Some(plan) = checked.plan {
            match names.get(&plan.name) {
                Some(other) => {
                    let message = format!("the workflow `{}` is already in {other}", plan.name);
                    self.diagnostics.push(Diagnostic::of_file(source.path.clone(), "duplicate-workflow", message));
                }
                None => {
                    names.insert(plan.name.clone(), source.path.clone());
                    self.plans.push(plan);
                }
            }
        }
        self.sources.push(source);
    }

    /// The workflow files at `path`, sorted.
    fn files(&mut self, path: &Path) -> Vec<PathBuf> {
        if path.is_file() {
            return vec![path.to_path_buf()];
        }
        let mut files = Vec::new();
        let mut seen = BTreeSet::new();
        let mut open = vec![(path.to_path_buf(), 0)];
        while let Some((folder, depth)) = open.pop() {
            if !seen.insert(folder.canonicalize().unwrap_or_else(|_| folder.clone())) {
                continue;
            }
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) => {
                    let message = format!("{} cannot be read: {error}", folder.display());
                    self.diagnostics.push(Diagnostic::of_file(folder.display().to_string(), "unreadable", message));
                    continue;
                }
            };
            for entry in entries.flatten() {
                let path = entry.path();
                if path.is_dir() && depth < limits::FOLDER_DEPTH {
                    open.push((path, depth + 1));
                } else if is_workflow_file(&path) && path.is_file() {
                    files.push(path);
                }
            }
            if files.len() > limits::WORKFLOW_FILES {
                let message = format!("more than {} workflow files", limits::WORKFLOW_FILES);
                self.diagnostics.push(Diagnostic::of_file(path.display().to_string(), "too-many-files", message));
                break;
            }
        }
        files.sort();
        files
    }
}

fn is_workflow_file(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"));
    stem.is_some_and(|stem| !stem.starts_with('.') && !stem.ends_with(".test"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_other_files_are_no_workflows() {
        for (name, is) in
            [("a.yaml", true), ("b.yml", true), ("a.test.yaml", false), (".a.yaml", false), ("a.csv", false)]
        {
            assert_eq!(is_workflow_file(Path::new(name)), is, "{name}");
        }
    }

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
}
