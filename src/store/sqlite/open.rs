//! Opening the file: whose is it, which version made it, who may read it.

use std::fs::{OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};

use super::{SqliteStore, code, is_busy};

/// Every version of the tables there was, oldest first.
pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// `PRAGMA application_id` of our files, set by the first migration.
const APPLICATION_ID: i32 = 0x7272_6563;
/// How long a writer waits for another process before it is [`Unavailable`].
///
/// [`Unavailable`]: crate::store::Unavailable
const PATIENCE: Duration = Duration::from_secs(5);
/// Reading connections.
const READERS: u32 = 4;

/// Why a store was not opened. Nothing in the file was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be created, read or written.
    #[error("cannot use the database {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A directory, a device or the like.
    #[error("cannot use the database {path}: it is not a regular file")]
    NotAFile {
        /// What is no file.
        path: PathBuf,
    },
    /// Something else is in the file.
    #[error(
        "cannot use the database {path}: it is no database of roomreel; move it away, and a new \
         one is made in its place"
    )]
    Foreign {
        /// Whose content it is.
        path: PathBuf,
    },
    /// It holds what this version cannot know.
    #[error(
        "cannot use the database {path}: a newer version of roomreel made it (tables of version \
         {version}, this one knows them up to {known}); run that version, or move the file away \
         to begin without its recordings"
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Version of its tables that is unknown here.
        version: i64,
        /// The newest version that is known here.
        known: i64,
    },
    /// SQLite refused it.
    #[error("cannot use the database {path}: {reason}")]
    Database {
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
}

impl SqliteStore {
    /// Opens the store in this file and brings its tables up to date; makes both
    /// if there is no file. Only the owner can read it.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_within(path, PATIENCE).await
    }

    /// The same with another limit on how long a call waits for a lock.
    pub(crate) async fn open_within(path: &Path, patience: Duration) -> Result<Self, OpenError> {
        let path = private_file(path)?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Full)
            // What a removed recording held, its token above all, is overwritten.
            .pragma("secure_delete", "ON")
            .busy_timeout(patience)
            .disable_statement_logging();
        let began = Instant::now();
        loop {
            match connect(&path, &options, patience).await {
                // SQLite does not wait for the lock that changes the journal mode.
                Err(Refused::Busy(_)) if began.elapsed() < patience => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(Refused::Busy(reason)) => return Err(OpenError::Database { path, reason }),
                Err(Refused::Open(error)) => return Err(error),
                Ok(store) => return Ok(store),
            }
        }
    }
}

/// Why an attempt failed.
enum Refused {
    /// Another one may not.
    Busy(String),
    Open(OpenError),
}

async fn connect(
    path: &Path,
    options: &SqliteConnectOptions,
    patience: Duration,
) -> Result<SqliteStore, Refused> {
    let refused = |error| refused(path, error);
    let mut connection = options.connect().await.map_err(refused)?;
    if !is_ours(&mut connection).await.map_err(refused)? {
        return Err(Refused::Open(OpenError::Foreign { path: path.into() }));
    }
    migrate(&mut connection).await.map_err(|error| match error {
        MigrateError::VersionMissing(version) => {
            let known = MIGRATIONS.iter().map(|m| m.version).max().unwrap_or(0);
            Refused::Open(OpenError::Newer { path: path.into(), version, known })
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => refused(error),
        error => {
            let reason = error.to_string();
            Refused::Open(OpenError::Database { path: path.into(), reason })
        }
    })?;
    connection.close().await.map_err(refused)?;

    // Connections stay open: a file that was moved away is not opened again.
    let pool = |connections| {
        SqlitePoolOptions::new()
            .max_connections(connections)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(2 * patience + Duration::from_secs(1))
    };
    let wal = options.clone().journal_mode(SqliteJournalMode::Wal);
    let write: SqlitePool = pool(1).connect_with(wal).await.map_err(refused)?;
    let query_only = options.clone().pragma("query_only", "ON");
    let read = pool(READERS).connect_with(query_only).await.map_err(refused)?;
    Ok(SqliteStore { write, read })
}

/// True for a file with our mark, and for an empty one.
pub(super) async fn is_ours(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let (id, tables): (i32, i64) = sqlx::query_as(
        "SELECT (SELECT application_id FROM pragma_application_id), \
         (SELECT count(*) FROM sqlite_schema)",
    )
    .fetch_one(connection)
    .await?;
    Ok(id == APPLICATION_ID || (id == 0 && tables == 0))
}

/// All in one transaction: two processes that start at once do not meet, and a
/// version that fails half-way leaves nothing.
async fn migrate(connection: &mut SqliteConnection) -> Result<(), MigrateError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    MIGRATIONS.run_direct(None, &mut *transaction, false).await?;
    Ok(transaction.commit().await?)
}

fn refused(path: &Path, error: sqlx::Error) -> Refused {
    let path = path.to_path_buf();
    match &error {
        error if is_busy(error) => {
            Refused::Busy(format!("another process holds it locked ({error})"))
        }
        // SQLITE_NOTADB
        error if code(error) == Some(26) => Refused::Open(OpenError::Foreign { path }),
        error => Refused::Open(OpenError::Database { path, reason: error.to_string() }),
    }
}

/// Makes the file if it is missing, closes it to others, and gives its absolute
/// path, which SQLite takes for nothing but a path.
///
/// A file that is there is not opened here: closing it would drop the locks of
/// its other connections in this process (<https://www.sqlite.org/howtocorrupt.html>).
fn private_file(path: &Path) -> Result<PathBuf, OpenError> {
    let cannot = |source| OpenError::File { path: path.into(), source };
    let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match new {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let metadata = std::fs::metadata(path).map_err(cannot)?;
            if !metadata.is_file() {
                return Err(OpenError::NotAFile { path: path.into() });
            }
            if metadata.permissions().mode() & 0o077 != 0 {
                std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(cannot)?;
            }
            use rustix::fs::Access;
            rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK)
                .map_err(|e| cannot(e.into()))?;
        }
        Err(error) => return Err(cannot(error)),
    }
    path.canonicalize().map_err(cannot)
}
