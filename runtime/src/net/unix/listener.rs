//! Accepting Unix connections.
//!
//! Next: [`datagram`](super::datagram).

use std::future::poll_fn;
use std::io;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::task::{Context, Poll, ready};

use super::super::listener::poll_accept;
use super::super::methods::socket;
use super::UnixStream;
use crate::readiness::Wait;
use crate::source::{Direction, Source};

/// A socket that accepts Unix connections. Dropping it closes it, and leaves its path where it is.
///
/// ```
/// use gather_runtime::net::{UnixListener, UnixStream};
///
/// # let path = std::env::temp_dir().join(format!("gather-doc-{}", std::process::id()));
/// gather_runtime::run(async {
///     let listener = UnixListener::bind(&path).await?;
///     let client = UnixStream::connect(&path).await?;
///     let (server, _) = listener.accept().await?;
///     client.write_all(b"hello").await?;
///     let mut hello = [0; 5];
///     server.read_exact(&mut hello).await?;
///     assert_eq!(&hello, b"hello");
///     std::fs::remove_file(&path)
/// })
/// # .unwrap();
/// ```
pub struct UnixListener {
    source: Source<mio::net::UnixListener>,
}

socket!(UnixListener, mio::net::UnixListener, std::os::unix::net::UnixListener, SocketAddr, ready: [], try_io: super::super::listener::call);

impl UnixListener {
    /// Makes `path` and listens on it.
    ///
    /// # Errors
    ///
    /// What the system says: `AddrInUse` if the path exists, whatever it is.
    ///
    /// # Panics
    ///
    /// If this thread runs no runtime.
    pub async fn bind(path: impl AsRef<Path>) -> io::Result<UnixListener> {
        mio::net::UnixListener::bind(path).and_then(UnixListener::register)
    }

    /// Waits for the next connection, and gives it with the path of its client, which mostly has
    /// none. Dropping the future loses no connection. Any number of tasks may wait here.
    ///
    /// # Errors
    ///
    /// As [`TcpListener::accept`](crate::TcpListener::accept): the listener stays usable, and what
    /// could not be accepted for want of descriptors stays in the queue for the next call.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let mut wait = self.source.wait(Direction::Read);
        poll_fn(|cx| self.poll_accept_with(cx, &mut wait)).await
    }

    /// Polls for the next connection, as [`accept`](UnixListener::accept) does. Of several polls
    /// the last is woken.
    ///
    /// # Errors
    ///
    /// As `accept`.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        self.poll_accept_with(cx, &mut self.source.poll_wait(Direction::Read))
    }

    fn poll_accept_with(
        &self,
        cx: &mut Context<'_>,
        wait: &mut Wait<'_>,
    ) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        let (stream, address) = ready!(poll_accept(&self.source, cx, wait, |listener| listener.accept()))?;
        Poll::Ready(UnixStream::register(stream).map(|stream| (stream, address)))
    }
}
