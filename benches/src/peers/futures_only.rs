//! The peers that are only a future: they poll their children themselves and run on any executor. Here it is the smallest
//! one, `futures_lite::future::block_on`, which is the default of [`Gathers::block_on`].

use futures::stream::TryStreamExt as _;
use futures_concurrency::future::TryJoin as _;

use super::{Child, Gathers};

/// `futures_buffered::try_join_all`: one allocation for all children, wakers without atomics for each wake.
pub(crate) struct FuturesBuffered;

impl Gathers for FuturesBuffered {
    fn new(_children: usize) -> Self {
        Self
    }

    async fn gather(&self, children: impl Iterator<Item = impl Child>) -> Vec<u64> {
        futures_buffered::try_join_all(children).await.expect("no child fails")
    }
}

/// `try_join` of a `Vec`: a bit for each child, and a scan of the bits for each poll.
pub(crate) struct FuturesConcurrency;

impl Gathers for FuturesConcurrency {
    fn new(_children: usize) -> Self {
        Self
    }

    async fn gather(&self, children: impl Iterator<Item = impl Child>) -> Vec<u64> {
        children.collect::<Vec<_>>().try_join().await.expect("no child fails")
    }
}

/// `futures::future::try_join_all`: polls all for up to 30 children, `FuturesOrdered` for more.
pub(crate) struct TryJoinAll;

impl Gathers for TryJoinAll {
    fn new(_children: usize) -> Self {
        Self
    }

    async fn gather(&self, children: impl Iterator<Item = impl Child>) -> Vec<u64> {
        futures::future::try_join_all(children).await.expect("no child fails")
    }
}

/// `futures::stream::FuturesUnordered`, collected in completion order.
pub(crate) struct FuturesUnordered;

impl Gathers for FuturesUnordered {
    fn new(_children: usize) -> Self {
        Self
    }

    async fn gather(&self, children: impl Iterator<Item = impl Child>) -> Vec<u64> {
        let unordered: futures::stream::FuturesUnordered<_> = children.collect();
        unordered.try_collect().await.expect("no child fails")
    }
}
