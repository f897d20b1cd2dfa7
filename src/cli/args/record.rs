//! What `roomreel record` can be asked.

use std::path::PathBuf;
use std::time::Duration;

use roomreel::job::{
    EncoderWish, JoinRule, PresenceRule, Preset, QualityWish, Resolution, TrimEmpty,
};

use super::{any_duration, duration};

#[derive(Debug, clap::Args)]
pub(crate) struct Record {
    /// The page to record; it must land in the meeting by loading
    pub(crate) meeting_url: String,
    /// The MP4 to write; it grows beside it as NAME.part.mp4
    #[arg(long, short)]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) quality: Quality,
    /// Record the sound alone
    #[arg(long)]
    pub(crate) audio_only: bool,
    /// End by itself after this much recording, like 30s, 5m or 1h30m
    #[arg(long, value_parser = duration, default_value = "4h")]
    pub(crate) duration: Duration,
    /// The bot's name: put into the URL's `name` parameter; others of that name are nobody
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// What counts as joined: auto, signal, media or load
    #[arg(long, default_value = "load")]
    pub(crate) join: JoinRule,
    /// How long one load of the page may take to be joined
    #[arg(long, value_parser = duration, default_value = "30s")]
    pub(crate) join_timeout: Duration,
    /// How often the page is loaded again before giving up
    #[arg(long, default_value_t = 0)]
    pub(crate) join_reloads: u32,
    #[command(flatten)]
    pub(crate) presence: Presence,
    /// Write what happens to this file, one JSON event a line
    #[arg(long)]
    pub(crate) journal: Option<PathBuf>,
    /// TOML file of what the page is opened with: headers, cookies, basic_auth, css, locale,
    /// time_zone
    #[arg(long, value_name = "FILE")]
    pub(crate) page: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) browser: Browser,
}

/// What it is encoded to; what is absent is as usual.
#[derive(Debug, clap::Args)]
pub(crate) struct Quality {
    /// Size and frame rate by name, like 720p30 or portrait-1080p60
    #[arg(long, default_value_t)]
    pub(crate) preset: Preset,
    /// Size of the picture: width 500-1920, height 480-1920, one side at most 1080, both even;
    /// the preset's otherwise
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    pub(crate) resolution: Option<Resolution>,
    /// Frames per second, 10 to 60; the preset's otherwise
    #[arg(long)]
    pub(crate) fps: Option<u32>,
    /// Constant quality: x264's rate factor, 0 (best) to 51; 25 where neither this nor a bitrate
    /// is given
    #[arg(long, conflicts_with = "bitrate")]
    pub(crate) crf: Option<u8>,
    /// A bitrate of the picture in kb/s instead
    #[arg(long, value_name = "KBPS")]
    pub(crate) bitrate: Option<u32>,
    /// Time from keyframe to keyframe, 0.5s to 20s
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "4s")]
    pub(crate) keyframe_interval: Duration,
    /// Bitrate of the sound in kb/s, 32 to 320
    #[arg(long, value_name = "KBPS", default_value_t = roomreel::job::Quality::default().audio_bitrate)]
    pub(crate) audio_bitrate: u32,
    /// What makes the picture: auto, x264, nvenc, vaapi or qsv; x264 where that does not work
    #[arg(long, default_value_t)]
    pub(crate) encoder: EncoderWish,
}

/// When it ends because of who is there.
#[derive(Debug, clap::Args)]
pub(crate) struct Presence {
    /// End by itself when the room has been empty for this long
    #[arg(long, value_parser = duration, default_value = "5m")]
    pub(crate) empty_timeout: Duration,
    /// Give up when nobody has come for this long
    #[arg(long, value_parser = duration, default_value = "5m")]
    pub(crate) nobody_timeout: Duration,
    /// End by itself when no media has come from anybody for this long; never otherwise
    #[arg(long, value_parser = duration)]
    pub(crate) no_media_timeout: Option<Duration>,
    /// A role that is nobody, besides every __internal one; repeatable
    #[arg(long = "ignore-role", value_name = "ROLE")]
    pub(crate) ignore_roles: Vec<String>,
    /// A name that is nobody: another recorder's, for example; repeatable
    #[arg(long = "ignore-name", value_name = "NAME")]
    pub(crate) ignore_names: Vec<String>,
    /// Ask this JavaScript expression who is there, instead of the probes
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) presence_expression: Option<String>,
    /// Whether the file leaves the empty end out: never, automatic or always
    #[arg(long, default_value = "automatic")]
    pub(crate) trim_empty: TrimEmpty,
    /// How much of the empty end stays in the file, 0s to 60s
    #[arg(long, value_parser = any_duration, default_value = "3s")]
    pub(crate) keep_empty: Duration,
    /// Let the file begin when somebody is there
    #[arg(long)]
    pub(crate) trim_start: bool,
}

/// How Chromium is run.
#[derive(Debug, clap::Args)]
pub(crate) struct Browser {
    /// The Chromium binary; looked for in the usual places otherwise
    #[arg(long, env = "ROOMREEL_BROWSER")]
    pub(crate) browser: Option<PathBuf>,
    /// Give the page a black and silent camera and microphone
    #[arg(long)]
    pub(crate) fake_media: bool,
    /// Let WebRTC run between browsers of this machine without a network
    #[arg(long)]
    pub(crate) loopback_webrtc: bool,
    /// Turn Chromium's sandbox off; only for machines that cannot have one
    #[arg(long)]
    pub(crate) no_sandbox: bool,
    /// Proxy of everything but loopback, like http://proxy.internal:3128
    #[arg(long, default_value = "")]
    pub(crate) proxy: String,
    /// PEM file of a certificate authority that is trusted, too; repeatable
    #[arg(long = "ca-file", value_name = "FILE")]
    pub(crate) ca_files: Vec<PathBuf>,
    /// A further flag for Chromium, as it is; repeatable
    #[arg(long = "browser-flag", value_name = "FLAG", allow_hyphen_values = true)]
    pub(crate) extra_flags: Vec<String>,
}

impl From<Quality> for QualityWish {
    fn from(args: Quality) -> Self {
        Self {
            preset: Some(args.preset),
            resolution: args.resolution,
            fps: args.fps,
            crf: args.crf,
            bitrate: args.bitrate,
            keyframe_interval_s: Some(args.keyframe_interval.as_secs_f64()),
            audio_bitrate: Some(args.audio_bitrate),
            encoder: Some(args.encoder),
        }
    }
}

impl From<Presence> for PresenceRule {
    fn from(args: Presence) -> Self {
        Self {
            empty_timeout_s: args.empty_timeout.as_secs_f64(),
            nobody_timeout_s: args.nobody_timeout.as_secs_f64(),
            no_media_timeout_s: args.no_media_timeout.map(|time| time.as_secs_f64()),
            ignore_roles: args.ignore_roles,
            ignore_names: args.ignore_names,
            expression: args.presence_expression,
            trim_empty: args.trim_empty,
            keep_empty_s: args.keep_empty.as_secs_f64(),
            trim_start: args.trim_start,
        }
    }
}

impl From<Browser> for roomreel::job::BrowserOptions {
    fn from(args: Browser) -> Self {
        Self {
            program: args.browser,
            fake_media: args.fake_media,
            loopback_webrtc: args.loopback_webrtc,
            no_sandbox: args.no_sandbox,
            proxy: args.proxy,
            ca_files: args.ca_files,
            extra_flags: args.extra_flags,
            // Whoever records by hand watches it himself.
            memory_limit: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::super::{Args, Command};
    use super::*;

    /// What `record` makes of these options.
    fn presence(options: &[&str]) -> PresenceRule {
        let line = ["roomreel", "record", "http://x.test/", "-o", "o.mp4"];
        let args = Args::try_parse_from(line.iter().chain(options)).unwrap();
        let Command::Record(record) = args.command else { panic!("another command") };
        record.presence.into()
    }

    #[test]
    fn presence_is_as_configured_where_no_option_says_otherwise() {
        assert_eq!(presence(&[]), PresenceRule::default());
    }

    #[test]
    fn each_setting_of_presence_has_its_option() {
        let times =
            ["--empty-timeout", "1m", "--nobody-timeout", "90s", "--no-media-timeout", "2m"];
        let nobody =
            ["--ignore-role", "camera", "--ignore-role", "viewer", "--ignore-name", "Beam"];
        let trim = ["--trim-empty", "always", "--keep-empty", "0s", "--trim-start"];
        let own = ["--presence-expression", "1 + 1"];
        let all: Vec<&str> =
            times.iter().chain(&nobody).chain(&trim).chain(&own).copied().collect();
        let expected = PresenceRule {
            empty_timeout_s: 60.0,
            nobody_timeout_s: 90.0,
            no_media_timeout_s: Some(120.0),
            ignore_roles: vec!["camera".into(), "viewer".into()],
            ignore_names: vec!["Beam".into()],
            expression: Some("1 + 1".into()),
            trim_empty: TrimEmpty::Always,
            keep_empty_s: 0.0,
            trim_start: true,
        };
        assert_eq!(presence(&all), expected);
    }

    #[test]
    fn without_options_the_quality_is_the_usual_one() {
        let line = ["roomreel", "record", "http://x.test/", "-o", "o.mp4"];
        let Command::Record(record) = Args::try_parse_from(line).unwrap().command else {
            panic!("another command")
        };
        let usual = roomreel::job::Quality::default();
        assert_eq!(QualityWish::from(record.quality).over(usual), Ok(usual));
    }

    /// The table of the README has what `record --help` has, with the same defaults.
    #[test]
    fn the_readme_knows_every_option_of_record() {
        let readme = include_str!("../../../README.md");
        let mut command = Args::command();
        command.build();
        let record = command.find_subcommand("record").unwrap();
        // Of the flags of Chromium the help alone tells.
        let left_out = ["help", "verbose", "output", "browser", "browser-flag", "no-sandbox"];
        for option in record.get_arguments().filter(|option| !option.is_hide_set()) {
            let Some(long) = option.get_long().filter(|long| !left_out.contains(long)) else {
                continue;
            };
            let row = readme.lines().find(|line| {
                let told = line.split('|').nth(1).unwrap_or_default();
                told.starts_with(" `--") && told.split(['`', ' ']).any(|w| w == format!("--{long}"))
            });
            let row = row.unwrap_or_else(|| panic!("--{long} is not in README.md"));
            if let [default] = option.get_default_values()
                && !default.is_empty()
                && option.get_action().takes_values()
            {
                let default = default.to_string_lossy();
                let told = row.split('|').nth(2).unwrap().trim();
                assert_eq!(told, default, "--{long}");
            }
        }
    }
}
