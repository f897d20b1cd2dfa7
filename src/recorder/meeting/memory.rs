//! How much memory the processes of a browser have, as `/proc` tells it
//! (proc_pid_stat(5), proc_pid_status(5)). Knows no limit.

use std::fs;

/// Bytes that the processes of `group` have of their own together, in memory or
/// swapped out; what they share with others (programs, shared memory) is left out.
/// Processes that end meanwhile count for nothing.
pub(super) fn of_group(group: u32) -> u64 {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let members = entries.flatten().map(|entry| entry.path()).filter(|path| {
        fs::read_to_string(path.join("stat")).is_ok_and(|stat| group_of(&stat) == Some(group))
    });
    members.filter_map(|path| fs::read_to_string(path.join("status")).ok()).map(|s| own(&s)).sum()
}

/// The fifth field; the second may hold anything, also spaces and brackets.
fn group_of(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse().ok()
}

fn own(status: &str) -> u64 {
    let kib = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let wanted = matches!(name, "RssAnon" | "VmSwap");
        wanted.then(|| value.trim().strip_suffix(" kB")?.parse::<u64>().ok())?
    };
    status.lines().filter_map(kib).sum::<u64>() << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_group_whatever_it_is_called() {
        assert_eq!(group_of("7 (a) b) R) S 1 42 42 0"), Some(42));
        assert_eq!(group_of("7 (a"), None);
    }

    #[test]
    fn what_is_shared_is_not_counted() {
        let status = "Name:\tRssAnon\nRssAnon:\t    2048 kB\nRssFile:\t 9 kB\nRssShmem:\t 9 kB\n\
                      VmSwap:\t       8 kB\n";
        assert_eq!(own(status), (2048 + 8) << 10);
    }

    #[test]
    fn what_this_process_takes_is_seen() {
        let group = rustix::process::getpgrp().as_raw_nonzero().get().cast_unsigned();
        let before = of_group(group);
        let taken = vec![1_u8; 64 << 20];
        let after = of_group(group);
        // Others of the group come and go; none of them has gigabytes to give.
        assert!(before > 0 && after > 64 << 20, "{before} {after} {}", taken[after as usize % 9]);
    }
}
