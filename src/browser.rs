//! Chromium: the only door to it and to its DevTools protocol.
//!
//! `recorder` (and the demo's bots) launch one browser with one page, drive the
//! page, learn at once when anything of it is gone, and close it. Nothing here
//! knows what a meeting is.
//!
//! The DevTools protocol runs over a pair of pipes that nobody else can reach, and
//! that end Chromium when this process does.

mod cdp;
mod error;
mod flags;
mod home;
mod load;
mod outside;
mod page;
mod pipe;
mod process;
mod program;
mod redact;
mod site;
mod tabs;
mod trust;
mod user;
mod watcher;
mod wire;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chromiumoxide::cdp::browser_protocol::browser::{
    CloseParams, GetVersionParams, SetDownloadBehaviorBehavior, SetDownloadBehaviorParams,
};
use chromiumoxide::cdp::browser_protocol::target::SetDiscoverTargetsParams;
use rustix::process::{Resource, Signal, getrlimit};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use cdp::CallError;
pub use error::BrowserError;
pub use load::LoadError;
pub use page::{EvaluateError, Page};
pub use program::find_program;
pub use watcher::PageEvent;

use cdp::Client;
use home::{Belongings, Home};
use pipe::Pipe;
use process::Process;
use user::User;
use watcher::{EVENT_QUEUE, Shared, Watcher};

use crate::job::{BrowserOptions, PageOptions};

/// From the start of the process to a page that can be driven. A loaded machine
/// takes ten seconds; a broken installation says so at once.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the first question for another program may take to use up: the recording is
/// worth more than that.
const OUTSIDE_TIMEOUT: Duration = Duration::from_secs(10);

/// Fewest files that may be open at once in each process. With fewer Chromium ends by a
/// fault in its start, and does not say why; one of 2026 starts with 200.
pub const FEWEST_FILES: u64 = 256;

/// How often the browser is asked whether it still answers.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// A browser that leaves two questions in a row unanswered for this long hangs: it
/// is found out within ten seconds, and a recorder that was stopped itself, and so
/// misses one answer, blames nobody.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_millis(3_500);

/// Between SIGTERM and SIGKILL.
const TERM_PATIENCE: Duration = Duration::from_secs(1);

/// Where the page is painted and heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Surface {
    /// On a Wayland display and a PulseAudio server, both unix sockets.
    Screen {
        /// The display's socket.
        wayland_socket: PathBuf,
        /// The sound server's socket.
        pulse_socket: PathBuf,
        /// Pixels per row; at least 500, which is Chromium's narrowest window.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// Nowhere and silent: for bots and tests.
    Headless {
        /// Pixels per row of the window.
        width: u32,
        /// Rows of the window.
        height: u32,
    },
}

/// What to launch.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The wishes of the job.
    pub options: BrowserOptions,
    /// Language and time zone of the page; the rest is [`Page::prepare`]'s.
    pub page: PageOptions,
    /// Where the page is painted and heard.
    pub surface: Surface,
    /// A directory for this browser alone, made if it is missing; profile and home
    /// are made in it and removed with the browser. Under root these are given to
    /// an unprivileged user, and so are the sockets, who must be able to reach them:
    /// this directory gets mode 0711, those above are left as they are.
    pub runtime_dir: PathBuf,
    /// Picture (`.mjpeg`, `.y4m`) and sound (`.wav`) for the page's camera and
    /// microphone; they take the place of `options.fake_media`'s black and silent ones.
    pub capture_files: Option<(PathBuf, PathBuf)>,
    /// An HTTP proxy for every connection of the page, to loopback too; without
    /// one it connects by itself.
    pub proxy: Option<SocketAddr>,
}

impl Launch {
    /// Chromium runs in another working directory.
    fn with_absolute_paths(mut self) -> Result<Self, BrowserError> {
        self.runtime_dir = absolute(&self.runtime_dir)?;
        if let Some((picture, sound)) = &mut self.capture_files {
            *picture = absolute(picture)?;
            *sound = absolute(sound)?;
        }
        if let Surface::Screen { wayland_socket, pulse_socket, .. } = &mut self.surface {
            *wayland_socket = absolute(wayland_socket)?;
            *pulse_socket = absolute(pulse_socket)?;
        }
        Ok(self)
    }
}

fn absolute(path: &Path) -> Result<PathBuf, BrowserError> {
    std::path::absolute(path)
        .map_err(|source| BrowserError::Directory { path: path.to_path_buf(), source })
}

/// How a browser was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gone {
    /// The process ended.
    Exited {
        /// Its exit status in words.
        status: String,
        /// Its last words, free of addresses.
        stderr: String,
    },
    /// The process runs but the connection to it has ended.
    Disconnected,
    /// Process and connection are there and nothing answers.
    Hung,
}

/// A running Chromium with one page. Dropping it kills the process group without
/// waiting; the files go as soon as the group is gone, while the runtime lives.
#[derive(Debug)]
pub struct Browser {
    process: Process,
    client: Client,
    page: Page,
    version: String,
    /// The user that Chromium runs as.
    uid: u32,
    /// Cancelled when the browser leaves the heartbeat unanswered.
    hung: CancellationToken,
}

impl Browser {
    /// Starts Chromium, connects, and hands it over with `about:blank` open. If
    /// that fails, nothing of it is left.
    ///
    /// # Errors
    /// See [`BrowserError`]; each is a sentence that says what to do.
    pub async fn launch(launch: Launch) -> Result<Self, BrowserError> {
        if let Some(limit @ ..FEWEST_FILES) = getrlimit(Resource::Nofile).current {
            return Err(BrowserError::Files { limit });
        }
        let launch = launch.with_absolute_paths()?;
        let program = absolute(&find_program(launch.options.program.as_deref())?)?;
        if launch.options.no_sandbox {
            tracing::warn!("Chromium's sandbox is off: the page has the rights of this user");
        }
        let user = User::pick();
        let black_camera = launch.options.fake_media && launch.capture_files.is_none();
        let belongings = Belongings {
            black_camera,
            locale: &launch.page.locale,
            ca_files: &launch.options.ca_files,
            passwords: launch.page.basic_auth.is_some(),
        };
        let home = Home::create(&launch.runtime_dir, &belongings, user)?;
        let (process, pipe) =
            start(&program, &launch, &home, user).inspect_err(|_| home.remove())?;
        let error = tokio::select! {
            biased;
            opened = tokio::time::timeout(START_TIMEOUT, open(pipe)) => match opened {
                Ok(Ok((client, page, version))) => {
                    let hung = CancellationToken::new();
                    tokio::spawn(heartbeat(client.clone(), hung.clone()));
                    let uid = user.map_or_else(|| rustix::process::geteuid().as_raw(), User::id);
                    return Ok(Self { process, client, page, version, uid, hung });
                }
                Ok(Err(error)) => Some(error),
                Err(_) => Some(BrowserError::Late { stderr: process.last_words() }),
            },
            _ = process.exited() => None,
        };
        // A connection fails because the process ends: its own end says more.
        let soon = Duration::from_secs(1);
        let lost = matches!(error, Some(BrowserError::Setup(CallError::Closed { .. })) | None);
        let ended = lost && tokio::time::timeout(soon, process.exited()).await.is_ok();
        process.signal(Signal::KILL);
        let status = process.exited().await;
        process.cleared().await;
        let stderr = process.last_words();
        Err(match error {
            Some(error) if !ended => error,
            _ if stderr.contains("No usable sandbox") => BrowserError::Sandbox,
            _ => BrowserError::Died { status, stderr },
        })
    }

    /// Process id of the browser and id of its process group.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// When that process started, in clock ticks since boot (field 22 of
    /// `/proc/PID/stat`): with the pid it names the process for good.
    pub fn start_ticks(&self) -> u64 {
        self.process.start_ticks()
    }

    /// What the browser calls itself, for example `Chrome/156.0.8078.79`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The user id that it runs as.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The page.
    pub fn page(&self) -> &Page {
        &self.page
    }

    /// Resolves when the browser is of no more use: the process ended, the
    /// connection ended, or nothing answers any more. Cancel safe.
    pub async fn gone(&self) -> Gone {
        let exited = async {
            let status = self.process.exited().await;
            Gone::Exited { status, stderr: self.process.last_words() }
        };
        tokio::pin!(exited);
        tokio::select! {
            biased;
            gone = &mut exited => gone,
            () = self.client.closed() => {
                // A process that ends takes its connection along first.
                let soon = Duration::from_secs(1);
                tokio::time::timeout(soon, exited).await.unwrap_or(Gone::Disconnected)
            }
            () = self.hung.cancelled() => Gone::Hung,
        }
    }

    /// Closes the page with its unload handlers run, so that the meeting learns
    /// of the leave, then the browser; what has not ended after `grace` is
    /// killed. On return no process and no file of it is left.
    pub async fn close(self, grace: Duration) {
        if self.hung.is_cancelled() {
            // It hears neither.
            self.process.signal(Signal::KILL);
            return self.process.cleared().await;
        }
        let deadline = Instant::now() + grace;
        self.page.close(grace / 2).await;
        let ended = async {
            self.client.send(None, &CloseParams::default()).await;
            self.process.exited().await
        };
        if tokio::time::timeout_at(deadline, ended).await.is_err() {
            self.process.signal(Signal::TERM);
            if tokio::time::timeout(TERM_PATIENCE, self.process.exited()).await.is_err() {
                self.process.signal(Signal::KILL);
            }
        }
        self.process.cleared().await;
    }
}

/// Starts the process on its surface, as `user` if there is to be one.
fn start(
    program: &Path,
    launch: &Launch,
    home: &Home,
    user: Option<User>,
) -> Result<(Process, Pipe), BrowserError> {
    if let Some(user) = user {
        user.check_reach(program)?;
        if let Surface::Screen { wayland_socket, pulse_socket, .. } = &launch.surface {
            for socket in [wayland_socket, pulse_socket] {
                user.give(socket)?;
                user.check_reach(socket)?;
            }
        }
        if let Some((picture, sound)) = &launch.capture_files {
            user.check_reach(picture)?;
            user.check_reach(sound)?;
        }
    }
    let flags = flags::flags(&flags::Inputs {
        options: &launch.options,
        surface: &launch.surface,
        profile: &home.profile,
        capture: launch.capture_files.as_ref().or(home.capture.as_ref()),
        small_shm: home::small_shm(),
        proxy: launch.proxy,
    });
    Process::spawn(program, &flags, launch, home.clone(), user)
}

/// Checks the version and takes hold of the page.
async fn open(pipe: Pipe) -> Result<(Client, Page, String), BrowserError> {
    let shared = Shared::default();
    let (told, events) = mpsc::channel(EVENT_QUEUE);
    let (progress, load) = watch::channel(load::Load::default());
    let watcher = Watcher::new(shared.clone(), told, progress);
    let client = Client::over(pipe, watcher);
    let version = client.call(None, GetVersionParams::default(), START_TIMEOUT).await?.product;
    if program::major(&version).is_some_and(|major| major < program::OLDEST) {
        return Err(BrowserError::TooOld { found: version, oldest: program::OLDEST });
    }
    let target = tabs::first(&client).await?;
    let page = Page::attach(client.clone(), target, shared, load, events).await?;
    let shut = tokio::time::timeout(OUTSIDE_TIMEOUT, outside::shut(&client)).await;
    if !matches!(shut, Ok(Ok(()))) {
        tracing::warn!(?shut, "a page that asks for another program may be covered by a question");
    }
    // From here on other pages are told of, and closed.
    client.call(None, SetDiscoverTargetsParams::new(true), START_TIMEOUT).await?;
    let deny = SetDownloadBehaviorParams::new(SetDownloadBehaviorBehavior::Deny);
    client.call(None, deny, START_TIMEOUT).await?;
    Ok((client, page, version))
}

/// Asks the browser process for a sign of life until it ends or gives none.
async fn heartbeat(client: Client, hung: CancellationToken) {
    let mut missed = 0;
    while missed < 2 {
        tokio::select! {
            () = client.closed() => return,
            () = tokio::time::sleep(HEARTBEAT) => {}
        }
        match client.call(None, GetVersionParams::default(), HEARTBEAT_TIMEOUT).await {
            Err(CallError::TimedOut { .. }) => missed += 1,
            Err(CallError::Closed { .. }) => return,
            _ => missed = 0,
        }
    }
    hung.cancel();
}
