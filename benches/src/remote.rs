//! `round trip` and `wake n`: wakes from another thread; nanoseconds for a round trip, and for a
//! wake.
//!
//! The work of `round trip`: the thread wakes the loop's only child and goes to sleep; the child,
//! when it is polled, wakes the thread and goes to sleep, and so the loop does too. It is two
//! sleeps and two wakes of the kernel's, and what the runtime adds. The work of `wake n`: the
//! thread wakes n sleeping children one after the other, waits until each has been polled, and
//! wakes them again. It is a queue between two threads, and a loop that is about to sleep or has
//! to be woken.
//!
//! Why it is fair:
//!
//! * The loop has its core, like every process here, and the thread another, if there are two: it
//!   pins itself. Without another they share one, and the figures say little.
//! * The thread sleeps and is woken with `std::thread::park` in the first row, which costs the
//!   same for all, and spins in the second, so that what is measured is the loop. It clones the
//!   wakers before the clock starts. Every peer here polls a child with the same waker each time.
//! * The child finds out about the wake from an atomic that the thread wrote before it. The
//!   runtimes have a task for each child. What is only a future runs on `futures_lite`'s
//!   `block_on`, which has no reactor to interrupt, only a parker: that is in its favour.

use std::future::{Future, poll_fn};
use std::hint;
use std::iter;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use crate::machine;
use crate::peers::{AnyWork, GathersAny, Peer};

/// How many round trips a sample has.
const ROUND_TRIPS: u64 = 1_000;

/// How often a sample wakes each of the children.
const WAKES_OF_EACH: u64 = 30;

/// How often the thread spins before it lets another run: it may have no core of its own.
const SPINS: u32 = 2_000;

/// What a child was asked when it is to end.
const END: u64 = u64::MAX;

/// The closure that takes one sample of `round trip`.
pub(crate) fn round_trip_sampler(peer: Peer) -> Box<dyn FnMut() -> f64> {
    peer.gathering_any(RoundTrip)
}

/// The closure that takes one sample of `wake n`.
pub(crate) fn wake_sampler(peer: Peer, children: usize) -> Box<dyn FnMut() -> f64> {
    peer.gathering_any(Wakes { children })
}

/// A sleeping child, as both threads see it.
#[derive(Default)]
struct Sleeper {
    /// What the child was first polled with.
    waker: Mutex<Option<Waker>>,
    /// How often it was woken, or [`END`].
    asked: AtomicU64,
}

/// What the two threads share.
struct Sleepers {
    /// One for each child.
    each: Vec<Sleeper>,
    /// How many children have still to answer.
    unanswered: AtomicUsize,
}

impl Sleepers {
    /// So many children, none of which had its first poll.
    fn new(children: usize) -> Arc<Self> {
        let each = iter::repeat_with(Sleeper::default).take(children).collect();
        Arc::new(Self { each, unanswered: AtomicUsize::new(children) })
    }

    /// The child with this number. Its first poll is its first answer. After each answer it calls
    /// `answered`.
    fn child(
        self: &Arc<Self>,
        number: usize,
        answered: impl Fn() + 'static,
    ) -> impl Future<Output = Result<u64, ()>> + 'static {
        let sleepers = self.clone();
        let mut last = None;
        poll_fn(move |cx| {
            let sleeper = &sleepers.each[number];
            let asked = sleeper.asked.load(Ordering::Acquire);
            if asked == END {
                return Poll::Ready(Ok(0));
            }
            if last != Some(asked) {
                if last.is_none() {
                    *sleeper.waker.lock().expect("nobody panics") = Some(cx.waker().clone());
                }
                last = Some(asked);
                sleepers.unanswered.fetch_sub(1, Ordering::AcqRel);
                answered();
            }
            Poll::Pending
        })
    }

    /// The children's wakers.
    fn wakers(&self) -> Vec<Waker> {
        let waker =
            |sleeper: &Sleeper| sleeper.waker.lock().expect("nobody panics").clone().expect("it was polled");
        self.each.iter().map(waker).collect()
    }

    /// Tells every child `what`, and wakes it.
    fn ask(&self, what: u64, wakers: &[Waker]) {
        self.unanswered.store(self.each.len(), Ordering::Release);
        for (sleeper, waker) in self.each.iter().zip(wakers) {
            sleeper.asked.store(what, Ordering::Release);
            waker.wake_by_ref();
        }
    }

    /// Whether every child has answered.
    fn all_answered(&self) -> bool {
        self.unanswered.load(Ordering::Acquire) == 0
    }

    /// Waits until every child has answered, without sleeping.
    fn spin(&self) {
        let mut spins = 0;
        while !self.all_answered() {
            spins += 1;
            if spins < SPINS { hint::spin_loop() } else { thread::yield_now() }
        }
    }
}

/// The row `round trip`.
#[derive(Clone, Copy)]
struct RoundTrip;

impl AnyWork for RoundTrip {
    fn sample<P: GathersAny>(self, peer: &Rc<P>) -> f64 {
        let sleepers = Sleepers::new(1);
        let shared = sleepers.clone();
        let thread = thread::spawn(move || {
            machine::pin_helper();
            while !shared.all_answered() {
                thread::park();
            }
            let wakers = shared.wakers();
            let start = Instant::now();
            for number in 1..=ROUND_TRIPS {
                shared.ask(number, &wakers);
                while !shared.all_answered() {
                    thread::park();
                }
            }
            let took = start.elapsed();
            shared.ask(END, &wakers);
            took
        });
        let helper = thread.thread().clone();
        peer.block_on(peer.gather_any(iter::once(sleepers.child(0, move || helper.unpark()))));
        nanoseconds_each(thread.join().expect("it does not panic"), ROUND_TRIPS)
    }
}

/// The row `wake`.
#[derive(Clone, Copy)]
struct Wakes {
    /// How many children there are.
    children: usize,
}

impl AnyWork for Wakes {
    fn sample<P: GathersAny>(self, peer: &Rc<P>) -> f64 {
        let sleepers = Sleepers::new(self.children);
        let shared = sleepers.clone();
        let thread = thread::spawn(move || {
            machine::pin_helper();
            shared.spin();
            let wakers = shared.wakers();
            let start = Instant::now();
            for number in 1..=WAKES_OF_EACH {
                shared.ask(number, &wakers);
                shared.spin();
            }
            let took = start.elapsed();
            shared.ask(END, &wakers);
            took
        });
        peer.block_on(peer.gather_any((0..self.children).map(|number| sleepers.child(number, || ()))));
        nanoseconds_each(thread.join().expect("it does not panic"), WAKES_OF_EACH * self.children as u64)
    }
}

/// How long each of them took.
fn nanoseconds_each(took: Duration, count: u64) -> f64 {
    took.as_nanos() as f64 / count as f64
}
