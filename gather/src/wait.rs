//! [`wait()`] for tasks, as `asyncio.wait` does: what has finished, what has not, and nothing is
//! cancelled.
//!
//! It is a gather whose children are the handles of tasks, with a [`Policy`] that ends it. A
//! handle may be moved after it was polled, so those that have not finished are taken out of their
//! slots again.
//!
//! Next: [`outcomes`](crate::outcomes), for what a capture gives.

use std::fmt;
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use gather_runtime::group::without_budget;
use gather_runtime::{Task, TaskError, sleep, yield_now};

use crate::engine::Siblings;
use crate::panics::DropAll;
use crate::policy::{Kept, Policy};

/// Waits for tasks, and gives those that have finished and those that have not: a future of
/// [`Waited`].
///
/// By default it waits for all. [`first_completed`](Wait::first_completed),
/// [`first_failure`](Wait::first_failure) and [`until`](Wait::until) end it at one task, and
/// [`within`](Wait::within) after some time. It cancels none then: the tasks that have not
/// finished are handed back. Every task that has finished by then is among the results, also if
/// another one ended the wait.
///
/// Without tasks it gives an empty result at once.
///
/// # Panics
///
/// Polling it panics if this thread does not run the tasks' runtime, or if it has given its result
/// before.
///
/// # Cancellation
///
/// Dropped before it is done it drops the tasks that it was given, and **dropping a task cancels
/// it**. To give up waiting and keep the tasks, use [`within`](Wait::within).
///
/// ```
/// use gather::{run, sleep, spawn, wait};
/// use std::time::Duration;
///
/// run(async {
///     let tasks = [60_000, 1].map(|milliseconds| {
///         spawn(async move {
///             sleep(Duration::from_millis(milliseconds)).await;
///             milliseconds
///         })
///     });
///     let waited = wait(tasks).first_completed().await;
///     let [(index, result)] = &waited.done[..] else { panic!("one of them is fast") };
///     assert_eq!((*index, result.as_ref().unwrap()), (1, &1));
///     for (_, task) in waited.pending {
///         task.detach(); // it goes on
///     }
/// });
/// ```
#[track_caller]
pub fn wait<T>(tasks: impl IntoIterator<Item = Task<T>>) -> Wait<T> {
    let tasks: Vec<_> = tasks.into_iter().collect();
    let siblings = Siblings::new(DropAll(tasks.into_iter()), "wait");
    Wait { siblings, until: Until(|_| false), time: None }
}

/// What [`wait()`] gives. Both lists are in the order of the input, and together they have every
/// task once.
#[must_use = "dropping it, as `let _ =` does, cancels the tasks that have not finished"]
#[derive(Debug)]
pub struct Waited<T> {
    /// The results of the tasks that have finished, with their indices.
    pub done: Vec<(usize, Result<T, TaskError>)>,
    /// The tasks that have not finished, with their indices. They go on running until they are
    /// dropped.
    pub pending: Vec<(usize, Task<T>)>,
}

/// The tasks that were not polled yet.
type Tasks<T> = DropAll<std::vec::IntoIter<Task<T>>>;

/// The future of [`wait()`]. `U` says at which result it ends.
#[must_use = "a wait does nothing unless it is awaited, and dropping it, as `let _ =` does, cancels its tasks"]
pub struct Wait<T, U = fn(&Result<T, TaskError>) -> bool> {
    siblings: Siblings<Tasks<T>, Task<T>, Result<T, TaskError>>,
    until: Until<U>,
    /// Ready when the time is over, and the tasks that were woken at that moment have had their
    /// turn.
    time: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

/// The mode of a wait: every result is kept, and one for which this is true ends it.
struct Until<U>(U);

/// No future is in it, only handles.
impl<T, U> Unpin for Wait<T, U> {}

impl<T> Wait<T> {
    /// Ends when a task has finished, in whichever way.
    pub fn first_completed(mut self) -> Wait<T> {
        self.until.0 = |_| true;
        self
    }

    /// Ends when a task has failed, which means that it panicked or was cancelled; or when all
    /// have finished. (An `Err` in a task's output is an output, and no failure of the task: for
    /// that there is [`until`](Wait::until).)
    ///
    /// ```
    /// use gather::{run, spawn, wait};
    ///
    /// run(async {
    ///     let tasks = [spawn(std::future::pending::<()>()), spawn(async {})];
    ///     tasks[0].cancel();
    ///     let waited = wait(tasks).first_failure().await;
    ///     assert!(waited.done[0].1.as_ref().unwrap_err().is_cancelled());
    /// });
    /// ```
    pub fn first_failure(mut self) -> Wait<T> {
        self.until.0 = Result::is_err;
        self
    }

    /// Ends when `is_enough` says so of a result; or when all tasks have finished. It is asked
    /// once for each task that has finished, in the order in which they did, until it says so.
    ///
    /// ```
    /// use gather::{run, spawn, wait};
    ///
    /// run(async {
    ///     let tasks = ["1", "x", "3"].map(|text| spawn(async move { text.parse::<i32>() }));
    ///     let waited = wait(tasks).until(|result| !matches!(result, Ok(Ok(_)))).await;
    ///     assert!(waited.done.iter().any(|(index, _)| *index == 1));
    /// });
    /// ```
    pub fn until<U: FnMut(&Result<T, TaskError>) -> bool>(self, is_enough: U) -> Wait<T, U> {
        Wait { siblings: self.siblings, until: Until(is_enough), time: self.time }
    }
}

impl<T, U> Wait<T, U> {
    /// Ends after `duration` at the latest, counted from the first poll. What finishes at the very
    /// end still counts: when the time is over, tasks that were woken at the same moment have
    /// their turn.
    ///
    /// ```
    /// use gather::{run, spawn, wait};
    /// use std::time::Duration;
    ///
    /// run(async {
    ///     let tasks = [spawn(std::future::pending::<()>())];
    ///     let waited = wait(tasks).within(Duration::from_millis(1)).await;
    ///     assert_eq!((waited.done.len(), waited.pending.len()), (0, 1));
    /// });
    /// ```
    pub fn within(mut self, duration: Duration) -> Wait<T, U> {
        self.time = Some(Box::pin(async move {
            sleep(duration).await;
            yield_now().await;
        }));
        self
    }
}

impl<T: 'static, U: FnMut(&Result<T, TaskError>) -> bool> Future for Wait<T, U> {
    type Output = Waited<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Waited<T>> {
        let Wait { siblings, until, time } = &mut *self;
        assert!(!siblings.is_over, "a wait was polled after it had given its result");
        if siblings.counts().0 == 0 && siblings.size_hint().0 == 0 {
            return Poll::Ready(self.take_apart(Kept::new())); // without tasks it needs no runtime
        }
        let results = match (siblings.advance(until, cx), time) {
            (Poll::Ready(results), _) => results,
            (Poll::Pending, None) => return Poll::Pending,
            (Poll::Pending, Some(time)) => {
                ready!(without_budget(|| time.as_mut().poll(cx))); // also when the tasks have spent it
                siblings.take_kept()
            }
        };
        self.time = None;
        Poll::Ready(self.take_apart(results))
    }
}

impl<O, U: FnMut(&O) -> bool> Policy<O> for Until<U> {
    type Output = Kept<O>;

    fn judge(&mut self, index: usize, output: O, kept: &mut Kept<O>) -> ControlFlow<Kept<O>> {
        kept.keep(index, output); // first: a panic of the user's function loses none
        let is_enough = kept.get(index).is_some_and(&mut self.0);
        if is_enough { ControlFlow::Break(kept.take()) } else { ControlFlow::Continue(()) }
    }

    fn finish(&mut self, kept: Kept<O>) -> Kept<O> {
        kept
    }
}

impl<T: 'static, U> Wait<T, U> {
    /// What is done, and what is not.
    fn take_apart(&mut self, results: Kept<Result<T, TaskError>>) -> Waited<T> {
        let results = results.into_options().into_iter().enumerate();
        let mut done: Vec<_> = results.filter_map(|(index, result)| Some((index, result?))).collect();
        let mut pending = Vec::new();
        for (index, mut task) in self.siblings.take_rest() {
            match finished(&mut task) {
                Some(result) => done.push((index, result)),
                None => pending.push((index, task)),
            }
        }
        done.sort_unstable_by_key(|(index, _)| *index);
        self.siblings.end();
        Waited { done, pending }
    }
}

/// The result of a task that has finished, though its wake may not have come yet.
fn finished<T: 'static>(task: &mut Task<T>) -> Option<Result<T, TaskError>> {
    if !task.is_finished() {
        return None;
    }
    match without_budget(|| Pin::new(task).poll(&mut Context::from_waker(Waker::noop()))) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

impl<T, U> fmt::Debug for Wait<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (started, running) = self.siblings.counts();
        let left = self.siblings.size_hint().0;
        let tasks = started - running + left;
        f.debug_struct("Wait").field("tasks", &tasks).field("left", &left).finish_non_exhaustive()
    }
}
