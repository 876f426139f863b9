//! Sending signals. They are for the whole process, so tests use them in a process of its own
//! ([`alone`](crate::alone)).

use std::process::Command;

use gather::signal::Signal;

/// Sends a signal to a process, by the shell's own `kill`, which every system has.
///
/// # Panics
///
/// If there is no such process.
#[track_caller]
pub fn send(signal: Signal, process: u32) {
    let kill = format!("kill -{} {process}", signal.number());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{signal:?}");
}

/// Sends a signal to this thread. When this returns, the handler has run.
///
/// # Panics
///
/// If the system refuses.
#[track_caller]
pub fn raise(signal: Signal) {
    signal_hook::low_level::raise(signal.number()).unwrap();
}

#[cfg(target_os = "linux")]
pub use forked::Forked;

#[cfg(target_os = "linux")]
mod forked {
    use std::fs;
    use std::process::{Child, Command};
    use std::thread::{self, JoinHandle};

    use super::{Signal, send};

    /// A child process that was forked and has not executed its program yet. It looks for the
    /// program in so many places that this takes seconds, and there is none. It ends when this is
    /// dropped.
    #[derive(Debug)]
    pub struct Forked {
        process: u32,
        /// The thread that waits until the program is executed.
        starts: Option<JoinHandle<std::io::Result<Child>>>,
    }

    impl Forked {
        /// Forks this process, which must have no other child.
        pub fn start() -> Forked {
            // For another PATH the standard library forks, because `posix_spawn` searches the old
            // one.
            let nowhere = "/:".repeat(10_000_000);
            let starts = thread::spawn(|| Command::new("no-such-program").env("PATH", nowhere).spawn());
            let process = loop {
                assert!(!starts.is_finished(), "the child has ended");
                match child_of_this_process() {
                    Some(process) => break process,
                    None => thread::yield_now(),
                }
            };
            Forked { process, starts: Some(starts) }
        }

        /// Sends a signal to the child, and returns when its handler has begun there.
        ///
        /// # Panics
        ///
        /// If the child has ended.
        #[track_caller]
        pub fn receives(&self, signal: Signal) {
            send(signal, self.process);
            let status = format!("/proc/{}/status", self.process);
            let is_pending = |line: &str| {
                line.starts_with("ShdPnd:") && line.contains(|digit| ('1'..='9').contains(&digit))
            };
            while fs::read_to_string(&status).unwrap().lines().any(is_pending) {
                thread::yield_now();
            }
            assert!(self.starts.as_ref().is_some_and(|starts| !starts.is_finished()), "the child has ended");
        }
    }

    impl Drop for Forked {
        fn drop(&mut self) {
            let _ = Command::new("sh").args(["-c", &format!("kill -9 {}", self.process)]).status();
            // The end of the child looks like the start of its program.
            if let Some(Ok(Ok(mut child))) = self.starts.take().map(JoinHandle::join) {
                let _ = child.wait();
            }
        }
    }

    fn child_of_this_process() -> Option<u32> {
        let threads = fs::read_dir("/proc/self/task").expect("Linux shows its threads");
        let children =
            threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
        children
            .flat_map(|children| children.split_whitespace().next().map(str::to_owned))
            .find_map(|child| child.parse().ok())
    }
}
