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
//! leaves a poll with an empty queue. So n children that are woken in a row wake their parent once.
//!
//! Next: [`task`](crate::task), the other kind of row.

use std::borrow::Cow;
use std::task::Waker;

use slab::Slab;

use crate::id::{CHILD_GENERATION_BITS, MAX_GROUPS};
use crate::waker;

/// The next of a child that is not queued.
const IDLE: u32 = u32::MAX;
/// The next of the last child in the queue.
const END: u32 = IDLE - 1;
/// The generation where there is no child.
const NOBODY: u8 = 0;
/// In place of the generation that was woken: there were several.
const ANY: u8 = 0;

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
    /// A row for each group that is alive.
    rows: Slab<Row>,
    /// What the children of the next group count their generations from, so that late wakes for a group that is
    /// gone rarely match one that took its row.
    next_generation: u8,
    /// When the loop last looked at the clock, in milliseconds.
    now: u32,
}

/// What the runtime knows of one group.
#[repr(align(64))]
pub(crate) struct Row {
    /// The children, by their numbers.
    children: Vec<Child>,
    /// The first child in the queue, or `END`.
    head: u32,
    /// The last child in the queue; means nothing while the queue is empty.
    tail: u32,
    /// Whether the parent knows that there is something to poll.
    told: bool,
    /// Whom to wake when the first child is queued.
    parent: Option<Waker>,
    /// What the group is called in a dump.
    pub(crate) label: Label,
    /// How many children have given their outputs.
    pub(crate) done: usize,
    /// How often the group was polled.
    pub(crate) polls: u64,
    /// When it was polled last.
    pub(crate) polled_at: u32,
    /// Whether a stall of it was reported.
    pub(crate) is_reported: bool,
}

/// What a group is, and its name.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    pub(crate) kind: &'static str,
    pub(crate) name: Option<Cow<'static, str>>,
}

/// What the runtime knows of one child.
///
/// All that a wake and the poll after it change is in sixteen bytes, which lie in one line of the cache. (How often each child
/// was polled is not counted: it would make a wake and a poll take 31 cycles, not 26.)
#[derive(Clone)]
struct Child {
    /// Who is behind it in the queue; `IDLE` if it is not queued.
    next: u32,
    /// Its index in the input of its owner, as far as 32 bits go.
    index: u32,
    /// When it was polled last.
    polled_at: u32,
    /// Its generation; `NOBODY` if there is no child.
    generation: u8,
    /// The generation that was woken, or `ANY`, if it is queued.
    woken: u8,
}

/// A child, for a dump.
pub(crate) struct ChildFacts {
    pub(crate) number: u32,
    pub(crate) index: u32,
    pub(crate) is_woken: bool,
    pub(crate) polled_at: u32,
}

impl Child {
    const NONE: Child = Child { next: IDLE, index: 0, polled_at: 0, generation: NOBODY, woken: ANY };

    #[inline]
    fn is_queued(&self) -> bool {
        self.next != IDLE
    }
}

impl Row {
    fn new(label: Label) -> Row {
        Row {
            children: Vec::new(),
            head: END,
            tail: END,
            told: false,
            parent: None,
            label,
            done: 0,
            polls: 0,
            polled_at: 0,
            is_reported: false,
        }
    }

    /// Whom the group wakes.
    pub(crate) fn parent(&self) -> Option<&Waker> {
        self.parent.as_ref()
    }

    /// Whether a child waits to be polled.
    pub(crate) fn has_woken(&self) -> bool {
        self.head != END
    }

    /// The children that are there.
    pub(crate) fn children(&self) -> impl Iterator<Item = ChildFacts> {
        self.children.iter().zip(0..).filter(|(child, _)| child.generation != NOBODY).map(
            |(child, number)| {
                let &Child { index, polled_at, .. } = child;
                ChildFacts { number, index, is_woken: child.is_queued(), polled_at }
            },
        )
    }
}

impl Groups {
    pub(crate) const fn new() -> Groups {
        Groups { rows: Slab::new(), next_generation: 1, now: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = (u32, &Row)> {
        self.rows.iter().map(|(number, row)| (number as u32, row))
    }

    pub(crate) fn rows_mut(&mut self) -> impl Iterator<Item = &mut Row> {
        self.rows.iter_mut().map(|(_, row)| row)
    }

    /// The loop has looked at the clock.
    pub(crate) fn set_now(&mut self, milliseconds: u32) {
        self.now = milliseconds;
    }

    pub(super) fn insert(&mut self, label: Label) -> (u32, u8) {
        assert!(
            self.rows.len() < MAX_GROUPS,
            "gather: this runtime already has {MAX_GROUPS} gathers alive, which is the limit on this machine"
        );
        let generation = self.next_generation;
        self.next_generation = next_group_generation(generation);
        (self.rows.insert(Row::new(label)) as u32, generation)
    }

    /// Removes a group. What is in its row is for the caller to drop when nothing is borrowed: its parent may be a foreign
    /// waker.
    pub(crate) fn remove(&mut self, group: u32) -> Option<Row> {
        self.rows.try_remove(group as usize)
    }

    /// Makes room for children with the numbers below `count`.
    pub(super) fn grow(&mut self, group: u32, count: u32) {
        let children = &mut self.rows[group as usize].children;
        if children.len() < count as usize {
            children.resize(count as usize, Child::NONE);
        }
    }

    /// The owner begins to poll: no child wakes the parent now. Returns the parent before, for the caller to drop.
    #[inline]
    pub(super) fn begin_poll(&mut self, group: u32, parent: Waker) -> Option<Waker> {
        let row = &mut self.rows[group as usize];
        row.told = true;
        row.polls += 1;
        row.polled_at = self.now;
        row.parent.replace(parent)
    }

    /// The owner has polled, and `done` of its children have ended so far. Says whether it has to poll again, because
    /// there is `more` to do or a child is queued.
    #[inline]
    pub(super) fn end_poll(&mut self, group: u32, more: bool, done: usize) -> bool {
        let row = &mut self.rows[group as usize];
        row.told = more || row.head != END;
        row.done = done;
        row.told
    }

    /// Takes the wakers out, for a runtime that ends.
    pub(crate) fn take_wakers(&mut self) -> Vec<Waker> {
        self.rows.iter_mut().filter_map(|(_, row)| row.parent.take()).collect()
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
            if child.woken != generation {
                child.woken = ANY;
            }
            return None;
        }
        child.woken = generation;
        child.next = END;
        if row.head == END {
            row.head = number;
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

    /// Takes the first child off the queue, to be polled.
    #[inline]
    pub(super) fn pop(&mut self, group: u32) -> Option<u32> {
        let row = &mut self.rows[group as usize];
        loop {
            let number = row.head;
            if number == END {
                return None;
            }
            let child = &mut row.children[number as usize];
            row.head = std::mem::replace(&mut child.next, IDLE);
            if child.woken == child.generation || child.woken == ANY || child.generation == NOBODY {
                child.polled_at = self.now;
                return Some(number);
            }
        }
    }

    /// A child was polled for the first time, and waits. It stays queued if it was woken meanwhile.
    #[inline]
    pub(super) fn started(&mut self, group: u32, number: u32, generation: u8, index: usize) {
        let polled_at = self.now;
        let child = &mut self.rows[group as usize].children[number as usize];
        *child = Child { index: index as u32, polled_at, generation, ..*child };
    }

    /// A child that had been started is gone, or there was none.
    #[inline]
    pub(super) fn ended(&mut self, group: u32, number: u32) {
        self.rows[group as usize].children[number as usize].generation = NOBODY;
    }
}
