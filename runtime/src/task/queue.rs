//! The order in which ready tasks are polled: two lists, linked through the rows.
//!
//! ```text
//!   turn ──► next of 4 ──► next of 0 = END       the rest of this turn
//!   first ──► next of 7 ──► next of 2 = END      woken since it began: the next turn; `last` is 2
//! ```
//!
//! A turn is the list that was there when it began, so there is nothing to count. A push and a pop
//! are a few loads and stores, 10 instructions less each than in a `VecDeque`, and a task that
//! waits takes no memory for its place in the queue.
//!
//! The ends need no check of their own: `END` is the number of no row, so where a list ends no row
//! is found.
//!
//! Next: [`shuffle`](super::shuffle), another order.

use super::row::{END, NOT_QUEUED, Row};
use super::shuffle::shuffle;

/// The rows that were woken, in order, each once. (`first` and `last` are not neighbours: as such
/// they are written as one word, for parts of which the processor waits when they are read, which
/// is 1 % of a spawn and its await.)
pub(super) struct Queue {
    /// The last one, or `END`.
    last: u32,
    /// The first row that is left of this turn, or `END`.
    turn: u32,
    /// The first row that was woken since the turn began, or `END`.
    first: u32,
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

    /// The first row that is left of this turn, or `END`.
    #[inline(always)]
    pub(super) fn head(&self) -> u32 {
        self.turn
    }

    /// Takes the first row that is left of this turn.
    #[inline(always)]
    pub(super) fn pop<'a>(&mut self, rows: &'a mut [Row]) -> Option<(u32, &'a mut Row)> {
        self.pop_head(rows, self.turn)
    }

    /// As [`pop`](Queue::pop), for who knows the [`head`](Queue::head).
    #[inline(always)]
    pub(super) fn pop_head<'a>(&mut self, rows: &'a mut [Row], number: u32) -> Option<(u32, &'a mut Row)> {
        debug_assert_eq!(number, self.turn);
        let row = rows.get_mut(number as usize)?;
        self.turn = std::mem::replace(&mut row.next, NOT_QUEUED);
        Some((number, row))
    }

    /// Begins the next turn. Call it when the one before is over. Gives its head.
    #[inline(always)]
    pub(super) fn begin_turn(&mut self) -> u32 {
        debug_assert!(self.is_turn_over());
        let head = self.first;
        self.turn = head;
        self.first = END;
        self.last = END;
        head
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        (0..10).map(|_| Row::free()).collect()
    }

    /// What is left of this turn.
    fn rest_of_turn(queue: &mut Queue, rows: &mut [Row]) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop(rows).map(|(number, _)| number)).collect()
    }

    #[test]
    fn a_turn_has_what_was_queued_when_it_began_in_that_order() {
        let (mut queue, mut rows) = (Queue::new(), rows());
        [3, 1, 4].into_iter().for_each(|row| queue.push(&mut rows, row));
        assert!(queue.is_turn_over() && !queue.is_empty());
        queue.begin_turn();
        assert_eq!(queue.pop(&mut rows).map(|(number, _)| number), Some(3));
        [3, 5].into_iter().for_each(|row| queue.push(&mut rows, row));
        assert_eq!(rest_of_turn(&mut queue, &mut rows), [1, 4]);
        queue.begin_turn();
        assert_eq!(rest_of_turn(&mut queue, &mut rows), [3, 5]);
        assert!(queue.is_empty() && rows.iter().all(|row| !row.is_queued()));
    }

    #[test]
    fn what_is_not_taken_off_keeps_its_turn_and_its_order() {
        let (mut queue, mut rows) = (Queue::new(), rows());
        [0, 1, 2, 3, 4].into_iter().for_each(|row| queue.push(&mut rows, row));
        queue.begin_turn();
        [9, 8, 7, 6].into_iter().for_each(|row| queue.push(&mut rows, row));
        for row in [0, 2, 4, 6, 9] {
            rows[row].polls = 1;
        }
        assert_eq!(queue.take_off(&mut rows, |row| row.polls == 1), [0, 2, 4, 9, 6]);
        queue.push(&mut rows, 5);
        assert_eq!(rest_of_turn(&mut queue, &mut rows), [1, 3]);
        queue.begin_turn();
        assert_eq!(rest_of_turn(&mut queue, &mut rows), [8, 7, 5]);
        assert!(queue.is_empty() && rows.iter().all(|row| !row.is_queued()));
    }
}
