//! Which directions of a socket may be tried, and who waits for them.
//!
//! # Readiness
//!
//! With edge-triggered events the system says once that a direction is ready. From then on it may be tried until the
//! system says `WouldBlock`; only then is it exhausted, and the next event awaited. One case is surer than that: on
//! Linux a read that fills less than its buffer has emptied the socket, and new data makes a new event (epoll(7)), so
//! that exhausts it too and saves the system call that would fail. Not so if the peer has closed: then the last event was
//! the last one, and stays. And not if a byte in the stream is urgent: a read ends in front of it, whatever stands
//! behind.
//!
//! ```text
//!   the runtime's thread: raise                  the thread that polls the socket
//!   R1  events = events + 1, and flags           P1  are there events since it was exhausted? ── yes ──► try; if nothing is left,
//!   R2  exchange waiter for nobody: wake it      P2  exchange waiter for me                              exhausted = events as of P1
//!                                                P3  P1 again; if there are none, wait
//! ```
//!
//! **An event that comes during a try is not lost**: events are counted, and who tried says as of which.
//!
//! **No wake is lost.** R2 and P2 exchange the same word, so one comes before the other. If P2 does, R2 finds who waits. If R2
//! does, P2 reads what it wrote, or what came after, and so P3 sees R1.
//!
//! `events` is written by one thread and `exhausted` by the other, so neither needs more than a store: for a message that is read and
//! sent back there are three exchanges. The model at the end of the file lets loom try the interleavings.
//!
//! One task at a time can wait for a direction: the one that polled last.
//!
//! Next: [`source`](crate::source), the socket.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::Arc;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::task::{Poll, Waker};

use mio::event::Event;
use parking_lot::Mutex;

use crate::id::{Id, Target};
use crate::waker;

/// Which way data goes.
#[derive(Clone, Copy)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// What there was to try when a direction was looked at.
#[derive(Clone, Copy)]
pub(crate) struct Seen(u32);

impl Seen {
    /// Only `WouldBlock` says that it is exhausted: the peer or the system has closed it, or a byte is urgent.
    pub(crate) fn is_sure(self) -> bool {
        self.0 & SURE != 0
    }

    /// The runtime has ended: nobody would ever deliver an event.
    pub(crate) fn is_gone(self) -> bool {
        self.0 & GONE != 0
    }
}

const SURE: u32 = 1;
const GONE: u32 = 2;
/// One event, in the count above the flags.
const ONE_EVENT: u32 = 4;

/// Nobody waits. (No runtime has the number 0, so no waker of ours is one of these two.)
const NOBODY: usize = 0;
/// A waker that is not ours waits, in the other table.
const FOREIGN: usize = Id::new(0, Target::Task { row: 1, generation: 0 }).word();

/// One direction of a socket.
struct Side {
    /// How many events have come, and flags. Only the runtime's thread writes it.
    events: AtomicU32,
    /// What `events` was before the last try that left nothing.
    exhausted: AtomicU32,
    /// The id in the waker of who waits, or one of the two above.
    waiter: AtomicUsize,
}

impl Side {
    fn new(is_ready: bool) -> Side {
        Side {
            events: AtomicU32::new(if is_ready { ONE_EVENT } else { 0 }),
            exhausted: AtomicU32::new(0),
            waiter: AtomicUsize::new(NOBODY),
        }
    }

    /// An event has come. Returns who waited.
    #[inline]
    fn raise(&self, flags: u32) -> usize {
        let before = self.events.load(Ordering::Relaxed);
        let exhausted = self.exhausted.load(Ordering::Relaxed);
        let kept = before & if before == exhausted { GONE } else { SURE | GONE };
        let mut events = (before & !(SURE | GONE)).wrapping_add(ONE_EVENT) | kept | flags;
        if events == exhausted {
            events = events.wrapping_add(ONE_EVENT); // a billion events came and nobody has tried
        }
        self.events.store(events, Ordering::Release); // R1
        self.waiter.swap(NOBODY, Ordering::AcqRel) // R2
    }

    /// Whether it may be tried.
    #[inline]
    fn look(&self) -> Poll<Seen> {
        let events = self.events.load(Ordering::Acquire); // P1, P3
        if events == self.exhausted.load(Ordering::Relaxed) {
            Poll::Pending
        } else {
            Poll::Ready(Seen(events))
        }
    }

    /// A try has left nothing of what was seen.
    #[inline]
    fn exhaust(&self, seen: Seen) {
        self.exhausted.store(seen.0, Ordering::Relaxed);
    }

    /// From now on this one waits. Returns who waited.
    #[inline]
    fn exchange_waiter(&self, waiter: usize) -> usize {
        self.waiter.swap(waiter, Ordering::AcqRel) // P2
    }
}

/// What a socket and its row in the reactor share.
pub(crate) struct Readiness {
    sides: [Side; 2],
    /// Who waits for each direction and has a waker that is not ours.
    foreign: Mutex<Option<Box<[Option<Waker>; 2]>>>,
}

impl Readiness {
    /// For a socket of which these directions may be tried before the first event.
    pub(crate) fn new(ready: &[Direction]) -> Arc<Readiness> {
        let is_ready = [Direction::Read, Direction::Write]
            .map(|side| ready.iter().any(|&direction| direction as usize == side as usize));
        Arc::new(Readiness { sides: is_ready.map(Side::new), foreign: Mutex::new(None) })
    }

    /// An event has come. Returns who waited for it.
    #[inline]
    pub(crate) fn set(&self, event: &Event) -> [Option<Waker>; 2] {
        let is_readable = event.is_readable() || event.is_read_closed() || event.is_error();
        let is_writable = event.is_writable() || event.is_write_closed() || event.is_error();
        let read_is_sure = event.is_read_closed() || event.is_priority();
        let sure = |is_sure: bool| if is_sure { SURE } else { 0 };
        [
            is_readable.then(|| self.raise(Direction::Read, sure(read_is_sure))).flatten(),
            is_writable.then(|| self.raise(Direction::Write, sure(event.is_write_closed()))).flatten(),
        ]
    }

    /// The runtime has ended. Returns who waited.
    pub(crate) fn set_gone(&self) -> [Option<Waker>; 2] {
        [Direction::Read, Direction::Write].map(|direction| self.raise(direction, GONE))
    }

    #[inline]
    fn raise(&self, direction: Direction, flags: u32) -> Option<Waker> {
        let waiter = self.sides[direction as usize].raise(flags);
        self.waker_of(waiter, direction)
    }

    #[inline]
    fn waker_of(&self, waiter: usize, direction: Direction) -> Option<Waker> {
        match waiter {
            NOBODY => None,
            FOREIGN => self.take_foreign(direction),
            id => Some(waker::new(Id::from_word(id))),
        }
    }

    #[cold]
    fn take_foreign(&self, direction: Direction) -> Option<Waker> {
        self.foreign.lock().as_mut()?[direction as usize].take()
    }

    /// A try has left nothing of what was seen.
    #[inline]
    pub(crate) fn exhaust(&self, direction: Direction, seen: Seen) {
        self.sides[direction as usize].exhaust(seen);
    }

    /// Waits until the direction may be tried, and says what there is then.
    #[inline]
    pub(crate) fn poll(&self, waker: &Waker, direction: Direction) -> Poll<Seen> {
        match self.sides[direction as usize].look() {
            Poll::Pending => self.wait(waker, direction),
            ready => ready,
        }
    }

    /// Waits for an event, unless it has come meanwhile.
    #[inline(never)]
    fn wait(&self, waker: &Waker, direction: Direction) -> Poll<Seen> {
        let side = &self.sides[direction as usize];
        let waiter = match waker::id_of(waker) {
            Some(id) => id.word(),
            None => self.keep_foreign(waker, direction),
        };
        // Dropped here: it may be foreign code, and nothing is locked.
        if side.exchange_waiter(waiter) == FOREIGN && waiter != FOREIGN {
            drop(self.take_foreign(direction));
        }
        let seen = side.look();
        if seen.is_ready() {
            drop(self.waker_of(side.exchange_waiter(NOBODY), direction)); // likewise
        }
        seen
    }

    #[cold]
    fn keep_foreign(&self, waker: &Waker, direction: Direction) -> usize {
        let waker = waker.clone(); // foreign code: not under the lock
        let stale = {
            let mut foreign = self.foreign.lock();
            foreign.get_or_insert_default()[direction as usize].replace(waker)
        };
        drop(stale); // likewise
        FOREIGN
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::sync::{Arc, Condvar, Mutex};
    use loom::thread;

    /// Who waits, other than nobody.
    const TASK: usize = 7;

    /// A socket's side, the bytes that the system has for it, and the task that is woken.
    struct World {
        side: Side,
        bytes: AtomicUsize,
        woken: Mutex<bool>,
        wake: Condvar,
    }

    impl World {
        fn deliver(&self) {
            self.bytes.fetch_add(1, Ordering::Release);
            if self.side.raise(0) == TASK {
                *self.woken.lock().unwrap() = true;
                self.wake.notify_one();
            }
        }

        /// Reads so many bytes, and waits whenever there are none. loom reports a wait for ever.
        fn read(&self, expected: usize) {
            let mut read = 0;
            while read < expected {
                if let Poll::Ready(seen) = self.look_or_wait() {
                    read += self.bytes.swap(0, Ordering::Acquire);
                    self.side.exhaust(seen);
                }
            }
        }

        fn look_or_wait(&self) -> Poll<Seen> {
            if let Poll::Ready(seen) = self.side.look() {
                return Poll::Ready(seen);
            }
            self.side.exchange_waiter(TASK);
            let seen = self.side.look();
            if seen.is_pending() {
                let mut woken = self.woken.lock().unwrap();
                while !std::mem::take(&mut *woken) {
                    woken = self.wake.wait(woken).unwrap();
                }
            }
            seen
        }
    }

    #[test]
    fn no_event_is_lost_while_a_socket_is_read() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(4);
        model.check(|| {
            let world = Arc::new(World {
                side: Side::new(false),
                bytes: AtomicUsize::new(0),
                woken: Mutex::new(false),
                wake: Condvar::new(),
            });
            let reader = world.clone();
            let reader = thread::spawn(move || reader.read(3));
            (0..3).for_each(|_| world.deliver());
            reader.join().unwrap();
        });
    }
}
