//! Threads for work that blocks: files, names, long computations.
//!
//! A thread is started when there is work and no thread is idle, up to a limit; further work waits
//! in a queue. A thread that has been idle for ten seconds ends, and all idle threads end with the
//! runtime. A job that runs cannot be interrupted: a runtime that ends does not wait for it. Jobs
//! that are still queued are dropped, and the output of a running one is dropped on its thread.
//!
//! Name look-ups have a pool of their own, so that they never wait for users' jobs.
//!
//! Next: [`mailbox`](crate::mailbox), what other threads have to say.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::contain::contain;
use crate::local;
use crate::mailbox::{self, RuntimeId};
use crate::oneshot::{Receiver, oneshot};
use crate::task::{Refusal, SpawnError, TaskError};
use crate::waker;

/// How long a thread waits for more work.
const IDLE_TIME: Duration = Duration::from_secs(10);

/// Stores its output and returns the waker of the task that awaits it.
type Job = Box<dyn FnOnce() -> Option<Waker> + Send>;

/// Threads that share a queue.
pub(crate) struct Pool {
    state: Mutex<State>,
    /// Tells an idle thread that there is work, or that the pool is closed.
    work: Condvar,
    thread_name: &'static str,
    /// The most threads that there may be.
    max_threads: usize,
    /// A runtime with a virtual clock, which stands still until it knows that the last job is
    /// done.
    waits_for_idle: RuntimeId,
    /// Of the pool of [`spawn_blocking`]: the one for name look-ups, made with the first of them.
    names: OnceLock<Arc<Pool>>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    /// All threads.
    threads: usize,
    /// The threads among them that wait for work. They run no user's code.
    idle: usize,
    /// The jobs that are queued or running.
    unfinished: usize,
    closed: bool,
}

impl Pool {
    pub(crate) fn new(max_threads: usize, waits_for_idle: RuntimeId) -> Arc<Pool> {
        Pool::with("gather-blocking", max_threads.max(1), waits_for_idle, State::default())
    }

    fn with(
        thread_name: &'static str,
        max_threads: usize,
        waits_for_idle: RuntimeId,
        state: State,
    ) -> Arc<Pool> {
        let (state, work, names) = (Mutex::new(state), Condvar::new(), OnceLock::new());
        Arc::new(Pool { state, work, thread_name, max_threads, waits_for_idle, names })
    }

    /// The pool of the runtime of this thread. `what` needs it.
    #[track_caller]
    pub(crate) fn of_this_thread(what: &str) -> Arc<Pool> {
        let pool = local::with_running(what, |local| local.pool.borrow().clone());
        pool.expect("a runtime has a pool from its start to its end")
    }

    /// The pool for name look-ups.
    pub(crate) fn names(&self) -> &Arc<Pool> {
        self.names.get_or_init(|| {
            let state = State { closed: self.state.lock().closed, ..State::default() };
            Pool::with("gather-names", self.max_threads, self.waits_for_idle, state)
        })
    }

    /// All threads, also those for name look-ups.
    pub(crate) fn threads(&self) -> usize {
        self.state.lock().threads + self.names.get().map_or(0, |names| names.state.lock().threads)
    }

    /// Whether a job is queued or running, so that a wake from another thread may be on its way.
    pub(crate) fn is_busy(&self) -> bool {
        let has_names = || self.names.get().is_some_and(|names| names.state.lock().unfinished > 0);
        self.state.lock().unfinished > 0 || has_names()
    }

    /// Queues `f`, or gives it back if no thread would take it.
    pub(crate) fn spawn<F, T>(self: &Arc<Self>, f: F) -> Result<BlockingTask<T>, SpawnError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let mut state = match self.admit() {
            Ok(state) => state,
            Err(refusal) => return Err(SpawnError { inner: f, refusal }),
        };
        let (sender, receiver) = oneshot();
        state.queue.push_back(Box::new(move || {
            if sender.is_unwanted() {
                drop(f);
                return None;
            }
            sender.put(catch_unwind(AssertUnwindSafe(f)).map_err(TaskError::panic))
        }));
        Ok(BlockingTask { receiver })
    }

    /// Makes sure that a thread takes the next job, which the caller then adds to the queue.
    fn admit(self: &Arc<Self>) -> Result<MutexGuard<'_, State>, Refusal> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refusal::Ending);
        }
        if state.queue.len() < state.idle {
            self.work.notify_one();
        } else if state.threads < self.max_threads {
            let pool = self.clone();
            let started = thread::Builder::new().name(self.thread_name.into()).spawn(move || pool.work());
            match started {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => return Err(Refusal::NoThread(error)),
                Err(_) => {} // a busy thread takes it later
            }
        }
        state.unfinished += 1;
        Ok(state)
    }

    /// The loop of each thread.
    fn work(&self) {
        let mut state = self.state.lock();
        let mut timed_out = false;
        while !(state.queue.is_empty() && (state.closed || timed_out)) {
            let Some(job) = state.queue.pop_front() else {
                state.idle += 1;
                timed_out = self.work.wait_for(&mut state, IDLE_TIME).timed_out();
                state.idle -= 1;
                continue;
            };
            drop(state);
            let mut own_waker = None;
            contain(|| own_waker = job().and_then(wake_foreign));
            state = self.state.lock();
            // Under the lock: a task that is woken here and starts the next job finds this thread
            // idle.
            if let Some(waker) = own_waker {
                waker.wake();
            }
            state.unfinished -= 1;
            if state.unfinished == 0 {
                mailbox::send(self.waits_for_idle, |_| ());
            }
        }
        state.threads -= 1;
    }

    /// Ends the idle threads and returns the jobs that are still queued, for the caller to drop.
    pub(crate) fn close(&self) -> VecDeque<Job> {
        let mut jobs = {
            let mut state = self.state.lock();
            state.closed = true;
            self.work.notify_all();
            state.unfinished -= state.queue.len();
            std::mem::take(&mut state.queue)
        };
        jobs.extend(self.names.get().into_iter().flat_map(|names| names.close()));
        jobs
    }
}

/// Wakes a waker that runs foreign code, and returns one of ours, which only posts its id.
fn wake_foreign(waker: Waker) -> Option<Waker> {
    match waker::id_of(&waker) {
        Some(_) => Some(waker),
        None => {
            waker.wake();
            None
        }
    }
}

/// Runs `f` on a thread of the blocking pool, and waits for its output without blocking this
/// thread.
///
/// For work that blocks: files, a library that knows nothing of async, a long computation. There
/// are as many threads as there is work, up to [`Builder::max_blocking_threads`]; more work than
/// that waits in a queue, so give a gather of such tasks a limit.
///
/// Dropping the [`BlockingTask`] before `f` was started keeps it from being started; when it runs,
/// it runs on, and its output is dropped.
///
/// [`Builder::max_blocking_threads`]: crate::Builder::max_blocking_threads
///
/// # Errors
///
/// The task returns a [`TaskError`] if `f` panics, or if the runtime ends before it was started.
///
/// # Panics
///
/// If this thread runs no runtime, or no thread can be started (see [`try_spawn_blocking`]).
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
    match try_spawn_blocking(f) {
        Ok(task) => task,
        Err(error) => panic!(
            "gather::spawn_blocking: {error}; `gather::try_spawn_blocking` gives the closure back instead"
        ),
    }
}

/// As [`spawn_blocking`], but without a panic if no thread can be started.
///
/// # Errors
///
/// If the pool has no thread and the system starts none, or if the runtime is ending. The closure
/// comes back in the error. (A pool that has a thread takes every closure: it waits in the queue.)
///
/// # Panics
///
/// If this thread runs no runtime.
///
/// ```
/// gather_runtime::run(async {
///     let sum = || (1..=100).sum::<u32>();
///     let sum = match gather_runtime::try_spawn_blocking(sum) {
///         Ok(task) => task.await.unwrap(),
///         Err(error) => error.into_inner()(), // it blocks the loop, but it runs
///     };
///     assert_eq!(sum, 5050);
/// });
/// ```
#[track_caller]
pub fn try_spawn_blocking<F, T>(f: F) -> Result<BlockingTask<T>, SpawnError<F>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Pool::of_this_thread("gather::spawn_blocking").spawn(f)
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
