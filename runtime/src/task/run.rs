//! Polling tasks, and getting rid of them.
//!
//! Dropping a task runs its destructors, which may drop the handles of other tasks, whose destructors may drop
//! others. [`Local::discard`] makes that a loop: whoever comes first drops them all, one after the other, so a
//! chain of a million tasks costs no stack, and a destructor that panics costs the next one nothing.
//!
//! Next: [`handle`](super::handle).

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll};

use super::cell::AnyTask;
use super::table::{Key, Leftover};
use crate::contain::contain;
use crate::id::{Id, Target, task_generation};
use crate::local::Local;
use crate::{wake, waker};

/// Units of work (polls of a task or of a gather's child, operations on a socket) that one poll of a task may
/// do before it is to let others have their turn. A fairly arbitrary number: enough to make the turn of the loop
/// (about 20 ns) vanish in a gather of ready children, and few enough that a turn with short polls takes
/// microseconds.
pub(crate) const BUDGET: u32 = 128;

/// The tasks that wait to be dropped while one is being dropped.
pub(crate) struct Discarded {
    waiting: RefCell<Vec<AnyTask>>,
    /// Whether one is being dropped.
    busy: Cell<bool>,
}

impl Discarded {
    pub(crate) const fn new() -> Discarded {
        Discarded { waiting: RefCell::new(Vec::new()), busy: Cell::new(false) }
    }

    /// Drops a task: now, or when those before it are dropped. A panic in a destructor ends here.
    fn discard(&self, task: AnyTask) {
        if self.busy.replace(true) {
            return self.waiting.borrow_mut().push(task);
        }
        contain(|| drop(task));
        loop {
            let next = self.waiting.borrow_mut().pop(); // the borrow ends before the task is dropped
            match next {
                Some(task) => contain(|| drop(task)),
                None => break,
            }
        }
        self.waiting.take();
        self.busy.set(false);
    }
}

impl Local {
    /// Polls the tasks that are ready now, and returns the units of work that took. A task that becomes ready
    /// meanwhile waits for the next turn.
    #[inline]
    pub(crate) fn run_ready(&self) -> u32 {
        let ready = self.tasks.borrow_mut().begin_turn();
        let mut work = 0;
        for _ in 0..ready {
            // An entry may be stale.
            let next = self.tasks.borrow_mut().start_next();
            if let Some((key, task)) = next {
                work += self.poll_task(key, task);
            }
        }
        work
    }

    #[inline]
    fn poll_task(&self, key: Key, mut task: AnyTask) -> u32 {
        let target = Target::Task { row: key.row, generation: task_generation(key.serial) };
        let waker = waker::new(Id::new(self.id().number(), target));
        self.counters.polls.add(1);
        self.set_budget(BUDGET);
        let poll: Poll<()> = task.as_mut().poll(&mut Context::from_waker(&waker));
        let leftover = self.tasks.borrow_mut().settle(key, task, poll.is_ready());
        self.clear_away(leftover);
        1 + BUDGET - self.budget()
    }

    /// Drops and wakes what a task left.
    #[inline(always)] // most polls leave nothing, and then nothing is left of this
    pub(super) fn clear_away(&self, leftover: Leftover) {
        let Leftover { task, awaiter } = leftover;
        if let Some(task) = task {
            self.discarded.discard(task);
        }
        let Some(awaiter) = awaiter else { return };
        if let Some(foreign) = self.mark_waker(awaiter) {
            wake::wake_contained(foreign);
        }
    }

    /// Drops every task that is left, and those that their destructors spawn.
    pub(crate) fn drop_tasks(&self) {
        /// A destructor that spawns a task whose destructor spawns a task, and so on, would keep the runtime
        /// from ending. After so many rounds what is left is leaked.
        const MOST_ROUNDS: usize = 10_000;
        for _ in 0..MOST_ROUNDS {
            let keys = self.tasks.borrow().keys();
            if keys.is_empty() {
                return;
            }
            for key in keys {
                let leftover = self.tasks.borrow_mut().drop_handle(key);
                self.clear_away(leftover);
            }
        }
        let endless = self.tasks.replace(super::Tasks::new());
        std::mem::forget(endless);
    }
}
