//! This project: `gather(children).await`, and `spawn(future).await`.

use std::future::Future;

use super::{Child, Gathers, Spawns};
use crate::spawning;

/// Our runtime.
pub(crate) struct Ours(gather::Runtime);

impl Gathers for Ours {
    fn new(_children: usize) -> Self {
        Self(gather::Runtime::new().expect("a runtime starts"))
    }

    fn block_on<T>(&self, root: impl Future<Output = T>) -> T {
        self.0.block_on(root)
    }

    async fn gather(&self, children: impl Iterator<Item = impl Child>) -> Vec<u64> {
        gather::gather(children).await.expect("no child fails")
    }
}

impl Spawns for Ours {
    fn new() -> Self {
        Gathers::new(0)
    }

    fn spawn_in_root(&self, count: u64) -> u64 {
        self.0.block_on(spawn_each(count))
    }

    fn spawn_in_task(&self, count: u64) -> u64 {
        self.0.block_on(async {
            gather::spawn(spawn_each(count)).await.expect("it neither panics nor is cancelled")
        })
    }
}

/// Spawns and awaits `count` jobs.
fn spawn_each(count: u64) -> impl Future<Output = u64> {
    spawning::each(count, async |job| gather::spawn(job).await.expect("it neither panics nor is cancelled"))
}
