use std::time::Duration;

use serde_json::json;

use super::*;
use crate::job::Rate;

fn load(toml: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), toml).unwrap();
    Config::load(Some(file.path()), env.iter().map(|(k, v)| (k.into(), v.into())))
}

fn example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn nothing_given_is_the_default() {
    assert_eq!(Config::load(None, []).unwrap(), Config::default());
    assert_eq!(load("", &[]).unwrap(), Config::default());
}

#[test]
fn the_example_is_the_default() {
    assert_eq!(load(&example(), &[]).unwrap(), Config::default());
    let live = example()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with([' ', '#']) => setting,
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n");
    assert_eq!(load(&live, &[]).unwrap(), Config::default());
}

#[test]
fn the_example_lists_every_setting() {
    let settings = serde_json::to_value(Config::default()).unwrap();
    let example = example();
    for (section, keys) in settings.as_object().unwrap() {
        let (_, after) = example.split_once(&format!("\n[{section}]\n")).expect(section);
        let here = after.split("\n[").next().unwrap();
        for key in keys.as_object().unwrap().keys() {
            let setting = format!("#{key} = ");
            assert!(here.lines().any(|l| l.starts_with(&setting)), "[{section}] {key} is missing");
        }
    }
}

/// The tables of a list are shown behind `# `, so that the default stays empty.
#[test]
fn the_example_shows_an_entry_of_each_list_with_every_setting() {
    let example = example();
    let shown = |table: &str| {
        let lines = example.lines().skip_while(|line| *line != format!("# [[{table}]]"));
        lines.map_while(|line| line.strip_prefix("# ")).collect::<Vec<_>>().join("\n")
    };
    let (endpoints, sites) = (shown("webhooks.endpoints"), shown("page.sites"));
    let senders = shown("hooks.senders");
    let config = load(&format!("{endpoints}\n{sites}\n{senders}"), &[]).unwrap();
    let entries = [
        (endpoints, serde_json::to_value(&config.webhooks.endpoints[0]).unwrap()),
        (sites, serde_json::to_value(&config.page.sites[0]).unwrap()),
        (senders, serde_json::to_value(&config.hooks.senders[0]).unwrap()),
    ];
    for (shown, settings) in entries {
        for (key, value) in settings.as_object().unwrap() {
            assert!(shown.contains(&format!("\n{key} = ")), "{key} is missing");
            assert!(
                ![json!([]), json!({}), json!(""), json!(null)].contains(value),
                "{key} is empty"
            );
        }
    }
}

#[test]
fn mistakes_in_senders_are_named() {
    let cases: [(&str, &[&str]); 7] = [
        ("name = \"\"\nheaders = { A = \"0123456789abcdef\" }", &["hooks.senders", "name"]),
        ("name = \"a\"", &["\"a\"", "headers or secrets"]),
        ("name = \"a\"\nheaders = { X = \"s3cret\" }", &["\"X\"", "16 characters"]),
        ("name = \"a\"\nheaders = { \"X Y\" = \"s3cret\" }", &["\"X Y\" is no name"]),
        ("name = \"a\"\nsecrets = [\"whsec_s3cret\"]", &["\"a\": secrets", "openssl"]),
        ("name = \"a\"\nsecret = \"s3cret\"", &["secret", "unknown field"]),
        (
            "name = \"a\"\nheaders = { A = \"0123456789abcdef\" }\n[[hooks.senders]]\n\
             name = \"a\"\nheaders = { A = \"0123456789abcdef\" }",
            &["\"a\": is there twice"],
        ),
    ];
    for (toml, needles) in cases {
        let error = load(&format!("[[hooks.senders]]\n{toml}"), &[]).unwrap_err().to_string();
        for needle in needles {
            assert!(error.contains(needle), "{needle:?} is not in {error:?}");
        }
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[test]
fn rules_that_cannot_work_are_named() {
    let template = "[meeting]\nurl_template = \"https://meet.example/{room_id}\"\n";
    for (settings, needle) in [
        ("start_on_open = true", "automation.start_on_open: needs meeting.url_template"),
        ("start_on_join = true", "automation.start_on_join: needs meeting.url_template"),
        ("start_within = 0", "automation.start_within"),
        ("bot_roles = [\"\"]", "automation.bot_roles: each must be a name"),
        ("bot_names = [\"\"]", "automation.bot_names"),
        ("join_roles = [\"\"]", "automation.join_roles"),
    ] {
        let error = load(&format!("[automation]\n{settings}"), &[]).unwrap_err().to_string();
        assert!(error.contains(needle), "{error}");
    }
    let rules = "[automation]\nstart_on_open = true\nalone_grace = \"10s\"\n";
    assert!(load(&format!("{template}{rules}"), &[]).unwrap().automation.start_on_open);
    assert!(load("[hooks]\nsession_max = 0", &[]).unwrap_err().to_string().contains("session_max"));
}

#[test]
fn the_example_shows_a_destination_that_is_good() {
    let example = example();
    let shown = example.lines().skip_while(|line| *line != "# [[storage.destinations]]");
    let shown = shown.map_while(|line| line.strip_prefix("# ")).collect::<Vec<_>>().join("\n");
    let config = load(&shown, &[]).unwrap();
    let [destination] = &config.storage.destinations[..] else { panic!("{shown}") };
    let settings = serde_json::to_value(destination).unwrap();
    for (key, value) in settings.as_object().unwrap() {
        if ["dir", "credentials_file"].contains(&key.as_str()) {
            continue;
        }
        assert!(shown.contains(&format!("\n{key} = ")), "{key} is missing");
        assert!(![json!(null), json!(""), json!(0)].contains(value), "{key} is empty");
    }
    assert_eq!(settings["secret"], "***");
}

#[test]
fn a_bad_destination_is_named_and_its_secret_is_not() {
    let table = |rest: &str| {
        let head = "[[storage.destinations]]\nname = \"main\"\nkind = \"s3\"\nbucket = \"b\"\n";
        let keys = "key = \"AKIA\"\nsecret = \"s3cr3t\"\n";
        load(&format!("{head}{keys}{rest}"), &[])
    };
    assert!(table("").is_ok());
    for (rest, said) in [
        ("backup = \"main\"", "backup: must be another"),
        ("backup = \"other\"", "\"other\" is not configured"),
        ("presign_duration = \"8d\"", "604800"),
        ("part_mib = \"s3cr3t\"", "part_mib"),
        ("[[storage.destinations]]\nname = \"main\"\nkind = \"fs\"", "is there twice"),
    ] {
        let error = table(rest).unwrap_err().to_string();
        assert!(error.contains(said) && !error.contains("s3cr3t"), "{error}");
    }
}

#[test]
fn lists_of_tables_fit_into_a_variable() {
    let endpoints =
        r#"[{name="a",url="https://a.example/?x=1",secrets=[]},{name="b",url="http://b/"}]"#;
    let config = load("", &[("ROOMREEL_WEBHOOKS__ENDPOINTS", endpoints)]).unwrap();
    let urls: Vec<_> = config.webhooks.endpoints.iter().map(|e| e.url.expose()).collect();
    assert_eq!(urls, ["https://a.example/?x=1", "http://b/"]);
}

#[test]
fn networks_and_single_addresses_are_allowed() {
    let config = load("[net]\nallow = [\"10.1.2.3/8\", \"::1\"]", &[]).unwrap();
    let allowed: Vec<_> = config.net.allow.iter().map(ToString::to_string).collect();
    assert_eq!(allowed, ["10.0.0.0/8", "::1/128"]);
}

#[test]
fn mistakes_in_endpoints_are_named() {
    let good = "name = \"app\"\nurl = \"https://app.example/\"\n";
    let cases: [(String, &[&str]); 11] = [
        ("url = \"https://a/\"".into(), &["webhooks.endpoints", "name"]),
        ("name = \"app\"".into(), &["webhooks.endpoints", "url"]),
        ("name = \"request\"\nurl = \"https://a/\"".into(), &["\"request\"", "another"]),
        ("name = \"a b\"\nurl = \"https://a/\"".into(), &["\"a b\": name", "letters"]),
        ("name = \"app\"\nurl = \"ftp://s3cret/\"".into(), &["\"app\": url", "http or https"]),
        (format!("{good}secret = \"x\""), &["secret", "unknown field"]),
        (format!("{good}secrets = [\"whsec_s3cret\"]"), &["\"app\": secrets", "openssl"]),
        (format!("{good}secrets = [\"czNjcmV0\"]"), &["\"app\": secrets", "24 to 64 bytes"]),
        (format!("{good}events = [\"beam.start\"]"), &["beam.start", "beam.started.success"]),
        (format!("{good}headers = {{ Host = \"s3cret\" }}"), &["\"Host\"", "leave it out"]),
        (format!("{good}[[webhooks.endpoints]]\n{good}"), &["\"app\" is there twice"]),
    ];
    for (toml, needles) in cases {
        let error = load(&format!("[[webhooks.endpoints]]\n{toml}"), &[]).unwrap_err().to_string();
        for needle in needles {
            assert!(error.contains(needle), "{needle:?} is not in {error:?}");
        }
        assert!(!error.contains("s3cret"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn the_environment_wins_over_the_file() {
    let file = "[server]\nlisten = \"127.0.0.1:9000\"\n[recording]\nfps = 25\nmax_duration = 90\n";
    let env = [
        ("ROOMREEL_RECORDING__FPS", "50"),
        ("ROOMREEL_RECORDING__STOP_GRACE", "5m"),
        ("ROOMREEL_RECORDING__RESOLUTION", "720x1280"),
        ("ROOMREEL_SERVER__ALLOWED_HOSTS", "[\"recorder.internal\"]"),
        ("ROOMREEL_BROWSER__NO_SANDBOX", "true"),
        ("ROOMREEL_LOG", "debug"),
        ("PATH", "/bin"),
    ];
    let config = load(file, &env).unwrap();
    assert_eq!(config.server.listen.port(), 9000);
    assert_eq!(config.server.allowed_hosts, ["recorder.internal"]);
    assert_eq!(config.recording.fps, 50);
    assert_eq!(config.recording.max_duration, Duration::from_secs(90));
    assert_eq!(config.recording.stop_grace, Duration::from_secs(300));
    assert_eq!(config.recording.resolution.to_string(), "720x1280");
    assert!(config.browser.no_sandbox);
}

#[test]
fn a_preset_is_what_nobody_says_otherwise() {
    let quality = |settings: &str, env: &[(&str, &str)]| {
        load(&format!("[recording]\n{settings}"), env).unwrap().recording.quality()
    };
    assert_eq!(quality("", &[]), crate::job::Quality::default());
    let preset = quality("preset = \"portrait-1080p60\"", &[]);
    assert_eq!((preset.resolution.to_string(), preset.fps), ("1080x1920".into(), 60));
    let own = quality("preset = \"1080p60\"\nfps = 25\nbitrate = 3000\naudio_bitrate = 96", &[]);
    assert_eq!((own.resolution.to_string(), own.fps), ("1920x1080".into(), 25));
    assert_eq!((own.rate, own.audio_bitrate), (Rate::Bitrate(3000), 96));
    let env = quality("resolution = \"640x480\"", &[("ROOMREEL_RECORDING__PRESET", "720p60")]);
    assert_eq!((env.resolution.to_string(), env.fps), ("640x480".into(), 60));
    // A bitrate that is taken back leaves the quality that stood beside it.
    assert_eq!(quality("crf = 20\nbitrate = 0", &[]).rate, Rate::Crf(20));
    assert_eq!(quality("keyframe_interval = \"2.5s\"", &[]).keyframe_interval_s, 2.5);
}

#[test]
fn mistakes_are_named() {
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: [Case<'_>; 25] = [
        ("[recording]\nfsp = 30", &[], &["recording.fsp", "unknown field"]),
        ("[recorder]\nfps = 30", &[], &["recorder", "unknown field"]),
        ("", &[("ROOMREEL_SERVER__PORT", "1")], &["server.port", "ROOMREEL_SERVER__PORT"]),
        ("[recording]\nfps = \"fast\"", &[], &["recording.fps", "fast"]),
        ("[recording]\nfps = 5", &[], &["recording.fps", "10 to 60"]),
        ("[recording]\ncrf = 52", &[], &["recording.crf", "0 to 51"]),
        ("[recording]\npreset = \"4k\"", &[], &["recording.preset", "4k", "1080p60"]),
        ("[recording]\nbitrate = 50", &[], &["recording.bitrate", "139 to 40000 kb/s"]),
        ("[recording]\nkeyframe_interval = 0", &[], &["recording.keyframe_interval", "0.5 to 20"]),
        ("[recording]\naudio_bitrate = 128000", &[], &["recording.audio_bitrate", "32 to 320"]),
        ("[recording]\ncrf = 20\nbitrate = 2000", &[], &["recording.bitrate", "excludes", "crf"]),
        (
            "[recording]\ncrf = 20",
            &[("ROOMREEL_RECORDING__BITRATE", "2000")],
            &["recording.bitrate", "excludes"],
        ),
        ("[recording]\nmax_duration = \"four hours\"", &[], &["recording.max_duration", "\"4h\""]),
        ("[recording]\nstop_grace = 0", &[], &["recording.stop_grace", "\"30s\""]),
        ("[recording]\njoin_timeout = \"0s\"", &[], &["recording.join_timeout", "\"30s\""]),
        ("[presence]\nempty_timeout = 0", &[], &["presence.empty_timeout", "1 to 86400"]),
        ("[presence]\ntrim_empty = true", &[], &["presence.trim_empty"]),
        ("[data]\ndir = \"\"", &[], &["data.dir", "\"data\""]),
        ("[recording]\nresolution = \"641x480\"", &[], &["recording.resolution", "641 is odd"]),
        ("[server]\nlisten = \"localhost\"", &[], &["server.listen"]),
        ("[server]\nallowed_hosts = [\"*\"]", &[], &["server.allowed_hosts", "name:port"]),
        ("[net]\nallow = [\"inside\"]", &[], &["net.allow", "inside", "10.0.0.0/8"]),
        ("[webhooks]\nretries = [\"1s\", 0]", &[], &["webhooks.retries", "\"1s\""]),
        ("[webhooks]\ntimeout = 0", &[], &["webhooks.timeout", "\"10s\""]),
        ("[webhooks]\nproxy = \"socks\"", &[], &["webhooks.proxy", "http://"]),
    ];
    for (toml, env, needles) in cases {
        let error = load(toml, env).unwrap_err().to_string();
        for needle in needles {
            assert!(error.contains(needle), "{needle:?} is not in {error:?}");
        }
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let error = Config::load(Some(Path::new("no/such.toml")), []).unwrap_err().to_string();
    assert!(error.contains("no/such.toml"), "{error}");
}
