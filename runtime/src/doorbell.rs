//! Going to sleep without losing a wake: the one protocol between threads that is our own.
//!
//! The loop sleeps in `mio::Poll::poll`, and another thread that has pushed a wake must ring (`mio::Waker`, a
//! system call) if the loop sleeps or is about to. It must not ring otherwise: one call for each wake is what
//! makes wakes from other threads slow elsewhere.
//!
//! ```text
//!   the loop: lie_down                           another thread: must_ring
//!   L1  asleep = true                            W1  push the wake on the queue
//!   L2  fence(SeqCst)                            W2  fence(SeqCst)
//!   L3  is the queue empty?  ── no ──► L5        W3  was asleep true? ── no ──► done, nobody sleeps
//!   L4  sleep                                    W4  asleep = false; ring if W4 changed it
//!   L5  asleep = false; take the queue
//! ```
//!
//! **No wake is lost.** The fences are in one order. If L2 comes first, W3 sees L1's `true` or a later value: a
//! later `false` is either L5's, and the loop takes the queue after it (if it lies down again, look at that L2),
//! or another thread's W4, and that thread rings this very sleep. If W2 comes first, L3 sees W1's push.
//!
//! **Nor is one that is pushed under a lock** which the loop takes, too, for L3. Its thread needs no fence: either the loop
//! has the lock later, and L3 sees the push, or earlier, and then the lock lets W3, which comes after it, see L1's `true` or a later value,
//! as above. (Without the fence a wake takes 16 ns, with it 24.)
//!
//! **Few rings.** Of the threads that find `asleep`, one changes it and rings; so there is at most one ring for
//! each time that the loop lies down. A ring that comes late, when the loop is up again, ends its next sleep at
//! once, which costs one turn.
//!
//! L1 is an exchange, not a store, so that it comes after every W4 that it follows, also in the eyes of that thread:
//! the thread's next W3 cannot take its own old W4 for the latest word.
//!
//! Fences rather than `SeqCst` accesses, because the queue is a library's and its accesses are its own. The
//! model at the end of the file lets loom try every interleaving; take a fence away and it fails.
//!
//! Next: [`handle`](crate::handle), the runtime as other threads see it.

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// Whether the loop sleeps.
pub(crate) struct Doorbell {
    /// Set by the loop before it sleeps; cleared by the loop when it is up, or by the thread that rings.
    asleep: AtomicBool,
}

impl Doorbell {
    pub(crate) fn new() -> Doorbell {
        Doorbell { asleep: AtomicBool::new(false) }
    }

    /// The loop says that it is going to sleep; `is_empty` looks whether there is nothing to do. If this gives
    /// `false`, there is, and it must not sleep.
    pub(crate) fn lie_down(&self, is_empty: impl FnOnce() -> bool) -> bool {
        self.asleep.swap(true, Ordering::Acquire); // L1
        fence(Ordering::SeqCst); // L2
        let empty = is_empty(); // L3
        if !empty {
            self.get_up();
        }
        empty
    }

    /// The loop is up.
    pub(crate) fn get_up(&self) {
        self.asleep.store(false, Ordering::Relaxed); // L5
    }

    /// Another thread has pushed something, and asks whether it has to ring.
    pub(crate) fn must_ring(&self) -> bool {
        fence(Ordering::SeqCst); // W2
        self.must_ring_after_lock()
    }

    /// As [`must_ring`](Doorbell::must_ring), for a thread that has pushed under the lock that the loop takes for its L3.
    #[inline]
    pub(crate) fn must_ring_after_lock(&self) -> bool {
        self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Release) // W3, W4
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::sync::atomic::AtomicUsize;
    use loom::sync::{Arc, Condvar, Mutex};

    /// The two queues as the protocol sees them (counts), and the system's side of the bell (an eventfd).
    struct World {
        doorbell: Doorbell,
        list: Mutex<usize>,
        queue: AtomicUsize,
        rung: Mutex<bool>,
        bell: Condvar,
        rings: AtomicUsize,
    }

    impl World {
        fn push_and_ring(&self) {
            self.queue.fetch_add(1, Ordering::Release); // W1
            if self.doorbell.must_ring() {
                self.ring();
            }
        }

        fn push_on_list_and_ring(&self) {
            *self.list.lock().unwrap() += 1; // W1
            if self.doorbell.must_ring_after_lock() {
                self.ring();
            }
        }

        fn ring(&self) {
            self.rings.fetch_add(1, Ordering::Relaxed);
            *self.rung.lock().unwrap() = true;
            self.bell.notify_one();
        }

        /// Takes wakes until `expected` have come. Sleeps when there are none; loom reports a sleep for ever.
        fn run_until(&self, expected: usize) {
            let (mut taken, mut lain_down) = (0, 0);
            while taken < expected {
                taken += std::mem::take(&mut *self.list.lock().unwrap());
                taken += self.queue.swap(0, Ordering::Acquire);
                if taken == expected {
                    break;
                }
                lain_down += 1;
                let is_empty = || *self.list.lock().unwrap() == 0 && self.queue.load(Ordering::Relaxed) == 0;
                if self.doorbell.lie_down(is_empty) {
                    let mut rung = self.rung.lock().unwrap();
                    while !*rung {
                        rung = self.bell.wait(rung).unwrap();
                    }
                    *rung = false;
                    drop(rung);
                    self.doorbell.get_up();
                }
            }
            assert!(self.rings.load(Ordering::Relaxed) <= lain_down);
        }
    }

    /// Tries every interleaving with at most three switches away from a thread that could have gone on: errors of this
    /// kind need one or two, and without a bound two threads take loom more than ten minutes.
    fn model(wakers: usize, wakes_each: usize, push: fn(&World, usize)) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(move || {
            let world = Arc::new(World {
                doorbell: Doorbell::new(),
                list: Mutex::new(0),
                queue: AtomicUsize::new(0),
                rung: Mutex::new(false),
                bell: Condvar::new(),
                rings: AtomicUsize::new(0),
            });
            let threads: Vec<_> = (0..wakers)
                .map(|_| {
                    let world = world.clone();
                    loom::thread::spawn(move || (0..wakes_each).for_each(|number| push(&world, number)))
                })
                .collect();
            world.run_until(wakers * wakes_each);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }

    fn beside_the_list(world: &World, _: usize) {
        world.push_and_ring();
    }

    fn on_the_list(world: &World, _: usize) {
        world.push_on_list_and_ring();
    }

    fn on_either(world: &World, number: usize) {
        if number % 2 == 0 { world.push_on_list_and_ring() } else { world.push_and_ring() }
    }

    #[test]
    fn no_wake_is_lost_when_one_thread_wakes_twice() {
        model(1, 2, beside_the_list);
        model(1, 2, on_the_list);
        model(1, 2, on_either);
    }

    #[test]
    fn no_wake_is_lost_when_two_threads_wake() {
        model(2, 1, beside_the_list);
        model(2, 1, on_the_list);
    }
}
