//! How far a gather came in a step of its poll, and when it is the others' turn.
//!
//! A gather starts children and polls those that were woken by turns, a burst at a time, and ends its poll when the budget of
//! its task is spent. So neither an endless input nor a child that wakes itself can keep anybody from going on.
//!
//! Next: [`child`](crate::child).

use gather_runtime::group::Polling;

/// How many children are started, or polled again, before it is the others' turn.
///
/// The budget is spent by the burst, because its count is in memory: one by one is 3 % more instructions for each poll.
const BURST: u32 = 32;

/// How far a gather came.
pub(crate) enum Progress<O> {
    /// There is something to give.
    Over(O),
    /// Something was done, and there may be more to do.
    Some,
    /// There was nothing to do.
    Nothing,
    /// The budget is spent.
    Spent,
}

/// How long the next burst may be.
#[inline]
pub(crate) fn burst(polling: &Polling<'_>) -> u32 {
    polling.budget().clamp(1, BURST)
}

/// Some steps were done, and the others have their turn now; or, if the budget is spent, those outside.
#[inline]
pub(crate) fn pause<O>(polling: &Polling<'_>, steps: u32) -> Progress<O> {
    match polling.spend(steps) {
        _ if steps == 0 => Progress::Nothing,
        true => Progress::Some,
        false => Progress::Spent,
    }
}
