//! The table of jobs: all the SQL.
//!
//! ```text
//!              ┌─ the attempt failed, or the lease ended ─┐
//!              ▼                                          │
//!   submit ─► ready ────────── take ─────────► running ───┼──► done
//!            (at once, or                                 │
//!             after a pause)                              └──► dead, after so many attempts
//! ```
//!
//! A running job has a lease, which its worker extends: the only write that is repeated while a
//! job runs. PostgreSQL changes no row in place. It writes a new version, and the old one is dead
//! until it is cleared away. So no index has the column `lease`, and the fill factor leaves room
//! on each page. Then an extension touches no index, and the next access to a full page clears its
//! dead versions away, without a vacuum.
//!
//! The number of the attempt is a fence: every statement on a running job names the attempt that
//! it belongs to. A worker that has lost a job changes nothing.

use tokio_postgres::types::Type;

use crate::postgres::{Connection, Failure, Transaction};

/// Two clients may want to create the tables at once, which `if not exists` does not bear: so one
/// after the other.
const TABLES: &str = "
    begin;
    select pg_advisory_xact_lock(7263541);
    create table if not exists jobs (
        id           bigint generated always as identity primary key,
        payload      text        not null,
        state        text        not null default 'ready' check (state in ('ready', 'running', 'done', 'dead')),
        due          timestamptz not null default now(), -- when a ready job may be taken
        lease        timestamptz,                        -- when a running job is no longer its worker's
        attempts     int         not null default 0,
        max_attempts int         not null,
        worker       text,
        last_error   text
    ) with (fillfactor = 70);
    create index if not exists jobs_ready on jobs (due, id) where state = 'ready';
    create index if not exists jobs_running on jobs (id) where state = 'running';
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

pub(crate) async fn create(connection: &Connection) -> Result<(), Failure> {
    connection.batch(TABLES).await
}

/// Adds as many jobs, all or none, and wakes one slot of each worker.
pub(crate) async fn submit(
    connection: &Connection,
    payload: &str,
    jobs: u32,
    attempts: i32,
) -> Result<(), Failure> {
    let sql = "with added as (
            insert into jobs (payload, max_attempts) select $1, $2 from generate_series(1, $3) returning 1
        )
        select pg_notify($4, count(*)::text) from added";
    let jobs = i64::from(jobs);
    let (payload, attempts) = ((&payload as _, Type::TEXT), (&attempts as _, Type::INT4));
    let values = [payload, attempts, (&jobs as _, Type::INT8), (&CHANNEL as _, Type::TEXT)];
    connection.query(sql, &values).await.map(drop)
}

/// Takes the job that has been due for the longest, if there is one. Rows that others are taking
/// are passed over. (A plain `for update` would also pass over a job to which an open transaction
/// has written rows that refer: that of a worker that stands still, whose lease has ended.)
pub(crate) async fn take(connection: &Connection, worker: &str, lease: f64) -> Result<Option<Job>, Failure> {
    let sql = "update jobs
        set state = 'running', attempts = attempts + 1, worker = $1, lease = now() + make_interval(secs => $2)
        where id = (
            select id from jobs where state = 'ready' and due <= now()
            order by due, id limit 1 for no key update skip locked
        )
        returning id, attempts, payload";
    let rows = connection.query(sql, &[(&worker, Type::TEXT), (&lease, Type::FLOAT8)]).await?;
    Ok(rows.first().map(|row| Job { id: row.get(0), attempt: row.get(1), payload: row.get(2) }))
}

/// Marks a job as done, in the transaction of what it did. Returns false if it is no longer ours:
/// then roll back.
pub(crate) async fn finish(transaction: &Transaction<'_>, job: &Job) -> Result<bool, Failure> {
    let sql = "update jobs set state = 'done', last_error = null
        where id = $1 and attempts = $2 and state = 'running'";
    let changed = transaction.execute(sql, &[(&job.id, Type::INT8), (&job.attempt, Type::INT4)]).await?;
    Ok(changed == 1)
}

/// Whether this attempt has marked the job as done. The answer to a COMMIT can be lost, and then
/// only the row tells.
pub(crate) async fn is_done(connection: &Connection, job: &Job) -> Result<bool, Failure> {
    let sql = "select from jobs where id = $1 and attempts = $2 and state = 'done'";
    let rows = connection.query(sql, &[(&job.id, Type::INT8), (&job.attempt, Type::INT4)]).await?;
    Ok(!rows.is_empty())
}

/// Gives a job back after a failed attempt, to be taken after a pause that doubles each time; or
/// buries it after its last. Returns false if it is no longer ours.
pub(crate) async fn fail(
    connection: &Connection,
    job: &Job,
    error: &str,
    pause: f64,
) -> Result<bool, Failure> {
    let sql = "update jobs
        set state = case when attempts < max_attempts then 'ready' else 'dead' end,
            due = now() + make_interval(secs => least($4 * 2 ^ least(attempts - 1, 30), 3600)),
            last_error = $3
        where id = $1 and attempts = $2 and state = 'running'";
    let (id, attempt) = ((&job.id as _, Type::INT8), (&job.attempt as _, Type::INT4));
    let values = [id, attempt, (&error as _, Type::TEXT), (&pause as _, Type::FLOAT8)];
    Ok(connection.execute(sql, &values).await? == 1)
}

/// Extends the leases of jobs, named by id and attempt. A row that is locked is passed over: its
/// job is just being marked as done.
pub(crate) async fn extend(connection: &Connection, held: &[(i64, i32)], lease: f64) -> Result<(), Failure> {
    if held.is_empty() {
        return Ok(());
    }
    let (ids, attempts): (Vec<_>, Vec<_>) = held.iter().copied().unzip();
    let sql = "update jobs set lease = now() + make_interval(secs => $3)
        where id in (
            select id from jobs where state = 'running' and (id, attempts) in (select * from unnest($1, $2))
            for no key update skip locked
        )";
    let values =
        [(&ids as _, Type::INT8_ARRAY), (&attempts as _, Type::INT4_ARRAY), (&lease as _, Type::FLOAT8)];
    connection.execute(sql, &values).await.map(drop)
}

/// Gives back the jobs whose leases have ended; or buries those whose last attempt that was.
pub(crate) async fn reclaim(connection: &Connection) -> Result<(), Failure> {
    let sql = "update jobs
        set state = case when attempts < max_attempts then 'ready' else 'dead' end,
            due = now(),
            last_error = 'the worker was gone when the lease ended: ' || worker
        where id in (
            select id from jobs where state = 'running' and lease <= now() for no key update skip locked
        )";
    connection.execute(sql, &[]).await.map(drop)
}

/// Whether every job is done or dead.
pub(crate) async fn is_empty(connection: &Connection) -> Result<bool, Failure> {
    let sql = "select not exists (select from jobs where state = 'ready')
        and not exists (select from jobs where state = 'running')";
    Ok(connection.query(sql, &[]).await?[0].get(0))
}

pub(crate) struct Status {
    /// How many jobs are in each state, and how many results there are.
    pub(crate) counts: [(&'static str, i64); 5],
    /// Of some of the dead, with their ids.
    pub(crate) errors: Vec<(i64, String)>,
}

pub(crate) async fn status(connection: &Connection) -> Result<Status, Failure> {
    let sql = "select count(*) filter (where state = 'ready'), count(*) filter (where state = 'running'),
            count(*) filter (where state = 'done'), count(*) filter (where state = 'dead'),
            (select count(*) from results)
        from jobs";
    let counts = connection.query(sql, &[]).await?;
    let names = ["ready", "running", "done", "dead", "results"];
    let sql = "select id, last_error from jobs where state = 'dead' order by id desc limit 5";
    let errors = connection.query(sql, &[]).await?;
    Ok(Status {
        counts: std::array::from_fn(|index| (names[index], counts[0].get(index))),
        errors: errors.iter().map(|row| (row.get(0), row.get(1))).collect(),
    })
}
