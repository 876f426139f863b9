//! [`for_each`](crate::Gather::for_each): a body for each output, which runs beside the children.
//!
//! ```text
//!                ┌─────────── one group ───────────┐
//!                │ 0                             1 │
//!   input ──► children ──► outputs that wait ──► body, one at a time
//!      ▲                           │
//!      └────── limit: running + waiting ≤ n
//! ```
//!
//! In a loop over a stream no child is polled while the body of the loop waits: timeouts in the children expire, their peers hang
//! up, and locks that they hold stay locked. Here the body is polled in the same poll as the children, each when it was
//! woken, so the time that both take is that of the slower one, and not the sum.
//!
//! An output goes to the body as soon as there is none that runs; others wait, in the order in which they came. What
//! waits counts against the limit, as a child that runs does, or the buffer would grow without a bound. What the body has
//! does not count: it was given away.
//!
//! Next: [`wait`](mod@crate::wait), for tasks.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::mem::take;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use gather_runtime::group::{Group, Polling, next_generation, without_budget};

use crate::engine::Siblings;
use crate::gather::Gather;
use crate::panics::{Careful, FirstPanic};
use crate::policy::{FailFast, Kept, Policy};

/// The number of the children in the group.
const CHILDREN: u32 = 0;
/// The number of the body in the group.
const BODY: u32 = 1;

impl<I, F, O> Gather<Siblings<I, F, O>, FailFast> {
    /// Runs `body` for each output, with its index, in the order of completion: one at a time, and beside the children, which
    /// go on while it waits. It ends when every child has finished, and the last body.
    ///
    /// Outputs that come while a body runs wait for their turn, in memory. With a [`limit`](Gather::limit) of n there are at most n
    /// children that run and outputs that wait, together; the output that the body has been given does not count. So a slow
    /// body slows the children down, and an endless input needs a limit.
    ///
    /// The body may borrow; but then the compiler cannot prove that the future is `Send`
    /// ([rust#102211](https://github.com/rust-lang/rust/issues/102211)).
    ///
    /// # Panics
    ///
    /// A panic in a child or in the body ends it with that panic, after the body, every child and every output that waits
    /// were dropped. Polling it panics if this thread runs no runtime.
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
        siblings.keep_none("children");
        let mut group = Group::new("for_each");
        if let Some(name) = siblings.group.take_name() {
            group.set_name(name);
        }
        let mut body = Careful::new(body);
        let mut pair = Pair { group, work: Work::new(siblings) };
        async move {
            while let Some((index, output)) = poll_fn(|cx| pair.poll_output(cx)).await {
                let mut running = pin!(Some(body.get()(index, output)));
                poll_fn(|cx| pair.poll_body(running.as_mut(), cx)).await;
            }
        }
    }
}

/// The children, and what is known of the body.
struct Pair<I, F, O> {
    /// Who was woken of the two.
    group: Group,
    work: Work<I, F, O>,
}

/// All of a [`Pair`] but its group.
struct Work<I, F, O> {
    siblings: Siblings<I, F, O>,
    waiting: Waiting<O>,
    /// What the waker of the children carries.
    children_generation: u8,
    /// What the waker of the body carries.
    body_generation: u8,
    /// The children have something to do although none was woken: there may be room for one more.
    are_due: bool,
    /// The body was not polled yet.
    is_new: bool,
    /// The budget was spent when the last body ended.
    is_spent: bool,
    /// How many bodies have ended.
    done: usize,
}

/// The mode of the children: their outputs wait for the body.
struct Waiting<O> {
    outputs: VecDeque<(usize, O)>,
    /// No body runs: the children make a pause when there is an output.
    is_idle: bool,
}

/// What the children have come to.
enum Pause {
    /// There is an output for a body that does not run yet.
    Output,
    /// All have ended.
    Over,
}

impl<O> Policy<O> for Waiting<O> {
    type Output = Pause;

    fn judge(&mut self, index: usize, output: O, _: &mut Kept<O>) -> ControlFlow<Pause> {
        self.outputs.push_back((index, output));
        if self.is_idle { ControlFlow::Break(Pause::Output) } else { ControlFlow::Continue(()) }
    }

    fn finish(&mut self, _: Kept<O>) -> Pause {
        Pause::Over
    }

    fn held(&self) -> usize {
        self.outputs.len()
    }
}

impl<I: Iterator<Item = F>, F: Future> Pair<I, F, F::Output> {
    /// While no body runs: waits for an output; `None` if there are no more.
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Option<(usize, F::Output)>> {
        let Pair { group, work } = self;
        work.waiting.is_idle = true;
        let poll = catch_unwind(AssertUnwindSafe(|| {
            if let Some(output) = work.take_output() {
                return Poll::Ready(Some(output));
            }
            group.poll(cx, |polling, first_generation| {
                work.prepare(polling, first_generation);
                while !work.siblings.is_over() {
                    match polling.next() {
                        None => return polling.wait(false, work.done),
                        Some((CHILDREN, _)) => work.poll_children(polling),
                        Some(_) => {} // a late wake: that body has ended
                    }
                    if let Some(output) = work.take_output() {
                        return Poll::Ready(Some(output));
                    }
                    if !polling.spend(1) {
                        return polling.wait(true, work.done);
                    }
                }
                Poll::Ready(None)
            })
        }));
        poll.unwrap_or_else(|panic| {
            self.release(FirstPanic::default()).forget();
            resume_unwind(panic)
        })
    }

    /// Polls the body and the children, those that were woken, until the body has ended; then it is dropped.
    fn poll_body<B: Future<Output = ()>>(
        &mut self,
        mut body: Pin<&mut Option<B>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let Pair { group, work } = self;
        work.waiting.is_idle = false;
        let poll = catch_unwind(AssertUnwindSafe(|| {
            let poll = group.poll(cx, |polling, first_generation| {
                work.prepare(polling, first_generation);
                work.poll_both(polling, body.as_mut())
            });
            if poll.is_ready() {
                without_budget(|| body.set(None));
            }
            poll
        }));
        poll.unwrap_or_else(|panic| {
            let mut panics = FirstPanic::default();
            panics.catch(|| body.set(None));
            self.release(panics).forget();
            resume_unwind(panic)
        })
    }
}

impl<I: Iterator<Item = F>, F: Future> Work<I, F, F::Output> {
    /// The group may be new on this runtime: whoever is there has to learn its new waker.
    fn prepare(&mut self, polling: &mut Polling<'_>, first_generation: Option<u8>) {
        if let Some(first) = first_generation {
            (self.children_generation, self.body_generation) = (first, first);
            self.are_due = true;
            polling.grow(2);
            polling.started(CHILDREN, first, 0);
            if !self.waiting.is_idle && !self.is_new {
                polling.started(BODY, first, BODY as usize);
                polling.push(BODY, first);
            }
        }
        if take(&mut self.are_due) {
            polling.push(CHILDREN, self.children_generation);
        }
    }

    /// A new body is polled before the children, so that outputs do not heap up if it is ready at once.
    fn poll_both<B: Future<Output = ()>>(
        &mut self,
        polling: &Polling<'_>,
        mut body: Pin<&mut Option<B>>,
    ) -> Poll<()> {
        if take(&mut self.is_spent) && polling.budget() == 0 {
            return polling.wait(true, self.done);
        }
        let mut next = if self.is_new { Some((BODY, self.body_generation)) } else { polling.next() };
        while let Some((woken, _)) = next {
            match body.as_mut().as_pin_mut() {
                Some(body) if woken == BODY => {
                    if self.poll_new_or_woken(body, polling).is_ready() {
                        return Poll::Ready(());
                    }
                }
                _ => self.poll_children(polling),
            }
            if !polling.spend(1) {
                return polling.wait(true, self.done);
            }
            next = polling.next();
        }
        polling.wait(false, self.done)
    }

    fn poll_new_or_woken<B: Future<Output = ()>>(
        &mut self,
        body: Pin<&mut B>,
        polling: &Polling<'_>,
    ) -> Poll<()> {
        let generation = self.body_generation;
        let is_new = take(&mut self.is_new);
        let poll = polling.with_context(BODY, generation, |cx| body.poll(cx));
        if poll.is_ready() {
            polling.ended(BODY);
            self.body_generation = next_generation(generation);
            self.is_spent = !polling.spend(1);
            self.done += 1;
        } else if is_new {
            polling.started(BODY, generation, BODY as usize);
        }
        poll
    }

    /// Lets the children go on, if there are any.
    fn poll_children(&mut self, polling: &Polling<'_>) {
        if self.siblings.is_over() {
            return;
        }
        let Work { siblings, waiting, children_generation, .. } = self;
        let poll = polling.with_context(CHILDREN, *children_generation, |cx| siblings.advance(waiting, cx));
        match poll {
            Poll::Pending => {}
            Poll::Ready(Pause::Output) => self.are_due = true,
            Poll::Ready(Pause::Over) => {
                polling.ended(CHILDREN);
                // No child is left, only the input.
                self.siblings.release().forget();
            }
        }
    }
}

impl<I, F, O> Work<I, F, O> {
    fn new(siblings: Siblings<I, F, O>) -> Self {
        Work {
            siblings,
            waiting: Waiting { outputs: VecDeque::new(), is_idle: true },
            children_generation: 1,
            body_generation: 1,
            are_due: false,
            is_new: false,
            is_spent: false,
            done: 0,
        }
    }

    /// Takes the first output that waits, for a new body.
    fn take_output(&mut self) -> Option<(usize, O)> {
        let output = self.waiting.outputs.pop_front()?;
        self.is_new = true;
        self.are_due = !self.siblings.is_over();
        Some(output)
    }
}

impl<I, F, O> Pair<I, F, O> {
    /// Drops everything that there is: children first.
    fn release(&mut self, mut panics: FirstPanic) -> FirstPanic {
        panics.catch(|| self.work.siblings.release().resume());
        for output in take(&mut self.work.waiting.outputs) {
            panics.catch(|| drop(output));
        }
        self.group.release();
        panics
    }
}

impl<I, F, O> Drop for Pair<I, F, O> {
    fn drop(&mut self) {
        self.release(FirstPanic::default()).resume();
    }
}
