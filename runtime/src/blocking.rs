//! Threads for what blocks: files, names, long computations.
//!
//! A thread is started when there is work and no thread is idle, up to a limit; what comes then waits in a
//! queue. A thread that has been idle for ten seconds ends, and all idle threads end with the runtime. What a
//! thread is running cannot be interrupted: a runtime that ends does not wait for it, drops what is still in the
//! queue, and the output of the rest is dropped on the thread.
//!
//! Next: [`mailbox`](crate::mailbox), what other threads have to say.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::contain::contain;
use crate::local;
use crate::mailbox::{self, RuntimeId};
use crate::oneshot::{Receiver, oneshot};
use crate::task::TaskError;

/// How long a thread waits for more work.
const IDLE_TIME: Duration = Duration::from_secs(10);

/// It says that its thread is idle ([`AtWork`]) when it has its output and before it gives it: so whoever awaits the
/// output and starts the next finds this thread, and not one too few.
type Job = Box<dyn FnOnce(&Pool) + Send>;

/// The threads of one runtime.
pub(crate) struct Pool {
    state: Mutex<State>,
    /// Tells an idle thread that there is work, or that the pool is closed.
    work: Condvar,
    /// The most threads that there may be.
    max_threads: usize,
    /// Whom to tell when the last job is done: a runtime with a virtual clock, which waits for that to leap.
    waits_for_idle: RuntimeId,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    /// All threads.
    threads: usize,
    /// Those of them that wait for work, or are about to.
    idle: usize,
    /// What is queued or running.
    unfinished: usize,
    closed: bool,
}

impl Pool {
    pub(crate) fn new(max_threads: usize, waits_for_idle: RuntimeId) -> Arc<Pool> {
        let (state, work) = (Mutex::default(), Condvar::new());
        Arc::new(Pool { state, work, max_threads: max_threads.max(1), waits_for_idle })
    }

    pub(crate) fn threads(&self) -> usize {
        self.state.lock().threads
    }

    /// Whether something is queued or running, so that a wake from another thread may be on its way.
    pub(crate) fn is_busy(&self) -> bool {
        self.state.lock().unfinished > 0
    }

    /// Queues a job. Gives it back if no thread can be started for it and none is there.
    fn start(self: &Arc<Self>, job: Job) -> Result<(), Job> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(job);
        }
        state.queue.push_back(job);
        state.unfinished += 1;
        if state.queue.len() <= state.idle {
            self.work.notify_one();
        } else if state.threads < self.max_threads {
            state.threads += 1;
            let pool = self.clone();
            let started = thread::Builder::new().name("gather-blocking".into()).spawn(move || pool.work());
            if started.is_err() {
                state.threads -= 1;
                if state.threads == 0 {
                    state.unfinished -= 1;
                    return state.queue.pop_back().map_or(Ok(()), Err);
                }
            }
        }
        Ok(())
    }

    /// What each thread does.
    fn work(&self) {
        let mut state = self.state.lock();
        let (mut is_idle, mut timed_out) = (false, false);
        loop {
            if let Some(job) = state.queue.pop_front() {
                state.idle -= usize::from(is_idle);
                drop(state);
                contain(|| job(self));
                state = self.state.lock();
                is_idle = true;
                state.unfinished -= 1;
                if state.unfinished == 0 {
                    mailbox::nudge(self.waits_for_idle);
                }
                continue;
            }
            if state.closed || timed_out {
                break;
            }
            state.idle += usize::from(!is_idle);
            is_idle = true;
            timed_out = self.work.wait_for(&mut state, IDLE_TIME).timed_out();
        }
        state.idle -= usize::from(is_idle);
        state.threads -= 1;
    }

    /// Ends the idle threads and returns what is still queued, to be dropped with nothing locked.
    pub(crate) fn close(&self) -> VecDeque<Job> {
        let mut state = self.state.lock();
        state.closed = true;
        self.work.notify_all();
        state.unfinished -= state.queue.len();
        std::mem::take(&mut state.queue)
    }
}

/// A thread of the pool that is at work. When this is dropped, the thread counts as idle.
struct AtWork<'a>(&'a Pool);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.state.lock().idle += 1;
    }
}

/// Runs `f` on a thread of the blocking pool, and waits for its output without blocking this thread.
///
/// For what blocks: files, names, a library that knows nothing of async, a long computation. There are as many
/// threads as there is work, up to [`Builder::max_blocking_threads`](crate::Builder::max_blocking_threads); more
/// work than that waits in a queue, so give a gather of such tasks a limit.
///
/// Dropping the [`BlockingTask`] before `f` was started keeps it from being started; when it runs, it runs on, and
/// its output is dropped.
///
/// # Errors
///
/// The task gives a [`TaskError`] if `f` panics, or if the runtime ends before it was started.
///
/// # Panics
///
/// If this thread runs no runtime, or the system starts no thread and there is none.
///
/// ```
/// gather_runtime::run(async {
///     let text = gather_runtime::spawn_blocking(|| std::fs::read_to_string("Cargo.toml")).await;
///     assert!(text.unwrap().unwrap().contains("[package]"));
/// });
/// ```
#[track_caller]
pub fn spawn_blocking<F, T>(f: F) -> BlockingTask<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let pool = local::with_running("gather::spawn_blocking", |local| local.pool.borrow().clone());
    let pool = pool.expect("a runtime has a pool from its start to its end");
    let (sender, receiver) = oneshot();
    let job = move |pool: &Pool| {
        let at_work = AtWork(pool);
        // What nobody wants is dropped here, by a user's destructor: the thread is at work.
        if sender.is_unwanted() {
            return drop(f);
        }
        let output = catch_unwind(AssertUnwindSafe(f));
        if sender.is_unwanted() {
            return drop(output);
        }
        drop(at_work);
        sender.send(output.map_err(TaskError::panic));
    };
    if pool.start(Box::new(job)).is_err() {
        panic!(
            "gather::spawn_blocking: the pool has no thread, and the system starts none or the runtime is ending"
        );
    }
    BlockingTask { receiver }
}

/// The future of [`spawn_blocking`].
#[must_use = "dropping a `BlockingTask`, as `let _ =` does, loses the output and may keep the closure from being run"]
pub struct BlockingTask<T> {
    receiver: Receiver<T>,
}

impl<T> BlockingTask<T> {
    /// Whether the output (or the error) is there, so that awaiting it does not wait.
    pub fn is_finished(&self) -> bool {
        self.receiver.is_ready()
    }
}

impl<T> Future for BlockingTask<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.receiver.poll(cx)
    }
}

impl<T> fmt::Debug for BlockingTask<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingTask").field("finished", &self.is_finished()).finish()
    }
}
