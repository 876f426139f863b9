//! Accepting TCP connections.
//!
//! Next: [`blocking`](crate::blocking), threads for what blocks.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use super::{TcpStream, ToSocketAddrs};
use crate::source::{Direction, Source};

/// A socket that accepts TCP connections. Dropping it closes it.
///
/// ```
/// use gather_runtime::net::{TcpListener, TcpStream};
///
/// gather_runtime::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let (server, address) = listener.accept().await?;
///     assert_eq!(address, client.local_addr()?);
///     client.write_all(b"hello").await?;
///     let mut hello = [0; 5];
///     server.read_exact(&mut hello).await?;
///     assert_eq!(&hello, b"hello");
///     Ok::<(), std::io::Error>(())
/// })
/// # .unwrap();
/// ```
pub struct TcpListener {
    source: Source<mio::net::TcpListener>,
}

impl TcpListener {
    /// Listens on `address` (port 0: on any that is free). Of several addresses the first that works is taken.
    ///
    /// # Errors
    ///
    /// What the system says, for the last address that was tried.
    ///
    /// # Panics
    ///
    /// If this thread runs no runtime.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<TcpListener> {
        let mut last_error = None;
        for address in address.lookup().resolve().await? {
            match mio::net::TcpListener::bind(address) {
                Ok(listener) => return TcpListener::register(listener),
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.unwrap_or_else(|| io::Error::other("no address to listen on")))
    }

    fn register(listener: mio::net::TcpListener) -> io::Result<TcpListener> {
        Ok(TcpListener { source: Source::new(listener, &[])? })
    }

    /// Takes a listener of the standard library.
    ///
    /// # Errors
    ///
    /// If the system does not let it be made non-blocking, or be registered.
    ///
    /// # Panics
    ///
    /// If this thread runs no runtime.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        listener.set_nonblocking(true)?;
        TcpListener::register(mio::net::TcpListener::from_std(listener))
    }

    /// Gives the socket back as one of the standard library. It stays non-blocking.
    pub fn into_std(self) -> io::Result<std::net::TcpListener> {
        self.source.into_io().map(Into::into)
    }

    /// Waits for the next connection. Dropping the future loses no connection.
    ///
    /// One task or child of a gather at a time may wait here: if two do, the one that was polled last is woken, and the
    /// other waits for ever.
    ///
    /// # Errors
    ///
    /// What the system says, such as that the process has no descriptors left. The listener stays usable, and a
    /// connection that could not be accepted stays in the queue.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// Polls for the next connection, as [`accept`](TcpListener::accept) does.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let (stream, address) =
            ready!(self.source.poll_io(cx, Direction::Read, |listener| listener.accept()))?;
        Poll::Ready(TcpStream::register_connected(stream).map(|stream| (stream, address)))
    }

    /// The address that it listens on, with the port that the system chose.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source.io().local_addr()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.io().fmt(f)
    }
}
