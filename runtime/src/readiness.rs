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
//! # Waiting
//!
//! One task at a time can wait for a direction: the one that polled last.
//!
//! Next: [`side`](crate::side), one direction.

use std::sync::Arc;
use std::task::{Poll, Waker};

use mio::event::Event;
use parking_lot::Mutex;

use crate::side::{FOREIGN, GONE, NOBODY, SURE, Seen, Side};
use crate::waker;

/// Which way data goes.
#[derive(Clone, Copy)]
pub(crate) enum Direction {
    Read,
    Write,
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
            word => Some(waker::from_word(word)),
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
        let Some(word) = waker::word_of(waker) else {
            self.keep_foreign(waker, direction);
            return side.look();
        };
        if side.exchange_waiter(word) == FOREIGN {
            drop(self.take_stale(direction)); // foreign code: nothing is locked
        }
        let seen = side.look();
        if seen.is_ready() {
            side.wait_no_more(word);
        }
        seen
    }

    /// The table and the word are changed together: one without the other would be a waiter that nobody finds.
    #[cold]
    fn keep_foreign(&self, waker: &Waker, direction: Direction) {
        let waker = waker.clone(); // foreign code: not under the lock
        let stale = {
            let mut foreign = self.foreign.lock();
            self.sides[direction as usize].exchange_waiter(FOREIGN);
            foreign.get_or_insert_default()[direction as usize].replace(waker)
        };
        drop(stale); // likewise
    }

    /// One of ours has taken the place of a foreign waker. Gives that, unless another has come meanwhile, or an event is about to take it.
    #[cold]
    fn take_stale(&self, direction: Direction) -> Option<Waker> {
        let mut foreign = self.foreign.lock();
        match self.sides[direction as usize].waiter() {
            FOREIGN | NOBODY => None,
            _ => foreign.as_mut()?[direction as usize].take(),
        }
    }
}

/// One of our wakers.
#[cfg(test)]
fn ours(row: u32) -> Waker {
    waker::new(crate::id::Id::new(1, crate::id::Target::Task { row, generation: 1 }))
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::sync::{Arc, Condvar, Mutex};
    use loom::thread;

    /// A socket, the bytes that the system has for it, and which tasks were woken.
    struct World {
        readiness: std::sync::Arc<Readiness>,
        bytes: AtomicUsize,
        woken: Mutex<[bool; 2]>,
        wake: Condvar,
    }

    impl World {
        fn new() -> Arc<World> {
            Arc::new(World {
                readiness: Readiness::new(&[]),
                bytes: AtomicUsize::new(0),
                woken: Mutex::new([false; 2]),
                wake: Condvar::new(),
            })
        }

        fn deliver(&self) {
            self.bytes.fetch_add(1, Ordering::Release);
            if let Some(waker) = self.readiness.raise(Direction::Read, 0) {
                let woken = (0..2).find(|&task| waker.will_wake(&ours(task))).expect("one of the two waits");
                self.woken.lock().unwrap()[woken as usize] = true;
                self.wake.notify_all();
            }
        }

        /// Polls until it has to wait. Gives how many bytes it read.
        fn read(&self, task: u32) -> usize {
            let mut read = 0;
            while let Poll::Ready(seen) = self.readiness.poll(&ours(task), Direction::Read) {
                read += self.bytes.swap(0, Ordering::Acquire);
                self.readiness.exhaust(Direction::Read, seen);
            }
            read
        }

        /// loom reports a wait for ever.
        fn wait(&self, task: u32) {
            let mut woken = self.woken.lock().unwrap();
            while !std::mem::take(&mut woken[task as usize]) {
                woken = self.wake.wait(woken).unwrap();
            }
        }
    }

    fn check(world: impl Fn() + Sync + Send + 'static) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(world);
    }

    #[test]
    fn no_event_is_lost_while_a_socket_is_read() {
        check(|| {
            let world = World::new();
            let reader = world.clone();
            let reader = thread::spawn(move || {
                let mut read = reader.read(0);
                while read < 3 {
                    reader.wait(0);
                    read += reader.read(0);
                }
            });
            (0..3).for_each(|_| world.deliver());
            reader.join().unwrap();
        });
    }

    #[test]
    fn who_has_not_to_wait_leaves_the_place_to_who_has() {
        check(|| {
            let world = World::new();
            let [once, reader] = [world.clone(), world.clone()];
            let once = thread::spawn(move || once.readiness.poll(&ours(0), Direction::Read).is_ready());
            let reader = thread::spawn(move || reader.read(1));
            world.deliver();
            let was_ready = once.join().unwrap();
            let has_read = reader.join().unwrap() == 1;
            // Then the reader was the last to wait, and waits still, unless that event has woken it.
            let was_woken = std::mem::take(&mut *world.woken.lock().unwrap())[1];
            if was_ready && has_read && !was_woken {
                world.deliver();
                world.wait(1);
            }
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::thread;

    /// A foreign waker, and what its destructor does.
    struct Foreign(fn(&Readiness), OnceLock<Arc<Readiness>>);

    impl Wake for Foreign {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for Foreign {
        fn drop(&mut self) {
            if let Some(readiness) = self.1.get() {
                self.0(readiness);
            }
        }
    }

    fn foreign() -> (Waker, std::sync::Weak<Foreign>) {
        let foreign = Arc::new(Foreign(|_| (), OnceLock::new()));
        let weak = Arc::downgrade(&foreign);
        (foreign.into(), weak)
    }

    fn waits(readiness: &Readiness, waker: &Waker) -> bool {
        readiness.poll(waker, Direction::Read).is_pending()
    }

    #[test]
    fn the_last_waker_is_woken_and_a_foreign_one_before_it_is_dropped_at_once() {
        let readiness = Readiness::new(&[]);
        let (first, is_alive) = foreign();
        assert!(waits(&readiness, &first));
        drop(first);
        assert!(is_alive.upgrade().is_some());
        assert!(waits(&readiness, &ours(1)));
        assert!(is_alive.upgrade().is_none());
        assert!(readiness.raise(Direction::Read, 0).is_some_and(|waker| waker.will_wake(&ours(1))));
        assert!(readiness.raise(Direction::Read, 0).is_none());
    }

    #[test]
    fn of_two_that_poll_at_once_one_is_woken() {
        const TIMES: usize = 20_000;
        for second in [ours(2), foreign().0] {
            let sockets: Vec<_> = (0..TIMES).map(|_| Readiness::new(&[])).collect();
            let earlier = foreign().0;
            assert!(sockets.iter().all(|socket| waits(socket, &earlier)));
            let turn = [const { AtomicUsize::new(0) }; 2];
            thread::scope(|scope| {
                for (me, waker) in [ours(1), second].into_iter().enumerate() {
                    let (sockets, turn) = (&sockets, &turn);
                    scope.spawn(move || {
                        for (number, socket) in sockets.iter().enumerate() {
                            turn[me].store(number + 1, Ordering::SeqCst);
                            let mut spins = 0;
                            while turn[1 - me].load(Ordering::SeqCst) <= number {
                                spins += 1;
                                if spins < 100 { std::hint::spin_loop() } else { thread::yield_now() }
                            }
                            assert!(waits(socket, &waker));
                        }
                    });
                }
            });
            let lost = sockets.iter().filter(|socket| socket.raise(Direction::Read, 0).is_none()).count();
            assert_eq!(lost, 0, "of {TIMES}");
        }
    }

    #[test]
    fn a_destructor_of_a_waker_that_polls_the_socket_is_the_last_that_polled_it() {
        let readiness = Readiness::new(&[]);
        let polls = Foreign(|readiness| assert!(waits(readiness, &ours(3))), OnceLock::new());
        assert!(polls.1.set(readiness.clone()).is_ok());
        assert!(waits(&readiness, &Arc::new(polls).into()));
        assert!(waits(&readiness, &foreign().0));
        assert!(readiness.raise(Direction::Read, 0).is_some_and(|waker| waker.will_wake(&ours(3))));
    }
}
