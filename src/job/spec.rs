//! The spec: everything one recorder process needs to know, checked.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::egress::Egress;
use super::page::PageOptions;
use super::presence::PresenceRule;
use super::quality::Quality;

/// How long a page may take to be joined before it is reloaded.
pub const DEFAULT_JOIN_TIMEOUT: Duration = Duration::from_secs(30);

/// When a recording that nobody stops ends by itself (contract default: 4 h).
pub const DEFAULT_MAX_DURATION: Duration = Duration::from_secs(4 * 3600);

/// A spec that cannot be recorded; `field` is the name a caller knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct BadSpec {
    /// The request field at fault, for example `resolution.width`.
    pub field: &'static str,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl BadSpec {
    pub(super) fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self { field, problem: problem.into() }
    }
}

/// The size of the recorded picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Size", into = "Size")]
pub struct Resolution {
    width: u32,
    height: u32,
}

#[derive(Serialize, Deserialize)]
struct Size {
    width: u32,
    height: u32,
}

impl Resolution {
    /// 1280x720, the contract's default.
    pub const HD: Self = Self { width: 1280, height: 720 };

    /// Checks the contract's limits: width 500-1920, height 480-1920, at most
    /// 1080 on the shorter side, both even (4:2:0 needs it).
    pub fn new(width: u32, height: u32) -> Result<Self, BadSpec> {
        const LIMITS: &str = "width must be 500 to 1920, height 480 to 1920, \
                              only one side over 1080, both even";
        let bad = |field, what: String| Err(BadSpec::new(field, format!("{what}: {LIMITS}")));
        if !(500..=1920).contains(&width) {
            return bad("resolution.width", format!("{width} is out of range"));
        }
        if !(480..=1920).contains(&height) {
            return bad("resolution.height", format!("{height} is out of range"));
        }
        if width > 1080 && height > 1080 {
            return bad("resolution", format!("{width}x{height} is too large"));
        }
        if !width.is_multiple_of(2) {
            return bad("resolution.width", format!("{width} is odd"));
        }
        if !height.is_multiple_of(2) {
            return bad("resolution.height", format!("{height} is odd"));
        }
        Ok(Self { width, height })
    }

    /// Pixels per row; even.
    pub fn width(self) -> u32 {
        self.width
    }

    /// Rows; even.
    pub fn height(self) -> u32 {
        self.height
    }
}

impl TryFrom<Size> for Resolution {
    type Error = BadSpec;
    fn try_from(size: Size) -> Result<Self, BadSpec> {
        Self::new(size.width, size.height)
    }
}

impl From<Resolution> for Size {
    fn from(r: Resolution) -> Self {
        Self { width: r.width, height: r.height }
    }
}

impl std::fmt::Display for Resolution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl std::str::FromStr for Resolution {
    type Err = BadSpec;
    fn from_str(text: &str) -> Result<Self, BadSpec> {
        let parts =
            text.split_once(['x', 'X']).and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
        let Some((width, height)) = parts else {
            return Err(BadSpec::new(
                "resolution",
                format!("{text:?} is not WIDTHxHEIGHT, like 1280x720"),
            ));
        };
        Self::new(width, height)
    }
}

/// What counts as having joined the meeting; recording begins then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JoinRule {
    /// What the page says or a probe reads from it, or a connected peer
    /// connection; a page that shows neither within 10 s counts as joined by loading.
    #[default]
    Auto,
    /// Only what the page says (`window.roomreel`, a console token) or a probe of
    /// its software reads.
    Signal,
    /// Only inbound WebRTC media.
    Media,
    /// The page has loaded.
    Load,
}

impl std::str::FromStr for JoinRule {
    type Err = BadSpec;
    fn from_str(text: &str) -> Result<Self, BadSpec> {
        match text {
            "auto" => Ok(Self::Auto),
            "signal" => Ok(Self::Signal),
            "media" => Ok(Self::Media),
            "load" => Ok(Self::Load),
            _ => Err(BadSpec::new(
                "join",
                format!("{text:?} is not one of auto, signal, media, load"),
            )),
        }
    }
}

/// How Chromium is run for one recording.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BrowserOptions {
    /// The Chromium binary; looked for in the usual places when absent.
    pub program: Option<std::path::PathBuf>,
    /// Gives a page that insists on devices a black and silent camera.
    pub fake_media: bool,
    /// Lets WebRTC run between browsers of one machine without a network: the
    /// demo room and tests only.
    pub loopback_webrtc: bool,
    /// Turns Chromium's sandbox off. Warned about at each start.
    pub no_sandbox: bool,
    /// HTTP or SOCKS proxy of everything but loopback, `http://host:port`; none
    /// when empty. WebRTC's own packets do not take it.
    pub proxy: String,
    /// PEM files of certificate authorities that are trusted besides the usual ones.
    pub ca_files: Vec<std::path::PathBuf>,
    /// Flags appended as they are.
    pub extra_flags: Vec<String>,
    /// Bytes of memory that its processes may have of their own together, before
    /// another browser takes its place; zero is no limit.
    pub memory_limit: u64,
}

impl BrowserOptions {
    /// Refuses what Chromium would not understand.
    pub fn check(&self) -> Result<(), BadSpec> {
        let good = |url: &Url| {
            matches!(url.scheme(), "http" | "https" | "socks4" | "socks5")
                && url.host().is_some()
                && url.username().is_empty()
                && url.password().is_none()
                && matches!(url.path(), "" | "/")
        };
        if self.proxy.is_empty() || Url::parse(&self.proxy).is_ok_and(|url| good(&url)) {
            return Ok(());
        }
        let why = "must be like \"http://proxy.internal:3128\" or \"socks5://…\", without user";
        Err(BadSpec::new("browser.proxy", why))
    }
}

/// One recording, as the recorder process receives it on standard input.
///
/// It carries the meeting URL with its token, so it is never an argument and
/// its `Debug` output is never logged.
#[derive(Clone, Serialize, Deserialize)]
pub struct RecordingSpec {
    /// The job's id: 24 hex digits.
    pub id: String,
    /// The room's id in the caller's system.
    pub room_id: String,
    /// The page to record; http or https.
    pub meeting_url: Url,
    /// What it is encoded to.
    pub quality: Quality,
    /// The file holds no picture.
    #[serde(default)]
    pub audio_only: bool,
    /// What counts as joined.
    pub join: JoinRule,
    /// How long one load of the page may take to be joined, in seconds.
    pub join_timeout_s: f64,
    /// How often the page is reloaded before giving up.
    pub join_reloads: u32,
    /// The recording ends by itself after this many seconds of file time.
    pub max_duration_s: f64,
    /// Up to so many bytes a finished file may be a copy; beyond, it is finished
    /// where it lies, so that all but its head stays as it was written. As usual
    /// when absent.
    #[serde(default)]
    pub copy_max: Option<u64>,
    /// The recording ends when its disk has fewer bytes left than these.
    #[serde(default)]
    pub keep_free: u64,
    /// How Chromium is run.
    pub browser: BrowserOptions,
    /// Where the page may connect to.
    #[serde(default)]
    pub egress: Egress,
    /// What the page is opened with.
    #[serde(default)]
    pub page: PageOptions,
    /// When it ends because of who is there.
    #[serde(default)]
    pub presence: PresenceRule,
}

impl RecordingSpec {
    /// How long one load of the page may take to be joined.
    pub fn join_timeout(&self) -> Duration {
        Duration::try_from_secs_f64(self.join_timeout_s).unwrap_or(DEFAULT_JOIN_TIMEOUT)
    }

    /// How much file time there can be at most.
    pub fn max_duration(&self) -> Duration {
        Duration::try_from_secs_f64(self.max_duration_s).unwrap_or(DEFAULT_MAX_DURATION)
    }

    /// Parses a meeting URL: only http and https, with a host.
    pub fn parse_meeting_url(text: &str) -> Result<Url, BadSpec> {
        let bad = |why: String| BadSpec::new("meeting_url", why);
        let url = Url::parse(text)
            .map_err(|e| bad(format!("not a URL ({e}): give a full http or https address")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad(format!(
                "scheme {:?} cannot be recorded: use http or https",
                url.scheme()
            )));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(bad("has no host: give a full http or https address".into()));
        }
        Ok(url)
    }
}
