//! What the loop counts.
//!
//! The counters are plain cells of the runtime's thread. The loop publishes a copy whenever it
//! looks at the reactor, so that other threads can read them without slowing a single poll.
//!
//! Next: [`contain`](crate::contain), where panics stop.

use std::cell::Cell;
use std::time::Duration;

/// A copy of a runtime's counters, from [`Runtime::metrics`](crate::Runtime::metrics) or
/// [`Handle::metrics`](crate::Handle::metrics).
///
/// Read on the runtime's own thread it is exact. Read from elsewhere it is what the loop last
/// published, which it does each time that it looks at the reactor: before it sleeps, and at least
/// once in every thousand or so polls.
///
/// ```
/// let runtime = gather_runtime::Runtime::new()?;
/// runtime.block_on(async { gather_runtime::spawn(async {}).await }).unwrap();
/// assert_eq!(runtime.metrics().tasks_alive(), 0);
/// assert!(runtime.metrics().polls() >= 2);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(crate) tasks_alive: usize,
    pub(crate) groups_alive: usize,
    pub(crate) timers_pending: usize,
    pub(crate) sockets_registered: usize,
    pub(crate) blocking_threads: usize,
    pub(crate) polls: u64,
    pub(crate) wakes: u64,
    pub(crate) remote_wakes: u64,
    pub(crate) parks: u64,
    pub(crate) io_events: u64,
    pub(crate) timers_fired: u64,
    pub(crate) longest_poll: Duration,
}

impl Metrics {
    /// Tasks that were spawned and are not finished, or whose output nobody has taken yet.
    pub fn tasks_alive(&self) -> usize {
        self.tasks_alive
    }

    /// Gathers (and other groups of children) that were polled and are not finished.
    pub fn groups_alive(&self) -> usize {
        self.groups_alive
    }

    /// Timers that somebody waits for.
    pub fn timers_pending(&self) -> usize {
        self.timers_pending
    }

    /// Sockets that the reactor watches.
    pub fn sockets_registered(&self) -> usize {
        self.sockets_registered
    }

    /// Threads of the blocking pool and threads that look up names, busy or idle.
    pub fn blocking_threads(&self) -> usize {
        self.blocking_threads
    }

    /// Polls of the main future and of tasks. (A gather polls its children inside its own poll;
    /// those are not counted here.)
    pub fn polls(&self) -> u64 {
        self.polls
    }

    /// Wakes of any kind, also those that found their target already woken or gone.
    pub fn wakes(&self) -> u64 {
        self.wakes
    }

    /// The wakes among them that came from other threads.
    pub fn remote_wakes(&self) -> u64 {
        self.remote_wakes
    }

    /// How often the loop slept.
    pub fn parks(&self) -> u64 {
        self.parks
    }

    /// Events of sockets that the reactor delivered.
    pub fn io_events(&self) -> u64 {
        self.io_events
    }

    /// Timers that came due.
    pub fn timers_fired(&self) -> u64 {
        self.timers_fired
    }

    /// The longest time that polls kept the loop from looking at timers and sockets. Exactly the
    /// longest poll where one poll is long enough to matter (the loop looks at the clock between
    /// two looks at the reactor, not around each poll, because reading the clock costs more than a
    /// short poll does).
    pub fn longest_poll(&self) -> Duration {
        self.longest_poll
    }
}

/// A number that only its thread counts.
#[derive(Default)]
pub(crate) struct Counter(Cell<u64>);

impl Counter {
    pub(crate) const fn new() -> Counter {
        Counter(Cell::new(0))
    }

    #[inline]
    pub(crate) fn add(&self, count: u64) {
        self.0.set(self.0.get() + count);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.get()
    }

    pub(crate) fn swap(&self, other: &Counter) {
        self.0.swap(&other.0);
    }
}

/// The counters of a runtime.
pub(crate) struct Counters {
    /// Of tasks; those of main futures are counted apart.
    pub(crate) polls: Counter,
    pub(crate) wakes: Counter,
    pub(crate) remote_wakes: Counter,
    pub(crate) parks: Counter,
    pub(crate) io_events: Counter,
    pub(crate) timers_fired: Counter,
    pub(crate) longest_poll: Cell<Duration>,
}

impl Counters {
    pub(crate) const fn new() -> Counters {
        Counters {
            polls: Counter::new(),
            wakes: Counter::new(),
            remote_wakes: Counter::new(),
            parks: Counter::new(),
            io_events: Counter::new(),
            timers_fired: Counter::new(),
            longest_poll: Cell::new(Duration::ZERO),
        }
    }

    pub(crate) fn swap(&self, other: &Counters) {
        self.polls.swap(&other.polls);
        self.wakes.swap(&other.wakes);
        self.remote_wakes.swap(&other.remote_wakes);
        self.parks.swap(&other.parks);
        self.io_events.swap(&other.io_events);
        self.timers_fired.swap(&other.timers_fired);
        self.longest_poll.swap(&other.longest_poll);
    }
}
