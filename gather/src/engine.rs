//! The engine beneath every gather: starts children, polls those that were woken, and drops them all.
//!
//! ```text
//!              room?            ready                  ready
//!   iterator ────────► child ──────────► policy ◄───────────── child
//!              start     │ pending                   poll        ▲ woken
//!                        └──► slot (children.rs) ─── group queue ┘
//! ```
//!
//! One poll of a gather starts children while there is room, polls those that were woken, and so on in turn, until
//! there is nothing to do or the budget of the task is spent. Then the policy is asked whether to wait.
//!
//! Next: [`gather`](mod@crate::gather), the call.

use std::future::Future;
use std::iter::Fuse;
use std::ops::ControlFlow;
use std::task::{Context, Poll};

use gather_runtime::group::{Group, Polling};

use crate::child::poll_child;
use crate::children::Children;
use crate::panics::FirstPanic;
use crate::policy::{Kept, Policy};
use crate::progress::{Burst, Progress, pause};

/// The children of a gather: those to come from `I`, those that run (of type `F`), and the outputs (of type `O`) so
/// far.
///
/// It has the types `F` and `O` as parameters of its own, though `I` decides them, and no bounds: the compiler can
/// prove that an `async` block that awaits a gather is `Send` only if there is no bound with a borrow in it to prove
/// on the way ([rust#102211](https://github.com/rust-lang/rust/issues/102211)).
pub struct Siblings<I, F, O> {
    /// The runtime's side: who was woken.
    pub(crate) group: Group,
    crew: Crew<I, F, O>,
    /// Whether the result was given.
    is_over: bool,
}

/// The [`Siblings`] of a gather whose input is an `I`.
pub type SiblingsOf<I> = Siblings<
    Fuse<<I as IntoIterator>::IntoIter>,
    <I as IntoIterator>::Item,
    <<I as IntoIterator>::Item as Future>::Output,
>;

/// All of a gather but its group.
struct Crew<I, F, O> {
    /// Where children come from. When it has none there may still come some later, until the last child has ended.
    input: Option<I>,
    /// The children that have started and have not finished.
    children: Children<F>,
    /// The outputs so far.
    kept: Kept<O>,
    /// How many children there may be.
    limit: usize,
    /// The policy wants to stop: so many polls are left for those that were woken before.
    last_polls: Option<usize>,
    /// The policy has just given something. If it is asked for more and the budget is spent, it is the others' turn.
    has_given: bool,
    /// The last poll ended when children were started: those that were woken have their turn now, also beside an endless input.
    are_woken_next: bool,
}

impl<I, F, O> Siblings<I, F, O> {
    /// The input goes on giving `None` when it has given it; or, if it may yet give more, only from its children.
    #[track_caller]
    pub(crate) const fn new(input: I, kind: &'static str) -> Self {
        let crew = Crew {
            input: Some(input),
            children: Children::new(),
            kept: Kept::new(),
            limit: usize::MAX,
            last_polls: None,
            has_given: false,
            are_woken_next: false,
        };
        Siblings { group: Group::new(kind), crew, is_over: false }
    }

    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.crew.limit = limit;
    }

    /// For a policy that keeps no output until the end: no memory is reserved for them. The kind is for a dump.
    pub(crate) fn keep_none(&mut self, kind: &'static str) {
        self.group.set_kind(kind);
        self.crew.kept.expect_none();
    }

    /// Starts no more children.
    pub(crate) fn start_none(&mut self) {
        self.crew.input = None;
    }

    /// Whether the result was given.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// How many children were started, and how many of them run.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.crew.kept.started(), self.crew.children.len())
    }

    /// Drops everything that there is, children first.
    pub(crate) fn release(&mut self) -> FirstPanic {
        self.is_over = true;
        let mut panics = FirstPanic::default();
        self.crew.children.clear(&mut panics);
        panics.catch(|| self.crew.input = None);
        self.crew.kept.clear(&mut panics);
        self.group.release();
        panics
    }
}

impl<I, F, O> Drop for Siblings<I, F, O> {
    fn drop(&mut self) {
        if !self.is_over {
            self.release().resume();
        }
    }
}

impl<I: Iterator<Item = F>, F: Future> Siblings<I, F, F::Output> {
    /// How many outputs are to come, at least and at most.
    pub(crate) fn size_hint(&self) -> (usize, Option<usize>) {
        let running = self.crew.children.len();
        let (least, most) = self.crew.input.as_ref().map_or((0, Some(0)), Iterator::size_hint);
        (least.saturating_add(running), most.and_then(|most| most.checked_add(running)))
    }

    /// Starts and polls children in turn until the policy gives something, there is nothing to do, or it is the others'
    /// turn. When it has given something it may be asked for more, unless the children were released.
    #[inline]
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
            if std::mem::take(&mut crew.has_given) && polling.budget() == 0 {
                return polling.wait(true, crew.done());
            }
            if crew.kept.started() > 0 {
                crew.must_stop(policy, polling); // then nobody takes a free place
            }
            let has_more = match crew.run(polling, policy) {
                Progress::Over(output) => {
                    crew.has_given = true;
                    return polling.give(output, crew.done(), crew.children.len());
                }
                Progress::Spent => true,
                Progress::Some | Progress::Nothing => false,
            };
            if crew.must_stop(policy, polling) && !has_more {
                return Poll::Ready(crew.finish(policy));
            }
            polling.wait(has_more, crew.done())
        })
    }
}

impl<I: Iterator<Item = F>, F: Future> Crew<I, F, F::Output> {
    #[inline]
    fn run<P: Policy<F::Output>>(
        &mut self,
        polling: &mut Polling<'_>,
        policy: &mut P,
    ) -> Progress<P::Output> {
        let mut is_drained = false;
        loop {
            if !std::mem::take(&mut self.are_woken_next) {
                match self.start_some(polling, policy) {
                    Progress::Some => {}
                    Progress::Nothing if is_drained => return Progress::Nothing,
                    Progress::Nothing => {}
                    progress => {
                        self.are_woken_next = true;
                        return progress;
                    }
                }
            }
            match self.poll_some(polling, policy) {
                Progress::Some => is_drained = false,
                Progress::Nothing => is_drained = true,
                progress => return progress,
            }
        }
    }

    /// Starts children while there is room. (A function of its own for each burst, and so is the one below: in one, the
    /// compiler runs out of registers, and a child that is ready at once takes 15 cycles, not 12.)
    #[inline(never)]
    fn start_some<P: Policy<F::Output>>(
        &mut self,
        polling: &mut Polling<'_>,
        policy: &mut P,
    ) -> Progress<P::Output> {
        let mut burst = Burst::new(polling);
        while self.has_room(policy) && burst.goes_on(polling) {
            let Some(future) = self.input.as_mut().and_then(Iterator::next) else {
                self.kept.note_all_started();
                let progress = pause(polling, burst.steps - 1);
                return match self.children.len() {
                    0 => Progress::Over(self.finish(policy)),
                    _ => progress,
                };
            };
            if let ControlFlow::Break(output) = self.start(future, polling, policy) {
                polling.spend(burst.steps);
                return Progress::Over(output);
            }
        }
        pause(polling, burst.steps)
    }

    #[inline]
    fn has_room<P: Policy<F::Output>>(&self, policy: &P) -> bool {
        self.children.len().saturating_add(policy.held()) < self.limit && self.last_polls.is_none()
    }

    /// Polls children that were woken; `Nothing` if none is left.
    #[inline(never)]
    fn poll_some<P: Policy<F::Output>>(
        &mut self,
        polling: &Polling<'_>,
        policy: &mut P,
    ) -> Progress<P::Output> {
        let mut burst = Burst::new(polling);
        while burst.goes_on(polling) {
            let Some((number, generation)) = polling.next() else {
                polling.spend(burst.steps - 1);
                return Progress::Nothing;
            };
            let Some(child) = self.children.find(number) else { continue };
            let flow = poll_child::<_, _, false>(child, generation, polling, policy, &mut self.kept);
            if let ControlFlow::Break(output) = flow {
                polling.spend(burst.steps);
                return Progress::Over(output);
            }
        }
        match self.count_last_polls(policy, burst.steps) {
            Some(output) => Progress::Over(output),
            None => pause(polling, burst.steps),
        }
    }

    /// Asks the policy whether it wants to stop, until it does.
    #[inline]
    fn must_stop<P: Policy<F::Output>>(&mut self, policy: &mut P, polling: &Polling<'_>) -> bool {
        let stops =
            self.last_polls.is_some() || policy.poll_stop(&self.kept, &mut polling.context()).is_ready();
        stops.then(|| self.last_polls.get_or_insert(self.children.len())).is_some()
    }

    /// When the policy wants to stop, it does so after a certain number of polls.
    #[inline]
    fn count_last_polls<P: Policy<F::Output>>(&mut self, policy: &mut P, polled: u32) -> Option<P::Output> {
        let left = self.last_polls.as_mut()?;
        *left = left.saturating_sub(polled as usize);
        (*left == 0).then(|| self.finish(policy))
    }

    /// How many children have finished.
    fn done(&self) -> usize {
        self.kept.started() - self.children.len()
    }

    fn finish<P: Policy<F::Output>>(&mut self, policy: &mut P) -> P::Output {
        policy.finish(self.kept.take())
    }

    /// The group is new on this runtime: it has to know how many children there can be, and children that were
    /// started elsewhere have to learn their new wakers.
    #[cold]
    fn prepare(&mut self, polling: &mut Polling<'_>, first_generation: u8) {
        self.children.set_first_generation(first_generation);
        if self.kept.started() == 0 {
            self.kept.expect(self.input.as_ref().map_or((0, None), Iterator::size_hint));
            return;
        }
        polling.grow(self.children.end);
        for number in 0..self.children.opened {
            let Some(mut child) = self.children.find(number) else { continue };
            if child.future().is_some() {
                polling.started(number, child.generation(), child.index());
                polling.push(number, child.generation());
            }
        }
    }

    /// Makes room for the child that was just taken from the input, and for as many as may come with it, if the input counts
    /// them right.
    #[cold]
    fn add_chunk(&mut self, polling: &mut Polling<'_>) {
        let left = self.input.as_ref().and_then(|input| input.size_hint().1);
        let all = left.and_then(|left| left.checked_add(self.children.len() + 1));
        let most = self.limit.min(all.unwrap_or(usize::MAX));
        let end = self.children.next_end(most);
        polling.grow(end); // panics at the limit, before there is a chunk
        self.children.add_chunk(end);
    }

    /// Puts a child into a slot and polls it.
    #[inline]
    fn start<P: Policy<F::Output>>(
        &mut self,
        future: F,
        polling: &mut Polling<'_>,
        policy: &mut P,
    ) -> ControlFlow<P::Output> {
        if self.children.is_full() {
            self.add_chunk(polling);
        }
        let index = self.kept.start();
        let child = self.children.insert(index, future);
        *child.span = polling.child_span(index);
        let generation = child.generation();
        poll_child::<_, _, true>(child, generation, polling, policy, &mut self.kept)
    }
}
