//! The box of a task: first it holds the future, then what the future gave. One allocation for
//! both.
//!
//! The table does not know the types, so the box is behind a trait. The handle knows the type of
//! the output and asks for it with a place to put it, an `Option` behind `dyn Any`: a check of a
//! type id, and no unsafe code.
//!
//! Next: [`run`](super::run), how a task is polled.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::error::TaskError;
use crate::budget::without_budget;
use crate::contain::contain;
use crate::trace::Span;

/// A task whose types are forgotten.
pub(super) type AnyTask = Pin<Box<dyn Erased>>;

/// What the table asks of a task.
pub(super) trait Erased {
    /// Polls the future. A panic in it, or in its destructor when it is done, becomes the output.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;

    /// Moves the output into `place`, an `Option<Result<T, TaskError>>`, if there is one and the
    /// type is right. (It ends with the box, whose size it knows: that is a call less than to drop
    /// it after.)
    fn into_output(self: Pin<Box<Self>>, place: &mut dyn Any);

    /// The span of a future that has not ended.
    #[cfg(feature = "tracing")]
    fn span(&self) -> Option<&Span>;
}

pin_project! {
    #[project = CellProjection]
    pub(super) enum Cell<F: Future> {
        Future { #[pin] future: F, span: Span },
        Output { output: Option<Result<F::Output, TaskError>> },
    }
}

impl<F: Future + 'static> Cell<F> {
    pub(super) fn boxed(future: F, span: Span) -> AnyTask {
        Box::pin(Cell::Future { future, span })
    }
}

impl<F: Future + 'static> Erased for Cell<F> {
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // The future is not used again after a panic, so nobody sees it in a broken state.
        let result = catch_unwind(AssertUnwindSafe(|| {
            let CellProjection::Future { future, span } = self.as_mut().project() else {
                return Poll::Ready(());
            };
            let output = match span.enter(|| future.poll(cx)) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(output) => output,
            };
            without_budget(|| self.set(Cell::Output { output: Some(Ok(output)) }));
            Poll::Ready(())
        }));
        result.unwrap_or_else(|payload| {
            let failed = Cell::Output { output: Some(Err(TaskError::panic(payload))) };
            // The future's destructor may panic too; the first panic is the one that counts.
            contain(|| without_budget(|| self.set(failed)));
            Poll::Ready(())
        })
    }

    fn into_output(mut self: Pin<Box<Self>>, place: &mut dyn Any) {
        let Some(place) = place.downcast_mut() else { return };
        if let CellProjection::Output { output } = self.as_mut().project() {
            *place = output.take();
        }
    }

    #[cfg(feature = "tracing")]
    fn span(&self) -> Option<&Span> {
        match self {
            Cell::Future { span, .. } => Some(span),
            Cell::Output { .. } => None,
        }
    }
}

/// In place of the box of a task that was cancelled, for its handle. It has no size, so the box is
/// no allocation.
pub(super) struct NoOutput;

impl NoOutput {
    #[cold]
    pub(super) fn boxed() -> AnyTask {
        Box::pin(NoOutput)
    }
}

impl Erased for NoOutput {
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn into_output(self: Pin<Box<Self>>, _: &mut dyn Any) {}

    #[cfg(feature = "tracing")]
    fn span(&self) -> Option<&Span> {
        None
    }
}
