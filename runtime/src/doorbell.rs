//! Ending the sleep of the loop without losing a wake: the protocol between threads that is our
//! own.
//!
//! The loop sleeps in `mio::Poll::poll`. A thread that has pushed a wake must notify it
//! (`mio::Waker`, a system call) if it sleeps or is about to. It must not do so otherwise: a
//! system call for each wake is what makes remote wakes slow in other runtimes.
//!
//! ```text
//!   the loop                                     another thread
//!   L1  parked = true                            W1  push the wake on the list or the queue
//!   L2  are both empty?  ── no ──► L4            W2  parked = false; was it true? ── no ──► done
//!   L3  sleep                                    W3  notify
//!   L4  parked = false
//! ```
//!
//! L1, W2 and L4 are exchanges, so they come one after the other, and each sees what was done
//! before the one that it follows.
//!
//! * **No wake is lost.** If W2 comes before L1, then L2 sees the push. If it comes after, it
//!   finds `true` and notifies, or an exchange in between has found it: that of another thread,
//!   which notifies, or L4, and then the loop runs and is in the first case when it parks again.
//! * **Few notifications.** Only the thread that finds `true` notifies, so there is at most one
//!   for each time that the loop parks. One that comes late ends the next sleep at once, which
//!   costs one tick.
//!
//! [`Repeats`] keeps a thread that wakes the same child over and over from filling the queue while
//! the loop does not get to it.
//!
//! The model at the end of the file lets loom try every interleaving.
//!
//! Next: [`handle`](crate::handle), the runtime as other threads see it.

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Whether the loop sleeps.
#[derive(Default)]
pub(crate) struct Doorbell {
    /// Set by the loop before it sleeps; cleared by the loop when it runs, or by the thread that
    /// notifies it.
    parked: AtomicBool,
}

impl Doorbell {
    /// The loop is about to sleep; `is_empty` looks at the queue. If this returns `false`, there
    /// is something in it, and the loop must not sleep.
    pub(crate) fn park(&self, is_empty: impl FnOnce() -> bool) -> bool {
        self.parked.swap(true, Ordering::AcqRel); // L1
        let empty = is_empty(); // L2
        if !empty {
            self.unpark();
        }
        empty
    }

    /// The loop runs.
    pub(crate) fn unpark(&self) {
        self.parked.swap(false, Ordering::AcqRel); // L4
    }

    /// Another thread has pushed something. Returns whether it has to notify the loop.
    pub(crate) fn must_notify(&self) -> bool {
        self.parked.swap(false, Ordering::AcqRel) // W2
    }

    /// As [`must_notify`](Doorbell::must_notify), after a push under the lock that the loop takes
    /// for its L2. If that comes first, the lock shows L1 to this thread; so mostly one look is
    /// enough.
    pub(crate) fn must_notify_after_lock(&self) -> bool {
        self.parked.load(Ordering::Relaxed) && self.must_notify()
    }
}

/// The first wake since the loop last looked at the queue. It is in the queue, or on its way
/// there, so another wake of the same child needs no place of its own.
///
/// The loop counts what is in the queue, then [forgets](Repeats::forget) the first wake, then
/// takes what it has counted. So it never takes a wake that is still known here. All writes are
/// exchanges, so what a thread did before its repeated wake is seen by the loop that forgets.
#[derive(Default)]
pub(crate) struct Repeats {
    /// The word of its waker; 0 if there was none.
    first: AtomicUsize,
    /// How many wakes needed no place.
    count: AtomicUsize,
}

impl Repeats {
    /// Whether this wake needs no push. If not, the caller has to push it.
    pub(crate) fn has(&self, word: usize) -> bool {
        let first = self.first.load(Ordering::Relaxed);
        let repeats = (first == word || first == 0)
            && self.first.compare_exchange(first, word, Ordering::AcqRel, Ordering::Relaxed) == Ok(word);
        if repeats {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        repeats
    }

    /// The loop is about to take what is in the queue. Returns how many wakes were repeats.
    pub(crate) fn forget(&self) -> u64 {
        self.first.swap(0, Ordering::AcqRel);
        self.count.swap(0, Ordering::Relaxed) as u64
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::sync::{Arc, Condvar, Mutex};

    /// As many wakes as a model has at most.
    const WAKES: usize = 3;

    /// What the protocol needs of the queue, and the system's side of a notification (an eventfd).
    struct World {
        doorbell: Doorbell,
        repeats: Repeats,
        /// What the children are to see: how often each was woken.
        asked: [AtomicUsize; 2],
        /// The places of the queue; 0 in one that is taken, but not filled yet.
        queue: [AtomicUsize; WAKES],
        pushed: AtomicUsize,
        /// The wakes on the list.
        list: Mutex<Vec<usize>>,
        notified: Mutex<bool>,
        sleep: Condvar,
        notifications: AtomicUsize,
    }

    impl World {
        /// Another thread wakes child 1 or 2, by the queue or (3 or 4) by the list.
        fn wake(&self, how: usize) {
            let child = (how - 1) % 2 + 1;
            self.asked[child - 1].fetch_add(1, Ordering::Relaxed);
            if self.repeats.has(child) {
                return;
            }
            let must_notify = if how > 2 {
                self.list.lock().unwrap().push(child);
                self.doorbell.must_notify_after_lock()
            } else {
                let place = self.pushed.fetch_add(1, Ordering::Relaxed);
                self.queue[place].store(child, Ordering::Release);
                self.doorbell.must_notify()
            };
            if must_notify {
                self.notifications.fetch_add(1, Ordering::Relaxed);
                *self.notified.lock().unwrap() = true;
                self.sleep.notify_one();
            }
        }

        /// The loop, until every child has seen all of its wakes.
        fn run_until(&self, expected: [usize; 2]) {
            let (mut taken, mut seen, mut parks) = (0, [0; 2], 0);
            while seen != expected {
                let list = std::mem::take(&mut *self.list.lock().unwrap());
                let pushed = self.pushed.load(Ordering::Relaxed);
                let has_some = pushed > taken || !list.is_empty();
                if has_some {
                    self.repeats.forget();
                }
                for child in list {
                    seen[child - 1] = self.asked[child - 1].load(Ordering::Relaxed);
                }
                for place in &self.queue[taken..pushed] {
                    while place.load(Ordering::Acquire) == 0 {
                        loom::thread::yield_now();
                    }
                    let child = place.load(Ordering::Relaxed);
                    seen[child - 1] = self.asked[child - 1].load(Ordering::Relaxed);
                }
                if has_some {
                    taken = pushed;
                    continue;
                }
                parks += 1;
                let is_empty =
                    || self.list.lock().unwrap().is_empty() && self.pushed.load(Ordering::Relaxed) == taken;
                if self.doorbell.park(is_empty) {
                    let mut notified = self.notified.lock().unwrap();
                    while !*notified {
                        notified = self.sleep.wait(notified).unwrap();
                    }
                    *notified = false;
                    drop(notified);
                    self.doorbell.unpark();
                }
            }
            assert!(self.notifications.load(Ordering::Relaxed) <= parks);
        }
    }

    /// Tries every interleaving in which a thread that could go on is switched away from at most
    /// three times: errors of this kind need one or two, and without a bound loom needs more than
    /// ten minutes. Each of `threads` wakes these children, one after the other.
    fn model<const N: usize>(threads: [&'static [usize]; N]) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(move || {
            let world = Arc::new(World {
                doorbell: Doorbell::default(),
                repeats: Repeats::default(),
                asked: std::array::from_fn(|_| AtomicUsize::new(0)),
                queue: std::array::from_fn(|_| AtomicUsize::new(0)),
                pushed: AtomicUsize::new(0),
                list: Mutex::new(Vec::new()),
                notified: Mutex::new(false),
                sleep: Condvar::new(),
                notifications: AtomicUsize::new(0),
            });
            let wakers = threads.map(|children| {
                let world = world.clone();
                loom::thread::spawn(move || children.iter().for_each(|child| world.wake(*child)))
            });
            let wakes_of = |child| {
                threads.iter().flat_map(|woken| *woken).filter(|how| (**how - child) % 2 == 0).count()
            };
            world.run_until([wakes_of(1), wakes_of(2)]);
            wakers.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }

    #[test]
    fn no_wake_is_lost_when_one_thread_wakes() {
        model([&[1, 2]]);
        model([&[1, 1]]);
        model([&[1, 2, 1]]);
        model([&[1, 1, 2]]);
        model([&[3, 4]]);
        model([&[3, 2, 3]]);
    }

    #[test]
    fn no_wake_is_lost_when_two_threads_wake() {
        model([&[1], &[2]]);
        model([&[1], &[1]]);
        model([&[1, 2], &[1]]);
        model([&[3], &[4]]);
        model([&[3], &[3]]);
        model([&[3], &[2]]);
    }
}
