//! For what might hang: a test that hangs says nothing, one that fails after a while says where.

use std::panic::resume_unwind;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// How long a test may wait for anything before it fails. Only what hangs takes that long: tests
/// of a few seconds must pass on a machine that has twenty other things to do.
pub const LIMIT: Duration = Duration::from_secs(300);

/// Runs `f` on a thread of its own, and returns what it gives.
///
/// # Panics
///
/// If `f` does, with its panic; and if `f` has not ended after [`LIMIT`]. (The thread is then left
/// behind.)
#[track_caller]
pub fn finishes<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let name = thread::current().name().unwrap_or("a test").to_owned();
    let started = thread::Builder::new().name(name).spawn(move || {
        // Sent after everything of `f` is dropped; not sent if it panics.
        let output = f();
        let _ = sender.send(output);
    });
    let thread = started.expect("the system starts a thread");
    match receiver.recv_timeout(LIMIT) {
        Ok(output) => {
            thread.join().expect("it has sent its output and has nothing left that could panic");
            output
        }
        Err(RecvTimeoutError::Disconnected) => {
            resume_unwind(thread.join().expect_err("it panicked, or it would have sent its output"))
        }
        Err(RecvTimeoutError::Timeout) => panic!("it hangs: not finished after {LIMIT:?}"),
    }
}
