//! The promises about rooms.

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::doc::{self, get};
use super::{SqliteStore, at_most, nanos, recordings, unavailable};
use crate::session::{Peer, Presence, RoomEvent, Session, SessionId};
use crate::store::{Attended, Id, Received, Recording, Rooms, Unavailable};

fn maybe_time(row: &SqliteRow, column: &'static str) -> Result<Option<DateTime<Utc>>, Unavailable> {
    Ok(get::<Option<i64>>(row, column)?.map(DateTime::from_timestamp_nanos))
}

fn session(row: &SqliteRow) -> Result<Session, Unavailable> {
    Ok(Session {
        room_id: get(row, "room_id")?,
        id: doc::session_id(row, "id")?,
        room_name: get(row, "room_name")?,
        opened_at: doc::time(row, "opened_at")?,
        opening_told: get(row, "opening_told")?,
        closed_at: maybe_time(row, "closed_at")?,
    })
}

fn peer(row: &SqliteRow) -> Result<Peer, Unavailable> {
    Ok(Peer {
        joined_at: doc::time(row, "known_of")?,
        id: get(row, "id")?,
        name: get(row, "name")?,
        user_id: get(row, "user_id")?,
        metadata: get(row, "metadata")?,
        role: get(row, "role")?,
    })
}

fn presence(row: &SqliteRow) -> Result<Presence, Unavailable> {
    let left = maybe_time(row, "left_at")?.zip(maybe_time(row, "left_of")?);
    Ok(Presence { peer: peer(row)?, joined_at: maybe_time(row, "joined_at")?, left })
}

/// Adds the event to what is known of its session.
async fn merge_session(
    event: &RoomEvent,
    database: &mut SqliteConnection,
) -> Result<(), Unavailable> {
    let known = sqlx::query("SELECT * FROM sessions WHERE room_id = ? AND id = ?")
        .bind(&event.room_id)
        .bind(event.session_id.to_string())
        .fetch_optional(&mut *database)
        .await
        .map_err(unavailable)?;
    let session = match known {
        Some(row) => {
            let mut known = session(&row)?;
            known.take(event);
            known
        }
        None => Session::of(event),
    };
    sqlx::query(
        "INSERT INTO sessions (room_id, id, room_name, opened_at, opening_told, closed_at, \
         hands_off) VALUES (?, ?, ?, ?, ?, ?, FALSE) ON CONFLICT DO UPDATE SET \
         room_name = excluded.room_name, opened_at = excluded.opened_at, \
         opening_told = excluded.opening_told, closed_at = excluded.closed_at",
    )
    .bind(&session.room_id)
    .bind(session.id.to_string())
    .bind(&session.room_name)
    .bind(nanos(session.opened_at))
    .bind(session.opening_told)
    .bind(session.closed_at.map(nanos))
    .execute(&mut *database)
    .await
    .map_err(unavailable)?;
    Ok(())
}

/// Adds the event to what is known of its peer, if it has one.
async fn merge_peer(event: &RoomEvent, database: &mut SqliteConnection) -> Result<(), Unavailable> {
    let Some(told) = Presence::of(event) else { return Ok(()) };
    let known = sqlx::query("SELECT * FROM peers WHERE room_id = ? AND session_id = ? AND id = ?")
        .bind(&event.room_id)
        .bind(event.session_id.to_string())
        .bind(&told.peer.id)
        .fetch_optional(&mut *database)
        .await
        .map_err(unavailable)?;
    let presence = match known {
        Some(row) => {
            let mut known = presence(&row)?;
            known.take(event);
            known
        }
        None => told,
    };
    sqlx::query(
        "INSERT OR REPLACE INTO peers (room_id, session_id, id, known_of, name, user_id, \
         metadata, role, joined_at, left_at, left_of, present) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&event.room_id)
    .bind(event.session_id.to_string())
    .bind(&presence.peer.id)
    .bind(nanos(presence.peer.joined_at))
    .bind(&presence.peer.name)
    .bind(&presence.peer.user_id)
    .bind(&presence.peer.metadata)
    .bind(&presence.peer.role)
    .bind(presence.joined_at.map(nanos))
    .bind(presence.left.map(|(left, _)| nanos(left)))
    .bind(presence.left.map(|(_, of)| nanos(of)))
    .bind(presence.is_present())
    .execute(&mut *database)
    .await
    .map_err(unavailable)?;
    Ok(())
}

impl Rooms for SqliteStore {
    fn take_in<'a>(
        &'a self,
        event: &'a RoomEvent,
        now: DateTime<Utc>,
    ) -> BoxFuture<'a, Result<bool, Unavailable>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let inserted = sqlx::query(
                "INSERT INTO room_events (id, received_at, body) VALUES (?, ?, ?) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(&event.id)
            .bind(nanos(now))
            .bind(doc::json(event)?)
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
            if inserted.rows_affected() == 0 {
                return Ok(false);
            }
            merge_session(event, &mut transaction).await?;
            merge_peer(event, &mut transaction).await?;
            transaction.commit().await.map_err(unavailable)?;
            Ok(true)
        })
    }

    fn unsettled(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Received>, Unavailable>> {
        Box::pin(async move {
            let rows = sqlx::query(
                "SELECT received_at, body FROM room_events WHERE body IS NOT NULL \
                 ORDER BY seq LIMIT ?",
            )
            .bind(at_most(limit))
            .fetch_all(&self.read)
            .await
            .map_err(unavailable)?;
            let received = |row: &SqliteRow| {
                let event = doc::from_json(row, "body")?;
                Ok(Received { event, at: doc::time(row, "received_at")? })
            };
            rows.iter().map(received).collect()
        })
    }

    fn settle_event<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            sqlx::query("UPDATE room_events SET body = NULL WHERE id = ?")
                .bind(id)
                .execute(&mut *transaction)
                .await
                .map_err(unavailable)?;
            transaction.commit().await.map_err(unavailable)
        })
    }

    fn newest_session<'a>(
        &'a self,
        room_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Attended>, Unavailable>> {
        Box::pin(async move {
            // One statement, so that session and peers are of one moment.
            let rows = sqlx::query(
                "SELECT s.*, p.id AS peer_id, p.known_of, p.name, p.user_id, p.metadata, p.role \
                 FROM (SELECT * FROM sessions WHERE room_id = ? \
                 ORDER BY opened_at DESC, id DESC LIMIT 1) s \
                 LEFT JOIN peers p ON p.room_id = s.room_id AND p.session_id = s.id \
                 AND p.present = 1 ORDER BY p.known_of, p.id",
            )
            .bind(room_id)
            .fetch_all(&self.read)
            .await
            .map_err(unavailable)?;
            let Some(first) = rows.first() else { return Ok(None) };
            let mut attended = Attended {
                session: session(first)?,
                hands_off: get(first, "hands_off")?,
                peers: Vec::new(),
            };
            for row in &rows {
                if let Some(id) = get::<Option<String>>(row, "peer_id")? {
                    attended.peers.push(Peer { id, ..peer(row)? });
                }
            }
            Ok(Some(attended))
        })
    }

    fn keep_hands_off<'a>(
        &'a self,
        room_id: &'a str,
        session: &'a SessionId,
    ) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            sqlx::query("UPDATE sessions SET hands_off = TRUE WHERE room_id = ? AND id = ?")
                .bind(room_id)
                .bind(session.to_string())
                .execute(&mut *transaction)
                .await
                .map_err(unavailable)?;
            transaction.commit().await.map_err(unavailable)
        })
    }

    fn adopt_session<'a>(
        &'a self,
        recording: Id,
        session: &'a SessionId,
    ) -> BoxFuture<'a, Result<Option<Recording>, Unavailable>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let found = recordings::by_id(recording, &mut *transaction).await?;
            let Some(mut found) = found else { return Ok(None) };
            if found.session_is_made_up || found.attendance.is_some() {
                if std::mem::take(&mut found.session_is_made_up) {
                    found.session_id = session.clone();
                }
                found.attendance = None;
                sqlx::query("UPDATE recordings SET session_id = ?, doc = ? WHERE id = ?")
                    .bind(found.session_id.to_string())
                    .bind(doc::doc(&found)?)
                    .bind(recording.to_string())
                    .execute(&mut *transaction)
                    .await
                    .map_err(unavailable)?;
                sqlx::query("UPDATE assets SET session_id = ? WHERE recording_id = ?")
                    .bind(found.session_id.to_string())
                    .bind(recording.to_string())
                    .execute(&mut *transaction)
                    .await
                    .map_err(unavailable)?;
                transaction.commit().await.map_err(unavailable)?;
            }
            Ok(Some(found))
        })
    }

    fn forget_rooms(
        &self,
        sessions: DateTime<Utc>,
        events: DateTime<Utc>,
    ) -> BoxFuture<'_, Result<usize, Unavailable>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            // Takes the peers along.
            let forgotten = sqlx::query("DELETE FROM sessions WHERE opened_at < ?")
                .bind(nanos(sessions))
                .execute(&mut *transaction)
                .await
                .map_err(unavailable)?;
            sqlx::query("DELETE FROM room_events WHERE received_at < ? AND body IS NULL")
                .bind(nanos(events))
                .execute(&mut *transaction)
                .await
                .map_err(unavailable)?;
            transaction.commit().await.map_err(unavailable)?;
            Ok(usize::try_from(forgotten.rows_affected()).unwrap_or(usize::MAX))
        })
    }
}
