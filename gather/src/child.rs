//! One poll of one child: with a waker of its own, and when it is ready, its end.
//!
//! The runtime has no row for a child until it has waited once: most of those that are ready at their first poll never
//! come to its notice.
//!
//! Next: [`engine`](crate::engine).

use std::future::Future;
use std::ops::ControlFlow;
use std::task::Poll;

use gather_runtime::group::Polling;

use crate::children::Found;
use crate::panics::Guarded;
use crate::policy::{Kept, Policy};

/// Polls the child in a slot, if there is one. When it is ready it is dropped, and its output judged.
#[inline(always)] // it has one caller for each of the two; a call is a third of a wake and a poll
pub(crate) fn poll_child<F: Future, P: Policy<F::Output>, const IS_FIRST: bool>(
    mut child: Found<'_, F>,
    generation: u8,
    polling: &Polling<'_>,
    policy: &mut P,
    kept: &mut Kept<F::Output>,
) -> ControlFlow<P::Output> {
    let number = child.number;
    let poll = child
        .future()
        .map(|(future, span)| span.enter(|| polling.with_context(number, generation, |cx| future.poll(cx))));
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
