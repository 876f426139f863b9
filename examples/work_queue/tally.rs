//! The name of a worker, and its report.

use std::cell::Cell;
use std::fmt;
use std::time::Instant;
use std::{fs, process};

use indicatif::HumanCount;

/// The same in the table, in the logs and for the server.
pub(crate) fn name() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "host".into());
    format!("{}:{}", host.trim(), process::id())
}

/// What a worker has done.
pub(crate) struct Tally {
    since: Instant,
    pub(crate) done: Cell<u64>,
    pub(crate) failed: Cell<u64>,
    /// The lease had ended, and another has the job.
    pub(crate) lost: Cell<u64>,
    pub(crate) connections: Cell<usize>,
    /// The worker was asked to stop. It is here because a new connection must not forget it.
    pub(crate) asked_to_stop: Cell<bool>,
}

impl Default for Tally {
    fn default() -> Tally {
        let (done, failed, lost, connections, asked_to_stop) = Default::default();
        Tally { since: Instant::now(), done, failed, lost, connections, asked_to_stop }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [done, failed, lost] =
            [&self.done, &self.failed, &self.lost].map(|count| HumanCount(count.get()));
        let elapsed = self.since.elapsed();
        let rate = HumanCount((self.done.get() as f64 / elapsed.as_secs_f64()) as u64);
        let connections = self.connections.get();
        write!(
            f,
            "{done} done, {failed} failed, {lost} lost in {elapsed:.2?}, {rate} jobs/s, {connections} connections"
        )
    }
}
