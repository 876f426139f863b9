//! A child of a scope: one cell that the engine, the scope and its handle share.
//!
//! The future is borrowed while it is polled. So a child that is cancelled in its own poll is
//! dropped when that returns, and any other at once; the engine learns of it by a wake.
//!
//! This is the last file of the reading order.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use gather_runtime::TaskError;
use gather_runtime::group::poll_budget;

use super::table::Table;
use crate::panics::DropAll;

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// The key of a child that is not among the children of the scope.
const NO_KEY: usize = usize::MAX;

/// A child. (The body is one as well.)
pub(super) struct Child<'scope, U, E> {
    table: &'scope Table<'scope, E>,
    /// Its key among the children of the scope.
    key: Cell<usize>,
    /// `None` when it has ended.
    future: RefCell<Option<Boxed<'scope, Result<U, E>>>>,
    /// The engine's waker, which is one of the runtime's own: no foreign code runs when it is
    /// cloned or dropped.
    waker: Cell<Option<Waker>>,
    is_cancelled: Cell<bool>,
    result: ChildResult<U>,
}

/// What a child shares with its handle.
pub(super) struct ChildResult<U> {
    name: Option<Box<str>>,
    stage: Cell<Stage>,
    output: RefCell<DropAll<Option<U>>>,
    /// What awaits the output.
    join_waker: Cell<Option<Waker>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    /// The output is there.
    Finished,
    /// There will be no output.
    Cancelled,
    /// The handle has returned its result.
    Taken,
}

impl<U> ChildResult<U> {
    /// The child ends in one way or the other, for the first time.
    fn settle(&self, stage: Stage) {
        if self.stage.get() == Stage::Running {
            self.stage.set(stage);
            self.join_waker.take().into_iter().for_each(Waker::wake);
        }
    }
}

/// A child without the type of its output, as the engine and the scope know it.
pub(super) trait AnyChild<E> {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<(), E>>;
    fn cancel(self: Rc<Self>);
    /// Drops the future, if it is there.
    fn end(&self);
    fn name(&self) -> Option<&str>;
}

/// A child without the type of its error, as its handle knows it.
pub(super) trait AnyHandle<U> {
    fn cancel(self: Rc<Self>);
    fn result(&self) -> &ChildResult<U>;
}

impl<'scope, U: 'scope, E> Child<'scope, U, E> {
    pub(super) fn new(
        table: &'scope Table<'scope, E>,
        name: Option<Box<str>>,
        future: impl Future<Output = Result<U, E>> + 'scope,
    ) -> Rc<Self> {
        let (stage, output) = (Cell::new(Stage::Running), RefCell::new(DropAll(None)));
        Rc::new(Child {
            table,
            key: Cell::new(NO_KEY),
            future: RefCell::new(Some(Box::pin(future))),
            waker: Cell::new(None),
            is_cancelled: Cell::new(false),
            result: ChildResult { name, stage, output, join_waker: Cell::new(None) },
        })
    }

    pub(super) fn set_key(&self, key: usize) {
        self.key.set(key);
    }

    pub(super) fn take_output(&self) -> Option<U> {
        self.result.output.borrow_mut().take()
    }

    pub(super) fn cancel(self: Rc<Self>) {
        if self.result.stage.get() != Stage::Running || self.is_cancelled.replace(true) {
            return;
        }
        if self.future.try_borrow().is_err() {
            return; // it is being polled
        }
        self.settle_cancelled();
        self.waker.take().into_iter().for_each(Waker::wake);
        self.table.discard(self.clone());
    }

    /// Leaves the children of the scope, and tells the handle that there will be no output (if
    /// there is none).
    pub(super) fn settle_cancelled(&self) {
        let in_scope = self.table.remove(self.key.replace(NO_KEY));
        self.result.settle(Stage::Cancelled);
        drop(in_scope); // the cell is still shared with the caller
    }
}

impl<'scope, U: 'scope, E> AnyChild<E> for Child<'scope, U, E> {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        let mut future = self.future.borrow_mut();
        let Some(running) = future.as_mut() else { return Poll::Ready(Ok(())) };
        self.waker.set(Some(cx.waker().clone()));
        match running.as_mut().poll(cx) {
            Poll::Pending if self.is_cancelled.get() => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(output)) => {
                self.result.output.borrow_mut().0 = Some(output);
                self.result.settle(Stage::Finished);
                Poll::Ready(Ok(()))
            }
        }
    }

    fn cancel(self: Rc<Self>) {
        Child::cancel(self);
    }

    fn end(&self) {
        self.settle_cancelled();
        let future = self.future.take();
        drop(future);
    }

    fn name(&self) -> Option<&str> {
        self.result.name.as_deref()
    }
}

impl<'scope, U: 'scope, E> AnyHandle<U> for Child<'scope, U, E> {
    fn cancel(self: Rc<Self>) {
        Child::cancel(self);
    }

    fn result(&self) -> &ChildResult<U> {
        &self.result
    }
}

/// A handle of a child of a [`scope`](crate::scope()), and a future of its output.
///
/// It gives `Ok` with the child's value, or a [`TaskError`] if the child was cancelled. (It never
/// gives the child's error or panic: those end the scope, and whoever awaits this is dropped.)
/// Dropping it lets the child go on.
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
    child: Rc<dyn AnyHandle<U> + 'scope>,
}

impl<'scope, U: 'scope> ScopedTask<'scope, U> {
    pub(super) fn new<E>(child: Rc<Child<'scope, U, E>>) -> Self {
        ScopedTask { child }
    }
}

impl<U> ScopedTask<'_, U> {
    /// Cancels the child: its future is dropped now (or when the poll that is going on returns;
    /// or, if the destructor of another child is running, after that), and the handle gives
    /// [`TaskError::is_cancelled`]. That is no failure of the scope. A child that has ended keeps
    /// its output, also if it ends in the poll in which it is cancelled.
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
        self.child.clone().cancel();
    }

    /// Whether the output (or the error) is there, so that awaiting it does not wait.
    pub fn is_finished(&self) -> bool {
        self.child.result().stage.get() != Stage::Running
    }

    /// The name that it was spawned with: see [`Scope::spawn_named`](crate::Scope::spawn_named).
    pub fn name(&self) -> Option<&str> {
        self.child.result().name.as_deref()
    }
}

impl<U> Future for ScopedTask<'_, U> {
    type Output = Result<U, TaskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = self.child.result();
        match result.stage.get() {
            Stage::Running => {
                let known = result.join_waker.take().filter(|known| known.will_wake(cx.waker()));
                result.join_waker.set(Some(known.unwrap_or_else(|| cx.waker().clone())));
                Poll::Pending
            }
            Stage::Taken => panic!("a `ScopedTask` was polled after it had given its output"),
            Stage::Finished | Stage::Cancelled => {
                ready!(poll_budget(cx));
                result.stage.set(Stage::Taken);
                Poll::Ready(result.output.borrow_mut().take().ok_or_else(TaskError::cancelled))
            }
        }
    }
}

impl<U> Drop for ScopedTask<'_, U> {
    fn drop(&mut self) {
        drop(self.child.result().join_waker.take()); // nothing is to be woken for it
    }
}

impl<U> fmt::Debug for ScopedTask<'_, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("ScopedTask");
        if let Some(name) = self.name() {
            text.field("name", &name);
        }
        text.field("finished", &self.is_finished()).finish()
    }
}
