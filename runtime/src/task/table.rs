//! The table of tasks.
//!
//! A row moves through the stages of the diagram in [`task`](super). Nothing here runs a user's
//! code: what is to be polled, dropped or woken is returned to the caller, who does it when the
//! table is not borrowed.
//!
//! Next: [`look`](super::look), what a dump sees of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::panic::Location;
use std::task::Waker;

use super::cell::AnyTask;
use super::queue::Queue;
use super::row::{END, Key, Leftover, Row, Stage};
use crate::id::{self, MAIN};
use crate::occupied::Occupied;

/// The tasks of one runtime.
pub(crate) struct Tasks {
    /// A row for each task that is alive, or whose output nobody took yet; and free rows. (Not a
    /// `Slab`, which takes and gives rows by value: see [`Row`].)
    pub(super) rows: Vec<Row>,
    /// The free row that was used last, and is used first, while it is in the cache; `END` if
    /// there is none. It names the next (`Row::next`).
    free: u32,
    /// How many rows are not free. (Of another width than `serial`: else the compiler counts both
    /// at once, and the processor waits for what was just written to each, which is 3 % of a spawn
    /// and its await.)
    alive: u32,
    /// The rows that were woken, in order, each once. A row that became free meanwhile is passed
    /// over, and only then used again: a new task does not take an old one's turn.
    ready: Queue,
    /// Where the rows are that are not free.
    pub(super) occupied: Occupied,
    /// The serial number of the last task.
    serial: u64,
    /// The most rows that there may be.
    max: usize,
    /// When the loop last looked at the clock, in milliseconds.
    now: u32,
    /// The names of the few tasks that have one, by their rows.
    pub(super) names: BTreeMap<u32, Cow<'static, str>>,
    /// The state of the generator that shuffles the ready queue, in tests that ask for it.
    shuffle: Option<u64>,
}

impl Tasks {
    pub(crate) const fn new() -> Tasks {
        Tasks {
            rows: Vec::new(),
            free: END,
            alive: 0,
            ready: Queue::new(),
            occupied: Occupied::new(),
            serial: 0,
            max: MAIN as usize,
            now: 0,
            names: BTreeMap::new(),
            shuffle: None,
        }
    }

    pub(crate) fn configure(&mut self, max: usize, shuffle: Option<u64>) {
        self.max = max.min(MAIN as usize);
        self.shuffle = shuffle;
    }

    pub(crate) fn len(&self) -> usize {
        self.alive as usize
    }

    pub(super) fn max(&self) -> usize {
        self.max
    }

    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        self.alive as usize >= self.max
    }

    /// Adds a task, ready to be polled.
    #[inline(always)]
    pub(super) fn insert(&mut self, task: AnyTask, spawned_at: &'static Location<'static>) -> Key {
        self.serial += 1;
        self.alive += 1;
        if !self.occupied.is_last(self.free) {
            self.prepare_row();
        }
        let row = self.free;
        let rows = &mut self.rows[..];
        let place = &mut rows[row as usize];
        self.free = place.next;
        place.serial = self.serial;
        place.put(task);
        place.stage = Stage::Idle;
        place.has_handle = true;
        place.polls = 0;
        place.polled_at = self.now;
        place.spawned_at = spawned_at;
        self.ready.push(rows, row);
        Key { row, serial: self.serial }
    }

    /// There is no free row, or the next one is in another block than the one before.
    #[cold]
    fn prepare_row(&mut self) {
        if self.free == END {
            self.add_row();
        }
        self.occupied.note(self.free);
    }

    /// Makes a free row.
    fn add_row(&mut self) {
        // Tasks that were spawned and dropped in one turn leave their rows in the ready queue.
        // More of them than of others are too many.
        if self.rows.len() > 2 * self.alive as usize + 64 {
            for row in self.ready.take_off(&mut self.rows, |row| row.stage == Stage::Free) {
                self.add_free_row(row);
            }
            return;
        }
        assert!(self.rows.len() < MAIN as usize, "gather: this runtime has as many tasks as it can");
        self.rows.push(Row::free());
        self.add_free_row((self.rows.len() - 1) as u32);
    }

    /// A row has no task, and is not in the ready queue.
    #[inline(always)]
    fn add_free_row(&mut self, row: u32) {
        self.rows[row as usize].next = self.free;
        self.free = row;
    }

    /// Takes a task away, and gives what is in its row.
    #[inline]
    fn remove(&mut self, row: u32) -> Leftover {
        let place = &mut self.rows[row as usize];
        let leftover = Leftover { task: place.task.take(), awaiter: place.awaiter.take() };
        self.free_row(row);
        leftover
    }

    #[inline(always)]
    fn free_row(&mut self, row: u32) {
        let place = &mut self.rows[row as usize];
        place.serial = 0;
        place.stage = Stage::Free;
        self.alive -= 1;
        if !place.is_queued() {
            self.add_free_row(row);
        }
        if !self.names.is_empty() {
            self.forget_name(row);
        }
    }

    #[cold]
    fn forget_name(&mut self, row: u32) {
        self.names.remove(&row);
    }

    /// A task was woken.
    #[inline]
    pub(crate) fn make_ready(&mut self, row: u32, generation: u32) {
        if let Some(task) = self.rows.get_mut(row as usize) {
            if !task.is_queued() && !task.stage.is_over() && id::task_generation(task.serial) == generation {
                self.ready.push(&mut self.rows, row);
            }
        }
    }

    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Begins the next turn, when the one before is over: it has the tasks that are ready now.
    pub(super) fn begin_turn(&mut self) {
        self.ready.begin_turn();
        if let Some(state) = &mut self.shuffle {
            self.ready.shuffle_turn(&mut self.rows, state);
        }
    }

    /// The same, if turns are not shuffled. Gives the [`head`](Tasks::head), which takes 8 cycles
    /// to read where it was just written.
    #[inline(always)]
    pub(super) fn begin_plain_turn(&mut self) -> u32 {
        debug_assert!(self.shuffle.is_none(), "`Shuffle` is on the agenda");
        self.ready.begin_turn()
    }

    /// The row of the next task of this turn, if there is one.
    #[inline(always)]
    pub(super) fn head(&self) -> u32 {
        self.ready.head()
    }

    /// Whether no task is left of this turn.
    #[inline(always)]
    pub(crate) fn is_turn_over(&self) -> bool {
        self.ready.is_turn_over()
    }

    /// Takes the next task of this turn, of which the head is known, out of its row, to be polled.
    #[inline(always)]
    pub(super) fn next_ready(&mut self, mut head: u32) -> Option<(Key, AnyTask)> {
        loop {
            let (number, row) = self.ready.pop_head(&mut self.rows, head)?;
            if row.stage == Stage::Idle {
                row.stage = Stage::Running;
                row.polls = row.polls.wrapping_add(1);
                row.polled_at = self.now;
                let key = Key { row: number, serial: row.serial };
                return row.task.take().map(|task| (key, task));
            }
            self.pass_over(number);
            head = self.ready.head();
        }
    }

    /// A row was taken off the ready queue that has no task to be polled.
    #[cold]
    fn pass_over(&mut self, row: u32) {
        if self.rows[row as usize].stage == Stage::Free {
            self.add_free_row(row);
        }
    }

    /// A task was polled.
    #[inline(always)]
    pub(super) fn settle(&mut self, key: Key, future: AnyTask, finished: bool) -> Leftover {
        let Some(task) = self.rows.get_mut(key.row as usize) else {
            return Leftover { task: Some(future), awaiter: None };
        };
        let cancelled = task.stage == Stage::RunningCancelled;
        if !finished && !cancelled {
            task.stage = Stage::Idle;
            task.put(future);
            return Leftover::default();
        }
        if !task.has_handle {
            task.put(future);
            return self.remove(key.row);
        }
        let awaiter = task.awaiter.take();
        if finished {
            task.stage = Stage::Finished;
            task.put(future);
            Leftover { task: None, awaiter }
        } else {
            task.stage = Stage::Cancelled;
            Leftover { task: Some(future), awaiter }
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Row> {
        self.rows.get_mut(key.row as usize).filter(|task| task.serial == key.serial)
    }

    /// Whether the task is finished, cancelled or gone.
    #[inline]
    pub(super) fn is_finished(&self, key: Key) -> bool {
        self.rows
            .get(key.row as usize)
            .filter(|task| task.serial == key.serial)
            .is_none_or(|task| task.stage.is_over())
    }

    /// Cancels a task that is not finished.
    pub(super) fn cancel(&mut self, key: Key) -> Leftover {
        let Some(task) = self.get_mut(key) else { return Leftover::default() };
        match task.stage {
            Stage::Idle if task.has_handle => {
                task.stage = Stage::Cancelled;
                Leftover { task: task.task.take(), awaiter: task.awaiter.take() }
            }
            Stage::Idle => self.remove(key.row),
            Stage::Running => {
                task.stage = Stage::RunningCancelled;
                Leftover::default()
            }
            Stage::RunningCancelled | Stage::Finished | Stage::Cancelled | Stage::Free => Leftover::default(),
        }
    }

    /// The handle was dropped: the task is cancelled, or its output dropped.
    pub(super) fn drop_handle(&mut self, key: Key) -> Leftover {
        let Some(task) = self.get_mut(key) else { return Leftover::default() };
        task.has_handle = false;
        match task.stage {
            Stage::Running | Stage::RunningCancelled => {
                task.stage = Stage::RunningCancelled;
                Leftover { task: None, awaiter: task.awaiter.take() }
            }
            Stage::Idle | Stage::Finished | Stage::Cancelled => self.remove(key.row),
            Stage::Free => Leftover::default(),
        }
    }

    /// The handle was given up: the task goes on, and its output is dropped.
    pub(super) fn detach(&mut self, key: Key) -> Leftover {
        let Some(task) = self.get_mut(key) else { return Leftover::default() };
        if task.stage.is_over() {
            return self.remove(key.row);
        }
        task.has_handle = false;
        Leftover { task: None, awaiter: task.awaiter.take() }
    }

    /// Whom to wake when the task is over; `None` if it is over.
    #[inline(always)]
    pub(super) fn awaiter_mut(&mut self, key: Key) -> Option<&mut Option<Waker>> {
        self.get_mut(key).filter(|task| !task.stage.is_over()).map(|task| &mut task.awaiter)
    }

    /// The handle was polled when the task was over: takes the row away, and gives the box with
    /// the output; `None` if the task was cancelled.
    #[inline]
    pub(super) fn finish(&mut self, key: Key) -> Option<AnyTask> {
        self.get_mut(key)?;
        self.free_row(key.row); // first, because it may call: nothing is to be kept in registers meanwhile
        self.rows[key.row as usize].task.take()
    }

    /// The loop has looked at the clock.
    pub(crate) fn set_now(&mut self, milliseconds: u32) {
        self.now = milliseconds;
    }
}
