//! Who takes jobs and does them: as many at once as it has slots, each slot a child of a gather.
//!
//! The gather pulls the next child when one has ended. A child takes one job and does it; if there is none, it waits to be
//! woken. What wakes, wakes one slot of a worker; if that finds a job, it wakes the next. So a new job costs each idle worker
//! one question, however many slots it has, and a thousand new jobs soon have all of them at work. A wake that finds nobody
//! waiting is kept, so none is lost between the question and the wait.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};
use std::{fs, iter, process};

use deadpool::managed::Object;
use gather::signal::{Signal, Signals};
use gather::{gather, interval, scope};
use indicatif::HumanCount;
use tokio::sync::Notify;
use tokio_postgres::{AsyncMessage, Client};

use crate::options::Options;
use crate::postgres::pool::{self, Connections, Pool};
use crate::postgres::{Failure, answer, connect};
use crate::queue::{self, Job};
use crate::{jobs, worker};

/// How often it looks for jobs that nobody announces: those whose pause or lease has ended.
const LOOK: Duration = Duration::from_millis(500);

/// How long the server may take to make the tables.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same in the table, in the logs and for the server.
pub(crate) fn name() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "host".into());
    format!("{}:{}", host.trim(), process::id())
}

pub(crate) struct Worker<'a> {
    options: &'a Options,
    tally: &'a Tally,
    name: String,
    /// For notifications, for the heartbeat, and for what follows a failed attempt.
    client: Client,
    /// A connection for each slot: with one for all, the server would write one "taken" after the other to its disk.
    pool: Pool,
    /// Wakes a slot that waits.
    wake: Rc<Notify>,
    /// The jobs that are at work, each with the number of its attempt: what the heartbeat extends. (After a standstill two slots may
    /// have the same job, in two attempts, of which the first has lost it.)
    held: RefCell<BTreeSet<(i64, i32)>>,
    /// No more jobs are taken.
    stopping: Cell<bool>,
}

impl<'a> Worker<'a> {
    pub(crate) async fn connect(options: &'a Options, tally: &'a Tally) -> Result<Worker<'a>, Failure> {
        let name = worker::name();
        let mut config = options.config.clone();
        config.application_name(format!("work_queue {name}"));
        let wake = Rc::new(Notify::new());
        let waker = Rc::clone(&wake);
        let hears = move |message| {
            if let AsyncMessage::Notification(_) = message {
                waker.notify_one();
            }
        };
        let client = connect(&config, hears).await?;
        answer(PATIENCE, queue::create(&client)).await?;
        answer(PATIENCE, client.batch_execute(&format!("listen {}", queue::CHANNEL))).await?;
        let pool = Connections::pool(config, options.concurrency);
        let (held, stopping) = Default::default();
        Ok(Worker { options, tally, name, client, pool, wake, held, stopping })
    }

    /// Takes jobs and does them until it is told to stop, or none is left if that is asked for.
    pub(crate) async fn work(&self) -> Result<(), Failure> {
        scope(async |s| {
            s.spawn(self.keep_leases());
            s.spawn(self.stop_when_asked());
            let ended = self.do_jobs().await;
            let opened = 1 + self.pool.manager().opened(); // `client`, and those of the slots
            self.tally.connections.set(self.tally.connections.get() + opened);
            s.cancel();
            ended
        })
        .await
    }

    /// The heart of it.
    async fn do_jobs(&self) -> Result<(), Failure> {
        let jobs = iter::repeat_with(|| self.do_job()).take_while(|_| !self.stopping.get());
        let mut first_failure = None;
        gather(jobs)
            .limit(self.options.concurrency)
            .named("jobs")
            .for_each(async |_, ended| {
                if let Err(failure) = ended {
                    first_failure.get_or_insert(failure);
                    self.stop();
                }
            })
            .await;
        first_failure.map_or(Ok(()), Err)
    }

    /// What a slot does: takes a job, as soon as there is one, and does it.
    async fn do_job(&self) -> Result<(), Failure> {
        while !self.stopping.get() {
            let client = pool::take(&self.pool).await?;
            let taken = queue::take(&client, &self.name, self.options.lease);
            if let Some(job) = answer(self.patience(), taken).await? {
                self.wake.notify_one(); // there may be more
                self.held.borrow_mut().insert((job.id, job.attempt));
                let ended = self.try_job(&job, client).await;
                self.held.borrow_mut().remove(&(job.id, job.attempt));
                return ended;
            }
            if self.options.until_empty && answer(self.patience(), queue::is_empty(&client)).await? {
                self.stop();
            }
            drop(client); // not needed while it waits
            if !self.stopping.get() {
                self.wake.notified().await;
            }
        }
        Ok(())
    }

    /// Does a job that it has taken, and says so in the table if the attempt fails.
    async fn try_job(&self, job: &Job, mut client: Object<Connections>) -> Result<(), Failure> {
        let (count, still_ours) = match self.transact(job, &mut client).await {
            Ok(still_ours) => (&self.tally.done, still_ours),
            // Whatever it was, a lost connection too.
            Err(error) => {
                if let Some(Failure::Silent(_)) = error.downcast_ref() {
                    drop(Object::take(client)); // not back into the pool: the next job would only wait behind this one
                }
                let said = error.to_string().replace('\0', ""); // which no text of PostgreSQL may have
                let failed = queue::fail(&self.client, job, &said, self.options.pause);
                (&self.tally.failed, answer(self.patience(), failed).await?)
            }
        };
        let count = if still_ours { count } else { &self.tally.lost };
        count.set(count.get() + 1);
        Ok(())
    }

    /// What the job does and that it is done: both or neither. Gives false if the job was no longer ours; a transaction that
    /// is dropped is rolled back.
    async fn transact(&self, job: &Job, client: &mut Client) -> Result<bool, Box<dyn Error>> {
        let transaction = answer(self.patience(), client.transaction()).await?;
        jobs::handle(&transaction, job, &self.name, self.patience()).await?;
        let still_ours = answer(self.patience(), queue::finish(&transaction, job)).await?;
        if still_ours {
            answer(self.patience(), transaction.commit()).await?;
        }
        Ok(still_ours)
    }

    /// How long it waits for an answer of the server: after that much silence its leases have ended, and others may have its
    /// jobs.
    fn patience(&self) -> Duration {
        Duration::from_secs_f64(self.options.lease)
    }

    /// Extends the leases of what is at work, well before they end; and looks for what nobody announces. If the server does not
    /// answer, this failure ends all that is at work: each transaction is dropped, and rolled back.
    async fn keep_leases(&self) -> Result<(), Failure> {
        let lease = self.options.lease;
        let mut ticks = interval(LOOK.min(Duration::from_secs_f64(lease / 4.0)));
        loop {
            ticks.tick().await;
            let held: Vec<_> = self.held.borrow().iter().copied().collect();
            if !held.is_empty() {
                answer(self.patience(), queue::extend(&self.client, &held, lease)).await?;
            }
            answer(self.patience(), queue::bury(&self.client)).await?;
            self.wake.notify_one();
        }
    }

    async fn stop_when_asked(&self) -> Result<(), Failure> {
        let signals = Signals::new([Signal::Interrupt, Signal::Terminate]);
        let mut signals = signals.expect("the system lets a process listen to its signals");
        if let Ok(signal) = signals.recv().await {
            let running = self.held.borrow().len();
            eprintln!("work_queue: {signal:?}: {running} jobs may finish; again ends at once");
            self.tally.asked_to_stop.set(true);
            self.stop();
        }
        Ok(())
    }

    /// Takes no more jobs. Those that are at work go on.
    fn stop(&self) {
        self.stopping.set(true);
        self.wake.notify_waiters();
    }
}

/// What a worker has done.
pub(crate) struct Tally {
    since: Instant,
    done: Cell<u64>,
    failed: Cell<u64>,
    /// Another has taken the job, because the lease had ended.
    lost: Cell<u64>,
    connections: Cell<usize>,
    /// The worker was asked to stop. It is here because a new connection must not forget it.
    pub(crate) asked_to_stop: Cell<bool>,
}

impl Default for Tally {
    fn default() -> Tally {
        let (done, failed, lost, connections, asked_to_stop) = Default::default();
        Tally { since: Instant::now(), done, failed, lost, connections, asked_to_stop }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [done, failed, lost] =
            [&self.done, &self.failed, &self.lost].map(|count| HumanCount(count.get()));
        let elapsed = self.since.elapsed();
        let rate = HumanCount((self.done.get() as f64 / elapsed.as_secs_f64()) as u64);
        let connections = self.connections.get();
        write!(
            f,
            "{done} done, {failed} failed, {lost} lost in {elapsed:.2?}, {rate} jobs/s, {connections} connections"
        )
    }
}
