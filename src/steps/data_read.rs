//! `data.read`: rows of a CSV or JSON file beside the workflow.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{field, spec};
use crate::base::json::JsonMap;
use crate::base::{Effect, Json, limits};
use crate::engine::ports::{Failure, Outcome, Step, StepCall, StepError};
use crate::lang::StepSpec;
use crate::lang::catalog::FieldKind;
use crate::lang::file::{FileError, read_bounded};

pub struct DataRead {
    spec: StepSpec,
    /// The workflows folder, which a path may not leave.
    root: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Json,
    Ndjson,
}

impl DataRead {
    pub fn new(root: PathBuf) -> Self {
        let fields = vec![
            field("path", FieldKind::Text, true, "relative to the workflow file, inside the workflows folder"),
            field(
                "format",
                FieldKind::OneOf(&["csv", "json", "ndjson"]),
                false,
                "if the file's ending does not say it",
            ),
        ];
        let summary = "the rows of a file: a CSV's as mappings of its header, a JSON list's or NDJSON's as they are";
        Self { spec: spec("data.read", summary, Effect::Idempotent, fields), root }
    }
}

impl Step for DataRead {
    fn spec(&self) -> &StepSpec {
        &self.spec
    }

    fn run<'a>(&'a self, call: StepCall) -> BoxFuture<'a, Result<Outcome, StepError>> {
        let root = self.root.clone();
        async move {
            let read = tokio::task::spawn_blocking(move || read(&root, &call));
            let rows = read.await.map_err(|error| failed("data.read", error.to_string()))??;
            Ok(Outcome::ok(Json::Array(rows)))
        }
        .boxed()
    }
}

fn failed(code: &str, message: String) -> StepError {
    StepError::Permanent(Failure::new(code, message))
}

fn read(root: &Path, call: &StepCall) -> Result<Vec<Json>, StepError> {
    let name = call.input["path"].as_str().unwrap_or_default();
    let format = format(name, call.input["format"].as_str()).map_err(|message| failed("data.format", message))?;
    let path = inside(root, &call.workflow.folder, name)?;
    let bytes = bounded_file(&path, name)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let rows = match format {
        Format::Csv => csv_rows(bytes),
        Format::Json => json_rows(bytes),
        Format::Ndjson => ndjson_rows(bytes),
    };
    rows.map_err(|message| failed("data.malformed", format!("{name}: {message}")))
}

fn format(name: &str, given: Option<&str>) -> Result<Format, String> {
    let ending = Path::new(name).extension().and_then(|ending| ending.to_str());
    match given.or(ending).map(str::to_ascii_lowercase).as_deref() {
        Some("csv") => Ok(Format::Csv),
        Some("json") => Ok(Format::Json),
        Some("ndjson" | "jsonl") => Ok(Format::Ndjson),
        _ => Err(format!("{name}: the ending does not say the format; add `format: csv`, `json` or `ndjson`")),
    }
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

fn bounded_file(path: &Path, name: &str) -> Result<Vec<u8>, StepError> {
    read_bounded(path, limits::DATA_FILE).map_err(|error| match error {
        FileError::TooLarge(limit) => {
            failed("data.too_large", format!("{name}: larger than the {limit} bytes that are read at once"))
        }
        error => failed("data.unreadable", format!("{name}: {error}")),
    })
}

/// Mappings of header to text; numbers stay text, since `007` and phone numbers must survive.
fn csv_rows(bytes: &[u8]) -> Result<Vec<Json>, String> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
    let header = reader.headers().map_err(|error| error.to_string())?.clone();
    let mut seen = BTreeSet::new();
    for name in &header {
        if name.is_empty() {
            return Err("line 1: a column has no name".to_string());
        }
        if !seen.insert(name) {
            return Err(format!("line 1: two columns are called `{name}`"));
        }
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let cells = header.iter().zip(&record);
        rows.push(Json::Object(cells.map(|(name, cell)| (name.to_string(), Json::from(cell))).collect::<JsonMap>()));
    }
    Ok(rows)
}

fn json_rows(bytes: &[u8]) -> Result<Vec<Json>, String> {
    match serde_json::from_slice(bytes) {
        Ok(Json::Array(rows)) => Ok(rows),
        Ok(_) => Err("a list of rows is needed at the top".to_string()),
        Err(error) => Err(error.to_string()),
    }
}

fn ndjson_rows(bytes: &[u8]) -> Result<Vec<Json>, String> {
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    lines
        .map(|(index, line)| serde_json::from_slice(line).map_err(|error| format!("line {}: {error}", index + 1)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn csv_cells_are_text_by_column() {
        let rows = csv_rows(b"name, phone\n\"Ana, B.\",0034600\n").unwrap();
        assert_eq!(rows, [json!({"name": "Ana, B.", "phone": "0034600"})]);
    }

    #[test]
    fn malformed_tables_say_where() {
        for (table, expected) in [
            (&b"a,b\n1\n"[..], "line: 2"),
            (b"a,a\n", "two columns are called `a`"),
            (b"a,\n", "a column has no name"),
            (b"a\n\xff\n", "UTF-8"),
        ] {
            let error = csv_rows(table).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert!(json_rows(b"{}").unwrap_err().contains("list"));
        assert!(ndjson_rows(b"1\n\n{\n").unwrap_err().starts_with("line 3"));
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
