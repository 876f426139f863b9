//! What the system counts for a process. Tests run side by side, so ask only in a process of its
//! own ([`alone`](crate::alone)).
//!
//! `None` where the system does not tell: the test still runs there, and shows less.

use std::fs;

/// How many descriptors are open.
pub fn open_descriptors() -> Option<usize> {
    // One of them is that of the directory.
    fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() - 1)
}

/// Whether as many descriptors are open as there were before, or only a few more.
pub fn only_a_few_more_than(before: Option<usize>) -> bool {
    let after = open_descriptors();
    let are_few = after <= before.map(|before| before + 10);
    if !are_few {
        eprintln!("{after:?} descriptors are open after {before:?}");
    }
    are_few
}

/// The most memory that the process has had, in kilobytes.
pub fn most_memory() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
