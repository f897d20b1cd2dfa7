//! Which Chromium to run.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::BrowserError;

/// Oldest major version that is accepted. Filters of `Target.setAutoAttach` came
/// with 105 and the new headless mode with 112; 120 leaves a margin.
pub(super) const OLDEST: u32 = 120;

/// Where the binaries themselves are, in order of preference. The names on the
/// PATH are often shell wrappers that add flags of their own.
const PLACES: &[&str] = &[
    "/usr/lib/chromium/chromium",
    "/usr/lib/chromium-browser/chromium-browser",
    "/usr/lib64/chromium-browser/chromium-browser",
    "/usr/lib/chromium/chrome",
    "/opt/google/chrome/chrome",
    "/opt/google/chrome-beta/chrome",
    "/opt/chromium.org/chromium/chrome",
    "/opt/chrome-linux64/chrome",
];

/// Names looked for on the PATH when none of the places has one.
const NAMES: &[&str] = &["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// Finds the Chromium binary: `wanted` if given, else the usual places, else a
/// binary (not a script) on the PATH.
///
/// # Errors
/// [`BrowserError::NotFound`] says which package to install,
/// [`BrowserError::Program`] what is wrong with `wanted`.
pub fn find_program(wanted: Option<&Path>) -> Result<PathBuf, BrowserError> {
    if let Some(path) = wanted {
        return match kind(path) {
            Kind::Missing => Err(BrowserError::Program {
                path: path.to_path_buf(),
                problem: "there is no such file; install the package `chromium`, or name another"
                    .into(),
            }),
            Kind::Script => {
                tracing::warn!(
                    path = %path.display(),
                    "the browser given is a script: it may add flags that spoil a recording"
                );
                Ok(path.to_path_buf())
            }
            Kind::Binary => Ok(path.to_path_buf()),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path =
        NAMES.iter().flat_map(|name| std::env::split_paths(&path).map(move |dir| dir.join(name)));
    PLACES
        .iter()
        .map(PathBuf::from)
        .chain(on_path)
        .find(|candidate| kind(candidate) == Kind::Binary)
        .ok_or(BrowserError::NotFound)
}

/// The major version in what `Browser.getVersion` calls the product, such as
/// `Chrome/156.0.8078.79`.
pub(super) fn major(product: &str) -> Option<u32> {
    product.split_once('/')?.1.split('.').next()?.parse().ok()
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Missing,
    Script,
    Binary,
}

fn kind(path: &Path) -> Kind {
    let mut start = [0; 2];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    match read {
        Err(_) => Kind::Missing,
        Ok(()) if &start == b"#!" => Kind::Script,
        Ok(()) => Kind::Binary,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_products() {
        for (product, version) in [
            ("Chrome/156.0.8078.79", Some(156)),
            ("HeadlessChrome/120.0.1", Some(120)),
            ("Chrome/", None),
            ("Chrome", None),
            ("", None),
        ] {
            assert_eq!(major(product), version, "{product:?}");
        }
    }

    #[test]
    fn a_wanted_program_is_taken_or_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("chromium");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        assert_eq!(find_program(Some(&script)).unwrap(), script);
        let error = find_program(Some(&dir.path().join("none"))).unwrap_err().to_string();
        assert!(error.contains("none") && error.contains("no such file"), "{error}");
    }

    #[test]
    fn the_machine_has_a_binary_and_not_a_wrapper() {
        let found = find_program(None).unwrap();
        assert_eq!(kind(&found), Kind::Binary, "{}", found.display());
    }
}
