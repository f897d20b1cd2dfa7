//! Receivers that misbehave for a while: each is told everything once it does not,
//! in the order of life, at the contract's pace.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use roomreel::config::Endpoint;
use tokio::net::TcpSocket;

use super::*;
use crate::support::by_length;

/// Attempts that go wrong before the receiver behaves.
const BAD: usize = 3;
/// The time-outs of these tests.
const TIMEOUT: Duration = Duration::from_millis(500);
/// The contract's pace: after the first attempt, the first retry and the second.
const PACE: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(10)];
/// What a busy machine may add to a delay that has passed.
const SLACK: Duration = Duration::from_secs(6);

/// What is wrong with a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// Answers with 500.
    Refuses,
    /// Answers after the time-out.
    Slow,
    /// Begins its answer in time and never ends it.
    Drips,
    /// Answers with a redirect to where it would be taken.
    Redirects,
    /// Closes without an answer.
    Closes,
    /// Closes in the middle of its answer.
    BreaksOff,
    /// Is not there.
    Down,
}

const MOODS: [Mood; 7] = [
    Mood::Refuses,
    Mood::Slow,
    Mood::Drips,
    Mood::Redirects,
    Mood::Closes,
    Mood::BreaksOff,
    Mood::Down,
];

/// One attempt, as a receiver sees it.
#[derive(Debug, Clone)]
struct Attempt {
    at: Instant,
    head: String,
    body: Value,
}

#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<Vec<Attempt>>>);

impl Receiver {
    /// One that misbehaves `BAD` times; one that is down comes after `down`.
    async fn open(mood: Mood, down: Duration) -> (Self, SocketAddr) {
        let receiver = Self::default();
        // Bound and not listening: the port is taken, and refuses connections.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = socket.local_addr().unwrap();
        let mine = receiver.clone();
        let listener = if mood == Mood::Down {
            Err(socket)
        } else {
            socket.listen(64).map_err(|_| TcpSocket::new_v4().unwrap())
        };
        tokio::spawn(async move {
            let listener = match listener {
                Ok(listener) => listener,
                Err(socket) => {
                    tokio::time::sleep(down).await;
                    socket.listen(64).unwrap()
                }
            };
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(mine.clone().take(stream, mood));
            }
        });
        (receiver, address)
    }

    async fn take(self, mut stream: TcpStream, mood: Mood) {
        let at = Instant::now();
        let mut bytes = Vec::new();
        let (head, body) = loop {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            if let Ok(body) = serde_json::from_str(body) {
                break (head.to_ascii_lowercase(), body);
            }
        };
        let count = {
            let mut attempts = self.0.lock().unwrap();
            attempts.push(Attempt { at, head, body });
            attempts.len()
        };
        let taken = "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n";
        let begun = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthank";
        let answer = match mood {
            _ if count > BAD => taken,
            Mood::Refuses => "HTTP/1.1 500 Oh No\r\nContent-Length: 0\r\n\r\n",
            Mood::Redirects => {
                "HTTP/1.1 307 Over There\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
            }
            Mood::Slow => {
                tokio::time::sleep(4 * TIMEOUT).await;
                taken
            }
            Mood::Drips | Mood::BreaksOff => begun,
            Mood::Closes => "",
            Mood::Down => taken,
        };
        _ = stream.write_all(answer.as_bytes()).await;
        if mood == Mood::Drips && count <= BAD {
            tokio::time::sleep(4 * TIMEOUT).await;
        }
    }

    fn attempts(&self) -> Vec<Attempt> {
        self.0.lock().unwrap().clone()
    }
}

fn name(mood: Mood) -> String {
    format!("{mood:?}").to_lowercase()
}

#[tokio::test]
async fn each_is_told_in_order_once_it_behaves() {
    // With the rest of the default schedule, a minute's absence ends in the fifth try.
    let down = by_length(Duration::from_secs(3), Duration::from_secs(60));
    let mut receivers = Vec::new();
    let mut endpoints = Vec::new();
    for mood in MOODS {
        let (receiver, address) = Receiver::open(mood, down).await;
        receivers.push((mood, receiver));
        endpoints.push(Endpoint {
            name: name(mood),
            url: format!("http://{address}/hook").as_str().into(),
            headers: Default::default(),
            events: Vec::new(),
            secrets: Vec::new(),
        });
    }
    let api = Api::with(FINALISES, |config| {
        config.webhooks.endpoints = endpoints;
        config.webhooks.timeout = TIMEOUT;
        config.webhooks.connect_timeout = TIMEOUT;
    })
    .await;
    let (_, recording) = told(api.start("a")).await;
    let dir = api.root.path().join("data/recordings").join(id(&recording));
    api.until(id(&recording), "post_processing").await;
    std::fs::write(dir.join("go"), "").unwrap();
    api.until(id(&recording), "completed").await;

    let life = ["beam.started.success", "beam.stopped.success", "beam.recording.success"];
    let patience = Instant::now() + down + Duration::from_secs(120);
    for (mood, receiver) in &receivers {
        let bad = if *mood == Mood::Down { 0 } else { BAD };
        while receiver.attempts().len() < bad + life.len() {
            assert!(Instant::now() < patience, "{mood:?}: {:#?}", receiver.attempts());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    // Nothing is on its way any more, and nothing was given up.
    api.all_told().await;
    let failed = api.get("/v2/analytics/webhooks?status=failed").await;
    assert_eq!(failed["events"], json!([]));

    for (mood, receiver) in receivers {
        let attempts = receiver.attempts();
        let bad = if mood == Mood::Down { 0 } else { BAD };
        assert_eq!(attempts.len(), bad + life.len(), "{mood:?}: {attempts:#?}");
        let types: Vec<_> =
            attempts.iter().map(|a| a.body["type"].as_str().unwrap().to_owned()).collect();
        assert_eq!(types[..bad], vec![life[0]; bad], "{mood:?}");
        assert_eq!(types[bad..], life, "{mood:?}");
        for attempt in &attempts {
            // The one place it was sent to, under one id however often.
            assert!(attempt.head.starts_with("post /hook http/1.1"), "{}", attempt.head);
            let first = attempts.iter().find(|a| a.body["type"] == attempt.body["type"]).unwrap();
            assert_eq!(attempt.body, first.body, "{mood:?}");
            let id = format!("webhook-id: {}", first.body["id"].as_str().unwrap());
            assert!(attempt.head.contains(&id), "{}", attempt.head);
        }
        let slow = if [Mood::Slow, Mood::Drips].contains(&mood) { TIMEOUT } else { Duration::ZERO };
        for (pair, pace) in attempts[..=bad].windows(2).zip(PACE) {
            let waited = pair[1].at - pair[0].at;
            // An attempt is seen a moment after it was begun.
            let least = pace + slow - Duration::from_millis(200);
            assert!(waited >= least && waited < pace + slow + SLACK, "{mood:?}: {waited:?}");
        }
    }
}

#[tokio::test]
async fn what_nobody_takes_is_given_up_and_can_be_told_again() {
    let (receiver, address) = Receiver::open(Mood::Refuses, Duration::ZERO).await;
    let api = Api::with(FAILS, |config| {
        config.webhooks.retries = vec![Duration::from_millis(50); BAD - 1];
        config.webhooks.endpoints = vec![Endpoint {
            name: "app".into(),
            url: format!("http://{address}/hook").as_str().into(),
            headers: Default::default(),
            events: vec!["beam.failure".into()],
            secrets: Vec::new(),
        }];
    })
    .await;
    let (_, recording) = told(api.start("a")).await;
    api.until(id(&recording), "failed").await;
    let begun = Instant::now();
    let history = loop {
        let history = api.get("/v2/analytics/webhooks?status=failed").await;
        if history["events"].get(0).is_some() {
            break history;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{:#?}", receiver.attempts());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(receiver.attempts().len(), BAD);
    let why = history["events"][0]["payload"]["error_reason"].as_str().unwrap();
    assert!(why.contains("answered 500"), "{history}");
    let (status, replay) = told(api.post("/v2/analytics/webhooks/replay", "{}")).await;
    assert_eq!((status, &replay["replayed"]), (200, &json!(1)));
    while receiver.attempts().len() == BAD {
        assert!(begun.elapsed() < Duration::from_secs(60), "it was not told again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let attempts = receiver.attempts();
    assert_eq!(attempts[BAD].body["id"], attempts[0].body["id"]);
}
