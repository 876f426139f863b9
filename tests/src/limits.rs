//! Limits of the system. They are those of the whole process, so use them only in a process of its
//! own ([`alone`](crate::alone)), and on Linux, where a process can see what it has.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// While this lives, the system starts no thread in this process, because there is no address
/// space for its stack. (A limit of processes would not bind root.)
#[derive(Debug)]
pub struct NoThreads {
    before: Rlimit,
}

impl NoThreads {
    /// Begins now.
    pub fn begin() -> NoThreads {
        let before = getrlimit(Resource::As);
        setrlimit(Resource::As, Rlimit { current: Some(address_space()), maximum: before.maximum })
            .expect("a limit may always be lowered");
        NoThreads { before }
    }
}

impl Drop for NoThreads {
    fn drop(&mut self) {
        setrlimit(Resource::As, self.before).expect("it is not above the hard limit");
    }
}

/// What this process has, in bytes.
fn address_space() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux shows it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).expect("it is there");
    let kilobytes = line.trim().trim_end_matches(" kB").parse::<u64>().expect("it is a number");
    kilobytes * 1024
}
