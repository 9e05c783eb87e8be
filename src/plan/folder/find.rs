//! The workflow files of a set of paths, and what tells one version of a file from the next without reading it.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::base::limits;
use crate::lang::Diagnostic;

/// Which version of a file this is: two that are equal have the same content, unless somebody forged them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    /// A file that was put in another's place is another one. 0 where there are no inodes.
    inode: u64,
    /// When it last changed in any way, which a copied time of modification does not hide. 0 where there is no such time.
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let (inode, changed) = {
            use std::os::unix::fs::MetadataExt;
            (metadata.ino(), (metadata.ctime(), metadata.ctime_nsec()))
        };
        #[cfg(not(unix))]
        let (inode, changed) = (0, (0, 0));
        Self { modified: metadata.modified().ok(), bytes: metadata.len(), inode, changed }
    }

    /// Of the file at `path`, links followed; None when it cannot be looked at.
    pub fn read(path: &Path) -> Option<Self> {
        Some(Self::of(&fs::metadata(path).ok()?))
    }
}

/// What a search found.
#[derive(Debug, Default)]
pub struct Found {
    /// Each file once, path by path as they were given, sorted below each.
    pub files: Vec<(PathBuf, Stamp)>,
    /// Folders that are there and cannot be read: whether they hold files is not known.
    pub unreadable: Vec<PathBuf>,
    pub diagnostics: Vec<Diagnostic>,
}

/// Searches `paths`: files are taken as they are, folders are searched for `*.yaml` and `*.yml`, tests (`*.test.yaml`) left
/// out. Costs a look at each folder and one at each file.
pub fn find(paths: &[PathBuf]) -> Found {
    let mut found = Found::default();
    // Two paths may lead to one file or folder: given twice, or by links.
    let mut seen = HashSet::new();
    for path in paths {
        let first = found.files.len();
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => search(path, &metadata, &mut seen, &mut found),
            Ok(metadata) => found.add(path.clone(), &metadata, &mut seen),
            Err(error) => found.unreadable(path, &error),
        }
        found.files[first..].sort_by(|(a, _), (b, _)| a.cmp(b));
    }
    found
}

/// What is the same file under any name.
#[derive(PartialEq, Eq, Hash)]
enum Identity {
    #[cfg(unix)]
    Inode(u64, u64),
    #[cfg(not(unix))]
    Path(PathBuf),
}

fn identity(_path: &Path, _metadata: &Metadata) -> Identity {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        Identity::Inode(_metadata.dev(), _metadata.ino())
    }
    #[cfg(not(unix))]
    Identity::Path(_path.canonicalize().unwrap_or_else(|_| _path.to_path_buf()))
}

impl Found {
    fn add(&mut self, path: PathBuf, metadata: &Metadata, seen: &mut HashSet<Identity>) {
        if seen.insert(identity(&path, metadata)) {
            self.files.push((path, Stamp::of(metadata)));
        }
    }

    fn unreadable(&mut self, path: &Path, error: &std::io::Error) {
        let message = format!("{} cannot be read: {error}", path.display());
        self.diagnostics.push(Diagnostic::of_file(path.display().to_string(), "unreadable", message));
        self.unreadable.push(path.to_path_buf());
    }
}

fn search(root: &Path, metadata: &Metadata, seen: &mut HashSet<Identity>, found: &mut Found) {
    seen.insert(identity(root, metadata));
    // Candidates are looked at in their order, so that of two names of one file the same one is taken every time.
    let mut candidates = Vec::new();
    let mut open = vec![(root.to_path_buf(), 0)];
    while let Some((folder, depth)) = open.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            // It was there a moment ago; what is removed is not there.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && depth > 0 => continue,
            Err(error) => {
                found.unreadable(&folder, &error);
                continue;
            }
        };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let path = entry.path();
            // Only what may be a folder or a workflow is worth a second look.
            if kind.is_file() && !is_workflow_file(&path) {
                continue;
            }
            if kind.is_file() {
                candidates.push(path);
                continue;
            }
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if metadata.is_dir() {
                if depth < limits::FOLDER_DEPTH && seen.insert(identity(&path, &metadata)) {
                    open.push((path, depth + 1));
                }
            } else if metadata.is_file() && is_workflow_file(&path) {
                candidates.push(path);
            }
        }
        if candidates.len() > limits::WORKFLOW_FILES {
            let message = format!("more than {} workflow files", limits::WORKFLOW_FILES);
            found.diagnostics.push(Diagnostic::of_file(root.display().to_string(), "too-many-files", message));
            break;
        }
    }
    candidates.sort();
    for path in candidates {
        if let Ok(metadata) = fs::metadata(&path) {
            found.add(path, &metadata, seen);
        }
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
    fn a_changed_file_has_another_stamp() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("a.yaml");
        let stamp = || find(&[home.path().to_path_buf()]).files[0].1;
        fs::write(&file, "name: a\n").unwrap();
        let first = stamp();
        assert_eq!(stamp(), first);
        assert_eq!(Stamp::read(&file), Some(first));
        fs::write(&file, "name: ab\n").unwrap();
        let second = stamp();
        assert_ne!(second, first);
        // Same length, and put there by a rename, as editors do.
        fs::write(home.path().join("new"), "name: ac\n").unwrap();
        fs::rename(home.path().join("new"), &file).unwrap();
        assert_ne!(stamp(), second);
    }

    #[test]
    fn a_folder_that_is_not_there_is_said_to_be_unreadable() {
        let home = tempfile::tempdir().unwrap();
        let found = find(&[home.path().join("none")]);
        assert_eq!((found.unreadable.len(), found.diagnostics.len(), found.files.len()), (1, 1, 0));
    }
}
