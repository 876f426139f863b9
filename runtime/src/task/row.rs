//! One row of the table of tasks, and what is taken out of it.
//!
//! Next: [`table`](super::table).

use std::panic::Location;
use std::task::Waker;

use super::cell::AnyTask;

/// Where a task is, and which one it was: a key of a task that is gone matches nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// `NOWHERE` in a handle that has given its output.
    pub(crate) row: u32,
    /// Never used twice in one runtime.
    pub(crate) serial: u64,
}

/// The number of no row.
pub(super) const NOWHERE: u32 = u32::MAX;
/// The `next` of a row that is not in the ready queue.
pub(super) const NOT_QUEUED: u32 = u32::MAX;
/// The end of a list of rows: no row has this number.
pub(super) const END: u32 = NOT_QUEUED - 1;

/// One task.
///
/// A row is changed in place, field by field, and each field fits two registers. Moved as a whole,
/// it is read in pieces of other sizes than it was just written in, for which the processor waits:
/// a spawn and its await took 240 cycles so, and take 100.
pub(crate) struct Row {
    /// Never used twice; 0 in a free row.
    pub(crate) serial: u64,
    /// The future or its output, unless it is being polled or was cancelled.
    pub(super) task: Option<AnyTask>,
    /// Whom to wake when it is finished.
    pub(crate) awaiter: Option<Waker>,
    pub(crate) stage: Stage,
    /// Whether a handle can still take the output.
    pub(crate) has_handle: bool,
    /// The row behind it in the ready queue, or `END`; `NOT_QUEUED` if it is not in it. Of a free
    /// row that is not in it: the next free row.
    pub(super) next: u32,
    /// How often it was polled.
    pub(crate) polls: u32,
    /// When it was polled last (before that, when it was spawned).
    pub(crate) polled_at: u32,
    /// Where it was spawned.
    pub(crate) spawned_at: &'static Location<'static>,
}

impl Row {
    /// A row without a task.
    #[track_caller]
    pub(super) fn free() -> Row {
        Row {
            serial: 0,
            task: None,
            awaiter: None,
            stage: Stage::Free,
            has_handle: false,
            next: NOT_QUEUED,
            polls: 0,
            polled_at: 0,
            spawned_at: Location::caller(),
        }
    }

    /// Puts a task into the row, which has none. (So nothing is dropped: to look costs registers,
    /// which the caller has to save.)
    #[inline(always)]
    pub(super) fn put(&mut self, task: AnyTask) {
        debug_assert!(self.task.is_none());
        std::mem::forget(self.task.replace(task));
    }

    /// Whether it is in the ready queue.
    #[inline(always)]
    pub(crate) fn is_queued(&self) -> bool {
        self.next != NOT_QUEUED
    }
}

/// The life of a task: see the diagram in [`task`](super).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// There is no task.
    Free,
    Idle,
    Running,
    /// Being polled, and to be dropped after that.
    RunningCancelled,
    Finished,
    Cancelled,
}

impl Stage {
    pub(super) fn is_over(self) -> bool {
        matches!(self, Stage::Finished | Stage::Cancelled | Stage::Free)
    }
}

/// What a task leaves behind for the caller to drop and to wake, when the table is not borrowed.
/// It does that when it is dropped itself; fields are dropped in order, so the destructor runs
/// first.
#[derive(Default)]
#[must_use = "dropping it runs a user's code: do that when nothing is borrowed"]
pub(super) struct Leftover {
    pub(super) task: Option<AnyTask>,
    pub(super) awaiter: Option<Waker>,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Row>() == 64, "finding a row is a shift, and a task that waits is small");
