//! The table of groups: for each a queue of the children that were woken, and what a dump tells of them.
//!
//! ```text
//!   head ──► next of 4 ──► next of 0 ──► next of 7 = END          next of 1 = IDLE: not queued
//!                                         ▲ tail
//! ```
//!
//! Children reuse numbers, so a late wake for a finished child may find its successor. The generation tells them
//! apart: a wake for another than the one that is there is ignored. While a child is polled for the first time its owner
//! has not said yet which it is ([`started`](Groups::started) comes after, since those that are ready at once never
//! need a row); so a wake for a number with nobody there is queued, and judged when its turn comes. If there were two, for
//! different generations, it counts as one for any: at worst one spurious poll.
//!
//! # The parent
//!
//! `told` is set while the parent knows that it has to poll the group: from the first wake until the owner
//! leaves a poll with an empty queue. So n children that are woken in a row wake their parent once. While the owner polls, the
//! parent in the row is that of the poll before, which does no harm, because nobody looks at it.
//!
//! # Rows
//!
//! A row that is given back keeps the memory of a few children, for the next group, and no children: wakes that come late find
//! nobody. A gather whose children are all ready at once takes a row and gives it back, and has hardly written to it.
//!
//! Next: [`task`](crate::task), the other kind of row.

use std::task::Waker;

use super::row::{ANY, Child, END, GONE, IDLE, Label, NOBODY, Row};
use crate::id::{CHILD_GENERATION_BITS, MAX_GROUPS};
use crate::waker;

/// The last generation before they start again at 1.
const LAST_GENERATION: u8 = ((1u32 << CHILD_GENERATION_BITS) - 1) as u8;

/// The generation that follows `generation`, round and round, without the 0 that means nobody.
#[inline]
pub fn next_generation(generation: u8) -> u8 {
    // The mask is that of a byte on 64 bits, and of five bits on 32.
    match generation.wrapping_add(1) & LAST_GENERATION {
        NOBODY => 1,
        next => next,
    }
}

/// What the next group counts from. Groups follow one another far apart (in the golden ratio), because their children count
/// in steps of one: so a late wake for one of a group's first children is not taken for one of the next group's.
fn next_group_generation(generation: u8) -> u8 {
    const STRIDE: u16 = LAST_GENERATION as u16 * 62 / 100;
    ((u16::from(generation) - 1 + STRIDE) % u16::from(LAST_GENERATION)) as u8 + 1
}

/// The groups of one runtime.
pub(crate) struct Groups {
    /// A row for each group that is alive, and free rows.
    rows: Vec<Row>,
    /// The free rows. The last one is used first, while it is in the cache.
    free: Vec<u32>,
    /// What the children of the next group count their generations from, so that late wakes for a group that is
    /// gone rarely match one that took its row.
    next_generation: u8,
    /// When the loop last looked at the clock, in milliseconds.
    now: u32,
    /// When to look for stalled groups again.
    next_look: u32,
}

impl Groups {
    pub(crate) const fn new() -> Groups {
        Groups { rows: Vec::new(), free: Vec::new(), next_generation: 1, now: 0, next_look: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len() - self.free.len()
    }

    /// The groups that have been polled.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (u32, &Row)> {
        (0..).zip(&self.rows).filter(|(_, row)| row.polls > 0)
    }

    /// Whether this child is there.
    pub(crate) fn has_child(&self, group: u32, number: u32, generation: u8) -> bool {
        let child = self.rows.get(group as usize).and_then(|row| row.children.get(number as usize));
        child.is_some_and(|child| child.generation == generation)
    }

    /// Looks for groups whose children were woken `after` milliseconds ago or more and are not polled, and that were not
    /// reported: gives the first few. Gives also in how many milliseconds it wants to look again, if it does. (It looks at most four
    /// times in `after`, because there may be many rows.)
    pub(crate) fn find_stalled(&mut self, after: u32) -> (Vec<Label>, Option<u32>) {
        const MOST_NAMED: usize = 8;
        let mut stalled = Vec::new();
        let wait = self.next_look.wrapping_sub(self.now);
        if (1..=after).contains(&wait) {
            return (stalled, (self.len() > 0).then_some(wait));
        }
        self.next_look = self.now.wrapping_add(after.div_ceil(4));
        let mut next = None;
        let rows = self.rows.iter_mut().filter(|row| row.polls > 0);
        for row in rows.filter(|row| row.head != END && !row.is_reported) {
            let left = after.saturating_sub(self.now.wrapping_sub(row.woken_at));
            if left > 0 {
                next = Some(next.map_or(left, |next: u32| next.min(left)));
                continue;
            }
            row.is_reported = true;
            if stalled.len() < MOST_NAMED {
                stalled.push(row.label.clone());
            }
        }
        (stalled, next)
    }

    /// The loop has looked at the clock.
    pub(crate) fn set_now(&mut self, milliseconds: u32) {
        self.now = milliseconds;
    }

    /// Adds a group. Gives its row, and what its children count their generations from.
    #[inline]
    pub(super) fn insert(&mut self) -> (u32, u8) {
        let group = self.free.pop().unwrap_or_else(|| self.add_row());
        let generation = self.next_generation;
        self.next_generation = next_group_generation(generation);
        (group, generation)
    }

    #[cold]
    fn add_row(&mut self) -> u32 {
        assert!(
            self.rows.len() < MAX_GROUPS,
            "gather: this runtime already has {MAX_GROUPS} gathers alive, which is the limit on this machine"
        );
        self.rows.push(Row::new());
        (self.rows.len() - 1) as u32
    }

    /// Removes a group. Its parent, which may be a foreign waker, is for the caller to drop when nothing is borrowed.
    #[inline]
    pub(crate) fn remove(&mut self, group: u32) -> Option<Waker> {
        self.free.push(group);
        let row = &mut self.rows[group as usize];
        if row.polls == 0 && row.head == END && !row.is_used {
            row.children.clear(); // nothing else was written
            return None;
        }
        row.clean()
    }

    /// Makes room for children with the numbers below `count`.
    pub(super) fn grow(&mut self, group: u32, count: u32) {
        let row = &mut self.rows[group as usize];
        if row.children.len() < count as usize {
            row.children.resize(count as usize, Child::NONE);
        }
    }

    /// The owner begins to poll: no child wakes the parent now.
    #[inline]
    pub(super) fn begin_poll(&mut self, group: u32) {
        self.rows[group as usize].told = true;
    }

    /// The owner has polled for `parent`, and `done` of its children have ended so far. Says whether it has to poll again,
    /// because there is `more` to do or a child is queued. Returns the parent before, for the caller to drop.
    #[inline]
    pub(super) fn end_poll(
        &mut self,
        group: u32,
        parent: Waker,
        label: &Label,
        more: bool,
        done: usize,
    ) -> (bool, Option<Waker>) {
        self.note_poll(group, label, done);
        let row = &mut self.rows[group as usize];
        row.told = more || row.head != END;
        (row.told, row.parent.replace(parent))
    }

    /// The owner has polled, and `done` of its children have ended so far.
    #[inline]
    pub(super) fn note_poll(&mut self, group: u32, label: &Label, done: usize) {
        let row = &mut self.rows[group as usize];
        if row.polls == 0 {
            row.label = label.clone();
        }
        row.polls += 1;
        row.polled_at = self.now;
        row.done = done;
    }

    /// Takes the wakers out, for a runtime that ends.
    pub(crate) fn take_wakers(&mut self) -> Vec<Waker> {
        self.rows.iter_mut().filter_map(|row| row.parent.take()).collect()
    }

    /// Queues a child, and returns the parent if it is to be woken.
    #[inline]
    pub(crate) fn push(&mut self, group: u32, number: u32, generation: u8) -> Option<Waker> {
        let row = self.rows.get_mut(group as usize)?;
        let child = row.children.get_mut(number as usize)?;
        if child.generation != generation && child.generation != NOBODY {
            return None;
        }
        if child.is_queued() {
            if child.woken != u16::from(generation) {
                child.woken = ANY;
            }
            return None;
        }
        child.woken = generation.into();
        child.next = END;
        if row.head == END {
            row.head = number;
            row.woken_at = self.now;
        } else {
            row.children[row.tail as usize].next = number;
        }
        row.tail = number;
        if row.told {
            return None;
        }
        row.told = true;
        match row.parent.as_ref().and_then(waker::id_of) {
            Some(id) => Some(waker::new(id)),
            // Waking consumes a foreign waker; the poll that follows leaves another.
            None => row.parent.take(),
        }
    }

    /// Takes the first child off the queue, to be polled. (It gives the generation too, though the owner could know it: from
    /// here the child's waker is ready before its future was found, which is 2 cycles of a wake and a poll.)
    #[inline]
    pub(super) fn pop(&mut self, group: u32) -> Option<(u32, u8)> {
        let row = &mut self.rows[group as usize];
        loop {
            let number = row.head;
            if number == END {
                return None;
            }
            let child = &mut row.children[number as usize];
            row.head = std::mem::replace(&mut child.next, IDLE);
            if child.woken != GONE {
                child.polled_at = self.now;
                return Some((number, child.generation));
            }
        }
    }

    /// A child was polled for the first time, and waits. It stays queued if it was woken meanwhile.
    #[inline]
    pub(super) fn started(&mut self, group: u32, number: u32, generation: u8, index: usize) {
        let polled_at = self.now;
        let row = &mut self.rows[group as usize];
        row.is_used = true;
        let child = &mut row.children[number as usize];
        if child.woken != ANY && child.woken != u16::from(generation) {
            child.woken = GONE; // if it is queued at all
        }
        (child.index, child.polled_at, child.generation) = (index as u32, polled_at, generation);
    }

    /// A child that had been started is gone, or there was none.
    #[inline]
    pub(super) fn ended(&mut self, group: u32, number: u32) {
        self.rows[group as usize].children[number as usize].generation = NOBODY;
    }
}
