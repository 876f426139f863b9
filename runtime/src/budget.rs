//! The budget: what keeps a task that never has to wait from starving the others.
//!
//! Each poll of a task, and of the main future, begins with [`BUDGET`] units. A poll of a gather's
//! child spends one, and so does everything that is ready at once: an operation on a socket, a
//! timer that is over, a task that has finished. When the units are spent, such a leaf wakes its
//! waker and is pending, so that the others have their turn.
//!
//! Three rules keep that from turning into a hang:
//!
//! 1. Code that is no poll has no budget: destructors, the end of a runtime, wakers of other
//!    libraries. What such code polls, it polls with an executor of its own or only once, and
//!    neither comes back in a later tick.
//! 2. A leaf that was refused lets the next ones pass: 2, then 4, and so on up to [`BUDGET`], and
//!    then one. So of the futures that share a task (`join!`, `select!`, a timeout and what it
//!    limits) each gets on, also beside one that spends the whole budget in every poll. (If it were
//!    always one, two that ask once in each poll could take each other's turn for ever.)
//! 3. If the waker is not ours, a refusal lets [`BUDGET`] others pass. Such a waker belongs to an
//!    executor inside the task (`block_on`, `FuturesUnordered`), which polls again in the same
//!    poll of the task. It sees a `Pending` now and then, and with that it decides itself when to
//!    stop.
//!
//! Next: [`event_loop`](crate::event_loop) counts the units of all polls to decide when to look at
//! timers and sockets.

use std::cell::Cell;
use std::task::{Context, Poll, Waker, ready};

use crate::local::{self, Local};
use crate::waker;

/// Units that one poll of a task may spend. A fairly arbitrary number: enough to make a tick of
/// the loop (about 20 ns) vanish in a gather of ready children, and few enough that a poll with
/// short steps takes microseconds.
pub(crate) const BUDGET: u32 = 128;

/// The budget of code that is no poll. It is not counted down to zero in practice.
pub(crate) const UNLIMITED: u32 = u32::MAX;

/// The budget of the poll that goes on in a runtime.
pub(crate) struct Budget {
    /// Units that are left.
    left: Cell<u32>,
    /// How many leaves pass although none is left, before one is refused.
    passes: Cell<u32>,
    /// How many leaves of a task of ours pass after the last refusal.
    most: Cell<u32>,
}

impl Budget {
    pub(crate) const fn new() -> Budget {
        Budget { left: Cell::new(UNLIMITED), passes: Cell::new(0), most: Cell::new(1) }
    }

    pub(crate) fn swap(&self, other: &Budget) {
        self.left.swap(&other.left);
        self.passes.swap(&other.passes);
        self.most.swap(&other.most);
    }

    #[inline]
    pub(crate) fn left(&self) -> u32 {
        self.left.get()
    }

    #[inline]
    pub(crate) fn set(&self, units: u32) {
        self.left.set(units);
    }

    /// Spends units, and returns whether one is left.
    #[inline]
    pub(crate) fn spend(&self, units: u32) -> bool {
        self.left.set(self.left.get().saturating_sub(units));
        self.left.get() > 0
    }

    /// From here on the budget is this, until the guard is dropped.
    #[inline]
    pub(crate) fn replace(&self, units: u32) -> BudgetBefore<'_> {
        BudgetBefore { budget: self, left: self.left.replace(units) }
    }
}

/// The budget that comes back when this is dropped.
pub(crate) struct BudgetBefore<'a> {
    budget: &'a Budget,
    left: u32,
}

impl Drop for BudgetBefore<'_> {
    #[inline]
    fn drop(&mut self) {
        self.budget.left.set(self.left);
    }
}

/// A leaf calls this when it is about to be ready, and spends a unit when it is. If none is left,
/// it is pending, and the task is polled again when the others had their turn.
#[inline]
pub(crate) fn poll(cx: &Context<'_>) -> Poll<()> {
    local::with(|local| if local.budget.left() > 0 { Poll::Ready(()) } else { poll_spent(local, cx.waker()) })
}

#[cold]
fn poll_spent(local: &Local, waker: &Waker) -> Poll<()> {
    // What an executor has left is not for a task of ours.
    let is_foreign = is_foreign(local, waker);
    let Budget { passes, most, .. } = &local.budget;
    let left = passes.get().min(if is_foreign { BUDGET } else { most.get() });
    if left > 0 {
        passes.set(left - 1);
        return Poll::Ready(());
    }
    most.set(if most.get() < BUDGET { 2 * most.get() } else { 1 });
    passes.set(if is_foreign { BUDGET } else { most.get() });
    waker.wake_by_ref();
    Poll::Pending
}

/// Whether a waker belongs to another executor than this runtime.
fn is_foreign(local: &Local, waker: &Waker) -> bool {
    waker::id_of(waker).is_none_or(|id| !local.is_home_of(id))
}

/// A group is polled, by `parent`. In code that has no budget, and in an executor that goes on
/// when it is spent, this poll gets one of its own, so that also an endless group ends its poll.
/// The guard gives the one before back.
#[inline]
pub(crate) fn of_group<'a>(local: &'a Local, parent: &Waker) -> Option<BudgetBefore<'a>> {
    // Neither spent nor unlimited, in one comparison.
    if local.budget.left().wrapping_sub(1) < BUDGET { None } else { of_group_outside(local, parent) }
}

#[cold]
fn of_group_outside<'a>(local: &'a Local, parent: &Waker) -> Option<BudgetBefore<'a>> {
    let has_one = local.budget.left() == 0 && !is_foreign(local, parent);
    (!has_one).then(|| local.budget.replace(BUDGET))
}

/// Spends a unit.
#[inline]
pub(crate) fn spend() {
    local::with(|local| local.budget.spend(1));
}

/// Spends a unit of the budget for something that is ready at once, such as a handle whose output
/// is there. If none is left, it is pending, and the task is polled again when the others had
/// their turn.
///
/// Every future that can be ready many times in a row without waiting should call this, or a loop
/// over it starves all others.
pub fn poll_budget(cx: &Context<'_>) -> Poll<()> {
    ready!(poll(cx));
    spend();
    Poll::Ready(())
}

/// Runs code that is no poll, such as the destructor of a child, without a budget: what it tries
/// once is tried.
#[inline]
pub fn without_budget<R>(f: impl FnOnce() -> R) -> R {
    local::with(|local| {
        let _before = local.budget.replace(UNLIMITED);
        f()
    })
}
