//! What the jobs do: here a few kinds that show what a queue must bear. Put your own in their place.

use std::error::Error;
use std::time::Duration;

use gather::sleep;
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use crate::postgres::answer;
use crate::queue::Job;

/// Does a job. What it writes through the transaction is committed together with "done", or not at all; an error fails this
/// attempt.
///
/// The job's lease is extended for as long as this runs. So what it asks the server goes through [`answer`], which ends when the
/// server says nothing.
///
/// It shares the worker's thread with the other jobs and the heartbeat: what takes long without waiting belongs into
/// [`gather::spawn_blocking`].
pub(crate) async fn handle(
    transaction: &Transaction<'_>,
    job: &Job,
    worker: &str,
    patience: Duration,
) -> Result<(), Box<dyn Error>> {
    let sql = "insert into results (job, worker) values ($1, $2)";
    let values = [(&job.id as _, Type::INT8), (&worker as _, Type::TEXT)];
    answer(patience, transaction.execute_typed(sql, &values)).await?;
    match job.payload.split_once(' ').unwrap_or((&job.payload, "")) {
        ("sleep", milliseconds) => sleep(Duration::from_millis(milliseconds.parse()?)).await,
        ("flaky", "") if job.attempt > 1 => {}
        ("flaky", "") => return Err("it fails at the first attempt".into()),
        ("broken", "") => return Err("it fails at every attempt".into()),
        _ => return Err(format!("there is no such job as {:?}", job.payload).into()),
    }
    Ok(())
}
