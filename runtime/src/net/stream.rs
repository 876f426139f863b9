//! A TCP connection.
//!
//! Next: [`listener`](super::TcpListener).

use std::fmt;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::task::{Context, Poll};

use super::ToSocketAddrs;
use crate::source::{Direction, Source};

/// A TCP connection. Dropping it closes it.
///
/// Its methods take `&self`: to read and write at once, use it from two children of one gather, or put it in an
/// `Arc` for two tasks. But only one of them may wait to read, and one to write: the one that was polled last is woken,
/// and one before it waits for ever. With the features `futures-io` (default), `tokio-io` and `hyper` it, and for the first
/// two `&TcpStream`, has the read and write traits of those libraries.
///
/// It belongs to the runtime that made it, may be polled and dropped on any thread, and gives errors when that
/// runtime has ended. See [`TcpListener`](super::TcpListener) for an example.
pub struct TcpStream {
    source: Source<mio::net::TcpStream>,
}

impl TcpStream {
    /// Connects to `address`. Of several addresses each is tried in turn.
    ///
    /// Dropping the future closes the socket.
    ///
    /// # Errors
    ///
    /// What the system says, for the last address that was tried. There is no limit on the time but the
    /// system's: see [`timeout`](crate::timeout).
    ///
    /// # Panics
    ///
    /// If this thread runs no runtime.
    pub async fn connect(address: impl ToSocketAddrs) -> io::Result<TcpStream> {
        let mut last_error = None;
        for address in address.lookup().resolve().await? {
            match TcpStream::connect_to(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.unwrap_or_else(|| io::Error::other("no address to connect to")))
    }

    async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream { source: Source::new(mio::net::TcpStream::connect(address)?, &[])? };
        loop {
            poll_fn(|cx| stream.source.poll_event(cx, Direction::Write)).await?;
            // Writable is said of a connection that failed, too, and may be said too early.
            if let Some(error) = stream.source.io().take_error()? {
                return Err(error);
            }
            match stream.source.io().peer_addr() {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
                Err(error) => return Err(error),
            }
        }
        stream.source.set_ready(Direction::Write);
        Ok(stream)
    }

    /// Registers a stream that is connected. It is tried before the first event: often there is data already.
    pub(super) fn register_connected(stream: mio::net::TcpStream) -> io::Result<TcpStream> {
        Ok(TcpStream { source: Source::new(stream, &[Direction::Read, Direction::Write])? })
    }

    /// Takes a connection of the standard library.
    ///
    /// # Errors
    ///
    /// If the system does not let it be made non-blocking, or be registered.
    ///
    /// # Panics
    ///
    /// If this thread runs no runtime.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        stream.set_nonblocking(true)?;
        TcpStream::register_connected(mio::net::TcpStream::from_std(stream))
    }

    /// Gives the socket back as one of the standard library. It stays non-blocking.
    pub fn into_std(self) -> io::Result<std::net::TcpStream> {
        self.source.into_io().map(Into::into)
    }

    /// Reads what there is, at most as much as fits, and gives the number of bytes: 0 at the end of the stream, or
    /// if the buffer is empty. Dropping the future loses no data.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, buffer)).await
    }

    /// Fills the buffer.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the stream ends first. What was read until then, or until the future is dropped, is in
    /// the buffer, and how much that is, is not known.
    pub async fn read_exact(&self, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read(buffer).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => buffer = &mut buffer[count..],
            }
        }
        Ok(())
    }

    /// Reads what there is and leaves it there for the next read.
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        poll_fn(|cx| self.source.poll_io(cx, Direction::Read, |stream| stream.peek(buffer))).await
    }

    /// Writes some of the bytes, and gives their number. Dropping the future before it is ready writes nothing.
    pub async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_write(cx, bytes)).await
    }

    /// Writes all the bytes. If the future is dropped, some of them may have been written.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write(bytes).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => bytes = &bytes[count..],
            }
        }
        Ok(())
    }

    /// Writes some of the bytes of several buffers, in order and in one system call, and gives their number.
    pub async fn write_vectored(&self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_write_vectored(cx, parts)).await
    }

    /// Ends one or both directions: the peer reads the end of the stream. Ending one twice is no error.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self.source.io().shutdown(how) {
            // The peer was faster: it is as good as ended.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }

    /// This end's address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source.io().local_addr()
    }

    /// The other end's address.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.source.io().peer_addr()
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`).
    pub fn nodelay(&self) -> io::Result<bool> {
        self.source.io().nodelay()
    }

    /// Sends small writes at once instead of collecting them (`TCP_NODELAY`).
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.source.io().set_nodelay(nodelay)
    }

    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0)); // the system would say that it has to wait
        }
        self.source.poll_transfer(cx, Direction::Read, |mut stream| {
            let count = stream.read(buffer)?;
            Ok((count, 0 < count && count < buffer.len()))
        })
    }

    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.source.poll_transfer(cx, Direction::Write, |mut stream| {
            let count = stream.write(bytes)?;
            Ok((count, count < bytes.len()))
        })
    }

    pub(crate) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: usize = parts.iter().map(|part| part.len()).sum();
        self.source.poll_transfer(cx, Direction::Write, |mut stream| {
            let count = stream.write_vectored(parts)?;
            Ok((count, count < all))
        })
    }

    /// Reads into a buffer of the runtime and gives what was read to `take`, which copies it where it belongs. For
    /// callers whose own memory is not initialised: copying what was read costs less than clearing the memory
    /// that might be.
    #[cfg(any(feature = "tokio-io", feature = "hyper"))]
    pub(crate) fn poll_read_with(
        &self,
        cx: &mut Context<'_>,
        capacity: usize,
        take: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<()>> {
        crate::compat::with_buffer(|buffer| {
            let capacity = capacity.min(buffer.len());
            let count = std::task::ready!(self.poll_read(cx, &mut buffer[..capacity]))?;
            take(&buffer[..count]);
            Poll::Ready(Ok(()))
        })
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.io().fmt(f)
    }
}
