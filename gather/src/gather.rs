//! The call, and the engine beneath it.
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
//! Next: [`outcomes`](crate::outcomes), for what a capture gives.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use gather_runtime::group::{Entry, Group, Woken, spend};

use crate::children::Children;
use crate::ordered::Ordered;
use crate::policy::{Capture, FailFast, Kept, Policy};

/// How many children are started, or polled again, before it is the others' turn: so neither an endless input nor
/// a child that wakes itself can keep the other from going on.
const BURST: usize = 32;

/// Runs futures side by side and gives their outputs in input order; the first error ends it and cancels the rest.
///
/// The futures are taken from the input only when they can start. They need not be `'static` and may borrow. None
/// is boxed or spawned: the gather owns them and polls those that were woken, and dropping the gather drops them.
///
/// * By default the children give `Result`, and the gather is a future of `Result<Vec<T>, E>`: at the first `Err`
///   every sibling is dropped, and then the error is given.
/// * With [`capture`](Gather::capture) the children may give anything, and the gather is a future of all outputs.
/// * With [`limit`](Gather::limit) at most that many run at once.
///
/// # Panics
///
/// A panic in a child ends the gather with that panic, after every sibling was dropped. Polling a gather panics if
/// this thread runs no runtime, or if the gather has given its result before.
///
/// # Cancellation
///
/// Dropping a gather drops its children at once, and the outputs that it kept.
///
/// ```
/// use gather::{gather, run, sleep};
/// use std::time::Duration;
///
/// let names = ["ann", "bob", "cay"];
/// let greetings = run(async {
///     gather(names.iter().map(async |name| {
///         sleep(Duration::from_millis(1)).await;
///         Ok::<_, std::io::Error>(format!("hello {name}"))
///     }))
///     .limit(2)
///     .await
/// });
/// assert_eq!(greetings.unwrap(), ["hello ann", "hello bob", "hello cay"]);
/// ```
pub fn gather<I>(futures: I) -> Gather<I::IntoIter, FailFast>
where
    I: IntoIterator,
    I::Item: Future,
{
    Gather {
        input: Some(futures.into_iter()),
        started: 0,
        children: Children::new(),
        kept: Kept(Ordered::new()),
        group: Group::new(),
        limit: usize::MAX,
        policy: FailFast,
        is_over: false,
    }
}

/// The future of [`gather()`].
#[must_use = "a gather does nothing unless it is awaited"]
pub struct Gather<I, P>
where
    I: Iterator,
    I::Item: Future,
{
    /// Where children come from; `None` when there are no more.
    input: Option<I>,
    /// How many children were taken from the input.
    started: usize,
    /// The children that have started and have not finished.
    children: Children<I::Item>,
    /// The outputs so far.
    kept: Kept<<I::Item as Future>::Output>,
    /// The runtime's side: who was woken.
    group: Group,
    /// How many children there may be.
    limit: usize,
    /// What is done with the outputs.
    policy: P,
    /// Whether the result was given.
    is_over: bool,
}

/// The children are pinned where they are, on the heap, and nothing else is ever pinned.
impl<I, P> Unpin for Gather<I, P>
where
    I: Iterator,
    I::Item: Future,
{
}

impl<I, P> Gather<I, P>
where
    I: Iterator,
    I::Item: Future,
{
    /// Lets at most `limit` children run at once. The next is taken from the input when one has finished, so the
    /// input may be endless, or expensive.
    ///
    /// # Panics
    ///
    /// If the limit is 0: such a gather could never end.
    #[track_caller]
    pub fn limit(mut self, limit: usize) -> Self {
        assert!(limit > 0, "gather: limit(0) would let no child run; the smallest limit is 1");
        self.limit = limit;
        self
    }

    /// Keeps every output, whatever it is: the gather is then a future of `Vec<O>`, with the outputs in input order.
    /// No error ends it. For children that give `Result`, see [`Outcomes`](crate::Outcomes).
    ///
    /// What ends the whole (a panic in a child, a drop of the gather, a cancellation of its task) is not captured.
    ///
    /// ```
    /// use gather::{Outcomes, gather, run};
    ///
    /// let numbers = run(gather(["1", "x", "3"].map(async |text| text.parse::<i32>())).capture());
    /// assert_eq!(numbers.success_count(), 2);
    /// assert_eq!(numbers.compound_error().unwrap().to_string(), "1 of 3 failed: #1: invalid digit found in string");
    /// ```
    pub fn capture(mut self) -> Gather<I, Capture> {
        Gather {
            input: self.input.take(),
            started: self.started,
            children: std::mem::replace(&mut self.children, Children::new()),
            kept: std::mem::replace(&mut self.kept, Kept(Ordered::new())),
            group: std::mem::take(&mut self.group),
            limit: self.limit,
            policy: Capture,
            is_over: self.is_over,
        }
    }

    /// Drops everything that there is, children first, and gives the first panic of a destructor.
    fn release(&mut self) -> Option<Box<dyn Any + Send>> {
        self.is_over = true;
        let children = self.children.clear();
        let input = catch_unwind(AssertUnwindSafe(|| self.input = None)).err();
        let kept = catch_unwind(AssertUnwindSafe(|| self.kept = Kept(Ordered::new()))).err();
        self.group.release();
        children.or(input).or(kept)
    }
}

impl<I, P> Future for Gather<I, P>
where
    I: Iterator,
    I::Item: Future,
    P: Policy<<I::Item as Future>::Output>,
{
    type Output = P::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<P::Output> {
        assert!(!self.is_over, "a gather was polled after it had given its result");
        let this = &mut *self;
        // Nothing of the gather is used after a panic, except to drop it.
        match catch_unwind(AssertUnwindSafe(|| this.advance(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => {
                // The result stands; a destructor that panics now has been reported by the panic hook.
                drop(this.release());
                Poll::Ready(output)
            }
            Err(panic) => {
                drop(this.release());
                resume_unwind(panic)
            }
        }
    }
}

impl<I, P> Gather<I, P>
where
    I: Iterator,
    I::Item: Future,
    P: Policy<<I::Item as Future>::Output>,
{
    #[inline]
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<P::Output> {
        if let Entry::New { first_generation } = self.group.enter(cx) {
            self.prepare(first_generation);
        }
        loop {
            let mut polled = 0;
            while polled < BURST && self.has_room() {
                let Some(future) = self.input.as_mut().and_then(Iterator::next) else {
                    self.input = None;
                    break;
                };
                polled += 1;
                if let ControlFlow::Break(output) = self.start(future) {
                    return Poll::Ready(output);
                }
                if !spend() {
                    self.group.leave(cx, true);
                    return Poll::Pending;
                }
            }
            if self.input.is_none() && self.children.len() == 0 {
                let kept = std::mem::replace(&mut self.kept, Kept(Ordered::new()));
                return Poll::Ready(self.policy.finish(kept));
            }
            for _ in 0..BURST {
                let Some(woken) = self.group.next() else {
                    if polled < BURST && !self.has_room() && self.children.len() > 0 {
                        self.group.leave(cx, false);
                        return Poll::Pending;
                    }
                    break;
                };
                if let ControlFlow::Break(output) = self.poll_woken(woken) {
                    return Poll::Ready(output);
                }
                if !spend() {
                    self.group.leave(cx, true);
                    return Poll::Pending;
                }
            }
        }
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

    #[inline]
    fn has_room(&self) -> bool {
        self.input.is_some() && self.children.len() < self.limit
    }

    /// Puts a child into a slot and polls it.
    #[inline]
    fn start(&mut self, future: I::Item) -> ControlFlow<P::Output> {
        if self.children.is_full() {
            self.children.add_chunk(self.limit);
            self.group.grow(self.children.capacity());
        }
        let slot = self.children.insert(self.started, future);
        self.started += 1;
        self.poll_child(slot)
    }

    /// Polls a child that was woken, unless it is gone.
    #[inline]
    fn poll_woken(&mut self, woken: Woken) -> ControlFlow<P::Output> {
        match self.children.get(woken.child) {
            Some(child) if child.future.is_some() && woken.is_for(child.generation) => {
                self.poll_child(woken.child)
            }
            _ => ControlFlow::Continue(()),
        }
    }

    #[inline]
    fn poll_child(&mut self, slot: u32) -> ControlFlow<P::Output> {
        let Some(mut child) = self.children.get(slot) else { return ControlFlow::Continue(()) };
        let Some(future) = child.future.as_mut().as_pin_mut() else { return ControlFlow::Continue(()) };
        let waker = self.group.waker(slot, child.generation);
        let index = child.index;
        match future.poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => ControlFlow::Continue(()),
            Poll::Ready(output) => {
                self.children.remove(slot);
                self.policy.judge(index, output, &mut self.kept)
            }
        }
    }
}

impl<I, P> Drop for Gather<I, P>
where
    I: Iterator,
    I::Item: Future,
{
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        if let Some(panic) = self.release() {
            // As with a `Vec`: every destructor has run, and then the panic goes on, unless one is going on already.
            if !std::thread::panicking() {
                resume_unwind(panic);
            }
        }
    }
}

impl<I, P: fmt::Debug> fmt::Debug for Gather<I, P>
where
    I: Iterator,
    I::Item: Future,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather")
            .field("mode", &self.policy)
            .field("started", &self.started)
            .field("running", &self.children.len())
            .finish_non_exhaustive()
    }
}
