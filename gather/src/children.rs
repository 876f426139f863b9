//! Where the children of a gather live: in slots whose addresses never change.
//!
//! ```text
//!   chunk 0   │ 32 slots │
//!   chunk 1   │      64 slots      │            chunk k has 32 · 2^k slots, and is never moved or grown
//!   chunk 2   │                128 slots                │
//! ```
//!
//! A future may not move once it was polled. A `Vec` moves its elements when it grows, so slots
//! are in chunks: a new chunk leaves the others where they are. The slot that was freed last is
//! used first, so a million futures that are ready at once use one slot, in the cache.
//!
//! This file has all of the crate's unsafe code: one block, which says that a slot does not move.
//!
//! Next: [`panics`](crate::panics).

#![allow(unsafe_code)]

use std::mem;
use std::pin::Pin;

use gather_runtime::group::{MAX_CHILDREN, Span, next_generation};

use crate::panics::{drop_all, drop_child};

/// No free slot.
const NONE: usize = usize::MAX;

/// The slots of chunk 0.
const FIRST_CHUNK: u32 = 32;

/// The number of the first slot of a chunk.
fn chunk_begin(chunk: usize) -> u32 {
    (FIRST_CHUNK << chunk) - FIRST_CHUNK
}

/// The number after the last slot of a chunk. The last chunk ends at the limit.
fn chunk_end(chunk: usize) -> u32 {
    let end = chunk_begin(chunk + 1);
    if chunk_begin(chunk) < MAX_CHILDREN { end.min(MAX_CHILDREN) } else { end }
}

/// The chunk of a slot, and its offset there.
fn place(number: u32) -> (usize, usize) {
    let shifted = u64::from(number) + u64::from(FIRST_CHUNK);
    let power = shifted.ilog2();
    ((power - FIRST_CHUNK.ilog2()) as usize, (shifted ^ (1 << power)) as usize)
}

/// The slots. Each chunk has the capacity that the picture says, from the start, and never grows
/// beyond it.
struct Chunks<F> {
    first: Vec<Slot<F>>,
    /// The others. The first is by itself so that a small gather needs no list of chunks.
    others: Vec<Vec<Slot<F>>>,
}

/// A place for a child.
struct Slot<F> {
    future: Option<F>,
    facts: Facts,
}

/// What is known of a child.
pub(crate) struct Facts {
    /// Its index in the input; in a free slot, the number of the next free one.
    pub(crate) index: usize,
    /// Which of the children that had this slot it is.
    pub(crate) generation: u8,
    /// Open while there is a child, and entered while it is polled.
    pub(crate) span: Span,
}

impl<F> Chunks<F> {
    /// Adds a slot to the last chunk.
    fn open(&mut self, number: u32, facts: Facts) {
        let (chunk, offset) = place(number);
        let chunk = if chunk == 0 { &mut self.first } else { &mut self.others[chunk - 1] };
        // A push beyond the capacity would move the chunk, and the children in it.
        assert!(chunk.len() == offset && offset < chunk.capacity(), "no chunk is ever grown");
        chunk.push(Slot { future: None, facts });
    }

    /// Finds a slot by its number; `None` if it was never opened.
    fn slot(&mut self, number: u32) -> Option<(Pin<&mut Option<F>>, &mut Facts)> {
        let slot = if number < FIRST_CHUNK {
            self.first.get_mut(number as usize)?
        } else {
            let (chunk, offset) = place(number);
            self.others.get_mut(chunk - 1)?.get_mut(offset)?
        };
        // SAFETY: the future does not move from here until it is dropped in place.
        // 1. It is in the buffer of a chunk, which is neither grown (`open` asserts that there is
        //    capacity) nor shrunk, truncated or sorted; `others` may grow, and then moves the
        //    chunks' pointers, not their buffers.
        // 2. This is the only way to the future of a slot that is in a chunk, for this file too:
        //    what puts one in or drops it goes through this pin. (`take_all` moves `Unpin` ones.)
        // 3. It is dropped in place, by `Pin::set` or with its chunk, before the memory is given
        //    back. If the chunks are leaked, so are the futures.
        // 4. `Children` is `Unpin` by a safe implementation: moving it moves no buffer.
        // Attacked by the tests below and by `tests/tests/pinning.rs`.
        Some((unsafe { Pin::new_unchecked(&mut slot.future) }, &mut slot.facts))
    }
}

/// The children of one gather.
pub(crate) struct Children<F> {
    chunks: Chunks<F>,
    /// The number after the last slot that was taken at least once.
    opened: u32,
    /// The number after the last slot of the last chunk.
    pub(crate) end: u32,
    /// The first slot of the list of free ones.
    free: usize,
    /// How many slots have a child.
    alive: usize,
    /// What the children count their generations from.
    pub(crate) first_generation: u8,
}

/// The futures are in chunks on the heap, which do not move with this.
impl<F> Unpin for Children<F> {}

/// A child in its slot.
pub(crate) struct Child<'a, F> {
    /// The number of the slot.
    pub(crate) number: u32,
    pub(crate) future: Pin<&'a mut F>,
    pub(crate) facts: &'a Facts,
}

impl<F> Children<F> {
    pub(crate) const fn new() -> Children<F> {
        let chunks = Chunks { first: Vec::new(), others: Vec::new() };
        Children { chunks, opened: 0, end: 0, free: NONE, alive: 0, first_generation: 1 }
    }

    pub(crate) fn len(&self) -> usize {
        self.alive
    }

    /// Whether the next child needs a new chunk.
    pub(crate) fn is_full(&self) -> bool {
        self.free == NONE && self.opened == self.end
    }

    /// How many chunks there are.
    fn count(&self) -> usize {
        usize::from(self.end > 0) + self.chunks.others.len()
    }

    /// Where the next chunk ends: the first sooner if at most `most` children are expected at
    /// once.
    pub(crate) fn next_end(&self, most: usize) -> u32 {
        match self.count() {
            0 => FIRST_CHUNK.min(u32::try_from(most).unwrap_or(FIRST_CHUNK)).max(1),
            chunk => chunk_end(chunk),
        }
    }

    /// Makes a new chunk, up to there.
    pub(crate) fn add_chunk(&mut self, end: u32) {
        self.opened = chunk_begin(self.count());
        let chunk = Vec::with_capacity((end - self.opened) as usize);
        match self.count() {
            0 => self.chunks.first = chunk,
            _ => self.chunks.others.push(chunk),
        }
        self.end = end;
    }

    /// Puts a child into a free slot. Call it only if the children are not full.
    pub(crate) fn insert(&mut self, index: usize, span: Span, future: F) -> Child<'_, F> {
        if self.free == NONE {
            let facts = Facts { index: NONE, generation: self.first_generation, span: Span::NONE };
            self.chunks.open(self.opened, facts);
            self.free = self.opened as usize;
            self.opened += 1;
        }
        let number = self.free as u32;
        let (mut slot, facts) = self.chunks.slot(number).expect("a free slot was opened");
        slot.set(Some(future)); // it is `None` now: this drops nothing
        self.free = mem::replace(&mut facts.index, index);
        facts.span = span;
        self.alive += 1;
        Child { number, future: slot.as_pin_mut().expect("it was just put there"), facts }
    }

    /// The child that has this number, if there is one.
    pub(crate) fn get(&mut self, number: u32) -> Option<Child<'_, F>> {
        let (slot, facts) = self.chunks.slot(number)?;
        Some(Child { number, future: slot.as_pin_mut()?, facts })
    }

    /// Drops a child, and frees its slot.
    pub(crate) fn remove(&mut self, number: u32) {
        let Some((mut slot, facts)) = self.chunks.slot(number) else { return };
        debug_assert!(slot.is_some(), "a free slot is not freed again");
        drop_child::<F>(|| slot.set(None));
        let next_free = mem::replace(&mut self.free, number as usize);
        *facts = Facts { index: next_free, generation: next_generation(facts.generation), span: Span::NONE };
        self.alive -= 1;
    }

    /// Calls `f` for each child.
    pub(crate) fn for_each(&mut self, mut f: impl FnMut(Child<'_, F>)) {
        (0..self.opened).for_each(|number| self.get(number).into_iter().for_each(&mut f));
    }

    /// Takes all children out of their slots, each with its index.
    pub(crate) fn take_all(&mut self) -> Vec<(usize, F)>
    where
        F: Unpin,
    {
        let slots = (0..self.opened).filter_map(|number| {
            let (slot, facts) = self.chunks.slot(number)?;
            Some((facts.index, slot.get_mut().take()?))
        });
        slots.collect()
    }
}

/// Drops all children, in the order of their slots.
impl<F> Drop for Children<F> {
    fn drop(&mut self) {
        let slots = 0..self.opened;
        drop_all(slots.map(|number| self.chunks.slot(number).map(|(mut slot, _)| slot.set(None))));
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

    /// Notes where a child is, or checks that it is still there.
    fn look(child: Child<'_, RefCell<Immovable<'_>>>) {
        let future = child.future.into_ref().get_ref();
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
                let slot = children.insert(index, Span::NONE, make()).number;
                look(children.get(slot).unwrap());
                count += 1;
            }
            let mut moved = Box::new(children);
            for slot in (0..moved.opened).filter(|slot| slot % 3 == round % 3) {
                if moved.get(slot).is_some() {
                    moved.remove(slot);
                }
            }
            children = *moved;
            children.for_each(look);
        }
        drop(children);
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
            slots.push(children.insert(index, Span::NONE, index).number);
        }
        for (index, slot) in slots.into_iter().enumerate() {
            let child = children.get(slot).unwrap();
            assert_eq!((child.facts.index, *child.future), (index, index));
        }
        assert_eq!(children.len(), 100);
    }

    #[test]
    #[should_panic(expected = "no chunk is ever grown")]
    fn a_child_too_many_is_refused_instead_of_moving_the_others() {
        let mut children = Children::new();
        children.add_chunk(children.next_end(1));
        (0..33).for_each(|index| assert_eq!(children.insert(index, Span::NONE, ()).number as usize, index));
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
            children.insert(index, Span::NONE, Bomb(index, &dropped));
        }
        let panic = catch_unwind(AssertUnwindSafe(|| drop(children))).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "bomb 1");
        assert_eq!(*dropped.borrow(), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn places_follow_one_another_through_the_chunks() {
        let places = (0..15).flat_map(|chunk| (0..32 << chunk).map(move |offset| (chunk, offset)));
        places.zip(0..).for_each(|(expected, slot)| assert_eq!(place(slot), expected));
    }

    #[test]
    fn a_gather_has_a_slot_for_each_child_that_a_group_can_have_and_no_more() {
        assert_eq!([0, 1, 2, 18, 19].map(chunk_end), [32, 96, 224, 16_777_184, MAX_CHILDREN]);
        assert!(chunk_end(20) > MAX_CHILDREN, "the group refuses it");
    }
}
