//! Polling tasks, and getting rid of them.
//!
//! Dropping a task runs its destructors, which may drop the handles of other tasks, whose
//! destructors may drop others. [`Discarded::discard`] makes that a loop: whoever comes first
//! drops them all, one after the other, so a chain of a million tasks costs no stack, and a
//! destructor that panics costs the next one nothing.
//!
//! Next: [`reference`](super::reference), how a task is found.

use std::cell::{Cell, RefCell};
use std::task::Poll;

use super::cell::AnyTask;
use super::row::{Key, Leftover};
use super::table::Tasks;
use crate::budget::{BUDGET, UNLIMITED, without_budget};
use crate::contain::contain;
use crate::id::{Id, Target, task_generation};
use crate::local::Local;
use crate::waker;

/// The tasks that wait to be dropped while one is being dropped.
pub(crate) struct Discarded {
    waiting: RefCell<Vec<AnyTask>>,
    /// Whether one is being dropped.
    busy: Cell<bool>,
}

/// A destructor that spawns and drops a task with the same destructor would go on for ever. After
/// so many it is stopped, and what is left is leaked.
const MOST_IN_A_ROW: usize = 1 << 24;

impl Discarded {
    pub(crate) const fn new() -> Discarded {
        Discarded { waiting: RefCell::new(Vec::new()), busy: Cell::new(false) }
    }

    pub(crate) fn swap(&self, other: &Discarded) {
        self.waiting.swap(&other.waiting);
        self.busy.swap(&other.busy);
    }

    /// Drops a task: now, or when those before it are dropped. A panic in a destructor ends here.
    fn discard(&self, task: AnyTask) {
        if self.busy.replace(true) {
            return self.waiting.borrow_mut().push(task);
        }
        contain(|| without_budget(|| drop(task)));
        for _ in 0..MOST_IN_A_ROW {
            let next = self.waiting.borrow_mut().pop(); // the borrow ends before the task is dropped
            match next {
                Some(task) => contain(|| without_budget(|| drop(task))),
                None => break,
            }
        }
        if !self.waiting.borrow().is_empty() {
            std::mem::forget(self.waiting.take());
        }
        self.busy.set(false);
    }
}

impl Local {
    /// Begins a turn, of the tasks that are ready now.
    #[inline]
    pub(crate) fn begin_turn(&self) {
        self.tasks.borrow_mut().begin_turn();
    }

    /// Whether no task is left of this turn.
    #[inline]
    pub(crate) fn is_turn_over(&self) -> bool {
        self.tasks.borrow().is_turn_over()
    }

    /// Polls the tasks of the turn, and of the turns after it while those have nothing but tasks;
    /// but not for more than about `most` units of work. Returns the units that it took.
    ///
    /// Between two polls there is one look at the table: it takes the one task back, wakes who
    /// awaits it, and gives the next.
    ///
    /// (As a part of the loop, which needs the registers for what is rare, a spawn and its await
    /// takes 120 cycles, not 108.)
    #[inline(never)]
    pub(crate) fn run_turns(&self, most: u32) -> u32 {
        let mut work = 0;
        let mut tasks = self.tasks.borrow_mut();
        while work < most {
            let Some((key, task)) = self.next_task(&mut tasks) else { break };
            drop(tasks);
            let (task, finished, spent) = self.poll_task(key, task);
            tasks = self.tasks.borrow_mut();
            if let Some(leftover) = self.settle(&mut tasks, key, task, finished) {
                drop(tasks);
                self.clear_away(leftover);
                tasks = self.tasks.borrow_mut();
            }
            work += 1 + spent;
        }
        work
    }

    /// A task was polled. Gives what is to be dropped and woken, but for a task of ours, which it
    /// wakes.
    #[inline(always)]
    fn settle(&self, tasks: &mut Tasks, key: Key, task: AnyTask, finished: bool) -> Option<Leftover> {
        match tasks.settle(key, task, finished) {
            Leftover { task: None, awaiter: None } => None,
            Leftover { task: None, awaiter: Some(awaiter) } => {
                let foreign = self.mark_task_waker(tasks, awaiter)?;
                Some(Leftover { task: None, awaiter: Some(foreign) })
            }
            leftover => Some(leftover),
        }
    }

    /// The next task of the turn, or of the next one, unless there is something else to do first.
    #[inline(always)]
    fn next_task(&self, tasks: &mut Tasks) -> Option<(Key, AnyTask)> {
        let mut head = tasks.head();
        if tasks.is_turn_over() && self.agenda.is_empty() {
            head = tasks.begin_plain_turn();
        }
        tasks.next_ready(head)
    }

    /// Polls a task. Says whether it is finished, and how much of its budget it has spent.
    #[inline(always)]
    fn poll_task(&self, key: Key, mut task: AnyTask) -> (AnyTask, bool, u32) {
        let target = Target::Task { row: key.row, generation: task_generation(key.serial) };
        self.counters.polls.add(1);
        self.budget.set(BUDGET);
        let id = Id::new(self.id().number(), target);
        let poll: Poll<()> = waker::lend(id, |cx| task.as_mut().poll(cx)); // a panic ends in there
        let spent = BUDGET - self.budget.left();
        self.budget.set(UNLIMITED);
        (task, poll.is_ready(), spent)
    }

    /// Drops and wakes what a task left.
    #[inline(never)] // most polls leave nothing
    pub(super) fn clear_away(&self, leftover: Leftover) {
        let Leftover { task, awaiter } = leftover;
        if let Some(task) = task {
            self.discarded.discard(task);
        }
        if let Some(awaiter) = awaiter {
            self.wake_waker_contained(awaiter);
        }
    }

    /// Drops every task that is left, and those that their destructors spawn.
    pub(crate) fn drop_tasks(&self) {
        /// A destructor that spawns a task whose destructor spawns a task, and so on, would keep
        /// the runtime from ending. After so many rounds what is left is leaked.
        const MOST_ROUNDS: usize = 10_000;
        for _ in 0..MOST_ROUNDS {
            if self.tasks.borrow().len() == 0 {
                return;
            }
            self.tasks.borrow_mut().begin_walk();
            let keys: Vec<_> = self.tasks.borrow().rows().map(|(key, _)| key).collect();
            for key in keys {
                let leftover = self.tasks.borrow_mut().drop_handle(key);
                self.clear_away(leftover);
            }
        }
        let endless = self.tasks.replace(Tasks::new());
        std::mem::forget(endless);
    }
}
