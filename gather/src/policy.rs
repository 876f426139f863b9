//! What happens with each output: the modes of a gather.
//!
//! There is one engine ([`engine`](crate::engine)); a mode is a [`Policy`], which judges each
//! output when it comes. The two that everybody uses are here, the others in
//! [`modes`](crate::modes).
//!
//! Next: [`engine`](crate::engine).

use std::ops::ControlFlow;
use std::task::{Context, Poll};

use gather_runtime::group::MAX_CHILDREN;

use crate::panics::DropAll;

/// The outputs that a gather keeps until it is done, by the index of their children; and how many
/// children there are.
#[derive(Debug)]
pub struct Kept<O> {
    /// By index. It ends with the last one that was kept.
    outputs: DropAll<Vec<Option<O>>>,
    /// How many children were started.
    started: usize,
    /// How many there will be, if the input says so exactly.
    expected: usize,
    all_started: bool,
    /// Whether memory is not reserved for what the input says.
    expects_none: bool,
}

impl<O> Kept<O> {
    pub(crate) const fn new() -> Kept<O> {
        Kept {
            outputs: DropAll(Vec::new()),
            started: 0,
            expected: 0,
            all_started: false,
            expects_none: false,
        }
    }

    /// Keeps an output.
    ///
    /// # Panics
    ///
    /// If an output with this index was kept before.
    pub fn keep(&mut self, index: usize, output: O) {
        let outputs = &mut self.outputs.0;
        if index < outputs.len() {
            assert!(outputs[index].is_none(), "the output of child {index} was kept before");
            outputs[index] = Some(output);
        } else {
            if index > outputs.len() {
                outputs.resize_with(index, || None);
            }
            outputs.push(Some(output));
        }
    }

    /// An output that was kept.
    pub(crate) fn get(&self, index: usize) -> Option<&O> {
        self.outputs.0.get(index)?.as_ref()
    }

    /// How many children have been started so far.
    pub fn started(&self) -> usize {
        self.started
    }

    /// Whether all children have been started. `false` until the gather has asked its input for
    /// one child too many.
    pub fn all_started(&self) -> bool {
        self.all_started
    }

    /// Takes all that was kept.
    pub fn take(&mut self) -> Kept<O> {
        let outputs = DropAll(self.outputs.take());
        Kept { outputs, ..*self }
    }

    /// The outputs in input order.
    ///
    /// # Panics
    ///
    /// If the output of a child is missing before one that was kept.
    pub fn into_vec(mut self) -> Vec<O> {
        // The standard library does this in place, in the memory of the options.
        let outputs = self.outputs.take().into_iter();
        outputs.map(|output| output.expect("the output of a child is missing")).collect()
    }

    /// The outputs in input order, with `None` for each child that has given none, or whose output
    /// was not kept: as many as there are children, if the input knows their number exactly (and
    /// it is at most [`MAX_CHILDREN`]), and else as many as were started.
    pub fn into_options(mut self) -> Vec<Option<O>> {
        let mut outputs = self.outputs.take();
        let has_room = outputs.try_reserve_exact(self.expected.saturating_sub(outputs.len())).is_ok();
        let count = if has_room { self.expected.max(self.started) } else { self.started };
        outputs.resize_with(count.max(outputs.len()), || None);
        outputs
    }

    /// Counts a child, and returns its index.
    pub(crate) fn start(&mut self) -> usize {
        self.started += 1;
        self.started - 1
    }

    pub(crate) fn note_all_started(&mut self) {
        self.all_started = true;
    }

    /// What the input says of how many children there will be. Only a hint: one that is wrong
    /// changes no result, and one for which there is no memory is not followed.
    pub(crate) fn expect(&mut self, (least, most): (usize, Option<usize>)) {
        if !self.expects_none {
            let _ = self.outputs.0.try_reserve_exact(least);
        }
        self.expected = if most == Some(least) && least <= MAX_CHILDREN as usize { least } else { 0 };
    }

    /// No output will be kept.
    pub(crate) fn expect_none(&mut self) {
        self.expects_none = true;
    }
}

/// A mode of a gather: what it does with each output (of type `O`), and what it gives in the end.
///
/// [`Gather::policy`](crate::Gather::policy) runs a gather with a policy of your own. The engine
/// does the rest: order of polls, limit, cancellation, panics. It calls a policy in its own poll,
/// one call at a time:
///
/// 1. [`judge`](Policy::judge) for each output, when it comes; its child is gone by then. `Break`
///    ends the gather: the other children are dropped, then what was kept, then the caller sees
///    the result.
/// 2. [`poll_stop`](Policy::poll_stop) at the beginning and at the end of a poll, if you write
///    one: it can end the gather although no output has come.
/// 3. [`finish`](Policy::finish), once, if no `Break` came before: every child has given its
///    output, or `poll_stop` said that it is enough.
///
/// If one of them panics, the gather ends as if a child had.
///
/// ```
/// use gather::{Kept, Policy, gather, run};
/// use std::ops::ControlFlow;
///
/// /// Stops when the values seen sum to at least `goal`, and gives the sum.
/// struct SumTo { goal: u64, sum: u64 }
///
/// impl Policy<u64> for SumTo {
///     type Output = Result<u64, u64>;
///
///     fn judge(&mut self, _index: usize, value: u64, _kept: &mut Kept<u64>) -> ControlFlow<Self::Output> {
///         self.sum += value;
///         if self.sum >= self.goal { ControlFlow::Break(Ok(self.sum)) } else { ControlFlow::Continue(()) }
///     }
///
///     fn finish(&mut self, _kept: Kept<u64>) -> Self::Output {
///         Err(self.sum) // all have been seen, and it is not enough
///     }
/// }
///
/// let endless = (1..).map(async |number| number);
/// let sum = run(gather(endless).limit(8).policy(SumTo { goal: 100, sum: 0 }));
/// assert_eq!(sum, Ok(105)); // 1 + 2 + … + 14
/// ```
#[diagnostic::on_unimplemented(
    message = "this gather's mode `{Self}` does not fit children that give `{O}`",
    note = "a plain `gather(..)` stops at the first `Err`, so its children must give `Result`",
    note = "children that give anything else: `gather(..).capture()` keeps every output"
)]
pub trait Policy<O> {
    /// What the gather gives.
    type Output;

    /// A child gave its output. Keep it and go on; or end the gather, and every other child is
    /// dropped before the caller sees the result.
    fn judge(&mut self, index: usize, output: O, kept: &mut Kept<O>) -> ControlFlow<Self::Output>;

    /// There are no more outputs to come.
    fn finish(&mut self, kept: Kept<O>) -> Self::Output;

    /// Whether to end the gather with what there is. It is asked when a poll of the gather begins
    /// (but for the first), when every child waits, and between two turns of a gather that has
    /// more to do than fits one; until it gives `Ready`. A policy that gives `Pending` has to see
    /// to it that `cx` is woken when it wants to be asked again. When it gives `Ready`, no more
    /// children are started; those that have been woken are polled once more, so that what
    /// happened at the same time counts; and then comes [`finish`](Policy::finish).
    fn poll_stop(&mut self, kept: &Kept<O>, cx: &mut Context<'_>) -> Poll<()> {
        let _ = (kept, cx);
        Poll::Pending
    }

    /// How many outputs the policy has and has not given away. They count against the limit, as
    /// running children do.
    fn held(&self) -> usize {
        0
    }
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
        let outputs = kept.into_vec().into_iter();
        Ok(outputs.filter_map(Result::ok).collect()) // only successes were kept
    }
}

/// The mode of [`capture`](crate::Gather::capture): every child runs to its end, and every output
/// is kept.
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
