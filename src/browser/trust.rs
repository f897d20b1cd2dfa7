//! Certificate authorities of the operator's own.
//!
//! Chromium on Linux trusts what the NSS data base in `$HOME/.pki/nssdb` trusts;
//! each browser has a home of its own, so one is made there by NSS' own tool
//! (<https://firefox-source-docs.mozilla.org/security/nss/legacy/tools/certutil/index.html>).

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::BrowserError;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Makes browsers with this `home` trust the authorities in the PEM `files`.
/// Returns what was made, inner things first.
pub(super) fn install(home: &Path, files: &[PathBuf]) -> Result<Vec<PathBuf>, BrowserError> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let (outer, inner) = (home.join(".pki"), home.join(".pki/nssdb"));
    // Over an older data base certutil would ask for its password, without end.
    let _ = fs::remove_dir_all(&outer);
    fs::create_dir_all(&inner)
        .map_err(|source| BrowserError::Directory { path: inner.clone(), source })?;
    certutil(&inner, &["-N", "--empty-password"], "")?;
    let mut number = 0;
    for file in files {
        let bad = |problem: String| BrowserError::Authority { path: file.clone(), problem };
        let text = fs::read_to_string(file).map_err(|e| bad(e.to_string()))?;
        let certificates = blocks(&text);
        if certificates.is_empty() {
            return Err(bad("it holds no certificate in PEM form".into()));
        }
        for certificate in certificates {
            number += 1;
            let name = format!("authority {number}");
            // Trusted to sign servers' certificates, and nothing else.
            let args = ["-A", "-a", "-n", &name, "-t", "C,,"];
            certutil(&inner, &args, certificate).map_err(|error| match error {
                BrowserError::Authority { problem, .. } => bad(problem),
                other => other,
            })?;
        }
    }
    let cannot = |source| BrowserError::Directory { path: inner.clone(), source };
    let made = fs::read_dir(&inner).map_err(cannot)?;
    let mut made: Vec<PathBuf> = made.flatten().map(|entry| entry.path()).collect();
    made.extend([inner, outer]);
    Ok(made)
}

/// The certificates of a PEM file, which may hold other things, too.
fn blocks(text: &str) -> Vec<&str> {
    let starts = text.match_indices(BEGIN).map(|(at, _)| &text[at..]);
    starts.filter_map(|rest| Some(&rest[..rest.find(END)? + END.len()])).collect()
}

fn certutil(database: &Path, args: &[&str], input: &str) -> Result<(), BrowserError> {
    let failed = |problem: String| BrowserError::Authority { path: database.into(), problem };
    let started = Command::new("certutil")
        .arg("-d")
        .arg(format!("sql:{}", database.display()))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = started.map_err(|_| {
        failed(
            "certutil is missing: install the package libnss3-tools (Debian) or nss-tools".into(),
        )
    })?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read says why by its exit.
        let _ = stdin.write_all(input.as_bytes());
    }
    let done = child.wait_with_output().map_err(|e| failed(e.to_string()))?;
    if done.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&done.stderr).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_found_among_other_things() {
        let one = format!("{BEGIN}\nAA\n{END}");
        assert_eq!(blocks(&format!("a comment\n{one}\n{one}\n-----BEGIN KEY-----")), [&one, &one]);
        assert_eq!(blocks(&format!("{BEGIN}\nhalf")), Vec::<&str>::new());
    }

    #[test]
    fn a_file_that_is_no_certificate_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        fs::write(&file, "nothing").unwrap();
        let refused = install(dir.path(), std::slice::from_ref(&file)).unwrap_err().to_string();
        assert!(refused.contains("ca.pem") && refused.contains("PEM"), "{refused}");
        fs::write(&file, format!("{BEGIN}\nAAAA\n{END}\n")).unwrap();
        let refused = install(dir.path(), &[file]).unwrap_err().to_string();
        assert!(refused.contains("ca.pem"), "{refused}");
    }
}
