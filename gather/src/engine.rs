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

use std::borrow::Cow;
use std::future::Future;
use std::iter::Fuse;
use std::mem::ManuallyDrop;
use std::ops::ControlFlow;
use std::task::{Context, Poll};

use gather_runtime::group::{Group, Polling};

use crate::children::{Children, Found};
use crate::panics::{FirstPanic, Guarded};
use crate::policy::{Kept, Policy};

/// How many children are started, or polled again, before it is the others' turn: so neither an endless input nor
/// a child that wakes itself can keep the other from going on.
///
/// The budget is spent by the burst, because its count is in memory: one by one takes a tenth more for each poll.
const BURST: u32 = 32;

/// The children of a gather: those to come from `I`, those that run (of type `F`), and the outputs (of type `O`) so
/// far.
///
/// It has the types `F` and `O` as parameters of its own, though `I` decides them, and no bounds: the compiler can
/// prove that an `async` block that awaits a gather is `Send` only if there is no bound with a borrow in it to prove
/// on the way ([rust#102211](https://github.com/rust-lang/rust/issues/102211)).
pub struct Siblings<I, F, O> {
    /// The runtime's side: who was woken.
    group: Group,
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
}

impl<I, F, O> Siblings<I, F, O> {
    /// The input goes on giving `None` when it has given it; or, if it may yet give more, only from its children.
    pub(crate) const fn new(input: I, kind: &'static str) -> Self {
        let crew = Crew {
            input: Some(input),
            children: Children::new(),
            kept: Kept::new(),
            limit: usize::MAX,
            last_polls: None,
        };
        Siblings { group: Group::new(kind), crew, is_over: false }
    }

    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.crew.limit = limit;
    }

    pub(crate) fn set_name(&mut self, name: Cow<'static, str>) {
        self.group.set_name(name);
    }

    #[allow(dead_code, reason = "for the streams")]
    pub(crate) fn set_kind(&mut self, kind: &'static str) {
        self.group.set_kind(kind);
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
    /// Starts and polls children in turn until the policy gives something, there is nothing to do, or it is the others'
    /// turn.
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
            let has_more = match crew.run(polling, policy) {
                Progress::Over(output) => return Poll::Ready(output),
                Progress::Spent => true,
                Progress::Some | Progress::Nothing => false,
            };
            if policy.poll_stop(&crew.kept, &mut polling.context()).is_ready() {
                if !has_more {
                    return Poll::Ready(crew.finish(policy));
                }
                crew.last_polls.get_or_insert(crew.children.len());
            }
            polling.wait(has_more, crew.kept.started() - crew.children.len())
        })
    }
}

impl<I: Iterator<Item = F>, F: Future> Crew<I, F, F::Output> {
    #[inline]
    fn run<P: Policy<F::Output>>(&mut self, polling: &Polling<'_>, policy: &mut P) -> Progress<P::Output> {
        let mut is_drained = false;
        loop {
            match self.start_some(polling, policy) {
                Progress::Some => {}
                Progress::Nothing if is_drained => return Progress::Nothing,
                Progress::Nothing => {}
                progress => return progress,
            }
            match self.poll_some(polling, policy) {
                Progress::Some => is_drained = false,
                Progress::Nothing => is_drained = true,
                progress => return progress,
            }
        }
    }

    /// Starts children while there is room.
    #[inline]
    fn start_some<P: Policy<F::Output>>(
        &mut self,
        polling: &Polling<'_>,
        policy: &mut P,
    ) -> Progress<P::Output> {
        let burst = burst(polling);
        for started in 0..burst {
            if self.children.len() + policy.held() >= self.limit || self.last_polls.is_some() {
                return pause(polling, started);
            }
            let Some(future) = self.input.as_mut().and_then(Iterator::next) else {
                self.kept.note_all_started();
                return match self.children.len() {
                    0 => Progress::Over(self.finish(policy)),
                    _ => pause(polling, started),
                };
            };
            if let ControlFlow::Break(output) = self.start(future, polling, policy) {
                polling.spend(started + 1);
                return Progress::Over(output);
            }
        }
        pause(polling, burst)
    }

    /// Polls children that were woken; `Nothing` if none is left.
    #[inline]
    fn poll_some<P: Policy<F::Output>>(
        &mut self,
        polling: &Polling<'_>,
        policy: &mut P,
    ) -> Progress<P::Output> {
        let burst = burst(polling);
        for polled in 0..burst {
            let Some(number) = polling.next() else {
                polling.spend(polled);
                return Progress::Nothing;
            };
            if let ControlFlow::Break(output) = self.poll_woken(number, polling, policy) {
                polling.spend(polled + 1);
                return Progress::Over(output);
            }
        }
        match self.count_last_polls(policy, burst) {
            Some(output) => Progress::Over(output),
            None => pause(polling, burst),
        }
    }

    /// When the policy wants to stop, it does so after a certain number of polls.
    #[inline]
    fn count_last_polls<P: Policy<F::Output>>(&mut self, policy: &mut P, polled: u32) -> Option<P::Output> {
        let left = self.last_polls.as_mut()?;
        *left = left.saturating_sub(polled as usize);
        (*left == 0).then(|| self.finish(policy))
    }

    fn finish<P: Policy<F::Output>>(&mut self, policy: &mut P) -> P::Output {
        policy.finish(self.kept.take())
    }

    /// The group is new on this runtime: it has to know how many children there can be, and children that were
    /// started elsewhere have to learn their new wakers.
    #[cold]
    fn prepare(&mut self, polling: &Polling<'_>, first_generation: u8) {
        self.children.set_first_generation(first_generation);
        if self.kept.started() == 0 {
            self.kept.expect(self.input.as_ref().map_or((0, None), Iterator::size_hint));
            return;
        }
        polling.grow(self.children.capacity());
        for number in 0..self.children.opened {
            let Some(mut child) = self.children.find(number) else { continue };
            if child.future().is_some() {
                polling.started(number, child.generation(), child.index());
                polling.push(number, child.generation());
            }
        }
    }

    /// Puts a child into a slot and polls it.
    #[inline]
    fn start<P: Policy<F::Output>>(
        &mut self,
        future: F,
        polling: &Polling<'_>,
        policy: &mut P,
    ) -> ControlFlow<P::Output> {
        if self.children.is_full() {
            polling.grow(self.children.next_capacity()); // panics at the limit, before there is a chunk
            self.children.add_chunk(self.limit);
        }
        let index = self.kept.start();
        let child = self.children.insert(index, future);
        poll_child::<_, _, true>(child, polling, policy, &mut self.kept)
    }

    /// Polls a child that was woken, unless it is gone.
    #[inline]
    fn poll_woken<P: Policy<F::Output>>(
        &mut self,
        number: u32,
        polling: &Polling<'_>,
        policy: &mut P,
    ) -> ControlFlow<P::Output> {
        match self.children.find(number) {
            Some(child) => poll_child::<_, _, false>(child, polling, policy, &mut self.kept),
            None => ControlFlow::Continue(()),
        }
    }
}

/// Polls the child in a slot, if there is one. When it is ready it is dropped, and its output judged.
#[inline]
fn poll_child<F: Future, P: Policy<F::Output>, const IS_FIRST: bool>(
    mut child: Found<'_, F>,
    polling: &Polling<'_>,
    policy: &mut P,
    kept: &mut Kept<F::Output>,
) -> ControlFlow<P::Output> {
    let (number, generation) = (child.number, child.generation());
    // Its drop would do nothing, through a call.
    let waker = ManuallyDrop::new(polling.waker(number, generation));
    let poll = child.future().map(|future| future.poll(&mut Context::from_waker(&waker)));
    // The runtime need not know of a child that is ready at its first poll.
    match &poll {
        Some(Poll::Pending) if IS_FIRST => polling.started(number, generation, child.index()),
        Some(Poll::Pending) => {}
        Some(Poll::Ready(_)) | None if !IS_FIRST => polling.ended(number),
        Some(Poll::Ready(_)) | None => {}
    }
    let Some(Poll::Ready(output)) = poll else { return ControlFlow::Continue(()) };
    let index = child.index();
    let output = Guarded::new(output);
    child.finish();
    match output.into_inner() {
        Some(output) => policy.judge(index, output, kept),
        None => ControlFlow::Continue(()),
    }
}

/// How long the next burst may be.
#[inline]
fn burst(polling: &Polling<'_>) -> u32 {
    polling.budget().clamp(1, BURST)
}

/// Some steps were done, and the others have their turn now; or, if the budget is spent, those outside.
#[inline]
fn pause<O>(polling: &Polling<'_>, steps: u32) -> Progress<O> {
    match polling.spend(steps) {
        _ if steps == 0 => Progress::Nothing,
        true => Progress::Some,
        false => Progress::Spent,
    }
}

/// How far a gather came.
enum Progress<O> {
    /// There is something to give.
    Over(O),
    /// Something was done, and there may be more to do.
    Some,
    /// There was nothing to do.
    Nothing,
    /// The budget is spent.
    Spent,
}
