//! What the jobs do: here a few kinds that show what a queue must bear. Put your own in their
//! place.

use std::error::Error;
use std::time::Duration;

use gather::sleep;
use tokio_postgres::types::Type;

use crate::postgres::{Connection, Transaction};
use crate::queue::Job;

/// Does a job. Returns the transaction in which it has written: that is committed together with
/// "done", or not at all. An error rolls it back and fails this attempt.
///
/// The transaction begins when the handler needs it, best at the end: for as long as one is open,
/// the server can clear away no row of any table that died meanwhile.
///
/// The job's lease is extended for as long as this runs, so everything that it waits for needs a
/// limit of time. What it asks over `connection` has one.
///
/// It shares the worker's thread with the other jobs and the heartbeat: code that takes long
/// without waiting belongs into [`gather::spawn_blocking`].
pub(crate) async fn handle<'c>(
    connection: &'c mut Connection,
    job: &Job,
    worker: &str,
) -> Result<Transaction<'c>, Box<dyn Error>> {
    let (kind, value) = job.payload.split_once(' ').unwrap_or((&job.payload, ""));
    if kind == "sleep" {
        sleep(Duration::from_millis(value.parse()?)).await;
    }
    let transaction = connection.begin().await?;
    let sql = "insert into results (job, worker) values ($1, $2)";
    transaction.execute(sql, &[(&job.id, Type::INT8), (&worker, Type::TEXT)]).await?;
    match kind {
        "sleep" => Ok(transaction),
        "flaky" if job.attempt > 1 => Ok(transaction),
        "flaky" => Err("it fails at the first attempt".into()),
        "broken" => Err("it fails at every attempt".into()),
        _ => Err(format!("there is no such job as {:?}", job.payload).into()),
    }
}
