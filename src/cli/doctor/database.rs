//! The database file: whose it is, whether it can be read and written. It is opened for reading only.

use std::fs::OpenOptions;
use std::path::Path;

use super::check::Check;
use crate::engine::ports::{Clock, StoreError};
use crate::store::sqlite::inspect;

pub async fn check(path: &Path, clock: &dyn Clock) -> Check {
    let shown = path.display();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The log stands beside the database, so that the folder must take files too.
    if let Err(error) = tempfile::Builder::new().prefix(".moltrun-doctor").tempfile_in(folder) {
        let detail = format!("{} takes no files: {error}", folder.display());
        return Check::problem("database", detail, "let the daemon's user write there, or set another `database`");
    }
    if !path.exists() {
        return Check::ok("database", format!("{shown} will be created"));
    }
    // Opened as a writer opens it, and nothing is written.
    if let Err(error) = OpenOptions::new().append(true).open(path) {
        let detail = format!("{shown} cannot be written: {error}");
        return Check::problem("database", detail, "let the daemon's user write it");
    }
    match inspect(path, clock.now()).await {
        Ok(found) => {
            let owner = match found.owner {
                Some(pid) => format!("the process {pid} owns it"),
                None => "nobody owns it".to_string(),
            };
            Check::ok("database", format!("{shown} can be read and written; {owner}"))
        }
        Err(StoreError::Corrupt(error)) => {
            Check::problem("database", format!("{shown} is damaged: {error}"), "restore it from a copy")
        }
        Err(error) => Check::problem(
            "database",
            format!("{shown} cannot be read: {error}"),
            "set another `database`, or see what holds it",
        ),
    }
}
