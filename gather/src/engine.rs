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
//! there is nothing to do or the budget of the task is spent.
//!
//! Next: [`gather`](mod@crate::gather), the call.

use std::future::Future;
use std::mem::ManuallyDrop;
use std::ops::ControlFlow;
use std::task::{Context, Poll};

use gather_runtime::group::{Entry, Group, Woken, spend};

use crate::children::{Children, Found};
use crate::ordered::Ordered;
use crate::panics::{FirstPanic, Guarded};
use crate::policy::{Kept, Policy};

/// How many children are started, or polled again, before it is the others' turn: so neither an endless input nor
/// a child that wakes itself can keep the other from going on.
const BURST: usize = 32;

/// The children of a gather: those to come from `I`, those that run (of type `F`), and the outputs (of type `O`) so
/// far.
///
/// It has the types `F` and `O` as parameters of its own, though `I` decides them, and no bounds: the compiler can
/// prove that an `async` block that awaits a gather is `Send` only if there is no bound with a borrow in it to prove
/// on the way ([rust#102211](https://github.com/rust-lang/rust/issues/102211)).
pub struct Siblings<I, F, O> {
    /// Where children come from; `None` when there are no more.
    input: Option<I>,
    /// How many children were taken from the input.
    started: usize,
    /// The children that have started and have not finished.
    children: Children<F>,
    /// The outputs so far.
    kept: Kept<O>,
    /// The runtime's side: who was woken.
    group: Group,
    /// How many children there may be.
    limit: usize,
    /// Whether the result was given.
    is_over: bool,
}

impl<I, F, O> Siblings<I, F, O> {
    pub(crate) const fn new(input: I) -> Self {
        Siblings {
            input: Some(input),
            started: 0,
            children: Children::new(),
            kept: Kept(Ordered::new()),
            group: Group::new(),
            limit: usize::MAX,
            is_over: false,
        }
    }

    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Whether the result was given.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// How many children were started, and how many of them run.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.started, self.children.len())
    }

    /// Drops everything that there is, children first.
    pub(crate) fn release(&mut self) -> FirstPanic {
        self.is_over = true;
        let mut panics = FirstPanic::default();
        self.children.clear(&mut panics);
        panics.catch(|| self.input = None);
        self.kept.0.clear(&mut panics);
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

impl<I> Siblings<I, I::Item, <I::Item as Future>::Output>
where
    I: Iterator,
    I::Item: Future,
{
    /// Starts and polls children in turn until there is nothing to do, or it is the others' turn.
    #[inline]
    pub(crate) fn advance<P>(&mut self, policy: &mut P, cx: &mut Context<'_>) -> Poll<P::Output>
    where
        P: Policy<<I::Item as Future>::Output>,
    {
        if let Entry::New { first_generation } = self.group.enter(cx) {
            self.prepare(first_generation);
        }
        let progress = loop {
            match self.start_some(policy) {
                Progress::More => {}
                progress => break progress,
            }
            match self.poll_some(policy) {
                Progress::More => {}
                progress => break progress,
            }
        };
        match progress {
            Progress::Over(output) => return Poll::Ready(output),
            Progress::More | Progress::Spent => self.group.leave(cx, true),
            Progress::Idle => self.group.leave(cx, false),
        }
        Poll::Pending
    }

    /// Starts children while there is room.
    #[inline]
    fn start_some<P>(&mut self, policy: &mut P) -> Progress<P::Output>
    where
        P: Policy<<I::Item as Future>::Output>,
    {
        for _ in 0..BURST {
            if self.children.len() >= self.limit {
                return Progress::More;
            }
            let Some(future) = self.input.as_mut().and_then(Iterator::next) else {
                return self.end_input(policy);
            };
            if let ControlFlow::Break(output) = self.start(future, policy) {
                return Progress::Over(output);
            }
            if !spend() {
                return Progress::Spent;
            }
        }
        Progress::More
    }

    /// There are no more children to start: are there any to wait for?
    fn end_input<P>(&mut self, policy: &mut P) -> Progress<P::Output>
    where
        P: Policy<<I::Item as Future>::Output>,
    {
        self.input = None;
        if self.children.len() > 0 {
            return Progress::More;
        }
        let kept = std::mem::replace(&mut self.kept, Kept(Ordered::new()));
        Progress::Over(policy.finish(kept))
    }

    /// Polls children that were woken.
    #[inline]
    fn poll_some<P>(&mut self, policy: &mut P) -> Progress<P::Output>
    where
        P: Policy<<I::Item as Future>::Output>,
    {
        for _ in 0..BURST {
            let Some(woken) = self.group.next() else {
                let can_start = self.children.len() < self.limit && self.input.is_some();
                let is_done = self.children.len() == 0;
                return if can_start || is_done { Progress::More } else { Progress::Idle };
            };
            if let ControlFlow::Break(output) = self.poll_woken(woken, policy) {
                return Progress::Over(output);
            }
            if !spend() {
                return Progress::Spent;
            }
        }
        Progress::More
    }

    /// The group is new on this runtime: it has to know how many children there can be, and children that were
    /// started elsewhere have to learn their new wakers.
    #[cold]
    fn prepare(&mut self, first_generation: u8) {
        self.children.set_first_generation(first_generation);
        if self.started == 0 {
            let expected = self.input.as_ref().map_or(0, |input| input.size_hint().0);
            self.kept.0.expect(expected);
        } else {
            self.group.grow(self.children.capacity());
            self.group.push_all();
        }
    }

    /// Puts a child into a slot and polls it.
    #[inline]
    fn start<P>(&mut self, future: I::Item, policy: &mut P) -> ControlFlow<P::Output>
    where
        P: Policy<<I::Item as Future>::Output>,
    {
        if self.children.is_full() {
            self.group.grow(self.children.next_capacity()); // panics at the limit, before there is a chunk
            self.children.add_chunk(self.limit);
        }
        let index = self.started;
        self.started += 1;
        let child = self.children.insert(index, future);
        poll_child(child, &self.group, policy, &mut self.kept)
    }

    /// Polls a child that was woken, unless it is gone.
    #[inline]
    fn poll_woken<P>(&mut self, woken: Woken, policy: &mut P) -> ControlFlow<P::Output>
    where
        P: Policy<<I::Item as Future>::Output>,
    {
        match self.children.find(woken.child) {
            Some(child) if woken.is_for(child.generation()) => {
                poll_child(child, &self.group, policy, &mut self.kept)
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Polls the child in a slot, if there is one. When it is ready it is dropped, and its output judged.
#[inline]
fn poll_child<F: Future, P: Policy<F::Output>>(
    mut child: Found<'_, F>,
    group: &Group,
    policy: &mut P,
    kept: &mut Kept<F::Output>,
) -> ControlFlow<P::Output> {
    // Its drop would do nothing, through a call.
    let waker = ManuallyDrop::new(group.waker(child.number, child.generation()));
    let Some(future) = child.future() else { return ControlFlow::Continue(()) };
    match future.poll(&mut Context::from_waker(&waker)) {
        Poll::Pending => ControlFlow::Continue(()),
        Poll::Ready(output) => {
            let index = child.index();
            let output = Guarded::new(output);
            child.finish();
            match output.into_inner() {
                Some(output) => policy.judge(index, output, kept),
                None => ControlFlow::Continue(()),
            }
        }
    }
}

/// How far a gather came.
enum Progress<O> {
    /// It has its result.
    Over(O),
    /// There may be more to do.
    More,
    /// The budget is spent.
    Spent,
    /// Every child waits.
    Idle,
}
