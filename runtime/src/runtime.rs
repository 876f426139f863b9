//! Starting and ending a runtime.
//!
//! Next: [`metrics`](crate::metrics), what is counted.

use std::cell::RefCell;
use std::fmt;
use std::future::IntoFuture;
use std::io;
use std::pin::pin;
use std::time::Duration;

use crate::agenda::Item;
use crate::blocking::Pool;
use crate::contain::contain;
use crate::event_loop::EventLoop;
use crate::handle::Handle;
use crate::local::{self, Local};
use crate::mailbox::{Receiver, RuntimeId};
use crate::metrics::Metrics;
use crate::reactor::Reactor;
use crate::stall::StallWarning;

/// Runs a future to its end on a new runtime, on this thread, and returns its output:
/// `asyncio.run`.
///
/// A future that nobody wakes makes it wait for ever. Tasks that are left when it is ready are
/// dropped before it returns (their destructors still have the runtime around them); await those
/// that matter.
///
/// # Panics
///
/// If the future panics, with that panic; inside another run on the same thread; and if the system
/// has no descriptors left for a new runtime ([`Runtime::new`] gives an error instead).
///
/// ```
/// assert_eq!(gather_runtime::run(async { 6 * 7 }), 42);
/// ```
#[track_caller]
pub fn run<F: IntoFuture>(future: F) -> F::Output {
    refuse_nesting("gather::run");
    match Runtime::new() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => panic!("gather::run: cannot start a runtime: {error}"),
    }
}

#[track_caller]
fn refuse_nesting(what: &str) {
    let runs = local::try_running(|_| ()).is_some();
    assert!(
        !runs,
        "{what} was called inside another run on this thread. Inside a run, `.await` the future instead; code that \
         cannot await can call it on a thread of its own, from `gather::spawn_blocking`"
    );
}

/// A runtime that is kept: it can run one future after another, and its tasks go on from one to
/// the next.
///
/// It stays on its thread. Dropping it drops its tasks, ends its idle threads, and wakes what
/// waits for its sockets elsewhere, with an error.
///
/// ```
/// let runtime = gather_runtime::Runtime::new()?;
/// let task = runtime.block_on(async { gather_runtime::spawn(async { 1 }) });
/// assert_eq!(runtime.block_on(task).unwrap(), 1);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Runtime {
    /// The tables, while the runtime does not run; those of the thread, while it does.
    local: Local,
    /// The loop. Borrowed while it runs.
    event_loop: RefCell<EventLoop>,
    id: RuntimeId,
}

impl Runtime {
    /// A runtime with the settings of [`Builder::new`].
    ///
    /// # Errors
    ///
    /// If the system has no descriptors left (it needs three), or the process has as many runtimes
    /// as it can.
    pub fn new() -> io::Result<Runtime> {
        Builder::new().build()
    }

    /// The settings that can be changed.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Runs a future to its end, and returns its output. Other tasks make progress while it runs.
    ///
    /// # Panics
    ///
    /// If the future panics, with that panic; and inside another run on the same thread.
    #[track_caller]
    pub fn block_on<F: IntoFuture>(&self, future: F) -> F::Output {
        refuse_nesting("gather::Runtime::block_on");
        let _entered = local::enter(&self.local);
        // Made and dropped inside.
        let main = pin!(future.into_future());
        let mut event_loop = self.event_loop.borrow_mut();
        local::with_running("gather::Runtime::block_on", |local| event_loop.run(local, main))
    }

    /// The runtime as other threads can reach it.
    pub fn handle(&self) -> Handle {
        Handle::new(self.id)
    }

    /// What the runtime has counted.
    pub fn metrics(&self) -> Metrics {
        if self.local.id() == self.id { self.local.metrics() } else { self.handle().metrics() }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("id", &self.id.serial()).finish_non_exhaustive()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _entered = local::enter(&self.local);
        local::with(|local| self.end(local));
    }
}

impl Runtime {
    /// Ends everything. Destructors that run may spawn, wake, cancel and panic; what they spawn is
    /// dropped, too, with the runtime still around it.
    fn end(&self, local: &Local) {
        local.drop_tasks();
        // From here on nothing comes from other threads. Messages that are left are dropped, and
        // not run.
        let messages = self.event_loop.borrow().receiver.close();
        messages.into_iter().for_each(|message| contain(|| drop(message)));
        let jobs = local.pool.borrow().as_ref().map(|pool| pool.close());
        jobs.into_iter().flatten().for_each(|job| contain(|| drop(job)));
        let sources = local.sources.borrow_mut().take_all();
        for readiness in sources {
            readiness.set_gone().wake_each(|waker| contain(|| waker.wake()));
        }
        // Rows of groups and timers that are left belong to owners that live elsewhere.
        let mut wakers = local.groups.borrow_mut().take_wakers();
        wakers.extend(local.timers.borrow_mut().take_wakers());
        wakers.extend(local.take_deferred());
        wakers.into_iter().for_each(|waker| contain(|| drop(waker)));
        local.drop_tasks();
        local.set_id(RuntimeId::NONE);
    }
}

/// What can be set of a runtime before it starts.
///
/// ```
/// let runtime = gather_runtime::Builder::new().max_tasks(10_000).max_blocking_threads(4).build()?;
/// assert_eq!(runtime.block_on(async { "ready" }), "ready");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    max_tasks: usize,
    max_blocking_threads: usize,
    event_capacity: usize,
    virtual_clock: bool,
    /// With the virtual clock.
    all_asleep: Option<fn(&Local) -> !>,
    timer_slack: Duration,
    shuffle: Option<u64>,
    stall_warning: Option<StallWarning>,
}

impl Default for Builder {
    fn default() -> Self {
        Builder::new()
    }
}

impl Builder {
    /// The settings that [`run`](run()) and [`Runtime::new`] use.
    pub fn new() -> Builder {
        Builder {
            max_tasks: usize::MAX,
            max_blocking_threads: 64,
            event_capacity: 256,
            virtual_clock: false,
            all_asleep: None,
            timer_slack: Duration::ZERO,
            shuffle: None,
            stall_warning: None,
        }
    }

    /// How many tasks there may be at once; then [`spawn`](crate::spawn) panics and
    /// [`try_spawn`](crate::try_spawn) gives the future back. A task counts until its output is
    /// taken or its handle dropped. Default: the most that there can be (see
    /// [limits](crate#limits)).
    pub fn max_tasks(mut self, tasks: usize) -> Builder {
        self.max_tasks = tasks;
        self
    }

    /// How many threads the blocking pool may have; 0 is taken for 1. Default: 64.
    ///
    /// Name look-ups have threads of their own, at most as many again, so they never wait for jobs
    /// of [`spawn_blocking`](crate::spawn_blocking). All threads are started when they are needed.
    pub fn max_blocking_threads(mut self, threads: usize) -> Builder {
        self.max_blocking_threads = threads;
        self
    }

    /// How many events the system may report at once; more come in the next turn. 0 is taken for
    /// 1, and more than 65,536 for 65,536. Each takes 12 to 64 bytes of memory from the start.
    /// Default: 256.
    pub fn event_capacity(mut self, events: usize) -> Builder {
        self.event_capacity = events;
        self
    }

    /// Runs on a clock that stands still while anything can run, and then leaps to the next
    /// deadline: for tests of code that waits. While a thread of the blocking pool is at work it
    /// does not leap. It knows nothing of what goes on outside, so a timeout around a real socket
    /// may be over before the peer had a chance.
    ///
    /// When nothing can ever run again, a run panics with "all tasks are asleep" and a
    /// [`dump`](crate::dump()) instead of waiting for ever: when nothing is ready, no timer is
    /// set, no socket is open, no thread of the pool is at work, and no other thread wakes
    /// anything for a second of real time.
    ///
    /// ```
    /// use gather_runtime::{Builder, now, sleep};
    /// use std::time::Duration;
    ///
    /// let day = Duration::from_secs(24 * 60 * 60);
    /// Builder::new().virtual_clock(true).build()?.block_on(async {
    ///     let start = now();
    ///     sleep(day).await; // takes no time
    ///     assert_eq!(now() - start, day);
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn virtual_clock(mut self, on: bool) -> Builder {
        self.virtual_clock = on;
        self.all_asleep = on.then_some(Local::all_asleep);
        self
    }

    /// How late timers may fire so that several of them share one wake of the processor. Default:
    /// zero.
    ///
    /// A timer never fires early, and it fires on time if the loop runs at that moment anyway. For
    /// a device on a battery with many timers: a thousand intervals of a second in different
    /// phases wake it a thousand times a second, and ten times with a slack of 100 ms.
    ///
    /// ```
    /// use gather_runtime::{Builder, now, sleep};
    /// use std::time::Duration;
    ///
    /// const SLACK: Duration = Duration::from_millis(100);
    /// let runtime = Builder::new().timer_slack(SLACK).virtual_clock(true).build()?;
    /// runtime.block_on(async {
    ///     let start = now();
    ///     let later = gather_runtime::spawn(sleep(Duration::from_millis(1050)));
    ///     sleep(Duration::from_millis(1000)).await;
    ///     assert_eq!(now() - start, Duration::from_millis(1100));
    ///     later.await.unwrap();
    ///     assert_eq!(now() - start, Duration::from_millis(1100)); // in the same wake
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn timer_slack(mut self, slack: Duration) -> Builder {
        self.timer_slack = slack;
        self
    }

    /// Polls the tasks of each turn in a random order that the seed decides: for tests that look
    /// for code that depends on the order. The same seed gives the same order.
    pub fn shuffle(mut self, seed: u64) -> Builder {
        self.shuffle = Some(seed);
        self
    }

    /// Warns, once for each, of gathers (and scopes, streams and so on) that hold children which
    /// were woken `after` ago and which nobody has polled since: with a message and a
    /// [`dump`](crate::dump()) on the standard error. Either a poll took that long, or somebody
    /// holds the gather without awaiting it (as `select!` over `&mut gather` does while its
    /// handler runs), and then a child may hold the lock that the handler waits for, for ever.
    /// Default: no warning.
    ///
    /// With it the loop looks at every gather four times in `after`, or as often as it comes
    /// round.
    pub fn stall_warning(mut self, after: Duration) -> Builder {
        self.stall_warning = Some(StallWarning::new(after));
        self
    }

    /// Makes the runtime.
    ///
    /// # Errors
    ///
    /// If the system has no descriptors left (it needs three), or the process has as many runtimes
    /// as it can.
    pub fn build(self) -> io::Result<Runtime> {
        let (reactor, bell) = Reactor::new(self.event_capacity)?;
        let registry = reactor.registry()?;
        let receiver = Receiver::open(bell)?;
        let id = receiver.id;
        let local = Local::new();
        local.set_id(id);
        local.clock.start(self.virtual_clock);
        local.timers.borrow_mut().slack = local.clock.ticks_in(self.timer_slack);
        local.set_stall_warning(self.stall_warning);
        local.tasks.borrow_mut().configure(self.max_tasks, self.shuffle);
        if self.shuffle.is_some() {
            local.agenda.add(Item::Shuffle);
        }
        local.sources.borrow_mut().configure(registry);
        let waits_for_idle = if self.virtual_clock { id } else { RuntimeId::NONE };
        local.pool.replace(Some(Pool::new(self.max_blocking_threads, waits_for_idle)));
        Ok(Runtime {
            local,
            event_loop: RefCell::new(EventLoop { receiver, reactor, all_asleep: self.all_asleep }),
            id,
        })
    }
}
