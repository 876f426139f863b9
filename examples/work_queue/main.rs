//! A queue of jobs in PostgreSQL, for workers on any number of machines.
//!
//!     export URL=postgres://user:password@host/database
//!     cargo run --release --example work_queue -- --url $URL --role submit --jobs 2000 --payload "sleep 5"
//!     cargo run --release --example work_queue -- --url $URL --role work --concurrency 16
//!     cargo run --release --example work_queue -- --url $URL --role status
//!
//! Start `--role work` as often and on as many machines as you like. A worker runs until Ctrl-C, which lets it finish what it
//! has begun, or with `--until-empty` until all jobs are done or dead:
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
//! What it promises, and what keeps the promise:
//!
//! * No job is lost. A worker has a job for the time of a lease, which it extends while it works (a heartbeat). If it is
//!   killed, or its machine is, the lease ends and another takes the job.
//! * Nobody waits for ever. A server that accepts and says nothing for as long as a lease is taken for gone: the worker drops what it is
//!   at work on, whose leases have ended, and connects again.
//! * What a job writes to this database is written once, however often it is tried: the handler writes in the transaction that
//!   marks the job as done, and only the last who took the job can mark it. What it does elsewhere (a mail) may happen twice.
//! * A job that fails is tried again after a pause that doubles. After so many attempts it is dead: nobody takes it, and its
//!   last error stands in the table. An attempt counts when it begins, so a job that kills its workers ends there, too.
//! * An idle worker waits for a notification, so a new job begins at once; and it looks twice a second, for those whose pause
//!   or lease has ended.
//! * All times are those of the server: the clocks of the workers do not matter.
//!
//! This file is the command; the others: `queue` (the table: all SQL), `worker` (who takes jobs), `jobs` (what they do: put
//! your own there), `options`; `../postgres` (a connection, and the pool).

mod jobs;
mod options;
#[path = "../postgres/mod.rs"]
mod postgres;
mod queue;
#[path = "../start.rs"]
mod start;
mod worker;

use std::process::ExitCode;
use std::time::Duration;

use gather::sleep;
use indicatif::HumanCount;

use crate::options::{Options, Role};
use crate::postgres::{Failure, connect};
use crate::worker::{Tally, Worker};

fn main() -> ExitCode {
    let read = Options::parse(std::env::args_os().skip(1));
    let options = match start::chosen("work_queue", options::HELP, read) {
        Ok(options) => options,
        Err(code) => return code,
    };
    let done = gather::run(async {
        match options.role {
            Role::Submit => submit(&options).await,
            Role::Work => work(&options).await,
            Role::Status => status(&options).await,
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("work_queue: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn submit(options: &Options) -> Result<(), Failure> {
    let client = connect(&options.config, drop).await?;
    queue::create(&client).await?;
    queue::submit(&client, &options.payload, options.jobs, options.attempts).await?;
    println!("submitted {} jobs", HumanCount(options.jobs.into()));
    Ok(())
}

/// Works until it is told to stop. When the connection is lost, it connects again; only at first must the server be there.
async fn work(options: &Options) -> Result<(), Failure> {
    let tally = Tally::default();
    let mut connected = Ok(Worker::connect(options, &tally).await?);
    loop {
        let worked = match connected {
            Ok(worker) => worker.work().await,
            Err(failure) => Err(failure),
        };
        match worked {
            // Its jobs come back when their leases end.
            Err(failure) if failure.is_of_the_connection() && tally.asked_to_stop.get() => {
                return Err(failure);
            }
            Err(failure) if failure.is_of_the_connection() => {
                eprintln!("work_queue: {failure}; again in 1 s")
            }
            Err(failure) => return Err(failure),
            Ok(()) => break,
        }
        sleep(Duration::from_secs(1)).await;
        connected = Worker::connect(options, &tally).await;
    }
    println!("worker {}: {tally}", worker::name());
    Ok(())
}

async fn status(options: &Options) -> Result<(), Failure> {
    let client = connect(&options.config, drop).await?;
    queue::create(&client).await?;
    let status = queue::status(&client).await?;
    for (state, jobs) in status.counts {
        println!("{state:<28} {:>10}", HumanCount(jobs as u64).to_string());
    }
    if !status.errors.is_empty() {
        println!("\nlast errors of the dead");
    }
    for (id, error) in status.errors {
        println!("  job {id}: {error}");
    }
    Ok(())
}
