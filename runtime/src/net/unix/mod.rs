//! Unix sockets: between processes of one machine, by a path in the file system instead of an address and a port.
//!
//! Binding makes the path; nothing takes it away again, and binding to one that is there is an error. So a server
//! removes it before it binds, or when it ends.
//!
//! Linux also has names that are no paths ("abstract"): make such a socket with the standard library and bring it by
//! `from_std`.
//!
//! # What no event tells
//!
//! Two operations find another socket's queue full, and the system has no event for when that has room again: connecting to
//! a listener whose queue is full, and sending to the path of a datagram socket whose queue is full. These try again by
//! a timer, first after [`FIRST_PAUSE`], each time after twice as long, at most [`LONGEST_PAUSE`].
//!
//! Next: [`UnixStream`].

mod datagram;
mod listener;
mod stream;

use std::time::Duration;

pub use datagram::UnixDatagram;
pub use listener::UnixListener;
pub use stream::UnixStream;

/// Until the second attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// The most between two attempts: an eye does not see it, and a processor does not feel it.
const LONGEST_PAUSE: Duration = Duration::from_millis(32);

/// How long to wait before each further attempt.
fn pauses() -> impl Iterator<Item = Duration> + Send + Sync {
    std::iter::successors(Some(FIRST_PAUSE), |pause| Some((*pause * 2).min(LONGEST_PAUSE)))
}
