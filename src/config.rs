//! The settings: one TOML file, then environment variables over it.
//!
//! `[recording] max_concurrent` in the file is
//! `ROOMREEL_RECORDING__MAX_CONCURRENT` in the environment. `main` loads it and
//! may put command-line options on top; `http::serve` and `node` read it.
//! `config.example.toml` lists every setting, and a test holds it to this file.

mod auth;
mod automation;
mod dashboard;
mod destination;
mod duration;
mod environment;
mod hooks;
mod meeting;
mod net;
mod page;
mod presence;
mod recording;
mod secret;
pub(crate) mod size;
mod storage;
mod webhooks;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf, absolute};

use figment::Figment;
use figment::providers::{Format, Toml};
use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

pub(crate) use environment::is_setting;

pub use auth::{AppKey, Auth, SHORTEST_SECRET};
pub use automation::Automation;
pub use dashboard::Dashboard;
pub use destination::{BUILT_IN, Destination, Kind, LONGEST_LINK, Sse, Style};
pub use duration::parse as parse_duration;
pub use hooks::{Hooks, Sender};
pub use meeting::Meeting;
pub use net::{Net, parse_network};
pub use page::{Account, Page, Site, parse_page_options};
pub use presence::Presence;
pub use recording::{Recording, ShowMeetingUrl, Transcription};
pub use secret::Secret;
pub use storage::Storage;
pub use webhooks::{BadSecret, Endpoint, Webhooks, check_header, parse_endpoint_url, signing_key};

use crate::job::BrowserOptions;

/// Every setting of `roomreel serve`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The HTTP side.
    pub server: Server,
    /// Where things are kept.
    pub data: Data,
    /// Where files go and how long they are kept.
    pub storage: Storage,
    /// What a recording is when its request does not say.
    pub recording: Recording,
    /// When recordings end because of who is there.
    pub presence: Presence,
    /// How Chromium is run.
    pub browser: Browser,
    /// How meetings' pages are opened.
    pub page: Page,
    /// Who may call.
    pub auth: Auth,
    /// The address of a room whose start names none.
    pub meeting: Meeting,
    /// Where requests may lead the service.
    pub net: Net,
    /// Who is told of what happens.
    pub webhooks: Webhooks,
    /// Who may tell what happens in rooms.
    pub hooks: Hooks,
    /// What starts and stops recordings by itself.
    pub automation: Automation,
    /// The pages for people.
    pub dashboard: Dashboard,
    /// The program started as `PROGRAM recorder --dir DIR`; this very binary
    /// when absent. No setting of the file: it exists to be replaced in tests.
    #[serde(skip)]
    pub recorder_program: Option<PathBuf>,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Names that a `Host` header may carry besides the loopback names, as
    /// `name` (any port) or `name:port`.
    pub allowed_hosts: Vec<String>,
    /// What links to files begin with, as callers reach this service; `http://`
    /// and the address listened on when absent.
    #[serde(deserialize_with = "url_or_empty")]
    pub public_url: Option<Url>,
}

impl Default for Server {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 8080));
        Self { listen, allowed_hosts: Vec::new(), public_url: None }
    }
}

/// An empty text is no URL.
fn url_or_empty<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Url>, D::Error> {
    let text = String::deserialize(from)?;
    let url = (!text.is_empty()).then(|| Url::parse(&text)).transpose();
    url.map_err(|e| serde::de::Error::custom(format!("not a URL ({e}): give a full address")))
}

/// `[data]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// Directory of the recordings; created when missing.
    pub dir: PathBuf,
    /// Bytes of its disk below which no recording is started, and below an eighth of
    /// which one that runs ends; zero does neither.
    #[serde(with = "size")]
    pub min_free: u64,
}

impl Default for Data {
    fn default() -> Self {
        Self { dir: PathBuf::from("data"), min_free: 1 << 30 }
    }
}

/// `[browser]`; becomes the [`BrowserOptions`] of every spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Browser {
    /// The Chromium binary; looked for in the usual places when empty.
    pub program: PathBuf,
    /// Gives a page that insists on devices a black and silent camera.
    pub fake_media: bool,
    /// Lets WebRTC run between browsers of one machine without a network.
    pub loopback_webrtc: bool,
    /// Turns Chromium's sandbox off.
    pub no_sandbox: bool,
    /// Proxy of everything but loopback; none when empty.
    pub proxy: String,
    /// PEM files of certificate authorities that are trusted, too.
    pub ca_files: Vec<PathBuf>,
    /// Flags appended as they are.
    pub extra_flags: Vec<String>,
    /// Bytes of memory for all its processes, before another one takes its place;
    /// zero is no limit.
    #[serde(with = "size")]
    pub memory_limit: u64,
}

impl Default for Browser {
    fn default() -> Self {
        Self {
            program: PathBuf::new(),
            fake_media: false,
            loopback_webrtc: false,
            no_sandbox: false,
            proxy: String::new(),
            ca_files: Vec::new(),
            extra_flags: Vec::new(),
            memory_limit: 4 << 30,
        }
    }
}

impl Browser {
    /// The same as a spec carries it.
    pub fn options(&self) -> BrowserOptions {
        BrowserOptions {
            program: (!self.program.as_os_str().is_empty()).then(|| self.program.clone()),
            fake_media: self.fake_media,
            loopback_webrtc: self.loopback_webrtc,
            no_sandbox: self.no_sandbox,
            proxy: self.proxy.clone(),
            // Recorders run elsewhere.
            ca_files: self
                .ca_files
                .iter()
                .map(|f| absolute(f).unwrap_or_else(|_| f.clone()))
                .collect(),
            extra_flags: self.extra_flags.clone(),
            memory_limit: self.memory_limit,
        }
    }
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file given cannot be read.
    #[error("cannot read the configuration {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file or a variable is malformed, or names a setting that does not exist.
    #[error("bad configuration: {0}")]
    Parse(String),
    /// A setting has a value that cannot work.
    #[error("bad configuration: {setting}: {problem}")]
    Value {
        /// Section and name, for example `recording.fps`.
        setting: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
}

impl Config {
    /// Reads the file, if one is given, then the variables of `env` that belong
    /// to roomreel (`ROOMREEL_SECTION__KEY`), then checks the whole.
    ///
    /// `env` is usually [`std::env::vars_os`].
    pub fn load(
        path: Option<&Path>,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut figment = Figment::new();
        if let Some(path) = path {
            let text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })?;
            figment = figment.merge(Toml::string(&text));
        }
        for variable in environment::overrides(env) {
            figment = figment.merge(variable);
        }
        let mut config: Self =
            figment.extract().map_err(|e| ConfigError::Parse(describe(&e, path)))?;
        let given = |key: &str| figment.find_value(&format!("recording.{key}")).is_ok();
        config.recording.settle(given).map_err(ConfigError::value)?;
        config.check()?;
        Ok(config)
    }

    /// Refuses values that parse but cannot work.
    pub fn check(&self) -> Result<(), ConfigError> {
        let bad = |setting, problem: &str| {
            Err(ConfigError::Value { setting, problem: problem.to_owned() })
        };
        if self.data.dir.as_os_str().is_empty() {
            return bad("data.dir", "must name a directory, like \"data\"");
        }
        let is_host = |host: &String| {
            !host.is_empty()
                && !host.contains(['/', '*', '@'])
                && !host.contains(char::is_whitespace)
        };
        if !self.server.allowed_hosts.iter().all(is_host) {
            return bad("server.allowed_hosts", "each must be a \"name\" or \"name:port\"");
        }
        let is_base = |url: &Url| {
            matches!(url.scheme(), "http" | "https")
                && url.host().is_some()
                && url.query().is_none()
                && url.fragment().is_none()
                && url.username().is_empty()
                && url.password().is_none()
        };
        if !self.server.public_url.as_ref().is_none_or(is_base) {
            return bad(
                "server.public_url",
                "must be like \"https://recorder.example\", without user, query and fragment",
            );
        }
        let proxy = &self.browser.proxy;
        if !proxy.is_empty() && !proxy.starts_with("http://") {
            // Recorded pages come to it by way of the guarding proxy, which speaks no other.
            return bad(
                "browser.proxy",
                "must be an HTTP proxy, like \"http://proxy.internal:3128\"",
            );
        }
        let browser = self.browser.options().check().map_err(|e| (e.field, e.problem));
        let sections =
            self.recording.check().and(self.auth.check()).and(browser).and(self.page.check());
        let sections = sections.and(self.meeting.check(self.auth.peer_key().is_some()));
        let sections = sections.and(self.hooks.check());
        let sections = sections.and(self.automation.check(self.meeting.has_template()));
        let sections = sections.and(self.presence.check()).and(self.dashboard.check());
        sections.map_err(ConfigError::value)?;
        self.storage.check()?;
        self.webhooks.check()
    }
}

impl ConfigError {
    fn value((setting, problem): (&'static str, String)) -> Self {
        Self::Value { setting, problem }
    }
}

/// One line for every mistake: what, at which setting, in which source.
fn describe(error: &figment::Error, path: Option<&Path>) -> String {
    let one = |e: figment::Error| {
        let mut line = without_values(&e);
        if !e.path.is_empty() {
            line = format!("{}: {line}", e.path.join("."));
        }
        match (e.metadata.as_ref().map(|m| m.name.as_ref()), path) {
            (Some(name), _) if name.starts_with("environment") => format!("{line} (in {name})"),
            (_, Some(path)) => format!("{line} (in {})", path.display()),
            _ => line,
        }
    };
    error.clone().into_iter().map(one).collect::<Vec<_>>().join("; ")
}

/// The problem in words, without a line of the file and without a value of a
/// section that holds secrets: this text is printed.
fn without_values(error: &figment::Error) -> String {
    use figment::error::Kind;
    let secret = ["auth", "dashboard", "page", "storage"];
    let secret = error.path.first().is_some_and(|section| secret.contains(&section.as_str()));
    match &error.kind {
        Kind::InvalidType(_, expected) if secret => format!("wrong type, expected {expected}"),
        Kind::InvalidValue(_, expected) if secret => format!("bad value, expected {expected}"),
        Kind::InvalidLength(_, expected) if secret => format!("bad length, expected {expected}"),
        // The file is no TOML: first line says where, the last what; between them
        // stands the file's own line.
        Kind::Message(text) if text.starts_with("TOML parse error") => {
            let lines: Vec<_> = text.lines().filter(|line| !line.contains('|')).collect();
            lines.join(": ")
        }
        kind => kind.to_string().replace('`', ""),
    }
}

#[cfg(test)]
mod tests;
