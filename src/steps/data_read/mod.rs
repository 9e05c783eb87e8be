//! `data.read`: rows of a CSV or JSON file beside the workflow or of the web, read as they are taken.

mod metered;
mod rows;
mod web;
#[cfg(test)]
mod web_tests;

use std::fs::File;
use std::path::{Path, PathBuf};

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use tokio::sync::mpsc;

use self::rows::{Format, RowsError};
use super::credentials::hide;
use super::http::Web;
use super::{field, permanent as failed, spec};
use crate::base::{Effect, Json, limits};
use crate::engine::ports::{Outcome, Rows, Step, StepCall, StepError};
use crate::lang::StepSpec;
use crate::lang::catalog::FieldKind;

/// Rows that are read ahead of whoever takes them.
const AHEAD: usize = 64;

pub struct DataRead {
    spec: StepSpec,
    /// The workflows folder, which a path may not leave.
    root: PathBuf,
    web: Web,
}

impl DataRead {
    pub fn new(root: PathBuf, web: Web) -> Self {
        let fields = vec![
            field("path", FieldKind::Source, false, "relative to the workflow file, inside the workflows folder"),
            field("url", FieldKind::Source, false, "http or https, instead of a path"),
            field(
                "format",
                FieldKind::OneOf(&["csv", "json", "ndjson"]),
                false,
                "if neither ending nor content type say it",
            ),
            field("headers", FieldKind::Any, false, "of the request for a url"),
            field("auth", FieldKind::Text, false, "one of credentials, for a url"),
        ];
        let summary =
            "the rows of a file or a url: a CSV's as mappings of its header, a JSON list's or NDJSON's as they are";
        Self { spec: spec("data.read", summary, Effect::Idempotent, fields), root, web }
    }
}

impl Step for DataRead {
    fn spec(&self) -> &StepSpec {
        &self.spec
    }

    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>> {
        async move {
            let given = |name: &str| call.input.get(name).is_some_and(|value| !value.is_null());
            match (given("path"), given("url")) {
                (true, false) => Ok(Outcome::Rows(rows_of(self.root.clone(), call))),
                (false, true) => web_rows(web::open(&self.web, &call).await?).map(Outcome::Rows),
                _ => Err(failed("data.invalid", "with: give one of `path` and `url`")),
            }
        }
        .boxed()
    }
}

/// The file's rows.
fn rows_of(root: PathBuf, call: StepCall) -> Rows {
    on_a_thread((), move |sink| read(&root, &call, sink))
}

/// The rows of an answer.
fn web_rows(web::Source { name, format, reader, secrets, pump }: web::Source) -> Result<Rows, StepError> {
    Ok(on_a_thread(pump, move |sink| {
        let mut masked = |mut row: Json| {
            if !secrets.is_empty() {
                hide(&mut row, &secrets);
            }
            sink(row)
        };
        rows::read(format, reader, &mut masked).map_err(|error| unread(&name, error))
    }))
}

/// What `read` gives to its sink. It works on a thread of its own, which waits for whoever takes the rows; `kept` is dropped
/// with them.
fn on_a_thread(
    kept: impl Send + 'static,
    read: impl FnOnce(&mut dyn FnMut(Json) -> bool) -> Result<(), StepError> + Send + 'static,
) -> Rows {
    let (sender, rows) = mpsc::channel(AHEAD);
    let reader = tokio::task::spawn_blocking(move || read(&mut |row| sender.blocking_send(row).is_ok()));
    let rows = stream::unfold((rows, Some(reader), kept), |(mut rows, reader, kept)| async move {
        if let Some(row) = rows.recv().await {
            return Some((Ok(row), (rows, reader, kept)));
        }
        // Only the reader itself can say that this is all.
        match reader?.await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some((Err(error), (rows, None, kept))),
            Err(error) => Some((Err(failed("data.read", error.to_string())), (rows, None, kept))),
        }
    });
    Rows(rows.boxed())
}

fn read(root: &Path, call: &StepCall, sink: &mut dyn FnMut(Json) -> bool) -> Result<(), StepError> {
    let name = call.input["path"].as_str().unwrap_or_default();
    let format = format(name, call.input["format"].as_str()).map_err(|message| failed("data.format", message))?;
    let path = inside(root, &call.workflow.folder, name)?;
    rows::read(format, open(&path, name)?, sink).map_err(|error| unread(name, error))
}

/// Why there are no (more) rows of `name`.
fn unread(name: &str, error: RowsError) -> StepError {
    match error {
        RowsError::Io(error) => {
            web::broken(&error).unwrap_or_else(|| failed("data.unreadable", format!("{name}: {error}")))
        }
        RowsError::TooLarge => too_large(name),
        RowsError::Malformed(message) => failed("data.malformed", format!("{name}: {message}")),
    }
}

fn too_large(name: &str) -> StepError {
    failed("data.too_large", format!("{name}: larger than the {} bytes that are read", limits::DATA_FILE))
}

fn format(name: &str, given: Option<&str>) -> Result<Format, String> {
    let ending = Path::new(name).extension().and_then(|ending| ending.to_str());
    given
        .or(ending)
        .and_then(Format::of)
        .ok_or_else(|| format!("{name}: the ending does not say the format; add `format: csv`, `json` or `ndjson`"))
}

/// The real path of `name`, if it is inside the workflows folder (or, for a workflow that lives elsewhere, its own).
fn inside(root: &Path, folder: &Path, name: &str) -> Result<PathBuf, StepError> {
    let io = |error: std::io::Error| failed("data.unreadable", format!("{name}: {error}"));
    let root =
        root.canonicalize().ok().filter(|root| folder.canonicalize().is_ok_and(|folder| folder.starts_with(root)));
    let root = match root {
        Some(root) => root,
        None => folder.canonicalize().map_err(io)?,
    };
    // Links are followed first, so that one that leads outside is outside.
    let path = folder.join(name).canonicalize().map_err(io)?;
    if !path.starts_with(&root) {
        return Err(failed("data.outside", format!("{name}: a path may not leave the workflows folder")));
    }
    Ok(path)
}

fn open(path: &Path, name: &str) -> Result<File, StepError> {
    let io = |error: std::io::Error| failed("data.unreadable", format!("{name}: {error}"));
    // Before it is opened: opening a pipe would wait for its other end.
    let metadata = std::fs::metadata(path).map_err(io)?;
    if !metadata.is_file() {
        return Err(failed("data.unreadable", format!("{name}: it is no regular file")));
    }
    if metadata.len() > limits::DATA_FILE {
        return Err(too_large(name));
    }
    File::open(path).map_err(io)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::steps::testing::call;
    use serde_json::json;

    fn reading(folder: &Path, input: Json) -> Rows {
        let mut call = call(input);
        Arc::get_mut(&mut call.workflow).unwrap().folder = folder.to_path_buf();
        rows_of(folder.to_path_buf(), call)
    }

    #[tokio::test]
    async fn rows_come_one_by_one_and_a_failure_ends_them() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("people.csv"), "name\nAna\nBo\n").unwrap();
        std::fs::write(folder.path().join("bad.data"), "1\n2\n{").unwrap();
        let Rows(rows) = reading(folder.path(), json!({"path": "people.csv"}));
        let rows: Vec<_> = rows.collect().await;
        assert_eq!(rows, [Ok(json!({"name": "Ana"})), Ok(json!({"name": "Bo"}))]);
        let Rows(rows) = reading(folder.path(), json!({"path": "bad.data", "format": "ndjson"}));
        let rows: Vec<_> = rows.collect().await;
        assert_eq!(rows[..2], [Ok(json!(1)), Ok(json!(2))]);
        assert!(matches!(&rows[2..], [Err(StepError::Permanent(failure))]
            if failure.code == "data.malformed" && failure.message.contains("line 3")));
        for (input, code) in [
            (json!({"path": "none.csv"}), "data.unreadable"),
            (json!({"path": ".", "format": "csv"}), "data.unreadable"),
            (json!({"path": "bad.data"}), "data.format"),
            (json!({"path": "../x.csv"}), "data.unreadable"),
        ] {
            let Rows(mut rows) = reading(folder.path(), input);
            assert!(matches!(rows.next().await, Some(Err(StepError::Permanent(failure))) if failure.code == code));
            assert!(rows.next().await.is_none());
        }
    }

    #[test]
    fn a_path_may_not_leave_the_folder() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("workflows");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::write(outer.path().join("secret.csv"), "a\n1\n").unwrap();
        std::fs::write(root.join("ok.csv"), "a\n1\n").unwrap();
        std::os::unix::fs::symlink(outer.path().join("secret.csv"), root.join("link.csv")).unwrap();
        let folder = root.join("sub");
        assert!(inside(&root, &folder, "../ok.csv").is_ok());
        for name in ["../../secret.csv", "../link.csv", "/etc/passwd"] {
            let error = inside(&root, &folder, name).unwrap_err();
            assert!(
                matches!(&error, StepError::Permanent(failure) if failure.code == "data.outside"),
                "{name}: {error:?}"
            );
        }
        assert!(
            matches!(inside(&root, &folder, "none.csv"), Err(StepError::Permanent(f)) if f.code == "data.unreadable")
        );
    }
}
