//! The children of one group, as far as the runtime knows them, and the queue of those that were
//! woken.
//!
//! ```text
//!   head ──► next of 4 ──► next of 0 ──► next of 7 = END          next of 1 = IDLE: not queued
//!                                         ▲ tail
//! ```
//!
//! Children reuse numbers, so a late wake for a finished child may find its successor. The
//! generation tells them apart: a wake for another than the one that is there is ignored. While a
//! child is polled for the first time its owner has not said yet which it is
//! ([`started`](Queue::started) comes after, since those that are ready at once never need a row);
//! so a wake for a number with nobody there is queued, and judged when the child has started. If
//! there were two, for different generations, it counts as one for any: at worst one spurious
//! poll. (Such a number keeps its place in the queue if the child that starts there is woken,
//! which may be before children that were woken earlier.)
//!
//! `told` is set while the parent knows that it has to poll the group: from the first wake until
//! the owner leaves a poll with an empty queue. So n children that are woken in a row wake their
//! parent once.
//!
//! A link of the queue is the child's [`seat`]: its number and the generation that was woken, as
//! they stand in its waker. So the next waker is made from the last wake's own word, and waits for
//! nothing that is looked up on the way; where children wake themselves one at a time, that is 3
//! cycles of 22.
//!
//! All of it is in cells: the owner holds the queue while it polls, and takes the next child from
//! it without a look at the table of groups: a wake and a poll take 3 cycles less.
//!
//! Next: [`row`](super::row), what else is known of a group.

use std::cell::Cell;

use crate::id::{seat, seat_generation, seat_number};

/// The next of a child that is not queued.
const IDLE: u32 = u32::MAX;
/// The next of the last child in the queue.
const END: u32 = IDLE - 1;
/// The generation where there is no child.
pub(super) const NOBODY: u8 = 0;
/// In place of the generation that was woken: there were several.
const ANY: u16 = 1 << 8;
/// In place of the generation that was woken: it is not the one that is there.
const GONE: u16 = ANY + 1;

/// The children of one group.
pub(crate) struct Queue {
    /// By their numbers. There may be more places than the group needs.
    children: Box<[Child]>,
    /// The seat of the first child in the queue, or `END`.
    head: Cell<u32>,
    /// The seat of the last child in the queue; means nothing while the queue is empty.
    tail: Cell<u32>,
    /// Whether the parent knows that there is something to poll.
    told: Cell<bool>,
    /// Whether a child of it ever waited.
    is_used: Cell<bool>,
    /// When a child was queued and none was before, in milliseconds.
    woken_at: Cell<u32>,
}

/// What the runtime knows of one child.
///
/// All that a wake and the poll after it change is in sixteen bytes, which lie in one line of the
/// cache. (How often each child was polled is not counted: it would make a wake and a poll take
/// five cycles more.)
#[derive(Clone)]
struct Child {
    /// The seat of who is behind it in the queue, or `END`; `IDLE` if it is not queued.
    next: Cell<u32>,
    /// Its index in the input of its owner, as far as 32 bits go.
    index: Cell<u32>,
    /// When it was polled last.
    polled_at: Cell<u32>,
    /// If it is queued: the generation that was woken, or `ANY`, or `GONE`.
    woken: Cell<u16>,
    /// Its generation; `NOBODY` if there is no child.
    generation: Cell<u8>,
}

/// A child, for a dump.
pub(crate) struct ChildFacts {
    pub(crate) number: u32,
    pub(crate) index: u32,
    pub(crate) is_woken: bool,
    pub(crate) polled_at: u32,
}

impl Child {
    fn none() -> Child {
        Child {
            next: Cell::new(IDLE),
            index: Cell::new(0),
            polled_at: Cell::new(0),
            woken: Cell::new(ANY),
            generation: Cell::new(NOBODY),
        }
    }

    /// Several children were woken by this link, or one that is gone. Gives the link of the child
    /// that is there; `None` if no wake was for that.
    #[cold]
    fn judge(&self, link: u32) -> Option<u32> {
        (self.woken.get() == ANY).then(|| seat(seat_number(link), self.generation.get()))
    }
}

impl Queue {
    /// A queue without room for a child. The parent is told: it is about to poll.
    pub(super) fn new() -> Queue {
        Queue {
            children: Box::default(),
            head: Cell::new(END),
            tail: Cell::new(END),
            told: Cell::new(true),
            is_used: Cell::new(false),
            woken_at: Cell::new(0),
        }
    }

    /// How many places there are.
    pub(super) fn len(&self) -> usize {
        self.children.len()
    }

    /// The same queue, with more places.
    pub(super) fn grown(&self, count: usize) -> Queue {
        let more = count - self.len();
        let children = self.children.iter().cloned().chain((0..more).map(|_| Child::none())).collect();
        Queue {
            children,
            head: self.head.clone(),
            tail: self.tail.clone(),
            told: self.told.clone(),
            is_used: self.is_used.clone(),
            woken_at: self.woken_at.clone(),
        }
    }

    /// Whether it is as a new one, but for its places.
    #[inline]
    pub(super) fn is_clean(&self) -> bool {
        self.head.get() == END && !self.is_used.get()
    }

    /// Makes it as a new one, but for its places.
    pub(super) fn clean(&self) {
        for child in &self.children {
            child.next.set(IDLE);
            child.generation.set(NOBODY);
        }
        self.head.set(END);
        self.told.set(true);
        self.is_used.set(false);
    }

    #[inline]
    pub(super) fn set_told(&self, told: bool) {
        self.told.set(told);
    }

    /// Queues a child. Says whether its parent is to be woken.
    #[inline]
    pub(super) fn push(&self, number: u32, generation: u8, now: u32) -> bool {
        let children = &*self.children;
        let Some(child) = children.get(number as usize) else { return false };
        let there = child.generation.get();
        if there != generation && there != NOBODY {
            return false;
        }
        if child.next.get() != IDLE {
            if child.woken.get() != u16::from(generation) {
                child.woken.set(ANY);
            }
            return false;
        }
        child.woken.set(generation.into());
        child.next.set(END);
        let link = seat(number, generation);
        if self.head.get() == END {
            self.head.set(link);
            self.woken_at.set(now);
        } else {
            children[seat_number(self.tail.get()) as usize].next.set(link);
        }
        self.tail.set(link);
        let is_news = !self.told.get();
        if is_news {
            self.told.set(true);
        }
        is_news
    }

    /// Takes the first child off the queue, to be polled: its number, and its generation. (If no
    /// child is there, that means nothing.)
    #[inline]
    pub(super) fn pop(&self, now: u32) -> Option<(u32, u8)> {
        loop {
            let mut link = self.head.get();
            if link == END {
                return None;
            }
            let child = &self.children[seat_number(link) as usize];
            self.head.set(child.next.replace(IDLE));
            if child.woken.get() >= ANY {
                let Some(there) = child.judge(link) else { continue };
                link = there;
            }
            child.polled_at.set(now);
            return Some((seat_number(link), seat_generation(link)));
        }
    }

    /// A child was polled for the first time, and waits. It stays queued if it was woken
    /// meanwhile.
    #[inline]
    pub(super) fn started(&self, number: u32, generation: u8, index: usize, now: u32) {
        self.is_used.set(true);
        let child = &self.children[number as usize];
        let woken = child.woken.get();
        if woken != ANY && woken != u16::from(generation) {
            child.woken.set(GONE); // if it is queued at all
        }
        child.index.set(index as u32);
        child.polled_at.set(now);
        child.generation.set(generation);
    }

    /// A child that had been started is gone, or there was none.
    #[inline]
    pub(super) fn ended(&self, number: u32) {
        self.children[number as usize].generation.set(NOBODY);
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.get() == END
    }

    /// For how many milliseconds children have been queued, if some are.
    pub(super) fn queued_for(&self, now: u32) -> Option<u32> {
        (!self.is_empty()).then(|| now.wrapping_sub(self.woken_at.get()))
    }

    /// Whether this child is there.
    pub(super) fn has(&self, number: u32, generation: u8) -> bool {
        self.children.get(number as usize).is_some_and(|child| child.generation.get() == generation)
    }

    /// The children that are there.
    pub(crate) fn children(&self) -> impl Iterator<Item = ChildFacts> {
        let there = self.children.iter().zip(0..).filter(|(child, _)| child.generation.get() != NOBODY);
        there.map(|(child, number)| ChildFacts {
            number,
            index: child.index.get(),
            is_woken: child.next.get() != IDLE,
            polled_at: child.polled_at.get(),
        })
    }
}
