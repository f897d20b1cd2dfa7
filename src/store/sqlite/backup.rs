//! A copy of the file while it is in use.

use std::fs::{OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::open::{OpenError, is_ours};

/// How long the copy waits for a writer. It needs no more than a moment between two.
const PATIENCE: Duration = Duration::from_secs(10);

/// Writes what the database `from` holds at one moment into the new file `to`, which only
/// its owner can read. The service may go on using it, whichever version of roomreel it is:
/// nothing in it is changed.
///
/// # Errors
/// [`OpenError`] of either file; `to` must not exist.
pub async fn back_up(from: &Path, to: &Path) -> Result<(), OpenError> {
    let of_file = |path: &Path| {
        let path = path.to_path_buf();
        move |source: io::Error| OpenError::File { path, source }
    };
    std::fs::metadata(from).map_err(of_file(from))?;
    let refused = |error: sqlx::Error| OpenError::Database {
        path: from.to_path_buf(),
        reason: error.to_string(),
    };
    let options = SqliteConnectOptions::new()
        .filename(from)
        .create_if_missing(false)
        .busy_timeout(PATIENCE)
        .disable_statement_logging();
    let mut connection = options.connect().await.map_err(refused)?;
    if !is_ours(&mut connection).await.map_err(refused)? {
        return Err(OpenError::Foreign { path: from.to_path_buf() });
    }
    // SQLite fills an empty file, and leaves its mode as it is.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(of_file(to))?;
    std::fs::set_permissions(to, Permissions::from_mode(0o600)).map_err(of_file(to))?;
    let name = to.to_string_lossy().into_owned();
    let copied = sqlx::query("VACUUM INTO ?").bind(name).execute(&mut connection).await;
    copied.map_err(refused)?;
    let closed = connection.close().await.map_err(refused);
    // On the disk before anybody relies on it.
    std::fs::File::open(to).and_then(|file| file.sync_all()).map_err(of_file(to))?;
    closed
}
