//! A database with many runs, made from one with a few: every row that belongs to a run is copied under new run ids, older than
//! any real one. It reads the tables' own descriptions, so that it follows the store's form.

use std::error::Error;
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection, Executor, Row, SqliteConnection};

/// Runs that are copied; the rest of the database repeats them.
const PATTERNS: usize = 100;

/// Runs of one transaction.
const CHUNK: usize = 20_000;

struct Column {
    name: String,
    kind: String,
    key: bool,
}

/// Copies the oldest runs of the database, which no daemon may have open, until there are about `total`.
pub async fn grow(database: &Path, total: usize) -> Result<usize, Box<dyn Error>> {
    let options = SqliteConnectOptions::new()
        .filename(database)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Off)
        .pragma("cache_size", "-200000");
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let create = format!(
        "CREATE TEMP TABLE pattern AS SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM runs ORDER BY id LIMIT {PATTERNS}"
    );
    connection.execute(sqlx::AssertSqlSafe(create)).await?;
    let patterns: i64 = connection.fetch_one("SELECT count(*) FROM pattern").await?.try_get(0)?;
    let patterns = patterns as usize;
    if patterns == 0 {
        return Err("there is no run to copy".into());
    }
    let statements = statements(&mut connection, patterns).await?;
    let copies = total.div_ceil(patterns);
    let step = (CHUNK / patterns).max(1);
    for from in (0..copies).step_by(step) {
        connection.execute("BEGIN").await?;
        for statement in &statements {
            let to = (from + step).min(copies);
            let query = sqlx::query(sqlx::AssertSqlSafe(statement.clone())).bind(from as i64).bind(to as i64);
            query.execute(&mut connection).await?;
        }
        connection.execute("COMMIT").await?;
    }
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await?;
    connection.close().await?;
    Ok(copies * patterns)
}

/// One statement for each table that holds something of a run.
async fn statements(connection: &mut SqliteConnection, patterns: usize) -> Result<Vec<String>, Box<dyn Error>> {
    let tables = connection.fetch_all("SELECT name FROM sqlite_schema WHERE type = 'table'").await?;
    let mut statements = Vec::new();
    for table in tables {
        let table: String = table.try_get(0)?;
        let columns = columns(connection, &table).await?;
        let run = if table == "runs" { "id" } else { "run" };
        let Some(own) = columns.iter().find(|column| column.name == run) else { continue };
        let copied: Vec<&Column> = columns.iter().filter(|column| !is_assigned(column, own)).collect();
        let names: Vec<String> = copied.iter().map(|column| format!("\"{}\"", column.name)).collect();
        let values: Vec<String> = copied.iter().map(|column| value(column, own, patterns)).collect();
        statements.push(format!(
            "WITH RECURSIVE c(v) AS (SELECT ?1 UNION ALL SELECT v + 1 FROM c WHERE v + 1 < ?2)
            INSERT INTO \"{table}\" ({}) SELECT {} FROM c, pattern p JOIN \"{table}\" t ON t.\"{run}\" = p.id",
            names.join(", "),
            values.join(", "),
        ));
    }
    Ok(statements)
}

async fn columns(connection: &mut SqliteConnection, table: &str) -> Result<Vec<Column>, sqlx::Error> {
    let select = "SELECT name, type, pk FROM pragma_table_info(?)";
    let rows = sqlx::query(select).bind(table).fetch_all(connection).await?;
    let column = |row: &sqlx::sqlite::SqliteRow| {
        Ok(Column { name: row.try_get(0)?, kind: row.try_get(1)?, key: row.try_get::<i64, _>(2)? > 0 })
    };
    rows.iter().map(column).collect()
}

/// A number that SQLite gives each row itself.
fn is_assigned(column: &Column, own: &Column) -> bool {
    column.key && column.kind == "INTEGER" && !own.key && column.name != own.name
}

fn value(column: &Column, own: &Column, patterns: usize) -> String {
    if column.name == own.name {
        // The form of a run id, and before every real one.
        return format!("'01' || printf('%024d', c.v * {patterns} + p.n)");
    }
    if column.key && !own.key && column.kind == "TEXT" {
        // A key of its own, as random as the hash that the real ones end in.
        return format!("t.\"{0}\" || lower(hex(randomblob(16)))", column.name);
    }
    format!("t.\"{}\"", column.name)
}
