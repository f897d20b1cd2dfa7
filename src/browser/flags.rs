//! Chromium's command line, as a pure function of what is wanted.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::Surface;
use crate::job::BrowserOptions;

/// Everything the command line depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inputs<'a> {
    /// What the recording or the test asked for.
    pub(super) options: &'a BrowserOptions,
    /// Where the page is painted.
    pub(super) surface: &'a Surface,
    /// Chromium's `--user-data-dir`.
    pub(super) profile: &'a Path,
    /// Picture (`.mjpeg`, `.y4m`) and sound (`.wav`) of the fake camera and
    /// microphone, if there are to be any.
    pub(super) capture: Option<&'a (PathBuf, PathBuf)>,
    /// `/dev/shm` is too small for Chromium's pictures.
    pub(super) small_shm: bool,
    /// What every connection goes through, if not directly.
    pub(super) proxy: Option<SocketAddr>,
}

/// For every browser.
const ALWAYS: &[&str] = &[
    "--remote-debugging-pipe",
    "--lang=en-US",
    "--disable-gpu",
    "--disable-gpu-process-crash-limit",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    // Decoders with one thread: the usual two or more spend a tenth on handing over.
    "--video-threads=1",
    "--autoplay-policy=no-user-gesture-required",
    "--deny-permission-prompts",
    // A page that is painted nowhere else must not be slowed down.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    // Bars, bubbles and dialogs of the browser itself would be recorded.
    "--no-first-run",
    "--no-default-browser-check",
    "--noerrdialogs",
    "--disable-hang-monitor",
    "--disable-infobars",
    "--disable-prompt-on-repost",
    "--disable-search-engine-choice-screen",
    // It talks to the meeting and to nobody else.
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-component-extensions-with-background-pages",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-field-trial-config",
    "--disable-quic",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-pings",
    // No desktop keyring exists to ask.
    "--password-store=basic",
];

/// Features switched off for every browser.
const OFF: &[&str] = &[
    // A page kept for "back" or loaded ahead is a second page under one target.
    "BackForwardCache",
    "Prerender2",
    // An address given as http is meant so.
    "HttpsUpgrades",
    "MediaRouter",
    "OptimizationHints",
    // Its bubble would be recorded.
    "Translate",
];

/// The arguments after the program's name.
pub(super) fn flags(inputs: &Inputs<'_>) -> Vec<String> {
    let options = inputs.options;
    let mut flags: Vec<String> = ALWAYS.iter().map(ToString::to_string).collect();
    let mut off: Vec<&str> = OFF.to_vec();
    flags.push(format!("--user-data-dir={}", inputs.profile.display()));
    match inputs.surface {
        Surface::Screen { width, height, .. } => flags.extend([
            "--ozone-platform=wayland".into(),
            "--kiosk".into(),
            "--window-position=0,0".into(),
            format!("--window-size={width},{height}"),
            // A window of one page: one with tabs is never narrower than 532
            // pixels, and a page that opens another covers itself with it.
            "--app=data:text/html,".into(),
        ]),
        Surface::Headless { width, height } => flags.extend([
            "--headless=new".into(),
            "--mute-audio".into(),
            format!("--window-size={width},{height}"),
            "about:blank".into(),
        ]),
    }
    if options.loopback_webrtc {
        flags.push("--allow-loopback-in-peer-connection".into());
        off.push("WebRtcHideLocalIpsWithMdns");
    }
    if let Some((picture, sound)) = inputs.capture {
        flags.extend([
            // The fake prompt says yes before the denied one is asked.
            "--use-fake-ui-for-media-stream".into(),
            "--use-fake-device-for-media-stream".into(),
            format!("--use-file-for-fake-video-capture={}", picture.display()),
            format!("--use-file-for-fake-audio-capture={}", sound.display()),
        ]);
    }
    if inputs.small_shm {
        flags.push("--disable-dev-shm-usage".into());
    }
    // Where there is a guarding proxy, that is what goes on through this one.
    if !options.proxy.is_empty() && inputs.proxy.is_none() {
        flags.push(format!("--proxy-server={}", options.proxy));
    }
    if options.no_sandbox {
        flags.push("--no-sandbox".into());
    }
    // Chromium takes only the last list of features: the two are made one.
    for flag in &options.extra_flags {
        match flag.strip_prefix("--disable-features=") {
            Some(more) => off.extend(more.split(',')),
            None => flags.push(flag.clone()),
        }
    }
    flags.push(format!("--disable-features={}", off.join(",")));
    if let Some(proxy) = inputs.proxy {
        // Last, so that no other flag weakens it. Chromium goes to loopback
        // directly unless told otherwise.
        flags.push(format!("--proxy-server=http://{proxy}"));
        flags.push("--proxy-bypass-list=<-loopback>".into());
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen() -> Surface {
        Surface::Screen {
            wayland_socket: "/r/wayland".into(),
            pulse_socket: "/r/pulse".into(),
            width: 1280,
            height: 720,
        }
    }

    fn headless() -> Surface {
        Surface::Headless { width: 640, height: 480 }
    }

    fn made(
        surface: &Surface,
        options: &BrowserOptions,
        capture: Option<&(PathBuf, PathBuf)>,
        small_shm: bool,
    ) -> Vec<String> {
        let profile = Path::new("/r/profile");
        flags(&Inputs { options, surface, profile, capture, small_shm, proxy: None })
    }

    #[test]
    fn no_wish_weakens_the_proxy() {
        let options = BrowserOptions {
            extra_flags: vec!["--proxy-server=direct://".into(), "--proxy-bypass-list=*".into()],
            ..BrowserOptions::default()
        };
        let flags = flags(&Inputs {
            options: &options,
            surface: &screen(),
            profile: Path::new("/r/profile"),
            capture: None,
            small_shm: false,
            proxy: Some(([127, 0, 0, 1], 4000).into()),
        });
        let last = |name: &str| flags.iter().rfind(|flag| flag.starts_with(name)).cloned();
        assert_eq!(last("--proxy-server").as_deref(), Some("--proxy-server=http://127.0.0.1:4000"));
        assert_eq!(last("--proxy-bypass-list").as_deref(), Some("--proxy-bypass-list=<-loopback>"));
    }

    #[test]
    fn the_recorded_browser_paints_on_our_screen_only() {
        let flags = made(&screen(), &BrowserOptions::default(), None, false);
        for wanted in [
            "--ozone-platform=wayland",
            "--kiosk",
            "--window-position=0,0",
            "--window-size=1280,720",
            "--disable-gpu",
            "--hide-scrollbars",
            "--autoplay-policy=no-user-gesture-required",
            "--deny-permission-prompts",
            "--disable-gpu-process-crash-limit",
            "--force-color-profile=srgb",
            "--remote-debugging-pipe",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-sync",
            "--disable-component-update",
            "--disable-quic",
            "--disable-breakpad",
            "--user-data-dir=/r/profile",
        ] {
            assert!(flags.iter().any(|flag| flag == wanted), "{wanted}");
        }
        assert!(flags.iter().any(|flag| flag.starts_with("--app=data:")));
    }

    #[test]
    fn what_spoils_a_recording_is_never_there_unasked() {
        let flags = made(&screen(), &BrowserOptions::default(), None, false);
        for unwanted in [
            // An information bar of 56 pixels.
            "--enable-automation",
            "--headless",
            "--mute-audio",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--use-fake",
            "--allow-loopback",
            "--enable-unsafe-swiftshader",
            "--remote-debugging-port",
            "--remote-debugging-address",
        ] {
            assert!(!flags.iter().any(|flag| flag.starts_with(unwanted)), "{unwanted}");
        }
        assert!(!flags.iter().any(|flag| flag.contains("WebRtcHideLocalIpsWithMdns")));
    }

    #[test]
    fn each_wish_adds_its_flags() {
        let plain = BrowserOptions::default();
        let capture = (PathBuf::from("/c/a.mjpeg"), PathBuf::from("/c/a.wav"));
        let with = |change: fn(&mut BrowserOptions)| {
            let mut options = plain.clone();
            change(&mut options);
            options
        };
        let loopback = with(|o| o.loopback_webrtc = true);
        let open = with(|o| o.no_sandbox = true);
        let extra = with(|o| o.extra_flags = vec!["--x=1".into()]);
        let cases: &[(Vec<String>, &str)] = &[
            (made(&headless(), &plain, None, false), "--headless=new"),
            (made(&headless(), &plain, None, false), "--window-size=640,480"),
            (made(&headless(), &plain, None, true), "--disable-dev-shm-usage"),
            (made(&headless(), &loopback, None, false), "--allow-loopback-in-peer-connection"),
            (made(&screen(), &open, None, false), "--no-sandbox"),
            (made(&screen(), &extra, None, false), "--x=1"),
            (
                made(&screen(), &plain, Some(&capture), false),
                "--use-file-for-fake-video-capture=/c/a.mjpeg",
            ),
            (
                made(&screen(), &plain, Some(&capture), false),
                "--use-file-for-fake-audio-capture=/c/a.wav",
            ),
            (made(&screen(), &plain, Some(&capture), false), "--use-fake-ui-for-media-stream"),
        ];
        for (flags, wanted) in cases {
            assert!(flags.iter().any(|flag| flag == wanted), "{wanted}: {flags:?}");
        }
        assert!(!made(&headless(), &plain, None, false).iter().any(|f| f.contains("ozone")));
    }

    #[test]
    fn there_is_one_list_of_features_and_it_holds_them_all() {
        let options = BrowserOptions {
            loopback_webrtc: true,
            extra_flags: vec!["--disable-features=One,Two".into()],
            ..BrowserOptions::default()
        };
        let flags = made(&screen(), &options, None, false);
        let lists: Vec<&String> =
            flags.iter().filter(|flag| flag.starts_with("--disable-features=")).collect();
        assert_eq!(lists.len(), 1);
        for feature in ["One", "Two", "WebRtcHideLocalIpsWithMdns", "Translate"] {
            assert!(lists[0].contains(feature), "{feature}");
        }
    }
}
