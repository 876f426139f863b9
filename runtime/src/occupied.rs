//! The parts of a table that are in use, so that a walk over its rows does not look at all of
//! them.
//!
//! A table keeps its rows for later use, so after a spike most of them are free for good. It notes
//! each row that it gives out, and only the block of rows around it is kept. A walk looks at those
//! blocks and forgets the empty ones. So it costs time for the rows in use and for those that were
//! given out since the last walk; a row that is given back costs nothing here. (Of the rest, a
//! walk looks at one bit for a block, 64 at a time.)
//!
//! Next: [`task`](crate::task), the table that is walked most.

/// The rows of one block. A fairly arbitrary number: most rows that are given out are in the
/// block of the one before.
const BLOCK: usize = 64;

/// The blocks of one table that may have rows in use.
pub(crate) struct Occupied {
    /// A bit for each block. In a box, so that a runtime is small: it is moved when it is entered.
    #[allow(clippy::box_collection, reason = "see above")]
    blocks: Option<Box<Vec<u64>>>,
    /// The block that was noted last; `NONE` if it may have been forgotten.
    last: u32,
}

const NONE: u32 = u32::MAX;

impl Occupied {
    pub(crate) const fn new() -> Occupied {
        Occupied { blocks: None, last: NONE }
    }

    /// Whether this row is in the block that was noted last, and so need not be noted.
    #[inline(always)]
    pub(crate) fn is_last(&self, row: u32) -> bool {
        row / BLOCK as u32 == self.last
    }

    /// A row is given out that is in another block.
    #[cold]
    pub(crate) fn note(&mut self, row: u32) {
        let block = row / BLOCK as u32;
        self.last = block;
        let word = (block / u64::BITS) as usize;
        let blocks = self.blocks.get_or_insert_default();
        if word >= blocks.len() {
            blocks.resize(word + 1, 0);
        }
        blocks[word] |= 1 << (block % u64::BITS);
    }

    /// Begins a walk: forgets the blocks without a row in use. There are at most `most` such
    /// rows, so once they are found it looks no further.
    pub(crate) fn tidy<R>(&mut self, rows: &[R], most: usize, is_used: impl Fn(&R) -> bool) {
        let mut left = most;
        // From the end: rows that were freed last are given out first, so after a spike those are
        // high.
        let words = self.blocks.iter_mut().flat_map(|blocks| blocks.iter_mut().enumerate().rev());
        for (word, bits) in words.filter(|(_, bits)| **bits != 0) {
            for bit in bits_of(*bits).rev() {
                let used = match left {
                    0 => 0,
                    _ => block_of(rows, word, bit).1.iter().filter(|row| is_used(row)).count(),
                };
                *bits &= !(u64::from(used == 0) << bit);
                left = left.saturating_sub(used);
            }
        }
        self.last = NONE;
    }

    /// The rows in use are among these.
    pub(crate) fn rows<'a, R>(&'a self, rows: &'a [R]) -> impl Iterator<Item = (u32, &'a R)> {
        let words = self.blocks.iter().flat_map(|blocks| blocks.iter().enumerate());
        let words = words.filter(|(_, bits)| **bits != 0);
        let blocks = words.flat_map(move |(word, bits)| bits_of(*bits).map(move |bit| (word, bit)));
        blocks.flat_map(move |(word, bit)| {
            let (first, rows) = block_of(rows, word, bit);
            (first as u32..).zip(rows)
        })
    }
}

/// The bits that are set.
fn bits_of(word: u64) -> impl DoubleEndedIterator<Item = u32> {
    (0..u64::BITS).filter(move |bit| word >> bit & 1 == 1)
}

/// The rows of a block, and the number of the first.
fn block_of<R>(rows: &[R], word: usize, bit: u32) -> (usize, &[R]) {
    let first = (word * u64::BITS as usize + bit as usize) * BLOCK;
    (first, &rows[first..rows.len().min(first + BLOCK)])
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Walks over rows, of which those that are `true` are in use. Returns them, and the number of
    /// rows that it looked at.
    fn walk(occupied: &mut Occupied, rows: &[bool]) -> (Vec<u32>, usize) {
        let looks = Cell::new(0);
        let used = rows.iter().filter(|is_used| **is_used).count();
        occupied.tidy(rows, used, |is_used| {
            looks.set(looks.get() + 1);
            *is_used
        });
        let all = occupied.rows(rows).inspect(|_| looks.set(looks.get() + 1));
        (all.filter(|(_, is_used)| **is_used).map(|(row, _)| row).collect(), looks.get())
    }

    const SPIKE: usize = 1_000_000;

    /// A table in which that many rows were in use, and only these still are.
    fn after_spike(left: &[u32]) -> (Occupied, Vec<bool>) {
        let (mut occupied, mut rows) = (Occupied::new(), vec![false; SPIKE]);
        (0..SPIKE as u32).for_each(|row| occupied.note(row));
        left.iter().for_each(|row| rows[*row as usize] = true);
        (occupied, rows)
    }

    #[test]
    fn a_walk_over_an_empty_table_looks_at_nothing_also_after_a_spike() {
        let (mut occupied, rows) = after_spike(&[]);
        assert_eq!(walk(&mut occupied, &rows), (vec![], 0));
        assert_eq!(walk(&mut Occupied::new(), &[]), (vec![], 0));
    }

    #[test]
    fn a_walk_finds_every_row_in_use_in_order_and_the_next_one_looks_only_around_those() {
        let left = [0, 63, 64, 500_000, SPIKE as u32 - 1];
        let (mut occupied, mut rows) = after_spike(&left);
        assert_eq!(walk(&mut occupied, &rows).0, left);
        let (found, looks) = walk(&mut occupied, &rows);
        assert_eq!(found, left);
        assert!(looks <= 2 * BLOCK * left.len(), "{looks}");
        // A row of a forgotten block, one of a block that is known, and one that is given back.
        for row in [1000, 65] {
            rows[row] = true;
            occupied.note(row as u32);
        }
        rows[500_000] = false;
        assert_eq!(walk(&mut occupied, &rows).0, [0, 63, 64, 65, 1000, SPIKE as u32 - 1]);
    }

    #[test]
    fn a_row_that_is_used_again_after_its_block_was_forgotten_is_found() {
        let (mut occupied, mut rows) = (Occupied::new(), vec![false; 3]);
        for _ in 0..2 {
            occupied.note(1);
            rows[1] = true;
            assert_eq!(walk(&mut occupied, &rows).0, [1]);
            rows[1] = false;
            assert_eq!(walk(&mut occupied, &rows).0, []);
        }
    }

    #[test]
    fn after_a_spike_the_rows_that_were_given_out_last_are_found_first() {
        let (mut occupied, rows) = after_spike(&[SPIKE as u32 - 1]);
        let (found, looks) = walk(&mut occupied, &rows);
        assert_eq!(found, [SPIKE as u32 - 1]);
        assert!(looks <= 2 * BLOCK, "{looks}");
    }
}
