use super::*;

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
fn mistakes_are_named() {
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: [Case<'_>; 13] = [
        ("[recording]\nfsp = 30", &[], &["recording.fsp", "unknown field"]),
        ("[recorder]\nfps = 30", &[], &["recorder", "unknown field"]),
        ("", &[("ROOMREEL_SERVER__PORT", "1")], &["server.port", "ROOMREEL_SERVER__PORT"]),
        ("[recording]\nfps = \"fast\"", &[], &["recording.fps", "fast"]),
        ("[recording]\nfps = 5", &[], &["recording.fps", "10 to 60"]),
        ("[recording]\ncrf = 52", &[], &["recording.crf", "0 to 51"]),
        ("[recording]\nmax_duration = \"four hours\"", &[], &["recording.max_duration", "\"4h\""]),
        ("[recording]\nstop_grace = 0", &[], &["recording.stop_grace", "\"30s\""]),
        ("[recording]\njoin_timeout = \"0s\"", &[], &["recording.join_timeout", "\"30s\""]),
        ("[data]\ndir = \"\"", &[], &["data.dir", "\"data\""]),
        ("[recording]\nresolution = \"641x480\"", &[], &["recording.resolution", "641 is odd"]),
        ("[server]\nlisten = \"localhost\"", &[], &["server.listen"]),
        ("[server]\nallowed_hosts = [\"*\"]", &[], &["server.allowed_hosts", "name:port"]),
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
