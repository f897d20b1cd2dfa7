//! How many descriptors this process has. A browser can send descriptors that
//! nobody asked for, and they are kept until its connection ends.

use std::fs;

use rustix::process::{Resource, getrlimit};

/// Whether more than three quarters of those that it may have are taken.
pub(super) fn are_scarce() -> bool {
    getrlimit(Resource::Nofile).current.is_some_and(|most| are_more_than(most / 4 * 3))
}

/// To count them takes one; if there is not even that, they are.
fn are_more_than(limit: u64) -> bool {
    fs::read_dir("/proc/self/fd").map_or(true, |taken| taken.count() as u64 > limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_counts() {
        assert!(!are_scarce());
        let _taken: Vec<_> = (0..20).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        assert!(are_more_than(20) && !are_more_than(1 << 30));
    }
}
