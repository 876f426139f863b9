//! Five hundred queries gathered over sixteen connections to PostgreSQL: tokio-postgres on this
//! runtime's sockets, and deadpool's pool.
//!
//!     cargo run --release --features postgres --example postgres_pool -- --url postgres://user:password@localhost/database
//!
//! All queries are gathered at once; the pool lets sixteen of them through to the server. The
//! answers come in input order. If the server goes away in the middle, the queries at work fail.
//! Each is tried again, on a new connection, while the server answers others, or for as long as
//! `--patience` says; failures are counted by kind. A server that is silent is away, too: an
//! answer has the time of `--limit`. If the server refuses some of the connections, the run goes
//! on with the others. With `--pause 100 --watch`, and a restart of the server after a second, it
//! prints:
//!
//!     500 queries over 16 connections to PostgreSQL 15.18
//!
//!     succeeded                           500
//!     failed                                0
//!     connections opened                   32
//!     backends at most                     16
//!     time                              4.62s
//!     queries/s                           108
//!
//!     latency of a query
//!       p50                          101.19ms
//!       p99                          103.61ms
//!       max                          107.35ms
//!
//! then a histogram, and:
//!
//!     tried again, by kind of failure
//!       cannot connect: connection refused 2,415
//!       connection closed 7
//!       connection lost: connection reset 16
//!       terminating connection due to administrator command (57P01) 16
//!       the database system is shutting down (57P03) 38
//!
//! `--watch` asks the server itself (`pg_stat_activity`) how many backends there are, on one more
//! connection.
//!
//! This file is the whole flow. The others: `options` (the command line), `report`; `../postgres`
//! (a connection, and the pool), and the progress bar and the latencies of `load_test`.

#[path = "../load_test/latency.rs"]
mod latency;
mod options;
#[allow(dead_code, reason = "work_queue needs more of it")]
#[path = "../postgres/mod.rs"]
mod postgres;
#[path = "../load_test/progress.rs"]
mod progress;
mod report;
#[path = "../start.rs"]
mod start;

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::process::{self, ExitCode};
use std::time::{Duration, Instant};

use gather::{Outcomes, gather, scope, sleep, timeout};
use gather_examples::complain;
use gather_examples::output::print;
use tokio_postgres::types::Type;

use crate::options::Options;
use crate::postgres::pool::{Pool, Taken};
use crate::postgres::{Failure, connect};
use crate::progress::Progress;
use crate::report::{Kinds, Report};

fn main() -> ExitCode {
    let read = Options::parse(std::env::args_os().skip(1));
    let options = match start::chosen("postgres_pool", options::HELP, read) {
        Ok(options) => options,
        Err(code) => return code,
    };
    let printed = match gather::run(postgres_pool(&options)) {
        Ok(report) => print(&report)
            .map(|()| report.failures.is_empty())
            .map_err(|error| format!("the report cannot be written: {error}")),
        Err(failure) => Err(failure.to_string()),
    };
    match printed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain!("postgres_pool: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn postgres_pool(options: &Options) -> Result<Report, Failure> {
    let mut config = options.config.clone();
    config.application_name(name());
    let pool = Pool::new(config, options.connections, options.limit);
    // Before the run: a server that is not there is one clear error, not five hundred.
    let rows = pool.take().await?.query("select current_setting('server_version')", &[]).await?;
    let version = rows[0].get(0);
    let run = Run {
        options,
        pool,
        progress: Progress::new(options.queries, true),
        answered: Cell::new(Instant::now()),
        tried_again: RefCell::default(),
    };
    let backends = Cell::new(None);

    let started = Instant::now();
    let outcomes = scope(async |s| {
        if options.watch {
            s.spawn(watch(options, &backends));
        }
        s.spawn(run.grow());
        let queries = (0..options.queries).map(|number| run.progress.count(run.query(number)));
        let outcomes = gather(queries).named("queries").capture().await;
        s.cancel(); // what watches has no end of its own
        Ok(outcomes)
    })
    .await?;
    let elapsed = started.elapsed();
    run.progress.finish();

    let mut failures = Kinds::default();
    outcomes.failures().for_each(|(_, failure)| failures.add(failure));
    Ok(Report {
        version,
        connections: options.connections,
        queries: options.queries,
        latencies: outcomes.into_iter().filter_map(Result::ok).collect(),
        opened: run.pool.opened(),
        refused: run.pool.refused(),
        backends: backends.get(),
        elapsed,
        tried_again: run.tried_again.into_inner(),
        failures,
    })
}

/// What the server calls the connections of this process's pool.
fn name() -> String {
    format!("postgres_pool {}", process::id())
}

/// What every query borrows.
struct Run<'a> {
    options: &'a Options,
    pool: Pool,
    progress: Progress,
    /// When the server last answered any of them.
    answered: Cell<Instant>,
    tried_again: RefCell<Kinds>,
}

impl Run<'_> {
    /// One query, again and again while its failure may pass and the server answers others, or
    /// there is patience. Returns the latency of the try that succeeded.
    async fn query(&self, number: usize) -> Result<Duration, Failure> {
        let mut pause = Duration::from_millis(10);
        loop {
            let failure = match self.try_query(number as i64).await {
                Ok(latency) => return Ok(latency),
                Err(failure) => failure,
            };
            if !failure.may_pass() || self.answered.get().elapsed() + pause > self.options.patience {
                return Err(failure);
            }
            self.tried_again.borrow_mut().add(&failure);
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    async fn try_query(&self, number: i64) -> Result<Duration, Failure> {
        let connection = self.take().await?;
        let started = Instant::now();
        // The server waits for so long. A real query would look something up.
        let sql = "select 2 * $1, pg_sleep($2)";
        let pause = self.options.pause.as_secs_f64();
        let rows = connection.query(sql, &[(&number, Type::INT8), (&pause, Type::FLOAT8)]).await?;
        let latency = started.elapsed();
        self.answered.set(Instant::now());
        assert_eq!(rows[0].get::<_, i64>(0), 2 * number, "the answer to another question");
        Ok(latency)
    }

    /// Asks once a second for one more of the connections that the server has refused.
    async fn grow(&self) -> Result<(), Failure> {
        loop {
            sleep(Duration::from_secs(1)).await;
            self.pool.grow();
        }
    }

    /// Waits for a connection, for as long as the server answers others, or there is patience: so
    /// that a silent server fails all that wait at once, and not sixteen at a time.
    async fn take(&self) -> Result<Taken<'_>, Failure> {
        let Options { limit, patience, .. } = *self.options;
        let mut taken = pin!(self.pool.take());
        loop {
            match timeout(limit, taken.as_mut()).await {
                Ok(taken) => return taken,
                Err(_) if self.answered.get().elapsed() < limit.max(patience) => {}
                Err(_) => return Err(Failure::Silent(limit)),
            }
        }
    }
}

/// Asks the server over and over how many backends work for the pool, and keeps the greatest
/// answer.
async fn watch(options: &Options, most: &Cell<Option<i64>>) -> Result<(), Failure> {
    let mut config = options.config.clone();
    config.application_name("postgres_pool --watch");
    let sql = "select count(*) from pg_stat_activity where application_name = $1";
    loop {
        let asking = async {
            let connection = connect(&config, options.limit, drop).await?;
            loop {
                let rows = connection.query(sql, &[(&name(), Type::TEXT)]).await?;
                most.set(most.get().max(Some(rows[0].get(0))));
                sleep(Duration::from_millis(20)).await;
            }
        };
        let asked: Result<(), Failure> = asking.await;
        // The server is gone, perhaps for a moment. That is not what the run fails of.
        drop(asked);
        sleep(Duration::from_millis(100)).await;
    }
}
