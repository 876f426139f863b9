//! `cargo bench -p gather-benches`: this project beside its peers, in one table.
//!
//! | argument after `--` | what it does |
//! |---|---|
//! | `ready`, `"yield 1e4"`, … | runs the row of that name, or else the rows with that in their names; may be repeated |
//! | `--quick` | one round of short samples, for CI: shows what broke, not what is a tenth slower |
//! | `--markdown` | prints the table as the README has it |
//! | `--sample "yield 100" gather` | takes one figure in this process, for a profiler |
//! | `--serve echo gather` | is the server of such a process (`echo`, `answers` or `http`); prints its port |
//!
//! Started by anything but `cargo bench` (`cargo test --all-targets` does that) it is quick.
//!
//! # How it is fair
//!
//! * **One process for each figure.** This process only starts others. Each of them does one row's work with one peer: one
//!   warm-up, then samples until its time is up, and their median. So no peer inherits another's heap, caches or threads.
//! * **Interleaved rounds.** A round asks every peer once; the table has the median of the rounds. What else the machine does
//!   falls on all of them.
//! * **One core.** With `taskset` on the machine, every process is pinned to the same core, its helper threads too.
//! * **The other side of a socket**, in the rows of the network, is the same for everybody and has a core of its own. More on
//!   those rows, which are there on Linux, in `net/mod.rs`.
//! * **The same children.** A row's child is one hand-written future, used by all. Making the futures, and collecting the
//!   outputs into a `Vec`, is part of the work for everybody. Starting a runtime is not part of it for anybody.
//! * **Peers as in a real program.** tokio and smol have their reactor and timers, as ours always has. What is only a future
//!   (futures-buffered, futures, futures-concurrency) runs on `futures_lite::future::block_on`, which has neither: that is in
//!   their favour. They run their `try_join_all`, which does what ours does: fail-fast, outputs in order. Their `join_all`
//!   takes as long, within a tenth. `FuturesUnordered` and `JoinSet` collect in completion order, which is less work.
//! * **Macros.** `join` has the `try_join!` of futures in the line of `try_join_all`, and tokio's in that of `LocalRuntime`.
//! * **A floor.** `hand` is what a person would write by hand for this one row, with no executor.
//! * **tokio's budget.** tokio makes a task's own resources return `Pending` after 128 uses in one poll. The children use no
//!   resource of tokio's, so only awaiting their handles spends it; that is part of its cost, as `gather`'s bound on the
//!   children that it polls at once is part of ours.
//!
//! Read on in `rows.rs` (what is measured), `peers.rs` (with what), `measure.rs` (how), `net/mod.rs` (over the network).

mod chain;
mod hand;
mod joins;
mod machine;
mod measure;
#[cfg(target_os = "linux")]
mod net;
mod peers;
mod ready;
mod rows;
mod spawning;
mod table;
mod yields;

use measure::{Effort, Figures};
use peers::Contender;
use rows::Row;

/// What the arguments ask for.
struct Arguments {
    /// Names of rows, or parts of them; empty for all.
    filters: Vec<String>,
    /// Whether to print the table for a README.
    markdown: bool,
    /// How long to measure.
    effort: Effort,
    /// Set in a process that this program started: the one row and contender to sample.
    sample: Option<(Row, Contender)>,
    /// Set in a process that a sampling process started: what to serve, and with whom.
    #[cfg(target_os = "linux")]
    serve: Option<(String, String)>,
}

impl Arguments {
    /// Reads the arguments of this process, or says what is wrong with them.
    fn parse() -> Result<Self, String> {
        let by_cargo_bench = std::env::args().any(|argument| argument == "--bench");
        let effort = if by_cargo_bench { Effort::Full } else { Effort::Quick };
        let mut arguments = Self {
            filters: Vec::new(),
            markdown: false,
            effort,
            sample: None,
            #[cfg(target_os = "linux")]
            serve: None,
        };
        let mut rest = std::env::args().skip(1);
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--bench" => {}
                "--quick" => arguments.effort = Effort::Quick,
                "--markdown" => arguments.markdown = true,
                "--sample" => {
                    let row = rest.next().and_then(|name| Row::named(&name));
                    let contender = rest.next().and_then(|name| Contender::named(&name));
                    let both =
                        row.zip(contender).ok_or("--sample takes the names of a row and a contender")?;
                    arguments.sample = Some(both);
                }
                #[cfg(target_os = "linux")]
                "--serve" => arguments.serve = rest.next().zip(rest.next()),
                flag if flag.starts_with('-') => {
                    return Err(format!("{flag} is none of --quick, --markdown, --sample"));
                }
                _ => arguments.filters.push(argument),
            }
        }
        Ok(arguments)
    }

    /// Whether `row` was asked for.
    fn chose(&self, row: Row) -> bool {
        // "yield 1" is a name; it does not ask for "yield 100" too.
        let names_it = |filter: &String| match Row::named(filter) {
            Some(named) => named == row,
            None => row.to_string().contains(filter),
        };
        self.filters.is_empty() || self.filters.iter().any(names_it)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse()?;
    #[cfg(target_os = "linux")]
    if let Some((service, contender)) = arguments.serve {
        return Ok(net::serve(&service, &contender)?);
    }
    if let Some((row, contender)) = arguments.sample {
        println!("{}", measure::median_sample(row, contender, arguments.effort));
        return Ok(());
    }
    let rows: Vec<Row> = Row::all().filter(|&row| arguments.chose(row)).collect();
    if rows.is_empty() {
        return Err(format!("no row has a name with any of {:?} in it", arguments.filters).into());
    }
    let core = machine::pinned_core();
    println!("{}", machine::describe(core));
    let figures = Figures::collect(&rows, arguments.effort, core)?;
    print!("{}", if arguments.markdown { table::markdown(&figures) } else { table::plain(&figures) });
    println!("\n{}", figures.spread());
    Ok(())
}
