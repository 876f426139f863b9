//! [`race`](crate::Gather::race): the first to finish, whatever it gives.
//!
//! Next: [`stream`](crate::stream), for outputs as they come.

use std::ops::ControlFlow;

use crate::policy::{Kept, Policy};

/// The mode of [`race`](crate::Gather::race): the first output ends it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Race;

impl<O> Policy<O> for Race {
    type Output = (usize, O);

    fn judge(&mut self, index: usize, output: O, _: &mut Kept<O>) -> ControlFlow<Self::Output> {
        ControlFlow::Break((index, output))
    }

    fn finish(&mut self, _: Kept<O>) -> Self::Output {
        panic!("gather: a race without children has no winner");
    }
}
