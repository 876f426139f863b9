//! Which directions of a socket may be tried, and the tasks that wait for them.
//!
//! # Readiness
//!
//! With edge-triggered events the system reports once that a direction is ready. From then on the
//! direction may be tried until the system answers `WouldBlock`, which clears readiness until the
//! next event. A short transfer may clear it, too, and saves the system call that would fail: on
//! Linux a read that does not fill its buffer has emptied the socket, and new data makes a new
//! event (epoll(7)). Not so after the peer has closed, because that event was the last; and not
//! while a byte in the stream is urgent, because a read stops in front of it.
//!
//! # Waiting
//!
//! Each call of an async method waits with a key of its own, and an event wakes all of them: those
//! that find nothing left wait again. (Waking only one would need the wake to be passed on when
//! that one is dropped.) The poll functions share one key, so for them the last waker wins, as the
//! contract of `poll` says. The call that has waited longest is woken first, so calls that wait
//! for the same socket take turns.
//!
//! # Threads
//!
//! A socket may be used on any thread, while events come on the runtime's. Waiters stand behind a
//! lock. An event sets readiness and takes the waiters under one hold of it, and a call looks at
//! readiness once more under the lock before it adds its waker: so no event falls between the two.
//! Readiness itself is one atomic word for each direction, because most calls find it set and need
//! no lock. It counts the events, so that a try clears only the readiness that it saw.
//!
//! Next: [`waiters`](crate::waiters).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Poll, Waker};

use mio::event::Event;
use parking_lot::Mutex;

use crate::waiters::{Waiter, Waiters, Woken};
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
    /// For each direction the flags below, and above them the number of its events, which wraps.
    words: [AtomicU32; 2],
    waiting: Mutex<Waiting>,
}

/// The direction may be tried.
const READY: u32 = 1;
/// Only `WouldBlock` clears that: the peer has closed, or a byte is urgent.
const OUTLASTS_SHORT_TRANSFERS: u32 = 2;
/// The runtime has ended: no event will ever come.
const GONE: u32 = 4;
/// One event.
const EVENT: u32 = 8;

/// The word of a direction when it was found ready.
#[derive(Clone, Copy)]
pub(crate) struct Seen(u32);

impl Seen {
    pub(crate) fn outlasts_short_transfers(self) -> bool {
        self.0 & OUTLASTS_SHORT_TRANSFERS != 0
    }

    pub(crate) fn is_gone(self) -> bool {
        self.0 & GONE != 0
    }
}

#[derive(Default)]
struct Waiting {
    sides: [Waiters; 2],
    /// The key of the last call that waited.
    last_key: u64,
}

impl Readiness {
    /// For a socket of which these directions may be tried before the first event.
    pub(crate) fn new(ready: &[Direction]) -> Arc<Readiness> {
        let words = [Direction::Read, Direction::Write].map(|side| u32::from(ready.contains(&side)) * READY);
        Arc::new(Readiness { words: words.map(AtomicU32::new), waiting: Mutex::default() })
    }

    /// An event has come.
    pub(crate) fn set(&self, event: &Event) -> Woken {
        let is_readable = event.is_readable() || event.is_read_closed() || event.is_error();
        let is_writable = event.is_writable() || event.is_write_closed() || event.is_error();
        let outlasts = |outlasts: bool| u32::from(outlasts) * OUTLASTS_SHORT_TRANSFERS;
        let read = outlasts(event.is_read_closed() || event.is_priority());
        self.set_ready([
            is_readable.then_some(read),
            is_writable.then_some(outlasts(event.is_write_closed())),
        ])
    }

    /// The runtime has ended.
    pub(crate) fn set_gone(&self) -> Woken {
        self.set_ready([Some(GONE); 2])
    }

    /// Makes the directions ready for which there are flags.
    fn set_ready(&self, flags: [Option<u32>; 2]) -> Woken {
        let mut woken = Woken::default();
        let mut waiting = self.waiting.lock();
        for (side, flags) in flags.into_iter().enumerate() {
            let Some(flags) = flags else { continue };
            // Only here is it written but for clearing, which a new event may overtake.
            let before = self.words[side].load(Ordering::Relaxed) & !OUTLASTS_SHORT_TRANSFERS;
            self.words[side].store(before.wrapping_add(EVENT) | READY | flags, Ordering::Release);
            waiting.sides[side].wake(side, &mut woken);
        }
        woken
    }

    /// Whether the direction may be tried now.
    #[inline]
    pub(crate) fn look(&self, direction: Direction) -> Poll<Seen> {
        let word = self.words[direction as usize].load(Ordering::Acquire);
        if word & READY == 0 { Poll::Pending } else { Poll::Ready(Seen(word)) }
    }

    /// A try has left nothing of what was seen.
    #[inline]
    pub(crate) fn clear(&self, direction: Direction, seen: Seen) {
        if !seen.is_gone() {
            let (seen, cleared) = (seen.0, seen.0 & !READY);
            // It fails if an event has come meanwhile.
            let word = &self.words[direction as usize];
            let _ = word.compare_exchange(seen, cleared, Ordering::Relaxed, Ordering::Relaxed);
        }
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
    #[inline]
    pub(crate) fn poll(&mut self, waker: &Waker) -> Poll<Seen> {
        let seen = self.readiness.look(self.direction);
        self.is_waiting = false; // an event that makes it ready takes the waiters
        if seen.is_ready() { seen } else { self.wait(waker) }
    }

    fn wait(&mut self, waker: &Waker) -> Poll<Seen> {
        let waker = waker::copy(waker); // foreign code: not under the lock
        let mut waiting = self.readiness.waiting.lock();
        let seen = self.readiness.look(self.direction);
        if seen.is_ready() {
            drop(waiting);
            let _ = waker::into_id(waker); // foreign code: nothing is locked
            return seen;
        }
        let key = *self.key.get_or_insert_with(|| {
            waiting.last_key += 1;
            waiting.last_key
        });
        let stale = waiting.sides[self.direction as usize].add(Waiter { key, waker });
        drop(waiting);
        self.is_waiting = true;
        let _ = stale.map(waker::into_id); // likewise
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
        let left = self.readiness.waiting.lock().sides[self.direction as usize].remove(key);
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
        let mut woken = Vec::new();
        let flags = u32::from(outlasts_short_transfers) * OUTLASTS_SHORT_TRANSFERS;
        readiness.set_ready([Some(flags), None]).wake_each(|waker| woken.push(waker));
        woken
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
                Poll::Ready(seen) => (seen.outlasts_short_transfers(), seen.is_gone()),
                Poll::Pending => unreachable!("an event has come"),
            }
        };
        assert_eq!(seen(true), (true, false));
        assert_eq!(seen(false), (false, false));
        readiness.set_gone();
        for direction in [Direction::Read, Direction::Write] {
            let Poll::Ready(seen) = readiness.look(direction) else { panic!("a wait would last for ever") };
            assert!(seen.is_gone());
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
