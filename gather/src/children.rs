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
//! Next: [`ordered`](crate::ordered), where the outputs go.

#![allow(unsafe_code)]

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;

use gather_runtime::group::next_generation;

/// The slots of chunk 0.
const FIRST_CHUNK: u32 = 32;
/// No free slot.
const NONE: u32 = u32::MAX;

/// The children of one gather.
pub(crate) struct Children<F> {
    /// Each has the capacity that the picture says, from the start, and never grows beyond it.
    chunks: Vec<Vec<Slot<F>>>,
    /// The slots that were taken at least once.
    opened: u32,
    /// The first slot of the list of free ones.
    free: u32,
    /// How many slots have a child.
    alive: usize,
    /// What the children count their generations from.
    first_generation: u8,
}

/// The futures are in chunks on the heap, which do not move with the `Children`. So moving this moves no future.
impl<F> Unpin for Children<F> {}

/// A place for a child.
struct Slot<F> {
    /// The child.
    future: Option<F>,
    /// The child's index in the input; in a free slot, the number of the next free one.
    index: usize,
    /// Which of the children that had this slot: wakes for others are not for it.
    generation: u8,
}

/// A child that is in its slot.
pub(crate) struct Child<'a, F> {
    pub(crate) future: Pin<&'a mut Option<F>>,
    pub(crate) index: usize,
    pub(crate) generation: u8,
}

/// The chunk and the offset in it of a slot.
#[inline]
fn place(slot: u32) -> (usize, usize) {
    let shifted = slot + FIRST_CHUNK;
    let chunk = shifted.ilog2() - FIRST_CHUNK.ilog2();
    (chunk as usize, (shifted - (FIRST_CHUNK << chunk)) as usize)
}

impl<F> Children<F> {
    pub(crate) const fn new() -> Children<F> {
        Children { chunks: Vec::new(), opened: 0, free: NONE, alive: 0, first_generation: 1 }
    }

    /// How many children there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.alive
    }

    /// How many slots there are in the chunks that exist.
    pub(crate) fn capacity(&self) -> u32 {
        self.chunks.last().map_or(0, |_| (FIRST_CHUNK << self.chunks.len()) - FIRST_CHUNK)
    }

    /// Sets what new children count their generations from.
    pub(crate) fn set_first_generation(&mut self, generation: u8) {
        self.first_generation = generation;
    }

    /// Whether the next child needs a new chunk.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.free == NONE && self.chunks.last().is_none_or(|chunk| chunk.len() == chunk.capacity())
    }

    /// Makes a new chunk. If at most `most` children are to be there at once, it may be smaller than the picture
    /// says; the numbers of the slots that it lacks are then not used.
    #[cold]
    pub(crate) fn add_chunk(&mut self, most: usize) {
        self.opened = self.capacity();
        let slots = (FIRST_CHUNK as usize) << self.chunks.len();
        let wanted = if self.alive < most { slots.min(most - self.alive) } else { slots };
        self.chunks.push(Vec::with_capacity(wanted));
    }

    /// Puts a child into a slot, and returns the slot. Call it only if the children are not full.
    #[inline]
    pub(crate) fn insert(&mut self, index: usize, future: F) -> u32 {
        self.alive += 1;
        if self.free == NONE {
            let slot = self.opened;
            let (chunk, offset) = place(slot);
            let chunk = &mut self.chunks[chunk];
            // A push beyond the capacity would move the chunk. That must not happen, so it is checked here, once
            // for each new slot.
            assert!(chunk.len() == offset && offset < chunk.capacity(), "no chunk is ever grown");
            chunk.push(Slot { future: Some(future), index, generation: self.first_generation });
            self.opened += 1;
            return slot;
        }
        let number = self.free;
        let (chunk, offset) = place(number);
        let slot = &mut self.chunks[chunk][offset];
        self.free = slot.index as u32;
        slot.future = Some(future);
        slot.index = index;
        number
    }

    /// The slot, with or without a child in it; `None` if it was never opened.
    #[inline]
    pub(crate) fn get(&mut self, slot: u32) -> Option<Child<'_, F>> {
        let (chunk, offset) = place(slot);
        let slot = self.chunks.get_mut(chunk)?.get_mut(offset)?;
        // SAFETY: the future does not move from here until it is dropped in place.
        // 1. It is in the buffer of a chunk, which is neither grown (`insert` asserts that there is capacity) nor
        //    shrunk, truncated or sorted; `chunks` may grow, and then moves the chunks' pointers, not their buffers.
        // 2. Nothing in this file, the only one that can reach a slot, moves out of `future` or swaps it: `insert`
        //    writes to it only in a free slot, where it is `None`, and all else goes through this pin.
        // 3. It is dropped in place, by `Pin::set` or with its chunk, before the memory is given back. If the
        //    `Children` are leaked, so are the chunks.
        // 4. `Children` is `Unpin` by a safe implementation: moving it moves no buffer.
        // Attacked by the tests below and by `tests/tests/pinning.rs`.
        let future = unsafe { Pin::new_unchecked(&mut slot.future) };
        Some(Child { future, index: slot.index, generation: slot.generation })
    }

    /// Drops the child in a slot, and frees the slot.
    #[inline]
    pub(crate) fn remove(&mut self, number: u32) {
        let Some(mut child) = self.get(number) else { return };
        let was_there = child.future.is_some();
        child.future.set(None);
        if was_there {
            self.free_slot(number);
        }
    }

    #[inline]
    fn free_slot(&mut self, number: u32) {
        let (chunk, offset) = place(number);
        let slot = &mut self.chunks[chunk][offset];
        slot.generation = next_generation(slot.generation);
        slot.index = self.free as usize;
        self.free = number;
        self.alive -= 1;
    }

    /// Drops all children, in the order of their slots, and gives the memory back. A destructor that panics keeps
    /// no other from running; the first panic is returned.
    pub(crate) fn clear(&mut self) -> Option<Box<dyn Any + Send>> {
        let mut first_panic = None;
        let mut next = 0;
        while next < self.opened {
            let drop_the_rest = || {
                while next < self.opened {
                    next += 1; // before the drop: it may panic
                    if let Some(mut child) = self.get(next - 1) {
                        child.future.set(None);
                    }
                }
            };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(drop_the_rest)) {
                first_panic.get_or_insert(panic);
            }
        }
        self.chunks = Vec::new();
        (self.opened, self.free, self.alive) = (0, NONE, 0);
        first_panic
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::marker::PhantomPinned;

    #[test]
    fn places_follow_one_another_through_the_chunks() {
        let mut slot = 0;
        for chunk in 0..15 {
            for offset in 0..FIRST_CHUNK << chunk {
                assert_eq!(place(slot), (chunk, offset as usize));
                slot += 1;
            }
        }
    }

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
        let child = children.get(slot).unwrap();
        let future = child.future.as_ref().get_ref().as_ref().unwrap();
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
                    children.add_chunk(usize::MAX);
                }
                let slot = children.insert(index, make());
                look(&mut children, slot);
                count += 1;
            }
            let mut moved = Box::new(children);
            for slot in (0..moved.opened).filter(|slot| slot % 3 == round % 3) {
                moved.remove(slot);
            }
            children = *moved;
            for slot in 0..children.opened {
                if children.get(slot).unwrap().future.is_some() {
                    look(&mut children, slot);
                }
            }
        }
        assert!(children.clear().is_none());
        assert_eq!(*dropped.borrow(), count);
    }

    #[test]
    fn a_chunk_that_was_made_small_is_followed_by_another_and_not_grown() {
        let mut children = Children::new();
        let mut slots = Vec::new();
        for index in 0..100 {
            if children.is_full() {
                children.add_chunk(if index == 0 { 2 } else { usize::MAX });
            }
            slots.push(children.insert(index, index));
            assert!(children.chunks.iter().all(|chunk| chunk.len() <= chunk.capacity()));
        }
        for (index, slot) in slots.into_iter().enumerate() {
            let child = children.get(slot).unwrap();
            assert_eq!((child.index, *child.future.get_mut()), (index, Some(index)));
        }
        assert_eq!(children.len(), 100);
    }

    #[test]
    #[should_panic(expected = "no chunk is ever grown")]
    fn a_child_too_many_is_refused_instead_of_moving_the_others() {
        let mut children = Children::new();
        children.add_chunk(1);
        (0..33).for_each(|index| assert_eq!(children.insert(index, ()) as usize, index));
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
        children.add_chunk(usize::MAX);
        for index in 0..10 {
            children.insert(index, Bomb(index, &dropped));
        }
        let panic = children.clear().unwrap();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "bomb 1");
        assert_eq!(*dropped.borrow(), (0..10).collect::<Vec<_>>());
    }
}
