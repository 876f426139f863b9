//! `yield n`: gather n futures, each of which wakes itself and returns `Pending`, over and over;
//! nanoseconds for one yield.
//!
//! The work: a wake, and the poll that it leads to. It shows what the way from a wake to a poll
//! costs when nothing else happens, with one child, with as many as fit the first cache, and with
//! more than that.
//!
//! Why it is fair: every child yields so often that making it and collecting its output, which is
//! in the time for everybody, is a few percent of it at most. The wake goes through `cx.waker()`,
//! for the floor too.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::peers::{GatherWork, Gathers, Payload, Peer};
use crate::ready::time_gathers;

/// How often the children of a sample yield, together.
const YIELDS_PER_SAMPLE: usize = 20_000;

/// How often a child yields at least, so that making it does not show.
const YIELDS_PER_CHILD: usize = 200;

/// The same for a million children and more, where a sample would take seconds.
const YIELDS_OF_MANY: usize = 20;

/// The closure that takes one sample of this row.
pub(crate) fn sampler(peer: Peer, children: usize) -> Box<dyn FnMut() -> f64> {
    peer.gathering(Yields { children })
}

/// The row.
#[derive(Clone, Copy)]
struct Yields {
    /// How many futures yield beside each other.
    children: usize,
}

impl GatherWork for Yields {
    fn children(self) -> usize {
        self.children
    }

    fn sample(self, peer: &impl Gathers) -> f64 {
        let least = if self.children < 1_000_000 { YIELDS_PER_CHILD } else { YIELDS_OF_MANY };
        let each = (YIELDS_PER_SAMPLE / self.children).max(least);
        let child = |number| YieldingChild::new(number, each);
        time_gathers(peer, self.children, 1, child) / (self.children * each) as f64
    }
}

/// Wakes itself and returns `Pending` until it has done so often enough.
pub(crate) struct YieldingChild {
    /// What it gives in the end.
    number: u64,
    /// How often it will still yield.
    yields_left: usize,
    /// What else it holds.
    payload: Payload,
}

impl YieldingChild {
    /// The child with this number, which yields so often.
    pub(crate) fn new(number: u64, yields: usize) -> Self {
        Self { number, yields_left: yields, payload: Payload::new() }
    }
}

impl Future for YieldingChild {
    type Output = Result<u64, ()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.payload.hold();
        if self.yields_left == 0 {
            return Poll::Ready(Ok(self.number));
        }
        self.yields_left -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
