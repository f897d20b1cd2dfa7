//! What in a directory everybody may read: root may read the rest as well, and a recorder
//! that runs as root has no use for it. Used by `confine`, for `/etc`.

use std::fs::{Metadata, metadata, read_dir};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Levels of directories that are looked into; deeper ones are left out.
const DEPTH: u32 = 8;

/// Files and directories in `dir` that hold all that everybody may read and nothing else,
/// without those at its top whose name is one of `but`.
pub(super) fn by_everybody(dir: &Path, but: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in read_dir(dir).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        if !but.iter().any(|other| name == **other) && is_whole(&path, DEPTH, &mut found) {
            found.push(path);
        }
    }
    found
}

/// Whether everybody may read all of `path`. If not, what they may is added to `found`.
fn is_whole(path: &Path, depth: u32, found: &mut Vec<PathBuf>) -> bool {
    let may = |metadata: &Metadata, bits| metadata.mode() & bits == bits;
    match metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            if depth == 0 || !may(&metadata, 0o005) {
                return false;
            }
            let Ok(entries) = read_dir(path) else { return false };
            let mut parts = Vec::new();
            let mut whole = true;
            for entry in entries.flatten() {
                // Where a link leads is not beneath this directory.
                if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                    continue;
                }
                match is_whole(&entry.path(), depth - 1, found) {
                    true => parts.push(entry.path()),
                    false => whole = false,
                }
            }
            if !whole {
                found.append(&mut parts);
            }
            whole
        }
        Ok(metadata) => may(&metadata, 0o004),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, create_dir, create_dir_all, set_permissions, write};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn what_everybody_may_read_is_found_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for (name, mode) in [
            ("hosts", 0o644),
            ("shadow", 0o640),
            ("fonts/conf.d/a.conf", 0o644),
            ("fonts/fonts.conf", 0o444),
            ("ssl/certs/ca.pem", 0o644),
            ("ssl/openssl.cnf", 0o644),
            ("ssl/private/key.pem", 0o644),
            ("net/connections/home", 0o600),
            ("net/connections/cafe", 0o644),
            ("roomreel/config.toml", 0o644),
        ] {
            create_dir_all(at(name).parent().unwrap()).unwrap();
            write(at(name), "x").unwrap();
            set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
        }
        for name in ["fonts", "fonts/conf.d", "ssl", "ssl/certs", "net", "net/connections"] {
            set_permissions(at(name), Permissions::from_mode(0o755)).unwrap();
        }
        set_permissions(at("ssl/private"), Permissions::from_mode(0o710)).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        create_dir(elsewhere.path().join("d")).unwrap();
        set_permissions(elsewhere.path().join("d"), Permissions::from_mode(0o755)).unwrap();
        write(elsewhere.path().join("d/public"), "x").unwrap();
        set_permissions(elsewhere.path().join("d/public"), Permissions::from_mode(0o644)).unwrap();
        write(elsewhere.path().join("d/secret"), "x").unwrap();
        set_permissions(elsewhere.path().join("d/secret"), Permissions::from_mode(0o600)).unwrap();
        symlink(elsewhere.path().join("d"), at("linked")).unwrap();
        symlink(elsewhere.path().join("d"), at("fonts/linked")).unwrap();
        symlink("/nowhere/at/all", at("dangling")).unwrap();

        let mut found = by_everybody(root.path(), &["roomreel"]);
        found.sort();
        let expected = [
            "fonts",
            "hosts",
            "linked/public",
            "net/connections/cafe",
            "ssl/certs",
            "ssl/openssl.cnf",
        ];
        assert_eq!(found, expected.map(at));
    }
}
