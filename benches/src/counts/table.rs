//! The tables: for a terminal, and for the guide.

use std::fmt::Write;

use crate::count::Count;
use crate::operations::Operation;

/// The counts for a terminal.
pub(crate) fn plain(counts: &[Count]) -> String {
    let mut text = format!("{:<14}{:>14}{:>14}\n", "for one", "instructions", "allocations");
    for Count { name, instructions, allocations } in counts {
        text += &format!("{name:<14}{instructions:>14.1}{allocations:>14.3}\n");
    }
    text + "\n"
}

/// The operations that the guide shows.
pub(crate) const IN_THE_GUIDE: [&str; 13] = [
    "ready",
    "wait",
    "yield",
    "hop",
    "join ready",
    "task yield",
    "spawn root",
    "timer",
    "timeout",
    "sleep",
    "remote wake",
    "write, read",
    "echo",
];

/// The counts for the guide, with the system calls of each.
pub(crate) fn markdown(counts: &[(Count, f64)]) -> String {
    let mut text =
        "//! | one | instructions | allocations | system calls |\n//! |---|--:|--:|--:|\n".to_owned();
    for (Count { name, instructions, allocations }, calls) in counts {
        let what = Operation::named(name).map_or("", |operation| operation.what);
        let (instructions, [allocations, calls]) = (instructions.round(), [*allocations, *calls].map(short));
        writeln!(text, "//! | `{name}`: {what} | {instructions} | {allocations} | {calls} |")
            .expect("a string takes everything");
    }
    text
}

/// The functions in which an operation spends its instructions, down to those with less than one
/// in a hundred.
pub(crate) fn functions(functions: &[(String, f64)]) -> String {
    let total: f64 = functions.iter().map(|(_, instructions)| instructions).sum();
    let mut text = format!("{total:>12.1}  in all\n");
    for (name, instructions) in
        functions.iter().take_while(|(_, instructions)| *instructions >= total / 100.0)
    {
        text += &format!("{instructions:>12.1}  {name}\n");
    }
    text
}

/// A small number, with as many digits as mean something.
fn short(number: f64) -> String {
    match (number * 100.0).round() / 100.0 {
        0.0 => "0".to_owned(),
        whole if whole.fract() == 0.0 => format!("{whole:.0}"),
        other => format!("{other}"),
    }
}
