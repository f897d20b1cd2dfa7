//! The programs and libraries that recordings are made with.

use super::Finding;
use crate::browser::find_program;
use crate::config::Config;
use crate::encode::{REQUIRED, offered};

/// Is there a Chromium?
pub(super) fn chromium(config: &Config) -> Finding {
    match find_program(config.browser.options().program.as_deref()) {
        Ok(program) => Finding::ok("chromium", program.display().to_string()),
        Err(error) => Finding::fail(
            "chromium",
            error.to_string(),
            "install the package `chromium`, or name the binary in browser.program",
        ),
    }
}

/// Has FFmpeg been built with what is needed? Hardware encoders are only named: which
/// of them there is a chip for, whoever opens them knows.
pub(super) fn encoders() -> Finding {
    judge(&offered())
}

fn judge(offered: &[&str]) -> Finding {
    let missing: Vec<&str> =
        REQUIRED.iter().copied().filter(|name| !offered.contains(name)).collect();
    if missing.is_empty() {
        return Finding::ok("encoders", format!("FFmpeg has {}", offered.join(", ")));
    }
    Finding::fail(
        "encoders",
        format!("FFmpeg was built without {}", missing.join(" and ")),
        "install the distribution's own libavcodec (Debian's has both)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn a_missing_encoder_is_named() {
        assert_eq!(judge(&["libx264", "aac", "h264_nvenc"]).level, Level::Ok);
        let without = judge(&["h264_nvenc", "aac"]);
        assert_eq!(without.level, Level::Fail);
        assert!(without.found.ends_with("without libx264"), "{without}");
        assert!(judge(&[]).found.ends_with("without libx264 and aac"));
    }

    #[test]
    fn this_machine_can_encode() {
        assert_eq!(encoders().level, Level::Ok);
    }

    #[test]
    fn no_chromium_is_a_failure_that_says_what_to_install() {
        let mut config = Config::default();
        config.browser.program = "/nowhere/chromium".into();
        let finding = chromium(&config);
        assert_eq!(finding.level, Level::Fail);
        assert!(finding.to_string().contains("/nowhere/chromium"), "{finding}");
        assert!(finding.advice.unwrap().contains("`chromium`"));
    }
}
