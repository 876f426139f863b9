//! What a handle knows of its task: which runtime, which row, which serial number. What is asked
//! of the task goes through it.
//!
//! Next: [`handle`](super::handle).

use std::fmt;
use std::task::{Context, Waker};

use super::cell::{AnyTask, NoOutput};
use super::error::TaskError;
use super::row::{Key, Leftover, NOWHERE};
use super::table::Tasks;
use crate::budget;
use crate::local::{self, Local};
use crate::mailbox::{self, RuntimeId, on_home};
use crate::waker;

/// Which task of which runtime.
#[derive(Clone, Copy)]
pub(super) struct Reference {
    pub(super) runtime: RuntimeId,
    /// Of the row `NOWHERE` when the output was taken.
    pub(super) key: Key,
}

impl Reference {
    /// Changes the task where it lives. If its runtime is gone, so is the task.
    pub(super) fn change(self, change: impl FnOnce(&mut Tasks, Key) -> Leftover + Send + 'static) {
        on_home(self.runtime, move |local| {
            let leftover = change(&mut local.tasks.borrow_mut(), self.key);
            local.clear_away(leftover);
        });
    }

    /// Waits until the task is over. Then it takes its row away, and gives the box with the
    /// output.
    ///
    /// (What it gives fits two registers, and alone it needs few. When `Poll<Option<..>>` was
    /// given, through memory, a spawn and its await took 125 cycles, not 111.)
    #[inline(never)]
    pub(super) fn poll_over(&self, cx: &Context<'_>) -> Option<AnyTask> {
        let polled = local::with_home(self.runtime, |local| match waker::id_of(cx.waker()) {
            Some(id) => self.poll_over_with(local, cx, waker::new(id)),
            None => self.poll_over_foreign(local, cx),
        });
        polled.unwrap_or_else(|| Some(not_at_home(self.runtime)))
    }

    /// A foreign waker runs foreign code when it is cloned or dropped, which may even end this
    /// task: so it is cloned before anything is looked at, and dropped after.
    #[cold]
    fn poll_over_foreign(&self, local: &Local, cx: &Context<'_>) -> Option<AnyTask> {
        self.poll_over_with(local, cx, cx.waker().clone())
    }

    #[inline(always)]
    fn poll_over_with(&self, local: &Local, cx: &Context<'_>, waker: Waker) -> Option<AnyTask> {
        let mut tasks = local.tasks.borrow_mut();
        if let Some(awaiter) = tasks.awaiter_mut(self.key) {
            let stale = awaiter.replace(waker);
            drop(tasks);
            let _ = stale.map(waker::into_id);
            return None;
        }
        drop(tasks);
        let _ = waker::into_id(waker);
        if budget::poll(cx).is_pending() {
            return None;
        }
        local.budget.spend(1);
        let task = local.tasks.borrow_mut().finish(self.key);
        Some(task.unwrap_or_else(NoOutput::boxed))
    }

    /// Why there is no output.
    #[cold]
    pub(super) fn no_output(&self) -> TaskError {
        assert!(self.has_row(), "a `Task` was polled after it had given its output");
        TaskError::cancelled()
    }

    /// Whether the output was not taken yet.
    pub(super) fn has_row(&self) -> bool {
        self.key.row != NOWHERE
    }

    /// The output was taken, or is left to itself.
    pub(super) fn forget_row(&mut self) {
        self.key.row = NOWHERE;
    }

    pub(super) fn id(self) -> TaskId {
        TaskId::new(self.runtime, self.key)
    }

    pub(super) fn drop_handle(self) {
        self.change(Tasks::drop_handle);
    }

    pub(super) fn cancel(self) {
        self.change(Tasks::cancel);
    }
}

/// What a task gives that is awaited where its runtime does not run.
#[cold]
fn not_at_home(runtime: RuntimeId) -> AnyTask {
    assert!(
        !mailbox::is_alive(runtime),
        "a `Task` can only be awaited on the thread of its runtime; `Handle::spawn` gives a task that can be awaited \
         anywhere"
    );
    NoOutput::boxed()
}

/// The number of a task: see [`Task::id`](super::Task::id).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TaskId {
    runtime: RuntimeId,
    /// Never used twice in one runtime.
    serial: u64,
}

impl TaskId {
    pub(crate) fn new(runtime: RuntimeId, key: Key) -> TaskId {
        TaskId { runtime, serial: key.serial }
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.runtime.serial(), self.serial)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskId({self})")
    }
}
