//! The order in which ready tasks are polled: two lists, linked through the rows.
//!
//! ```text
//!   turn ──► next of 4 ──► next of 0 = END       the rest of this turn
//!   first ──► next of 7 ──► next of 2 = END      woken since it began: the next turn; `last` is 2
//! ```
//!
//! A turn is the list that was there when it began, so there is nothing to count. A push and a pop are a few loads and stores, 10
//! instructions less each than in a `VecDeque`, and a task that waits takes no memory for its place in the queue.
//!
//! The ends need no check of their own: `END` is the number of no row, so where a list ends no row is found.
//!
//! Next: [`shuffle`](super::shuffle), another order.

use super::row::{END, NOT_QUEUED, Row};
use super::shuffle::shuffle;

/// The rows that were woken, in order, each once.
pub(super) struct Queue {
    /// The first row that is left of this turn, or `END`.
    turn: u32,
    /// The first row that was woken since the turn began, or `END`.
    first: u32,
    /// The last one, or `END`.
    last: u32,
}

impl Queue {
    pub(super) const fn new() -> Queue {
        Queue { turn: END, first: END, last: END }
    }

    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.is_turn_over() && self.first == END
    }

    #[inline(always)]
    pub(super) fn is_turn_over(&self) -> bool {
        self.turn == END
    }

    /// Adds a row that is not queued.
    #[inline(always)]
    pub(super) fn push(&mut self, rows: &mut [Row], row: u32) {
        rows[row as usize].next = END;
        match rows.get_mut(self.last as usize) {
            Some(last) => last.next = row,
            None => self.first = row,
        }
        self.last = row;
    }

    /// Takes the first row that is left of this turn.
    #[inline(always)]
    pub(super) fn pop<'a>(&mut self, rows: &'a mut [Row]) -> Option<(u32, &'a mut Row)> {
        let number = self.turn;
        let row = rows.get_mut(number as usize)?;
        self.turn = std::mem::replace(&mut row.next, NOT_QUEUED);
        Some((number, row))
    }

    /// Begins the next turn. Call it when the one before is over.
    #[inline(always)]
    pub(super) fn begin_turn(&mut self) {
        debug_assert!(self.is_turn_over());
        self.turn = self.first;
        self.first = END;
        self.last = END;
    }

    /// Puts the turn that has just begun into a random order.
    #[cold]
    pub(super) fn shuffle_turn(&mut self, rows: &mut [Row], state: &mut u64) {
        let mut order = Vec::new();
        while let Some((row, _)) = self.pop(rows) {
            order.push(row);
        }
        shuffle(&mut order, state);
        order.into_iter().for_each(|row| self.push(rows, row));
        self.begin_turn();
    }

    /// Takes the rows off the queue for which that is true.
    pub(super) fn take_off(&mut self, rows: &mut [Row], is_taken: impl Fn(&Row) -> bool) -> Vec<u32> {
        let mut taken = Vec::new();
        let mut kept = Queue::new();
        for _ in ["this turn", "the next"] {
            kept.begin_turn();
            while let Some((number, row)) = self.pop(rows) {
                if is_taken(row) {
                    taken.push(number);
                } else {
                    kept.push(rows, number);
                }
            }
            self.begin_turn();
        }
        *self = kept;
        taken
    }
}
