//! The table of jobs: all the SQL.
//!
//! ```text
//!                 ┌─────────── attempt failed: due after a pause ──────────┐
//!                 ▼                                                        │
//!   submit ──► ready ──── take, when it is due ────► running ──────────────┼──► done
//!                                                    ▲     │               │
//!                                                    └─────┘               └──► dead, after so many attempts
//!                                           take, when the lease has ended
//! ```
//!
//! One column, `due`, says when a job may be taken: for a ready job that is now or after a pause, for a running job when its
//! lease ends. So one index finds all that can be taken, and a job of a dead worker needs no clean-up.
//!
//! The number of the attempt is a fence: every statement on a running job names the attempt that it belongs to. Who has lost
//! his job to the next attempt changes nothing.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Transaction};

/// Two clients may want to create the tables at once, which `if not exists` does not bear: so one after the other.
const TABLES: &str = "
    begin;
    select pg_advisory_xact_lock(7263541);
    create table if not exists jobs (
        id           bigint generated always as identity primary key,
        payload      text        not null,
        state        text        not null default 'ready' check (state in ('ready', 'running', 'done', 'dead')),
        due          timestamptz not null default now(),
        attempts     int         not null default 0,
        max_attempts int         not null,
        worker       text,
        last_error   text
    );
    create index if not exists jobs_due on jobs (due, id) where state in ('ready', 'running');
    create table if not exists results (job bigint not null references jobs, worker text not null);
    commit";

/// The channel that new jobs are announced on.
pub(crate) const CHANNEL: &str = "work_queue";

/// A job that is ours for the time of a lease.
pub(crate) struct Job {
    pub(crate) id: i64,
    /// 1 for the first.
    pub(crate) attempt: i32,
    pub(crate) payload: String,
}

pub(crate) async fn create(client: &Client) -> Result<(), Error> {
    client.batch_execute(TABLES).await
}

/// Adds as many jobs, all or none, and wakes one slot of each worker.
pub(crate) async fn submit(client: &Client, payload: &str, jobs: u32, attempts: i32) -> Result<(), Error> {
    let sql = "with added as (
            insert into jobs (payload, max_attempts) select $1, $2 from generate_series(1, $3) returning 1
        )
        select pg_notify($4, count(*)::text) from added";
    let jobs = i64::from(jobs);
    let (payload, attempts) = ((&payload as _, Type::TEXT), (&attempts as _, Type::INT4));
    let values = [payload, attempts, (&jobs as _, Type::INT8), (&CHANNEL as _, Type::TEXT)];
    client.query_typed(sql, &values).await.map(drop)
}

/// Takes the job that has been due for the longest, if there is one. Rows that others are taking are passed over. (A plain
/// `for update` would also pass over a job while a transaction is open that has written rows which refer to it: that of a
/// worker that stands still, whose lease has ended.)
pub(crate) async fn take(client: &Client, worker: &str, lease: f64) -> Result<Option<Job>, Error> {
    let sql = "update jobs
        set state = 'running', attempts = attempts + 1, worker = $1, due = now() + make_interval(secs => $2)
        where id = (
            select id from jobs
            where state in ('ready', 'running') and due <= now() and attempts < max_attempts
            order by due, id limit 1 for no key update skip locked
        )
        returning id, attempts, payload";
    let rows = client.query_typed(sql, &[(&worker, Type::TEXT), (&lease, Type::FLOAT8)]).await?;
    Ok(rows.first().map(|row| Job { id: row.get(0), attempt: row.get(1), payload: row.get(2) }))
}

/// Marks a job as done, in the transaction of what it did. Gives false if it is no longer ours: then roll back.
pub(crate) async fn finish(transaction: &Transaction<'_>, job: &Job) -> Result<bool, Error> {
    let sql = "update jobs set state = 'done', last_error = null
        where id = $1 and attempts = $2 and state = 'running'";
    let changed =
        transaction.execute_typed(sql, &[(&job.id, Type::INT8), (&job.attempt, Type::INT4)]).await?;
    Ok(changed == 1)
}

/// Gives a job back after a failed attempt, to be taken after a pause that doubles each time; or buries it after its last.
/// Gives false if it is no longer ours.
pub(crate) async fn fail(client: &Client, job: &Job, error: &str, pause: f64) -> Result<bool, Error> {
    let sql = "update jobs
        set state = case when attempts < max_attempts then 'ready' else 'dead' end,
            due = now() + make_interval(secs => least($4 * 2 ^ least(attempts - 1, 30), 3600)),
            last_error = $3
        where id = $1 and attempts = $2 and state = 'running'";
    let (id, attempt) = ((&job.id as _, Type::INT8), (&job.attempt as _, Type::INT4));
    let values = [id, attempt, (&error as _, Type::TEXT), (&pause as _, Type::FLOAT8)];
    let changed = client.execute_typed(sql, &values).await?;
    Ok(changed == 1)
}

/// Extends the leases of jobs, named by id and attempt.
pub(crate) async fn extend(client: &Client, held: &[(i64, i32)], lease: f64) -> Result<(), Error> {
    let (ids, attempts): (Vec<_>, Vec<_>) = held.iter().copied().unzip();
    let sql = "update jobs set due = now() + make_interval(secs => $3)
        where state = 'running' and (id, attempts) in (select * from unnest($1, $2))";
    let values =
        [(&ids as _, Type::INT8_ARRAY), (&attempts as _, Type::INT4_ARRAY), (&lease as _, Type::FLOAT8)];
    client.execute_typed(sql, &values).await.map(drop)
}

/// Buries the jobs whose last attempt did not come to an end.
pub(crate) async fn bury(client: &Client) -> Result<(), Error> {
    let sql =
        "update jobs set state = 'dead', last_error = 'the worker was gone when the lease ended: ' || worker
        where id in (
            select id from jobs
            where state in ('ready', 'running') and due <= now() and attempts >= max_attempts
            for no key update skip locked
        )";
    client.execute_typed(sql, &[]).await.map(drop)
}

/// Whether every job is done or dead.
pub(crate) async fn is_empty(client: &Client) -> Result<bool, Error> {
    let sql = "select not exists (select from jobs where state in ('ready', 'running'))";
    Ok(client.query_typed(sql, &[]).await?[0].get(0))
}

pub(crate) struct Status {
    /// How many jobs are in each state, and how many results there are.
    pub(crate) counts: [(&'static str, i64); 5],
    /// Of some of the dead, with their ids.
    pub(crate) errors: Vec<(i64, String)>,
}

pub(crate) async fn status(client: &Client) -> Result<Status, Error> {
    let sql = "select count(*) filter (where state = 'ready'), count(*) filter (where state = 'running'),
            count(*) filter (where state = 'done'), count(*) filter (where state = 'dead'),
            (select count(*) from results)
        from jobs";
    let counts = client.query_typed(sql, &[]).await?;
    let names = ["ready", "running", "done", "dead", "results"];
    let sql = "select id, last_error from jobs where state = 'dead' order by id desc limit 5";
    let errors = client.query_typed(sql, &[]).await?;
    Ok(Status {
        counts: std::array::from_fn(|index| (names[index], counts[0].get(index))),
        errors: errors.iter().map(|row| (row.get(0), row.get(1))).collect(),
    })
}
