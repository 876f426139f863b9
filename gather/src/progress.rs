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

/// The steps of one burst: one at least, and none after what is left of the budget was spent, be it by the children, which may
/// be gathers.
pub(crate) struct Burst {
    /// How many there were.
    pub(crate) steps: u32,
    /// How many there may be.
    most: u32,
}

impl Burst {
    #[inline]
    pub(crate) fn new(polling: &Polling<'_>) -> Burst {
        Burst { steps: 0, most: polling.budget().clamp(1, BURST) }
    }

    /// Whether there is another step. Counts it.
    #[inline]
    pub(crate) fn goes_on(&mut self, polling: &Polling<'_>) -> bool {
        let goes_on = self.steps < self.most && (self.steps < polling.budget() || self.steps == 0);
        self.steps += u32::from(goes_on);
        goes_on
    }
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
