//! Numbers of slots: in which chunk each is, and what a slot knows of its child.
//!
//! Next: [`ordered`](crate::ordered), where the outputs go.

use gather_runtime::group::MAX_CHILDREN;

/// The slots of chunk 0.
pub(crate) const FIRST_CHUNK: u32 = 32;

/// Where a chunk begins.
pub(crate) fn chunk_begin(chunk: usize) -> u32 {
    (FIRST_CHUNK << chunk) - FIRST_CHUNK
}

/// Where a chunk ends. The last one ends at the limit, and a chunk after it would end above that.
pub(crate) fn chunk_end(chunk: usize) -> u32 {
    let end = chunk_begin(chunk + 1);
    if chunk_begin(chunk) < MAX_CHILDREN { end.min(MAX_CHILDREN) } else { end }
}

/// What is known of a slot: in the upper 56 bits the child's index in the input (in a free slot, the number of the next free
/// one), in the lower eight which of the children that had this slot it is. One word: a sleeping child takes 97 bytes, not 105.
pub(crate) struct Facts(u64);

impl Facts {
    #[inline]
    pub(crate) fn new(index: usize, generation: u8) -> Facts {
        Facts((index as u64) << 8 | u64::from(generation))
    }

    #[inline]
    pub(crate) fn index(&self) -> usize {
        (self.0 >> 8) as usize
    }

    #[inline]
    pub(crate) fn generation(&self) -> u8 {
        self.0 as u8
    }
}

/// Where a slot is.
pub(crate) enum Place {
    /// In chunk 0, at this offset.
    First(usize),
    /// In another (0 is chunk 1), at this offset.
    Other(usize, usize),
}

/// Where the slot with this number is.
#[inline]
pub(crate) fn place(slot: u32) -> Place {
    if slot < FIRST_CHUNK {
        return Place::First(slot as usize); // the logarithm is a slow instruction on some processors: a cycle of 20
    }
    let shifted = u64::from(slot) + u64::from(FIRST_CHUNK);
    let power = shifted.ilog2();
    Place::Other((power - FIRST_CHUNK.ilog2() - 1) as usize, (shifted ^ (1 << power)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_one_another_through_the_chunks() {
        let mut slot = 0;
        for chunk in 0..15 {
            for offset in 0..FIRST_CHUNK << chunk {
                let place = match place(slot) {
                    Place::First(offset) => (0, offset),
                    Place::Other(other, offset) => (other + 1, offset),
                };
                assert_eq!(place, (chunk, offset as usize));
                slot += 1;
            }
        }
    }

    #[test]
    fn a_gather_has_a_slot_for_each_child_that_a_group_can_have_and_no_more() {
        assert_eq!([0, 1, 2, 18].map(chunk_end), [32, 96, 224, 16_777_184]);
        assert_eq!(chunk_end(19), MAX_CHILDREN);
        assert!(chunk_end(20) > MAX_CHILDREN, "the group refuses it");
    }

    #[test]
    fn a_slot_remembers_any_index_and_any_generation() {
        for index in [0, 1, u32::MAX as usize, (1 << 23) * 3] {
            for generation in [0, 1, u8::MAX] {
                let facts = Facts::new(index, generation);
                assert_eq!((facts.index(), facts.generation()), (index, generation));
            }
        }
    }
}
