//! What the loop has to do between two turns of tasks: all of it in one byte.
//!
//! Mostly there is nothing, and then one turn follows another without the rest of the loop. One
//! look says so, which is 2 of 106 cycles of a spawn and its await, beside a look at each.
//!
//! Next: [`wake`](crate::wake), the first thing that needs the tables.

use std::cell::Cell;

/// A set of things to do.
pub(crate) struct Agenda(Cell<u8>);

/// One of the things to do.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Item {
    /// The main future was woken.
    PollMain = 1,
    /// Somebody is to be woken at the end of the turn.
    WakeDeferred = 2,
    /// The next turn is to be shuffled. (It stays in the set.)
    Shuffle = 4,
}

impl Agenda {
    pub(crate) const fn new() -> Agenda {
        Agenda(Cell::new(0))
    }

    pub(crate) fn swap(&self, other: &Agenda) {
        self.0.swap(&other.0);
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.get() == 0
    }

    #[inline]
    pub(crate) fn has(&self, item: Item) -> bool {
        self.0.get() & item as u8 != 0
    }

    #[inline]
    pub(crate) fn add(&self, item: Item) {
        self.0.set(self.0.get() | item as u8);
    }

    /// Takes it out of the set, and says whether it was there.
    #[inline]
    pub(crate) fn take(&self, item: Item) -> bool {
        let was_there = self.has(item);
        self.0.set(self.0.get() & !(item as u8));
        was_there
    }
}
