//! Unix sockets: between processes of one machine, by a path in the file system instead of an
//! address and a port.
//!
//! Binding makes the path; nothing takes it away again, and binding to one that is there is an
//! error. So a server removes it before it binds, or when it ends.
//!
//! Linux also has names that are no paths ("abstract"): make such a socket with the standard
//! library and bring it by `from_std`.
//!
//! # What no event tells
//!
//! Two operations may find another socket's queue full, and the system has no event for when that
//! has room again: connecting to a listener, and sending to the path of a datagram socket. (On
//! Linux the failed send even makes an event of its own, so who trusts in events tries in vain as
//! fast as it can.) These two ask again by a timer, first after [`FIRST_PAUSE`], then each time
//! after twice as long, at most [`LONGEST_PAUSE`].
//!
//! Next: [`stream`].

mod datagram;
mod listener;
mod stream;

use std::io;
use std::time::Duration;

pub use datagram::UnixDatagram;
pub use listener::UnixListener;
pub use stream::UnixStream;

use crate::sleep;

/// Until the second attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// The most between two attempts: an eye does not see it, and a processor does not feel it.
const LONGEST_PAUSE: Duration = Duration::from_millis(32);

/// Tries until another socket's queue has room.
async fn until_room<R>(mut attempt: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(pause).await,
            result => return result,
        }
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}
