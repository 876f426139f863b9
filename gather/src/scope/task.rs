//! What the spawner holds of a child of a scope: [`ScopedTask`].
//!
//! ```text
//!   child ── future
//!         └─ promise ──► slot ◄── ScopedTask ──► table (to cancel)
//! ```
//!
//! The child has a promise: it gives the output, or, dropped without one, "cancelled". So the handle is told whichever way the
//! child goes.
//!
//! This is the last file of the reading order.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use gather_runtime::TaskError;
use gather_runtime::group::poll_budget;
use pin_project_lite::pin_project;

use super::table::{AnyChild, Cancel};

/// What a child shares with its handle.
pub(super) struct Slot<U> {
    stage: Cell<Stage>,
    output: Cell<Option<U>>,
    /// Who awaits the output.
    awaiter: Cell<Option<Waker>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The child runs: its promise exists.
    Running,
    /// The output is there.
    Finished,
    /// There will be no output.
    Cancelled,
    /// The handle has given its result.
    Taken,
}

impl<U> Slot<U> {
    /// The child ends in one way or the other, for the first time.
    fn end(&self, stage: Stage) {
        if self.stage.get() != Stage::Running {
            return;
        }
        self.stage.set(stage);
        if let Some(awaiter) = self.awaiter.take() {
            awaiter.wake();
        }
    }
}

/// The child's side of a slot.
pub(super) struct Promise<U>(Rc<Slot<U>>);

/// A promise, and what it is given to.
pub(super) fn promise<U>() -> (Promise<U>, Rc<Slot<U>>) {
    let (stage, output, awaiter) = (Cell::new(Stage::Running), Cell::new(None), Cell::new(None));
    let slot = Rc::new(Slot { stage, output, awaiter });
    (Promise(slot.clone()), slot)
}

impl<U> Promise<U> {
    /// A child that keeps the promise with the output of `future`.
    pub(super) fn kept_by<'scope, F, E>(self, future: F) -> AnyChild<'scope, E>
    where
        F: Future<Output = Result<U, E>> + 'scope,
        U: 'scope,
    {
        Box::pin(Promising { future, promise: self })
    }
}

impl<U> Drop for Promise<U> {
    fn drop(&mut self) {
        self.0.end(Stage::Cancelled);
    }
}

pin_project! {
    /// A child. Its future is dropped first: whoever is told that it was cancelled finds it gone.
    struct Promising<F, U> {
        #[pin]
        future: F,
        promise: Promise<U>,
    }
}

impl<U, E, F: Future<Output = Result<U, E>>> Future for Promising<F, U> {
    type Output = Result<(), E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        let this = self.project();
        let output = ready!(this.future.poll(cx))?;
        let Promise(slot) = this.promise;
        slot.output.set(Some(output));
        slot.end(Stage::Finished);
        Poll::Ready(Ok(()))
    }
}

/// A handle of a child of a [`scope`](crate::scope()), and a future of its output.
///
/// It gives `Ok` with the child's value, or a [`TaskError`] if the child was cancelled. (It never gives the child's error or
/// panic: those end the scope, and whoever awaits this is dropped.) Dropping it lets the child go on.
///
/// # Panics
///
/// When it is polled again after it has given its output.
///
/// # What the compiler refuses
///
/// It cannot leave the scope, though the output can:
///
/// ```
/// # use gather::{run, scope};
/// let output = run(scope(async |s| Ok::<_, ()>(s.spawn(async { Ok(1) }).await)));
/// ```
///
/// ```compile_fail
/// # use gather::{run, scope};
/// let output = run(scope(async |s| Ok::<_, ()>(s.spawn(async { Ok(1) }))));
/// ```
pub struct ScopedTask<'scope, U> {
    slot: Rc<Slot<U>>,
    /// What can cancel the child.
    table: &'scope (dyn Cancel + 'scope),
    /// The child's number in the table, which is its own for as long as it has not ended; `None` if it was refused.
    number: Option<u32>,
    name: Option<Rc<str>>,
}

/// A handle holds no `U`, so it never needs pinning.
impl<U> Unpin for ScopedTask<'_, U> {}

impl<'scope, U> ScopedTask<'scope, U> {
    pub(super) fn new(
        table: &'scope (dyn Cancel + 'scope),
        number: Option<u32>,
        slot: Rc<Slot<U>>,
        name: Option<Rc<str>>,
    ) -> Self {
        if number.is_none() {
            slot.end(Stage::Cancelled); // the refused child may have to wait for its drop
        }
        ScopedTask { slot, table, number, name }
    }

    /// Cancels the child: its future is dropped now (or when the poll that is going on returns; or, if the destructor of
    /// another child is running, after that), and the handle gives [`TaskError::is_cancelled`]. That is no failure of the
    /// scope. A child that has ended keeps its output, also if it ends in the poll in which it is cancelled.
    ///
    /// ```
    /// use gather::{run, scope};
    ///
    /// run(scope(async |s| {
    ///     let child = s.spawn(std::future::pending::<Result<(), ()>>());
    ///     child.cancel();
    ///     assert!(child.await.unwrap_err().is_cancelled());
    ///     Ok(())
    /// }))
    /// # .unwrap();
    /// ```
    pub fn cancel(&self) {
        if let (Stage::Running, Some(number)) = (self.slot.stage.get(), self.number) {
            self.table.cancel(number);
        }
    }

    /// Whether the output (or the error) is there, so that awaiting it does not wait.
    pub fn is_finished(&self) -> bool {
        self.slot.stage.get() != Stage::Running
    }

    /// The name that it was spawned with: see [`Scope::spawn_named`](crate::Scope::spawn_named).
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl<U> Future for ScopedTask<'_, U> {
    type Output = Result<U, TaskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let slot = &self.slot;
        match slot.stage.get() {
            Stage::Running => {
                let known = slot.awaiter.take().filter(|known| known.will_wake(cx.waker()));
                slot.awaiter.set(Some(known.unwrap_or_else(|| cx.waker().clone())));
                return Poll::Pending;
            }
            Stage::Taken => panic!("a `ScopedTask` was polled after it had given its output"),
            Stage::Finished | Stage::Cancelled => {
                ready!(poll_budget(cx));
                slot.stage.set(Stage::Taken);
            }
        }
        Poll::Ready(slot.output.take().ok_or_else(TaskError::cancelled))
    }
}

impl<U> Drop for ScopedTask<'_, U> {
    fn drop(&mut self) {
        drop(self.slot.awaiter.take()); // nobody is to be woken for it
    }
}

impl<U> fmt::Debug for ScopedTask<'_, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("ScopedTask");
        if let Some(name) = &self.name {
            text.field("name", name);
        }
        text.field("finished", &self.is_finished()).finish()
    }
}
