//! This project: `gather(children).await`, `spawn(future).await`, and its timers.

use std::future::Future;
use std::time::Duration;

use futures::FutureExt as _;

use super::tasks::Runtime;
use super::{Child, Executor, FailsFast, Gathers, GathersAny, Sleeps, TimesOut};

/// Our runtime, and our gather.
pub(crate) struct Ours(gather::Runtime);

impl Executor for Ours {
    fn new(_children: usize) -> Self {
        Self(gather::Runtime::new().expect("a runtime starts"))
    }

    fn block_on<T>(&self, root: impl Future<Output = T>) -> T {
        self.0.block_on(root)
    }
}

impl Gathers for Ours {
    async fn gather(&self, children: impl Iterator<Item = impl Child>) -> Vec<u64> {
        gather::gather(children).await.expect("no child fails")
    }
}

impl GathersAny for Ours {
    async fn gather_any<C>(&self, children: impl Iterator<Item = C>) -> Vec<u64>
    where
        C: Future<Output = Result<u64, ()>> + 'static,
    {
        gather::gather(children).await.expect("no child fails")
    }
}

impl Sleeps for Ours {
    fn sleep(duration: Duration) -> impl Future<Output: 'static> + 'static {
        gather::sleep(duration)
    }

    async fn gather_sleeps(&self, count: usize, duration: Duration) {
        gather::gather((0..count).map(|_| gather::sleep(duration))).capture().await;
    }
}

impl TimesOut for Ours {
    fn timeout<T: 'static>(
        limit: Duration,
        future: impl Future<Output = T> + 'static,
    ) -> impl Future<Output = Option<T>> + 'static {
        gather::timeout(limit, future).map(Result::ok)
    }
}

impl FailsFast for Ours {
    async fn first_error<C>(&self, children: impl Iterator<Item = C>) -> u64
    where
        C: Future<Output = Result<(), u64>> + Send + 'static,
    {
        gather::gather(children).await.expect_err("one fails")
    }
}

/// Our runtime, and its tasks.
pub(crate) struct Tasks(gather::Runtime);

impl Runtime for Tasks {
    type Task<T: 'static> = gather::Task<T>;

    fn start() -> Self {
        Self(gather::Runtime::new().expect("a runtime starts"))
    }

    fn block_on<T>(&self, root: impl Future<Output = T>) -> T {
        self.0.block_on(root)
    }

    fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Self::Task<T> {
        gather::spawn(future)
    }

    fn joined<T: 'static>(output: <Self::Task<T> as Future>::Output) -> T {
        output.expect("it neither panics nor is cancelled")
    }
}
