//! [`within`](crate::Gather::within): what is done when the time is over.
//!
//! Next: [`detailed`](super::detailed).

use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use gather_runtime::{Sleep, sleep};

use crate::policy::{Kept, Policy};

/// The mode of [`within`](crate::Gather::within): every output that comes in time is kept.
#[derive(Debug)]
pub struct Within {
    duration: Duration,
    /// Set at the first poll, if that is not also the last.
    sleep: Option<Sleep>,
}

impl Within {
    pub(crate) fn new(duration: Duration) -> Within {
        Within { duration, sleep: None }
    }
}

impl<O> Policy<O> for Within {
    type Output = Vec<Option<O>>;

    fn judge(&mut self, index: usize, output: O, kept: &mut Kept<O>) -> ControlFlow<Self::Output> {
        kept.keep(index, output);
        ControlFlow::Continue(())
    }

    fn finish(&mut self, kept: Kept<O>) -> Self::Output {
        kept.into_options()
    }

    fn poll_stop(&mut self, _: &Kept<O>, cx: &mut Context<'_>) -> Poll<()> {
        let duration = self.duration;
        Pin::new(self.sleep.get_or_insert_with(|| sleep(duration))).poll(cx)
    }
}
