//! The directories and files that one browser lives in.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::user::User;
use super::{BrowserError, trust};

/// Below this much free space in `/dev/shm`, Chromium runs out while painting.
const ENOUGH_SHM: u64 = 512 << 20;

/// Size of the black camera picture; one frame, shown over and over.
const BLACK: (usize, usize) = (640, 360);

/// What differs from browser to browser.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Belongings<'a> {
    /// A black picture and a silent sound for the page's camera and microphone.
    pub(super) black_camera: bool,
    /// The page's language; empty: `en-US`.
    pub(super) locale: &'a str,
    /// PEM files of authorities that are trusted.
    pub(super) ca_files: &'a [PathBuf],
    /// Sites that ask for a password are answered; without that they are not heard, and
    /// what they refuse is shown.
    pub(super) passwords: bool,
}

/// The private directory of one browser, and what it holds.
#[derive(Debug, Clone)]
pub(super) struct Home {
    /// Where all of it is.
    pub(super) dir: PathBuf,
    /// `--user-data-dir`.
    pub(super) profile: PathBuf,
    /// `HOME` and `XDG_RUNTIME_DIR`, for whatever libraries write there.
    pub(super) home: PathBuf,
    /// Black picture and silent sound.
    pub(super) capture: Option<(PathBuf, PathBuf)>,
}

impl Home {
    /// Creates everything under `dir`, which is created too if it is missing, and
    /// hands what it created to `user`.
    pub(super) fn create(
        dir: &Path,
        belongings: &Belongings<'_>,
        user: Option<User>,
    ) -> Result<Self, BrowserError> {
        let failed = |source| BrowserError::Directory { path: dir.to_path_buf(), source };
        let home = Self {
            dir: dir.to_path_buf(),
            profile: dir.join("profile"),
            home: dir.join("home"),
            capture: belongings
                .black_camera
                .then(|| (dir.join("black.y4m"), dir.join("silence.wav"))),
        };
        private(dir).map_err(failed)?;
        // What an earlier browser left behind is not this one's.
        home.remove();
        home.fill(belongings, user).inspect_err(|_| home.remove())?;
        Ok(home)
    }

    fn fill(&self, belongings: &Belongings<'_>, user: Option<User>) -> Result<(), BrowserError> {
        let failed = |source| BrowserError::Directory { path: self.dir.clone(), source };
        let default = self.profile.join("Default");
        let preferences = default.join("Preferences");
        let state = self.profile.join("Local State");
        for path in [&self.profile, &self.home, &default] {
            private(path).map_err(failed)?;
        }
        fs::write(&preferences, preferences_for(belongings.locale)).map_err(failed)?;
        fs::write(&state, state_for(belongings.passwords)).map_err(failed)?;
        let trusted = trust::install(&self.home, belongings.ca_files)?;
        if let Some((picture, sound)) = &self.capture {
            fs::write(picture, black_picture()).map_err(failed)?;
            fs::write(sound, silence()).map_err(failed)?;
        }
        if let Some(user) = user {
            user.check_reach(&self.dir)?;
            // The directory stays this process's, so that the browser can change
            // nothing in it but its own; inner things are given away before outer
            // ones, so that nobody else can get between.
            fs::set_permissions(&self.dir, Permissions::from_mode(0o711)).map_err(failed)?;
            for path in
                trusted.iter().chain([&preferences, &state, &default, &self.profile, &self.home])
            {
                user.give(path)?;
            }
            for file in self.capture.iter().flat_map(|(picture, sound)| [picture, sound]) {
                user.give(file)?;
            }
        }
        Ok(())
    }

    /// Removes what [`Home::create`] made; the directory itself is the caller's.
    pub(super) fn remove(&self) {
        for path in [&self.profile, &self.home] {
            report(path, fs::remove_dir_all(path));
        }
        if let Some((picture, sound)) = &self.capture {
            report(picture, fs::remove_file(picture));
            report(sound, fs::remove_file(sound));
        }
    }
}

/// A directory for its owner alone.
fn private(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

fn report(path: &Path, removed: io::Result<()>) {
    match removed {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), error = %e, "could not remove browser files");
        }
        _ => {}
    }
}

/// True when `/dev/shm` is missing or nearly full, as in containers by default.
pub(super) fn small_shm() -> bool {
    rustix::fs::statvfs("/dev/shm").map_or(true, |fs| fs.f_bavail * fs.f_frsize < ENOUGH_SHM)
}

/// What a page could otherwise put in front of itself, in frames and at times
/// that no script of ours covers: the print dialog and the picker of a screen
/// share. Both are the profile's side of enterprise policies.
///
/// With a language: `navigator.language` and `Accept-Language`, which do not need
/// it to be among the browser's own.
fn preferences_for(locale: &str) -> String {
    let mut preferences = serde_json::json!({
        "printing": {"enabled": false},
        "hardware": {"screen_capture_enabled": false},
    });
    if !locale.is_empty() {
        let languages = match locale.split_once('-') {
            Some((language, _)) => format!("{locale},{language}"),
            None => locale.to_owned(),
        };
        preferences["intl"] =
            serde_json::json!({"accept_languages": languages, "selected_languages": languages});
    }
    preferences.to_string()
}

/// What all profiles of a browser share. The question for a name and a password would cover
/// the page until somebody answers: without a scheme of authentication (RFC 9110, section
/// 11) that Chromium knows, it is not put.
fn state_for(passwords: bool) -> String {
    let state = if passwords {
        serde_json::json!({})
    } else {
        serde_json::json!({"auth": {"schemes": ""}})
    };
    state.to_string()
}

/// One black frame of YUV4MPEG2, limited range.
fn black_picture() -> Vec<u8> {
    let (width, height) = BLACK;
    let mut file = format!("YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420\nFRAME\n").into_bytes();
    file.resize(file.len() + width * height, 16);
    file.resize(file.len() + width * height / 2, 128);
    file
}

/// One second of silence: RIFF WAVE, PCM, 16 bit, mono, 48 kHz.
fn silence() -> Vec<u8> {
    const RATE: u32 = 48_000;
    const BYTES: u32 = RATE * 2;
    let mut file = Vec::with_capacity(44 + BYTES as usize);
    let mut put = |bytes: &[u8]| {
        // A vector takes every write.
        let _ = file.write_all(bytes);
    };
    put(b"RIFF");
    put(&(36 + BYTES).to_le_bytes());
    put(b"WAVEfmt ");
    put(&16_u32.to_le_bytes());
    put(&1_u16.to_le_bytes());
    put(&1_u16.to_le_bytes());
    put(&RATE.to_le_bytes());
    put(&BYTES.to_le_bytes());
    put(&2_u16.to_le_bytes());
    put(&16_u16.to_le_bytes());
    put(b"data");
    put(&BYTES.to_le_bytes());
    file.resize(44 + BYTES as usize, 0);
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_created_is_private_and_goes_again() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("runtime");
        let belongings = Belongings { black_camera: true, ..Belongings::default() };
        let home = Home::create(&dir, &belongings, None).unwrap();
        for path in [&dir, &home.profile, &home.home] {
            let mode = fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
        fs::write(home.profile.join("cookie"), "x").unwrap();
        Home::create(&dir, &belongings, None).unwrap();
        assert!(!home.profile.join("cookie").exists());
        home.remove();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    }

    #[test]
    fn black_and_silent_files_have_the_size_they_say() {
        let picture = black_picture();
        let header = picture.iter().position(|b| *b == b'\n').unwrap();
        assert_eq!(picture.len() - header - 1 - "FRAME\n".len(), 640 * 360 * 3 / 2);
        let sound = silence();
        assert_eq!(u32::from_le_bytes(sound[4..8].try_into().unwrap()) as usize, sound.len() - 8);
        assert_eq!(
            u32::from_le_bytes(sound[40..44].try_into().unwrap()) as usize,
            sound.len() - 44
        );
    }
}
