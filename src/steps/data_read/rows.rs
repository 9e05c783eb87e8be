//! A file's rows, one after the other: never more than one of them in memory.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, BufRead, BufReader, Cursor, Read};

use serde::Deserializer as _;
use serde::de::{Error as _, SeqAccess, Visitor};

use super::metered::{Allowance, Metered, Over};
use crate::base::Json;
use crate::base::json::JsonMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    Json,
    Ndjson,
}

impl Format {
    /// By the word of `format`, or the ending of a name.
    pub fn of(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            _ => None,
        }
    }
}

/// Why a file has no (more) rows.
#[derive(Debug)]
pub enum RowsError {
    Io(io::Error),
    TooLarge,
    /// Where and what.
    Malformed(String),
}

/// Gives each row to `sink`, until that says false: nobody wants more.
pub fn read(format: Format, file: impl Read, sink: &mut dyn FnMut(Json) -> bool) -> Result<(), RowsError> {
    let (metered, row) = Metered::new(without_mark(file).map_err(RowsError::Io)?);
    match format {
        Format::Csv => csv(metered, &row, sink),
        Format::Json => json(metered, &row, sink),
        Format::Ndjson => ndjson(metered, &row, sink),
    }
}

/// Some programs begin a text file with a mark of its byte order.
fn without_mark(mut file: impl Read) -> io::Result<impl Read> {
    let mut start = Vec::with_capacity(3);
    file.by_ref().take(3).read_to_end(&mut start)?;
    if start == b"\xef\xbb\xbf" {
        start.clear();
    }
    Ok(Cursor::new(start).chain(file))
}

fn malformed(place: &str, error: impl fmt::Display) -> RowsError {
    RowsError::Malformed(format!("{place}: {error}"))
}

/// A failure of reading, at `place`.
fn unread(place: &str, error: io::Error) -> RowsError {
    match Over::of(&error) {
        Some(Over::File) => RowsError::TooLarge,
        Some(over @ Over::Row) => malformed(place, over),
        None => RowsError::Io(error),
    }
}

/// Mappings of header to text; numbers stay text, since `007` and phone numbers must survive.
fn csv(file: impl Read, row: &Allowance, sink: &mut dyn FnMut(Json) -> bool) -> Result<(), RowsError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
    let of_csv = |line: u64, error: csv::Error| match error.into_kind() {
        csv::ErrorKind::Io(error) => unread(&format!("line {line}"), error),
        csv::ErrorKind::Utf8 { pos, .. } => {
            let line = pos.map_or(line, |position| position.line());
            malformed(&format!("line {line}"), "it is no UTF-8 text")
        }
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.map_or(line, |position| position.line());
            malformed(&format!("line {line}"), format!("{len} cells under {expected_len} columns"))
        }
        other => malformed(&format!("line {line}"), format!("{other:?}")),
    };
    let header = reader.headers().cloned().map_err(|error| of_csv(1, error))?;
    let mut seen = BTreeSet::new();
    for name in &header {
        if name.is_empty() {
            return Err(malformed("line 1", "a column has no name"));
        }
        if !seen.insert(name) {
            return Err(malformed("line 1", format!("two columns are called `{name}`")));
        }
    }
    let mut record = csv::StringRecord::new();
    loop {
        row.renew();
        let line = reader.position().line();
        if !reader.read_record(&mut record).map_err(|error| of_csv(line, error))? {
            return Ok(());
        }
        let cells = header.iter().zip(&record);
        let cells: JsonMap = cells.map(|(name, cell)| (name.to_string(), Json::from(cell))).collect();
        if !sink(Json::Object(cells)) {
            return Ok(());
        }
    }
}

fn ndjson(file: impl Read, row: &Allowance, sink: &mut dyn FnMut(Json) -> bool) -> Result<(), RowsError> {
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    for number in 1u64.. {
        row.renew();
        line.clear();
        let place = || format!("line {number}");
        if reader.read_until(b'\n', &mut line).map_err(|error| unread(&place(), error))? == 0 {
            break;
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        // On a line of its own the line that the error names is always the first.
        let value = serde_json::from_slice(text).map_err(|error| malformed(&place(), error))?;
        if !sink(value) {
            break;
        }
    }
    Ok(())
}

fn json(file: impl Read, row: &Allowance, sink: &mut dyn FnMut(Json) -> bool) -> Result<(), RowsError> {
    let mut reader = serde_json::Deserializer::from_reader(BufReader::new(file));
    let (mut count, mut wanted) = (0, true);
    let list = List { row, sink, count: &mut count, wanted: &mut wanted };
    let read = reader.deserialize_seq(list).and_then(|()| reader.end());
    match read {
        Ok(()) => Ok(()),
        Err(_) if !wanted => Ok(()),
        Err(error) if error.is_io() => Err(unread(&format!("row {}", count + 1), error.into())),
        Err(error) => Err(malformed(&format!("row {}", count + 1), error)),
    }
}

struct List<'a> {
    row: &'a Allowance,
    sink: &'a mut dyn FnMut(Json) -> bool,
    count: &'a mut u64,
    wanted: &'a mut bool,
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        self.row.renew();
        while let Some(row) = rows.next_element()? {
            *self.count += 1;
            if !(self.sink)(row) {
                *self.wanted = false;
                return Err(A::Error::custom("nobody wants more"));
            }
            self.row.renew();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits;
    use serde_json::json;

    fn rows(format: Format, file: &[u8]) -> Result<Vec<Json>, String> {
        let mut rows = Vec::new();
        let read = read(format, file, &mut |row| {
            rows.push(row);
            true
        });
        read.map(|()| rows).map_err(|error| match error {
            RowsError::Malformed(what) => what,
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn csv_cells_are_text_by_column() {
        let expected = [json!({"name": "Ana, B.", "phone": "0034600"})];
        for table in [&b"name, phone\n\"Ana, B.\",0034600\n"[..], b"\xef\xbb\xbfname,phone\r\n\"Ana, B.\", 0034600"] {
            assert_eq!(rows(Format::Csv, table).unwrap(), expected);
        }
    }

    #[test]
    fn json_rows_are_as_they_are() {
        let expected = [json!({"a": [1]}), json!("x"), json!(null)];
        assert_eq!(rows(Format::Json, b" [{\"a\": [1]}, \"x\", null]\n").unwrap(), expected);
        assert_eq!(rows(Format::Ndjson, b"{\"a\": [1]}\n\n \"x\"\r\nnull").unwrap(), expected);
        for empty in [rows(Format::Json, b"[]"), rows(Format::Ndjson, b""), rows(Format::Csv, b"a\n")] {
            assert!(empty.unwrap().is_empty());
        }
    }

    #[test]
    fn malformed_files_say_where() {
        for (format, file, expected) in [
            (Format::Csv, &b"a,b\n1,2\n1\n"[..], "line 3: 1 cells under 2 columns"),
            (Format::Csv, b"a,a\n", "line 1: two columns are called `a`"),
            (Format::Csv, b"a,\n", "line 1: a column has no name"),
            (Format::Csv, b"a\n\xff\n", "line 2: it is no UTF-8"),
            (Format::Json, b"{}", "expected a list of rows"),
            (Format::Json, b"[1,\n 2,\n {", "row 3: EOF while parsing an object at line 3"),
            (Format::Json, b"[1] 2", "trailing characters"),
            (Format::Ndjson, b"1\n\n{\n", "line 3: EOF"),
        ] {
            let error = rows(format, file).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_row_without_end_is_refused_before_it_fills_the_memory() {
        let long = "x".repeat(2 * limits::DATA_ROW);
        for (format, file, place) in [
            (Format::Csv, format!("a\n1\n\"{long}"), "line 3"),
            (Format::Json, format!("[1, \"{long}\"]"), "row 2"),
            (Format::Ndjson, format!("1\n\"{long}\""), "line 2"),
        ] {
            let error = rows(format, file.as_bytes()).unwrap_err();
            assert!(error.starts_with(place) && error.contains("longer than"), "{error}");
        }
        // Many rows are no long row.
        let many = "1\n".repeat(limits::DATA_ROW);
        assert_eq!(rows(Format::Ndjson, many.as_bytes()).unwrap().len(), limits::DATA_ROW);
        let many = format!("[1{}]", ",1".repeat(limits::DATA_ROW));
        assert_eq!(rows(Format::Json, many.as_bytes()).unwrap().len(), limits::DATA_ROW + 1);
    }

    #[test]
    fn nothing_is_read_that_nobody_wants() {
        for (format, file) in [(Format::Csv, "a\n1\n2\n"), (Format::Json, "[1, 2]"), (Format::Ndjson, "1\n2\n")] {
            let mut count = 0;
            read(format, file.as_bytes(), &mut |_| {
                count += 1;
                false
            })
            .unwrap();
            assert_eq!(count, 1);
        }
    }
}
