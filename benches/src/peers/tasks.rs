//! The peers that have tasks: what each runtime has to say, and the work written once for all of
//! them.
//!
//! A runtime implements [`Runtime`]: how it starts, runs a root future and spawns. [`InTasks`]
//! then gathers with it as its users do who want ordered outputs: a task for each child, awaited
//! in input order.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use super::{Child, Executor, Gathers, GathersAny, Sleeps, Spawns, TimesOut};
use crate::spawning;

/// A runtime of one thread.
pub(crate) trait Runtime: Sized + 'static {
    /// What awaits a task.
    type Task<T: 'static>: Future + 'static;

    /// Starts it, with all that a real program has: its reactor and its timers.
    fn start() -> Self;

    /// Runs `root` to its end.
    fn block_on<T>(&self, root: impl Future<Output = T>) -> T;

    /// Makes `future` a task.
    fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Self::Task<T>;

    /// What the task gave. No task here panics or is cancelled.
    fn joined<T: 'static>(output: <Self::Task<T> as Future>::Output) -> T;
}

/// A runtime's own timers.
pub(crate) trait Clock {
    /// Waits so long. What it gives differs.
    fn sleep(duration: Duration) -> impl Future<Output: 'static> + 'static;

    /// `future`'s output, or `None` if it takes longer.
    fn timeout<T: 'static>(
        limit: Duration,
        future: impl Future<Output = T> + 'static,
    ) -> impl Future<Output = Option<T>> + 'static;
}

/// A task for each child, awaited in input order.
pub(crate) struct InTasks<R>(Rc<R>);

impl<R: Runtime> InTasks<R> {
    /// Spawns and awaits `count` jobs.
    fn spawn_each(&self, count: u64) -> impl Future<Output = u64> + use<R> {
        let runtime = self.0.clone();
        spawning::each(count, async move |job| R::joined(runtime.spawn(job).await))
    }
}

impl<R: Runtime> Executor for InTasks<R> {
    fn new(_children: usize) -> Self {
        Self(Rc::new(R::start()))
    }

    fn block_on<T>(&self, root: impl Future<Output = T>) -> T {
        self.0.block_on(root)
    }
}

impl<R: Runtime> Gathers for InTasks<R> {
    async fn gather(&self, children: impl Iterator<Item = impl Child>) -> Vec<u64> {
        self.gather_any(children).await
    }
}

impl<R: Runtime> GathersAny for InTasks<R> {
    async fn gather_any<C>(&self, children: impl Iterator<Item = C>) -> Vec<u64>
    where
        C: Future<Output = Result<u64, ()>> + 'static,
    {
        let tasks: Vec<_> = children.map(|child| self.0.spawn(child)).collect();
        let mut outputs = Vec::with_capacity(tasks.len());
        for task in tasks {
            outputs.push(R::joined(task.await).expect("no child fails"));
        }
        outputs
    }
}

impl<R: Runtime + Clock> Sleeps for InTasks<R> {
    fn sleep(duration: Duration) -> impl Future<Output: 'static> + 'static {
        R::sleep(duration)
    }

    async fn gather_sleeps(&self, count: usize, duration: Duration) {
        let tasks: Vec<_> = (0..count).map(|_| self.0.spawn(R::sleep(duration))).collect();
        for task in tasks {
            R::joined(task.await);
        }
    }
}

impl<R: Runtime + Clock> TimesOut for InTasks<R> {
    fn timeout<T: 'static>(
        limit: Duration,
        future: impl Future<Output = T> + 'static,
    ) -> impl Future<Output = Option<T>> + 'static {
        R::timeout(limit, future)
    }
}

impl<R: Runtime> Spawns for InTasks<R> {
    fn spawn_in_root(&self, count: u64) -> u64 {
        self.0.block_on(self.spawn_each(count))
    }

    fn spawn_in_task(&self, count: u64) -> u64 {
        self.0.block_on(async { R::joined(self.0.spawn(self.spawn_each(count)).await) })
    }
}
