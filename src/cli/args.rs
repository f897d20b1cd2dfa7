//! What can be asked on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use ipnet::IpNet;
use roomreel::config::parse_duration;
use roomreel::job::{EncoderKind, EncoderWish, Preset};
use url::Url;

pub(crate) use self::record::{Browser, Quality, Record};

mod record;

/// Records browser meetings: one MP4 of what a participant saw and heard.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Args {
    /// Show what the recorder does in detail
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Record one meeting page into a file
    Record(Box<Record>),
    /// Run the recording service: an HTTP API, one recorder process per recording
    Serve(Serve),
    /// Run the bundled demo room, with synthetic participants if wanted
    Demo(Demo),
    /// Print a management token for the service's API
    Token(Token),
    /// Say what of this machine and configuration works, and what to do about the rest
    Doctor(super::doctor::Doctor),
    /// Ask the running service whether it can take recordings on
    Health(super::health::Health),
    /// Look at the service's configuration
    Config(Config),
    /// Look at the places that recordings go to
    Storage(Storage),
    /// Upload the file of a recording that failed because no storage took it
    Upload(Upload),
    /// Say which encoders of the picture work on this machine
    Encoders(Encoders),
    /// Make a finished file out of the part file of a recording that was killed
    Salvage(Salvage),
    /// Copy what the service remembers, while it runs
    Backup(super::backup::Backup),
    /// Write what is known of one recording of the service, without secrets
    BugReport(BugReport),
    /// Print the completions of a shell
    Completions(super::reference::Completions),
    /// Print the manual page
    Man(super::reference::Man),
    /// One recording of the service; the spec comes on standard input
    #[command(hide = true)]
    Recorder(Recorder),
    /// Keyframes on standard input to a JPEG on standard output
    #[command(hide = true)]
    Stills(Stills),
    /// Try one encoder of the picture; what is wrong goes to standard output
    #[command(hide = true)]
    EncoderCheck(EncoderCheck),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Address to listen on; loopback only while there are no tokens
    #[arg(long)]
    pub(crate) listen: Option<SocketAddr>,
    /// Directory for recordings
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    /// Configuration file (TOML)
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// A network that a meeting's or a request's webhook URL may lead to although it is
    /// not public, like 10.0.0.0/8; repeatable
    #[arg(long, value_name = "CIDR", value_parser = roomreel::config::parse_network)]
    pub(crate) allow_net: Vec<IpNet>,
    /// Also run the demo room on this address
    #[arg(long, value_name = "ADDR:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:8090")]
    pub(crate) demo: Option<SocketAddr>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Token {
    /// Configuration file (TOML) with the keys
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// Which of auth.keys signs; the first one otherwise
    #[arg(long)]
    pub(crate) access_key: Option<String>,
    /// How long the token is good
    #[arg(long, value_parser = duration, default_value = "24h")]
    pub(crate) life: Duration,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    pub(crate) what: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether the service would start with it
    Check {
        /// Configuration file (TOML)
        #[arg(long)]
        config: Option<PathBuf>,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Storage {
    #[command(subcommand)]
    pub(crate) what: StorageCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StorageCommand {
    /// Write, read, sign and delete a small object, and say what does not work
    Check {
        /// Name of the destination; all of them otherwise
        name: Option<String>,
        /// Configuration file (TOML)
        #[arg(long)]
        config: Option<PathBuf>,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Upload {
    /// The recording's id: 24 hex digits
    pub(crate) id: String,
    /// Configuration file (TOML) of the running service
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// Where the service is reached; http:// and server.listen otherwise
    #[arg(long)]
    pub(crate) url: Option<Url>,
    /// Wait until it is uploaded or given up
    #[arg(long)]
    pub(crate) wait: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Address of the room's page
    #[arg(long, default_value = "127.0.0.1:8090")]
    pub(crate) listen: SocketAddr,
    /// The room that the bots meet in
    #[arg(long, default_value = "demo")]
    pub(crate) room: String,
    /// Synthetic participants, each a headless Chromium of its own
    #[arg(long, default_value_t = 0)]
    pub(crate) bots: usize,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Encoders {
    /// Size and frame rate to try them at
    #[arg(long, default_value_t)]
    pub(crate) preset: Preset,
}

#[derive(Debug, clap::Args)]
pub(crate) struct EncoderCheck {
    /// Which
    #[arg(value_parser = encoder_kind)]
    pub(crate) encoder: EncoderKind,
    /// What it is to encode to, as JSON
    #[arg(long)]
    pub(crate) quality: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Salvage {
    /// The part file, NAME.part.mp4
    pub(crate) part: PathBuf,
    /// The MP4 to write; NAME.mp4 beside the part file otherwise
    #[arg(long, short)]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BugReport {
    /// The recording's id
    pub(crate) id: String,
    /// The service's data directory; the configured one otherwise
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    /// Configuration file (TOML)
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// Where to write it; standard output otherwise
    #[arg(long, short)]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Stills {
    /// The longer edge of every picture at most, in pixels
    #[arg(long)]
    pub(crate) edge: u32,
    /// Pictures in a row
    #[arg(long, default_value_t = 1)]
    pub(crate) columns: u32,
    /// Of the JPEG
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) quality: u8,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Recorder {
    /// The recording's directory
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// Record nothing: finish what a recorder that died left in the directory
    #[arg(long)]
    pub(crate) salvage: bool,
}

fn encoder_kind(text: &str) -> Result<EncoderKind, String> {
    match text.parse().map_err(|bad: roomreel::job::BadSpec| bad.problem)? {
        EncoderWish::One(kind) => Ok(kind),
        EncoderWish::Auto => Err("give one of them".into()),
    }
}

/// A length of time that is longer than nothing.
fn duration(text: &str) -> Result<Duration, String> {
    match any_duration(text)? {
        Duration::ZERO => Err("must be longer than nothing".into()),
        found => Ok(found),
    }
}

/// A length of time that may be nothing.
fn any_duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .ok_or_else(|| "give a time like 30s, 5m or 1h30m, or a number of seconds".into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("2.5"), Ok(Duration::from_millis(2500)));
        assert!(duration("0").is_err());
        assert!(duration("-3s").is_err());
        assert!(duration("soon").is_err());
    }
}
