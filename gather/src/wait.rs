//! [`wait()`] for tasks, as `asyncio.wait` does: what has finished, what has not, and nothing is cancelled.
//!
//! Tasks do not live here, and their handles may be moved; so there are no slots, no engine and no policy: a list of
//! handles, and a group that says which of them were woken. When it is enough, the rest of the list is looked through once for
//! tasks that have finished as well.
//!
//! Next: [`outcomes`](crate::outcomes), for what a capture gives.

use std::fmt;
use std::future::Future;
use std::mem::take;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use gather_runtime::group::{Group, Polling, without_budget};
use gather_runtime::{Sleep, Task, TaskError, YieldNow, sleep, yield_now};

use crate::panics::FirstPanic;

/// Waits for tasks, and gives those that have finished and those that have not: a future of [`Waited`].
///
/// By default it waits for all. [`first_completed`](Wait::first_completed), [`first_failure`](Wait::first_failure) and
/// [`until`](Wait::until) end it at one task, and [`within`](Wait::within) after some time. It cancels none then: the tasks
/// that have not finished are handed back. Every task that has finished by then is among the results, also if another
/// one ended the wait.
///
/// Without tasks it gives an empty result at once.
///
/// # Panics
///
/// Polling it panics if this thread does not run the tasks' runtime, or if it has given its result before.
///
/// # Cancellation
///
/// Dropped before it is done it drops the tasks that it was given, and **dropping a task cancels it**. To give up waiting
/// and keep the tasks, use [`within`](Wait::within).
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
    let handles = Handles(tasks.into_iter().map(Handle::Waiting).collect());
    let left = handles.0.len();
    let ends_at: Judge<T> = never;
    let rest = Rest { handles, left, generation: 1, ends_at, duration: None, sleep: None, last_turn: None };
    Wait { group: Group::new("wait"), rest, is_over: false }
}

/// What [`wait()`] gives. Both lists are in the order of the input, and together they have every task once.
#[must_use = "dropping it, as `let _ =` does, cancels the tasks that have not finished"]
#[derive(Debug)]
pub struct Waited<T> {
    /// The results of the tasks that have finished, with their indices.
    pub done: Vec<(usize, Result<T, TaskError>)>,
    /// The tasks that have not finished, with their indices. They go on running until they are dropped.
    pub pending: Vec<(usize, Task<T>)>,
}

/// Says of a result whether it is enough.
type Judge<T> = fn(&Result<T, TaskError>) -> bool;

/// The future of [`wait()`]. `U` says at which result it ends.
#[must_use = "a wait does nothing unless it is awaited, and dropping it, as `let _ =` does, cancels its tasks"]
pub struct Wait<T, U = fn(&Result<T, TaskError>) -> bool> {
    /// Which tasks were woken.
    group: Group,
    rest: Rest<T, U>,
    /// Whether the result was given.
    is_over: bool,
}

/// All of a wait but its group.
struct Rest<T, U> {
    handles: Handles<T>,
    /// How many of them have not given their results.
    left: usize,
    /// What the wakers of the tasks carry.
    generation: u8,
    /// Whether a result ends the wait.
    ends_at: U,
    /// How long it may take.
    duration: Option<Duration>,
    /// Set at the first poll, if that is not also the last.
    sleep: Option<Sleep>,
    /// Set when the time is over.
    last_turn: Option<YieldNow>,
}

/// The tasks, by their indices.
struct Handles<T>(Vec<Handle<T>>);

enum Handle<T> {
    Waiting(Task<T>),
    Done(Result<T, TaskError>),
}

/// No future is in it, only handles.
impl<T, U> Unpin for Wait<T, U> {}

fn never<T>(_: &Result<T, TaskError>) -> bool {
    false
}

impl<T> Wait<T> {
    /// Ends when a task has finished, in whichever way.
    pub fn first_completed(mut self) -> Wait<T> {
        self.rest.ends_at = |_| true;
        self
    }

    /// Ends when a task has failed, which means that it panicked or was cancelled; or when all have finished. (An `Err` in a
    /// task's output is an output, and no failure of the task: for that there is [`until`](Wait::until).)
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
        self.rest.ends_at = Result::is_err;
        self
    }

    /// Ends when `is_enough` says so of a result; or when all tasks have finished. It is asked once for each task that has
    /// finished, in the order in which they did, until it says so.
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
        let Wait { group, rest, is_over } = self;
        let Rest { handles, left, generation, duration, sleep, last_turn, .. } = rest;
        let rest = Rest { handles, left, generation, ends_at: is_enough, duration, sleep, last_turn };
        Wait { group, rest, is_over }
    }
}

impl<T, U> Wait<T, U> {
    /// Ends after `duration` at the latest, counted from the first poll. What finishes at the very end still counts:
    /// when the time is over, tasks that were woken at the same moment have their turn.
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
        self.rest.duration = Some(duration);
        self
    }
}

impl<T: 'static, U: FnMut(&Result<T, TaskError>) -> bool> Future for Wait<T, U> {
    type Output = Waited<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Waited<T>> {
        let Wait { group, rest, is_over } = &mut *self;
        assert!(!*is_over, "a wait was polled after it had given its result");
        let is_ready = rest.left == 0
            || group.poll(cx, |polling, first_generation| rest.advance(polling, first_generation)).is_ready();
        if !is_ready {
            return Poll::Pending;
        }
        *is_over = true;
        group.release();
        rest.sleep = None;
        Poll::Ready(rest.handles.sort())
    }
}

impl<T: 'static, U: FnMut(&Result<T, TaskError>) -> bool> Rest<T, U> {
    /// Takes the results of the tasks that were woken, until it is enough.
    fn advance(&mut self, polling: &mut Polling<'_>, first_generation: Option<u8>) -> Poll<()> {
        if let Some(first_generation) = first_generation {
            self.prepare(polling, first_generation);
        }
        let mut has_budget = true;
        while has_budget {
            let Some((number, _)) = polling.next() else { break };
            let Some(handle) = self.handles.0.get_mut(number as usize) else { continue };
            let Handle::Waiting(task) = handle else { continue };
            // The unit that a finished task costs is spent below.
            let poll_task = |cx: &mut Context<'_>| without_budget(|| Pin::new(task).poll(cx));
            let poll = polling.with_context(number, self.generation, poll_task);
            if let Poll::Ready(result) = poll {
                polling.ended(number);
                self.left -= 1;
                *handle = Handle::Done(result);
                let Handle::Done(result) = handle else { unreachable!("it was just put there") };
                if (self.ends_at)(result) || self.left == 0 {
                    return Poll::Ready(());
                }
            }
            has_budget = polling.spend(1);
        }
        if self.poll_time(&mut polling.context()).is_ready() {
            return Poll::Ready(());
        }
        polling.wait(!has_budget, self.handles.0.len() - self.left)
    }

    /// Whether the time is over, and the tasks that were woken at that moment have had their turn.
    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(duration) = self.duration else { return Poll::Pending };
        if self.last_turn.is_none() {
            let sleep = self.sleep.get_or_insert_with(|| sleep(duration));
            ready!(without_budget(|| Pin::new(sleep).poll(cx))); // also when the tasks have spent it
        }
        Pin::new(self.last_turn.get_or_insert_with(yield_now)).poll(cx)
    }

    /// The group is new on this runtime: every task is polled once, so that it learns its waker.
    fn prepare(&mut self, polling: &mut Polling<'_>, first_generation: u8) {
        self.generation = first_generation;
        polling.grow(u32::try_from(self.handles.0.len()).unwrap_or(u32::MAX));
        for (number, handle) in (0..).zip(&self.handles.0) {
            if let Handle::Waiting(_) = handle {
                polling.started(number, first_generation, number as usize);
                polling.push(number, first_generation);
            }
        }
    }
}

impl<T: 'static> Handles<T> {
    /// Takes all apart into what is done and what is not.
    fn sort(&mut self) -> Waited<T> {
        let mut waited = Waited { done: Vec::new(), pending: Vec::new() };
        for (index, handle) in take(&mut self.0).into_iter().enumerate() {
            match handle {
                Handle::Done(result) => waited.done.push((index, result)),
                Handle::Waiting(task) => match finished(task) {
                    Ok(result) => waited.done.push((index, result)),
                    Err(task) => waited.pending.push((index, task)),
                },
            }
        }
        waited
    }
}

/// The result of a task that has finished, though its wake has not come yet; or the task.
fn finished<T: 'static>(mut task: Task<T>) -> Result<Result<T, TaskError>, Task<T>> {
    if !task.is_finished() {
        return Err(task);
    }
    // It is asked only once.
    match without_budget(|| Pin::new(&mut task).poll(&mut Context::from_waker(Waker::noop()))) {
        Poll::Ready(result) => Ok(result),
        Poll::Pending => Err(task),
    }
}

impl<T> Drop for Handles<T> {
    fn drop(&mut self) {
        let mut panics = FirstPanic::default();
        for handle in take(&mut self.0) {
            panics.catch(|| drop(handle));
        }
        panics.resume();
    }
}

impl<T, U> fmt::Debug for Wait<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks = self.rest.handles.0.len();
        f.debug_struct("Wait").field("tasks", &tasks).field("left", &self.rest.left).finish_non_exhaustive()
    }
}
