//! smol: `LocalExecutor` inside `smol::block_on`, which drives its reactor.

use std::future::Future;
use std::rc::Rc;

use smol::LocalExecutor;

use super::{Child, Gathers, Spawns};
use crate::spawning;

/// A task for each child, awaited in input order.
pub(crate) struct OnLocalExecutor {
    /// Shared with the task that spawns the others.
    executor: Rc<LocalExecutor<'static>>,
}

impl OnLocalExecutor {
    /// Spawns and awaits `count` jobs.
    fn spawn_each(&self, count: u64) -> impl Future<Output = u64> + use<> {
        let executor = self.executor.clone();
        spawning::each(count, async move |job| executor.spawn(job).await)
    }
}

impl Gathers for OnLocalExecutor {
    fn new(_children: usize) -> Self {
        Self { executor: Rc::new(LocalExecutor::new()) }
    }

    fn block_on<T>(&self, root: impl Future<Output = T>) -> T {
        smol::block_on(self.executor.run(root))
    }

    async fn gather(&self, children: impl Iterator<Item = impl Child>) -> Vec<u64> {
        let tasks: Vec<_> = children.map(|child| self.executor.spawn(child)).collect();
        let mut outputs = Vec::with_capacity(tasks.len());
        for task in tasks {
            outputs.push(task.await.expect("no child fails"));
        }
        outputs
    }
}

impl Spawns for OnLocalExecutor {
    fn new() -> Self {
        Gathers::new(0)
    }

    fn spawn_in_root(&self, count: u64) -> u64 {
        self.block_on(self.spawn_each(count))
    }

    fn spawn_in_task(&self, count: u64) -> u64 {
        self.block_on(self.executor.spawn(self.spawn_each(count)))
    }
}
