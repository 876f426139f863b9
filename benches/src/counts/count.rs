//! What one operation costs.

use crate::operations::Operation;

/// What is counted in a run of a process: how often whatever it is happened.
#[derive(Clone, Copy, Default)]
pub(crate) struct Totals {
    /// Instructions that the processor executed.
    pub(crate) instructions: u64,
    /// Calls of `malloc` and its kin.
    pub(crate) allocations: u64,
}

/// What one operation costs.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Count {
    /// The operation's name.
    pub(crate) name: String,
    /// Instructions that the processor executed for it.
    pub(crate) instructions: f64,
    /// Allocations for it; a reallocation is one.
    pub(crate) allocations: f64,
}

impl Count {
    /// From a run that did it `operation.times` times, and one that did it twice as often.
    pub(crate) fn of(operation: &Operation, shorter: Totals, longer: Totals) -> Count {
        let one = |shorter, longer| one_of(operation, shorter, longer);
        Count {
            name: operation.name.to_owned(),
            instructions: one(shorter.instructions, longer.instructions),
            allocations: one(shorter.allocations, longer.allocations),
        }
    }
}

/// What one operation has in the difference of two runs.
pub(crate) fn one_of(operation: &Operation, shorter: u64, longer: u64) -> f64 {
    (longer as f64 - shorter as f64) / operation.times as f64
}
