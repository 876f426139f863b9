//! The table of groups: for each a queue of the children that were woken.
//!
//! One word for each child does three jobs: is the child queued, who is behind it, and which generation of the
//! child was woken.
//!
//! ```text
//!   head ──► links[4] ──► links[0] ──► links[7] = END          links[1] = IDLE: not queued
//!                                       ▲ tail
//! ```
//!
//! Children reuse numbers, so a late wake for a finished child may find its successor. The generation tells them
//! apart: the owner skips what it pops for a generation that is gone. If wakes for two generations of one number
//! meet in the queue, the entry becomes "any generation", which is at worst one spurious poll.
//!
//! # The parent
//!
//! `told` is set while the parent knows that it has to poll the group: from the first wake until the owner
//! leaves a poll with an empty queue. So n children that are woken in a row wake their parent once.
//!
//! Next: [`task`](crate::task), the other kind of row.

use std::task::Waker;

use slab::Slab;

use crate::id::{CHILD_GENERATION_BITS, MAX_GROUPS};
use crate::waker;

/// The bits of a link that hold the number of the next child; the bits above hold the woken generation.
const NEXT_BITS: u32 = 24;
/// The link of a child that is not queued.
const IDLE: u32 = (1 << NEXT_BITS) - 1;
/// The link of the last child in the queue.
const END: u32 = IDLE - 1;
/// In a link: the child was woken for more than one generation.
const ANY_GENERATION: u8 = 0;

/// The last generation before they start again at 1.
const LAST_GENERATION: u8 = ((1u32 << CHILD_GENERATION_BITS) - 1) as u8;

/// The generation that follows `generation`, round and round, without the 0 that means any.
#[inline]
pub fn next_generation(generation: u8) -> u8 {
    // The mask is that of a byte on 64 bits, and of five bits on 32.
    match generation.wrapping_add(1) & LAST_GENERATION {
        ANY_GENERATION => 1,
        next => next,
    }
}

/// The groups of one runtime.
pub(crate) struct Groups {
    /// A row for each group that is alive.
    rows: Slab<Row>,
    /// What the children of the next group count their generations from, so that late wakes for a group that is
    /// gone rarely match one that took its row.
    next_generation: u8,
}

/// What the runtime knows of one group.
struct Row {
    /// For each child: the next in the queue, and the generation that was woken.
    links: Vec<u32>,
    /// The first child in the queue, or `END`.
    head: u32,
    /// The last child in the queue; means nothing while the queue is empty.
    tail: u32,
    /// Whether the parent knows that there is something to poll.
    told: bool,
    /// Whom to wake when the first child is queued.
    parent: Option<Waker>,
}

impl Groups {
    pub(crate) const fn new() -> Groups {
        Groups { rows: Slab::new(), next_generation: 1 }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn insert(&mut self) -> (u32, u8) {
        assert!(
            self.rows.len() < MAX_GROUPS,
            "gather: this runtime already has {MAX_GROUPS} gathers alive, which is the limit on this machine"
        );
        let generation = self.next_generation;
        self.next_generation = next_generation(generation);
        let row = Row { links: Vec::new(), head: END, tail: END, told: false, parent: None };
        (self.rows.insert(row) as u32, generation)
    }

    /// Removes a group; its foreign parent, if any, is for the caller to drop when nothing is borrowed.
    pub(crate) fn remove(&mut self, group: u32) -> Option<Waker> {
        self.rows.try_remove(group as usize)?.parent
    }

    /// Makes room for children with the numbers below `count`.
    pub(super) fn grow(&mut self, group: u32, count: u32) {
        let links = &mut self.rows[group as usize].links;
        if links.len() < count as usize {
            links.resize(count as usize, IDLE);
        }
    }

    /// Queues every child that there is room for.
    pub(super) fn push_all(&mut self, group: u32) {
        for child in 0..self.rows[group as usize].links.len() as u32 {
            self.push(group, child, ANY_GENERATION);
        }
    }

    /// The owner begins to poll: no child wakes the parent now. Returns the parent before, for the caller to drop.
    #[inline]
    pub(super) fn begin_poll(&mut self, group: u32, parent: Waker) -> Option<Waker> {
        let row = &mut self.rows[group as usize];
        row.told = true;
        row.parent.replace(parent)
    }

    /// The owner has polled. Says whether it has to poll again, because there is `more` to do or a child is queued.
    #[inline]
    pub(super) fn end_poll(&mut self, group: u32, more: bool) -> bool {
        let row = &mut self.rows[group as usize];
        row.told = more || row.head != END;
        row.told
    }

    /// Takes the wakers out, for a runtime that ends.
    pub(crate) fn take_wakers(&mut self) -> Vec<Waker> {
        self.rows.iter_mut().filter_map(|(_, row)| row.parent.take()).collect()
    }

    /// Queues a child, and returns the parent if it is to be woken.
    #[inline]
    pub(crate) fn push(&mut self, group: u32, child: u32, generation: u8) -> Option<Waker> {
        let row = self.rows.get_mut(group as usize)?;
        let link = row.links.get_mut(child as usize)?;
        if *link & IDLE != IDLE {
            if (*link >> NEXT_BITS) as u8 != generation {
                *link &= IDLE; // ANY_GENERATION
            }
            return None;
        }
        *link = (generation as u32) << NEXT_BITS | END;
        if row.head == END {
            row.head = child;
        } else {
            let tail = &mut row.links[row.tail as usize];
            *tail = *tail & !IDLE | child;
        }
        row.tail = child;
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

    /// Takes the first child off the queue.
    #[inline]
    pub(super) fn pop(&mut self, group: u32) -> Option<Woken> {
        let row = &mut self.rows[group as usize];
        let child = row.head;
        if child == END {
            return None;
        }
        let link = std::mem::replace(&mut row.links[child as usize], IDLE);
        row.head = link & IDLE;
        Some(Woken { child, generation: (link >> NEXT_BITS) as u8 })
    }
}

/// A child that was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Woken {
    /// Its number.
    pub child: u32,
    /// The generation that it had.
    generation: u8,
}

impl Woken {
    /// Whether the wake is for the child that has this generation now, not for one that had its number before.
    #[inline]
    pub fn is_for(self, generation: u8) -> bool {
        self.generation == generation || self.generation == ANY_GENERATION
    }
}
