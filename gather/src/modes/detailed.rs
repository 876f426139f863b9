//! [`detailed`](crate::Gather::detailed): an error, and what had been done when it came.
//!
//! Next: [`first_ok`](super::first_ok).

use std::error::Error;
use std::fmt;
use std::ops::ControlFlow;

use crate::policy::{FailFast, Kept, Policy};

/// The mode of [`detailed`](crate::Gather::detailed): the first error ends it, and is given with
/// what the others gave.
#[derive(Clone, Copy, Debug, Default)]
pub struct Detailed;

impl<T, E> Policy<Result<T, E>> for Detailed {
    type Output = Result<Vec<T>, Failure<T, E>>;

    fn judge(
        &mut self,
        index: usize,
        output: Result<T, E>,
        kept: &mut Kept<Result<T, E>>,
    ) -> ControlFlow<Self::Output> {
        match output {
            Ok(_) => {
                kept.keep(index, output);
                ControlFlow::Continue(())
            }
            Err(error) => {
                let finished = kept.take().into_options();
                let finished = finished.into_iter().map(|output| output.and_then(Result::ok)).collect();
                ControlFlow::Break(Err(Failure { index, error, finished }))
            }
        }
    }

    fn finish(&mut self, kept: Kept<Result<T, E>>) -> Self::Output {
        FailFast.finish(kept).map_err(|_: E| unreachable!("errors are not kept"))
    }
}

/// The first error of a [`detailed`](crate::Gather::detailed) gather, with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure<T, E> {
    /// The index of the child that failed.
    pub index: usize,
    /// Its error.
    pub error: E,
    /// What the children gave that had finished by then, by their indices; `None` for all others.
    /// There is a place for each child if the input knows their number exactly, and else for each
    /// that was started.
    pub finished: Vec<Option<T>>,
}

impl<T, E: fmt::Display> fmt::Display for Failure<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let finished = self.finished.iter().flatten().count();
        let (index, error) = (self.index, &self.error);
        write!(f, "#{index} failed: {error} ({finished} of {} had finished)", self.finished.len())
    }
}

impl<T: fmt::Debug, E: Error + 'static> Error for Failure<T, E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}
