//! With what it is measured: the peers, and what a row asks of them.
//!
//! A row is generic over [`Gathers`], [`Spawns`], [`Sleeps`], …, so its work is written once. What
//! differs between the peers, and only that, stands in `peers/`; the floor stands in `hand.rs` and
//! `hand_timers.rs`.

#[cfg(target_os = "linux")]
mod compio;
mod futures_only;
#[cfg(target_os = "linux")]
mod glommio;
#[cfg(target_os = "linux")]
mod monoio;
mod ours;
mod smol;
pub(crate) mod tasks;
mod tokio;

use std::future::Future;
use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

use crate::joins::Joins;
use crate::{hand, hand_timers};
use tasks::InTasks;

/// What every row's child is: a future that any peer can take. `Unpin`, so that the floor can poll
/// it in place without unsafe code; a `Result`, for the fail-fast calls.
pub(crate) trait Child: Future<Output = Result<u64, ()>> + Unpin + Send + 'static {}

impl<F: Future<Output = Result<u64, ()>> + Unpin + Send + 'static> Child for F {}

/// What a child carries that its row does not use. A real future holds a socket, a buffer, a
/// request; with this, every row's child is 56 or 64 bytes, for every peer. Without it a
/// child would be two words, and a hundred thousand of them would lie in a cache that holds few
/// real ones.
pub(crate) struct Payload([u64; 6]);

impl Payload {
    /// Nothing in particular.
    pub(crate) const fn new() -> Self {
        Self([0; 6])
    }

    /// Keeps the compiler from leaving it out.
    pub(crate) fn hold(&self) {
        black_box(&self.0);
    }
}

/// What runs a root future.
pub(crate) trait Executor: Sized + 'static {
    /// Makes what is not measured: a runtime, or the floor's wakers, one for each of `children`.
    fn new(children: usize) -> Self;

    /// Runs `root` to its end. What is only a future has no executor of its own, and takes this
    /// one.
    fn block_on<T>(&self, root: impl Future<Output = T>) -> T {
        futures_lite::future::block_on(root)
    }
}

/// Runs many children at once and collects their outputs.
pub(crate) trait Gathers: Executor {
    /// Makes the children, runs them, and gives their outputs.
    async fn gather(&self, children: impl Iterator<Item = impl Child>) -> Vec<u64>;
}

/// The same for any children: those that hold a peer's sleep or a lock's guard are often neither
/// `Unpin` nor `Send`. The floor cannot poll such a child where it lies, and `tokio::spawn` does
/// not take it.
pub(crate) trait GathersAny: Executor {
    /// Makes the children, runs them, and gives their outputs.
    async fn gather_any<C>(&self, children: impl Iterator<Item = C>) -> Vec<u64>
    where
        C: Future<Output = Result<u64, ()>> + 'static;
}

/// Has timers.
pub(crate) trait Sleeps: GathersAny {
    /// Waits so long. What it gives differs.
    fn sleep(duration: Duration) -> impl Future<Output: 'static> + 'static;

    /// Waits for so many of them at once. Each is a child or a task as it is, with no future
    /// around it.
    async fn gather_sleeps(&self, count: usize, duration: Duration);
}

/// Gives a future a time limit.
pub(crate) trait TimesOut: GathersAny {
    /// `future`'s output, or `None` if it takes longer.
    fn timeout<T: 'static>(
        limit: Duration,
        future: impl Future<Output = T> + 'static,
    ) -> impl Future<Output = Option<T>> + 'static;
}

/// Runs children until one fails, and drops the others.
pub(crate) trait FailsFast: Executor {
    /// The first error. None of the children ends well.
    async fn first_error<C>(&self, children: impl Iterator<Item = C>) -> u64
    where
        C: Future<Output = Result<(), u64>> + Send + 'static;
}

/// Spawns one task at a time and awaits it. The task is always
/// [`spawning::each`](crate::spawning::each) or its `Job`.
pub(crate) trait Spawns: Executor {
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

/// A row's work with any peer that gathers any children.
pub(crate) trait AnyWork: Copy + 'static {
    /// Takes one sample: a figure in the row's unit. The children may keep the peer, to gather in
    /// turn.
    fn sample<P: GathersAny>(self, peer: &Rc<P>) -> f64;
}

/// A row's work with any peer that has timers.
pub(crate) trait SleepWork: Copy + 'static {
    /// Takes one sample: a figure in the row's unit.
    fn sample<P: Sleeps>(self, peer: &P) -> f64;
}

/// A row's work with any peer that has time limits.
pub(crate) trait TimeoutWork: Copy + 'static {
    /// Takes one sample: a figure in the row's unit.
    fn sample<P: TimesOut>(self, peer: &P) -> f64;
}

/// A row's work with any runtime that has tasks.
pub(crate) trait TaskWork: Copy + 'static {
    /// Takes one sample: a figure in the row's unit.
    fn sample<R: tasks::Runtime>(self, runtime: &R) -> f64;
}

/// A row's work with any peer that ends at the first error.
pub(crate) trait FailingWork: Copy + 'static {
    /// Takes one sample: a figure in the row's unit.
    fn sample(self, peer: &impl FailsFast) -> f64;
}

/// No work: shows whether a runtime starts.
#[derive(Clone, Copy)]
struct Nothing;

impl AnyWork for Nothing {
    fn sample<P: GathersAny>(self, peer: &Rc<P>) -> f64 {
        peer.block_on(async { 0.0 })
    }
}

/// Who does the work.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Peer {
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
    /// monoio on io_uring.
    #[cfg(target_os = "linux")]
    MonoioUring,
    /// monoio on epoll.
    #[cfg(target_os = "linux")]
    MonoioEpoll,
    /// compio.
    #[cfg(target_os = "linux")]
    Compio,
    /// glommio.
    #[cfg(target_os = "linux")]
    Glommio,
    /// A loop by hand on mio: `net/peers/by_mio.rs`.
    #[cfg(target_os = "linux")]
    Mio,
    /// Python's asyncio, by script.
    #[cfg(target_os = "linux")]
    Asyncio,
    /// asyncio on uvloop's loop, by script.
    #[cfg(target_os = "linux")]
    Uvloop,
    /// Node, by script.
    #[cfg(target_os = "linux")]
    Node,
}

impl Peer {
    /// Every peer, in the order of the table.
    pub(crate) const ALL: &[Self] = &[
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
        #[cfg(target_os = "linux")]
        Self::MonoioUring,
        #[cfg(target_os = "linux")]
        Self::MonoioEpoll,
        #[cfg(target_os = "linux")]
        Self::Compio,
        #[cfg(target_os = "linux")]
        Self::Glommio,
        #[cfg(target_os = "linux")]
        Self::Mio,
        #[cfg(target_os = "linux")]
        Self::Asyncio,
        #[cfg(target_os = "linux")]
        Self::Uvloop,
        #[cfg(target_os = "linux")]
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
            #[cfg(target_os = "linux")]
            Self::MonoioUring => "monoio (io_uring)",
            #[cfg(target_os = "linux")]
            Self::MonoioEpoll => "monoio (epoll)",
            #[cfg(target_os = "linux")]
            Self::Compio => "compio",
            #[cfg(target_os = "linux")]
            Self::Glommio => "glommio",
            #[cfg(target_os = "linux")]
            Self::Mio => "mio (by hand)",
            #[cfg(target_os = "linux")]
            Self::Asyncio => "asyncio",
            #[cfg(target_os = "linux")]
            Self::Uvloop => "uvloop",
            #[cfg(target_os = "linux")]
            Self::Node => "Node",
        }
    }

    /// The peer with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|peer| peer.name() == name)
    }

    /// Whether it is somebody else's: neither ours nor a floor.
    pub(crate) fn is_peer(self) -> bool {
        !matches!(self, Self::Hand | Self::Ours) && !self.is_mio()
    }

    /// Whether it is the loop by hand on mio, which is there for its sockets.
    fn is_mio(self) -> bool {
        #[cfg(target_os = "linux")]
        return self == Self::Mio;
        #[cfg(not(target_os = "linux"))]
        return false;
    }

    /// Whether it is a script, run by an interpreter.
    pub(crate) fn is_script(self) -> bool {
        #[cfg(target_os = "linux")]
        return matches!(self, Self::Asyncio | Self::Uvloop | Self::Node);
        #[cfg(not(target_os = "linux"))]
        return false;
    }

    /// Whether it gathers children of Rust.
    pub(crate) fn gathers(self) -> bool {
        !self.is_mio() && !self.is_script()
    }

    /// Whether it runs on tokio.
    pub(crate) fn is_tokio(self) -> bool {
        matches!(self, Self::TokioLocalSet | Self::TokioLocalRuntime | Self::TokioSpawn | Self::TokioJoinSet)
    }

    /// Whether it has tasks.
    pub(crate) fn spawns(self) -> bool {
        self.gathers() && !self.is_only_a_future()
    }

    /// Whether it has tasks that need not be `Send`, and a handle for each.
    pub(crate) fn has_local_tasks(self) -> bool {
        self.spawns() && !matches!(self, Self::Hand | Self::TokioSpawn | Self::TokioJoinSet)
    }

    /// Whether it is a future that any executor can run, and no runtime.
    pub(crate) fn is_only_a_future(self) -> bool {
        matches!(
            self,
            Self::FuturesBuffered | Self::FuturesConcurrency | Self::TryJoinAll | Self::FuturesUnordered
        )
    }

    /// Whether it may not start on a machine that has Linux: a container often has no io_uring, or
    /// may lock too little memory for it.
    pub(crate) fn needs_io_uring(self) -> bool {
        #[cfg(target_os = "linux")]
        return matches!(self, Self::MonoioUring | Self::Compio | Self::Glommio);
        #[cfg(not(target_os = "linux"))]
        return false;
    }

    /// Starts it and runs an empty root. Panics if it does not start here.
    pub(crate) fn start(self) {
        let mut sample = self.gathering_any(Nothing);
        sample();
    }

    /// Whether it takes children that are neither `Unpin` nor `Send`.
    pub(crate) fn gathers_any(self) -> bool {
        self.gathers() && !matches!(self, Self::Hand | Self::TokioSpawn)
    }

    /// Whether it has time limits. futures-buffered has tokio's. `FuturesUnordered` and
    /// `try_join_all` could have them too, but over tokio's timers they are quadratic: tokio's
    /// budget makes most sleeps return `Pending` with a wake that comes at once, and the set polls
    /// on and on. futures-concurrency scans all children for each wake.
    pub(crate) fn times_out(self) -> bool {
        self.gathers_any() && (!self.is_only_a_future() || self == Self::FuturesBuffered)
    }

    /// Whether it has timers.
    pub(crate) fn sleeps(self) -> bool {
        self.times_out() || self == Self::Hand
    }

    /// Whether one error of a child is seen while the children before it wait. A user of the
    /// others awaits tasks in input order, and `try_join_all` of more than 30 children does too:
    /// neither sees the error before the children ahead of it have ended.
    pub(crate) fn fails_fast(self) -> bool {
        matches!(
            self,
            Self::Ours
                | Self::FuturesBuffered
                | Self::FuturesConcurrency
                | Self::FuturesUnordered
                | Self::TokioJoinSet
        )
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

    /// The sampler of `work` with this peer, its runtime made. Only for those that have a
    /// macro.
    pub(crate) fn joining(self, work: Joins) -> Box<dyn FnMut() -> f64> {
        fn with<P: Gathers + 'static>(work: Joins, joining: Joining) -> Box<dyn FnMut() -> f64> {
            let peer = P::new(0);
            Box::new(move || work.sample(&peer, joining))
        }
        let joining = self.joins().expect("it joins");
        match joining {
            Joining::Gather => with::<ours::Ours>(work, joining),
            Joining::Tokio => with::<InTasks<tokio::OnLocalRuntime>>(work, joining),
            Joining::Futures => with::<futures_only::TryJoinAll>(work, joining),
            Joining::Concurrency => with::<futures_only::FuturesConcurrency>(work, joining),
        }
    }

    /// The sampler of `work` with this peer, its runtime made.
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
            Self::TokioLocalSet => with::<InTasks<tokio::OnLocalSet>>(work),
            Self::TokioLocalRuntime => with::<InTasks<tokio::OnLocalRuntime>>(work),
            Self::TokioSpawn => with::<tokio::Spawned>(work),
            Self::TokioJoinSet => with::<tokio::InJoinSet>(work),
            Self::Smol => with::<InTasks<smol::OnLocalExecutor>>(work),
            #[cfg(target_os = "linux")]
            Self::MonoioUring => with::<InTasks<monoio::OnUring>>(work),
            #[cfg(target_os = "linux")]
            Self::MonoioEpoll => with::<InTasks<monoio::OnEpoll>>(work),
            #[cfg(target_os = "linux")]
            Self::Compio => with::<InTasks<compio::Compio>>(work),
            #[cfg(target_os = "linux")]
            Self::Glommio => with::<InTasks<glommio::Glommio>>(work),
            other => unreachable!("{other:?} cannot do this row"),
        }
    }

    /// The function that spawns this many tasks, its runtime made. Only for those that
    /// [`spawns`](Self::spawns).
    pub(crate) fn spawning(self, from_task: bool) -> Box<dyn FnMut(u64) -> u64> {
        fn with<P: Spawns + 'static>(from_task: bool) -> Box<dyn FnMut(u64) -> u64> {
            let peer = P::new(0);
            Box::new(
                move |count| if from_task { peer.spawn_in_task(count) } else { peer.spawn_in_root(count) },
            )
        }
        match self {
            Self::Hand => with::<hand::BoxedQueue>(from_task),
            Self::Ours => with::<InTasks<ours::Tasks>>(from_task),
            Self::TokioLocalSet => with::<InTasks<tokio::OnLocalSet>>(from_task),
            Self::TokioLocalRuntime => with::<InTasks<tokio::OnLocalRuntime>>(from_task),
            Self::TokioSpawn => with::<tokio::Spawned>(from_task),
            Self::TokioJoinSet => with::<tokio::InJoinSet>(from_task),
            Self::Smol => with::<InTasks<smol::OnLocalExecutor>>(from_task),
            #[cfg(target_os = "linux")]
            Self::MonoioUring => with::<InTasks<monoio::OnUring>>(from_task),
            #[cfg(target_os = "linux")]
            Self::MonoioEpoll => with::<InTasks<monoio::OnEpoll>>(from_task),
            #[cfg(target_os = "linux")]
            Self::Compio => with::<InTasks<compio::Compio>>(from_task),
            #[cfg(target_os = "linux")]
            Self::Glommio => with::<InTasks<glommio::Glommio>>(from_task),
            other => unreachable!("{other:?} has no tasks"),
        }
    }

    /// The sampler of `work` with this peer, its runtime made. Only for those that
    /// [`gathers_any`](Self::gathers_any).
    pub(crate) fn gathering_any(self, work: impl AnyWork) -> Box<dyn FnMut() -> f64> {
        fn with<P: GathersAny>(work: impl AnyWork) -> Box<dyn FnMut() -> f64> {
            let peer = Rc::new(P::new(0));
            Box::new(move || work.sample(&peer))
        }
        match self {
            Self::Ours => with::<ours::Ours>(work),
            Self::FuturesBuffered => with::<futures_only::FuturesBuffered>(work),
            Self::FuturesConcurrency => with::<futures_only::FuturesConcurrency>(work),
            Self::TryJoinAll => with::<futures_only::TryJoinAll>(work),
            Self::FuturesUnordered => with::<futures_only::FuturesUnordered>(work),
            Self::TokioLocalSet => with::<InTasks<tokio::OnLocalSet>>(work),
            Self::TokioLocalRuntime => with::<InTasks<tokio::OnLocalRuntime>>(work),
            Self::TokioJoinSet => with::<tokio::InLocalJoinSet>(work),
            Self::Smol => with::<InTasks<smol::OnLocalExecutor>>(work),
            #[cfg(target_os = "linux")]
            Self::MonoioUring => with::<InTasks<monoio::OnUring>>(work),
            #[cfg(target_os = "linux")]
            Self::MonoioEpoll => with::<InTasks<monoio::OnEpoll>>(work),
            #[cfg(target_os = "linux")]
            Self::Compio => with::<InTasks<compio::Compio>>(work),
            #[cfg(target_os = "linux")]
            Self::Glommio => with::<InTasks<glommio::Glommio>>(work),
            other => unreachable!("{other:?} cannot do this row"),
        }
    }

    /// The same, for work that sleeps.
    pub(crate) fn sleeping(self, work: impl SleepWork) -> Box<dyn FnMut() -> f64> {
        fn with<P: Sleeps>(work: impl SleepWork) -> Box<dyn FnMut() -> f64> {
            let peer = P::new(0);
            Box::new(move || work.sample(&peer))
        }
        match self {
            Self::Hand => with::<hand_timers::BinaryHeap>(work),
            Self::Ours => with::<ours::Ours>(work),
            Self::FuturesBuffered => with::<tokio::UnderFuturesBuffered>(work),
            Self::TokioLocalSet => with::<InTasks<tokio::OnLocalSet>>(work),
            Self::TokioLocalRuntime => with::<InTasks<tokio::OnLocalRuntime>>(work),
            Self::TokioJoinSet => with::<tokio::InLocalJoinSet>(work),
            Self::Smol => with::<InTasks<smol::OnLocalExecutor>>(work),
            #[cfg(target_os = "linux")]
            Self::MonoioUring => with::<InTasks<monoio::OnUring>>(work),
            #[cfg(target_os = "linux")]
            Self::MonoioEpoll => with::<InTasks<monoio::OnEpoll>>(work),
            #[cfg(target_os = "linux")]
            Self::Compio => with::<InTasks<compio::Compio>>(work),
            #[cfg(target_os = "linux")]
            Self::Glommio => with::<InTasks<glommio::Glommio>>(work),
            other => unreachable!("{other:?} cannot do this row"),
        }
    }

    /// The same, for work with time limits.
    pub(crate) fn timing_out(self, work: impl TimeoutWork) -> Box<dyn FnMut() -> f64> {
        fn with<P: TimesOut>(work: impl TimeoutWork) -> Box<dyn FnMut() -> f64> {
            let peer = P::new(0);
            Box::new(move || work.sample(&peer))
        }
        match self {
            Self::Ours => with::<ours::Ours>(work),
            Self::FuturesBuffered => with::<tokio::UnderFuturesBuffered>(work),
            Self::TokioLocalSet => with::<InTasks<tokio::OnLocalSet>>(work),
            Self::TokioLocalRuntime => with::<InTasks<tokio::OnLocalRuntime>>(work),
            Self::TokioJoinSet => with::<tokio::InLocalJoinSet>(work),
            Self::Smol => with::<InTasks<smol::OnLocalExecutor>>(work),
            #[cfg(target_os = "linux")]
            Self::MonoioUring => with::<InTasks<monoio::OnUring>>(work),
            #[cfg(target_os = "linux")]
            Self::MonoioEpoll => with::<InTasks<monoio::OnEpoll>>(work),
            #[cfg(target_os = "linux")]
            Self::Compio => with::<InTasks<compio::Compio>>(work),
            #[cfg(target_os = "linux")]
            Self::Glommio => with::<InTasks<glommio::Glommio>>(work),
            other => unreachable!("{other:?} cannot do this row"),
        }
    }

    /// The same, for work with tasks.
    pub(crate) fn tasking(self, work: impl TaskWork) -> Box<dyn FnMut() -> f64> {
        fn with<P: tasks::Runtime>(work: impl TaskWork) -> Box<dyn FnMut() -> f64> {
            let peer = P::start();
            Box::new(move || work.sample(&peer))
        }
        match self {
            Self::Ours => with::<ours::Tasks>(work),
            Self::TokioLocalSet => with::<tokio::OnLocalSet>(work),
            Self::TokioLocalRuntime => with::<tokio::OnLocalRuntime>(work),
            Self::Smol => with::<smol::OnLocalExecutor>(work),
            #[cfg(target_os = "linux")]
            Self::MonoioUring => with::<monoio::OnUring>(work),
            #[cfg(target_os = "linux")]
            Self::MonoioEpoll => with::<monoio::OnEpoll>(work),
            #[cfg(target_os = "linux")]
            Self::Compio => with::<compio::Compio>(work),
            #[cfg(target_os = "linux")]
            Self::Glommio => with::<glommio::Glommio>(work),
            other => unreachable!("{other:?} cannot do this row"),
        }
    }

    /// The same, for work that ends at the first error.
    pub(crate) fn failing(self, work: impl FailingWork) -> Box<dyn FnMut() -> f64> {
        fn with<P: FailsFast>(work: impl FailingWork) -> Box<dyn FnMut() -> f64> {
            let peer = P::new(0);
            Box::new(move || work.sample(&peer))
        }
        match self {
            Self::Ours => with::<ours::Ours>(work),
            Self::FuturesBuffered => with::<futures_only::FuturesBuffered>(work),
            Self::FuturesConcurrency => with::<futures_only::FuturesConcurrency>(work),
            Self::FuturesUnordered => with::<futures_only::FuturesUnordered>(work),
            Self::TokioJoinSet => with::<tokio::InJoinSet>(work),
            other => unreachable!("{other:?} cannot do this row"),
        }
    }
}
