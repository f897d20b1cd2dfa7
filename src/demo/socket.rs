//! One page's WebSocket, from its join to its end.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::hub::{Hub, Seat};
use super::token;
use super::wire::{FromPage, Join, ToPage};

/// From the opened socket to its join message.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the page's browser is pinged (RFC 6455, 5.5.2).
const PING_EVERY: Duration = Duration::from_secs(2);
/// Without a sign of life for this long a peer is gone. A killed browser closes
/// its socket at once; this is for stopped ones and for lost networks.
const DEAD_AFTER: Duration = Duration::from_secs(6);
/// How long one message may take to leave.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// The socket is of no more use.
struct Gone;

/// Serves one page until it leaves, dies, is put out, or `shutdown`.
pub(super) async fn serve(mut socket: WebSocket, hub: Arc<Hub>, shutdown: CancellationToken) {
    let joined = tokio::select! {
        joined = timeout(JOIN_TIMEOUT, first(&mut socket)) => joined,
        () = shutdown.cancelled() => return,
    };
    let Ok(Some(join)) = joined else { return };
    let seat = token::apply(join, unix_seconds()).and_then(|join| hub.join(&join));
    let code = match seat {
        Ok(mut seat) => match attend(&mut socket, &mut seat, &shutdown).await {
            Ok(code) => code,
            Err(Gone) => return,
        },
        Err(reason) => match send(&mut socket, &ToPage::Refused { reason }).await {
            Ok(()) => close_code::POLICY,
            Err(Gone) => return,
        },
    };
    let close = Message::Close(Some(CloseFrame { code, reason: "".into() }));
    let _ = timeout(SEND_TIMEOUT, socket.send(close)).await;
}

/// The join message; `None` when the page says something else or leaves.
async fn first(socket: &mut WebSocket) -> Option<Join> {
    loop {
        match socket.recv().await?.ok()? {
            Message::Text(text) => match serde_json::from_str(&text).ok()? {
                FromPage::Join(join) => return Some(join),
                _ => return None,
            },
            Message::Ping(_) | Message::Pong(_) => {}
            _ => return None,
        }
    }
}

/// The time in the room; returns the code to close the socket with.
async fn attend(
    socket: &mut WebSocket,
    seat: &mut Seat,
    shutdown: &CancellationToken,
) -> Result<u16, Gone> {
    let mut ping = interval(PING_EVERY);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(close_code::RESTART),
            message = seat.next() => match message {
                Some(message) => send(socket, &message).await?,
                None => return Ok(close_code::NORMAL),
            },
            _ = ping.tick() => {
                if heard.elapsed() > DEAD_AFTER {
                    tracing::debug!("a peer gave no sign of life");
                    return Err(Gone);
                }
                send_raw(socket, Message::Ping(Default::default())).await?;
            }
            received = socket.recv() => {
                heard = Instant::now();
                match received {
                    Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                        Ok(message) => seat.handle(message),
                        Err(error) => {
                            tracing::debug!(%error, "a page sent what is no message");
                            return Ok(close_code::POLICY);
                        }
                    },
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Binary(_))) => return Ok(close_code::UNSUPPORTED),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Gone),
                }
            }
        }
    }
}

async fn send(socket: &mut WebSocket, message: &ToPage) -> Result<(), Gone> {
    let text = serde_json::to_string(message).map_err(|_| Gone)?;
    send_raw(socket, Message::Text(text.into())).await
}

async fn send_raw(socket: &mut WebSocket, message: Message) -> Result<(), Gone> {
    match timeout(SEND_TIMEOUT, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Gone),
    }
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::super::wire::Refusal;

    #[test]
    fn every_refusal_has_words_in_the_page() {
        let page = include_str!("page/room.js");
        for reason in [
            Refusal::BadLink,
            Refusal::BadToken,
            Refusal::TokenExpired,
            Refusal::TokenNotYetValid,
            Refusal::TokenForOtherRoom,
            Refusal::Full,
        ] {
            let code = serde_json::to_value(reason).unwrap();
            assert!(page.contains(&format!("{}:", code.as_str().unwrap())), "{code}");
        }
    }
}
