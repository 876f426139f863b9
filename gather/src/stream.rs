//! [`stream`](crate::Gather::stream): each output when it comes.
//!
//! A policy that gives every output away at once, and goes on. Between two polls of the stream no
//! child is polled: a loop whose body waits keeps the children waiting.
//! [`for_each`](crate::Gather::for_each) does not.
//!
//! Next: [`for_each`](crate::for_each), which runs the body beside the children.

use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};

use crate::engine::Siblings;
use crate::gather::Gather;
use crate::policy::{FailFast, Kept, Policy};

impl<I, F, O> Gather<Siblings<I, F, O>, FailFast> {
    /// Gives each output when it comes, with its index: a [`Stream`](futures_core::Stream), in the
    /// order of completion. It ends when every child has finished. Children may give anything; an
    /// `Err` is an output like any other.
    ///
    /// With a [`limit`](Gather::limit), at most so many children exist, running or finished; what
    /// the stream has given no longer counts. So the input may be endless, and is asked only for
    /// what is wanted. After some outputs in a row that were ready, the stream makes a pause for
    /// other tasks.
    ///
    /// Children are polled only when the stream is: while the body of a loop over it waits, they
    /// stand still. If that is not wanted, use [`for_each`](Gather::for_each).
    ///
    /// # Panics
    ///
    /// A panic in a child comes out of the poll of the stream, after every sibling was dropped;
    /// then the stream is over. Polling it panics if this thread runs no runtime.
    ///
    /// # Cancellation
    ///
    /// Dropping the stream drops its children at once. Dropping a [`next`](GatherStream::next)
    /// loses nothing.
    ///
    /// ```
    /// use gather::{gather, run, sleep};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let hares = [20, 1].map(|milliseconds| sleep(Duration::from_millis(milliseconds)));
    ///     let mut order = vec![];
    ///     let mut stream = gather(hares).stream();
    ///     while let Some((index, ())) = stream.next().await {
    ///         order.push(index);
    ///     }
    ///     assert_eq!(order, [1, 0]);
    /// });
    /// ```
    pub fn stream(self) -> GatherStream<Siblings<I, F, O>> {
        let mut siblings = self.siblings;
        siblings.keep_none("stream");
        GatherStream { siblings }
    }
}

/// The outputs of a gather in the order in which they come, each with its index: see
/// [`Gather::stream`](crate::Gather::stream).
#[must_use = "a stream does nothing unless it is polled"]
pub struct GatherStream<S> {
    siblings: S,
}

/// The children are pinned where they are, on the heap, and nothing else is ever pinned.
impl<S> Unpin for GatherStream<S> {}

impl<I, F> GatherStream<Siblings<I, F, F::Output>>
where
    I: Iterator<Item = F>,
    F: Future,
{
    /// Waits for the next output; `None` when there are no more. It is `StreamExt::next` of other
    /// crates, so that none is needed. If it is dropped before it is done, nothing is lost.
    ///
    /// # Panics
    ///
    /// As the [stream](crate::Gather::stream).
    pub async fn next(&mut self) -> Option<(usize, F::Output)> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<I, F> Stream for GatherStream<Siblings<I, F, F::Output>>
where
    I: Iterator<Item = F>,
    F: Future,
{
    type Item = (usize, F::Output);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let siblings = &mut self.siblings;
        if siblings.is_over {
            return Poll::Ready(None);
        }
        let next = ready!(siblings.poll(&mut Each, cx));
        if next.is_none() {
            siblings.end();
        }
        Poll::Ready(next)
    }

    /// What the input says of how many there will be, and those that run.
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.siblings.size_hint()
    }
}

impl<I, F> FusedStream for GatherStream<Siblings<I, F, F::Output>>
where
    I: Iterator<Item = F>,
    F: Future,
{
    /// Whether it has given `None`, or a panic.
    fn is_terminated(&self) -> bool {
        self.siblings.is_over
    }
}

impl<I, F, O> fmt::Debug for GatherStream<Siblings<I, F, O>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (started, running) = self.siblings.counts();
        let mut f = f.debug_struct("GatherStream");
        f.field("started", &started).field("running", &running).finish_non_exhaustive()
    }
}

/// The mode of a stream: each output is given away when it comes, and nothing in the end.
struct Each;

impl<O> Policy<O> for Each {
    type Output = Option<(usize, O)>;

    fn judge(&mut self, index: usize, output: O, _: &mut Kept<O>) -> ControlFlow<Self::Output> {
        ControlFlow::Break(Some((index, output)))
    }

    fn finish(&mut self, _: Kept<O>) -> Self::Output {
        None
    }
}
