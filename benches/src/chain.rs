//! `chain n`: gather n futures in a ring, of which one at a time wakes the next; nanoseconds for
//! one hop.
//!
//! The work: all but one of the children sleep. The one that is awake hands a token to another,
//! wakes it, and sleeps. It shows what it costs to find the one child that was woken among n, and
//! what n sleeping children do to the caches.
//!
//! Why it is fair:
//!
//! * The next child is not the neighbour but a stride away, about the golden ratio of n, so that
//!   neither a scan for the woken child nor a prefetching cache looks cheap; the stride and n have
//!   no common divisor, so the token visits everyone. Who is next is read from memory: if it were
//!   computed, the processor would run hops ahead and hide what each of them costs.
//! * The children time the hops themselves: the clock starts when the last child has its first
//!   poll, and stops at the last hop. Making and ending n children is another row's work, and with
//!   1e5 of them it would be more than the hops.
//! * A child keeps its waker from poll to poll and replaces it only if it would wake another task
//!   (`clone_from`), and wakes by reference. That spares the peers whose wakers are counted two
//!   atomic operations for each hop.
//! * The ring is a thread-local, so that a child holds no pointer, is `Send`, and every peer can
//!   take it.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::peers::{GatherWork, Gathers, Payload, Peer};

/// How many hops are timed. With 1e5 children the token goes round twice.
const HOPS: usize = 200_000;

/// How many for futures-concurrency with many children: it scans all of them for each hop, 0.1 ms
/// with 1e5.
const HOPS_OF_A_SCAN: usize = 300;

/// The closure that takes one sample of this row.
pub(crate) fn sampler(peer: Peer, children: usize) -> Box<dyn FnMut() -> f64> {
    let scans = peer == Peer::FuturesConcurrency && children > 10_000;
    let hops = if scans { HOPS_OF_A_SCAN } else { HOPS };
    peer.gathering(Chain { children, hops })
}

/// The row.
#[derive(Clone, Copy)]
struct Chain {
    /// How many futures are in the ring.
    children: usize,
    /// How often the token is handed on.
    hops: usize,
}

impl GatherWork for Chain {
    fn children(self) -> usize {
        self.children
    }

    fn sample(self, peer: &impl Gathers) -> f64 {
        RING.with(|ring| ring.reset(self.children, self.hops));
        let children =
            (0..self.children).map(|index| RingChild { index, joined: false, payload: Payload::new() });
        let outputs = peer.block_on(peer.gather(children));
        let sum: u64 = outputs.iter().sum();
        assert_eq!(sum as usize, self.children * (self.children - 1) / 2);
        RING.with(|ring| ring.took.get()).as_nanos() as f64 / self.hops as f64
    }
}

/// One future of the ring.
struct RingChild {
    /// Its place.
    index: usize,
    /// Whether it had its first poll.
    joined: bool,
    /// What else it holds.
    payload: Payload,
}

impl Future for RingChild {
    type Output = Result<u64, ()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.payload.hold();
        RING.with(|ring| {
            if ring.ended.get() {
                return Poll::Ready(Ok(self.index as u64));
            }
            ring.keep_waker(self.index, cx.waker());
            if !self.joined {
                self.joined = true;
                ring.join();
            } else if ring.token.get() == self.index {
                ring.hop();
            }
            Poll::Pending
        })
    }
}

thread_local! {
    /// The ring that the children of the sample are in.
    static RING: Ring = const { Ring::new() };
}

/// One child's place in the ring.
struct Seat {
    /// The waker that the child was last polled with.
    waker: Waker,
    /// Whom it hands the token to.
    next: usize,
}

/// What the children share.
struct Ring {
    /// The children's places.
    seats: RefCell<Vec<Seat>>,
    /// Whose turn it is.
    token: Cell<usize>,
    /// How many children did not have their first poll.
    absent: Cell<usize>,
    /// How often the token will still be handed on.
    hops_left: Cell<usize>,
    /// When the first hop began.
    start: Cell<Option<Instant>>,
    /// How long all hops took.
    took: Cell<Duration>,
    /// Whether the last hop was done, so that every child ends when it is polled.
    ended: Cell<bool>,
}

impl Ring {
    /// An empty ring.
    const fn new() -> Self {
        Self {
            seats: RefCell::new(Vec::new()),
            token: Cell::new(0),
            absent: Cell::new(0),
            hops_left: Cell::new(0),
            start: Cell::new(None),
            took: Cell::new(Duration::ZERO),
            ended: Cell::new(false),
        }
    }

    /// Makes it ready for the next sample.
    fn reset(&self, children: usize, hops: usize) {
        let stride = golden_stride(children);
        let seat = |index| Seat { waker: Waker::noop().clone(), next: (index + stride) % children };
        self.seats.replace((0..children).map(seat).collect());
        self.token.set(0);
        self.absent.set(children);
        self.hops_left.set(hops);
        self.ended.set(false);
    }

    /// Remembers whom to wake.
    fn keep_waker(&self, index: usize, waker: &Waker) {
        self.seats.borrow_mut()[index].waker.clone_from(waker);
    }

    /// A child had its first poll. After the last one the token starts, and the clock.
    fn join(&self) {
        self.absent.set(self.absent.get() - 1);
        if self.absent.get() == 0 {
            #[cfg(target_os = "linux")]
            crate::counters::start();
            self.start.set(Some(Instant::now()));
            self.seats.borrow()[self.token.get()].waker.wake_by_ref();
        }
    }

    /// Hands the token to the next child and wakes it; after the last hop, wakes everyone.
    fn hop(&self) {
        let seats = self.seats.borrow();
        if self.hops_left.get() == 0 {
            self.took.set(self.start.get().expect("it was started").elapsed());
            #[cfg(target_os = "linux")]
            crate::counters::stop();
            self.ended.set(true);
            return seats.iter().for_each(|seat| seat.waker.wake_by_ref());
        }
        self.hops_left.set(self.hops_left.get() - 1);
        let next = seats[self.token.get()].next;
        self.token.set(next);
        seats[next].waker.wake_by_ref();
    }
}

/// A stride near the golden ratio of `children` that visits all of them.
fn golden_stride(children: usize) -> usize {
    let golden = (children as f64 * 0.618_034) as usize;
    (golden..)
        .find(|&stride| greatest_common_divisor(stride, children) == 1)
        .expect("children + 1 has none in common")
}

/// Euclid's.
fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
