//! The promises about recordings and assets.

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection, SqliteExecutor};
use uuid::Uuid;

use super::doc::{self, DELIVERY_STATES, STATES, name};
use super::{SqliteStore, and, at_most, nanos, unavailable};
use crate::job::Occurrence;
use crate::store::{
    AdvanceError, Asset, AssetQuery, Id, InsertError, OwnedAsset, Query, Recording, RemoveError,
    Step, Store, Tally, Unavailable,
};

/// Begins a search for recordings; the caller goes on with conditions, and
/// [`recordings`] ends it.
const SEARCH: &str = "SELECT r.id, beam_id, r.room_id, r.session_id, state, r.created_at, \
     updated_at, doc, a.id AS asset_id, destination, path, size, duration_s, \
     a.created_at AS asset_created_at, width, height, audio_only, failed \
     FROM (SELECT * FROM recordings WHERE TRUE";

/// Begins a search for assets.
const ASSETS: &str = "SELECT recording_id, room_id, session_id, destination, id AS asset_id, \
     path, size, duration_s, created_at AS asset_created_at, width, height, audio_only, failed \
     FROM assets WHERE TRUE";

/// Ends what [`SEARCH`] began. One statement, so that recordings and assets are
/// of one moment.
async fn recordings(
    mut search: QueryBuilder<Sqlite>,
    newest_first: bool,
    limit: i64,
    database: impl SqliteExecutor<'_>,
) -> Result<Vec<Recording>, Unavailable> {
    let order = if newest_first { "DESC" } else { "ASC" };
    search.push(format_args!(" ORDER BY id {order} LIMIT ")).push_bind(limit);
    search.push(") r LEFT JOIN assets a ON a.recording_id = r.id");
    search.push(format_args!(" ORDER BY r.id {order}, a.seq"));
    doc::recordings(&search.build().fetch_all(database).await.map_err(unavailable)?)
}

pub(super) async fn by_id(
    id: Id,
    database: impl SqliteExecutor<'_>,
) -> Result<Option<Recording>, Unavailable> {
    let mut search = QueryBuilder::new(SEARCH);
    and(&mut search, "id = ", Some(id.to_string()));
    Ok(recordings(search, true, 1, database).await?.pop())
}

async fn holder(
    room_id: &str,
    database: impl SqliteExecutor<'_>,
) -> Result<Option<Recording>, Unavailable> {
    let mut search = QueryBuilder::new(SEARCH);
    search.push(" AND holds_room = 1");
    and(&mut search, "room_id = ", Some(room_id));
    Ok(recordings(search, true, 1, database).await?.pop())
}

async fn insert_asset(
    recording: &Recording,
    asset: &Asset,
    database: &mut SqliteConnection,
) -> Result<(), Unavailable> {
    sqlx::query(
        "INSERT INTO assets (id, recording_id, room_id, session_id, destination, path, size, \
         duration_s, created_at, width, height, audio_only, failed) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(asset.id.to_string())
    .bind(recording.id.to_string())
    .bind(&recording.room_id)
    .bind(recording.session_id.to_string())
    .bind(&asset.destination)
    .bind(&asset.path)
    .bind(i64::try_from(asset.size).unwrap_or(i64::MAX))
    // SQLite has no NaN.
    .bind(if asset.duration_s.is_nan() { 0.0 } else { asset.duration_s })
    .bind(nanos(asset.created_at))
    .bind(asset.resolution.width())
    .bind(asset.resolution.height())
    .bind(asset.audio_only)
    .bind(asset.failed)
    .execute(database)
    .await
    .map_err(unavailable)?;
    Ok(())
}

async fn delete_asset(id: Id, database: &mut SqliteConnection) -> Result<(), Unavailable> {
    sqlx::query("DELETE FROM assets WHERE id = ?")
        .bind(id.to_string())
        .execute(database)
        .await
        .map_err(unavailable)?;
    Ok(())
}

async fn insert_event(
    recording: Id,
    occurrence: &Occurrence,
    at: DateTime<Utc>,
    database: &mut SqliteConnection,
) -> Result<(), Unavailable> {
    sqlx::query(
        "INSERT INTO events (id, metadata_id, recording_id, occurrence, at) VALUES (?, ?, ?, ?, ?)",
    )
    .bind(Uuid::new_v4().to_string())
    .bind(Uuid::new_v4().to_string())
    .bind(recording.to_string())
    .bind(doc::json(occurrence)?)
    .bind(nanos(at))
    .execute(database)
    .await
    .map_err(unavailable)?;
    Ok(())
}

async fn owned(
    id: Id,
    database: impl SqliteExecutor<'_>,
) -> Result<Option<OwnedAsset>, Unavailable> {
    let mut search = QueryBuilder::new(ASSETS);
    and(&mut search, "id = ", Some(id.to_string()));
    let row: Option<SqliteRow> =
        search.build().fetch_optional(database).await.map_err(unavailable)?;
    row.as_ref().map(doc::owned).transpose()
}

impl Store for SqliteStore {
    fn insert(&self, recording: Recording) -> BoxFuture<'_, Result<(), InsertError>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let inserted = sqlx::query(
                "INSERT INTO recordings (id, beam_id, room_id, session_id, state, holds_room, \
                 created_at, updated_at, doc) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(recording.id.to_string())
            .bind(recording.beam_id.to_string())
            .bind(&recording.room_id)
            .bind(recording.session_id.to_string())
            .bind(name(STATES, recording.state))
            .bind(recording.state.holds_room())
            .bind(nanos(recording.created_at))
            .bind(nanos(recording.updated_at))
            .bind(doc::doc(&recording)?)
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
            if inserted.rows_affected() == 0 {
                if by_id(recording.id, &mut *transaction).await?.is_some() {
                    return Ok(());
                }
                let holder = holder(&recording.room_id, &mut *transaction).await?;
                let lost = || Unavailable("a new recording was not taken in".into());
                return Err(InsertError::RoomHeld(holder.ok_or_else(lost)?.id));
            }
            for asset in &recording.assets {
                insert_asset(&recording, asset, &mut transaction).await?;
            }
            Ok(transaction.commit().await.map_err(unavailable)?)
        })
    }

    fn advance(
        &self,
        id: Id,
        step: Step,
        now: DateTime<Utc>,
    ) -> BoxFuture<'_, Result<Recording, AdvanceError>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let mut recording =
                by_id(id, &mut *transaction).await?.ok_or(AdvanceError::NotFound)?;
            let had = recording.assets.clone();
            let told = recording.take(step, now)?;
            sqlx::query(
                "UPDATE recordings SET session_id = ?, state = ?, holds_room = ?, updated_at = ?, \
                 doc = ? WHERE id = ?",
            )
            .bind(recording.session_id.to_string())
            .bind(name(STATES, recording.state))
            .bind(recording.state.holds_room())
            .bind(nanos(recording.updated_at))
            .bind(doc::doc(&recording)?)
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
            for asset in had.iter().filter(|asset| !recording.assets.contains(asset)) {
                delete_asset(asset.id, &mut transaction).await?;
            }
            for asset in recording.assets.iter().filter(|asset| !had.contains(asset)) {
                insert_asset(&recording, asset, &mut transaction).await?;
            }
            for occurrence in &told {
                insert_event(id, occurrence, now, &mut transaction).await?;
            }
            transaction.commit().await.map_err(unavailable)?;
            Ok(recording)
        })
    }

    fn get(&self, id: Id) -> BoxFuture<'_, Result<Option<Recording>, Unavailable>> {
        Box::pin(by_id(id, &self.read))
    }

    fn holder<'a>(
        &'a self,
        room_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Recording>, Unavailable>> {
        Box::pin(holder(room_id, &self.read))
    }

    fn list<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Result<Vec<Recording>, Unavailable>> {
        Box::pin(async move {
            let mut search = QueryBuilder::new(SEARCH);
            and(&mut search, "room_id = ", query.room_id.as_ref());
            and(&mut search, "session_id = ", query.session_id.as_ref());
            and(&mut search, "state = ", query.state.map(|state| name(STATES, state)));
            and(&mut search, "id < ", query.before.map(|id| id.to_string()));
            recordings(search, true, at_most(query.limit), &self.read).await
        })
    }

    fn unfinished(&self) -> BoxFuture<'_, Result<Vec<Recording>, Unavailable>> {
        Box::pin(async move {
            let mut search = QueryBuilder::new(SEARCH);
            search.push(" AND state IN (");
            let mut names = search.separated(", ");
            for (_, name) in STATES.iter().filter(|(state, _)| !state.is_final()) {
                names.push_bind(*name);
            }
            search.push(")");
            recordings(search, false, i64::MAX, &self.read).await
        })
    }

    fn tally(&self) -> BoxFuture<'_, Result<Tally, Unavailable>> {
        Box::pin(async move {
            // Kinds of row in one statement, so that they are of one moment.
            let rows = sqlx::query(
                "SELECT 'recording' AS kind, state, COUNT(*) AS count FROM recordings \
                 GROUP BY state \
                 UNION ALL SELECT 'delivery', state, COUNT(*) FROM deliveries GROUP BY state \
                 UNION ALL SELECT 'untold', '', MIN(at) FROM ( \
                     SELECT at FROM events WHERE fanned_out_at IS NULL \
                     UNION ALL SELECT at FROM deliveries d JOIN events e ON e.seq = d.event \
                     WHERE d.state = 'pending')",
            )
            .fetch_all(&self.read)
            .await
            .map_err(unavailable)?;
            let mut tally = Tally::default();
            for row in &rows {
                let count = doc::get::<Option<i64>>(row, "count")?;
                let many = count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
                match doc::get::<&str>(row, "kind")? {
                    "recording" => {
                        tally.recordings.push((doc::named(row, "state", STATES)?, many));
                    }
                    "delivery" => {
                        let state = doc::named(row, "state", DELIVERY_STATES)?;
                        tally.deliveries.push((state, many));
                    }
                    _ => tally.untold_since = count.map(DateTime::from_timestamp_nanos),
                }
            }
            Ok(tally)
        })
    }

    fn remove(&self, id: Id) -> BoxFuture<'_, Result<Recording, RemoveError>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let recording = by_id(id, &mut *transaction).await?.ok_or(RemoveError::NotFound)?;
            if !recording.state.is_final() {
                return Err(RemoveError::Active(recording.state));
            }
            // Takes assets, events and deliveries along.
            sqlx::query("DELETE FROM recordings WHERE id = ?")
                .bind(id.to_string())
                .execute(&mut *transaction)
                .await
                .map_err(unavailable)?;
            transaction.commit().await.map_err(unavailable)?;
            Ok(recording)
        })
    }

    fn assets<'a>(
        &'a self,
        query: &'a AssetQuery,
    ) -> BoxFuture<'a, Result<Vec<OwnedAsset>, Unavailable>> {
        Box::pin(async move {
            let mut search = QueryBuilder::new(ASSETS);
            and(&mut search, "room_id = ", query.room_id.as_ref());
            and(&mut search, "session_id = ", query.session_id.as_ref());
            and(&mut search, "destination = ", query.destination.as_ref());
            and(&mut search, "failed = ", query.failed);
            and(&mut search, "id < ", query.before.map(|id| id.to_string()));
            and(&mut search, "created_at < ", query.made_before.map(nanos));
            search.push(" ORDER BY id DESC LIMIT ").push_bind(at_most(query.limit));
            let rows = search.build().fetch_all(&self.read).await.map_err(unavailable)?;
            rows.iter().map(doc::owned).collect()
        })
    }

    fn asset(&self, id: Id) -> BoxFuture<'_, Result<Option<OwnedAsset>, Unavailable>> {
        Box::pin(async move { owned(id, &self.read).await })
    }

    fn remove_asset(&self, id: Id) -> BoxFuture<'_, Result<Option<OwnedAsset>, Unavailable>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let found = owned(id, &mut *transaction).await?;
            delete_asset(id, &mut transaction).await?;
            transaction.commit().await.map_err(unavailable)?;
            Ok(found)
        })
    }
}
