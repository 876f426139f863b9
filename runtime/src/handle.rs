//! The runtime as other threads see it.
//!
//! Next: [`dump`](mod@crate::dump), a look into the tables.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use pin_project_lite::pin_project;

use crate::budget::without_budget;
use crate::contain::contain;
use crate::dump::{Dump, Status, collect};
use crate::local::{self, Local};
use crate::mailbox::{self, RuntimeId};
use crate::metrics::Metrics;
use crate::oneshot::{Receiver, Sender, oneshot};
use crate::task::{Canceller, TaskError, spawn_from};

/// A runtime, to be reached from any thread. It is a number: cloning it is free, and it keeps
/// nothing alive.
///
/// ```
/// use gather_runtime::Handle;
///
/// gather_runtime::run(async {
///     let handle = Handle::current();
///     // Another thread starts a task here. The closure crosses over; the future need not be `Send`.
///     let thread = std::thread::spawn(move || handle.spawn(|| async { std::rc::Rc::new(42).to_string() }));
///     let task = gather_runtime::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
///     assert_eq!(task.await.unwrap(), "42");
/// });
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Handle {
    runtime: RuntimeId,
}

impl Handle {
    /// The runtime of this thread.
    ///
    /// # Panics
    ///
    /// If this thread runs none.
    #[track_caller]
    pub fn current() -> Handle {
        local::with_running("gather::Handle::current", |local| Handle::new(local.id()))
    }

    /// The runtime of this thread, if it runs one.
    pub fn try_current() -> Option<Handle> {
        local::try_running(|local| Handle::new(local.id()))
    }

    pub(crate) fn new(runtime: RuntimeId) -> Handle {
        Handle { runtime }
    }

    /// Starts a task on that runtime, from any thread. The closure is sent over and makes the
    /// future there, so the future need not be `Send`; the output comes back and must be. If the
    /// closure panics, the task gives that panic.
    ///
    /// If the runtime is gone, ends first, or has as many tasks as it may, the closure or the
    /// future is dropped and the task gives [`TaskError::is_cancelled`].
    #[track_caller]
    pub fn spawn<F, M>(&self, make: M) -> RemoteTask<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let spawned_at = Location::caller();
        let (sender, receiver) = oneshot();
        let link = Arc::new(Mutex::new(Link::Sent));
        let there = link.clone();
        let start = move |_: &Local| {
            if matches!(*there.lock(), Link::Cancelled) {
                return;
            }
            let future = match catch_unwind(AssertUnwindSafe(make)) {
                Ok(future) => future,
                Err(payload) => return sender.send(Err(TaskError::panic(payload))),
            };
            // If there is no room for it, it is dropped, and with it the sender, which tells the
            // receiver.
            let Ok(task) = spawn_from(Forward { future: Some(future), sender }, spawned_at) else { return };
            let mut link = there.lock();
            if matches!(*link, Link::Sent) {
                *link = Link::Started(task.canceller());
                drop(link);
                task.detach();
            } // else it was cancelled meanwhile: dropping the task cancels it
        };
        // If that runtime is gone, this drops the sender, which tells the receiver.
        mailbox::send(self.runtime, start);
        RemoteTask { receiver, link: Some(link) }
    }

    /// What the runtime has counted. See [`Metrics`]; zeros if the runtime is gone.
    pub fn metrics(&self) -> Metrics {
        local::with_home(self.runtime, Local::metrics)
            .or_else(|| mailbox::metrics(self.runtime))
            .unwrap_or_default()
    }

    /// What the runtime is doing: see [`dump()`](crate::dump()). From another thread it waits
    /// until the loop there comes round, for a second at most; the [`status`](Dump::status) says
    /// whether it did.
    ///
    /// ```
    /// use gather_runtime::{Handle, sleep};
    /// use std::time::Duration;
    ///
    /// gather_runtime::run(async {
    ///     let handle = Handle::current();
    ///     let task = gather_runtime::spawn(sleep(Duration::from_secs(60))).named("once a minute");
    ///     let dump = gather_runtime::spawn_blocking(move || handle.dump()).await.unwrap();
    ///     assert!(dump.to_string().contains("task \"once a minute\""), "{dump}");
    ///     drop(task);
    /// });
    /// ```
    pub fn dump(&self) -> Dump {
        if let Some(dump) = local::with_home(self.runtime, |local| collect(local, true)) {
            return dump;
        }
        let (answer, receiver) = mpsc::channel();
        let waits = Arc::new(());
        let asker = Arc::downgrade(&waits);
        // The loop knows nothing of dumps, so a program that takes none has no code for them.
        let look = move |local: &Local| {
            // Who asked may have given up.
            if asker.strong_count() > 0 {
                drop(answer.send(collect(local, false)));
            }
        };
        if !mailbox::send(self.runtime, look) {
            return Dump::without(Status::NoRuntime);
        }
        receiver.recv_timeout(MOST_PATIENCE).unwrap_or_else(|error| {
            Dump::without(match error {
                mpsc::RecvTimeoutError::Timeout => Status::NoAnswer,
                mpsc::RecvTimeoutError::Disconnected => Status::NoRuntime, // it ended, and the question with it
            })
        })
    }
}

/// How long a thread waits for another's dump.
const MOST_PATIENCE: Duration = Duration::from_secs(1);

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("runtime", &self.runtime.serial()).finish()
    }
}

/// How far a remote task has come, for the one who wants to cancel it.
enum Link {
    Sent,
    Started(Canceller),
    Cancelled,
}

pin_project! {
    /// A future on its own runtime, whose output goes to another thread. A panic goes there too;
    /// and if it is dropped before it is done, its sender tells that it was cancelled.
    struct Forward<F: Future> {
        #[pin]
        future: Option<F>,
        sender: Sender<F::Output>,
    }
}

impl<F: Future> Future for Forward<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Ready(()) };
        let mut output = match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(payload) => Err(TaskError::panic(payload)),
        };
        // The future goes before its output, as in every task, and a panic in its destructor
        // counts.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| without_budget(|| this.future.set(None)))) {
            let before = std::mem::replace(&mut output, Err(TaskError::panic(payload)));
            contain(|| drop(before));
        }
        if let Some(waker) = this.sender.put(output) {
            waker.wake();
        }
        Poll::Ready(())
    }
}

/// A task on another thread's runtime, and a future of its output that may be awaited anywhere, on
/// any runtime.
///
/// Dropping it cancels the task, as with [`Task`](crate::Task); the task's future is then dropped
/// on its own thread when the loop there gets to it.
#[must_use = "dropping a `RemoteTask` cancels it, and so does `let _ =`: await it, keep it, or `.detach()` it"]
pub struct RemoteTask<T> {
    receiver: Receiver<T>,
    /// `None` when there is nothing to cancel any more.
    link: Option<Arc<Mutex<Link>>>,
}

impl<T> RemoteTask<T> {
    /// Lets the task go on alone.
    pub fn detach(mut self) {
        self.link = None;
    }

    /// Cancels the task.
    pub fn cancel(&self) {
        let Some(link) = &self.link else { return };
        let before = std::mem::replace(&mut *link.lock(), Link::Cancelled);
        if let Link::Started(canceller) = before {
            canceller.cancel();
        }
    }

    /// Whether the output (or the error) is there, so that awaiting it does not wait.
    pub fn is_finished(&self) -> bool {
        self.receiver.is_ready()
    }
}

impl<T> Future for RemoteTask<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let output = self.receiver.poll(cx);
        if output.is_ready() {
            self.link = None;
        }
        output
    }
}

impl<T> Drop for RemoteTask<T> {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl<T> fmt::Debug for RemoteTask<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteTask").field("finished", &self.is_finished()).finish()
    }
}
