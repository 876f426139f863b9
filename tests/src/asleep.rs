//! Whether another thread sleeps in the system: so that a test can do something just then, without guessing how long
//! that takes.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// A thread, as Linux shows it.
#[derive(Clone, Debug)]
pub struct SystemThread(PathBuf);

impl SystemThread {
    /// The thread that calls this.
    pub fn current() -> SystemThread {
        let path = fs::read_link("/proc/thread-self").expect("Linux shows its threads");
        SystemThread(PathBuf::from("/proc").join(path))
    }

    /// A process's first thread.
    pub fn first_of(process: u32) -> SystemThread {
        SystemThread(PathBuf::from(format!("/proc/{process}/task/{process}")))
    }

    /// The letter for what it does: `R` runs, `S` sleeps, `T` is stopped.
    pub fn state(&self) -> Option<char> {
        let stat = fs::read_to_string(self.0.join("stat")).ok()?;
        // It stands behind the name, which is in brackets and may hold anything.
        stat.rsplit_once(") ")?.1.chars().next()
    }

    /// Waits until it is in this state, seen a few times in a row: a thread also sleeps for a moment when it waits for
    /// a lock. Does not wait for a thread that has ended.
    pub fn wait_until(&self, state: char) {
        let mut seen = 0;
        while seen < 20 {
            match self.state() {
                None | Some('Z' | 'X') => return, // it has ended
                Some(now) if now == state => seen += 1,
                Some(_) => seen = 0,
            }
            thread::yield_now();
        }
    }

    /// The time for which it has had a processor. `None` where the system does not count that.
    pub fn busy_time(&self) -> Option<Duration> {
        let counts = fs::read_to_string(self.0.join("schedstat")).ok()?;
        Some(Duration::from_nanos(counts.split_whitespace().next()?.parse().ok()?))
    }
}
