//! What an error of SQLite means to the engine.

use crate::engine::ports::StoreError;

/// Primary result codes of SQLite (https://www.sqlite.org/rescode.html).
const CORRUPT: i32 = 11;
const TOOBIG: i32 = 18;
const CONSTRAINT: i32 = 19;
const MISMATCH: i32 = 20;
const NOTADB: i32 = 26;

/// The extended code of a CHECK that failed.
const CHECK: i32 = CONSTRAINT | 1 << 8;

fn code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error().and_then(|error| error.code()?.parse().ok())
}

/// The one CHECK of the schema is that of the guard.
pub fn is_guard(error: &sqlx::Error) -> bool {
    code(error) == Some(CHECK)
}

/// A conflict is only what the request itself brings about every time. The rest may pass by itself or by a person's hand
/// (a full disk); the generic code 1 too, since giving up on it would give up on runs.
pub fn store_error(error: sqlx::Error) -> StoreError {
    let message = error.to_string();
    match code(&error).map(|code| code & 0xff) {
        Some(CORRUPT | NOTADB) => StoreError::Corrupt(message),
        Some(CONSTRAINT | TOOBIG | MISMATCH) => StoreError::Conflict(message),
        Some(_) => StoreError::Unavailable(message),
        None => match error {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
                StoreError::Corrupt(message)
            }
            _ => StoreError::Unavailable(message),
        },
    }
}
