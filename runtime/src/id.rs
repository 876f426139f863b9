//! What a waker is: a number that says which runtime, and which task or child of a group.
//!
//! ```text
//!             63   62 … 53   52 …            … 25   24 …         … 0
//! a task     | 0 | runtime |        task         |   generation    |
//! a child    | 1 | runtime | group |      child      | generation  |
//!             63   62 … 53  52 … 32  31 …         … 8  7 …       … 0
//! ```
//!
//! A generation makes late wakes rare: a waker that outlives its task meets a new task in the same
//! row with another generation, and is ignored. Generations are few bits and come round again, and
//! then a late wake is one spurious poll, which the contract of `Future` allows. (Handles are
//! stricter: they carry a serial number that is never used twice.)
//!
//! An id has 64 bits on every machine, so the limits are the same everywhere (the
//! [crate's docs](crate#limits) list them). A waker holds one word of the machine. Where that has
//! 32 bits, only ids with small numbers fit.
//!
//! Next: [`waker`](crate::waker), which puts an id into a `std::task::Waker`.

/// How many bits each field has.
#[derive(Clone, Copy)]
struct Widths {
    /// The bits of all fields.
    word: u32,
    /// Which runtime of the process; the number 0 is never given to one.
    runtime: u32,
    /// Which row of the runtime's task table.
    task: u32,
    /// Which row of the runtime's group table.
    group: u32,
    /// Which child of the group.
    child: u32,
    /// Which of the children that had this number, one after the other.
    child_generation: u32,
}

/// The widths of an id.
const WIDE: Widths = Widths { word: 64, runtime: 10, task: 28, group: 21, child: 24, child_generation: 8 };

/// The widths of an id in a word of 32 bits.
///
/// These are no limits: the waker of an id that does not fit allocates. So generations come first:
/// a child's keeps its 8 bits, and a task's has 13. The rest is enough for what such machines run:
/// a runtime for each core, a task and a gather for each of 2,000 connections, 128 children in
/// each.
const NARROW: Widths = Widths { word: 32, runtime: 5, task: 13, group: 11, child: 7, child_generation: 8 };

/// Whether a word of this machine holds every id.
pub(crate) const FITS_A_WORD: bool = usize::BITS >= WIDE.word;

/// The bits of a task's generation. They fit the waker's word also where that is narrow.
const TASK_GENERATION: u32 = if FITS_A_WORD { WIDE } else { NARROW }.task_generation();

impl Widths {
    /// The bits of a task's generation: what is left.
    const fn task_generation(self) -> u32 {
        self.word - 1 - self.runtime - self.task
    }

    /// What stands for the row of the main future: the highest number of the field.
    const fn main(self) -> u32 {
        mask(self.task) as u32
    }

    #[inline]
    const fn pack(self, runtime: u32, target: Target) -> u64 {
        let (kind, fields) = match target {
            Target::Task { row, generation } => {
                let row = if row == MAIN { self.main() } else { row };
                let generation = generation as u64 & mask(self.task_generation());
                (0, (row as u64) << self.task_generation() | generation)
            }
            Target::Child { group, child, generation } => {
                let low = self.child_generation;
                let generation = generation as u64 & mask(low);
                let child = child as u64 & mask(self.child);
                (1, (group as u64) << (self.child + low) | child << low | generation)
            }
        };
        kind << (self.word - 1) | (runtime as u64) << (self.word - 1 - self.runtime) | fields
    }

    #[inline]
    const fn runtime_of(self, word: u64) -> u32 {
        (word >> (self.word - 1 - self.runtime) & mask(self.runtime)) as u32
    }

    #[inline]
    const fn target_of(self, word: u64) -> Target {
        if word >> (self.word - 1) == 0 {
            let low = self.task_generation();
            let row = (word >> low & mask(self.task)) as u32;
            let row = if row == self.main() { MAIN } else { row };
            Target::Task { row, generation: (word & mask(low)) as u32 }
        } else {
            let low = self.child_generation;
            Target::Child {
                group: (word >> (self.child + low) & mask(self.group)) as u32,
                child: (word >> low & mask(self.child)) as u32,
                generation: (word & mask(low)) as u8,
            }
        }
    }
}

/// The lowest `bits` bits.
const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

/// How many runtimes a process can have at once. Their numbers start at 1.
pub(crate) const MAX_RUNTIMES: usize = mask(WIDE.runtime) as usize;
/// The row of the main future, which is in no table. The rows of tasks are below it, so it is also
/// how many tasks a runtime can have at once.
pub(crate) const MAIN: u32 = WIDE.main();
/// How many groups a runtime can have at once.
pub(crate) const MAX_GROUPS: usize = mask(WIDE.group) as usize;
/// How many children a group can have at once. (The highest numbers stand for no child: their
/// seats mark the ends of the queue.)
pub const MAX_CHILDREN: u32 = mask(WIDE.child) as u32 - 1;

/// Whom a wake is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Task { row: u32, generation: u32 },
    Child { group: u32, child: u32, generation: u8 },
}

/// The number itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(u64);

impl Id {
    /// Names nothing: no runtime has the number 0.
    pub(crate) const NOBODY: Id = Id(0);

    #[inline]
    pub(crate) const fn new(runtime: u32, target: Target) -> Id {
        Id(WIDE.pack(runtime, target))
    }

    #[inline]
    pub(crate) const fn runtime(self) -> u32 {
        WIDE.runtime_of(self.0)
    }

    #[inline]
    pub(crate) const fn target(self) -> Target {
        WIDE.target_of(self.0)
    }

    /// The same group of the same runtime, another child.
    #[inline]
    pub(crate) const fn with_child(self, child: u32, generation: u8) -> Id {
        Id(self.0 | seat(child, generation) as u64)
    }

    /// The id as a word of this machine, if it fits one.
    #[inline]
    pub(crate) fn word(self) -> Option<usize> {
        if FITS_A_WORD { Some(self.0 as usize) } else { self.narrow().map(|word| word as usize) }
    }

    /// The id that is this word.
    #[inline]
    pub(crate) const fn from_word(word: usize) -> Id {
        if FITS_A_WORD { Id(word as u64) } else { Id::from_narrow(word as u32) }
    }

    /// The id in 32 bits, if each field fits: then nothing is lost on the way there and back.
    fn narrow(self) -> Option<u32> {
        let word = NARROW.pack(self.runtime(), self.target()) as u32;
        (Id::from_narrow(word) == self).then_some(word)
    }

    const fn from_narrow(word: u32) -> Id {
        Id::new(NARROW.runtime_of(word as u64), NARROW.target_of(word as u64))
    }
}

/// The lowest bits of a child's id: its number and its generation, that is, which child of its
/// group it is.
#[inline]
pub(crate) const fn seat(number: u32, generation: u8) -> u32 {
    let low = WIDE.child_generation;
    (number & mask(WIDE.child) as u32) << low | generation as u32 & mask(low) as u32
}

/// The number in a [`seat`].
#[inline]
pub(crate) const fn seat_number(seat: u32) -> u32 {
    seat >> WIDE.child_generation
}

/// The generation in a [`seat`].
#[inline]
pub(crate) const fn seat_generation(seat: u32) -> u8 {
    (seat & mask(WIDE.child_generation) as u32) as u8
}

/// The part of a task's serial number that its wakers carry.
#[inline]
pub(crate) const fn task_generation(serial: u64) -> u32 {
    (serial & mask(TASK_GENERATION)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Targets at the ends of each field.
    fn targets(widths: Widths) -> Vec<Target> {
        let ends = |bits| [0, 1, mask(bits) as u32 / 2, mask(bits) as u32];
        let mut targets = Vec::new();
        for row in [0, 1, widths.main() / 2, widths.main() - 1, MAIN] {
            let generations = ends(widths.task_generation());
            targets.extend(generations.map(|generation| Target::Task { row, generation }));
        }
        for group in ends(widths.group) {
            for child in ends(widths.child) {
                let generations = ends(widths.child_generation).map(|generation| generation as u8);
                targets.extend(generations.map(|generation| Target::Child { group, child, generation }));
            }
        }
        targets
    }

    #[test]
    fn packing_keeps_every_field_at_both_widths() {
        for widths in [WIDE, NARROW] {
            for runtime in [0, 1, mask(widths.runtime) as u32] {
                for target in targets(widths) {
                    let word = widths.pack(runtime, target);
                    assert!(word <= mask(widths.word - 1) * 2 + 1);
                    assert_eq!((widths.runtime_of(word), widths.target_of(word)), (runtime, target));
                }
            }
        }
    }

    #[test]
    fn an_id_fits_32_bits_if_each_of_its_fields_does_and_is_the_same_afterwards() {
        for runtime in [1, 31] {
            for target in targets(NARROW) {
                let id = Id::new(runtime, target);
                assert_eq!(id.narrow().map(Id::from_narrow), Some(id));
                for runtime in [32, 33, 63, 64, 1023] {
                    assert_eq!(Id::new(runtime, target).narrow(), None);
                }
            }
        }
        for row in [NARROW.main(), NARROW.main() + 1, MAIN / 2, MAIN - 1] {
            assert_eq!(Id::new(1, Target::Task { row, generation: 1 }).narrow(), None, "{row}");
        }
        for (group, child) in [(2048, 0), (2048, 127), (MAX_GROUPS as u32, 1), (0, 128), (1, MAX_CHILDREN)] {
            assert_eq!(Id::new(1, Target::Child { group, child, generation: 1 }).narrow(), None);
        }
    }

    #[test]
    fn every_generation_fits_a_word_so_that_a_row_keeps_the_quick_kind_of_waker() {
        for serial in [0, 1, 8191, 8192, u64::from(u32::MAX), u64::MAX] {
            let target = Target::Task { row: 5, generation: task_generation(serial) };
            assert!(Id::new(1, target).word().is_some());
        }
        for generation in 0..=u8::MAX {
            assert!(Id::new(1, Target::Child { group: 5, child: 5, generation }).narrow().is_some());
        }
    }

    #[test]
    fn an_id_is_what_it_was_after_the_way_through_a_word() {
        for id in targets(WIDE).into_iter().map(|target| Id::new(3, target)) {
            if let Some(word) = id.word() {
                assert_eq!(Id::from_word(word), id);
            }
        }
    }

    #[test]
    fn a_child_is_the_first_with_another_number() {
        let id = |child, generation| Id::new(5, Target::Child { group: 7, child, generation });
        for child in [0, 1, 1000, MAX_CHILDREN] {
            for generation in [0, 1, u8::MAX] {
                assert_eq!(id(0, 0).with_child(child, generation), id(child, generation));
                let seat = seat(child, generation);
                assert_eq!((seat_number(seat), seat_generation(seat)), (child, generation));
            }
        }
    }

    #[test]
    fn the_fields_fill_the_word() {
        for widths in [WIDE, NARROW] {
            let child = 1 + widths.runtime + widths.group + widths.child + widths.child_generation;
            let task = 1 + widths.runtime + widths.task + widths.task_generation();
            assert_eq!((child, task), (widths.word, widths.word));
        }
    }

    #[test]
    fn a_generation_too_large_for_its_field_leaves_the_other_fields_alone() {
        for widths in [WIDE, NARROW] {
            let word = widths.pack(3, Target::Task { row: 5, generation: u32::MAX });
            let generation = mask(widths.task_generation()) as u32;
            assert_eq!(widths.target_of(word), Target::Task { row: 5, generation });
            assert_eq!(widths.runtime_of(word), 3);
        }
    }

    #[test]
    fn the_documented_limits_are_those_of_the_fields() {
        let limits = [MAX_RUNTIMES, MAIN as usize, MAX_GROUPS, MAX_CHILDREN as usize];
        let row: String = limits.map(|limit| format!("| {} ", with_commas(limit))).concat();
        assert!(
            include_str!("lib.rs").contains(&format!("//! {row}|\n")),
            "the table says something else: {row}"
        );
    }

    fn with_commas(number: usize) -> String {
        match number {
            0..1000 => number.to_string(),
            _ => format!("{},{:03}", with_commas(number / 1000), number % 1000),
        }
    }
}
