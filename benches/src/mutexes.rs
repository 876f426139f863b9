//! `mutex n`: n children pass through one async mutex; nanoseconds for a child.
//!
//! The work: each child locks it, yields once with the lock in its hand, and unlocks it, so n - 1 of them wait while one works. Whoever
//! wakes or polls all that wait, instead of the next, is quadratic here: the two sizes tell.
//!
//! Why it is fair: it is async-lock's mutex for all, which wakes the next in line.

use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use async_lock::Mutex;
use futures_lite::future::yield_now;

use crate::peers::{AnyWork, Contender, GathersAny};

/// How many children a sample has at least.
const CHILDREN_PER_SAMPLE: usize = 10_000;

/// The closure that takes one sample of this row.
pub(crate) fn sampler(contender: Contender, children: usize) -> Box<dyn FnMut() -> f64> {
    contender.gathering_any(Mutexes { children })
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
                let pass = |_| {
                    let passed = passed.clone();
                    async move {
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
