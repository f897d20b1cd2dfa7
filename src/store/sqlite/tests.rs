//! The file: who may open it, and which version made it. What every store
//! promises is tested in `store/tests.rs`.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

fn database() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("roomreel.db");
    (dir, path)
}

/// Runs statements on the file of a store that is closed.
async fn change(path: &std::path::Path, statements: &'static str) {
    let pool = SqlitePool::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    sqlx::raw_sql(statements).execute(&pool).await.unwrap();
    pool.close().await;
}

async fn refusal(path: &std::path::Path) -> String {
    SqliteStore::open(path).await.unwrap_err().to_string()
}

#[tokio::test]
async fn what_a_newer_version_made_is_refused_and_left_alone() {
    let (_dir, path) = database();
    SqliteStore::open(&path).await.unwrap().close().await;
    change(
        &path,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9000, 'of the future', TRUE, x'00', 0); \
         CREATE TABLE of_the_future (x INTEGER);",
    )
    .await;
    let before = std::fs::read(&path).unwrap();
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { version: 9000, .. }), "{error:?}");
    let text = error.to_string();
    for part in [path.to_str().unwrap(), "a newer version of roomreel", "9000", "move the file"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn versions_of_the_tables_are_counted_and_cannot_change_later() {
    let (_dir, path) = database();
    let store = SqliteStore::open(&path).await.unwrap();
    let versions: Vec<(i64, bool)> =
        sqlx::query_as("SELECT version, success FROM _sqlx_migrations ORDER BY version")
            .fetch_all(&store.read)
            .await
            .unwrap();
    let wanted: Vec<_> = open::MIGRATIONS.iter().map(|m| (m.version, true)).collect();
    assert_eq!(versions, wanted);
    assert!(versions.is_sorted_by(|one, next| next.0 == one.0 + 1), "{versions:?}");
    store.close().await;
    // Opening it again makes nothing anew.
    SqliteStore::open(&path).await.unwrap().close().await;
    // A version that was made by other statements than ours is not built upon.
    change(&path, "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1").await;
    let text = refusal(&path).await;
    assert!(text.contains("migration 1"), "{text}");
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_left_alone() {
    let (dir, path) = database();
    std::fs::write(&path, "holiday plans, not a database at all, and longer than a header")
        .unwrap();
    let text = refusal(&path).await;
    assert!(text.contains("no database of roomreel; move it away"), "{text}");
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("holiday plans"));

    std::fs::write(&path, "").unwrap();
    change(&path, "CREATE TABLE theirs (x INTEGER)").await;
    let text = refusal(&path).await;
    assert!(text.contains("no database of roomreel"), "{text}");

    let text = refusal(dir.path()).await;
    assert!(text.contains("not a regular file"), "{text}");
    let text = refusal(&dir.path().join("no/such/place.db")).await;
    assert!(text.contains("cannot use the database"), "{text}");
}

#[tokio::test]
async fn nobody_else_can_read_it() {
    let (dir, path) = database();
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} {mode:o}", entry.path());
    }
    store.close().await;
}

#[tokio::test]
async fn a_writer_of_another_process_is_waited_for_and_then_named() {
    let (_dir, path) = database();
    let patience = std::time::Duration::from_millis(200);
    let store = SqliteStore::open_within(&path, patience).await.unwrap();
    let other = SqliteStore::open_within(&path, patience).await.unwrap();
    let held = other.begin().await.unwrap();
    let Err(Unavailable(why)) = store.begin().await else { panic!("two writers") };
    assert!(why.contains("the database is busy"), "{why}");
    drop(held);
    drop(store.begin().await.unwrap());
    store.close().await;
    let Err(Unavailable(why)) = store.begin().await else { panic!("a closed store") };
    assert!(why.contains("closed"), "{why}");
}
