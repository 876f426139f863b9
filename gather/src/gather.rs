//! The call: [`gather()`], what can be set, and the future.
//!
//! Next: [`outcomes`](crate::outcomes), for what a capture gives.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::engine::Siblings;
use crate::policy::{Capture, FailFast, Policy};

/// Runs futures side by side and gives their outputs in input order; the first error ends it and cancels the rest.
///
/// The futures are taken from the input only when they can start. They need not be `'static` and may borrow. None
/// is boxed or spawned: the gather owns them and polls those that were woken, and dropping the gather drops them.
///
/// The futures come from anything that can be iterated over, and are of one type; for futures of several types there is
/// [`gather!`](crate::gather!).
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
/// Dropping a gather drops its children at once, and the outputs that it kept. A destructor that panics keeps no other
/// from running; the first panic goes on when all have run. (Futures that have not started are still in the input, and
/// dropped by it.)
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
pub fn gather<I>(futures: I) -> Gather<SiblingsOf<I>, FailFast>
where
    I: IntoIterator,
    I::Item: Future,
{
    let siblings = Siblings::new(futures.into_iter());
    Gather { siblings, policy: FailFast }
}

/// The future of [`gather()`]: its children, and the mode, which says what is done with their outputs.
#[must_use = "a gather does nothing unless it is awaited"]
pub struct Gather<S, P> {
    siblings: S,
    policy: P,
}

/// The [`Siblings`] of a gather whose input is an `I`.
pub type SiblingsOf<I> = Siblings<
    <I as IntoIterator>::IntoIter,
    <I as IntoIterator>::Item,
    <<I as IntoIterator>::Item as Future>::Output,
>;

/// The children are pinned where they are, on the heap, and nothing else is ever pinned.
impl<I, F, O, P> Unpin for Gather<Siblings<I, F, O>, P> {}

impl<I, F, O, P> Gather<Siblings<I, F, O>, P> {
    /// Lets at most `limit` children run at once. The next is taken from the input when one has finished, so the
    /// input may be endless, or expensive.
    ///
    /// # Panics
    ///
    /// If the limit is 0: such a gather could never end.
    #[track_caller]
    pub fn limit(mut self, limit: usize) -> Self {
        assert!(limit > 0, "gather: limit(0) would let no child run; the smallest limit is 1");
        self.siblings.set_limit(limit);
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
    pub fn capture(self) -> Gather<Siblings<I, F, O>, Capture> {
        Gather { siblings: self.siblings, policy: Capture }
    }
}

impl<I, P> Future for Gather<Siblings<I, I::Item, <I::Item as Future>::Output>, P>
where
    I: Iterator,
    I::Item: Future,
    P: Policy<<I::Item as Future>::Output>,
{
    type Output = P::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<P::Output> {
        let Gather { siblings, policy } = &mut *self;
        assert!(!siblings.is_over(), "a gather was polled after it had given its result");
        // Nothing of the gather is used after a panic, except to drop it.
        match catch_unwind(AssertUnwindSafe(|| siblings.advance(policy, cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => {
                // The result stands; a destructor that panics now has been reported by the panic hook.
                siblings.release().forget();
                Poll::Ready(output)
            }
            Err(panic) => {
                siblings.release().forget();
                resume_unwind(panic)
            }
        }
    }
}

impl<I, F, O, P: fmt::Debug> fmt::Debug for Gather<Siblings<I, F, O>, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (started, running) = self.siblings.counts();
        f.debug_struct("Gather")
            .field("mode", &self.policy)
            .field("started", &started)
            .field("running", &running)
            .finish_non_exhaustive()
    }
}
