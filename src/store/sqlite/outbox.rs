//! The promises about events and deliveries.

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite};
use uuid::Uuid;

use super::doc::{self, DELIVERY_STATES, get, name};
use super::{SqliteStore, and, at_most, nanos, unavailable};
use crate::job::Occurrence;
use crate::store::{
    Delivery, DeliveryQuery, DeliveryState, Outbox, OutboxEvent, Outcome, Replayed, Unavailable,
};

/// Begins a search for deliveries.
const DELIVERIES: &str = "SELECT d.id, endpoint, attempts, state, due_at, updated_at, \
     last_status, last_error, is_replay, e.id AS event_id, metadata_id, e.recording_id, \
     occurrence, at FROM deliveries d JOIN events e ON e.seq = d.event WHERE TRUE";

fn event(row: &SqliteRow, id: &'static str) -> Result<OutboxEvent, Unavailable> {
    Ok(OutboxEvent {
        id: uuid(row, id)?,
        metadata_id: uuid(row, "metadata_id")?,
        recording_id: doc::id(row, "recording_id")?,
        occurrence: doc::from_json(row, "occurrence")?,
        at: doc::time(row, "at")?,
    })
}

fn uuid(row: &SqliteRow, column: &'static str) -> Result<Uuid, Unavailable> {
    get::<String>(row, column)?.parse().map_err(|_| doc::unreadable(column))
}

fn delivery(row: &SqliteRow) -> Result<Delivery, Unavailable> {
    Ok(Delivery {
        id: get(row, "id")?,
        event: event(row, "event_id")?,
        endpoint: get(row, "endpoint")?,
        attempts: get(row, "attempts")?,
        state: doc::named(row, "state", DELIVERY_STATES)?,
        due_at: doc::time(row, "due_at")?,
        updated_at: doc::time(row, "updated_at")?,
        last_status: get(row, "last_status")?,
        last_error: get(row, "last_error")?,
        is_replay: get(row, "is_replay")?,
    })
}

/// Adds the conditions of the query, for deliveries `d` and their events `e`.
fn conditions(search: &mut QueryBuilder<Sqlite>, query: &DeliveryQuery) {
    and(search, "e.id = ", query.event_id.map(|id| id.to_string()));
    and(search, "d.recording_id = ", query.recording_id.map(|id| id.to_string()));
    and(search, "d.room_id = ", query.room_id.as_ref());
    and(search, "d.name = ", query.name.as_ref());
    and(search, "d.endpoint = ", query.endpoint.as_ref());
    and(search, "d.state = ", query.state.map(|state| name(DELIVERY_STATES, state)));
    and(search, "d.id < ", query.before);
}

impl Outbox for SqliteStore {
    fn new_events(&self, limit: usize) -> BoxFuture<'_, Result<Vec<OutboxEvent>, Unavailable>> {
        Box::pin(async move {
            let rows = sqlx::query(
                "SELECT id, metadata_id, recording_id, occurrence, at FROM events \
                 WHERE fanned_out_at IS NULL ORDER BY seq LIMIT ?",
            )
            .bind(at_most(limit))
            .fetch_all(&self.read)
            .await
            .map_err(unavailable)?;
            rows.iter().map(|row| event(row, "id")).collect()
        })
    }

    fn fan_out(
        &self,
        event: Uuid,
        endpoints: Vec<String>,
        now: DateTime<Utc>,
    ) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let found = sqlx::query(
                "UPDATE events SET fanned_out_at = ? WHERE id = ? AND fanned_out_at IS NULL \
                 RETURNING seq, occurrence",
            )
            .bind(nanos(now))
            .bind(event.to_string())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(unavailable)?;
            let Some(row) = found else { return Ok(()) };
            let occurrence: Occurrence = doc::from_json(&row, "occurrence")?;
            for endpoint in endpoints {
                sqlx::query(
                    "INSERT INTO deliveries (event, recording_id, room_id, name, endpoint, attempts, \
                     state, due_at, updated_at, is_replay) \
                     SELECT e.seq, r.id, r.room_id, ?, ?, 0, 'pending', ?, ?, FALSE \
                     FROM events e JOIN recordings r ON r.id = e.recording_id WHERE e.seq = ?",
                )
                .bind(occurrence.name())
                .bind(endpoint)
                .bind(nanos(now))
                .bind(nanos(now))
                .bind(get::<i64>(&row, "seq")?)
                .execute(&mut *transaction)
                .await
                .map_err(unavailable)?;
            }
            transaction.commit().await.map_err(unavailable)
        })
    }

    fn due(
        &self,
        now: DateTime<Utc>,
        patience: u32,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Delivery>, Unavailable>> {
        Box::pin(async move {
            let mut search = QueryBuilder::new(DELIVERIES);
            search.push(" AND d.state = 'pending'");
            and(&mut search, "d.due_at <= ", Some(nanos(now)));
            search.push(
                " AND NOT EXISTS (SELECT 1 FROM deliveries o WHERE o.state = 'pending' \
                 AND o.recording_id = d.recording_id AND o.endpoint = d.endpoint AND o.id < d.id",
            );
            and(&mut search, "o.attempts < ", Some(patience));
            search.push(") ORDER BY d.id LIMIT ").push_bind(at_most(limit));
            let rows = search.build().fetch_all(&self.read).await.map_err(unavailable)?;
            rows.iter().map(delivery).collect()
        })
    }

    fn next_due(&self) -> BoxFuture<'_, Result<Option<DateTime<Utc>>, Unavailable>> {
        Box::pin(async move {
            let next = sqlx::query(
                "SELECT due_at FROM deliveries WHERE state = 'pending' ORDER BY due_at LIMIT 1",
            )
            .fetch_optional(&self.read)
            .await
            .map_err(unavailable)?;
            next.map(|row| doc::time(&row, "due_at")).transpose()
        })
    }

    fn settle(
        &self,
        delivery: i64,
        outcome: Outcome,
        now: DateTime<Utc>,
    ) -> BoxFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async move {
            let (state, due_at, status, error) = match outcome {
                Outcome::Delivered { status } => {
                    (Some(DeliveryState::Delivered), None, Some(status), None)
                }
                Outcome::Retry { at, status, error } => (None, Some(at), status, Some(error)),
                Outcome::GiveUp { status, error } => {
                    (Some(DeliveryState::Failed), None, status, Some(error))
                }
            };
            let mut transaction = self.begin().await?;
            let settled = sqlx::query(
                "UPDATE deliveries SET attempts = attempts + 1, state = coalesce(?, state), \
                 due_at = coalesce(?, due_at), last_status = ?, last_error = ?, updated_at = ? \
                 WHERE id = ?",
            )
            .bind(state.map(|state| name(DELIVERY_STATES, state)))
            .bind(due_at.map(nanos))
            .bind(status)
            .bind(error)
            .bind(nanos(now))
            .bind(delivery)
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
            transaction.commit().await.map_err(unavailable)?;
            Ok(settled.rows_affected() > 0)
        })
    }

    fn deliveries<'a>(
        &'a self,
        query: &'a DeliveryQuery,
    ) -> BoxFuture<'a, Result<Vec<Delivery>, Unavailable>> {
        Box::pin(async move {
            let mut search = QueryBuilder::new(DELIVERIES);
            conditions(&mut search, query);
            search.push(" ORDER BY d.id DESC LIMIT ").push_bind(at_most(query.limit));
            let rows = search.build().fetch_all(&self.read).await.map_err(unavailable)?;
            rows.iter().map(delivery).collect()
        })
    }

    fn replay<'a>(
        &'a self,
        query: &'a DeliveryQuery,
        now: DateTime<Utc>,
    ) -> BoxFuture<'a, Result<Replayed, Unavailable>> {
        Box::pin(async move {
            // The copies are made oldest first, so that they come in the order of life.
            let mut insert = QueryBuilder::new(
                "INSERT INTO deliveries (event, recording_id, room_id, name, endpoint, attempts, \
                 state, due_at, updated_at, is_replay) \
                 SELECT event, recording_id, room_id, name, endpoint, 0, 'pending', ",
            );
            insert.push_bind(nanos(now)).push(", ").push_bind(nanos(now));
            insert.push(
                ", TRUE FROM (SELECT d.* FROM deliveries d JOIN events e ON e.seq = d.event \
                 WHERE d.state <> 'pending'",
            );
            conditions(&mut insert, query);
            insert.push(" ORDER BY d.id DESC LIMIT ").push_bind(at_most(query.limit));
            insert.push(") ORDER BY id");
            let mut transaction = self.begin().await?;
            let made = insert.build().execute(&mut *transaction).await.map_err(unavailable)?;
            transaction.commit().await.map_err(unavailable)?;
            Ok(usize::try_from(made.rows_affected()).unwrap_or(usize::MAX))
        })
    }

    fn prune(&self, time: DateTime<Utc>) -> BoxFuture<'_, Result<usize, Unavailable>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let pruned =
                sqlx::query("DELETE FROM deliveries WHERE state <> 'pending' AND updated_at < ?")
                    .bind(nanos(time))
                    .execute(&mut *transaction)
                    .await
                    .map_err(unavailable)?;
            sqlx::query(
                "DELETE FROM events WHERE fanned_out_at < ? \
                 AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event = events.seq)",
            )
            .bind(nanos(time))
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
            transaction.commit().await.map_err(unavailable)?;
            Ok(usize::try_from(pruned.rows_affected()).unwrap_or(usize::MAX))
        })
    }
}
