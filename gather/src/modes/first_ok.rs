//! [`first_ok`](crate::Gather::first_ok) and [`first_ok_n`](crate::Gather::first_ok_n): as many
//! successes as are needed.
//!
//! Next: [`race`](super::race).

use std::ops::ControlFlow;
use std::task::{Context, Poll};

use crate::outcomes::GatherError;
use crate::panics::DropAll;
use crate::policy::{Kept, Policy};

/// The mode of [`first_ok`](crate::Gather::first_ok): the first success ends it.
#[derive(Debug)]
pub struct FirstOk<E> {
    failures: DropAll<Vec<(usize, E)>>,
}

/// The mode of [`first_ok_n`](crate::Gather::first_ok_n): so many successes end it.
#[derive(Debug)]
pub struct FirstOkN<T, E> {
    needed: usize,
    successes: DropAll<Vec<(usize, T)>>,
    failures: DropAll<Vec<(usize, E)>>,
}

impl<E> FirstOk<E> {
    pub(crate) const fn new() -> Self {
        FirstOk { failures: DropAll(Vec::new()) }
    }
}

impl<T, E> FirstOkN<T, E> {
    pub(crate) fn new(needed: usize) -> Self {
        FirstOkN { needed, successes: DropAll(Vec::new()), failures: DropAll(Vec::new()) }
    }

    /// Whether there can still be enough. As long as the input may have more children, there can.
    fn can_succeed<O>(&self, kept: &Kept<O>) -> bool {
        !kept.all_started() || kept.started() - self.failures.0.len() >= self.needed
    }
}

impl<T, E> Policy<Result<T, E>> for FirstOkN<T, E> {
    type Output = Result<Vec<(usize, T)>, GatherError<E>>;

    fn judge(
        &mut self,
        index: usize,
        output: Result<T, E>,
        kept: &mut Kept<Result<T, E>>,
    ) -> ControlFlow<Self::Output> {
        match output {
            Ok(value) => self.successes.0.push((index, value)),
            Err(error) => self.failures.0.push((index, error)),
        }
        if self.successes.0.len() >= self.needed || !self.can_succeed(kept) {
            return ControlFlow::Break(self.finish(kept.take()));
        }
        ControlFlow::Continue(())
    }

    fn finish(&mut self, kept: Kept<Result<T, E>>) -> Self::Output {
        if self.successes.0.len() >= self.needed {
            return Ok(std::mem::take(&mut self.successes.0));
        }
        Err(GatherError::new(std::mem::take(&mut self.failures.0), kept.started()))
    }

    fn poll_stop(&mut self, kept: &Kept<Result<T, E>>, _: &mut Context<'_>) -> Poll<()> {
        // The input may just have ended.
        if self.can_succeed(kept) { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl<T, E> Policy<Result<T, E>> for FirstOk<E> {
    type Output = Result<(usize, T), GatherError<E>>;

    fn judge(
        &mut self,
        index: usize,
        output: Result<T, E>,
        _: &mut Kept<Result<T, E>>,
    ) -> ControlFlow<Self::Output> {
        match output {
            Ok(value) => ControlFlow::Break(Ok((index, value))),
            Err(error) => {
                self.failures.0.push((index, error));
                ControlFlow::Continue(())
            }
        }
    }

    fn finish(&mut self, kept: Kept<Result<T, E>>) -> Self::Output {
        Err(GatherError::new(std::mem::take(&mut self.failures.0), kept.started()))
    }
}
