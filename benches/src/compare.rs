//! `cargo bench -p gather-benches`: this project beside its peers, in tables.
//!
//! | argument after `--` | what it does |
//! |---|---|
//! | `ready`, `"yield 1e4"`, … | runs the row of that name, or else the rows with that in their names; may be repeated |
//! | `--quick` | one round of short samples, for CI: shows what broke, not what is a tenth slower |
//! | `--markdown` | prints the tables as the README has them |
//! | `--flat` | the rows that show how our costs grow with the number of children, ours only, in place of the comparison |
//! | `--report` | runs both, and writes `benches/REPORT.md` with charts in `benches/charts/`, and the table of `README.md` |
//! | `--sample "yield 100" gather` | takes one figure in this process, for a profiler |
//! | `--explain "chain 1e6"` | counts instructions and misses of the caches for an operation of gather's, in this process |
//! | `--serve echo gather` | is the server of such a process (`echo`, `answers` or `http`); prints its port |
//!
//! Started by anything but `cargo bench` (`cargo test --all-targets` does that) it is quick.
//!
//! # How it is fair
//!
//! * **One process for each figure.** This process only starts others. Each of them does one row's
//!   work with one peer: one warm-up, then samples until its time is up, and their median. So no
//!   peer inherits another's heap, caches or threads.
//! * **Interleaved rounds.** A round asks every peer once; the table has the median of the rounds.
//!   What else the machine does falls on all of them. A ratio is formed within each round, and the
//!   table has the median of the rounds' ratios.
//! * **One core.** With `taskset` on the machine, every process is pinned to the same core, its
//!   helper threads too.
//! * **The other side of a socket**, in the rows of the network, is the same for everybody and has
//!   a core of its own. More on those rows, which are there on Linux, in `net/mod.rs`.
//! * **The same children.** A row's child is one hand-written future, used by all. Making the
//!   futures, and collecting the outputs into a `Vec`, is part of the work for everybody. Starting
//!   a runtime is not part of it for anybody.
//! * **Peers as in a real program.** tokio and smol have their reactor and timers, as ours always
//!   has. What is only a future (futures-buffered, futures, futures-concurrency) runs on
//!   `futures_lite::future::block_on`, which has neither: that is in their favour. They run their
//!   `try_join_all`, which does what ours does: fail-fast, outputs in order. Their `join_all`
//!   takes as long, within a tenth. `FuturesUnordered` and `JoinSet` collect in completion order,
//!   which is less work.
//! * **Macros.** `join` has the `try_join!` of futures in the line of `try_join_all`, and tokio's
//!   in that of `LocalRuntime`.
//! * **Scripts.** Python's asyncio, uvloop and Node do the same work in their own language, where
//!   they are installed: `scripts.rs`.
//! * **A floor.** `hand` is what a person would write by hand for this one row, with no executor.
//! * **tokio's budget.** tokio makes a task's own resources return `Pending` after 128 uses in one
//!   poll. The children use no resource of tokio's, so only awaiting their handles spends it; that
//!   is part of its cost, as `gather`'s bound on the children that it polls at once is part of
//!   ours.
//! * **Threads.** Where a thread wakes the loop it has a core of its own, if the machine has two.
//!   The first core that this process may use is the thread's, the last is the loop's.
//! * **Processor time.** What sleeps is measured in the processor time of its process, helper
//!   threads too. Memory is measured in what the kernel says that the process had at most. Both
//!   have the unit in the table's first corner.
//! * **Long rows.** A million timers, and what is memory (but HTTP's) or a count, is measured once
//!   in a process, without a warm-up; a million timers in three rounds, and with `--quick` only if
//!   they are named.
//! * **Hangs.** A process that takes twenty seconds is ended, and a line below the tables says so.
//!   compio 0.19 hangs in some runs of `wake 1e3`: its loop sleeps, while tasks that the other
//!   thread woke were not polled.
//! * **io_uring.** monoio, compio and glommio are on Linux only. One that does not start on a
//!   machine (a container often has no io_uring, and glommio locks memory, see `ulimit -l`) is
//!   left out, and the line below the tables says why. monoio runs on epoll too. All four spawn a
//!   task for each child and await them in input order, as tokio's and smol's users do.
//!
//! Read on in `rows.rs` (what is measured), `peers.rs` (with what), `measure.rs` (how),
//! `net/mod.rs` (over the network).

mod chain;
mod charts;
#[cfg(target_os = "linux")]
mod counters;
mod failing;
mod hand;
mod hand_timers;
mod joins;
mod limit;
mod machine;
mod measure;
mod memory;
mod mutexes;
mod nested;
#[cfg(target_os = "linux")]
mod net;
mod peers;
mod ready;
mod remote;
mod report;
mod rows;
#[cfg(target_os = "linux")]
mod scripts;
mod sleeps;
mod spawning;
mod table;
mod timeouts;
mod yields;

use measure::{Cores, Effort, Figures};
use peers::Peer;
use rows::Row;

/// What the arguments ask for.
struct Arguments {
    /// Names of rows, or parts of them; empty for all.
    filters: Vec<String>,
    /// Whether to print the tables for a README.
    markdown: bool,
    /// Whether to run the rows that show how costs grow.
    flat: bool,
    /// Whether to run those too and to write it all to `REPORT.md`, with charts.
    report: bool,
    /// How long to measure.
    effort: Effort,
    /// Set in a process that this program started: what it is to do.
    job: Option<Job>,
}

/// What a process does that this program started.
#[derive(Clone, Copy)]
enum Job {
    /// Sample one row with one peer.
    Sample(Row, Peer),
    /// Count what the processor does for one row with gather.
    #[cfg(target_os = "linux")]
    Explain(Row),
    /// See whether a peer starts here.
    Start(Peer),
    /// Serve until it is killed: what, and with whom.
    #[cfg(target_os = "linux")]
    Serve(net::Service, Peer),
}

impl Arguments {
    /// Reads the arguments of this process, or says what is wrong with them.
    fn parse() -> Result<Self, String> {
        let by_cargo_bench = std::env::args().any(|argument| argument == "--bench");
        let effort = if by_cargo_bench { Effort::Full } else { Effort::Quick };
        let mut arguments =
            Self { filters: Vec::new(), markdown: false, flat: false, report: false, effort, job: None };
        let mut rest = std::env::args().skip(1);
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--bench" => {}
                "--quick" => arguments.effort = Effort::Quick,
                "--markdown" => arguments.markdown = true,
                "--flat" => arguments.flat = true,
                "--report" => arguments.report = true,
                "--sample" => {
                    let row = rest.next().and_then(|name| Row::named(&name));
                    let peer = rest.next().and_then(|name| Peer::named(&name));
                    let (row, peer) = row.zip(peer).ok_or("--sample takes the names of a row and a peer")?;
                    arguments.job = Some(Job::Sample(row, peer));
                }
                #[cfg(target_os = "linux")]
                "--explain" => {
                    let row = rest.next().and_then(|name| Row::named(&name));
                    arguments.job = Some(Job::Explain(row.ok_or("--explain takes the name of a row")?));
                }
                "--start" => {
                    let peer = rest.next().and_then(|name| Peer::named(&name));
                    arguments.job = peer.map(Job::Start);
                }
                "--helpers-on" => {
                    let core = rest.next().and_then(|core| core.parse().ok());
                    machine::set_helper_core(core.ok_or("--helpers-on takes the number of a core")?);
                }
                #[cfg(target_os = "linux")]
                "--serve" => {
                    let service = rest.next().and_then(|name| net::Service::named(&name));
                    let peer = rest.next().and_then(|name| Peer::named(&name));
                    let (service, peer) =
                        service.zip(peer).ok_or("--serve takes the names of a service and a peer")?;
                    arguments.job = Some(Job::Serve(service, peer));
                }
                flag if flag.starts_with('-') => {
                    return Err(format!("{flag} is none of --quick, --markdown, --flat, --report, --sample"));
                }
                _ => arguments.filters.push(argument),
            }
        }
        Ok(arguments)
    }

    /// The rows that were asked for.
    fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = if self.flat { Row::flat().collect() } else { Row::all().collect() };
        rows.retain(|&row| self.chose(row));
        for named in self.filters.iter().filter_map(|filter| Row::named(filter)) {
            if !rows.contains(&named) {
                rows.push(named); // one of those of `--flat`
            }
        }
        rows
    }

    /// Whether `row` was asked for.
    fn chose(&self, row: Row) -> bool {
        if self.filters.is_empty() {
            return self.effort == Effort::Full || !row.is_long();
        }
        // "yield 1" is a name; it does not ask for "yield 100" too.
        self.filters.iter().any(|filter| match Row::named(filter) {
            Some(named) => named == row,
            None => row.to_string().contains(filter),
        })
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse()?;
    match arguments.job {
        Some(Job::Sample(row, peer)) if !row.suits(peer) => {
            return Err(format!("{} cannot do {row}", peer.name()).into());
        }
        Some(Job::Sample(row, peer)) => {
            println!("{}", measure::median_sample(row, peer, arguments.effort));
            return Ok(());
        }
        #[cfg(target_os = "linux")]
        Some(Job::Explain(row)) => {
            let counts = counters::explain(row, arguments.effort)?;
            counts.iter().for_each(|(name, count)| println!("{count:.2} {name}"));
            return Ok(());
        }
        Some(Job::Start(peer)) => {
            peer.start();
            return Ok(());
        }
        #[cfg(target_os = "linux")]
        Some(Job::Serve(service, peer)) => {
            net::serve(service, peer);
            return Ok(());
        }
        None => {}
    }
    #[cfg(target_os = "linux")]
    if arguments.effort == Effort::Full && !arguments.flat {
        scripts::install_uvloop();
    }
    let rows = arguments.rows();
    if rows.is_empty() {
        return Err(format!("no row has a name with any of {:?} in it", arguments.filters).into());
    }
    let loops = machine::pinned_core();
    let cores = Cores { loops, helpers: machine::helper_core(loops) };
    let machine = machine::describe(cores);
    println!("{machine}");
    let peers = if arguments.flat { &[Peer::Ours] } else { Peer::ALL };
    let figures = Figures::collect(&rows, peers, arguments.effort, cores)?;
    print!("{}", if arguments.markdown { table::markdown(&figures) } else { table::plain(&figures) });
    println!("{}", figures.spread());
    figures.remarks().iter().for_each(|remark| println!("{remark}"));
    if arguments.report {
        let mut rows: Vec<Row> = Row::flat().collect();
        rows.retain(|row| arguments.effort == Effort::Full || !row.is_long());
        let flat = Figures::collect(&rows, &[Peer::Ours], arguments.effort, cores)?;
        let complete = arguments.filters.is_empty() && arguments.effort == Effort::Full;
        #[cfg(target_os = "linux")]
        let counts = counters::explain_all(&rows, arguments.effort, cores)?;
        #[cfg(not(target_os = "linux"))]
        let counts = Vec::new();
        report::write(&figures, &report::Growth { flat, counts }, &machine, complete)?;
        println!("written to benches/REPORT.md and benches/charts/");
    }
    Ok(())
}
