//! What can go wrong with a task.
//!
//! Next: [`clock`](crate::clock), where time comes from.

use std::any::Any;
use std::error::Error;
use std::fmt;

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

/// A panic, or none: the task was cancelled. In a box, because every output is moved with room for the error.
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

    /// Whether the task was cancelled, by its handle, by a canceller, or because its runtime ended.
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

/// [`try_spawn`](crate::try_spawn) found no room: the runtime has as many tasks as
/// [`Builder::max_tasks`](crate::Builder::max_tasks) allows. The future comes back with it.
pub struct SpawnError<F> {
    pub(super) future: F,
    pub(super) max_tasks: usize,
}

impl<F> SpawnError<F> {
    /// The future that could not be spawned. It was not polled.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F> fmt::Debug for SpawnError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpawnError").field("max_tasks", &self.max_tasks).finish_non_exhaustive()
    }
}

impl<F> fmt::Display for SpawnError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the runtime already has {} tasks, the most that it allows (`Builder::max_tasks`)",
            self.max_tasks
        )
    }
}

impl<F> Error for SpawnError<F> {}
