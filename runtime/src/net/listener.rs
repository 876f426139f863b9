//! Accepting connections: TCP's, and what Unix's listener shares.
//!
//! Next: [`udp`](super::udp).

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use super::methods::{hops, socket};
use super::resolve::resolve;
use super::{TcpStream, ToSocketAddrs};
use crate::readiness::Wait;
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

socket!(TcpListener, mio::net::TcpListener, std::net::TcpListener, SocketAddr, ready: [], try_io: call);
hops!(TcpListener);

impl TcpListener {
    /// Listens on `address` (port 0: on any that is free). Of several addresses the first that
    /// works is taken.
    ///
    /// # Errors
    ///
    /// What the system says, for the last address that was tried.
    ///
    /// # Panics
    ///
    /// If this thread runs no runtime.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<TcpListener> {
        first_that_works(address, mio::net::TcpListener::bind).await.and_then(TcpListener::register)
    }

    /// Waits for the next connection. Dropping the future loses no connection.
    ///
    /// Any number of tasks may wait here. A connection wakes all of them, and the first to be
    /// polled takes it.
    ///
    /// # Errors
    ///
    /// What the system says, such as that the process or the system has no descriptors left
    /// (`EMFILE`, `ENFILE`), or no memory for one more connection (`ENOBUFS`, `ENOMEM`). The
    /// listener stays usable, and what could not be accepted stays in the queue: the next call
    /// tries it again, and succeeds when there is a descriptor, though no new client comes. A call
    /// gives one error and does not try again by itself; a server that goes on at once would try
    /// in vain as fast as it can, so let it `sleep` for a moment first.
    ///
    /// A connection that its client has given up before it was accepted (`ECONNABORTED` and the
    /// like) is no error: the next one is taken. Other errors about one connection (`EPROTO`,
    /// `EPERM`) are given, and that connection is gone; so is one that was accepted and that the
    /// system does not let be registered.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let mut wait = self.source.wait(Direction::Read);
        poll_fn(|cx| self.poll_accept_with(cx, &mut wait)).await
    }

    /// Polls for the next connection, as [`accept`](TcpListener::accept) does. Of several polls
    /// the last is woken.
    ///
    /// # Errors
    ///
    /// As `accept`.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.poll_accept_with(cx, &mut self.source.poll_wait(Direction::Read))
    }

    fn poll_accept_with(
        &self,
        cx: &mut Context<'_>,
        wait: &mut Wait<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let (stream, address) = ready!(poll_accept(&self.source, cx, wait, |listener| listener.accept()))?;
        Poll::Ready(TcpStream::register(stream).map(|stream| (stream, address)))
    }
}

/// The `try_io` of listeners, for which mio has none.
pub(super) fn call<S, R>(_: &S, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
    f()
}

/// Tries each address in turn. The error is that of the last.
pub(super) async fn first_that_works<S>(
    address: impl ToSocketAddrs,
    mut attempt: impl FnMut(SocketAddr) -> io::Result<S>,
) -> io::Result<S> {
    let mut last_error = None;
    for address in resolve(address).await? {
        match attempt(address) {
            Ok(socket) => return Ok(socket),
            Err(error) => last_error = Some(error),
        }
    }
    Err(last_error.unwrap_or_else(|| io::Error::other("no address")))
}

/// Polls for the next connection that has not gone already.
pub(super) fn poll_accept<S: mio::event::Source, C>(
    source: &Source<S>,
    cx: &mut Context<'_>,
    wait: &mut Wait<'_>,
    mut accept: impl FnMut(&S) -> io::Result<C>,
) -> Poll<io::Result<C>> {
    loop {
        match ready!(source.poll_io(cx, wait, &mut accept, |_| false)) {
            Err(error) if is_gone(error.kind()) => {} // it is out of the queue; and it has spent its unit of the budget
            result => return Poll::Ready(result),
        }
    }
}

/// Whether the error of an accept is about a connection that its client, or the network, has ended
/// before.
fn is_gone(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::*;
    matches!(
        kind,
        ConnectionAborted
            | ConnectionReset
            | ConnectionRefused
            | HostUnreachable
            | NetworkUnreachable
            | NetworkDown
    )
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::{run, yield_now};

    /// What accepts give that find these errors, each in a connection of its own, and then none.
    async fn accepts(errors: &[io::ErrorKind]) -> Vec<Result<(), io::ErrorKind>> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut left = errors.iter();
        let mut results = Vec::new();
        while results.last() != Some(&Ok(())) {
            let accepted = poll_fn(|cx| {
                let wait = &mut listener.source.poll_wait(Direction::Read);
                poll_accept(&listener.source, cx, wait, |listener| match left.next() {
                    Some(kind) => Err((*kind).into()),
                    None => listener.accept(),
                })
            });
            results.push(accepted.await.map(drop).map_err(|error| error.kind()));
        }
        results
    }

    #[test]
    fn an_accept_passes_over_connections_that_have_gone_and_gives_other_errors_and_goes_on() {
        use io::ErrorKind::*;
        run(async {
            assert_eq!(accepts(&[]).await, [Ok(())]);
            assert_eq!(accepts(&[ConnectionAborted, ConnectionReset, NetworkDown]).await, [Ok(())]);
            let others = [PermissionDenied, ConnectionAborted, OutOfMemory, Other, Interrupted];
            let told = [Err(PermissionDenied), Err(OutOfMemory), Err(Other), Ok(())];
            assert_eq!(accepts(&others).await, told);
        });
    }

    #[test]
    fn an_accept_that_passes_over_many_lets_others_have_their_turn() {
        run(async {
            let is_done = Cell::new(false);
            let turns = Cell::new(0);
            let mut counts = std::pin::pin!(async {
                while !is_done.get() {
                    turns.set(turns.get() + 1);
                    yield_now().await;
                }
            });
            let mut accepting = std::pin::pin!(async {
                assert_eq!(accepts(&[io::ErrorKind::ConnectionAborted; 10_000]).await, [Ok(())]);
                is_done.set(true);
            });
            poll_fn(|cx| {
                use std::future::Future;
                let _ = accepting.as_mut().poll(cx).is_ready();
                counts.as_mut().poll(cx)
            })
            .await;
            assert!(turns.get() > 10, "{} turns", turns.get());
        });
    }
}
