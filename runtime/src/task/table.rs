//! The table of tasks, and the queue of those that are ready.
//!
//! A row moves through the stages of the diagram in [`task`](super). Nothing here runs a user's code: what is to
//! be polled, dropped or woken is returned to the caller, who does it when the table is not borrowed.
//!
//! Next: [`cell`](super::cell).

use std::collections::VecDeque;
use std::task::Waker;

use slab::Slab;

use super::cell::AnyTask;
use crate::id::{self, MAIN};

/// Where a task is, and which one it was: a key of a task that is gone matches nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) row: u32,
    /// Never used twice in one runtime.
    pub(crate) serial: u64,
}

/// The tasks of one runtime.
pub(crate) struct Tasks {
    /// A row for each task that is alive, or whose output nobody took yet.
    rows: Slab<Row>,
    /// The rows that were woken, in order. An entry whose row is gone, or not queued any more, is passed over:
    /// four bytes that a spawn paid for, gone at the next turn.
    ready: VecDeque<u32>,
    /// The serial number of the last task.
    serial: u64,
    /// The most rows that there may be.
    max: usize,
    /// The state of the generator that shuffles the ready queue, in tests that ask for it.
    shuffle: Option<u64>,
}

/// One task.
struct Row {
    serial: u64,
    stage: Stage,
    /// Whether it is on the ready queue.
    queued: bool,
    /// Whether a handle can still take the output.
    has_handle: bool,
    /// Whom to wake when it is finished.
    awaiter: Option<Waker>,
}

/// The life of a task; the numbers are those of the diagram in [`task`](super).
enum Stage {
    Idle(AnyTask),
    Running { cancelled: bool },
    Finished(AnyTask),
    Cancelled,
}

/// What a task leaves behind for the caller to drop and to wake, when the table is not borrowed. It does that
/// when it is dropped itself; fields are dropped in order, so the destructor runs first.
#[derive(Default)]
#[must_use = "dropping it runs a user's code: do that when nothing is borrowed"]
pub(super) struct Leftover {
    pub(super) task: Option<AnyTask>,
    pub(super) awaiter: Option<Waker>,
}

/// What the handle of a task finds.
pub(super) enum Found {
    /// The output is in this box; the row is gone.
    Finished(AnyTask),
    /// It was cancelled; the row is gone.
    Cancelled,
    /// It is not finished. The waker that was there before is the caller's to drop.
    Waiting { _stale: Option<Waker> },
}

impl Tasks {
    pub(crate) const fn new() -> Tasks {
        Tasks { rows: Slab::new(), ready: VecDeque::new(), serial: 0, max: MAIN as usize, shuffle: None }
    }

    pub(crate) fn configure(&mut self, max: usize, shuffle: Option<u64>) {
        self.max = max.min(MAIN as usize);
        self.shuffle = shuffle;
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn max(&self) -> usize {
        self.max
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= self.max
    }

    /// Adds a task, ready to be polled.
    #[inline]
    pub(super) fn insert(&mut self, task: AnyTask) -> Key {
        self.serial += 1;
        let serial = self.serial;
        let row = Row { serial, stage: Stage::Idle(task), queued: true, has_handle: true, awaiter: None };
        let row = self.rows.insert(row) as u32;
        self.ready.push_back(row);
        Key { row, serial }
    }

    /// A task was woken.
    #[inline]
    pub(crate) fn make_ready(&mut self, row: u32, generation: u32) {
        if let Some(task) = self.rows.get_mut(row as usize) {
            let alive = matches!(task.stage, Stage::Idle(_) | Stage::Running { .. });
            if !task.queued && alive && id::task_generation(task.serial) == generation {
                task.queued = true;
                self.ready.push_back(row);
            }
        }
    }

    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// How many entries the ready queue has now: a turn of the loop polls no more.
    pub(crate) fn begin_turn(&mut self) -> usize {
        let ready = self.ready.len();
        if let Some(state) = &mut self.shuffle {
            shuffle(self.ready.make_contiguous(), state);
        }
        ready
    }

    /// The next task to poll.
    #[inline]
    pub(super) fn start_next(&mut self) -> Option<(Key, AnyTask)> {
        let row = self.ready.pop_front()?;
        let task = self.rows.get_mut(row as usize)?;
        if !std::mem::take(&mut task.queued) {
            return None;
        }
        match std::mem::replace(&mut task.stage, Stage::Running { cancelled: false }) {
            Stage::Idle(future) => Some((Key { row, serial: task.serial }, future)),
            other => {
                task.stage = other;
                None
            }
        }
    }

    /// A task was polled.
    #[inline]
    pub(super) fn settle(&mut self, key: Key, future: AnyTask, finished: bool) -> Leftover {
        let Some(task) = self.rows.get_mut(key.row as usize) else {
            return Leftover { task: Some(future), awaiter: None };
        };
        let cancelled = matches!(task.stage, Stage::Running { cancelled: true });
        if !finished && !cancelled {
            task.stage = Stage::Idle(future);
            return Leftover::default();
        }
        if !task.has_handle {
            self.rows.remove(key.row as usize);
            return Leftover { task: Some(future), awaiter: None };
        }
        let awaiter = task.awaiter.take();
        if finished {
            task.stage = Stage::Finished(future);
            Leftover { task: None, awaiter }
        } else {
            task.stage = Stage::Cancelled;
            Leftover { task: Some(future), awaiter }
        }
    }

    fn get_mut(&mut self, key: Key) -> Option<&mut Row> {
        self.rows.get_mut(key.row as usize).filter(|task| task.serial == key.serial)
    }

    /// Whether the task is finished, cancelled or gone.
    pub(super) fn is_finished(&self, key: Key) -> bool {
        self.rows
            .get(key.row as usize)
            .filter(|task| task.serial == key.serial)
            .is_none_or(|task| matches!(task.stage, Stage::Finished(_) | Stage::Cancelled))
    }

    /// Cancels a task that is not finished.
    pub(super) fn cancel(&mut self, key: Key) -> Leftover {
        let Some(task) = self.get_mut(key) else { return Leftover::default() };
        match std::mem::replace(&mut task.stage, Stage::Cancelled) {
            Stage::Idle(future) => {
                let awaiter = task.awaiter.take();
                if !task.has_handle {
                    self.rows.remove(key.row as usize);
                }
                Leftover { task: Some(future), awaiter }
            }
            Stage::Running { .. } => {
                task.stage = Stage::Running { cancelled: true };
                Leftover::default()
            }
            ended => {
                task.stage = ended;
                Leftover::default()
            }
        }
    }

    /// The handle was dropped: the task is cancelled, or its output dropped.
    pub(super) fn drop_handle(&mut self, key: Key) -> Leftover {
        let Some(task) = self.get_mut(key) else { return Leftover::default() };
        task.has_handle = false;
        let awaiter = task.awaiter.take();
        if let Stage::Running { cancelled } = &mut task.stage {
            *cancelled = true;
            return Leftover { task: None, awaiter };
        }
        match self.rows.remove(key.row as usize).stage {
            Stage::Idle(task) | Stage::Finished(task) => Leftover { task: Some(task), awaiter },
            Stage::Running { .. } | Stage::Cancelled => Leftover { task: None, awaiter },
        }
    }

    /// The handle was given up: the task goes on, and its output is dropped.
    pub(super) fn detach(&mut self, key: Key) -> Leftover {
        let Some(task) = self.get_mut(key) else { return Leftover::default() };
        match task.stage {
            Stage::Finished(_) | Stage::Cancelled => self.drop_handle(key),
            Stage::Idle(_) | Stage::Running { .. } => {
                task.has_handle = false;
                Leftover { task: None, awaiter: task.awaiter.take() }
            }
        }
    }

    /// The handle was polled: takes what there is, or remembers whom to wake.
    #[inline]
    pub(super) fn poll_handle(&mut self, key: Key, waker: Waker) -> Found {
        let Some(task) = self.get_mut(key) else { return Found::Cancelled };
        if let Stage::Idle(_) | Stage::Running { .. } = task.stage {
            return Found::Waiting { _stale: task.awaiter.replace(waker) };
        }
        match self.rows.remove(key.row as usize).stage {
            Stage::Finished(task) => Found::Finished(task),
            _ => Found::Cancelled,
        }
    }

    /// Every task that is there now, for a runtime that ends.
    pub(crate) fn keys(&self) -> Vec<Key> {
        self.rows.iter().map(|(row, task)| Key { row: row as u32, serial: task.serial }).collect()
    }
}

/// Fisher and Yates, with Steele's SplitMix64: a seed gives the same order on every machine.
fn shuffle(entries: &mut [u32], state: &mut u64) {
    for last in (1..entries.len()).rev() {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut random = *state;
        random = (random ^ (random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        random = (random ^ (random >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        random ^= random >> 31;
        entries.swap(last, (random % (last as u64 + 1)) as usize);
    }
}
