//! The call: [`gather()`], what can be set, and the future.
//!
//! Next: [`modes`](crate::modes), what else can end it.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::engine::{Siblings, SiblingsOf};
use crate::modes::{Detailed, FirstOk, FirstOkN, Race, Within};
use crate::policy::{Capture, FailFast, Policy};

/// Runs futures side by side and gives their outputs in input order; the first error ends it and
/// cancels the rest.
///
/// The futures are taken from the input only when they can start. They need not be `'static` and
/// may borrow. None is boxed or spawned: the gather owns them and polls those that were woken, and
/// dropping the gather drops them.
///
/// The futures come from anything that can be iterated over, and are of one type; for futures of
/// several types there is [`gather!`](crate::gather!).
///
/// * By default the children give `Result`, and the gather is a future of `Result<Vec<T>, E>`: at
///   the first `Err` every sibling is dropped, and then the error is given.
/// * With [`capture`](Gather::capture) the children may give anything, and the gather is a future
///   of all outputs.
/// * With [`limit`](Gather::limit) at most that many run at once.
///
/// # Panics
///
/// A panic in a child ends the gather with that panic, after every sibling was dropped. Polling a
/// gather panics if this thread runs no runtime, or if the gather has given its result before.
///
/// # Cancellation
///
/// Dropping a gather drops its children at once, and the outputs that it kept. A destructor that
/// panics keeps no other from running; the first panic goes on when all have run. (Futures that
/// have not started are still in the input, and dropped by it.)
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
#[track_caller]
pub fn gather<I>(futures: I) -> Gather<SiblingsOf<I>, FailFast>
where
    I: IntoIterator,
    I::Item: Future,
{
    let siblings = Siblings::new(futures.into_iter().fuse(), "gather");
    Gather { siblings, policy: FailFast }
}

/// The future of [`gather()`]: its children, and the mode, which says what is done with their
/// outputs.
#[must_use = "a gather does nothing unless it is awaited"]
pub struct Gather<S, P> {
    pub(crate) siblings: S,
    policy: P,
}

/// The children are pinned where they are, on the heap, and nothing else is ever pinned.
impl<I, F, O, P> Unpin for Gather<Siblings<I, F, O>, P> {}

impl<I, F, O, P> Gather<Siblings<I, F, O>, P> {
    /// Lets at most `limit` children run at once. The next is taken from the input when one has
    /// finished, so the input may be endless, or expensive.
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

    /// Names the gather in a dump.
    pub fn named(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.siblings.group.set_name(name.into());
        self
    }

    fn with<Q>(self, policy: Q) -> Gather<Siblings<I, F, O>, Q> {
        Gather { siblings: self.siblings, policy }
    }
}

// `stream` and `for_each` are in files of their own: what they give is not one result.
/// The modes. Each is a small [`Policy`]; a plain gather is [`FailFast`].
impl<I, F, O> Gather<Siblings<I, F, O>, FailFast> {
    /// Keeps every output, whatever it is: the gather is then a future of `Vec<O>`, with the
    /// outputs in input order. No error ends it. For children that give `Result`, see
    /// [`Outcomes`](crate::Outcomes).
    ///
    /// What ends the whole (a panic in a child, a drop of the gather, a cancellation of its task)
    /// is not captured.
    ///
    /// ```
    /// use gather::{Outcomes, gather, run};
    ///
    /// let numbers = run(gather(["1", "x", "3"].map(async |text| text.parse::<i32>())).capture());
    /// assert_eq!(numbers.success_count(), 2);
    /// assert_eq!(numbers.compound_error().unwrap().to_string(), "1 of 3 failed: #1: invalid digit found in string");
    /// ```
    pub fn capture(self) -> Gather<Siblings<I, F, O>, Capture> {
        self.with(Capture)
    }

    /// Ends at the first error as a plain gather does, and gives with it which child failed and
    /// what those gave that had finished: the gather is then a future of
    /// `Result<Vec<T>, Failure<T, E>>`.
    ///
    /// ```
    /// use gather::{gather, run};
    ///
    /// let failure = run(gather(["1", "x", "3"].map(async |text| text.parse::<i32>())).detailed()).unwrap_err();
    /// assert_eq!((failure.index, failure.finished), (1, vec![Some(1), None, None]));
    /// ```
    pub fn detailed(self) -> Gather<Siblings<I, F, O>, Detailed> {
        self.with(Detailed)
    }

    /// Ends at the first success: the gather is then a future of
    /// `Result<(usize, T), GatherError<E>>`, with the index of the child that succeeded; or, if
    /// none does, with every error. Without children it gives an error with no failures.
    ///
    /// ```
    /// use gather::{gather, run};
    ///
    /// let mirrors = ["x", "2", "3"].map(async |text| text.parse::<i32>());
    /// assert_eq!(run(gather(mirrors).first_ok()), Ok((1, 2)));
    /// let error = run(gather(["x", ""].map(async |text| text.parse::<i32>())).first_ok()).unwrap_err();
    /// assert_eq!(error.failures().len(), 2);
    /// ```
    pub fn first_ok<T, E>(self) -> Gather<Siblings<I, F, O>, FirstOk<E>>
    where
        O: IsResult<T, E>,
    {
        self.with(FirstOk::new())
    }

    /// A quorum: ends when `needed` children have succeeded, with their indices and values in the
    /// order in which they came; or as soon as so many no longer can, with every error so far.
    /// (With a limit, that is known when the input has ended.) The gather is then a future of
    /// `Result<Vec<(usize, T)>, GatherError<E>>`. If 0 are needed it starts no child.
    ///
    /// ```
    /// use gather::{gather, run};
    ///
    /// let replicas = || ["1", "x", "3", "4"].map(async |text| text.parse::<i32>());
    /// assert_eq!(run(gather(replicas()).first_ok_n(2)), Ok(vec![(0, 1), (2, 3)]));
    /// assert_eq!(run(gather(replicas()).first_ok_n(4)).unwrap_err().to_string(),
    ///     "1 of 4 failed: #1: invalid digit found in string");
    /// ```
    pub fn first_ok_n<T, E>(mut self, needed: usize) -> Gather<Siblings<I, F, O>, FirstOkN<T, E>>
    where
        O: IsResult<T, E>,
    {
        if needed == 0 {
            self.siblings.start_none();
        }
        self.with(FirstOkN::new(needed))
    }

    /// Ends when the first child has finished, whatever it gives: the gather is then a future of
    /// `(usize, O)`, with the index of that child. Of several that are ready, the first in poll
    /// order wins.
    ///
    /// # Panics
    ///
    /// When it is polled and there are no children: there is no winner.
    ///
    /// ```
    /// use gather::{gather, run, sleep};
    /// use std::time::Duration;
    ///
    /// let hares = [20, 1, 20].map(|milliseconds| sleep(Duration::from_millis(milliseconds)));
    /// assert_eq!(run(gather(hares).race()), (1, ()));
    /// ```
    pub fn race(self) -> Gather<Siblings<I, F, O>, Race> {
        self.with(Race)
    }

    /// Runs the gather with a mode of your own: see [`Policy`].
    pub fn policy<P>(self, policy: P) -> Gather<Siblings<I, F, O>, P> {
        self.with(policy)
    }
}

impl<I, F, O> Gather<Siblings<I, F, O>, Capture> {
    /// Ends a capture after `duration`, counted from its first poll: the gather is then a future
    /// of `Vec<Option<O>>`, with `None` for what did not finish in time, and was dropped. What
    /// finishes at the very end still counts: when the time is over, children that have been woken
    /// are polled once more, and no more are started.
    ///
    /// There is a place for each child if the input knows their number exactly (a `Vec`, a range,
    /// a map of one), and else for each that was started.
    ///
    /// ```
    /// use gather::{gather, run, sleep};
    /// use std::time::Duration;
    ///
    /// let in_time = run(async {
    ///     gather([1, 60_000].map(async |milliseconds| {
    ///         sleep(Duration::from_millis(milliseconds)).await;
    ///         milliseconds
    ///     }))
    ///     .capture()
    ///     .within(Duration::from_millis(50))
    ///     .await
    /// });
    /// assert_eq!(in_time, [Some(1), None]);
    /// ```
    pub fn within(self, duration: Duration) -> Gather<Siblings<I, F, O>, Within> {
        self.with(Within::new(duration))
    }
}

/// An output that is a `Result`: what [`first_ok`](Gather::first_ok) asks of a child's.
pub trait IsResult<T, E> {}

impl<T, E> IsResult<T, E> for Result<T, E> {}

impl<I, P> Future for Gather<Siblings<I, I::Item, <I::Item as Future>::Output>, P>
where
    I: Iterator,
    I::Item: Future,
    P: Policy<<I::Item as Future>::Output>,
{
    type Output = P::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<P::Output> {
        let Gather { siblings, policy } = &mut *self;
        assert!(!siblings.is_over, "a gather was polled after it had given its result");
        let output = ready!(siblings.poll(policy, cx));
        siblings.end();
        Poll::Ready(output)
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
