//! `mutex n`: n children pass through one async mutex; nanoseconds for a child.
//!
//! The work: the mutex is locked until all children have had their first poll, so that all of them
//! wait in line. Then each in turn locks it, yields once with the lock in its hand, and unlocks
//! it. Whoever wakes or polls all that wait, instead of the next, is quadratic here: the two sizes
//! tell.
//!
//! Why it is fair: it is async-lock's mutex for all, which wakes the next in line. It looks at the
//! clock, and hands itself on more strictly once somebody has waited for half a millisecond; a few
//! thousand children do. Without the first lock there would be no line with a runtime that polls a
//! task again at once when it yields (monoio does).

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use async_lock::{Mutex, MutexGuardArc};
use futures_lite::future::yield_now;

use crate::peers::{AnyWork, GathersAny, Peer};

/// How many children a sample has at least.
const CHILDREN_PER_SAMPLE: usize = 10_000;

/// What the mutex is locked with until all children are there.
struct Entry {
    /// Its guard.
    guard: Cell<Option<MutexGuardArc<u64>>>,
    /// How many children have not had their first poll.
    absent: Cell<usize>,
}

impl Entry {
    /// One more child is there. After the last one the mutex is unlocked.
    fn arrive(&self) {
        self.absent.set(self.absent.get() - 1);
        if self.absent.get() == 0 {
            drop(self.guard.take());
        }
    }
}

/// The closure that takes one sample of this row.
pub(crate) fn sampler(peer: Peer, children: usize) -> Box<dyn FnMut() -> f64> {
    peer.gathering_any(Mutexes { children })
}

/// The row.
#[derive(Clone, Copy)]
struct Mutexes {
    /// How many want the lock at once.
    children: usize,
}

impl AnyWork for Mutexes {
    fn sample<P: GathersAny>(self, peer: &Rc<P>) -> f64 {
        let repetitions = CHILDREN_PER_SAMPLE.div_ceil(self.children);
        peer.block_on(async {
            let start = Instant::now();
            for _ in 0..repetitions {
                let passed = Arc::new(Mutex::new(0));
                let entry = Rc::new(Entry {
                    guard: Cell::new(Some(passed.lock_arc().await)),
                    absent: Cell::new(self.children),
                });
                let pass = |_| {
                    let (passed, entry) = (passed.clone(), entry.clone());
                    async move {
                        entry.arrive();
                        let mut guard = passed.lock().await;
                        yield_now().await;
                        *guard += 1;
                        Ok(*guard)
                    }
                };
                black_box(peer.gather_any((0..black_box(self.children)).map(pass)).await);
                assert_eq!(*passed.lock().await, self.children as u64);
            }
            start.elapsed().as_nanos() as f64 / (self.children * repetitions) as f64
        })
    }
}
