//! What can go wrong with a task.
//!
//! Next: [`clock`](crate::clock), where time comes from.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;

use parking_lot::Mutex;

/// Why a task has no output: it was cancelled, or it panicked.
///
/// ```
/// gather_runtime::run(async {
///     let task = gather_runtime::spawn(async { std::future::pending::<()>().await });
///     task.cancel();
///     assert!(task.await.unwrap_err().is_cancelled());
///
///     let error = gather_runtime::spawn(async { panic!("out of tea") }).await.unwrap_err();
///     assert!(error.is_panic());
///     assert_eq!(error.to_string(), "the task panicked: out of tea");
/// });
/// ```
pub struct TaskError(Option<Box<Panic>>);

/// A panic, or none: the task was cancelled. In a box, because every output is moved with room for
/// the error.
struct Panic {
    /// What it said, if its payload is text.
    message: Option<String>,
    /// In a lock only so that the error is `Sync`, as boxed errors have to be.
    payload: Mutex<Box<dyn Any + Send>>,
}

impl TaskError {
    /// The error of what was cancelled, for those who write handles of their own.
    pub fn cancelled() -> TaskError {
        TaskError(None)
    }

    #[cold]
    pub(crate) fn panic(payload: Box<dyn Any + Send>) -> TaskError {
        let text = payload.downcast_ref::<&str>().copied();
        let message = text.map(str::to_owned).or_else(|| payload.downcast_ref::<String>().cloned());
        TaskError(Some(Box::new(Panic { message, payload: Mutex::new(payload) })))
    }

    /// Whether the task was cancelled, by its handle, by a canceller, or because its runtime
    /// ended.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the task panicked.
    pub fn is_panic(&self) -> bool {
        self.0.is_some()
    }

    /// The payload of the panic, for [`std::panic::resume_unwind`].
    ///
    /// # Panics
    ///
    /// If the task did not panic but was cancelled: ask [`is_panic`](TaskError::is_panic) first.
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send> {
        match self.0 {
            Some(panic) => panic.payload.into_inner(),
            None => panic!("the task was cancelled; it did not panic"),
        }
    }

    /// What the panic said; `None` if the task did not panic, or its payload is not text.
    fn message(&self) -> Option<&str> {
        self.0.as_ref()?.message.as_deref()
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_panic() {
            true => write!(f, "TaskError::Panic({:?})", self.message().unwrap_or("..")),
            false => f.write_str("TaskError::Cancelled"),
        }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_panic(), self.message()) {
            (true, Some(message)) => write!(f, "the task panicked: {message}"),
            (true, None) => f.write_str("the task panicked"),
            (false, _) => f.write_str("the task was cancelled"),
        }
    }
}

impl Error for TaskError {}

/// [`try_spawn`] found no room for a future, because the runtime has as many tasks as
/// [`Builder::max_tasks`] allows; or [`try_spawn_blocking`] found no thread for a closure.
/// [`into_inner`](SpawnError::into_inner) gives it back.
///
/// [`try_spawn`]: crate::try_spawn
/// [`try_spawn_blocking`]: crate::try_spawn_blocking
/// [`Builder::max_tasks`]: crate::Builder::max_tasks
pub struct SpawnError<F> {
    pub(crate) inner: F,
    pub(crate) refusal: Refusal,
}

/// Why something was not spawned.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There are as many tasks as there may be, which is so many.
    MaxTasks(usize),
    /// The system starts no thread.
    NoThread(io::Error),
    /// The runtime is ending.
    Ending,
}

impl<F> SpawnError<F> {
    /// The future, which was not polled, or the closure, which was not called.
    pub fn into_inner(self) -> F {
        self.inner
    }
}

impl<F> fmt::Debug for SpawnError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpawnError").field("refusal", &self.refusal).finish_non_exhaustive()
    }
}

impl<F> fmt::Display for SpawnError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.refusal {
            Refusal::MaxTasks(most) => write!(
                f,
                "the runtime already has {most} tasks, the most that it allows (`Builder::max_tasks`)"
            ),
            Refusal::NoThread(error) => {
                write!(f, "the pool has no thread, and the system starts none: {error}")
            }
            Refusal::Ending => f.write_str("the runtime is ending"),
        }
    }
}

impl<F> Error for SpawnError<F> {}
