//! The table of groups.
//!
//! While an owner polls, the parent in its row is that of the poll before, which does no harm,
//! because nobody looks at it.
//!
//! A row that is given back keeps the memory of a few children, for the next group. No child is in
//! it, and it has no parent: a wake that comes late wakes nobody. (It may queue a number, which
//! the next group passes over.) A gather whose children are all ready at once takes a row and
//! gives it back, and has hardly written to it.
//!
//! Next: [`occupied`](crate::occupied), how tables are walked.

use std::rc::Rc;
use std::task::Waker;

use super::queue::{NOBODY, Queue};
use super::row::{Label, Row};
use crate::id::{MAX_CHILDREN, MAX_GROUPS};
use crate::occupied::Occupied;
use crate::waker;

/// The generation that follows `generation`, round and round, without the 0 that means nobody.
#[inline]
pub fn next_generation(generation: u8) -> u8 {
    match generation.wrapping_add(1) {
        NOBODY => 1,
        next => next,
    }
}

/// What the next group counts from. Groups follow one another far apart (in the golden ratio),
/// because their children count in steps of one: so a late wake for one of a group's first
/// children is not taken for one of the next group's.
fn next_group_generation(generation: u8) -> u8 {
    const STRIDE: u16 = 158;
    ((u16::from(generation) - 1 + STRIDE) % u16::from(u8::MAX)) as u8 + 1
}

/// The groups of one runtime.
pub(crate) struct Groups {
    /// A row for each group that is alive, and free rows.
    rows: Vec<Row>,
    /// The free rows. The last one is used first, while it is in the cache.
    free: Vec<u32>,
    /// Where the groups are that have been polled.
    polled: Occupied,
    /// What the children of the next group count their generations from, so that late wakes for a
    /// group that is gone rarely match one that took its row.
    next_generation: u8,
    /// When to look for stalled groups again.
    next_look: u32,
}

impl Groups {
    pub(crate) const fn new() -> Groups {
        Groups {
            rows: Vec::new(),
            free: Vec::new(),
            polled: Occupied::new(),
            next_generation: 1,
            next_look: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len() - self.free.len()
    }

    /// Before a walk over the rows.
    pub(crate) fn begin_walk(&mut self) {
        self.polled.tidy(&self.rows, self.len(), |row| row.polls > 0);
    }

    /// The groups that have been polled.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (u32, &Row)> {
        self.polled.rows(&self.rows).filter(|(_, row)| row.polls > 0)
    }

    /// Whether this child is there.
    pub(crate) fn has_child(&self, group: u32, number: u32, generation: u8) -> bool {
        self.rows.get(group as usize).is_some_and(|row| row.queue.has(number, generation))
    }

    /// Looks for groups whose children were woken `after` milliseconds ago or more, that were not
    /// polled for as long, and that were not reported: gives the first few. Gives also in how many
    /// milliseconds it wants to look again, if it does. (It looks at most four times in `after`,
    /// because there may be many rows.)
    pub(crate) fn find_stalled(&mut self, after: u32, now: u32) -> (Vec<Label>, Option<u32>) {
        const MOST_NAMED: usize = 8;
        let mut stalled = Vec::new();
        let wait = self.next_look.wrapping_sub(now);
        if (1..=after).contains(&wait) {
            return (stalled, (self.len() > 0).then_some(wait));
        }
        self.next_look = now.wrapping_add(after.div_ceil(4));
        let mut next = None;
        self.begin_walk();
        for (_, row) in self.rows().filter(|(_, row)| !row.is_reported.get()) {
            let Some(queued_for) = row.queue.queued_for(now) else { continue };
            let left = after.saturating_sub(queued_for.min(now.wrapping_sub(row.polled_at)));
            if left > 0 {
                next = Some(next.map_or(left, |next: u32| next.min(left)));
                continue;
            }
            row.is_reported.set(true);
            if stalled.len() < MOST_NAMED {
                stalled.push(row.label.clone());
            }
        }
        (stalled, next)
    }

    /// Adds a group, which is about to be polled. Gives its row, its children, and what they count
    /// their generations from.
    #[inline]
    pub(super) fn insert(&mut self) -> (u32, Rc<Queue>, u8) {
        let group = self.free.pop().unwrap_or_else(|| self.add_row());
        let queue = self.rows[group as usize].queue.clone();
        let generation = self.next_generation;
        self.next_generation = next_group_generation(generation);
        (group, queue, generation)
    }

    #[cold]
    fn add_row(&mut self) -> u32 {
        assert!(
            self.rows.len() < MAX_GROUPS,
            "gather: this runtime already has {MAX_GROUPS} gathers alive, which is the limit"
        );
        self.rows.push(Row::new(Rc::new(Queue::new())));
        (self.rows.len() - 1) as u32
    }

    /// Removes a group. Its parent, which may be a foreign waker, is for the caller to drop when
    /// nothing is borrowed.
    #[inline]
    pub(crate) fn remove(&mut self, group: u32) -> Option<Waker> {
        self.free.push(group);
        let row = &mut self.rows[group as usize];
        if row.polls == 0 && row.queue.is_clean() {
            return None; // nothing was written
        }
        row.clean()
    }

    /// The owner begins to poll: no child wakes the parent now. Gives the children.
    #[inline]
    pub(super) fn begin_poll(&mut self, group: u32) -> Rc<Queue> {
        let queue = self.rows[group as usize].queue.clone();
        queue.set_told(true);
        queue
    }

    /// Makes room for children with the numbers below `count`, of which there is not enough: for
    /// twice as many as there were, if that is more, so that an owner may ask for one more at a
    /// time. Gives the children.
    #[cold]
    pub(super) fn grow(&mut self, group: u32, count: u32) -> Rc<Queue> {
        let row = &mut self.rows[group as usize];
        let places = (count as usize).max(2 * row.queue.len()).min(MAX_CHILDREN as usize);
        row.queue = Rc::new(row.queue.grown(places));
        row.queue.clone()
    }

    /// The owner has polled for `parent`. Gives the one before, for the caller to drop.
    #[inline]
    pub(super) fn set_parent(&mut self, group: u32, parent: Waker) -> Option<Waker> {
        self.rows[group as usize].parent.replace(parent)
    }

    /// The owner has polled, and `done` of its children have ended so far.
    #[inline]
    pub(super) fn note_poll(&mut self, group: u32, label: &Label, done: usize, now: u32) {
        let row = &mut self.rows[group as usize];
        if row.polls == 0 {
            row.label = label.clone();
            if !self.polled.is_last(group) {
                self.polled.note(group);
            }
        }
        row.polls += 1;
        row.polled_at = now;
        row.done = done;
    }

    /// Takes the wakers out, for a runtime that ends.
    pub(crate) fn take_wakers(&mut self) -> Vec<Waker> {
        self.rows.iter_mut().filter_map(|row| row.parent.take()).collect()
    }

    /// Queues a child, and returns the parent if it is to be woken.
    #[inline]
    pub(crate) fn push(&mut self, group: u32, number: u32, generation: u8, now: u32) -> Option<Waker> {
        let row = self.rows.get_mut(group as usize)?;
        if !row.queue.push(number, generation, now) {
            return None;
        }
        match row.parent.as_ref().and_then(waker::id_of) {
            Some(id) => Some(waker::new(id)),
            // Waking consumes a foreign waker; the poll that follows leaves another.
            None => row.parent.take(),
        }
    }
}
