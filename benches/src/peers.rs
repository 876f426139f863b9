//! With what it is measured: the contenders, and the two things that a row asks of them.
//!
//! A row is generic over [`Gathers`] or [`Spawns`], so its work is written once. What differs between the peers, and only
//! that, stands in `peers/`; the floor stands in `hand.rs`.

mod futures_only;
mod ours;
mod smol;
mod tokio;

use std::future::Future;
use std::hint::black_box;

use crate::hand;
use crate::joins::Joins;

/// What every row's child is: a future that any peer can take. `Unpin`, so that the floor can poll it in place without
/// unsafe code; a `Result`, for the fail-fast calls.
pub(crate) trait Child: Future<Output = Result<u64, ()>> + Unpin + Send + 'static {}

impl<F: Future<Output = Result<u64, ()>> + Unpin + Send + 'static> Child for F {}

/// What a child carries that its row does not use. A real future holds a socket, a buffer, a request; with this, every row's
/// child is 56 or 64 bytes, for every contender. Without it a child would be two words, and a hundred thousand of them would
/// lie in a cache that holds few real ones.
pub(crate) struct Freight([u64; 6]);

impl Freight {
    /// Nothing in particular.
    pub(crate) const fn new() -> Self {
        Self([0; 6])
    }

    /// Keeps the compiler from leaving it out.
    pub(crate) fn hold(&self) {
        black_box(&self.0);
    }
}

/// Runs many children at once and collects their outputs.
pub(crate) trait Gathers {
    /// Makes what is not measured: a runtime, or the floor's wakers, one for each of `children`.
    fn new(children: usize) -> Self;

    /// Runs `root` to its end. What is only a future has no executor of its own, and takes this one.
    fn block_on<T>(&self, root: impl Future<Output = T>) -> T {
        futures_lite::future::block_on(root)
    }

    /// Makes the children, runs them, and gives their outputs.
    async fn gather(&self, children: impl Iterator<Item = impl Child>) -> Vec<u64>;
}

/// Spawns one task at a time and awaits it. The task is always [`spawning::each`](crate::spawning::each) or its `Job`.
pub(crate) trait Spawns {
    /// Makes the runtime.
    fn new() -> Self;

    /// Spawns and awaits `count` tasks from the root future, and gives the sum of their outputs.
    fn spawn_in_root(&self, count: u64) -> u64;

    /// Spawns one task, which does the same.
    fn spawn_in_task(&self, count: u64) -> u64;
}

/// The macros that join a few futures of different types.
#[derive(Clone, Copy)]
pub(crate) enum Joining {
    /// `gather::gather!`
    Gather,
    /// `tokio::try_join!`
    Tokio,
    /// `futures::try_join!`
    Futures,
    /// `futures_concurrency`'s `try_join` of a tuple.
    Concurrency,
}

/// A row's work with any peer that gathers.
pub(crate) trait GatherWork: Copy + 'static {
    /// How many children there are.
    fn children(self) -> usize;

    /// Takes one sample: nanoseconds for one operation.
    fn sample(self, peer: &impl Gathers) -> f64;
}

/// Who does the work.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Contender {
    /// The floor: `hand.rs`.
    Hand,
    /// This project.
    Ours,
    /// `futures_buffered::try_join_all`.
    FuturesBuffered,
    /// `futures_concurrency`'s `Vec::try_join`.
    FuturesConcurrency,
    /// `futures::future::try_join_all`.
    TryJoinAll,
    /// `futures::stream::FuturesUnordered`.
    FuturesUnordered,
    /// `tokio::task::spawn_local` on a `LocalSet`.
    TokioLocalSet,
    /// `tokio::task::spawn_local` on a `LocalRuntime`.
    TokioLocalRuntime,
    /// `tokio::spawn` on a runtime of one thread.
    TokioSpawn,
    /// `tokio::task::JoinSet` on a runtime of one thread.
    TokioJoinSet,
    /// `smol::LocalExecutor`.
    Smol,
    /// glommio's `spawn_local`.
    Glommio,
    /// compio's `spawn`.
    Compio,
    /// monoio's `spawn`, on io_uring.
    MonoioUring,
    /// monoio's `spawn`, on epoll.
    MonoioEpoll,
    /// A loop by hand on mio: `net/peers/by_mio.rs`.
    Mio,
    /// Python's asyncio, by script.
    Asyncio,
    /// asyncio on uvloop's loop, by script.
    Uvloop,
    /// Node, by script.
    Node,
}

impl Contender {
    /// Every contender, in the order of the table.
    pub(crate) const ALL: [Self; 19] = [
        Self::Hand,
        Self::Ours,
        Self::FuturesBuffered,
        Self::FuturesConcurrency,
        Self::TryJoinAll,
        Self::FuturesUnordered,
        Self::TokioLocalSet,
        Self::TokioLocalRuntime,
        Self::TokioSpawn,
        Self::TokioJoinSet,
        Self::Smol,
        Self::Glommio,
        Self::Compio,
        Self::MonoioUring,
        Self::MonoioEpoll,
        Self::Mio,
        Self::Asyncio,
        Self::Uvloop,
        Self::Node,
    ];

    /// Its name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hand => "hand (the floor)",
            Self::Ours => "gather",
            Self::FuturesBuffered => "futures-buffered",
            Self::FuturesConcurrency => "futures-concurrency",
            Self::TryJoinAll => "futures try_join_all",
            Self::FuturesUnordered => "FuturesUnordered",
            Self::TokioLocalSet => "tokio LocalSet",
            Self::TokioLocalRuntime => "tokio LocalRuntime",
            Self::TokioSpawn => "tokio spawn",
            Self::TokioJoinSet => "tokio JoinSet",
            Self::Smol => "smol LocalExecutor",
            Self::Glommio => "glommio",
            Self::Compio => "compio",
            Self::MonoioUring => "monoio io_uring",
            Self::MonoioEpoll => "monoio epoll",
            Self::Mio => "mio (by hand)",
            Self::Asyncio => "asyncio",
            Self::Uvloop => "uvloop",
            Self::Node => "Node",
        }
    }

    /// The contender with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|contender| contender.name() == name)
    }

    /// Whether it is somebody else's: neither ours nor a floor.
    pub(crate) fn is_peer(self) -> bool {
        !matches!(self, Self::Hand | Self::Ours | Self::Mio)
    }

    /// Whether it is a script, run by an interpreter.
    #[cfg(target_os = "linux")]
    pub(crate) fn is_script(self) -> bool {
        matches!(self, Self::Asyncio | Self::Uvloop | Self::Node)
    }

    /// Whether it gathers.
    pub(crate) fn gathers(self) -> bool {
        use Contender::*;
        !matches!(self, Glommio | Compio | MonoioUring | MonoioEpoll | Mio | Asyncio | Uvloop | Node)
    }

    /// Whether it runs on tokio.
    pub(crate) fn is_tokio(self) -> bool {
        matches!(self, Self::TokioLocalSet | Self::TokioLocalRuntime | Self::TokioSpawn | Self::TokioJoinSet)
    }

    /// Whether it has tasks.
    pub(crate) fn spawns(self) -> bool {
        matches!(self, Self::Hand | Self::Ours | Self::Smol) || self.is_tokio()
    }

    /// Which macro it joins with, if it has one.
    pub(crate) fn joins(self) -> Option<Joining> {
        match self {
            Self::Ours => Some(Joining::Gather),
            Self::TokioLocalRuntime => Some(Joining::Tokio),
            Self::TryJoinAll => Some(Joining::Futures),
            Self::FuturesConcurrency => Some(Joining::Concurrency),
            _ => None,
        }
    }

    /// The sampler of `work` with this contender, its runtime made. Only for those that have a macro.
    pub(crate) fn joining(self, work: Joins) -> Box<dyn FnMut() -> f64> {
        fn with<P: Gathers + 'static>(work: Joins, joining: Joining) -> Box<dyn FnMut() -> f64> {
            let peer = P::new(0);
            Box::new(move || work.sample(&peer, joining))
        }
        let joining = self.joins().expect("it joins");
        match joining {
            Joining::Gather => with::<ours::Ours>(work, joining),
            Joining::Tokio => with::<tokio::OnLocalRuntime>(work, joining),
            Joining::Futures => with::<futures_only::TryJoinAll>(work, joining),
            Joining::Concurrency => with::<futures_only::FuturesConcurrency>(work, joining),
        }
    }

    /// The sampler of `work` with this contender, its runtime made.
    pub(crate) fn gathering(self, work: impl GatherWork) -> Box<dyn FnMut() -> f64> {
        fn with<P: Gathers + 'static>(work: impl GatherWork) -> Box<dyn FnMut() -> f64> {
            let peer = P::new(work.children());
            Box::new(move || work.sample(&peer))
        }
        match self {
            Self::Hand => with::<hand::ReadyQueue>(work),
            Self::Ours => with::<ours::Ours>(work),
            Self::FuturesBuffered => with::<futures_only::FuturesBuffered>(work),
            Self::FuturesConcurrency => with::<futures_only::FuturesConcurrency>(work),
            Self::TryJoinAll => with::<futures_only::TryJoinAll>(work),
            Self::FuturesUnordered => with::<futures_only::FuturesUnordered>(work),
            Self::TokioLocalSet => with::<tokio::OnLocalSet>(work),
            Self::TokioLocalRuntime => with::<tokio::OnLocalRuntime>(work),
            Self::TokioSpawn => with::<tokio::Spawned>(work),
            Self::TokioJoinSet => with::<tokio::InJoinSet>(work),
            Self::Smol => with::<smol::OnLocalExecutor>(work),
            other => unreachable!("{other:?} does not gather here"),
        }
    }

    /// The function that spawns this many tasks, its runtime made. Only for those that [`spawns`](Self::spawns).
    pub(crate) fn spawning(self, from_task: bool) -> Box<dyn FnMut(u64) -> u64> {
        fn with<P: Spawns + 'static>(from_task: bool) -> Box<dyn FnMut(u64) -> u64> {
            let peer = P::new();
            Box::new(
                move |count| if from_task { peer.spawn_in_task(count) } else { peer.spawn_in_root(count) },
            )
        }
        match self {
            Self::Hand => with::<hand::BoxedQueue>(from_task),
            Self::Ours => with::<ours::Ours>(from_task),
            Self::TokioLocalSet => with::<tokio::OnLocalSet>(from_task),
            Self::TokioLocalRuntime => with::<tokio::OnLocalRuntime>(from_task),
            Self::TokioSpawn => with::<tokio::Spawned>(from_task),
            Self::TokioJoinSet => with::<tokio::InJoinSet>(from_task),
            Self::Smol => with::<smol::OnLocalExecutor>(from_task),
            other => unreachable!("{other:?} has no tasks"),
        }
    }
}
