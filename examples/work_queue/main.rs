//! A queue of jobs in PostgreSQL, for workers on any number of machines.
//!
//!     export URL=postgres://user:password@host/database
//!     cargo run --release --features postgres --example work_queue -- --url $URL --role submit --jobs 2000 --payload "sleep 5"
//!     cargo run --release --features postgres --example work_queue -- --url $URL --role work --concurrency 16
//!     cargo run --release --features postgres --example work_queue -- --url $URL --role status
//!
//! Start `--role work` as often and on as many machines as you like. A worker runs until Ctrl-C,
//! which lets it finish the jobs that it has begun, or with `--until-empty` until all jobs are
//! done or dead:
//!
//!     worker host:4711: 2,000 done, 0 failed, 0 lost in 923.54ms, 2,165 jobs/s, 17 connections
//!
//! and `--role status` says:
//!
//!     ready                                 0
//!     running                               0
//!     done                              2,000
//!     dead                                  0
//!     results                           2,000
//!
//! Its promises, and what keeps them:
//!
//! * No job is lost. A worker has a job for the time of a lease, which it extends while it works
//!   (a heartbeat). If it is killed, or its machine is, the lease ends and another takes the job.
//! * What a job writes to this database is written once, however often it is tried: the handler
//!   writes in the transaction that marks the job as done, and only the last attempt can mark it.
//!   Effects elsewhere (a mail) may happen twice.
//! * A job that fails is tried again after a pause that doubles. After so many attempts it is
//!   dead: no worker takes it, and its last error stands in the table. An attempt counts when it
//!   begins, so a job that kills its workers ends there, too.
//! * A worker outlives a restart of the server, a failover, a deadlock, a timeout: errors that
//!   pass are tried again after a pause. Any other error ends it, with the words of the server.
//! * Every question has a limit. A server that accepts and says nothing for as long as a lease is
//!   taken for gone: the worker drops its jobs, whose leases have ended, and connects again.
//! * If the server refuses some of the connections, the worker goes on with the others, says so,
//!   and asks for one more with each heartbeat.
//! * An idle worker waits for a notification, so a new job begins at once; and it looks twice a
//!   second for jobs whose pause or lease has ended.
//! * The queue stays small on the disk. No transaction is open while a job runs, unless its
//!   handler begins one, and a heartbeat touches no index (see `queue`). These are the dead rows
//!   of 16 long jobs, without autovacuum, beside an earlier version: it had one indexed column for
//!   both times, two extensions a second, and a transaction for the whole job.
//!
//!   | | before | now |
//!   |---|--:|--:|
//!   | after 17 s with a lease of 30 s | 551 | 32 |
//!   | and a vacuum | 551 | 0 |
//!   | after 50 s with a lease of 1 s | 3,211 | 16 |
//!   | size of that table, without indexes | 296 KiB | 8 KiB |
//!
//! * All times are those of the server: the clocks of the workers do not matter.
//!
//! This file is the command. The others: `queue` (the table: all SQL), `worker` (takes the jobs),
//! `jobs` (does them: put your own there), `tally` (its report), `options`; `../postgres` (a
//! connection, and the pool).

mod jobs;
mod options;
#[path = "../postgres/mod.rs"]
mod postgres;
mod queue;
#[path = "../start.rs"]
mod start;
mod tally;
mod worker;

use std::process::ExitCode;
use std::time::Duration;

use gather::sleep;
use gather_examples::complain;
use gather_examples::output::print;
use indicatif::HumanCount;

use crate::options::{Options, Role};
use crate::postgres::{Failure, connect};
use crate::tally::Tally;
use crate::worker::{PAUSE, Worker};

/// How long the server may take for an answer, where no lease says so.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let read = Options::parse(std::env::args_os().skip(1));
    let options = match start::chosen("work_queue", options::HELP, read) {
        Ok(options) => options,
        Err(code) => return code,
    };
    let ended = gather::run(async {
        match options.role {
            Role::Submit => submit(&options).await,
            Role::Work => work(&options).await,
            Role::Status => status(&options).await,
        }
    });
    let printed = match ended {
        Ok(report) => print(report).map_err(|error| format!("the report cannot be written: {error}")),
        Err(failure) => Err(failure.to_string()),
    };
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain!("work_queue: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn submit(options: &Options) -> Result<String, Failure> {
    let connection = connect(&options.config, PATIENCE, drop).await?;
    queue::create(&connection).await?;
    queue::submit(&connection, &options.payload, options.jobs, options.attempts).await?;
    Ok(format!("submitted {} jobs\n", HumanCount(options.jobs.into())))
}

/// Works until it is told to stop. After an error that may pass it connects again. Only at first
/// must the server be there: the URL may be wrong.
async fn work(options: &Options) -> Result<String, Failure> {
    let tally = Tally::default();
    let mut is_there = false;
    loop {
        let worked = match Worker::connect(options, &tally).await {
            Ok(worker) => worker.work().await,
            Err(failure @ Failure::Connect(..)) if !is_there => return Err(failure),
            Err(failure) => Err(failure),
        };
        match worked {
            // The jobs at work come back when their leases end.
            Err(failure) if failure.may_pass() && !tally.asked_to_stop.get() => {
                complain!("work_queue: {failure}; again in {} s", PAUSE.as_secs());
            }
            ended => {
                ended?;
                return Ok(format!("worker {}: {tally}\n", tally::name()));
            }
        }
        is_there = true;
        sleep(PAUSE).await;
    }
}

async fn status(options: &Options) -> Result<String, Failure> {
    let connection = connect(&options.config, PATIENCE, drop).await?;
    queue::create(&connection).await?;
    let status = queue::status(&connection).await?;
    let line = |(state, jobs)| format!("{state:<28} {:>10}\n", HumanCount(jobs as u64).to_string());
    let mut report: String = status.counts.map(line).concat();
    if !status.errors.is_empty() {
        report += "\nlast errors of the dead\n";
    }
    report.extend(status.errors.iter().map(|(id, error)| format!("  job {id}: {error}\n")));
    Ok(report)
}
