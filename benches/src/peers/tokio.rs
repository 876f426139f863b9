//! tokio on one thread, four ways: a task for each child, and its handle awaited.
//!
//! The runtime has its reactor and its timers, as any program that does input and output has it,
//! and as ours always has it.

use std::future::Future;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime, Runtime};
use tokio::task::{JoinError, JoinHandle, JoinSet, LocalSet, spawn_local};

use super::{Child, Executor, FailsFast, Gathers, GathersAny, Sleeps, Spawns, TimesOut, tasks};
use crate::spawning;

/// A runtime of one thread with everything that a real program has.
fn builder() -> Builder {
    let mut builder = Builder::new_current_thread();
    builder.enable_all();
    builder
}

/// Awaits the handles in input order, as a user of `spawn` does who wants ordered outputs.
async fn await_in_order(handles: Vec<JoinHandle<Result<u64, ()>>>) -> Vec<u64> {
    let mut outputs = Vec::with_capacity(handles.len());
    for handle in handles {
        outputs.push(handle.await.expect("it neither panics nor is cancelled").expect("no child fails"));
    }
    outputs
}

/// `spawn_local` on a `LocalSet`, the usual way to have tasks that are not `Send`.
pub(crate) struct OnLocalSet {
    /// What drives the set.
    runtime: Runtime,
    /// The tasks.
    local_set: LocalSet,
}

impl tasks::Runtime for OnLocalSet {
    type Task<T: 'static> = JoinHandle<T>;

    fn start() -> Self {
        Self { runtime: builder().build().expect("a runtime starts"), local_set: LocalSet::new() }
    }

    fn block_on<T>(&self, root: impl Future<Output = T>) -> T {
        self.local_set.block_on(&self.runtime, root)
    }

    fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
        spawn_local(future)
    }

    fn joined<T: 'static>(output: Result<T, JoinError>) -> T {
        output.expect("it neither panics nor is cancelled")
    }
}

/// `spawn_local` on a `LocalRuntime`, which needs no set.
pub(crate) struct OnLocalRuntime(LocalRuntime);

impl tasks::Runtime for OnLocalRuntime {
    type Task<T: 'static> = JoinHandle<T>;

    fn start() -> Self {
        Self(builder().build_local(LocalOptions::default()).expect("a runtime starts"))
    }

    fn block_on<T>(&self, root: impl Future<Output = T>) -> T {
        self.0.block_on(root)
    }

    fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
        spawn_local(future)
    }

    fn joined<T: 'static>(output: Result<T, JoinError>) -> T {
        output.expect("it neither panics nor is cancelled")
    }
}

/// `tokio::spawn`: the tasks are `Send`, though nothing sends them.
pub(crate) struct Spawned(Runtime);

impl Spawned {
    /// Spawns and awaits `count` jobs.
    fn spawn_each(count: u64) -> impl Future<Output = u64> + Send {
        spawning::each(count, async |job| {
            tokio::spawn(job).await.expect("it neither panics nor is cancelled")
        })
    }
}

impl Executor for Spawned {
    fn new(_children: usize) -> Self {
        Self(builder().build().expect("a runtime starts"))
    }

    fn block_on<T>(&self, root: impl Future<Output = T>) -> T {
        self.0.block_on(root)
    }
}

impl Gathers for Spawned {
    async fn gather(&self, children: impl Iterator<Item = impl Child>) -> Vec<u64> {
        await_in_order(children.map(tokio::spawn).collect()).await
    }
}

impl Spawns for Spawned {
    fn spawn_in_root(&self, count: u64) -> u64 {
        self.block_on(Self::spawn_each(count))
    }

    fn spawn_in_task(&self, count: u64) -> u64 {
        let spawner = async { tokio::spawn(Self::spawn_each(count)).await };
        self.block_on(spawner).expect("it neither panics nor is cancelled")
    }
}

/// `JoinSet`, which gives the outputs in completion order.
pub(crate) struct InJoinSet(Runtime);

impl InJoinSet {
    /// Spawns and awaits `count` jobs in one set.
    fn spawn_each(count: u64) -> impl Future<Output = u64> + Send {
        let mut set = JoinSet::new();
        spawning::each(count, async move |job| {
            set.spawn(job);
            set.join_next().await.expect("one task is in it").expect("it neither panics nor is cancelled")
        })
    }
}

impl Executor for InJoinSet {
    fn new(_children: usize) -> Self {
        Self(builder().build().expect("a runtime starts"))
    }

    fn block_on<T>(&self, root: impl Future<Output = T>) -> T {
        self.0.block_on(root)
    }
}

impl Gathers for InJoinSet {
    async fn gather(&self, children: impl Iterator<Item = impl Child>) -> Vec<u64> {
        let mut set: JoinSet<_> = children.collect();
        let mut outputs = Vec::with_capacity(set.len());
        while let Some(output) = set.join_next().await {
            outputs.push(output.expect("it neither panics nor is cancelled").expect("no child fails"));
        }
        outputs
    }
}

impl Spawns for InJoinSet {
    fn spawn_in_root(&self, count: u64) -> u64 {
        self.block_on(Self::spawn_each(count))
    }

    fn spawn_in_task(&self, count: u64) -> u64 {
        let spawner = async { tokio::spawn(Self::spawn_each(count)).await };
        self.block_on(spawner).expect("it neither panics nor is cancelled")
    }
}

impl tasks::Clock for OnLocalSet {
    fn sleep(duration: Duration) -> impl Future<Output: 'static> + 'static {
        tokio::time::sleep(duration)
    }

    fn timeout<T: 'static>(
        limit: Duration,
        future: impl Future<Output = T> + 'static,
    ) -> impl Future<Output = Option<T>> + 'static {
        tokio::time::timeout(limit, future).map(Result::ok)
    }
}

impl tasks::Clock for OnLocalRuntime {
    fn sleep(duration: Duration) -> impl Future<Output: 'static> + 'static {
        tokio::time::sleep(duration)
    }

    fn timeout<T: 'static>(
        limit: Duration,
        future: impl Future<Output = T> + 'static,
    ) -> impl Future<Output = Option<T>> + 'static {
        tokio::time::timeout(limit, future).map(Result::ok)
    }
}

impl FailsFast for InJoinSet {
    async fn first_error<C>(&self, children: impl Iterator<Item = C>) -> u64
    where
        C: Future<Output = Result<(), u64>> + Send + 'static,
    {
        // Dropping the set cancels the other tasks; tokio drops their futures later.
        let mut set: JoinSet<_> = children.collect();
        let first = set.join_next().await.expect("one task ends");
        first.expect("it neither panics nor is cancelled").expect_err("one fails")
    }
}

/// `JoinSet::spawn_local` on a `LocalRuntime`, for children that are not `Send`.
pub(crate) struct InLocalJoinSet(LocalRuntime);

impl Executor for InLocalJoinSet {
    fn new(_children: usize) -> Self {
        Self(builder().build_local(LocalOptions::default()).expect("a runtime starts"))
    }

    fn block_on<T>(&self, root: impl Future<Output = T>) -> T {
        self.0.block_on(root)
    }
}

impl GathersAny for InLocalJoinSet {
    async fn gather_any<C>(&self, children: impl Iterator<Item = C>) -> Vec<u64>
    where
        C: Future<Output = Result<u64, ()>> + 'static,
    {
        let mut set = JoinSet::new();
        children.for_each(|child| drop(set.spawn_local(child)));
        let mut outputs = Vec::with_capacity(set.len());
        while let Some(output) = set.join_next().await {
            outputs.push(output.expect("it neither panics nor is cancelled").expect("no child fails"));
        }
        outputs
    }
}

/// `futures_buffered::try_join_all`, on tokio for its timers.
pub(crate) struct UnderFuturesBuffered(Runtime);

impl Executor for UnderFuturesBuffered {
    fn new(_children: usize) -> Self {
        Self(builder().build().expect("a runtime starts"))
    }

    fn block_on<T>(&self, root: impl Future<Output = T>) -> T {
        self.0.block_on(root)
    }
}

impl GathersAny for UnderFuturesBuffered {
    async fn gather_any<C>(&self, children: impl Iterator<Item = C>) -> Vec<u64>
    where
        C: Future<Output = Result<u64, ()>> + 'static,
    {
        futures_buffered::try_join_all(children).await.expect("no child fails")
    }
}

impl Sleeps for InLocalJoinSet {
    fn sleep(duration: Duration) -> impl Future<Output: 'static> + 'static {
        tokio::time::sleep(duration)
    }

    async fn gather_sleeps(&self, count: usize, duration: Duration) {
        let mut set = JoinSet::new();
        (0..count).for_each(|_| drop(set.spawn_local(tokio::time::sleep(duration))));
        set.join_all().await;
    }
}

impl TimesOut for InLocalJoinSet {
    fn timeout<T: 'static>(
        limit: Duration,
        future: impl Future<Output = T> + 'static,
    ) -> impl Future<Output = Option<T>> + 'static {
        tokio::time::timeout(limit, future).map(Result::ok)
    }
}

impl Sleeps for UnderFuturesBuffered {
    fn sleep(duration: Duration) -> impl Future<Output: 'static> + 'static {
        tokio::time::sleep(duration)
    }

    async fn gather_sleeps(&self, count: usize, duration: Duration) {
        futures_buffered::join_all((0..count).map(|_| tokio::time::sleep(duration))).await;
    }
}

impl TimesOut for UnderFuturesBuffered {
    fn timeout<T: 'static>(
        limit: Duration,
        future: impl Future<Output = T> + 'static,
    ) -> impl Future<Output = Option<T>> + 'static {
        tokio::time::timeout(limit, future).map(Result::ok)
    }
}
