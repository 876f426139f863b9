//! The peers that are only a future: they poll their children themselves and run on any executor.
//! Here it is the smallest one, `futures_lite::future::block_on`, which is the default of
//! [`Executor::block_on`].

use std::future::Future;

use futures::stream::TryStreamExt as _;
use futures_concurrency::future::TryJoin as _;

use super::{Child, Executor, FailsFast, Gathers, GathersAny};

/// `futures_buffered::try_join_all`: one allocation for all children, wakers without atomics for
/// each wake.
pub(crate) struct FuturesBuffered;

impl Executor for FuturesBuffered {
    fn new(_children: usize) -> Self {
        Self
    }
}

impl Gathers for FuturesBuffered {
    async fn gather(&self, children: impl Iterator<Item = impl Child>) -> Vec<u64> {
        self.gather_any(children).await
    }
}

impl GathersAny for FuturesBuffered {
    async fn gather_any<C>(&self, children: impl Iterator<Item = C>) -> Vec<u64>
    where
        C: Future<Output = Result<u64, ()>> + 'static,
    {
        futures_buffered::try_join_all(children).await.expect("no child fails")
    }
}

impl FailsFast for FuturesBuffered {
    async fn first_error<C>(&self, children: impl Iterator<Item = C>) -> u64
    where
        C: Future<Output = Result<(), u64>> + Send + 'static,
    {
        futures_buffered::try_join_all(children).await.expect_err("one fails")
    }
}

/// `try_join` of a `Vec`: a bit for each child, and a scan of the bits for each poll.
pub(crate) struct FuturesConcurrency;

impl Executor for FuturesConcurrency {
    fn new(_children: usize) -> Self {
        Self
    }
}

impl Gathers for FuturesConcurrency {
    async fn gather(&self, children: impl Iterator<Item = impl Child>) -> Vec<u64> {
        self.gather_any(children).await
    }
}

impl GathersAny for FuturesConcurrency {
    async fn gather_any<C>(&self, children: impl Iterator<Item = C>) -> Vec<u64>
    where
        C: Future<Output = Result<u64, ()>> + 'static,
    {
        children.collect::<Vec<_>>().try_join().await.expect("no child fails")
    }
}

impl FailsFast for FuturesConcurrency {
    async fn first_error<C>(&self, children: impl Iterator<Item = C>) -> u64
    where
        C: Future<Output = Result<(), u64>> + Send + 'static,
    {
        children.collect::<Vec<_>>().try_join().await.expect_err("one fails")
    }
}

/// `futures::future::try_join_all`: polls all for up to 30 children, `FuturesOrdered` for more.
pub(crate) struct TryJoinAll;

impl Executor for TryJoinAll {
    fn new(_children: usize) -> Self {
        Self
    }
}

impl Gathers for TryJoinAll {
    async fn gather(&self, children: impl Iterator<Item = impl Child>) -> Vec<u64> {
        self.gather_any(children).await
    }
}

impl GathersAny for TryJoinAll {
    async fn gather_any<C>(&self, children: impl Iterator<Item = C>) -> Vec<u64>
    where
        C: Future<Output = Result<u64, ()>> + 'static,
    {
        futures::future::try_join_all(children).await.expect("no child fails")
    }
}

/// `futures::stream::FuturesUnordered`, collected in completion order.
pub(crate) struct FuturesUnordered;

impl Executor for FuturesUnordered {
    fn new(_children: usize) -> Self {
        Self
    }
}

impl Gathers for FuturesUnordered {
    async fn gather(&self, children: impl Iterator<Item = impl Child>) -> Vec<u64> {
        self.gather_any(children).await
    }
}

impl GathersAny for FuturesUnordered {
    async fn gather_any<C>(&self, children: impl Iterator<Item = C>) -> Vec<u64>
    where
        C: Future<Output = Result<u64, ()>> + 'static,
    {
        let unordered: futures::stream::FuturesUnordered<_> = children.collect();
        unordered.try_collect().await.expect("no child fails")
    }
}

impl FailsFast for FuturesUnordered {
    async fn first_error<C>(&self, children: impl Iterator<Item = C>) -> u64
    where
        C: Future<Output = Result<(), u64>> + Send + 'static,
    {
        let unordered: futures::stream::FuturesUnordered<_> = children.collect();
        unordered.try_collect::<Vec<_>>().await.expect_err("one fails")
    }
}
