//! `cargo counts`: the instructions, allocations and system calls of the hot operations, and
//! whether they grew.
//!
//! | argument | what it does |
//! |---|---|
//! | none | counts, compares with `benches/counts.txt`, and fails if something grew |
//! | `--accept` | counts, and writes `benches/counts.txt` |
//! | `--markdown` | counts system calls, and prints them with the baseline: the table of the guide's page on costs |
//! | `ready`, `"yield"`, … | counts the operation of that name, or else those with that in their names; may be repeated |
//! | `--where "yield"` | lists the functions in which the operation's instructions were executed, most first |
//! | `--run "yield" 1000` | does the operation a thousand times in this process, for a profiler |
//!
//! Time says how fast a machine was on a day; a count says what the program did, and is the same
//! the next time. So a change that makes a path longer by one instruction in thirty shows here, on
//! any machine, however loaded it is.
//!
//! # How it counts
//!
//! * Each operation is done n times in one process and 2n times in another, under valgrind's
//!   callgrind. What one operation costs is the difference by n: starting the process and the
//!   runtime, and the first growth of its tables, drop out.
//! * Callgrind counts every instruction of the program, on all its threads, also those in the
//!   system's libraries. It also counts who calls whom, so the calls of `malloc` and its kin are
//!   the allocations; the program itself counts nothing, and is the one that users build.
//! * System calls are counted by strace, likewise. They are for the page of the guide, and are not
//!   compared.
//! * It needs valgrind, and does without a crate around it: a crate would start the same program,
//!   keep its baselines where nobody reviews them, and compare whole runs instead of their
//!   differences.
//!
//! # What the figures belong to
//!
//! A compiler: with another than the baseline's, instructions are reported and do not fail.
//! Allocations do. A processor and a C library have a part in them, too, where bytes are copied or
//! a clock is read; it is small beside what is tolerated.
//!
//! Read on in `operations.rs` (what is counted), `callgrind.rs` (how), `baseline.rs` (compared
//! with what).

mod baseline;
mod callgrind;
mod count;
mod operations;
mod strace;
mod table;

use std::error::Error;
use std::process::ExitCode;

use baseline::Baseline;
use operations::Operation;

/// What the arguments ask for.
#[derive(Default)]
struct Arguments {
    /// Names of operations, or parts of them; empty for all.
    filters: Vec<String>,
    /// Whether to take the counts as the new baseline.
    accept: bool,
    /// Whether to print the table for the guide.
    markdown: bool,
    /// Whether to list functions.
    list_functions: bool,
}

/// Reads a number of times.
fn times(argument: Option<String>) -> Result<u64, Box<dyn Error>> {
    Ok(argument.ok_or("--run takes the name of an operation and how often to do it")?.parse()?)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = Arguments::default();
    let mut rest = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--accept" => arguments.accept = true,
            "--markdown" => arguments.markdown = true,
            "--where" => arguments.list_functions = true,
            "--run" => {
                let name = rest.next().unwrap_or_default();
                let operation = Operation::named(&name).ok_or("--run takes the name of an operation")?;
                operation.run(times(rest.next())?);
                return Ok(ExitCode::SUCCESS);
            }
            flag if flag.starts_with('-') => {
                return Err(format!("{flag} is none of --accept, --markdown, --where, --run").into());
            }
            _ => arguments.filters.push(argument),
        }
    }
    if !std::env::args().any(|argument| argument == "--bench") {
        // `cargo test --all-targets` only wants to know that it builds and runs.
        Operation::ALL.iter().for_each(|operation| operation.run(operation.unit));
        return Ok(ExitCode::SUCCESS);
    }
    count(&arguments)
}

/// Counts what was asked for, and says what came out.
fn count(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let chosen: Vec<&Operation> =
        Operation::ALL.iter().filter(|one| one.is_chosen(&arguments.filters)).collect();
    if chosen.is_empty() {
        return Err(format!("no operation has a name with any of {:?} in it", arguments.filters).into());
    }
    if arguments.list_functions {
        for operation in chosen {
            println!("{}:\n{}", operation.name, table::functions(&callgrind::functions(operation)?));
        }
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.markdown {
        print!("{}", guide()?);
        return Ok(ExitCode::SUCCESS);
    }
    let counts = callgrind::counts(&chosen)?;
    print!("{}", table::plain(&counts));
    let present = Baseline::of(counts)?;
    if arguments.accept {
        present.write(arguments.filters.is_empty())?;
        return Ok(ExitCode::SUCCESS);
    }
    let verdict = baseline::compare(&Baseline::read()?, &present, arguments.filters.is_empty());
    verdict.remarks.iter().for_each(|remark| println!("{remark}"));
    Ok(if verdict.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The table of the guide: the baseline, and the system calls.
fn guide() -> Result<String, Box<dyn Error>> {
    let baseline = Baseline::read()?;
    let line = |name: &str| {
        let operation = Operation::named(name).ok_or("the guide shows what is counted")?;
        let count = baseline.get(name).ok_or("it has a baseline")?;
        Ok::<_, Box<dyn Error>>((count.clone(), strace::calls(operation)?))
    };
    let lines = table::IN_THE_GUIDE.into_iter().map(line).collect::<Result<Vec<_>, _>>()?;
    Ok(table::markdown(&lines))
}
