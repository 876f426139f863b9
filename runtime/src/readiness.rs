//! Which directions of a socket may be tried, and the tasks that wait for them.
//!
//! # Readiness
//!
//! With edge-triggered events the system reports once that a direction is ready. From then on the direction may be
//! tried until the system answers `WouldBlock`, which clears readiness until the next event. A short transfer
//! may clear it, too, and saves the system call that would fail: on Linux a read that does not fill its
//! buffer has emptied the socket, and new data makes a new event (epoll(7)). Not so after the peer has closed, because
//! that event was the last; and not while a byte in the stream is urgent, because a read stops in front of it.
//!
//! # Waiting
//!
//! Each call of an async method waits with a key of its own, and an event wakes all of them: those that find nothing left
//! wait again. (Waking only one would need the wake to be passed on when that one is dropped.) The poll
//! functions share one key, so for them the last waker wins, as the contract of `poll` says. The call that has waited
//! longest is woken first, so calls that wait for the same socket take turns.
//!
//! A waiter is there only while its direction is not ready. So a call that finds its direction ready has nothing to
//! remove, and an event that comes between a failed try and the wait is found by the wait.
//!
//! Next: [`source`](crate::source), the socket.

use std::mem;
use std::sync::Arc;
use std::task::{Poll, Waker};

use mio::event::Event;
use parking_lot::Mutex;

use crate::waker;

/// Which way data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// The key of the poll functions.
const POLL_KEY: u64 = 0;

/// What a socket and its row in the reactor share.
pub(crate) struct Readiness {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sides: [Side; 2],
    /// The key of the last call that waited.
    last_key: u64,
    /// The runtime has ended: no event will ever come.
    is_gone: bool,
}

/// One direction.
#[derive(Default)]
struct Side {
    is_ready: bool,
    /// Only `WouldBlock` clears readiness: the peer has closed, or a byte is urgent.
    outlasts_short_transfers: bool,
    /// How many events have come, so that a try clears only the readiness that it saw. Wraps.
    events: u32,
    waiters: Waiters,
}

struct Waiter {
    key: u64,
    waker: Waker,
}

/// What an operation knew of its direction when it was tried.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    events: u32,
    /// Only `WouldBlock` clears readiness.
    pub(crate) outlasts_short_transfers: bool,
    /// The runtime has ended.
    pub(crate) is_gone: bool,
}

/// The calls that wait for one direction; or those that waited, to be woken when nothing is locked or borrowed.
#[derive(Default)]
pub(crate) struct Waiters {
    /// Mostly it is the only one, and needs no memory of its own.
    first: Option<Waiter>,
    others: Vec<Waiter>,
}

impl Readiness {
    /// For a socket of which these directions may be tried before the first event.
    pub(crate) fn new(ready: &[Direction]) -> Arc<Readiness> {
        let mut state = State::default();
        ready.iter().for_each(|&direction| state.sides[direction as usize].is_ready = true);
        Arc::new(Readiness { state: Mutex::new(state) })
    }

    /// An event has come.
    pub(crate) fn set(&self, event: &Event) -> [Waiters; 2] {
        let is_readable = event.is_readable() || event.is_read_closed() || event.is_error();
        let is_writable = event.is_writable() || event.is_write_closed() || event.is_error();
        let read_outlasts = event.is_read_closed() || event.is_priority();
        let [read, write] = &mut self.state.lock().sides;
        [
            if is_readable { read.set_ready(read_outlasts) } else { Waiters::default() },
            if is_writable { write.set_ready(event.is_write_closed()) } else { Waiters::default() },
        ]
    }

    /// The runtime has ended.
    pub(crate) fn set_gone(&self) -> [Waiters; 2] {
        let mut state = self.state.lock();
        state.is_gone = true;
        state.sides.each_mut().map(|side| side.set_ready(true))
    }

    /// Whether the direction may be tried now.
    pub(crate) fn look(&self, direction: Direction) -> Poll<Seen> {
        self.state.lock().look(direction)
    }

    /// A try has left nothing of what was seen.
    pub(crate) fn clear(&self, direction: Direction, seen: Seen) {
        let side = &mut self.state.lock().sides[direction as usize];
        if side.events == seen.events && !seen.is_gone {
            side.is_ready = false;
        }
    }
}

impl State {
    fn look(&self, direction: Direction) -> Poll<Seen> {
        let side = &self.sides[direction as usize];
        if !side.is_ready {
            return Poll::Pending;
        }
        let outlasts_short_transfers = side.outlasts_short_transfers;
        Poll::Ready(Seen { events: side.events, outlasts_short_transfers, is_gone: self.is_gone })
    }
}

impl Side {
    /// Returns the calls that waited.
    fn set_ready(&mut self, outlasts_short_transfers: bool) -> Waiters {
        self.is_ready = true;
        self.events = self.events.wrapping_add(1);
        self.outlasts_short_transfers = outlasts_short_transfers;
        mem::take(&mut self.waiters)
    }
}

impl Waiters {
    /// Returns the waiter with the same key, if there was one.
    fn add(&mut self, waiter: Waiter) -> Option<Waiter> {
        match &mut self.first {
            Some(first) if first.key != waiter.key => {
                match self.others.iter_mut().find(|other| other.key == waiter.key) {
                    Some(other) => Some(mem::replace(other, waiter)),
                    None => {
                        self.others.push(waiter);
                        None
                    }
                }
            }
            first => first.replace(waiter),
        }
    }

    fn remove(&mut self, key: u64) -> Option<Waiter> {
        if self.first.as_ref().is_some_and(|first| first.key == key) {
            let next = self.others.pop();
            return mem::replace(&mut self.first, next);
        }
        let index = self.others.iter().position(|other| other.key == key)?;
        Some(self.others.swap_remove(index))
    }

    /// The call that has waited longest comes first.
    pub(crate) fn into_wakers(mut self) -> impl Iterator<Item = Waker> {
        if !self.others.is_empty() {
            self.others.extend(self.first.take());
            self.others.sort_unstable_by_key(|waiter| waiter.key);
        }
        self.first.into_iter().chain(self.others).map(|waiter| waiter.waker)
    }
}

/// One call that may have to wait for one direction. Dropping it ends the wait.
pub(crate) struct Wait<'a> {
    readiness: &'a Readiness,
    direction: Direction,
    /// Its key, from its first wait on.
    key: Option<u64>,
    /// Whether its waker was left with the socket by the last poll.
    is_waiting: bool,
}

impl<'a> Wait<'a> {
    /// For a call of an async method.
    pub(crate) fn new(readiness: &'a Readiness, direction: Direction) -> Wait<'a> {
        Wait { readiness, direction, key: None, is_waiting: false }
    }

    /// For a poll function. The waker stays with the socket when this is dropped.
    pub(crate) fn of_poll(readiness: &'a Readiness, direction: Direction) -> Wait<'a> {
        Wait { readiness, direction, key: Some(POLL_KEY), is_waiting: false }
    }

    /// Whether the direction may be tried now. If not, the waker is woken by the next event.
    pub(crate) fn poll(&mut self, waker: &Waker) -> Poll<Seen> {
        let waker = waker::copy(waker); // foreign code: not under the lock
        let mut state = self.readiness.state.lock();
        let seen = state.look(self.direction);
        self.is_waiting = seen.is_pending();
        if seen.is_ready() {
            drop(state);
            let _ = waker::into_id(waker); // foreign code: nothing is locked
            return seen;
        }
        let key = *self.key.get_or_insert_with(|| {
            state.last_key += 1;
            state.last_key
        });
        let stale = state.sides[self.direction as usize].waiters.add(Waiter { key, waker });
        drop(state);
        let _ = stale.map(|stale| waker::into_id(stale.waker)); // likewise
        Poll::Pending
    }

    /// A try has left nothing of what was seen.
    pub(crate) fn clear(&self, seen: Seen) {
        self.readiness.clear(self.direction, seen);
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key.filter(|&key| self.is_waiting && key != POLL_KEY) else { return };
        let left = self.readiness.state.lock().sides[self.direction as usize].waiters.remove(key);
        drop(left); // foreign code: nothing is locked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Wake;

    /// A waker of another library, which polls that socket when it is dropped.
    struct Foreign(Option<Arc<Readiness>>);

    impl Wake for Foreign {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for Foreign {
        fn drop(&mut self) {
            let polled = self.0.take().map(|readiness| polls(&readiness, Waker::noop()));
            assert!(polled.is_none_or(|seen| seen.is_pending()));
        }
    }

    fn foreign() -> Waker {
        Arc::new(Foreign(None)).into()
    }

    fn polls(readiness: &Readiness, waker: &Waker) -> Poll<Seen> {
        Wait::of_poll(readiness, Direction::Read).poll(waker)
    }

    fn set_ready(readiness: &Readiness, outlasts_short_transfers: bool) -> Vec<Waker> {
        let woken = readiness.state.lock().sides[0].set_ready(outlasts_short_transfers);
        woken.into_wakers().collect()
    }

    #[test]
    fn a_try_clears_only_the_readiness_that_it_saw() {
        let readiness = Readiness::new(&[Direction::Read]);
        let Poll::Ready(seen) = readiness.look(Direction::Read) else { panic!("it is ready from the start") };
        set_ready(&readiness, false); // while the try goes on
        readiness.clear(Direction::Read, seen);
        let Poll::Ready(seen) = readiness.look(Direction::Read) else { panic!("an event was lost") };
        readiness.clear(Direction::Read, seen);
        assert!(readiness.look(Direction::Read).is_pending());
        assert!(readiness.look(Direction::Write).is_pending());
    }

    #[test]
    fn that_the_peer_has_closed_is_so_as_long_as_events_say_so_and_that_the_runtime_has_ended_for_ever() {
        let readiness = Readiness::new(&[]);
        let seen = |outlasts| {
            set_ready(&readiness, outlasts);
            match readiness.look(Direction::Read) {
                Poll::Ready(seen) => (seen.outlasts_short_transfers, seen.is_gone),
                Poll::Pending => unreachable!("an event has come"),
            }
        };
        assert_eq!(seen(true), (true, false));
        assert_eq!(seen(false), (false, false));
        readiness.set_gone();
        for direction in [Direction::Read, Direction::Write] {
            let Poll::Ready(seen) = readiness.look(direction) else { panic!("a wait would last for ever") };
            assert!(seen.is_gone);
            readiness.clear(direction, seen);
            assert!(readiness.look(direction).is_ready());
        }
    }

    #[test]
    fn of_several_polls_the_last_is_woken_and_the_waker_before_it_is_dropped_at_once() {
        let readiness = Readiness::new(&[]);
        let first = Arc::new(Foreign(None));
        assert!(polls(&readiness, &first.clone().into()).is_pending());
        assert_eq!(Arc::strong_count(&first), 2);
        let last = foreign();
        assert!(polls(&readiness, &last).is_pending());
        assert_eq!(Arc::strong_count(&first), 1);
        let woken = set_ready(&readiness, false);
        assert!(woken.len() == 1 && woken[0].will_wake(&last));
        assert!(set_ready(&readiness, false).is_empty());
    }

    #[test]
    fn a_waker_may_poll_the_socket_when_it_is_dropped() {
        let readiness = Readiness::new(&[]);
        let waker = Arc::new(Foreign(Some(readiness.clone())));
        assert!(polls(&readiness, &waker.into()).is_pending());
        assert!(polls(&readiness, &foreign()).is_pending());
        assert_eq!(set_ready(&readiness, false).len(), 1, "it was the last to poll");
    }

    #[test]
    fn calls_are_woken_in_the_order_in_which_they_began_to_wait() {
        let readiness = Readiness::new(&[]);
        let wakers: Vec<Waker> = (0..5).map(|_| foreign()).collect();
        let mut calls: Vec<_> = wakers.iter().map(|_| Wait::new(&readiness, Direction::Read)).collect();
        for (call, waker) in calls.iter_mut().zip(&wakers) {
            assert!(call.poll(waker).is_pending());
        }
        drop(calls.remove(1));
        drop(calls.remove(0));
        assert!(calls[1].poll(&wakers[3]).is_pending()); // it keeps its place
        let woken = set_ready(&readiness, false);
        let order: Vec<_> =
            woken.iter().map(|waker| wakers.iter().position(|one| one.will_wake(waker)).unwrap()).collect();
        assert_eq!(order, [2, 3, 4]);
    }
}
