//! `cargo bench -p gather-benches --bench postgres`: the example `postgres_pool` beside the same
//! program on tokio and in Python, in one table.
//!
//! Each gathers queries over a pool of 16 connections to a private PostgreSQL, which is started
//! here: 500 queries in which the server waits for 5 ms, where the pool is what limits, and 20,000
//! in which it does not, where the programs are. `--quick` asks fewer, once. Without PostgreSQL
//! nothing is measured, and without Python, or its asyncpg, two are: it says so.
//!
//! # How it is fair
//!
//! * **The same work.** One statement, over TCP with a password; the pool is full before the time
//!   begins. The results are collected in input order, and the first error would end the run.
//! * **The same libraries** for the two in Rust: tokio-postgres and deadpool, which parse the
//!   statement anew for each query. asyncpg has a pool of its own, keeps the statement prepared,
//!   and is told not to reset a connection that comes back, which would double its queries. Both
//!   are in its favour. Ours alone has a limit of time for each answer.
//! * **One thread each.** tokio runs its `current_thread` runtime, as a gather is one thread. The
//!   server has the other cores.
//! * **A process for each figure, in interleaved rounds**; the table has medians. The first round
//!   is not counted: in it the server is asked over and over how many backends each has.
//!
//! The programs: `ours.rs`, `on_tokio.rs`, `scripts/postgres_pool.py`. How that one gets its
//! library: `python.rs`.

#[path = "../../../examples/postgres/mod.rs"]
#[allow(dead_code, reason = "the example needs more of it")]
mod connection;
mod on_tokio;
mod ours;
mod python;

use std::error::Error;
use std::process::{Command, ExitCode, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{env, fmt, thread};

use connection::Failure;
use gather_tests::postgres::{Postgres, is_installed};
use tokio_postgres::types::Type;

use crate::python::Python;

type AnyError = Box<dyn Error>;

/// How many connections each pool has.
const CONNECTIONS: usize = 16;

/// How long the server may take for an answer: longer than any run.
const LIMIT: Duration = Duration::from_secs(60);

/// What each query asks. The server waits for so many seconds.
const SQL: &str = "select 2 * $1::int8, pg_sleep($2)";

#[derive(Clone, Copy)]
enum Peer {
    Ours,
    Tokio,
    Python,
}

impl Peer {
    const ALL: [Peer; 3] = [Peer::Ours, Peer::Tokio, Peer::Python];

    fn name(self) -> &'static str {
        match self {
            Peer::Ours => "gather",
            Peer::Tokio => "tokio",
            Peer::Python => "asyncio + asyncpg",
        }
    }
}

/// So many queries, of so long each.
#[derive(Clone, Copy)]
struct Work {
    queries: usize,
    /// For how long the server waits in each.
    pause_ms: u64,
}

impl Work {
    /// As the server wants it, in seconds.
    fn pause(self) -> f64 {
        self.pause_ms as f64 / 1000.0
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pause_ms {
            0 => write!(f, "{} empty ones", self.queries),
            pause => write!(f, "{} queries of {pause} ms", self.queries),
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let by_cargo_bench = env::args().any(|argument| argument == "--bench");
    let done = match arguments[..] {
        [] => compare(!by_cargo_bench),
        ["--quick"] => compare(true),
        ["--sample", name, url, queries, pause_ms] => sample(name, url, queries, pause_ms),
        // `cargo bench` gives the same arguments to every bench.
        _ => {
            println!("postgres: skipped, for it knows no argument but --quick");
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("postgres: {error}");
            ExitCode::FAILURE
        }
    }
}

/// In a process that this program has started: does one work, and prints its seconds.
fn sample(name: &str, url: &str, queries: &str, pause_ms: &str) -> Result<(), AnyError> {
    let work = Work { queries: queries.parse()?, pause_ms: pause_ms.parse()? };
    let elapsed = if name == Peer::Tokio.name() { on_tokio::run(url, work) } else { ours::run(url, work) };
    println!("{}", elapsed?.as_secs_f64());
    Ok(())
}

fn compare(is_quick: bool) -> Result<(), AnyError> {
    if !is_installed() {
        println!("postgres: skipped, for PostgreSQL is not installed");
        return Ok(());
    }
    let python =
        python::with_asyncpg().inspect_err(|why| println!("postgres: without asyncio, for {why}")).ok();
    let peers = Peer::ALL.into_iter().filter(|peer| match peer {
        Peer::Python => python.is_some(),
        Peer::Ours | Peer::Tokio => true,
    });
    let peers: Vec<_> = peers.collect();
    let (rounds, sizes) = if is_quick { (1, [100, 1000]) } else { (7, [500, 20_000]) };
    let works = [Work { queries: sizes[0], pause_ms: 5 }, Work { queries: sizes[1], pause_ms: 0 }];

    let postgres = Postgres::start();
    let setup = Setup { peers, url: postgres.database(), python };
    let mut lines = vec![format!("| {CONNECTIONS} connections |"), "|---|".to_owned()];
    lines.extend(setup.peers.iter().map(|peer| format!("| {} |", peer.name())));
    for work in works {
        let figures = setup.compare(work, rounds)?;
        lines[0] += &format!(" {work} | queries/s | time / gather's | most backends |");
        lines[1] += "--:|--:|--:|--:|";
        for (line, (time, backends)) in lines[2..].iter_mut().zip(&figures) {
            let (rate, ratio) = (work.queries as f64 / time, time / figures[0].0);
            *line += &format!(" {:.0} ms | {rate:.0} | {ratio:.2}× | {backends} |", time * 1000.0);
        }
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!("{cores} cores, PostgreSQL {}", postgres.sql("postgres", "show server_version"));
    for version in setup.python.iter().map(|python| &python.versions) {
        println!("{version}");
    }
    println!("\n{}", lines.join("\n"));
    Ok(())
}

/// Who is compared, and where.
struct Setup {
    peers: Vec<Peer>,
    url: String,
    python: Option<Python>,
}

impl Setup {
    /// For each peer the seconds that the work takes, and the most backends that were seen.
    fn compare(&self, work: Work, rounds: usize) -> Result<Vec<(f64, i64)>, AnyError> {
        eprintln!("{work}");
        let all = || self.peers.iter().copied();
        let backends = all().map(|peer| most_backends(&self.url, peer.name(), || self.measure(peer, work)));
        let backends = backends.collect::<Result<Vec<_>, _>>()?;
        let mut figures = vec![Vec::new(); backends.len()];
        for round in 1..=rounds {
            eprintln!("round {round} of {rounds}");
            for (figures, peer) in figures.iter_mut().zip(all()) {
                figures.push(self.measure(peer, work)?);
            }
        }
        Ok(figures.into_iter().map(median).zip(backends).collect())
    }

    fn measure(&self, peer: Peer, work: Work) -> Result<f64, AnyError> {
        let mut command = match (peer, &self.python) {
            (Peer::Python, Some(python)) => python.command(),
            _ => Command::new(env::current_exe()?),
        };
        let Work { queries, pause_ms } = work;
        command.args(["--sample", peer.name(), &self.url, &queries.to_string(), &pause_ms.to_string()]);
        seconds(command.output()?).map_err(|error| format!("{}: {error}", peer.name()).into())
    }
}

/// What a sample has printed.
fn seconds(output: Output) -> Result<f64, String> {
    let printed = String::from_utf8_lossy(&output.stdout);
    match printed.trim().parse() {
        Ok(seconds) if output.status.success() => Ok(seconds),
        _ => Err(format!("{}: {printed}{}", output.status, String::from_utf8_lossy(&output.stderr))),
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Has this done, and asks the server meanwhile how many backends work for connections of this
/// name. Gives the greatest answer.
fn most_backends(
    url: &str,
    name: &str,
    work: impl FnOnce() -> Result<f64, AnyError>,
) -> Result<i64, AnyError> {
    let sql = "select count(*) from pg_stat_activity where application_name = $1";
    let config = connection::url(url)?;
    let done = AtomicBool::new(false);
    thread::scope(|threads| {
        let watches = threads.spawn(|| {
            gather::run(async {
                let connection = connection::connect(&config, LIMIT, drop).await?;
                let mut most = 0;
                while !done.load(Ordering::Relaxed) {
                    let rows = connection.query(sql, &[(&name, Type::TEXT)]).await?;
                    most = rows[0].get::<_, i64>(0).max(most);
                    gather::sleep(Duration::from_millis(5)).await;
                }
                Ok::<_, Failure>(most)
            })
        });
        let worked = work();
        done.store(true, Ordering::Relaxed);
        let most = watches.join().expect("it does not panic")?;
        worked.map(|_| most)
    })
}
