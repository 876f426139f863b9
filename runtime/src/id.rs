//! What a waker is: one word that says which runtime, and which task or which child of which group.
//!
//! ```text
//!             63   62 … 53   52 …            … 25   24 …         … 0
//! a task     | 0 | runtime |        task         |   generation    |
//! a child    | 1 | runtime | group |      child      | generation  |
//!             63   62 … 53  52 … 32  31 …         … 8  7 …       … 0
//! ```
//!
//! A generation makes late wakes rare: a waker that outlives its task meets a new task in the same row with
//! another generation, and is ignored. Generations are few bits and come round again, and then a late wake is
//! one spurious poll, which the contract of `Future` allows. (Handles are stricter: they carry a serial number
//! that is never used twice.)
//!
//! A word of 32 bits has the same fields, narrower. Both widths are tested on any machine. What the widths allow
//! (the limits are documented in the crate's docs):
//!
//! | | runtimes at once | tasks at once | groups at once | children of one group at once |
//! |---|--:|--:|--:|--:|
//! | 64 bits | 1,023 | 268,435,455 | 2,097,151 | 16,777,184 |
//! | 32 bits | 7 | 262,143 | 511 | 16,352 |
//!
//! (A gather makes its slots in chunks, so it uses a few child numbers less than the field holds.)
//!
//! Next: [`waker`](crate::waker), which puts this word into a `std::task::Waker`.

/// How many bits each field has.
#[derive(Clone, Copy)]
struct Widths {
    /// The bits of the whole word.
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

impl Widths {
    /// Whether the word has 64 bits or 32.
    const fn of(word: u32) -> Widths {
        match word {
            64 => Widths { word, runtime: 10, task: 28, group: 21, child: 24, child_generation: 8 },
            _ => Widths { word, runtime: 3, task: 18, group: 9, child: 14, child_generation: 5 },
        }
    }

    /// The bits of a task's generation: what is left.
    const fn task_generation(self) -> u32 {
        self.word - 1 - self.runtime - self.task
    }

    #[inline]
    const fn pack(self, runtime: u32, target: Target) -> u64 {
        let (kind, fields) = match target {
            Target::Task { row, generation } => {
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
            Target::Task {
                row: (word >> low & mask(self.task)) as u32,
                generation: (word & mask(low)) as u32,
            }
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

/// The widths on the machine that this is compiled for.
const WIDTHS: Widths = Widths::of(usize::BITS);

/// How many runtimes a process can have at once. Their numbers start at 1.
pub(crate) const MAX_RUNTIMES: usize = mask(WIDTHS.runtime) as usize;
/// The row of the main future, which is in no table. Every task's row is below it.
pub(crate) const MAIN: u32 = mask(WIDTHS.task) as u32;
/// How many groups a runtime can have at once.
pub(crate) const MAX_GROUPS: usize = mask(WIDTHS.group) as usize;
/// How many children a group can have at once. The highest numbers are left out: on 64 bits their seats mark the ends of its queue.
pub(crate) const MAX_CHILDREN: u32 = mask(WIDTHS.child) as u32 - 1;
/// The bits of a child's generation.
pub(crate) const CHILD_GENERATION_BITS: u32 = WIDTHS.child_generation;

/// Whom a wake is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Task { row: u32, generation: u32 },
    Child { group: u32, child: u32, generation: u8 },
}

/// The word itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(usize);

impl Id {
    #[inline]
    pub(crate) const fn new(runtime: u32, target: Target) -> Id {
        Id(WIDTHS.pack(runtime, target) as usize)
    }

    #[inline]
    pub(crate) const fn runtime(self) -> u32 {
        WIDTHS.runtime_of(self.0 as u64)
    }

    #[inline]
    pub(crate) const fn target(self) -> Target {
        WIDTHS.target_of(self.0 as u64)
    }

    /// The same group of the same runtime, another child.
    #[inline]
    pub(crate) const fn with_child(self, child: u32, generation: u8) -> Id {
        Id(self.0 | seat(child, generation) as usize)
    }

    pub(crate) const fn from_word(word: usize) -> Id {
        Id(word)
    }

    pub(crate) const fn word(self) -> usize {
        self.0
    }
}

/// The lowest bits of a child's id: its number and its generation, that is, which child of its group it is.
#[inline]
pub(crate) const fn seat(number: u32, generation: u8) -> u32 {
    let low = WIDTHS.child_generation;
    (number & mask(WIDTHS.child) as u32) << low | generation as u32 & mask(low) as u32
}

/// The number in a [`seat`].
#[inline]
pub(crate) const fn seat_number(seat: u32) -> u32 {
    seat >> WIDTHS.child_generation
}

/// The generation in a [`seat`].
#[inline]
pub(crate) const fn seat_generation(seat: u32) -> u8 {
    (seat & mask(WIDTHS.child_generation) as u32) as u8
}

/// The part of a task's serial number that its wakers carry.
#[inline]
pub(crate) const fn task_generation(serial: u64) -> u32 {
    (serial & mask(WIDTHS.task_generation())) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_keeps_every_field_at_both_widths() {
        for widths in [Widths::of(64), Widths::of(32)] {
            let ends = |bits| [0, 1, mask(bits) as u32 / 2, mask(bits) as u32];
            for runtime in ends(widths.runtime) {
                for row in ends(widths.task) {
                    for generation in ends(widths.task_generation()) {
                        let target = Target::Task { row, generation };
                        let word = widths.pack(runtime, target);
                        assert!(word <= mask(widths.word - 1) * 2 + 1);
                        assert_eq!((widths.runtime_of(word), widths.target_of(word)), (runtime, target));
                    }
                }
                for group in ends(widths.group) {
                    for child in ends(widths.child) {
                        for generation in ends(widths.child_generation) {
                            let target = Target::Child { group, child, generation: generation as u8 };
                            let word = widths.pack(runtime, target);
                            assert!(word <= mask(widths.word - 1) * 2 + 1);
                            assert_eq!((widths.runtime_of(word), widths.target_of(word)), (runtime, target));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_child_is_the_first_with_another_number() {
        let id = |child, generation| Id::new(5, Target::Child { group: 7, child, generation });
        for child in [0, 1, 1000, MAX_CHILDREN] {
            for generation in [0, 1, ((1u32 << CHILD_GENERATION_BITS) - 1) as u8] {
                assert_eq!(id(0, 0).with_child(child, generation), id(child, generation));
                let seat = seat(child, generation);
                assert_eq!((seat_number(seat), seat_generation(seat)), (child, generation));
            }
        }
    }

    #[test]
    fn the_fields_fill_the_word() {
        for widths in [Widths::of(64), Widths::of(32)] {
            let child = 1 + widths.runtime + widths.group + widths.child + widths.child_generation;
            let task = 1 + widths.runtime + widths.task + widths.task_generation();
            assert_eq!((child, task), (widths.word, widths.word));
        }
    }

    #[test]
    fn a_generation_too_large_for_its_field_leaves_the_other_fields_alone() {
        for widths in [Widths::of(64), Widths::of(32)] {
            let word = widths.pack(3, Target::Task { row: 5, generation: u32::MAX });
            let generation = mask(widths.task_generation()) as u32;
            assert_eq!(widths.target_of(word), Target::Task { row: 5, generation });
            assert_eq!(widths.runtime_of(word), 3);
        }
    }
}
