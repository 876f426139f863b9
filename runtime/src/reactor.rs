//! The reactor: sockets that wait for the system, on `mio`.
//!
//! Each socket is registered once, for both directions and edge-triggered, and has a row here.
//! What the row shares with the socket is its [`Readiness`]: which directions may be tried, and
//! whom to wake. So a socket can be polled and dropped on any thread, while only the runtime's
//! thread asks the system for events.
//!
//! Rows are used again, and a batch of events may name a row whose socket was closed while the
//! batch was being handled. The token carries a generation, and an event of another generation is
//! ignored.
//!
//! Next: [`readiness`](crate::readiness), what it and a socket share.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mio::event::{Event, Events};
use mio::{Poll, Registry, Token};
use slab::Slab;

use crate::local::Local;
use crate::readiness::Readiness;

/// The token of the bell that other threads ring.
const BELL: Token = Token(usize::MAX);

/// The bits of a token that name the row; those above are the generation: 24, or 8 of 32.
const GENERATION_BITS: u32 = if usize::BITS < 64 { 8 } else { 24 };
const ROW_BITS: u32 = usize::BITS - GENERATION_BITS;

/// The row that no socket has, because [`BELL`] names it. Memory ends before the rows do.
const NO_ROW: usize = (1 << ROW_BITS) - 1;

/// What `mio::Poll` may be asked to sleep at most. It takes any duration today; an hour is nothing
/// to a loop that then just goes round, and far from every overflow.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// The most events in one batch. Larger batches would not be cheaper, and beyond some number their
/// memory cannot be allocated or the system refuses them.
const MOST_EVENTS: usize = 1 << 16;

/// The sockets of one runtime.
pub(crate) struct Sources {
    /// A row for each socket.
    rows: Slab<Source>,
    /// The generation of the last row.
    generation: usize,
    /// Where sockets are registered.
    registry: Option<Arc<Registry>>,
}

/// One socket.
struct Source {
    token: Token,
    readiness: Arc<Readiness>,
}

impl Sources {
    pub(crate) const fn new() -> Sources {
        Sources { rows: Slab::new(), generation: 0, registry: None }
    }

    pub(crate) fn configure(&mut self, registry: Arc<Registry>) {
        self.registry = Some(registry);
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Adds a socket; registering it with the system is up to the caller.
    pub(crate) fn insert(&mut self, readiness: Arc<Readiness>) -> io::Result<(Token, Arc<Registry>)> {
        let registry = self.registry.clone().ok_or_else(|| io::Error::other("the runtime has no reactor"))?;
        if self.rows.len() >= NO_ROW {
            return Err(io::Error::other("the runtime has as many sockets as it can"));
        }
        self.generation = self.generation.wrapping_add(1);
        let entry = self.rows.vacant_entry();
        let token = Token(self.generation << ROW_BITS | entry.key());
        entry.insert(Source { token, readiness });
        Ok((token, registry))
    }

    pub(crate) fn remove(&mut self, token: Token) -> Option<Arc<Readiness>> {
        let row = row_of(token);
        self.rows.get(row).filter(|source| source.token == token)?;
        Some(self.rows.remove(row).readiness)
    }

    fn readiness(&self, token: Token) -> Option<&Readiness> {
        self.rows.get(row_of(token)).filter(|source| source.token == token).map(|source| &*source.readiness)
    }

    /// Takes all sockets out, for a runtime that ends.
    pub(crate) fn take_all(&mut self) -> Vec<Arc<Readiness>> {
        std::mem::take(&mut self.rows).into_iter().map(|(_, source)| source.readiness).collect()
    }
}

fn row_of(token: Token) -> usize {
    token.0 & NO_ROW
}

/// The system's side: where the loop sleeps.
pub(crate) struct Reactor {
    poll: Poll,
    events: Events,
}

impl Reactor {
    /// # Errors
    ///
    /// If the system has no descriptors left.
    pub(crate) fn new(event_capacity: usize) -> io::Result<(Reactor, mio::Waker)> {
        let poll = Poll::new()?;
        let bell = mio::Waker::new(poll.registry(), BELL)?;
        Ok((Reactor { poll, events: Events::with_capacity(event_capacity.clamp(1, MOST_EVENTS)) }, bell))
    }

    pub(crate) fn registry(&self) -> io::Result<Arc<Registry>> {
        self.poll.registry().try_clone().map(Arc::new)
    }

    /// Whether the last wait has brought any.
    #[inline]
    pub(crate) fn had_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Waits for events, a wake from another thread, or the end of `timeout` (`None`: for as long
    /// as it takes), and wakes who waited for those events. A signal may end the wait early.
    pub(crate) fn wait_for_events(&mut self, local: &Local, timeout: Option<Duration>) {
        let timeout = timeout.map(|timeout| timeout.min(LONGEST_SLEEP));
        let result = self.poll.poll(&mut self.events, timeout);
        if !local.clock.is_virtual() {
            local.clock.now();
            local.note_time(); // before the wakes, which are counted from it
        }
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return,
            Err(error) => panic!("gather: the reactor cannot wait for events any more: {error}"),
        }
        for event in &self.events {
            if event.token() != BELL {
                deliver(local, event);
            }
        }
    }
}

fn deliver(local: &Local, event: &Event) {
    let woken = {
        let sources = local.sources.borrow();
        let Some(readiness) = sources.readiness(event.token()) else { return };
        readiness.set(event)
    };
    local.counters.io_events.add(1);
    woken.wake_each(|waker| local.wake_waker_contained(waker));
}
