//! A socket that can wait: the system's socket, its readiness, and its place in the reactor.
//!
//! # Readiness
//!
//! With edge-triggered events the system says once that a direction is ready. From then on it may be tried until the
//! system says `WouldBlock`; only then is it cleared, and the next event awaited. One case is surer than that: on
//! Linux a read that fills less than its buffer has emptied the socket, and new data makes a new event (epoll(7)), so
//! it clears too and saves the system call that would fail. Not so if the peer has closed: then the last event was
//! the last one, and stays. And not if a byte in the stream is urgent: a read ends in front of it, whatever stands
//! behind.
//!
//! The flags stand in one word with a count of the events. Clearing is a compare-and-swap against the word that
//! was read before the attempt, so an event that comes in between is never cleared with it.
//!
//! # Waiting
//!
//! Who waits looks at the word again while it holds the lock of the waiters. An event sets the word, then takes
//! the waiters under the same lock. So either the first sees the event, or the second finds the waiter.
//!
//! One task at a time can wait for a direction: the one that polled last.
//!
//! Next: [`net`](crate::net), the sockets that users see.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker, ready};

use mio::event::Event;
use mio::{Interest, Registry, Token};
use parking_lot::Mutex;

use crate::local::{self, Local};
use crate::mailbox::{self, Command, RuntimeId};

/// Which way data goes.
#[derive(Clone, Copy)]
pub(crate) enum Direction {
    Read,
    Write,
}

impl Direction {
    /// May be tried.
    const fn ready(self) -> usize {
        1 << self as usize
    }

    /// Only `WouldBlock` says that it has to wait: the peer or the system has closed it, or a byte is urgent.
    const fn sure(self) -> usize {
        4 << self as usize
    }
}

/// The runtime has ended: nobody would ever deliver an event.
const GONE: usize = 16;
/// One event, in the count above the flags.
const ONE_EVENT: usize = 32;

/// Which events a socket makes.
#[cfg(not(target_os = "linux"))]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);
/// With those for urgent bytes, where the end of a short read is taken for the end of the data.
#[cfg(target_os = "linux")]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);

/// What a socket and its row in the reactor share.
pub(crate) struct Readiness {
    /// The flags, and the count of events.
    word: AtomicUsize,
    /// Who waits to read, and who to write.
    waiters: Mutex<[Option<Waker>; 2]>,
}

impl Readiness {
    fn new(ready: usize) -> Arc<Readiness> {
        Arc::new(Readiness { word: AtomicUsize::new(ready), waiters: Mutex::new([None, None]) })
    }

    /// An event has come. Returns who waited for it.
    pub(crate) fn set(&self, event: &Event) -> [Option<Waker>; 2] {
        let flag = |is_set: bool, bits: usize| if is_set { bits } else { 0 };
        let read =
            flag(event.is_readable() || event.is_read_closed() || event.is_error(), Direction::Read.ready());
        let write = flag(
            event.is_writable() || event.is_write_closed() || event.is_error(),
            Direction::Write.ready(),
        );
        let sure = flag(event.is_read_closed() || event.is_priority(), Direction::Read.sure())
            | flag(event.is_write_closed(), Direction::Write.sure());
        self.raise(read | write | sure)
    }

    /// The runtime has ended. Returns who waited.
    pub(crate) fn set_gone(&self) -> [Option<Waker>; 2] {
        self.raise(GONE | Direction::Read.ready() | Direction::Write.ready())
    }

    fn raise(&self, flags: usize) -> [Option<Waker>; 2] {
        // The count wraps around; only whether it changed matters.
        let raise = |word: usize| Some((word | flags).wrapping_add(ONE_EVENT));
        let _ = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, raise);
        let mut waiters = self.waiters.lock();
        [Direction::Read, Direction::Write].map(|direction| {
            if flags & direction.ready() != 0 { waiters[direction as usize].take() } else { None }
        })
    }

    /// Clears flags, unless an event has come since `seen` was read.
    fn clear(&self, seen: usize, flags: usize) {
        let _ = self.word.compare_exchange(seen, seen & !flags, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Waits until the direction may be tried, and gives the word as it was then.
    #[inline]
    fn poll_ready(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<usize> {
        match self.word.load(Ordering::Acquire) {
            word if word & direction.ready() != 0 => Poll::Ready(word),
            _ => self.wait_for_event(cx, direction),
        }
    }

    /// Waits for an event, unless it has come meanwhile.
    #[inline(never)]
    fn wait_for_event(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<usize> {
        let waker = cx.waker().clone(); // foreign code: not under the lock
        let stale = {
            let mut waiters = self.waiters.lock();
            let word = self.word.load(Ordering::Acquire);
            if word & direction.ready() != 0 {
                drop(waiters);
                return Poll::Ready(word);
            }
            waiters[direction as usize].replace(waker)
        };
        drop(stale); // likewise
        Poll::Pending
    }
}

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
            let readiness =
                Readiness::new(ready.iter().fold(0, |flags, direction| flags | direction.ready()));
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
            let seen = ready!(self.readiness.poll_ready(cx, direction));
            if seen & GONE != 0 {
                return Poll::Ready(Err(io::Error::other("the runtime of this socket has ended")));
            }
            match operation(self.io()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readiness.clear(seen, direction.ready() | direction.sure());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    local::with(|local| local.spend(1)); // a loop that tries again at once must not go on for ever
                    return Poll::Ready(Err(error));
                }
                Ok((result, exhausted)) => {
                    local::with(|local| local.spend(1));
                    if exhausted && cfg!(target_os = "linux") && seen & direction.sure() == 0 {
                        self.readiness.clear(seen, direction.ready());
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

    /// Waits for an event, without trying anything, and gives the word that it made.
    pub(crate) fn poll_event(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<usize>> {
        let seen = ready!(self.readiness.poll_ready(cx, direction));
        if seen & GONE != 0 {
            return Poll::Ready(Err(io::Error::other("the runtime of this socket has ended")));
        }
        Poll::Ready(Ok(seen))
    }

    /// The event that [`poll_event`](Source::poll_event) gave was not the one that is awaited: waits for the next.
    pub(crate) fn await_another(&self, seen: usize, direction: Direction) {
        self.readiness.clear(seen, direction.ready());
    }
}

impl<S: mio::event::Source> Drop for Source<S> {
    fn drop(&mut self) {
        self.deregister();
    }
}
