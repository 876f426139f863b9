//! A socket that can wait: the system's socket, its readiness, and its place in the reactor.
//!
//! Next: [`net`](crate::net), the sockets that users see.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use mio::{Interest, Registry, Token};

use crate::budget;
use crate::local;
use crate::mailbox::{RuntimeId, on_home};
pub(crate) use crate::readiness::Direction;
use crate::readiness::{Readiness, Wait};

/// Whether a short transfer clears readiness. With epoll it may, because new data makes a new
/// event. mio's other selectors report nothing more until an operation has answered `WouldBlock`.
const SHORT_TRANSFER_CLEARS: bool = cfg!(all(target_os = "linux", not(mio_unsupported_force_poll_poll)));

/// Which events a socket makes.
#[cfg(not(target_os = "linux"))]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);
/// With those for urgent bytes, where a short read is taken for the end of the data.
#[cfg(target_os = "linux")]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);

/// A socket that can wait. It may be polled and dropped on any thread.
pub(crate) struct Source<S: mio::event::Source> {
    /// The socket; `None` only while it is being taken out.
    io: Option<S>,
    readiness: Arc<Readiness>,
    registry: Arc<Registry>,
    /// Whose reactor it is in.
    runtime: RuntimeId,
    token: Token,
}

impl<S: mio::event::Source> Source<S> {
    /// Puts a socket into the reactor of this thread's runtime. One that is `ready` from the start
    /// is tried before the first event.
    ///
    /// # Panics
    ///
    /// If this thread runs no runtime.
    pub(crate) fn new(mut io: S, ready: &[Direction]) -> io::Result<Source<S>> {
        local::with_running("a socket", |local| {
            let readiness = Readiness::new(ready);
            let (token, registry) = local.sources.borrow_mut().insert(readiness.clone())?;
            let registered = registry.register(&mut io, token, INTEREST);
            if let Err(error) = registered {
                local.sources.borrow_mut().remove(token);
                return Err(error);
            }
            Ok(Source { io: Some(io), readiness, registry, runtime: local.id(), token })
        })
    }

    pub(crate) fn io(&self) -> &S {
        self.io.as_ref().expect("the socket is taken out only when its `Source` is dropped")
    }

    /// Takes the socket out of the reactor.
    pub(crate) fn into_io(mut self) -> io::Result<S> {
        self.deregister().ok_or_else(|| io::Error::other("the socket is gone"))
    }

    fn deregister(&mut self) -> Option<S> {
        let mut io = self.io.take()?;
        // Before the descriptor is closed: a duplicate of it would go on making events.
        let _ = self.registry.deregister(&mut io);
        let token = self.token;
        on_home(self.runtime, move |local| {
            let readiness = local.sources.borrow_mut().remove(token);
            drop(readiness); // and the wakers in it: nothing is borrowed here
        });
        Some(io)
    }

    /// For one call of an async method. Any number of them may wait for a direction.
    pub(crate) fn wait(&self, direction: Direction) -> Wait<'_> {
        Wait::new(&self.readiness, direction)
    }

    /// For a poll function. Of several polls that wait for a direction, the last is woken.
    pub(crate) fn poll_wait(&self, direction: Direction) -> Wait<'_> {
        Wait::of_poll(&self.readiness, direction)
    }

    /// Tries `operation` when the direction is ready, and waits when it would block. Each result
    /// spends one unit of the budget.
    pub(crate) fn poll_io<R>(
        &self,
        cx: &Context<'_>,
        wait: &mut Wait<'_>,
        mut operation: impl FnMut(&S) -> io::Result<R>,
        is_short: impl FnOnce(&R) -> bool,
    ) -> Poll<io::Result<R>> {
        loop {
            let seen = ready!(wait.poll(cx.waker()));
            if seen.is_gone() {
                return Poll::Ready(Err(runtime_is_gone()));
            }
            ready!(budget::poll(cx));
            let result = operation(self.io());
            match &result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait.clear(seen);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => {}
                Ok(done) => {
                    if SHORT_TRANSFER_CLEARS && !seen.outlasts_short_transfers() && is_short(done) {
                        wait.clear(seen);
                    }
                }
            }
            budget::spend(); // for an error, too: a loop may try again at once
            return Poll::Ready(result);
        }
    }

    /// The same as a future, for an operation whose result says nothing of what is left.
    pub(crate) async fn io_when_ready<R>(
        &self,
        direction: Direction,
        mut operation: impl FnMut(&S) -> io::Result<R>,
    ) -> io::Result<R> {
        let mut wait = self.wait(direction);
        poll_fn(|cx| self.poll_io(cx, &mut wait, &mut operation, |_| false)).await
    }

    /// Tries `operation` once, if the direction is ready; else the answer is `WouldBlock`.
    pub(crate) fn try_io<R>(
        &self,
        direction: Direction,
        operation: impl FnOnce(&S) -> io::Result<R>,
    ) -> io::Result<R> {
        let Poll::Ready(seen) = self.readiness.look(direction) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        if seen.is_gone() {
            return Err(runtime_is_gone());
        }
        let result = operation(self.io());
        if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            self.readiness.clear(direction, seen);
        }
        result
    }
}

#[cold]
fn runtime_is_gone() -> io::Error {
    io::Error::other("the runtime of this socket has ended")
}

impl<S: mio::event::Source> Drop for Source<S> {
    fn drop(&mut self) {
        self.deregister();
    }
}
