//! A batch as text and arguments: several statements that SQLite's thread runs in one go, so that a batch costs one way
//! there and back. What many rows hold is passed as one JSON array of small rows; long texts go beside it in one blob,
//! from which the rows name their part, so that they are neither escaped nor parsed.

use serde::Serialize;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, SqliteConnection};

enum Argument {
    Text(String),
    Integer(i64),
}

/// Statements in their order. `$1` is the blob of long texts.
#[derive(Default)]
pub struct Script {
    sql: String,
    arguments: Vec<Argument>,
    texts: Vec<u8>,
}

impl Script {
    /// A statement without arguments.
    pub fn add(&mut self, statement: &str) {
        self.sql.push_str(statement);
        self.sql.push(';');
    }

    /// A statement in which `$rows` is a table of one column `v`, a JSON array each; without rows, no statement.
    pub fn add_rows(&mut self, statement: &str, rows: Rows) {
        self.add_same_rows(&[statement], rows);
    }

    /// The same for several statements over the same rows.
    pub fn add_same_rows(&mut self, statements: &[&str], rows: Rows) {
        if rows.is_empty() {
            return;
        }
        let number = self.argument(Argument::Text(rows.finish()));
        let table = format!("(SELECT value AS v FROM json_each(${number}))");
        for statement in statements {
            self.add(&statement.replace("$rows", &table));
        }
    }

    /// A statement with integers in the places of `$a` and `$b`.
    pub fn add_integers(&mut self, statement: &str, integers: &[i64]) {
        let mut statement = statement.to_string();
        for (name, integer) in ["$a", "$b"].into_iter().zip(integers) {
            let number = self.argument(Argument::Integer(*integer));
            statement = statement.replace(name, &format!("${number}"));
        }
        self.add(&statement);
    }

    /// Takes a long text.
    pub fn text(&mut self, text: &[u8]) -> Part {
        let first = self.texts.len() + 1;
        self.texts.extend_from_slice(text);
        Part { first, length: text.len() }
    }

    /// Takes a value that is stored as JSON text.
    pub fn json(&mut self, value: &(impl Serialize + ?Sized)) -> serde_json::Result<Part> {
        let start = self.texts.len();
        serde_json::to_writer(&mut self.texts, value)?;
        Ok(Part { first: start + 1, length: self.texts.len() - start })
    }

    fn argument(&mut self, argument: Argument) -> usize {
        self.arguments.push(argument);
        self.arguments.len() + 1
    }

    /// Runs it up to its end or its first error, and gives the rows that its statements returned.
    pub async fn run(self, connection: &mut SqliteConnection) -> sqlx::Result<Vec<SqliteRow>> {
        let mut arguments = SqliteArguments::default();
        arguments.add(self.texts).map_err(sqlx::Error::Encode)?;
        for argument in self.arguments {
            match argument {
                Argument::Text(text) => arguments.add(text),
                Argument::Integer(integer) => arguments.add(integer),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        sqlx::query_with(AssertSqlSafe(self.sql), arguments).fetch_all(connection).await
    }
}

/// Where a text stands in the blob, as `substr` counts: its first byte, from 1, and its length.
#[derive(Clone, Copy)]
pub struct Part {
    pub first: usize,
    pub length: usize,
}

/// A JSON array of rows, as text.
#[derive(Default)]
pub struct Rows(Vec<u8>);

impl Rows {
    /// `row` is a tuple.
    pub fn push(&mut self, row: &impl Serialize) -> serde_json::Result<()> {
        self.0.push(if self.0.is_empty() { b'[' } else { b',' });
        serde_json::to_writer(&mut self.0, row)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn finish(mut self) -> String {
        self.0.push(b']');
        // What serde_json writes is UTF-8.
        String::from_utf8(self.0).unwrap_or_default()
    }
}
