//! What happens with each output: the modes of a gather.
//!
//! There is one engine ([`engine`](crate::engine)); a mode is a [`Policy`], which judges each output when it comes.
//!
//! Next: [`panics`](crate::panics).

use std::ops::ControlFlow;

use crate::ordered::Ordered;

/// The outputs that a gather keeps until it is done, by the index of their children.
#[derive(Debug)]
pub struct Kept<T>(pub(crate) Ordered<T>);

impl<T> Kept<T> {
    /// Keeps an output.
    ///
    /// # Panics
    ///
    /// If an output with this index was kept before (not always: a later one may replace an earlier one).
    #[inline(always)]
    pub fn keep(&mut self, index: usize, output: T) {
        self.0.insert(index, output);
    }

    /// The outputs in input order.
    ///
    /// # Panics
    ///
    /// If the output of a child is missing before one that was kept.
    pub fn into_vec(self) -> Vec<T> {
        self.0.into_vec()
    }
}

/// A mode of a gather: what it does with each output (of type `O`), and what it gives in the end.
#[diagnostic::on_unimplemented(
    message = "this gather's mode `{Self}` does not fit children that give `{O}`",
    note = "a plain `gather(..)` stops at the first `Err`, so its children must give `Result`",
    note = "children that give anything else: `gather(..).capture()` keeps every output"
)]
pub trait Policy<O> {
    /// What the gather gives.
    type Output;

    /// A child gave its output. Keep it and go on; or end the gather, and every other child is dropped before the
    /// caller sees the result.
    fn judge(&mut self, index: usize, output: O, kept: &mut Kept<O>) -> ControlFlow<Self::Output>;

    /// Every child has given its output.
    fn finish(&mut self, kept: Kept<O>) -> Self::Output;
}

/// The mode of a plain [`gather`](crate::gather()): the first error ends it.
#[derive(Clone, Copy, Debug, Default)]
pub struct FailFast;

impl<T, E> Policy<Result<T, E>> for FailFast {
    type Output = Result<Vec<T>, E>;

    #[inline(always)] // a call costs a quarter of a ready child
    fn judge(
        &mut self,
        index: usize,
        output: Result<T, E>,
        kept: &mut Kept<Result<T, E>>,
    ) -> ControlFlow<Self::Output> {
        if let Err(error) = output {
            return ControlFlow::Break(Err(error));
        }
        kept.keep(index, output);
        ControlFlow::Continue(())
    }

    fn finish(&mut self, kept: Kept<Result<T, E>>) -> Self::Output {
        // Only successes were kept. The standard library does this in place, in the memory of the results.
        Ok(kept.into_vec().into_iter().filter_map(Result::ok).collect())
    }
}

/// The mode of [`capture`](crate::Gather::capture): every child runs to its end, and every output is kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Capture;

impl<O> Policy<O> for Capture {
    type Output = Vec<O>;

    #[inline(always)]
    fn judge(&mut self, index: usize, output: O, kept: &mut Kept<O>) -> ControlFlow<Self::Output> {
        kept.keep(index, output);
        ControlFlow::Continue(())
    }

    fn finish(&mut self, kept: Kept<O>) -> Self::Output {
        kept.into_vec()
    }
}
