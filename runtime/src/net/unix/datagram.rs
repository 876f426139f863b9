//! Datagrams between processes of one machine.
//!
//! Next: [`oneshot`](crate::oneshot), a value from one thread to another.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::SocketAddr;
use std::path::Path;

use super::super::methods::socket;
use super::super::transfers::datagrams;
use super::until_room;
use crate::source::{Direction, Source};

/// A Unix socket that sends and receives datagrams: none is lost, and they come in the order in
/// which they were sent. Dropping it closes it, and leaves its path where it is.
///
/// Its methods take `&self`: any number of tasks may send and receive at once.
///
/// ```
/// use gather_runtime::net::UnixDatagram;
///
/// gather_runtime::run(async {
///     let (here, there) = UnixDatagram::pair()?;
///     here.send(b"hello").await?;
///     let mut buffer = [0; 100];
///     assert_eq!(there.recv(&mut buffer).await?, 5);
///     Ok::<(), std::io::Error>(())
/// })
/// # .unwrap();
/// ```
pub struct UnixDatagram {
    source: Source<mio::net::UnixDatagram>,
}

socket!(UnixDatagram, mio::net::UnixDatagram, std::os::unix::net::UnixDatagram, SocketAddr, ready: [Direction::Read, Direction::Write], try_io: mio::net::UnixDatagram::try_io);
datagrams!(UnixDatagram, SocketAddr);

impl UnixDatagram {
    /// Makes `path` and receives what is sent there.
    ///
    /// # Errors
    ///
    /// What the system says: `AddrInUse` if the path exists, whatever it is.
    ///
    /// # Panics
    ///
    /// If this thread runs no runtime.
    pub async fn bind(path: impl AsRef<Path>) -> io::Result<UnixDatagram> {
        mio::net::UnixDatagram::bind(path).and_then(UnixDatagram::register)
    }

    /// A socket without a path, which can send, and receive only from one that it is connected
    /// with.
    ///
    /// # Errors
    ///
    /// If the system has no descriptors left.
    ///
    /// # Panics
    ///
    /// If this thread runs no runtime.
    pub fn unbound() -> io::Result<UnixDatagram> {
        mio::net::UnixDatagram::unbound().and_then(UnixDatagram::register)
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    ///
    /// If the system has no descriptors left.
    ///
    /// # Panics
    ///
    /// If this thread runs no runtime.
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (one, other) = mio::net::UnixDatagram::pair()?;
        Ok((UnixDatagram::register(one)?, UnixDatagram::register(other)?))
    }

    /// Makes the socket at `path` the one to which [`send`](UnixDatagram::send) sends, and from
    /// which alone datagrams are received. Nothing is sent.
    ///
    /// # Errors
    ///
    /// What the system says: `NotFound`, or `ConnectionRefused` if nobody has bound that path.
    pub async fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.source.io().connect(path)
    }

    /// Sends a datagram to the socket at `path`, as a whole, and gives its length. Dropping the
    /// future before it is ready sends nothing.
    ///
    /// While the receiver's queue is full (on Linux after about ten datagrams) it waits, and tries
    /// again some times a second, because no event tells that it has room; for many datagrams to
    /// one path, [`connect`](UnixDatagram::connect) and [`send`](UnixDatagram::send) are faster.
    ///
    /// # Errors
    ///
    /// What the system says: `NotFound`, `ConnectionRefused` if nobody has bound that path. The
    /// socket stays usable.
    ///
    /// # Panics
    ///
    /// If it has to wait and this thread runs no runtime.
    pub async fn send_to(&self, datagram: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        let path = path.as_ref();
        self.source.io_when_ready(Direction::Write, |_| Ok(())).await?; // spends its unit of the budget
        until_room(|| self.source.io().send_to(datagram, path)).await
    }

    /// Sends a datagram to the socket at `path` without waiting, and returns its length.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no room in this socket or in the receiver's queue, for which no
    /// event is made: see [`send_to`](UnixDatagram::send_to). Else as that.
    pub fn try_send_to(&self, datagram: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        self.source.io().send_to(datagram, path)
    }

    /// Ends one or both directions.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.source.io().shutdown(how)
    }
}
