//! Where the children of a gather live: in slots whose addresses never change.
//!
//! ```text
//!   chunk 0   │ 32 slots │
//!   chunk 1   │      64 slots      │            chunk k has 32 · 2^k slots, and is never moved or grown
//!   chunk 2   │                128 slots                │
//! ```
//!
//! A future may not move once it was polled. A `Vec` moves its elements when it grows, so slots are in chunks: a
//! new chunk leaves the others where they are. A slot is used again when its child is gone, the last one first, so
//! a gather of a million futures that are ready at once uses one slot, over and over, in the cache.
//!
//! This file has all of the crate's unsafe code: one block, which says that a slot does not move.
//!
//! Next: [`places`](crate::places), how they are numbered.

#![allow(unsafe_code)]

use std::pin::Pin;

use gather_runtime::group::{Span, next_generation};

use crate::panics::{FirstPanic, drop_child};
use crate::places::{FIRST_CHUNK, Facts, Place, chunk_begin, chunk_end, place};

/// No free slot.
const NONE: u32 = u32::MAX;

/// The children of one gather.
pub(crate) struct Children<F> {
    /// Each has the capacity that the picture says, from the start, and never grows beyond it.
    first: Vec<Slot<F>>,
    /// The chunks after the first, which is by itself because a small gather has no other, and needs no list of one.
    others: Vec<Vec<Slot<F>>>,
    /// The slots that were taken at least once.
    pub(crate) opened: u32,
    /// Where the last chunk ends. (A `Vec` may have more capacity than it was asked for: that is not used.)
    pub(crate) end: u32,
    /// The first slot of the list of free ones.
    free: u32,
    /// How many slots have a child.
    alive: usize,
    /// What the children count their generations from.
    first_generation: u8,
}

/// The futures are in chunks on the heap, which do not move with this.
impl<F> Unpin for Children<F> {}

/// A place for a child.
struct Slot<F> {
    /// The child.
    future: Option<F>,
    /// What is known of it.
    facts: Facts,
    /// Open while there is a child, and entered while it is polled.
    span: Span,
}

/// A slot, found: with a child in it, or free.
pub(crate) struct Found<'a, F> {
    /// The slot's number.
    pub(crate) number: u32,
    /// The child, where it will stay.
    future: Pin<&'a mut Option<F>>,
    facts: &'a mut Facts,
    pub(crate) span: &'a mut Span,
    /// The first slot of the list of free ones.
    free: &'a mut u32,
    /// How many slots have a child.
    alive: &'a mut usize,
}

impl<F> Found<'_, F> {
    /// The child, and its span.
    #[inline]
    pub(crate) fn future(&mut self) -> Option<(Pin<&mut F>, &Span)> {
        Some((self.future.as_mut().as_pin_mut()?, self.span))
    }

    #[inline]
    pub(crate) fn index(&self) -> usize {
        self.facts.index()
    }

    /// Which of the children that had this slot it is.
    #[inline]
    pub(crate) fn generation(&self) -> u8 {
        self.facts.generation()
    }

    /// Drops the child, which must be there, and frees the slot.
    #[inline]
    pub(crate) fn finish(mut self) {
        debug_assert!(self.future.is_some(), "a free slot is not freed again");
        drop_child::<F>(|| self.future.set(None));
        *self.span = Span::NONE;
        let next_free = std::mem::replace(self.free, self.number) as usize;
        *self.facts = Facts::new(next_free, next_generation(self.facts.generation()));
        *self.alive -= 1;
    }
}

impl<F> Children<F> {
    pub(crate) const fn new() -> Children<F> {
        let first = Vec::new();
        let others = Vec::new();
        Children { first, others, opened: 0, end: 0, free: NONE, alive: 0, first_generation: 1 }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.alive
    }

    /// How many chunks there are.
    fn chunks(&self) -> usize {
        usize::from(self.end > 0) + self.others.len()
    }

    pub(crate) fn set_first_generation(&mut self, generation: u8) {
        self.first_generation = generation;
    }

    /// Whether the next child needs a new chunk.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.free == NONE && self.opened == self.end
    }

    /// Where the next chunk ends: the first sooner if at most `most` children are expected at once.
    pub(crate) fn next_end(&self, most: usize) -> u32 {
        match self.chunks() {
            0 => FIRST_CHUNK.min(u32::try_from(most).unwrap_or(FIRST_CHUNK)).max(1),
            chunk => chunk_end(chunk),
        }
    }

    /// Makes a new chunk, up to there.
    #[cold]
    pub(crate) fn add_chunk(&mut self, end: u32) {
        self.opened = chunk_begin(self.chunks());
        let chunk = Vec::with_capacity((end - self.opened) as usize);
        match self.chunks() {
            0 => self.first = chunk,
            _ => self.others.push(chunk),
        }
        self.end = end;
    }

    /// Puts a child into a free slot. Call it only if the children are not full.
    #[inline]
    pub(crate) fn insert(&mut self, index: usize, future: F) -> Found<'_, F> {
        if self.free == NONE {
            self.open_slot();
        }
        let number = self.free;
        let mut slot = self.find(number).expect("a free slot was opened");
        // It is `None` now: this drops nothing.
        slot.future.set(Some(future));
        *slot.free = slot.facts.index() as u32;
        *slot.facts = Facts::new(index, slot.facts.generation());
        *slot.alive += 1;
        slot
    }

    /// Puts the next slot of the last chunk into the list of free ones.
    #[cold]
    fn open_slot(&mut self) {
        let number = self.opened;
        let facts = Facts::new(self.free as usize, self.first_generation);
        let (chunk, offset) = match place(number) {
            Place::First(offset) => (&mut self.first, offset),
            Place::Other(chunk, offset) => (&mut self.others[chunk], offset),
        };
        // A push beyond the capacity would move the chunk, and the children in it.
        assert!(chunk.len() == offset && offset < chunk.capacity(), "no chunk is ever grown");
        chunk.push(Slot { future: None, facts, span: Span::NONE });
        self.free = number;
        self.opened += 1;
    }

    /// Finds a slot by its number; `None` if it was never opened.
    #[inline]
    pub(crate) fn find(&mut self, number: u32) -> Option<Found<'_, F>> {
        let slot = match place(number) {
            Place::First(offset) => self.first.get_mut(offset)?,
            Place::Other(chunk, offset) => self.others.get_mut(chunk)?.get_mut(offset)?,
        };
        let Slot { future, facts, span } = slot;
        // SAFETY: the future does not move from here until it is dropped in place.
        // 1. It is in the buffer of a chunk, which is neither grown (`open_slot` asserts that there is capacity) nor
        //    shrunk, truncated or sorted; `others` may grow, and then moves the chunks' pointers, not their buffers.
        // 2. This is the only way to the future of a slot that is in a chunk, for this file too: what puts a future
        //    in or drops it goes through this pin.
        // 3. It is dropped in place, by `Pin::set` or with its chunk, before the memory is given back. If the
        //    `Children` are leaked, so are the chunks.
        // 4. `Children` is `Unpin` by a safe implementation: moving it moves no buffer.
        // Attacked by the tests below and by `tests/tests/pinning.rs`.
        let future = unsafe { Pin::new_unchecked(future) };
        Some(Found { number, future, facts, span, free: &mut self.free, alive: &mut self.alive })
    }

    /// Drops all children, in the order of their slots, and gives the memory back.
    pub(crate) fn clear(&mut self, panics: &mut FirstPanic) {
        let mut next = 0;
        while next < self.opened {
            panics.catch(|| {
                while next < self.opened {
                    next += 1; // before the drop: it may panic
                    if let Some(mut slot) = self.find(next - 1) {
                        slot.future.set(None);
                    }
                }
            });
        }
        (self.first, self.others) = (Vec::new(), Vec::new());
        (self.opened, self.end, self.free, self.alive) = (0, 0, NONE, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::marker::PhantomPinned;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Checks in its destructor that it is where it was first seen.
    struct Immovable<'a> {
        seen_at: Option<usize>,
        dropped: &'a RefCell<usize>,
        _pinned: PhantomPinned,
    }

    impl Immovable<'_> {
        fn address(&self) -> usize {
            std::ptr::from_ref(self).addr()
        }
    }

    impl Drop for Immovable<'_> {
        fn drop(&mut self) {
            assert!(self.seen_at.is_none_or(|address| address == self.address()), "it was moved");
            *self.dropped.borrow_mut() += 1;
        }
    }

    /// Notes where the child in a slot is, or checks that it is still there.
    fn look(children: &mut Children<RefCell<Immovable<'_>>>, slot: u32) {
        let mut slot = children.find(slot).unwrap();
        let future = slot.future().unwrap().0.into_ref().get_ref();
        let address = future.borrow().address();
        let seen_at = future.borrow_mut().seen_at.replace(address);
        assert!(seen_at.is_none_or(|seen_at| seen_at == address), "it was moved");
    }

    #[test]
    fn children_never_move_however_many_come_and_go_and_wherever_the_whole_goes() {
        let dropped = RefCell::new(0);
        let make = || RefCell::new(Immovable { seen_at: None, dropped: &dropped, _pinned: PhantomPinned });
        let mut children = Children::new();
        let mut count = 0;
        for round in 0..4 {
            for index in 0..700 {
                if children.is_full() {
                    children.add_chunk(children.next_end(usize::MAX));
                }
                let slot = children.insert(index, make()).number;
                look(&mut children, slot);
                count += 1;
            }
            let mut moved = Box::new(children);
            for slot in (0..moved.opened).filter(|slot| slot % 3 == round % 3) {
                if let Some(mut slot) = moved.find(slot) {
                    if slot.future().is_some() {
                        slot.finish();
                    }
                }
            }
            children = *moved;
            for slot in 0..children.opened {
                if children.find(slot).unwrap().future().is_some() {
                    look(&mut children, slot);
                }
            }
        }
        let mut panics = FirstPanic::default();
        children.clear(&mut panics);
        panics.resume();
        assert_eq!(*dropped.borrow(), count);
    }

    #[test]
    fn a_chunk_that_was_made_small_is_followed_by_another_and_not_grown() {
        let mut children = Children::new();
        let mut slots = Vec::new();
        for index in 0..100 {
            if children.is_full() {
                children.add_chunk(children.next_end(if index == 0 { 2 } else { usize::MAX }));
            }
            slots.push(children.insert(index, index).number);
            assert!(children.others.iter().all(|chunk| chunk.len() <= chunk.capacity()));
        }
        for (index, slot) in slots.into_iter().enumerate() {
            let mut slot = children.find(slot).unwrap();
            assert_eq!((slot.index(), *slot.future().unwrap().0), (index, index));
        }
        assert_eq!(children.len(), 100);
    }

    #[test]
    #[should_panic(expected = "no chunk is ever grown")]
    fn a_child_too_many_is_refused_instead_of_moving_the_others() {
        let mut children = Children::new();
        children.add_chunk(children.next_end(1));
        (0..33).for_each(|index| assert_eq!(children.insert(index, ()).number as usize, index));
    }

    #[test]
    fn a_panic_in_one_destructor_keeps_no_other_from_running() {
        struct Bomb<'a>(usize, &'a RefCell<Vec<usize>>);
        impl Drop for Bomb<'_> {
            fn drop(&mut self) {
                self.1.borrow_mut().push(self.0);
                assert!(self.0 % 3 != 1, "bomb {}", self.0);
            }
        }
        let dropped = RefCell::new(Vec::new());
        let mut children = Children::new();
        children.add_chunk(children.next_end(usize::MAX));
        for index in 0..10 {
            children.insert(index, Bomb(index, &dropped));
        }
        let mut panics = FirstPanic::default();
        children.clear(&mut panics);
        let panic = catch_unwind(AssertUnwindSafe(|| panics.resume())).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "bomb 1");
        assert_eq!(*dropped.borrow(), (0..10).collect::<Vec<_>>());
    }
}
