//! `hand` with timers: the floor of the sleeps.
//!
//! A binary heap of deadlines, as a person would write it: the children in a `Vec`, the loop
//! sleeps until the first deadline, and polls the children whose deadlines have passed. Each child
//! is in a box, because there is no way to poll a future that is not `Unpin` where it lies in a
//! `Vec` without unsafe code. Nothing can be cancelled, so there is no floor for time limits.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{self, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use crate::peers::{Executor, GathersAny, Sleeps};

thread_local! {
    /// Deadlines, and whose they are; the first on top.
    static DEADLINES: RefCell<collections::BinaryHeap<Reverse<(Instant, usize)>>> =
        const { RefCell::new(collections::BinaryHeap::new()) };

    /// The children to poll, first in first out.
    static DUE: RefCell<VecDeque<usize>> = const { RefCell::new(VecDeque::new()) };

    /// The child that is being polled.
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// Polls each child once, and then when its deadline has passed.
pub(crate) struct BinaryHeap;

impl Executor for BinaryHeap {
    fn new(_children: usize) -> Self {
        Self
    }
}

impl GathersAny for BinaryHeap {
    async fn gather_any<C>(&self, children: impl Iterator<Item = C>) -> Vec<u64>
    where
        C: Future<Output = Result<u64, ()>> + 'static,
    {
        let mut children: Vec<_> = children.map(Box::pin).collect();
        let mut outputs = vec![0; children.len()];
        let mut running = children.len();
        let mut cx = Context::from_waker(Waker::noop());
        for index in 0..children.len() {
            DUE.with_borrow_mut(|due| due.push_back(index));
        }
        while running > 0 {
            let Some(index) = DUE.with_borrow_mut(VecDeque::pop_front) else {
                wait_for_deadline();
                continue;
            };
            CURRENT.set(index);
            if let Poll::Ready(output) = children[index].as_mut().poll(&mut cx) {
                outputs[index] = output.expect("no child fails");
                running -= 1;
            }
        }
        outputs
    }
}

/// Queues the children whose deadlines have passed. Sleeps if there is none.
fn wait_for_deadline() {
    DEADLINES.with_borrow_mut(|deadlines| {
        let now = Instant::now();
        let Some(&Reverse((first, _))) = deadlines.peek() else { unreachable!("every child sleeps") };
        if first > now {
            return thread::sleep(first - now);
        }
        while let Some(&Reverse((deadline, index))) = deadlines.peek() {
            if deadline > now {
                return;
            }
            deadlines.pop();
            DUE.with_borrow_mut(|due| due.push_back(index));
        }
    });
}

/// Puts its deadline on the heap at its first poll.
struct HandSleep {
    /// When it ends.
    deadline: Instant,
    /// Whether the deadline is on the heap.
    waits: bool,
}

impl Future for HandSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        if self.waits {
            return Poll::Ready(()); // it is polled again only when it is due
        }
        self.waits = true;
        DEADLINES.with_borrow_mut(|deadlines| deadlines.push(Reverse((self.deadline, CURRENT.get()))));
        Poll::Pending
    }
}

impl Sleeps for BinaryHeap {
    fn sleep(duration: Duration) -> impl Future<Output: 'static> + 'static {
        HandSleep { deadline: Instant::now() + duration, waits: false }
    }

    async fn gather_sleeps(&self, count: usize, duration: Duration) {
        let sleep = |_| async move {
            Self::sleep(duration).await;
            Ok(0)
        };
        self.gather_any((0..count).map(sleep)).await;
    }
}
