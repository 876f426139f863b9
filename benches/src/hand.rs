//! `hand`, the floor: what a person would write for one row, with no executor, no unsafe code and
//! nothing to spare.
//!
//! It is not a peer: it has no timers, no sockets, no cancellation, no wakes from other threads,
//! and it forgets nothing only because the rows are kind to it. It shows how much of a figure is
//! the work itself: the child's poll, the queue, the memory.
//!
//! It is a floor under the polls, not under every design. With a million ready futures most of it
//! is the pages of the `Vec` that holds them; a gather that polls each child when it makes it, and
//! keeps none that is ready, can stay below.
//!
//! | row | floor |
//! |---|---|
//! | ready | [`InPlace`]: the futures in a `Vec`, polled where they lie, with a waker that does nothing |
//! | yield, chain | [`ReadyQueue`]: the same, and a first-in-first-out queue of the indices that were woken |
//! | spawn | [`BoxedQueue`]: one boxed future in a queue, its output in a slot |
//! | sleep, late | `hand_timers.rs`: a binary heap of deadlines |

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::peers::{Child, Executor, Gathers, Spawns};
use crate::spawning;

/// Polls the futures in turn, where they lie, until all have ended.
///
/// It does what a gather by hand has to do: it does not know that they are ready, drops each when
/// it has ended, keeps the outputs in order, and stops at the first error. (A loop that takes it
/// for granted that each is ready at once and none fails, so that the compiler makes straight code
/// of it, takes 1.0 ns; but that gathers nothing.)
pub(crate) struct InPlace;

impl Executor for InPlace {
    fn new(_children: usize) -> Self {
        Self
    }
}

impl Gathers for InPlace {
    async fn gather(&self, children: impl Iterator<Item = impl Child>) -> Vec<u64> {
        let mut children: Vec<_> = children.map(Some).collect();
        let mut outputs = vec![None; children.len()];
        let mut running = children.len();
        let mut cx = Context::from_waker(Waker::noop());
        while running > 0 {
            for (slot, place) in children.iter_mut().zip(&mut outputs) {
                let Some(child) = slot else { continue };
                if let Poll::Ready(output) = Pin::new(child).poll(&mut cx) {
                    *slot = None;
                    *place = Some(output.expect("no child fails"));
                    running -= 1;
                }
            }
        }
        outputs.into_iter().flatten().collect()
    }
}

thread_local! {
    /// The children that were woken, first in first out.
    static WOKEN: RefCell<VecDeque<usize>> = const { RefCell::new(VecDeque::new()) };
}

/// Polls the futures whose index is in the queue until all have ended.
pub(crate) struct ReadyQueue {
    /// Each child's waker, made before the clock starts.
    wakers: Vec<Waker>,
}

/// A waker that knows its child's index and pushes it on the queue. No child of these rows wakes
/// twice before it is polled or wakes another that has ended, so it need not remember that.
struct PushIndex(usize);

impl Wake for PushIndex {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        WOKEN.with_borrow_mut(|woken| woken.push_back(self.0));
    }
}

impl Executor for ReadyQueue {
    fn new(children: usize) -> Self {
        Self { wakers: (0..children).map(|index| Waker::from(Arc::new(PushIndex(index)))).collect() }
    }
}

impl Gathers for ReadyQueue {
    async fn gather(&self, children: impl Iterator<Item = impl Child>) -> Vec<u64> {
        let mut children: Vec<_> = children.collect();
        let mut outputs = vec![0; children.len()];
        let mut running = children.len();
        WOKEN.with_borrow_mut(|woken| woken.extend(0..children.len()));
        while running > 0 {
            let index = WOKEN.with_borrow_mut(VecDeque::pop_front).expect("some child is awake");
            let mut cx = Context::from_waker(&self.wakers[index]);
            if let Poll::Ready(output) = Pin::new(&mut children[index]).poll(&mut cx) {
                outputs[index] = output.expect("no child fails");
                running -= 1;
            }
        }
        WOKEN.with_borrow_mut(VecDeque::clear);
        outputs
    }
}

/// A task of the floor.
type Boxed = Pin<Box<dyn Future<Output = u64>>>;

thread_local! {
    /// The tasks that can run.
    static QUEUE: RefCell<VecDeque<Boxed>> = const { RefCell::new(VecDeque::new()) };

    /// The output of the task that ended last, for the one that waits for it.
    static SLOT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Runs boxed futures, each of which is awaited by the one that queued it.
pub(crate) struct BoxedQueue;

impl BoxedQueue {
    /// Polls `root` and the tasks in turn until `root` ends. A task that is `Pending` waits for
    /// the one it queued, and is queued again when that one ends; nothing else can make it wait.
    fn run(root: impl Future<Output = u64>) -> u64 {
        let mut root = pin!(root);
        let mut cx = Context::from_waker(Waker::noop());
        let mut waiting: Vec<Boxed> = Vec::new();
        loop {
            let Some(mut task) = QUEUE.with_borrow_mut(VecDeque::pop_front) else {
                match root.as_mut().poll(&mut cx) {
                    Poll::Ready(output) => return output,
                    Poll::Pending => continue,
                }
            };
            match task.as_mut().poll(&mut cx) {
                Poll::Pending => waiting.push(task),
                Poll::Ready(output) => {
                    SLOT.set(Some(output));
                    if let Some(waiter) = waiting.pop() {
                        QUEUE.with_borrow_mut(|queue| queue.push_back(waiter));
                    }
                }
            }
        }
    }

    /// Spawns and awaits `count` jobs.
    fn spawn_each(count: u64) -> impl Future<Output = u64> {
        spawning::each(count, async |job| QueueAndAwait(Some(Box::pin(job))).await)
    }
}

impl Executor for BoxedQueue {
    fn new(_children: usize) -> Self {
        Self
    }
}

impl Spawns for BoxedQueue {
    fn spawn_in_root(&self, count: u64) -> u64 {
        Self::run(Self::spawn_each(count))
    }

    fn spawn_in_task(&self, count: u64) -> u64 {
        Self::run(QueueAndAwait(Some(Box::pin(Self::spawn_each(count)))))
    }
}

/// Queues its task at the first poll and takes the output from the slot at the second.
struct QueueAndAwait(Option<Boxed>);

impl Future for QueueAndAwait {
    type Output = u64;

    fn poll(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<u64> {
        match self.0.take() {
            Some(task) => {
                QUEUE.with_borrow_mut(|queue| queue.push_back(task));
                Poll::Pending
            }
            None => Poll::Ready(SLOT.take().expect("the task ended")),
        }
    }
}
