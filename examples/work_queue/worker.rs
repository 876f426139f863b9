//! Takes jobs and does them: as many at once as it has slots, each slot a child of a gather.
//!
//! The gather pulls the next child when one has ended. A child takes one job and does it; if there
//! is none, it waits to be woken. A notification wakes one slot of a worker; if that finds a job,
//! it wakes the next. So a new job costs each idle worker one question, however many slots it has,
//! and a thousand new jobs soon have all of them at work. A wake that finds no slot waiting is
//! kept, so none is lost between the question and the wait.
//!
//! An error that may pass costs a slot a pause, and no other slot anything. An error of the
//! connection that extends the leases ends them all: `main` connects again.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::error::Error;
use std::iter;
use std::rc::Rc;
use std::time::{Duration, Instant};

use gather::signal::{Signal, Signals};
use gather::{gather, interval, scope, sleep};
use gather_examples::complain;
use tokio::sync::Notify;
use tokio_postgres::AsyncMessage;

use crate::options::Options;
use crate::postgres::pool::{Pool, Taken};
use crate::postgres::{Connection, Failure, connect};
use crate::queue::{self, Job};
use crate::tally::{self, Tally};
use crate::{PATIENCE, jobs};

/// How often it looks for jobs that nobody announces: those whose pause or lease has ended.
const LOOK: Duration = Duration::from_millis(500);

/// How long it waits after an error that may pass.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct Worker<'a> {
    options: &'a Options,
    tally: &'a Tally,
    name: String,
    /// For notifications, for the heartbeat, and for what follows a failed attempt.
    own: Connection,
    /// A connection for each slot: with one for all, the server would write one "taken" after the
    /// other to its disk.
    pool: Pool,
    /// Wakes a slot that waits.
    wake: Rc<Notify>,
    /// The jobs that are at work, each with the number of its attempt: what the heartbeat extends.
    /// (After a standstill two slots may have the same job, in two attempts, of which the first
    /// has lost it.)
    held: RefCell<BTreeSet<(i64, i32)>>,
    /// When it last complained about an error that may pass.
    complained: Cell<Option<Instant>>,
    /// No more jobs are taken.
    stopping: Cell<bool>,
}

impl<'a> Worker<'a> {
    pub(crate) async fn connect(options: &'a Options, tally: &'a Tally) -> Result<Worker<'a>, Failure> {
        let name = tally::name();
        let mut config = options.config.clone();
        config.application_name(format!("work_queue {name}"));
        let wake = Rc::new(Notify::new());
        let waker = Rc::clone(&wake);
        let hears = move |message| {
            if let AsyncMessage::Notification(_) = message {
                waker.notify_one();
            }
        };
        let mut own = connect(&config, PATIENCE, hears).await?;
        queue::create(&own).await?;
        own.batch(&format!("listen {}", queue::CHANNEL)).await?;
        // After that much silence its leases have ended, and others may have its jobs.
        let limit = Duration::from_secs_f64(options.lease);
        own.set_limit(limit);
        let pool = Pool::new(config, options.concurrency, limit);
        let (held, complained, stopping) = Default::default();
        Ok(Worker { options, tally, name, own, pool, wake, held, complained, stopping })
    }

    /// Takes jobs and does them until it is told to stop, or none is left if that is asked for.
    pub(crate) async fn work(&self) -> Result<(), Failure> {
        scope(async |s| {
            s.spawn(self.keep_leases());
            s.spawn(self.look());
            s.spawn(self.stop_when_asked());
            let ended = self.do_jobs().await;
            let opened = 1 + self.pool.opened(); // its own, and those of the slots
            self.tally.connections.set(self.tally.connections.get() + opened);
            s.cancel();
            ended
        })
        .await
    }

    async fn do_jobs(&self) -> Result<(), Failure> {
        let jobs = iter::repeat_with(|| self.use_slot()).take_while(|_| !self.stopping.get());
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

    /// What a slot does: a job, or a pause after an error that may pass.
    async fn use_slot(&self) -> Result<(), Failure> {
        match self.do_job().await {
            Err(failure) if failure.may_pass() => self.pause(&failure).await,
            ended => ended?,
        }
        Ok(())
    }

    /// Takes a job, as soon as there is one, and does it.
    async fn do_job(&self) -> Result<(), Failure> {
        while !self.stopping.get() {
            let connection = self.pool.take().await?;
            if self.stopping.get() {
                break; // it may have waited long for the connection
            }
            if let Some(job) = queue::take(&connection, &self.name, self.options.lease).await? {
                self.wake.notify_one(); // there may be more
                self.held.borrow_mut().insert((job.id, job.attempt));
                let ended = self.try_job(&job, connection).await;
                self.held.borrow_mut().remove(&(job.id, job.attempt));
                return ended;
            }
            if self.options.until_empty && queue::is_empty(&connection).await? {
                self.stop();
            }
            drop(connection); // not needed while it waits
            if !self.stopping.get() {
                self.wake.notified().await;
            }
        }
        Ok(())
    }

    /// Does a job that it has taken, and says so in the table if the attempt fails.
    async fn try_job(&self, job: &Job, mut connection: Taken<'_>) -> Result<(), Failure> {
        let count = match self.transact(job, &mut connection).await {
            Ok(true) => &self.tally.done,
            Ok(false) => &self.tally.lost,
            // Of whatever kind, also if the connection is lost.
            Err(error) => {
                let said = error.to_string().replace('\0', ""); // which no text of PostgreSQL may have
                let fail = async || queue::fail(&self.own, job, &said, self.options.pause).await;
                if self.insist(fail).await? {
                    &self.tally.failed
                } else if self.insist(async || queue::is_done(&self.own, job).await).await? {
                    &self.tally.done // only the answer to COMMIT was lost
                } else {
                    &self.tally.lost
                }
            }
        };
        count.set(count.get() + 1);
        Ok(())
    }

    /// What the job does and that it is done: both or neither. Returns false if the job was no
    /// longer ours; a transaction that is dropped is rolled back.
    async fn transact(&self, job: &Job, connection: &mut Connection) -> Result<bool, Box<dyn Error>> {
        let transaction = jobs::handle(connection, job, &self.name).await?;
        let still_ours = queue::finish(&transaction, job).await?;
        if still_ours {
            transaction.commit().await?;
        }
        Ok(still_ours)
    }

    /// Extends the leases of the jobs at work, three times before they end. If the server does not
    /// answer, that failure ends all jobs at work.
    async fn keep_leases(&self) -> Result<(), Failure> {
        let mut ticks = interval(Duration::from_secs_f64(self.options.lease / 3.0));
        loop {
            ticks.tick().await;
            let extend = async || {
                let held: Vec<_> = self.held.borrow().iter().copied().collect();
                queue::extend(&self.own, &held, self.options.lease).await
            };
            self.insist(extend).await?;
            self.pool.grow();
        }
    }

    /// Looks for jobs that nobody announces, and at the pool.
    async fn look(&self) -> Result<(), Failure> {
        let mut ticks = interval(LOOK);
        let mut most = 0;
        loop {
            ticks.tick().await;
            self.insist(async || queue::reclaim(&self.own).await).await?;
            self.wake.notify_one();
            let refused = self.pool.refused();
            if refused > most {
                let slots = self.options.concurrency - refused;
                complain!("work_queue: only {slots} slots: the server refuses more connections");
            }
            most = if refused == 0 { 0 } else { most.max(refused) };
        }
    }

    /// Asks over its own connection, again while the error may pass and the connection lives.
    async fn insist<T>(&self, ask: impl AsyncFn() -> Result<T, Failure>) -> Result<T, Failure> {
        loop {
            match ask().await {
                Err(failure) if failure.may_pass() && !self.own.is_gone() => self.pause(&failure).await,
                answered => return answered,
            }
        }
    }

    /// Waits after an error that may pass. All slots can fail at once, and one complaint is enough.
    async fn pause(&self, failure: &Failure) {
        let pause = PAUSE.min(Duration::from_secs_f64(self.options.lease / 4.0));
        if self.complained.get().is_none_or(|then| then.elapsed() >= PAUSE) {
            self.complained.set(Some(Instant::now()));
            complain!("work_queue: {failure}; again in {} s", pause.as_secs_f64());
        }
        sleep(pause).await;
    }

    async fn stop_when_asked(&self) -> Result<(), Failure> {
        let signals = Signals::new([Signal::Interrupt, Signal::Terminate]);
        let mut signals = signals.expect("the system lets a process listen to its signals");
        if let Ok(signal) = signals.recv().await {
            let running = self.held.borrow().len();
            complain!("work_queue: {signal:?}: {running} jobs may finish; again ends at once");
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
