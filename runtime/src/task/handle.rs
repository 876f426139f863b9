//! What the user holds of a task.
//!
//! Next: [`error`](super::error).

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::cell::{AnyTask, Cell};
use super::error::{Refusal, SpawnError, TaskError};
use super::reference::{Reference, TaskId};
use super::row::Key;
use super::table::Tasks;
use crate::local::{self, Local};
use crate::mailbox;
use crate::trace::Span;

/// Starts a task on the runtime of this thread, and returns its handle. It is first polled when
/// the caller has let the loop go on. Neither the future nor its output needs to be `Send`.
///
/// Dropping the handle cancels the task; [`Task::detach`] lets it go on alone.
///
/// # Panics
///
/// If this thread runs no runtime, or the runtime has as many tasks as it may (see [`try_spawn`]).
///
/// ```
/// gather_runtime::run(async {
///     let task = gather_runtime::spawn(async { 6 * 7 });
///     assert_eq!(task.await.unwrap(), 42);
/// });
/// ```
#[inline]
#[track_caller]
pub fn spawn<F: Future + 'static>(future: F) -> Task<F::Output> {
    if !has_room() {
        no_room();
    }
    let span = Span::of_task(Location::caller());
    Task::new(insert(Cell::boxed(future, span.clone()), Location::caller(), &span), span)
}

/// Starts a task, as [`spawn`] does, unless the runtime has as many as [`Builder::max_tasks`]
/// allows.
///
/// [`Builder::max_tasks`]: crate::Builder::max_tasks
///
/// # Errors
///
/// If there is no room. The future comes back in the error, not polled.
///
/// # Panics
///
/// If this thread runs no runtime.
///
/// ```
/// let runtime = gather_runtime::Builder::new().max_tasks(1).build()?;
/// runtime.block_on(async {
///     let first = gather_runtime::try_spawn(async { 1 }).unwrap();
///     let error = gather_runtime::try_spawn(async { 2 }).unwrap_err();
///     assert_eq!(error.into_inner().await, 2); // run it here instead
///     assert_eq!(first.await.unwrap(), 1);
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
#[inline]
#[track_caller]
pub fn try_spawn<F: Future + 'static>(future: F) -> Result<Task<F::Output>, SpawnError<F>> {
    spawn_from(future, Location::caller())
}

/// As [`try_spawn`], for who says where it was called.
#[inline]
#[track_caller]
pub(crate) fn spawn_from<F: Future + 'static>(
    future: F,
    spawned_at: &'static Location<'static>,
) -> Result<Task<F::Output>, SpawnError<F>> {
    if !has_room() {
        return Err(SpawnError { inner: future, refusal: no_room_for_more() });
    }
    let span = Span::of_task(spawned_at);
    Ok(Task::new(insert(Cell::boxed(future, span.clone()), spawned_at, &span), span))
}

#[inline(always)]
#[track_caller]
fn has_room() -> bool {
    local::with_running("gather::spawn", |local| !local.tasks.borrow().is_full())
}

#[cold]
fn no_room_for_more() -> Refusal {
    Refusal::MaxTasks(local::with(|local| local.tasks.borrow().max()))
}

/// Adds a task. It is in its box already: a large future is not to be passed from function to
/// function, because a build without optimisation copies it each time, and the stack is only so
/// large.
#[inline(always)] // a `Reference` does not fit two registers: see `Row`
fn insert(task: AnyTask, spawned_at: &'static Location<'static>, span: &Span) -> Reference {
    let key = insert_row(task, spawned_at);
    span.set_id(key.serial);
    Reference { runtime: local::with(Local::id), key }
}

#[inline(never)] // what it takes and gives is in registers; as a part of every `spawn` it would not be
fn insert_row(task: AnyTask, spawned_at: &'static Location<'static>) -> Key {
    local::with(|local| local.tasks.borrow_mut().insert(task, spawned_at))
}

#[cold]
#[track_caller]
fn no_room() -> ! {
    let error = SpawnError { inner: (), refusal: no_room_for_more() };
    panic!("gather::spawn: {error}; `gather::try_spawn` gives the future back instead")
}

/// A handle of a task, and a future of its output.
///
/// It gives `Ok` with the output, or a [`TaskError`] if the task panicked, was cancelled, or its
/// runtime ended first. **Dropping it cancels the task**: the future is dropped before the drop of
/// the handle returns (or, if it is being polled, as soon as that poll returns; or, if another
/// task's destructor is running, after that).
///
/// The handle is a number. It may be moved to and dropped on any thread where its output may; it
/// must be awaited on the thread of its runtime ([`Handle::spawn`](crate::Handle::spawn) gives one
/// that may be awaited anywhere). Dropped while its runtime does not run, it cancels the task when
/// that runs again or is dropped.
///
/// # Panics
///
/// When it is polled on another thread than its runtime's, or again after it has given its output.
#[must_use = "dropping a `Task` cancels it, and so does `let _ =`: await it, keep it, or `.detach()` it"]
pub struct Task<T> {
    /// Of no row, when the output was taken: then there is nothing to cancel.
    reference: Reference,
    /// The task's span, to be given its name.
    span: Span,
    output: PhantomData<T>,
}

#[cfg(all(target_pointer_width = "64", not(feature = "tracing")))]
const _: () = assert!(size_of::<Task<()>>() == 24, "a handle is small");

/// A `Task` holds no `T`, so it never needs pinning.
impl<T> Unpin for Task<T> {}

impl<T> Task<T> {
    #[inline(always)]
    fn new(reference: Reference, span: Span) -> Task<T> {
        Task { reference, span, output: PhantomData }
    }

    /// Names the task in a [`dump`](crate::dump()). (It may be named on the thread of its runtime;
    /// elsewhere this does nothing.)
    pub fn named(self, name: impl Into<Cow<'static, str>>) -> Task<T> {
        let Reference { runtime, key } = self.reference;
        let name = name.into();
        self.span.set_name(&name);
        local::with_home(runtime, |local| local.tasks.borrow_mut().set_name(key, name));
        self
    }

    /// Lets the task go on alone. Its output is dropped, and a panic in it is only reported by the
    /// panic hook.
    pub fn detach(mut self) {
        let reference = self.reference;
        self.reference.forget_row();
        reference.change(Tasks::detach);
    }

    /// Cancels the task: its future is dropped now (or when the poll that is going on returns),
    /// and the handle gives [`TaskError::is_cancelled`]. A task that is finished already keeps its
    /// output.
    pub fn cancel(&self) {
        self.reference.cancel();
    }

    /// Whether the output (or the error) is there, so that awaiting it does not wait. On a thread
    /// other than its runtime's it is `false` until the runtime has ended.
    pub fn is_finished(&self) -> bool {
        let here = local::with_home(self.reference.runtime, |local| {
            local.tasks.borrow().is_finished(self.reference.key)
        });
        here.unwrap_or_else(|| !mailbox::is_alive(self.reference.runtime))
    }

    /// A number for this task that no other task of the process ever has.
    pub fn id(&self) -> TaskId {
        self.reference.id()
    }

    /// Something that can cancel the task and can be cloned and sent to other threads.
    pub fn canceller(&self) -> Canceller {
        Canceller(self.reference)
    }
}

impl<T: 'static> Future for Task<T> {
    type Output = Result<T, TaskError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(task) = self.reference.poll_over(cx) else { return Poll::Pending };
        let mut output = None;
        task.into_output(&mut output);
        let output = output.unwrap_or_else(|| Err(self.reference.no_output()));
        self.reference.forget_row();
        Poll::Ready(output)
    }
}

impl<T> Drop for Task<T> {
    #[inline(always)] // mostly there is nothing to do
    fn drop(&mut self) {
        if self.reference.has_row() {
            self.reference.drop_handle();
        }
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("id", &self.id()).field("finished", &self.is_finished()).finish()
    }
}

/// Cancels a task from anywhere; see [`Task::canceller`]. It keeps nothing alive, and does nothing
/// when the task is finished or gone.
///
/// ```
/// gather_runtime::run(async {
///     let task = gather_runtime::spawn(std::future::pending::<()>());
///     let canceller = task.canceller();
///     std::thread::spawn(move || canceller.cancel());
///     assert!(task.await.unwrap_err().is_cancelled());
/// });
/// ```
#[derive(Clone)]
pub struct Canceller(Reference);

impl Canceller {
    /// Cancels the task, as [`Task::cancel`] does. From another thread it happens when the
    /// runtime's loop gets to it, and the future is dropped on the runtime's thread.
    pub fn cancel(&self) {
        self.0.cancel();
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Canceller").field(&self.0.id()).finish()
    }
}
