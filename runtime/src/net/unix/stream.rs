//! A Unix connection.
//!
//! Next: [`listener`](super::listener).

use std::io;
use std::os::unix::net::SocketAddr;
use std::path::Path;

use super::super::methods::socket;
use super::super::transfers::stream;
use super::until_room;
use crate::source::{Direction, Source};

/// A Unix connection: a stream of bytes between two processes of one machine, or within one.
/// Dropping it closes it.
///
/// As with [`TcpStream`](crate::TcpStream), its methods take `&self`, and it has the traits of the
/// features, as has `&UnixStream`.
///
/// ```
/// use gather_runtime::net::UnixStream;
///
/// gather_runtime::run(async {
///     let (here, there) = UnixStream::pair()?;
///     here.write_all(b"hello").await?;
///     let mut hello = [0; 5];
///     there.read_exact(&mut hello).await?;
///     assert_eq!(&hello, b"hello");
///     Ok::<(), std::io::Error>(())
/// })
/// # .unwrap();
/// ```
pub struct UnixStream {
    pub(crate) source: Source<mio::net::UnixStream>,
}

socket!(UnixStream, mio::net::UnixStream, std::os::unix::net::UnixStream, SocketAddr, ready: [Direction::Read, Direction::Write], try_io: mio::net::UnixStream::try_io);
stream!(UnixStream, SocketAddr);

impl UnixStream {
    /// Connects to the listener at `path`. While the listener's queue is full it waits, and tries
    /// again some times a second.
    ///
    /// Dropping the future closes the socket.
    ///
    /// # Errors
    ///
    /// What the system says: `NotFound` if there is no such path, `ConnectionRefused` if nobody
    /// listens there.
    ///
    /// # Panics
    ///
    /// If this thread runs no runtime.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<UnixStream> {
        // A socket that was refused for want of room is not connected, and never will be: so each
        // time a new one.
        until_room(|| mio::net::UnixStream::connect(path.as_ref())).await.and_then(UnixStream::register)
    }

    /// Two streams that are connected to each other.
    ///
    /// # Errors
    ///
    /// If the system has no descriptors left.
    ///
    /// # Panics
    ///
    /// If this thread runs no runtime.
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (one, other) = mio::net::UnixStream::pair()?;
        Ok((UnixStream::register(one)?, UnixStream::register(other)?))
    }
}
