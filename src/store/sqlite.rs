//! The embedded store: one SQLite file.
//!
//! `http` opens it for the whole service; this is the only place of the crate
//! that names sqlx, together with other stores. It knows the traits and no more:
//! what a step does to a recording is `Recording::take`'s.
//!
//! One connection writes, in transactions that take the write lock at their
//! beginning; a few others read, and never wait for it (write-ahead log). Every
//! read is one statement, so it sees one moment. A commit is on disk when its
//! call is answered (`synchronous = FULL`).

mod backup;
mod doc;
mod open;
mod outbox;
mod recordings;
mod rooms;

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Sqlite, SqlitePool, Transaction};

pub use self::backup::back_up;
pub use self::open::OpenError;
use super::Unavailable;

/// Recordings in a SQLite file. Clones are the same store.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    write: SqlitePool,
    read: SqlitePool,
}

impl SqliteStore {
    /// Waits for the calls under way and lets go of the file; later calls are
    /// [`Unavailable`].
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }

    /// A transaction that nobody else writes beside. Nothing of it is kept
    /// unless it is committed.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, Unavailable> {
        self.write.begin_with("BEGIN IMMEDIATE").await.map_err(unavailable)
    }
}

/// Says what SQLite says: it names tables and columns, never values.
fn unavailable(error: sqlx::Error) -> Unavailable {
    Unavailable(match &error {
        sqlx::Error::PoolTimedOut => "the database is busy: no connection came free in time".into(),
        sqlx::Error::PoolClosed => "the database is closed".into(),
        error if is_busy(error) => format!("the database is busy: {error}"),
        error => error.to_string(),
    })
}

/// The primary result code (<https://www.sqlite.org/rescode.html>).
fn code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?;
    Some(code.parse::<i32>().ok()? & 0xff)
}

/// `SQLITE_BUSY` or `SQLITE_LOCKED`: somebody else has the lock.
fn is_busy(error: &sqlx::Error) -> bool {
    matches!(code(error), Some(5 | 6))
}

/// Nanoseconds since the Unix epoch; times before 1677 and after 2262 become
/// the first and the last of those.
fn nanos(time: DateTime<Utc>) -> i64 {
    let end = if time.timestamp() < 0 { i64::MIN } else { i64::MAX };
    time.timestamp_nanos_opt().unwrap_or(end)
}

/// What a `LIMIT` takes.
fn at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Adds `AND condition value`, if there is a value.
fn and<'q, T>(sql: &mut QueryBuilder<Sqlite>, condition: &str, value: Option<T>)
where
    T: sqlx::Encode<'q, Sqlite> + sqlx::Type<Sqlite>,
{
    if let Some(value) = value {
        sql.push(" AND ").push(condition).push_bind(value);
    }
}

#[cfg(test)]
mod tests;
