//! Disks of tests: file systems in a file, mounted by loop, which only root can do.

use std::path::Path;
use std::process::Command as Program;

use crate::support::scratch;

/// An image that is mounted, until the value goes.
pub(super) struct Disk {
    at: tempfile::TempDir,
}

impl Disk {
    /// A new file system in `image`, of `mib` MiB, by the program `mkfs` and its
    /// arguments. `None`, said aloud, where there is no such program or no right to mount.
    pub(super) fn make(image: &Path, mib: u64, mkfs: &[&str]) -> Option<Self> {
        std::fs::File::create(image).unwrap().set_len(mib << 20).unwrap();
        let made = Program::new(mkfs[0]).args(&mkfs[1..]).arg(image).status();
        if !made.is_ok_and(|status| status.success()) {
            eprintln!("not tested here: {} is missing", mkfs[0]);
            return None;
        }
        Self::mount(image)
    }

    /// The file system that is in `image`.
    pub(super) fn mount(image: &Path) -> Option<Self> {
        let at = scratch();
        let mounted = Program::new("mount").args(["-o", "loop"]).arg(image).arg(at.path()).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self { at });
        }
        eprintln!("not tested here: mounting needs root and loop devices");
        None
    }

    pub(super) fn path(&self) -> &Path {
        self.at.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Program::new("umount").arg("--lazy").arg(self.path()).status();
    }
}
