//! The engine beneath every gather: starts children, polls those that were woken, and drops them
//! all.
//!
//! ```text
//!              room?            ready                  ready
//!   iterator ────────► child ──────────► policy ◄───────────── child
//!              start     │ pending                   poll        ▲ woken
//!                        └──► slot (children.rs) ─── group queue ┘
//! ```
//!
//! One poll of a gather alternates between runs of starts and of polls, until nothing is left to do
//! or the budget is spent. So neither an endless input nor a child that wakes itself starves others.
//!
//! Next: [`gather`](mod@crate::gather), the call.

use std::future::Future;
use std::iter::Fuse;
use std::mem;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::{Context, Poll};

use gather_runtime::group::{Group, Polling};

use crate::children::{Child, Children};
use crate::panics::{DropAll, forget_panic, holding};
use crate::policy::{Kept, Policy};

/// How many children are started, or polled, in a row: a fairly arbitrary number.
const RUN: u32 = 32;

/// The children of a gather: those to come from `I`, those that run (of type `F`), and the outputs
/// (of type `O`) so far.
///
/// It has the types `F` and `O` as parameters of its own, though `I` decides them, and no bounds:
/// the compiler can prove that an `async` block that awaits a gather is `Send` only if there is no
/// bound with a borrow in it to prove on the way
/// ([rust#102211](https://github.com/rust-lang/rust/issues/102211)).
pub struct Siblings<I, F, O> {
    crew: Crew<I, F, O>,
    /// The runtime's side: who was woken.
    pub(crate) group: Group,
    /// Whether the result was given.
    pub(crate) is_over: bool,
}

/// The [`Siblings`] of a gather whose input is an `I`.
pub type SiblingsOf<I> = Siblings<
    Fuse<<I as IntoIterator>::IntoIter>,
    <I as IntoIterator>::Item,
    <<I as IntoIterator>::Item as Future>::Output,
>;

/// All of a gather but its group. It is dropped in this order.
struct Crew<I, F, O> {
    /// The children that have started and have not finished.
    children: Children<F>,
    /// Where children come from. An input that has none may have some later, from a child.
    input: DropAll<Option<I>>,
    /// The outputs so far.
    kept: Kept<O>,
    /// How many children there may be.
    limit: usize,
    /// The policy wants to stop: polls that are left for those that were woken before.
    last_polls: Option<usize>,
    /// The policy has just returned an output: the next poll needs a budget.
    has_given: bool,
    /// Whether the last run was one of polls.
    has_polled: bool,
}

impl<I, F, O> Siblings<I, F, O> {
    /// The input goes on returning `None` when it has returned it; or, if it may yet have more,
    /// only from its children.
    #[track_caller]
    pub(crate) const fn new(input: I, kind: &'static str) -> Self {
        Siblings { crew: Crew::new(Some(input)), group: Group::new(kind), is_over: false }
    }

    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.crew.limit = limit;
    }

    /// For a policy that keeps no output until the end: no memory is reserved for them. The kind
    /// is for a dump.
    pub(crate) fn keep_none(&mut self, kind: &'static str) {
        self.group.set_kind(kind);
        self.crew.kept.expect_none();
    }

    /// Starts no more children.
    pub(crate) fn start_none(&mut self) {
        self.crew.input.take();
    }

    /// How many children were started, and how many of them run.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.crew.kept.started(), self.crew.children.len())
    }

    pub(crate) fn take_kept(&mut self) -> Kept<O> {
        self.crew.kept.take()
    }

    /// Drops everything that there is, children first.
    pub(crate) fn release(&mut self) {
        self.is_over = true;
        self.group.release();
        drop(mem::replace(&mut self.crew, Crew::new(None)));
    }

    /// Does the same where there is a result, or another panic, that goes first.
    pub(crate) fn end(&mut self) {
        forget_panic(|| self.release());
    }
}

impl<I: Iterator<Item = F>, F, O> Siblings<I, F, O> {
    /// Takes out the children that have not finished, each with its index and in the order of the
    /// input.
    pub(crate) fn take_rest(&mut self) -> impl Iterator<Item = (usize, F)>
    where
        F: Unpin,
    {
        let mut running = self.crew.children.take_all();
        running.sort_unstable_by_key(|(index, _)| *index);
        let input = (self.crew.kept.started()..).zip(self.crew.input.0.iter_mut().flatten());
        running.into_iter().chain(input)
    }

    /// How many outputs are to come, at least and at most.
    pub(crate) fn size_hint(&self) -> (usize, Option<usize>) {
        let running = self.crew.children.len();
        let (least, most) = self.crew.input_size();
        (least.saturating_add(running), most.and_then(|most| most.checked_add(running)))
    }
}

impl<I: Iterator<Item = F>, F: Future> Siblings<I, F, F::Output> {
    /// Does what [`advance`](Siblings::advance) does. A panic ends the gather.
    pub(crate) fn poll<P: Policy<F::Output>>(
        &mut self,
        policy: &mut P,
        cx: &mut Context<'_>,
    ) -> Poll<P::Output> {
        catch_unwind(AssertUnwindSafe(|| self.advance(policy, cx))).unwrap_or_else(|panic| {
            self.end();
            resume_unwind(panic)
        })
    }

    /// Starts and polls children until the policy returns something, there is nothing to do, or it
    /// is the others' turn. When it has returned something it may be asked for more, unless the
    /// children were dropped.
    pub(crate) fn advance<P: Policy<F::Output>>(
        &mut self,
        policy: &mut P,
        cx: &mut Context<'_>,
    ) -> Poll<P::Output> {
        let Siblings { group, crew, .. } = self;
        group.poll(cx, |polling, first_generation| {
            if let Some(first_generation) = first_generation {
                crew.prepare(polling, first_generation);
            }
            if mem::take(&mut crew.has_given) && polling.budget() == 0 {
                return polling.wait(true, crew.done());
            }
            if crew.kept.started() > 0 {
                crew.must_stop(policy, polling); // then no child starts
            }
            match crew.run(polling, policy) {
                ControlFlow::Break(output) => {
                    crew.has_given = true;
                    polling.give(output, crew.done(), crew.children.len())
                }
                ControlFlow::Continue(is_spent) => match crew.must_stop(policy, polling) {
                    true if !is_spent => Poll::Ready(policy.finish(crew.kept.take())),
                    _ => polling.wait(is_spent, crew.done()),
                },
            }
        })
    }
}

impl<I, F, O> Crew<I, F, O> {
    const fn new(input: Option<I>) -> Self {
        Crew {
            children: Children::new(),
            input: DropAll(input),
            kept: Kept::new(),
            limit: usize::MAX,
            last_polls: None,
            has_given: false,
            has_polled: true,
        }
    }

    /// How many children have finished.
    fn done(&self) -> usize {
        self.kept.started() - self.children.len()
    }
}

impl<I: Iterator<Item = F>, F, O> Crew<I, F, O> {
    /// What the input says of how many children are still to come.
    fn input_size(&self) -> (usize, Option<usize>) {
        self.input.0.as_ref().map_or((0, Some(0)), Iterator::size_hint)
    }

    /// The group is new on this runtime: it has to know how many children there can be, and
    /// children that were started elsewhere have to learn their new wakers.
    #[cold]
    fn prepare(&mut self, polling: &mut Polling<'_>, first_generation: u8) {
        self.children.first_generation = first_generation;
        if self.kept.started() == 0 {
            self.kept.expect(self.input_size());
            return;
        }
        polling.grow(self.children.end);
        self.children.for_each(|child| {
            polling.started(child.number, child.facts.generation, child.facts.index);
            polling.push(child.number, child.facts.generation);
        });
    }

    /// Makes room for the child that was just taken from the input, and for as many as may come
    /// with it, if the input counts them right.
    #[cold]
    fn add_chunk(&mut self, polling: &mut Polling<'_>) {
        let all = self.input_size().1.and_then(|left| left.checked_add(self.children.len() + 1));
        let end = self.children.next_end(self.limit.min(all.unwrap_or(usize::MAX)));
        polling.grow(end); // panics at the limit, before there is a chunk
        self.children.add_chunk(end);
    }
}

impl<I: Iterator<Item = F>, F: Future> Crew<I, F, F::Output> {
    /// Starts and polls in turn until the policy returns an output, there is nothing to do, or
    /// (`true`) the budget is spent.
    fn run<P: Policy<F::Output>>(
        &mut self,
        polling: &mut Polling<'_>,
        policy: &mut P,
    ) -> ControlFlow<P::Output, bool> {
        let mut idle_runs = 0;
        while idle_runs < 2 {
            self.has_polled = !self.has_polled;
            let steps = match self.has_polled {
                true => self.poll_some(polling, policy)?,
                false => self.start_some(polling, policy)?,
            };
            if steps > 0 && polling.budget() == 0 {
                return ControlFlow::Continue(true);
            }
            idle_runs = if steps > 0 { 0 } else { idle_runs + 1 };
        }
        ControlFlow::Continue(false)
    }

    /// Starts children while there is room, and returns how many.
    fn start_some<P: Policy<F::Output>>(
        &mut self,
        polling: &mut Polling<'_>,
        policy: &mut P,
    ) -> ControlFlow<P::Output, u32> {
        let mut steps = 0;
        let mut has_budget = true;
        while has_budget && steps < RUN && self.has_room(policy) {
            let Some(future) = self.input.0.as_mut().and_then(Iterator::next) else {
                self.kept.note_all_started();
                if self.children.len() == 0 {
                    return ControlFlow::Break(policy.finish(self.kept.take()));
                }
                break;
            };
            steps += 1;
            if self.children.is_full() {
                self.add_chunk(polling);
            }
            let index = self.kept.start();
            let child = self.children.insert(index, polling.child_span(index), future);
            let (number, generation) = (child.number, child.facts.generation);
            let poll = poll_child(child, polling);
            has_budget = polling.spend(1);
            match poll {
                Poll::Pending => polling.started(number, generation, index),
                Poll::Ready(output) => self.judge(number, index, output, policy)?,
            }
        }
        ControlFlow::Continue(steps)
    }

    fn has_room<P: Policy<F::Output>>(&self, policy: &P) -> bool {
        self.children.len().saturating_add(policy.held()) < self.limit && self.last_polls.is_none()
    }

    /// Polls children that were woken, and returns how many.
    fn poll_some<P: Policy<F::Output>>(
        &mut self,
        polling: &mut Polling<'_>,
        policy: &mut P,
    ) -> ControlFlow<P::Output, u32> {
        let mut steps = 0;
        let mut has_budget = true;
        while has_budget && steps < RUN {
            let Some((number, _)) = polling.next() else { break };
            steps += 1;
            if let Some(child) = self.children.get(number) {
                let index = child.facts.index;
                let poll = poll_child(child, polling);
                has_budget = polling.spend(1);
                if let Poll::Ready(output) = poll {
                    polling.ended(number);
                    self.judge(number, index, output, policy)?;
                }
            }
        }
        self.last_polls = self.last_polls.map(|left| left.saturating_sub(steps as usize));
        if self.last_polls == Some(0) {
            return ControlFlow::Break(policy.finish(self.kept.take()));
        }
        ControlFlow::Continue(steps)
    }

    /// A child is ready: it is dropped, and its output judged.
    fn judge<P: Policy<F::Output>>(
        &mut self,
        number: u32,
        index: usize,
        output: F::Output,
        policy: &mut P,
    ) -> ControlFlow<P::Output> {
        let output = holding(output, || self.children.remove(number));
        policy.judge(index, output, &mut self.kept)
    }

    /// Asks the policy whether it wants to stop, until it does.
    fn must_stop<P: Policy<F::Output>>(&mut self, policy: &mut P, polling: &Polling<'_>) -> bool {
        if self.last_polls.is_none() && policy.poll_stop(&self.kept, &mut polling.context()).is_ready() {
            self.last_polls = Some(self.children.len());
        }
        self.last_polls.is_some()
    }
}

/// Polls a child with a waker of its own.
fn poll_child<F: Future>(child: Child<'_, F>, polling: &Polling<'_>) -> Poll<F::Output> {
    let Child { number, future, facts } = child;
    facts.span.enter(|| polling.with_context(number, facts.generation, |cx| future.poll(cx)))
}
