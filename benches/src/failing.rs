//! `failing 100`: of a hundred children that with the index 40 fails and the others wait for ever;
//! nanoseconds until the error is in hand.
//!
//! The work: the hundred are made and polled once; then that one, which has yielded, fails; its
//! siblings are dropped, and the error is there.
//!
//! Why it is fair: all of them give the first error. Those that would wait for the 40 children
//! ahead of the one that fails have no figure: `try_join_all` of more than 30 futures, and
//! everybody whose user awaits spawned tasks in input order (see `peers.rs`). The futures drop the
//! siblings before the error is seen, as ours does. `JoinSet` puts that off until its tasks have
//! their next turn, and is repeated in one run of its runtime, so that it is in the time.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::peers::{FailingWork, FailsFast, Payload, Peer};

/// Which child fails.
const FAILS: u64 = 40;

/// How often a sample does it.
const REPETITIONS: u32 = 200;

/// The closure that takes one sample of this row.
pub(crate) fn sampler(peer: Peer, children: usize) -> Box<dyn FnMut() -> f64> {
    peer.failing(Failing { children })
}

/// The row.
#[derive(Clone, Copy)]
struct Failing {
    /// How many children there are.
    children: usize,
}

impl FailingWork for Failing {
    fn sample(self, peer: &impl FailsFast) -> f64 {
        peer.block_on(async {
            let start = Instant::now();
            for _ in 0..REPETITIONS {
                let children = (0..black_box(self.children as u64)).map(|number| Doomed {
                    number,
                    polled: false,
                    payload: Payload::new(),
                });
                assert_eq!(black_box(peer.first_error(children).await), FAILS);
            }
            start.elapsed().as_nanos() as f64 / f64::from(REPETITIONS)
        })
    }
}

/// Fails at its second poll, if it is the one, and else waits for ever.
struct Doomed {
    /// Which child it is.
    number: u64,
    /// Whether it had its first poll.
    polled: bool,
    /// What else it holds.
    payload: Payload,
}

impl Future for Doomed {
    type Output = Result<(), u64>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.payload.hold();
        if self.number != FAILS {
            return Poll::Pending;
        }
        if self.polled {
            return Poll::Ready(Err(self.number));
        }
        self.polled = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
