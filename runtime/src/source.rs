//! A socket that can wait: the system's socket, its readiness, and its place in the reactor.
//!
//! Next: [`net`](crate::net), the sockets that users see.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use mio::{Interest, Registry, Token};

use crate::local::{self, Local};
use crate::mailbox::{self, Command, RuntimeId};
pub(crate) use crate::readiness::Direction;
use crate::readiness::Readiness;
use crate::side::Seen;

/// Which events a socket makes.
#[cfg(not(target_os = "linux"))]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);
/// With those for urgent bytes, where the end of a short read is taken for the end of the data.
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
    /// Puts a socket into the reactor of this thread's runtime. One that is `ready` from the start is tried before
    /// the first event.
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
        match local::with_home(self.runtime, |local| local.sources.borrow_mut().remove(self.token)) {
            Some(readiness) => drop(readiness), // and the wakers in it: nothing is borrowed here
            None => drop(mailbox::send(self.runtime, Command::RemoveSource(self.token.0))),
        }
        Some(io)
    }

    /// Tries `operation` when the direction is ready, and waits when it would block. Each result spends one unit
    /// of the task's budget; when that is spent, it wakes itself and waits, so that others have their turn.
    pub(crate) fn poll_io<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut operation: impl FnMut(&S) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_transfer(cx, direction, |io| operation(io).map(|result| (result, false)))
    }

    /// As [`poll_io`](Source::poll_io), for an `operation` that also says whether it has left nothing for a
    /// second one: the buffer was not filled, or not all of it was taken.
    pub(crate) fn poll_transfer<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut operation: impl FnMut(&S) -> io::Result<(R, bool)>,
    ) -> Poll<io::Result<R>> {
        if local::with(Local::is_spent) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            let seen = ready!(self.readiness.poll(cx.waker(), direction));
            if seen.is_gone() {
                return Poll::Ready(Err(io::Error::other("the runtime of this socket has ended")));
            }
            match operation(self.io()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readiness.exhaust(direction, seen);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    local::with(|local| local.spend(1)); // a loop that tries again at once must not go on for ever
                    return Poll::Ready(Err(error));
                }
                Ok((result, exhausted)) => {
                    local::with(|local| local.spend(1));
                    if exhausted && cfg!(target_os = "linux") && !seen.is_sure() {
                        self.readiness.exhaust(direction, seen);
                    }
                    return Poll::Ready(Ok(result));
                }
            }
        }
    }

    /// Awaits what [`poll_io`](Source::poll_io) polls for.
    pub(crate) async fn try_when_ready<R>(
        &self,
        direction: Direction,
        mut operation: impl FnMut(&S) -> io::Result<R>,
    ) -> io::Result<R> {
        poll_fn(|cx| self.poll_io(cx, direction, &mut operation)).await
    }

    /// Waits for an event, without trying anything, and gives what there was to try then.
    pub(crate) fn poll_event(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<Seen>> {
        let seen = ready!(self.readiness.poll(cx.waker(), direction));
        if seen.is_gone() {
            return Poll::Ready(Err(io::Error::other("the runtime of this socket has ended")));
        }
        Poll::Ready(Ok(seen))
    }

    /// The event that [`poll_event`](Source::poll_event) gave was not the one that is awaited: waits for the next.
    pub(crate) fn await_another(&self, seen: Seen, direction: Direction) {
        self.readiness.exhaust(direction, seen);
    }
}

impl<S: mio::event::Source> Drop for Source<S> {
    fn drop(&mut self) {
        self.deregister();
    }
}
