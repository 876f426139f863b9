//! `ready n`: gather n futures that are ready at once; nanoseconds for one child.
//!
//! The work: make n futures from their numbers, poll each once, collect n outputs. It shows what a
//! child costs that never waits: a slot or an allocation, a waker, a place in the outputs.
//!
//! Why it is fair: n is hidden from the compiler and so is each output; the clock starts and stops
//! inside the runtime, so that nobody pays for starting one. A small gather is repeated until the
//! sample is long enough to time.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::hand::InPlace;
use crate::peers::{Child, GatherWork, Gathers, Payload, Peer};

/// How many children a sample has at least.
const CHILDREN_PER_SAMPLE: usize = 20_000;

/// The closure that takes one sample of this row.
pub(crate) fn sampler(peer: Peer, children: usize) -> Box<dyn FnMut() -> f64> {
    let work = Ready { children };
    match peer {
        // Nothing will be woken, so the floor needs no queue here.
        Peer::Hand => Box::new(move || work.sample(&InPlace)),
        _ => peer.gathering(work),
    }
}

/// The row.
#[derive(Clone, Copy)]
struct Ready {
    /// How many futures are gathered at once.
    children: usize,
}

impl GatherWork for Ready {
    fn children(self) -> usize {
        self.children
    }

    fn sample(self, peer: &impl Gathers) -> f64 {
        let repetitions = CHILDREN_PER_SAMPLE.div_ceil(self.children);
        time_gathers(peer, self.children, repetitions, ReadyChild::new) / (self.children * repetitions) as f64
    }
}

/// Gathers `children` children `repetitions` times, and gives the nanoseconds that it took. The
/// child is made from its number, and gives it back.
pub(crate) fn time_gathers<C: Child>(
    peer: &impl Gathers,
    children: usize,
    repetitions: usize,
    child: impl Fn(u64) -> C,
) -> f64 {
    peer.block_on(async {
        let start = Instant::now();
        for _ in 0..repetitions {
            let outputs = peer.gather((0..black_box(children as u64)).map(&child)).await;
            assert_eq!(black_box(outputs).len(), children);
        }
        start.elapsed().as_nanos() as f64
    })
}

/// Gives its number at the first poll.
struct ReadyChild {
    /// What it gives.
    number: u64,
    /// What else it holds.
    payload: Payload,
}

impl ReadyChild {
    /// The child with this number.
    fn new(number: u64) -> Self {
        Self { number, payload: Payload::new() }
    }
}

impl Future for ReadyChild {
    type Output = Result<u64, ()>;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.payload.hold();
        Poll::Ready(Ok(black_box(self.number)))
    }
}
