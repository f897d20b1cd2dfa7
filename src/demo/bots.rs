//! Bots: headless browsers in the demo room, each a talking head with a voice.
//!
//! Every bot is a browser of its own, so that one can die as a participant
//! dies. It opens the page that everybody opens; a script put in before the
//! page's own takes the place of its camera and microphone.

use std::net::SocketAddr;
use std::time::Duration;

use futures::stream::{StreamExt, TryStreamExt};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use url::Url;

use crate::browser::{Browser, BrowserError, CallError, Launch, LoadError, Surface};
use crate::job::{BrowserOptions, PageOptions};

const SCRIPT: &str = include_str!("page/bot.js");

const NAMES: [&str; Bots::MAX] = [
    "Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Margaret", "Dennis", "Radia", "Tim",
    "Hedy", "Claude",
];

/// Browsers started at the same time; more only fight for the processors.
const STARTING: usize = 2;
/// From the browser's start to the bot in the room.
const JOIN_TIMEOUT: Duration = Duration::from_secs(45);
/// For a browser to close by itself.
const CLOSE_GRACE: Duration = Duration::from_secs(3);

/// Why there are no bots.
#[derive(Debug, thiserror::Error)]
pub enum BotError {
    /// More than [`Bots::MAX`].
    #[error("at most {} bots fit into the room", Bots::MAX)]
    TooMany,
    /// No place for its files.
    #[error("cannot make a directory for a bot: {0}")]
    Directory(#[from] std::io::Error),
    /// Its browser did not start.
    #[error("a bot's browser: {0}")]
    Browser(#[from] BrowserError),
    /// Its script could not be put in.
    #[error("a bot's browser: {0}")]
    Call(#[from] CallError),
    /// The room's page did not load.
    #[error("a bot cannot open the room: {0}")]
    Load(#[from] LoadError),
    /// The page loaded and did not get into the room.
    #[error("{name} did not get into the room within {} s", JOIN_TIMEOUT.as_secs())]
    NotJoined {
        /// The bot's name.
        name: &'static str,
    },
    /// The room's name does not fit into a link.
    #[error("no link can be made of it: {0}")]
    Url(#[from] url::ParseError),
}

#[derive(Debug)]
struct Bot {
    name: &'static str,
    browser: Browser,
    /// Its browser's files.
    dir: TempDir,
}

/// The running bots. Dropping them kills them without waiting.
#[derive(Debug)]
pub struct Bots {
    bots: Vec<Bot>,
}

impl Bots {
    /// As many as leave seats in a room for visitors.
    pub const MAX: usize = 12;

    /// Starts `count` bots in `room` of the demo server at `server`; on return
    /// all have joined. If one fails, none is left.
    ///
    /// # Errors
    /// See [`BotError`].
    pub async fn launch(server: SocketAddr, room: &str, count: usize) -> Result<Self, BotError> {
        if count > Self::MAX {
            return Err(BotError::TooMany);
        }
        let start = |index| Bot::start(server, room, index, count);
        let bots: Vec<Bot> =
            futures::stream::iter(0..count).map(start).buffered(STARTING).try_collect().await?;
        Ok(Self { bots })
    }

    /// The pitch of bot `index`'s voice, in hertz: its strongest low frequency,
    /// constant while it speaks. No pitch is twice another.
    pub fn pitch(index: usize) -> u32 {
        110 + 17 * u32::try_from(index.min(Self::MAX)).unwrap_or_default()
    }

    /// Names of the living, in the order of their start.
    pub fn names(&self) -> Vec<&'static str> {
        self.bots.iter().map(|bot| bot.name).collect()
    }

    /// Process ids of the living bots' browsers, each the leader of a process
    /// group of its own; in the order of [`Bots::names`].
    pub fn pids(&self) -> Vec<u32> {
        self.bots.iter().map(|bot| bot.browser.pid()).collect()
    }

    /// Kills a bot as a crash would, without a farewell to the room; whether
    /// there was one of that name.
    pub async fn kill(&mut self, name: &str) -> bool {
        let Some(at) = self.bots.iter().position(|bot| bot.name == name) else { return false };
        let bot = self.bots.remove(at);
        if let Some(group) =
            i32::try_from(bot.browser.pid()).ok().and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        bot.browser.gone().await;
        bot.close(Duration::ZERO).await;
        true
    }

    /// Lets all of them leave and waits until no process and no file is left.
    pub async fn close(self) {
        futures::future::join_all(self.bots.into_iter().map(|bot| bot.close(CLOSE_GRACE))).await;
    }
}

impl Bot {
    async fn start(
        server: SocketAddr,
        room: &str,
        index: usize,
        count: usize,
    ) -> Result<Self, BotError> {
        let deadline = Instant::now() + JOIN_TIMEOUT;
        let name = NAMES[index];
        let dir = tempfile::Builder::new().prefix("roomreel-bot-").tempdir()?;
        let browser = Browser::launch(Launch {
            options: BrowserOptions { loopback_webrtc: true, ..BrowserOptions::default() },
            page: PageOptions::default(),
            surface: Surface::Headless { width: 640, height: 360 },
            runtime_dir: dir.path().to_owned(),
            capture_files: None,
            proxy: None,
        })
        .await?;
        let bot = Self { name, browser, dir };
        let page = bot.browser.page();
        let config =
            json!({ "name": name, "index": index, "count": count, "pitch": Bots::pitch(index) });
        page.install(&format!("{SCRIPT}({config});")).await?;
        let mut link =
            Url::parse(&format!("http://{server}"))?.join(&format!("/preview/{room}/guest"))?;
        link.query_pairs_mut().append_pair("skip_preview", "true").append_pair("name", name);
        page.goto(&link, deadline - Instant::now()).await?;
        let joined = "window.roomreel?.joined === true";
        while !page.evaluate::<bool>(joined, Duration::from_secs(5)).await.unwrap_or(false) {
            if Instant::now() > deadline {
                return Err(BotError::NotJoined { name });
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(bot)
    }

    async fn close(self, grace: Duration) {
        self.browser.close(grace).await;
        // The files go when nobody uses them any more.
        drop(self.dir);
    }
}
