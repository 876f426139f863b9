//! [`for_each`](crate::Gather::for_each): a body for each output, which runs beside the children.
//!
//! ```text
//!   input ──► children ──► outputs that wait ──► body, one at a time
//!      ▲                           │
//!      └────── limit: running + waiting ≤ n
//! ```
//!
//! In a loop over a stream no child is polled while the body of the loop waits: timeouts in the
//! children expire, their peers hang up, and locks that they hold stay locked. Here each body is
//! one of two children of a [`gather!`](crate::gather!), and the other polls the children of the
//! gather. The time that both take is that of the slower one, and not the sum.
//!
//! An output that comes while a body runs waits in a queue. It counts against the limit, as a
//! running child does, or the queue would grow without a bound. The output that the body has does
//! not count.
//!
//! Next: [`wait`](mod@crate::wait), for tasks.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::ops::ControlFlow;
use std::task::{Context, Poll, ready};

use gather_runtime::group::poll_budget;

use crate::engine::Siblings;
use crate::gather::Gather;
use crate::panics::DropAll;
use crate::policy::{FailFast, Kept, Policy};

impl<I, F, O> Gather<Siblings<I, F, O>, FailFast> {
    /// Runs `body` for each output, with its index, in the order of completion: one at a time, and
    /// beside the children, which go on while it waits. It ends when every child has finished, and
    /// the last body.
    ///
    /// Outputs that come while a body runs wait for their turn, in memory. With a
    /// [`limit`](Gather::limit) of n there are at most n children that run and outputs that wait,
    /// together; the output that the body has been given does not count. So a slow body slows the
    /// children down, and an endless input needs a limit.
    ///
    /// The body may borrow; but then the compiler cannot prove that the future is `Send`
    /// ([rust#102211](https://github.com/rust-lang/rust/issues/102211)).
    ///
    /// # Panics
    ///
    /// A panic in a child or in the body ends it with that panic, after the body, every child and
    /// every output that waits were dropped. Polling it panics if this thread runs no runtime.
    ///
    /// # Cancellation
    ///
    /// Dropping it drops the body, the children and the outputs that wait, at once.
    ///
    /// ```
    /// use gather::{gather, run, sleep};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let mut total = 0;
    ///     let numbers = (1..=10).map(async |number: u64| {
    ///         sleep(Duration::from_millis(number)).await;
    ///         number
    ///     });
    ///     gather(numbers)
    ///         .limit(4)
    ///         .for_each(async |_index, number| {
    ///             sleep(Duration::from_millis(1)).await; // the children go on
    ///             total += number;
    ///         })
    ///         .await;
    ///     assert_eq!(total, 55);
    /// });
    /// ```
    #[track_caller]
    pub fn for_each<B>(self, body: B) -> impl Future<Output = ()>
    where
        I: Iterator<Item = F>,
        F: Future<Output = O>,
        B: AsyncFnMut(usize, O),
    {
        let mut siblings = self.siblings;
        siblings.keep_none("for_each");
        let mut beside = Beside { siblings, queue: Queue::new() };
        let mut body = DropAll(Some(body));
        async move {
            while let Some((index, output)) = poll_fn(|cx| beside.poll_next(cx)).await {
                let body = body.0.as_mut().expect("it is dropped last")(index, output);
                let body = async {
                    body.await;
                    Err::<(), _>(BodyHasEnded) // the first error ends the other child as well
                };
                let children = poll_fn(|cx| beside.poll_children(cx).map(Ok));
                let (Err(BodyHasEnded) | Ok(_)) = crate::gather!(body, children).await;
            }
        }
    }
}

/// Why a body and the children are no longer polled side by side.
struct BodyHasEnded;

/// The children, and the outputs that wait for the body.
struct Beside<I, F, O> {
    siblings: Siblings<I, F, O>,
    queue: Queue<O>,
}

/// The mode of the children: their outputs wait for the body.
struct Queue<O> {
    outputs: DropAll<VecDeque<(usize, O)>>,
    /// No body runs, so the first output ends the poll of the children.
    is_idle: bool,
    /// All children have ended.
    is_over: bool,
}

impl<O> Queue<O> {
    fn new() -> Queue<O> {
        Queue { outputs: DropAll(VecDeque::new()), is_idle: true, is_over: false }
    }
}

impl<O> Policy<O> for Queue<O> {
    type Output = ();

    fn judge(&mut self, index: usize, output: O, _: &mut Kept<O>) -> ControlFlow<()> {
        self.outputs.0.push_back((index, output));
        if self.is_idle { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn finish(&mut self, _: Kept<O>) {
        self.is_over = true;
    }

    fn held(&self) -> usize {
        self.outputs.0.len()
    }
}

impl<I: Iterator<Item = F>, F: Future> Beside<I, F, F::Output> {
    /// While no body runs: waits for an output; `None` if there are no more.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<(usize, F::Output)>> {
        if self.queue.outputs.0.is_empty() {
            self.queue.is_idle = true;
            ready!(self.poll_children(cx));
            self.queue.is_idle = false;
        } else {
            ready!(poll_budget(cx)); // its body may be ready at once
        }
        let next = self.queue.outputs.0.pop_front();
        if next.is_none() {
            self.siblings.end();
        }
        Poll::Ready(next)
    }

    /// Lets the children go on. Ready when all have ended or, while no body runs, when there is an
    /// output.
    fn poll_children(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.queue.is_over { Poll::Ready(()) } else { self.siblings.advance(&mut self.queue, cx) }
    }
}
