//! Sockets.
//!
//! They are `Send + Sync`, as the ecosystem's protocol libraries ask, and their methods take
//! `&self`: any number of tasks and children of gathers may read, write, accept or receive at
//! once. An event wakes every call that waits for it, first the one that has waited longest, and
//! those that find nothing left go on waiting.
//!
//! The poll functions (`poll_accept`, and those of the traits below) keep one waker for each
//! direction, as is the custom: of several polls the last is woken.
//!
//! For a single attempt that never waits there are `try_read`, `try_write`, `try_send`, `try_recv`
//! and `try_io`, with `readable` and `writable` to wait before the next one.
//!
//! | | listens | connects | datagrams |
//! |---|---|---|---|
//! | IP | [`TcpListener`] | [`TcpStream`] | [`UdpSocket`] |
//! | Unix | [`UnixListener`] | [`UnixStream`] | [`UnixDatagram`] |
//!
//! Those of Unix are there on Unix only. The streams, and references to them, have the traits of
//! the features `futures-io`, `tokio-io` and `hyper`.
//!
//! Names are looked up on threads of their own, and if none can be started, that is an error. An
//! address that needs no look-up starts no thread.
//!
//! Next: [`resolve`](mod@resolve).

use crate::source::Direction;

pub(crate) mod bytes;
mod connect;
mod listener;
mod methods;
mod resolve;
mod stream;
mod transfers;
mod udp;
#[cfg(unix)]
mod unix;

pub use listener::TcpListener;
#[doc(hidden)]
pub use resolve::Names;
pub use resolve::{Lookup, ToSocketAddrs};
pub use stream::TcpStream;
pub use udp::UdpSocket;
#[cfg(unix)]
pub use unix::{UnixDatagram, UnixListener, UnixStream};

/// What [`try_io`](TcpStream::try_io) is about to do with a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest(Direction);

impl Interest {
    /// It reads, receives or accepts.
    pub const READABLE: Interest = Interest(Direction::Read);
    /// It writes or sends.
    pub const WRITABLE: Interest = Interest(Direction::Write);
}
