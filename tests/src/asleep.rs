//! Whether another thread sleeps in the system: so that a test can do something just then, without
//! guessing how long that takes. Only Linux shows it; elsewhere the tests guess.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// A thread, as Linux shows it. Other systems have no such folder.
#[derive(Clone, Debug)]
pub struct SystemThread(Option<PathBuf>);

/// How long another system's thread is given to do what it is about to do.
const GUESS: Duration = Duration::from_millis(100);

impl SystemThread {
    /// The thread that calls this.
    pub fn current() -> SystemThread {
        let path = fs::read_link("/proc/thread-self").ok();
        SystemThread(path.map(|path| PathBuf::from("/proc").join(path)))
    }

    /// A process's first thread.
    pub fn first_of(process: u32) -> SystemThread {
        let path = cfg!(target_os = "linux").then(|| format!("/proc/{process}/task/{process}"));
        SystemThread(path.map(PathBuf::from))
    }

    /// The letter for what it does: `R` runs, `S` sleeps, `T` is stopped.
    fn state(&self) -> Option<char> {
        let stat = fs::read_to_string(self.0.as_ref()?.join("stat")).ok()?;
        // It stands behind the name, which is in brackets and may hold anything.
        stat.rsplit_once(") ")?.1.chars().next()
    }

    /// Waits until it is in this state, seen a few times in a row: a thread also sleeps for a
    /// moment when it waits for a lock. Does not wait for a thread that has ended.
    pub fn wait_until(&self, state: char) {
        if self.0.is_none() {
            return thread::sleep(GUESS);
        }
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
        let counts = fs::read_to_string(self.0.as_ref()?.join("schedstat")).ok()?;
        Some(Duration::from_nanos(counts.split_whitespace().next()?.parse().ok()?))
    }
}
