//! A TCP connection.
//!
//! Next: [`connect`](super::connect).

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;

use super::methods::{hops, socket, stream};
use super::resolve::resolve;
use super::{ToSocketAddrs, connect};
use crate::source::{Direction, Source};

/// A TCP connection. Dropping it closes it.
///
/// Its methods take `&self`: to read and write at once, use it from two children of one gather, or put it in an
/// `Arc` for two tasks. But only one of them may wait to read, and one to write: the one that was polled last is woken,
/// and one before it waits for ever.
///
/// With the features `futures-io` (default), `tokio-io` and `hyper` it has the read and write traits of those
/// libraries, and so has `&TcpStream`: two references are the two halves.
///
/// It belongs to the runtime that made it, may be polled and dropped on any thread, and gives errors when that
/// runtime has ended. See [`TcpListener`](super::TcpListener) for an example.
///
/// For options that the standard library's sockets do not have either (keep-alive, linger, buffer sizes) make the
/// socket with the crate socket2 and bring it by [`from_std`](TcpStream::from_std), or set them on the one that is
/// here by its `SockRef::from(&stream)`.
pub struct TcpStream {
    pub(crate) source: Source<mio::net::TcpStream>,
}

// One that is connected is tried before the first event: often there is data already.
socket!(TcpStream, mio::net::TcpStream, std::net::TcpStream, SocketAddr, ready: [Direction::Read, Direction::Write]);
stream!(TcpStream, SocketAddr);
hops!(TcpStream);

impl TcpStream {
    /// Connects to `address`.
    ///
    /// Of several addresses, as of a name that has some, the first that answers is taken: they are tried in their
    /// order, but those of IPv6 and IPv4 by turns, and the next when one has failed, or has not answered for 250 ms
    /// and is tried on meanwhile ("happy eyeballs", RFC 8305). What does not win is closed.
    ///
    /// Dropping the future closes all that it opened.
    ///
    /// # Errors
    ///
    /// What the system says; of several addresses, for each of them, with the kind of the last. There is no limit on the
    /// time but the system's: see [`timeout`](crate::timeout).
    ///
    /// # Panics
    ///
    /// If this thread runs no runtime.
    pub async fn connect(address: impl ToSocketAddrs) -> io::Result<TcpStream> {
        connect::to_first_that_answers(resolve(address).await?).await
    }

    pub(super) async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream { source: Source::new(mio::net::TcpStream::connect(address)?, &[])? };
        loop {
            let seen = poll_fn(|cx| stream.source.poll_event(cx, Direction::Write)).await?;
            // Writable is said of a connection that failed, too, and may be said too early. But only one that was made
            // has an address at its other end; the question after an error is for those that have none.
            let Err(unconnected) = stream.peer_addr() else { break };
            if let Some(error) = stream.take_error()? {
                return Err(error);
            }
            if unconnected.kind() != io::ErrorKind::NotConnected {
                return Err(unconnected);
            }
            stream.source.await_another(seen, Direction::Write);
        }
        Ok(stream)
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
        self.source.try_when_ready(Direction::Read, |stream| stream.peek(buffer)).await
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
