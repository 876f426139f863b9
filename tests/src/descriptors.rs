//! How many descriptors the process has. Tests run side by side, so count them only in a process of its own
//! ([`alone`](crate::alone)).

use std::fs;

/// How many descriptors are open.
pub fn open_descriptors() -> usize {
    // One of them is that of the directory.
    fs::read_dir("/proc/self/fd").expect("Linux shows them").count() - 1
}
