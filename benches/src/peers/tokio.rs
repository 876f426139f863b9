//! tokio on one thread, four ways: a task for each child, and its handle awaited.
//!
//! The runtime has its reactor and its timers, as any program that does input and output has it, and as ours always has it.

use std::future::Future;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime, Runtime};
use tokio::task::{JoinHandle, JoinSet, LocalSet, spawn_local};

use super::{Child, Gathers, Spawns};
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

/// Spawns and awaits `count` jobs with `spawn_local`.
fn spawn_each_local(count: u64) -> impl Future<Output = u64> {
    spawning::each(count, async |job| spawn_local(job).await.expect("it neither panics nor is cancelled"))
}

/// `spawn_local` on a `LocalSet`, the usual way to have tasks that are not `Send`.
pub(crate) struct OnLocalSet {
    /// What drives the set.
    runtime: Runtime,
    /// The tasks.
    local_set: LocalSet,
}

impl Gathers for OnLocalSet {
    fn new(_children: usize) -> Self {
        Self { runtime: builder().build().expect("a runtime starts"), local_set: LocalSet::new() }
    }

    fn block_on<T>(&self, root: impl Future<Output = T>) -> T {
        self.local_set.block_on(&self.runtime, root)
    }

    async fn gather(&self, children: impl Iterator<Item = impl Child>) -> Vec<u64> {
        await_in_order(children.map(spawn_local).collect()).await
    }
}

impl Spawns for OnLocalSet {
    fn new() -> Self {
        Gathers::new(0)
    }

    fn spawn_in_root(&self, count: u64) -> u64 {
        self.block_on(spawn_each_local(count))
    }

    fn spawn_in_task(&self, count: u64) -> u64 {
        self.block_on(async {
            spawn_local(spawn_each_local(count)).await.expect("it neither panics nor is cancelled")
        })
    }
}

/// `spawn_local` on a `LocalRuntime`, which needs no set.
pub(crate) struct OnLocalRuntime(LocalRuntime);

impl Gathers for OnLocalRuntime {
    fn new(_children: usize) -> Self {
        Self(builder().build_local(LocalOptions::default()).expect("a runtime starts"))
    }

    fn block_on<T>(&self, root: impl Future<Output = T>) -> T {
        self.0.block_on(root)
    }

    async fn gather(&self, children: impl Iterator<Item = impl Child>) -> Vec<u64> {
        await_in_order(children.map(spawn_local).collect()).await
    }
}

impl Spawns for OnLocalRuntime {
    fn new() -> Self {
        Gathers::new(0)
    }

    fn spawn_in_root(&self, count: u64) -> u64 {
        self.block_on(spawn_each_local(count))
    }

    fn spawn_in_task(&self, count: u64) -> u64 {
        self.block_on(async {
            spawn_local(spawn_each_local(count)).await.expect("it neither panics nor is cancelled")
        })
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

impl Gathers for Spawned {
    fn new(_children: usize) -> Self {
        Self(builder().build().expect("a runtime starts"))
    }

    fn block_on<T>(&self, root: impl Future<Output = T>) -> T {
        self.0.block_on(root)
    }

    async fn gather(&self, children: impl Iterator<Item = impl Child>) -> Vec<u64> {
        await_in_order(children.map(tokio::spawn).collect()).await
    }
}

impl Spawns for Spawned {
    fn new() -> Self {
        Gathers::new(0)
    }

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

impl Gathers for InJoinSet {
    fn new(_children: usize) -> Self {
        Self(builder().build().expect("a runtime starts"))
    }

    fn block_on<T>(&self, root: impl Future<Output = T>) -> T {
        self.0.block_on(root)
    }

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
    fn new() -> Self {
        Gathers::new(0)
    }

    fn spawn_in_root(&self, count: u64) -> u64 {
        self.block_on(Self::spawn_each(count))
    }

    fn spawn_in_task(&self, count: u64) -> u64 {
        let spawner = async { tokio::spawn(Self::spawn_each(count)).await };
        self.block_on(spawner).expect("it neither panics nor is cancelled")
    }
}
