//! A small client of the Chrome DevTools Protocol.
//!
//! `chromiumoxide` gives the typed commands
//! (<https://chromedevtools.github.io/devtools-protocol/>). Its own handler is
//! not used: it waits for ever on a closed socket, panics on a target that
//! closes early, cannot reach cross-site frames and keeps the costly Network
//! domain on. One task reads the browser's pipe, so whatever the [`Watcher`]
//! orders in answer to an event (a dialog, a pop-up) is the next thing sent.

use std::collections::HashMap;
use std::time::Duration;

use chromiumoxide::Command;
use chromiumoxide::types::MethodId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::pipe::{Pipe, Reader, Writer};
use super::watcher::Watcher;

/// A flat session: one attached target.
pub(super) type Session = String;

/// Calls waiting to be put on the pipe; a full queue makes callers wait.
const QUEUE: usize = 64;

/// Above this many unanswered calls, those whose caller gave up are forgotten.
const PRUNE_ABOVE: usize = 256;

/// Why a call got no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nothing came back in time: the page or the browser hangs.
    #[error("{method} got no answer within {after:?}")]
    TimedOut {
        /// The protocol method.
        method: String,
        /// How long was waited.
        after: Duration,
    },
    /// The connection has ended.
    #[error("{method}: the connection to the browser has ended")]
    Closed {
        /// The protocol method.
        method: String,
    },
    /// The browser refused.
    #[error("{method} was refused: {message}")]
    Refused {
        /// The protocol method.
        method: String,
        /// The browser's words.
        message: String,
    },
    /// The answer has another shape than this client knows.
    #[error("{method} was answered in an unknown form: {source}")]
    Form {
        /// The protocol method.
        method: String,
        /// What did not fit.
        source: serde_json::Error,
    },
}

/// An event as it came, not yet of any type: a value unknown to this crate then
/// costs at most that one event, and only if somebody wants it.
#[derive(Debug, Clone)]
pub(super) struct Event {
    /// For example `Page.lifecycleEvent`.
    pub(super) method: MethodId,
    /// The attached target it came from; none for the browser itself.
    pub(super) session: Option<Session>,
    /// The event's own object.
    pub(super) params: Value,
}

/// A message of the browser: with an `id` it answers a call, else it is an event.
#[derive(Deserialize)]
struct Incoming {
    id: Option<u64>,
    #[serde(default)]
    result: Value,
    error: Option<Refusal>,
    #[serde(default)]
    method: MethodId,
    #[serde(rename = "sessionId")]
    session: Option<Session>,
    #[serde(default)]
    params: Value,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
}

/// A command on its way to the browser.
#[derive(Debug)]
pub(super) struct Order {
    /// The attached target it is for; none for the browser itself.
    pub(super) session: Option<Session>,
    /// For example `Page.navigate`.
    pub(super) method: MethodId,
    /// The command's own object.
    pub(super) params: Value,
}

impl Order {
    pub(super) fn new<C: Command>(session: Option<&str>, command: &C) -> Self {
        Self {
            session: session.map(str::to_string),
            method: command.identifier(),
            // Generated parameter types are plain structs; they always serialise.
            params: serde_json::to_value(command).unwrap_or_default(),
        }
    }
}

type Answer = Result<Value, String>;

/// A handle to the task that reads the pipe; the connection ends with the last one.
#[derive(Clone, Debug)]
pub(super) struct Client {
    calls: mpsc::Sender<(Order, Option<oneshot::Sender<Answer>>)>,
    closed: CancellationToken,
}

impl Client {
    /// Speaks to the browser at the other end of `pipe`; `watcher` hears every event.
    pub(super) fn over(pipe: Pipe, watcher: Watcher) -> Self {
        let (calls, queue) = mpsc::channel(QUEUE);
        let closed = CancellationToken::new();
        let client = Self { calls, closed: closed.clone() };
        tokio::spawn(async move {
            let (reader, writer) = pipe.split();
            drive(reader, writer, queue, watcher).await;
            closed.cancel();
        });
        client
    }

    /// Resolves when the connection has ended. Cancel safe.
    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Sends `command` and returns its answer as the type the protocol gives it.
    pub(super) async fn call<C: Command>(
        &self,
        session: Option<&str>,
        command: C,
        timeout: Duration,
    ) -> Result<C::Response, CallError> {
        self.call_as(session, command, timeout).await
    }

    /// Sends `command` and reads its answer as a `T` of the caller's choice.
    pub(super) async fn call_as<T: DeserializeOwned>(
        &self,
        session: Option<&str>,
        command: impl Command,
        timeout: Duration,
    ) -> Result<T, CallError> {
        self.give_as(Order::new(session, &command), timeout).await
    }

    /// Gives `order` and waits until it is carried out.
    pub(super) async fn give(&self, order: Order, timeout: Duration) -> Result<(), CallError> {
        self.give_as::<serde::de::IgnoredAny>(order, timeout).await.map(drop)
    }

    async fn give_as<T: DeserializeOwned>(
        &self,
        order: Order,
        timeout: Duration,
    ) -> Result<T, CallError> {
        let method = order.method.to_string();
        let (sender, answer) = oneshot::channel();
        let exchange = async {
            self.calls.send((order, Some(sender))).await.ok()?;
            answer.await.ok()
        };
        let value = match tokio::time::timeout(timeout, exchange).await {
            Err(_) => return Err(CallError::TimedOut { method, after: timeout }),
            Ok(None) => return Err(CallError::Closed { method }),
            Ok(Some(Err(message))) => return Err(CallError::Refused { method, message }),
            Ok(Some(Ok(value))) => value,
        };
        serde_json::from_value(value).map_err(|source| CallError::Form { method, source })
    }

    /// Sends `command` without waiting for its answer.
    pub(super) async fn send(&self, session: Option<&str>, command: &impl Command) {
        let _ = self.calls.send((Order::new(session, command), None)).await;
    }
}

/// Reads the pipe until it ends or nobody is left to call.
async fn drive(
    mut reader: Reader,
    writer: Writer,
    mut queue: mpsc::Receiver<(Order, Option<oneshot::Sender<Answer>>)>,
    mut watcher: Watcher,
) {
    let mut orders = Orders { writer, last: 0 };
    let mut waiting: HashMap<u64, oneshot::Sender<Answer>> = HashMap::new();
    loop {
        tokio::select! {
            call = queue.recv() => {
                let Some((order, answer)) = call else { return };
                let id = orders.submit(order);
                if let Some(answer) = answer {
                    if waiting.len() >= PRUNE_ABOVE {
                        waiting.retain(|_, answer| !answer.is_closed());
                    }
                    waiting.insert(id, answer);
                }
            }
            message = reader.next() => {
                let Some(message) = message else { return };
                // The text may hold anything the page said: it is not logged.
                let Ok(incoming) = serde_json::from_slice::<Incoming>(&message) else {
                    tracing::debug!("the browser sent a message that is no protocol message");
                    continue;
                };
                let Incoming { id, result, error, method, session, params } = incoming;
                let Some(id) = id else {
                    for order in watcher.on_event(&Event { method, session, params }) {
                        orders.submit(order);
                    }
                    continue;
                };
                if let Some(answer) = waiting.remove(&id) {
                    let _ = answer.send(match error {
                        Some(error) => Err(error.message),
                        None => Ok(result),
                    });
                }
            }
        }
    }
}

/// Numbers what is sent.
struct Orders {
    writer: Writer,
    last: u64,
}

/// A command as the protocol writes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Call<'a> {
    id: u64,
    method: &'a str,
    params: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<&'a str>,
}

impl Orders {
    /// Queues `order` on the pipe; never waits, so that reading goes on.
    fn submit(&mut self, order: Order) -> u64 {
        self.last += 1;
        let call = Call {
            id: self.last,
            method: &order.method,
            params: &order.params,
            session_id: order.session.as_deref(),
        };
        // Plain values always serialise.
        self.writer.send(serde_json::to_vec(&call).unwrap_or_default());
        self.last
    }
}
