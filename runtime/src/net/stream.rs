//! A TCP connection.
//!
//! Next: [`connect`](super::connect).

use std::io;
use std::net::SocketAddr;

use super::methods::{hops, socket};
use super::resolve::resolve;
use super::transfers::stream;
use super::{ToSocketAddrs, connect};
use crate::source::{Direction, Source};

/// A TCP connection. Dropping it closes it.
///
/// Its methods take `&self`: to read and write at once, use it from two children of one gather, or
/// put it in an `Arc` for two tasks.
///
/// With the features `futures-io` (default), `tokio-io` and `hyper` it has the read and write
/// traits of those libraries, and so has `&TcpStream`: two references are the two halves.
///
/// It belongs to the runtime that made it, may be polled and dropped on any thread, and gives
/// errors when that runtime has ended. See [`TcpListener`](super::TcpListener) for an example.
///
/// For options that the standard library's sockets do not have either (keep-alive, linger, buffer
/// sizes) make the socket with the crate socket2 and bring it by
/// [`from_std`](TcpStream::from_std), or set them on the one that is here by its
/// `SockRef::from(&stream)`.
pub struct TcpStream {
    pub(crate) source: Source<mio::net::TcpStream>,
}

// One that is connected is tried before the first event: often there is data already.
socket!(TcpStream, mio::net::TcpStream, std::net::TcpStream, SocketAddr, ready: [Direction::Read, Direction::Write], try_io: mio::net::TcpStream::try_io);
stream!(TcpStream, SocketAddr);
hops!(TcpStream);

impl TcpStream {
    /// Connects to `address`.
    ///
    /// Of several addresses, as of a name that has some, the first that answers is taken: they are
    /// tried in their order, but those of IPv6 and IPv4 by turns, and the next when one has
    /// failed, or has not answered for 250 ms and is tried on meanwhile ("happy eyeballs", RFC
    /// 8305). What does not win is closed.
    ///
    /// Dropping the future closes all that it opened.
    ///
    /// # Errors
    ///
    /// What the system says; of several addresses, for each of them, with the kind of the last.
    /// There is no limit on the time but the system's: see [`timeout`](crate::timeout).
    ///
    /// # Panics
    ///
    /// If this thread runs no runtime.
    pub async fn connect(address: impl ToSocketAddrs) -> io::Result<TcpStream> {
        connect::to_first_that_answers(resolve(address).await?).await
    }

    pub(super) async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream { source: Source::new(mio::net::TcpStream::connect(address)?, &[])? };
        stream.source.io_when_ready(Direction::Write, |_| Ok(())).await?;
        // A connection that failed is writable, too.
        match stream.take_error()? {
            Some(error) => Err(error),
            None => Ok(stream),
        }
    }

    /// Reads what there is and leaves it there for the next read.
    ///
    /// # Errors
    ///
    /// As [`read`](TcpStream::read).
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.source.io_when_ready(Direction::Read, |stream| stream.peek(buffer)).await
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.source.io().nodelay()
    }

    /// Sends small writes at once instead of collecting them (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.source.io().set_nodelay(nodelay)
    }
}
