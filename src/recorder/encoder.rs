//! Which encoder makes the picture of a recording: one that is wanted and passes its
//! self-test here, or x264.
//!
//! The self-test runs in a process of its own, under the rules that this one has: a
//! driver that crashes or hangs takes nothing along.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::job::{EncoderKind, EncoderWish, Quality};

/// How long a self-test may take: a driver may load for seconds.
const LIMIT: Duration = Duration::from_secs(15);

/// What came of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    /// What makes the picture.
    pub(super) encoder: EncoderKind,
    /// Those that were to be preferred, and why they are not used.
    pub(super) refused: Vec<(EncoderKind, String)>,
}

impl Choice {
    /// The one line that says why it is x264, if somebody wanted another.
    pub(super) fn fallback(&self) -> Option<String> {
        let refused: Vec<String> =
            self.refused.iter().map(|(kind, why)| format!("{kind}: {why}")).collect();
        (self.encoder == EncoderKind::X264 && !refused.is_empty()).then(|| {
            format!("x264 makes the picture, as nothing else works here: {}", refused.join("; "))
        })
    }
}

/// Tries what is wanted, best first.
pub(super) async fn choose(quality: Quality) -> Choice {
    choose_by(quality.encoder, |kind| check(kind, quality)).await
}

async fn choose_by<F>(wish: EncoderWish, mut test: impl FnMut(EncoderKind) -> F) -> Choice
where
    F: Future<Output = Result<(), String>>,
{
    let mut refused = Vec::new();
    for &kind in wish.candidates() {
        match test(kind).await {
            Ok(()) => return Choice { encoder: kind, refused },
            Err(why) => refused.push((kind, why)),
        }
    }
    Choice { encoder: EncoderKind::X264, refused }
}

/// The self-test of one encoder.
///
/// # Errors
/// A sentence with the reason why it cannot be used.
pub async fn check(kind: EncoderKind, quality: Quality) -> Result<(), String> {
    let quality = serde_json::to_string(&quality).map_err(|error| error.to_string())?;
    // This very binary, also when another has taken its place on the disk.
    let mut command = Command::new("/proc/self/exe");
    command.args(["encoder-check", kind.name(), "--quality", &quality]);
    run(command, LIMIT).await
}

async fn run(mut command: Command, limit: Duration) -> Result<(), String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let child = command.spawn().map_err(|error| format!("it cannot be tried: {error}"))?;
    let Ok(done) = tokio::time::timeout(limit, child.wait_with_output()).await else {
        return Err(format!("its self-test did not end within {limit:?}"));
    };
    let done = done.map_err(|error| format!("it cannot be tried: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    let Some(why) = last_line(&done.stdout) else {
        return Err(format!("its self-test ended with {}", done.status));
    };
    // What libavcodec says of it knows more than its error code.
    let said = String::from_utf8_lossy(&done.stderr);
    let mut codec = said.lines().rev().filter_map(|line| line.strip_prefix('[')?.split_once("] "));
    Err(match codec.next() {
        Some((_, said)) => format!("{why} ({})", said.trim()),
        None => why,
    })
}

fn last_line(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn chosen(wish: &str, works: &[EncoderKind]) -> (Choice, Vec<EncoderKind>) {
        let mut tried = Vec::new();
        let choice = choose_by(wish.parse().unwrap(), |kind| {
            tried.push(kind);
            std::future::ready(if works.contains(&kind) { Ok(()) } else { Err("no".into()) })
        })
        .await;
        (choice, tried)
    }

    #[tokio::test]
    async fn the_first_that_works_is_taken_and_x264_needs_no_trial() {
        use EncoderKind::{Nvenc, Qsv, Vaapi, X264};
        for (wish, works, encoder, tried) in [
            ("x264", &[Nvenc][..], X264, &[][..]),
            ("nvenc", &[Nvenc], Nvenc, &[Nvenc]),
            ("nvenc", &[Vaapi], X264, &[Nvenc]),
            ("vaapi", &[Vaapi], Vaapi, &[Vaapi]),
            ("auto", &[Nvenc, Qsv, Vaapi], Nvenc, &[Nvenc]),
            ("auto", &[Vaapi], Vaapi, &[Nvenc, Qsv, Vaapi]),
            ("auto", &[], X264, &[Nvenc, Qsv, Vaapi]),
        ] {
            let (choice, found) = chosen(wish, works).await;
            assert_eq!((choice.encoder, &found[..]), (encoder, tried), "{wish} {works:?}");
            // Told whenever x264 is not what was wanted.
            let told = choice.fallback();
            assert_eq!(told.is_some(), encoder == X264 && wish != "x264", "{told:?}");
        }
        let told = chosen("auto", &[]).await.0.fallback().unwrap();
        assert!(told.contains("nvenc: no; qsv: no; vaapi: no"), "{told}");
    }

    /// A stand-in for the self-test: a shell that does what a driver may.
    async fn tested(script: &str) -> Result<(), String> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        run(command, Duration::from_millis(500)).await
    }

    #[tokio::test]
    async fn a_self_test_that_crashes_hangs_or_complains_is_a_reason() {
        assert_eq!(tested("exit 0").await, Ok(()));
        let said = tested("echo it failed; echo '[h264_x @ 0x1] Cannot load it' >&2; exit 1").await;
        assert_eq!(said, Err("it failed (Cannot load it)".into()));
        let crashed = tested("kill -SEGV $$").await.unwrap_err();
        assert!(crashed.contains("signal: 11"), "{crashed}");
        let hung = tested("exec sleep 60").await.unwrap_err();
        assert!(hung.contains("did not end within 500ms"), "{hung}");
        let missing = run(Command::new("/nonexistent"), LIMIT).await.unwrap_err();
        assert!(missing.contains("cannot be tried"), "{missing}");
    }
}
