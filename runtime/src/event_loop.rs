//! The loop: what is polled when, and when the thread sleeps.
//!
//! ```text
//!   ┌─► 1 the main future, if it was woken
//!   │   2 the tasks that were ready when the turn began; then who has yielded is woken
//!   ├───  work is left, and the round is not due: the next turn
//!   │   3 wakes and messages from other threads
//!   ├───  they have made work, and the round is not due: the next turn
//!   │     (if some came, it spins for a moment for more before it sleeps)
//!   │   4 events of sockets: sleep until one comes, or a timer, or a wake; do not sleep if work is left
//!   └── 5 timers that are due
//! ```
//!
//! The clock is read before step 4, to know how long to sleep, and after it. Timers come last, so
//! that those that end a sleep are fired by the reading that follows it: the other way round each
//! sleep of a task would take a second look at the sockets, which is a system call.
//!
//! In a round with events, step 1 comes after every [`SLICE`] of step 2, and not only after all of
//! it; but not for a main future that woke itself, which waits for the others as a task does.
//!
//! It is fair, because
//!
//! 1. a turn has no more tasks than were ready when it began: one that wakes itself waits for the
//!    others, and so does a main future;
//! 2. one poll does at most [`BUDGET`] units of work, a unit being the poll of a gather's child or
//!    anything else that is ready at once ([`budget`](crate::budget)): what has more to do comes
//!    back the next turn (an executor inside a task is not bound by that: it polls until it stops
//!    by itself);
//! 3. after [`ROUND`] units of work steps 3 to 5 come round, however much is ready, also in the
//!    middle of a turn;
//! 4. step 3 takes no more than the mailbox held when it began, and at most [`MOST_REMOTE`] wakes
//!    and messages; step 4 takes one batch of events.
//!
//! So between two looks at the timers and sockets there are at most [`ROUND`] units of work, what
//! the last poll before them and the main future's next one do (one [`BUDGET`] each), and one
//! batch from other threads. A remote wake is a unit of work, too, and spinning before a sleep is
//! [`SPIN`].
//!
//! Next: [`runtime`](crate::runtime), how it is started and ended.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::agenda::Item;
use crate::budget::BUDGET;
use crate::local::Local;
use crate::mailbox::Receiver;
use crate::reactor::Reactor;
use crate::stall::GRACE;
use crate::waker;

/// Units of work between two looks at timers and sockets, while work is left. A look costs a
/// system call, about as much as thirty polls of a child that does nothing; so it is to be rare
/// beside them, and often beside polls that do something (a thousand of a microsecond are a
/// millisecond, which is what timers are accurate to).
const ROUND: u32 = 1024;

/// Units of work of tasks for which a woken main future waits, if sockets have events. Few,
/// because what tasks read takes memory until the main future has it: an HTTP client with 64
/// connections takes 2.4 MB, and 2.7 if each turn is done to its end.
const SLICE: u32 = 32;

/// Units of work that spinning before a sleep counts as. Counted as nothing, a thread that wakes
/// the loop every few microseconds would keep it from its timers.
const SPIN: u32 = 20;

/// Wakes and messages from other threads that are taken in one round. Many, so that wakes that
/// came together lead to one poll. But not all, because a thread that posts faster than the loop
/// takes would make each batch a multiple of the one before. This many take about ten
/// milliseconds.
const MOST_REMOTE: usize = 1 << 20;

/// The loop of one runtime.
pub(crate) struct EventLoop {
    pub(crate) receiver: Receiver,
    pub(crate) reactor: Reactor,
    /// What is said when nothing can wake anything any more; only the virtual clock knows when.
    pub(crate) all_asleep: Option<fn(&Local) -> !>,
}

impl EventLoop {
    /// Runs until the main future is ready.
    pub(crate) fn run<F: Future>(&mut self, local: &Local, mut main: Pin<&mut F>) -> F::Output {
        let mut busy_since = local.clock_now_real();
        local.note_time(); // the runtime may have rested
        let waker = waker::new(local.begin_main());
        let mut cx = Context::from_waker(&waker);
        let mut work = 0;
        let mut had_remote = false;
        let mut main_woke_itself = false;
        loop {
            let turn_is_over = local.is_turn_over();
            if (turn_is_over || !main_woke_itself) && local.agenda.take(Item::PollMain) {
                let no_budget = local.budget.replace(BUDGET);
                local.note_main_poll();
                if let Poll::Ready(output) = main.as_mut().poll(&mut cx) {
                    local.note_busy(busy_since);
                    return output;
                }
                main_woke_itself = local.agenda.has(Item::PollMain);
                work += 1 + BUDGET - local.budget.left();
                drop(no_budget);
            }
            if turn_is_over {
                local.begin_turn();
            }
            let most = if self.reactor.had_events() { SLICE } else { ROUND };
            work += local.run_turns(most.min(ROUND.saturating_sub(work)));
            if local.is_turn_over() {
                local.wake_deferred();
            }
            if work < ROUND && local.has_ready() {
                continue;
            }
            let remote = self.receiver.deliver(local, MOST_REMOTE);
            had_remote |= remote > 0;
            work += remote;
            if work < ROUND && local.has_ready() {
                continue;
            }
            if work < ROUND && std::mem::take(&mut had_remote) && self.receiver.spin() {
                work += SPIN;
                continue;
            }
            work = 0;
            let now = local.note_busy(busy_since);
            self.wait_for_events(local, now);
            busy_since = local.clock_last_real();
            fire_due(local);
        }
    }

    /// Step 4: events of sockets. `now` is the real time.
    fn wait_for_events(&mut self, local: &Local, now: Instant) {
        self.receiver.publish(local.metrics());
        let next_stall = local.look_for_stalled();
        let has_looked = local.clock.is_virtual() && !local.has_ready();
        if has_looked {
            // What a socket has already is not to be leapt over. (Before it parks: this may take a
            // notification away.) Twice, because mio's selector for poll(2) spends one look on
            // what was registered since the last.
            for _ in 0..2 {
                self.reactor.wait_for_events(local, Some(Duration::ZERO));
            }
        }
        let sleeps = !local.has_ready() && self.receiver.park();
        let timeout = if sleeps { self.time_to_sleep(local, now, next_stall) } else { Some(Duration::ZERO) };
        let parks = timeout != Some(Duration::ZERO);
        local.counters.parks.add(u64::from(parks));
        let gives_up_at =
            (local.clock.is_virtual() && timeout == Some(GRACE)).then(|| Instant::now() + GRACE);
        if parks || !has_looked {
            self.reactor.wait_for_events(local, timeout);
        }
        if sleeps {
            self.receiver.unpark();
        }
        // (A signal, or a notification that came late, ends a sleep early.)
        let has_waited = gives_up_at.is_some_and(|time| Instant::now() >= time);
        if has_waited && local.is_all_asleep() && self.receiver.is_empty() {
            if let Some(all_asleep) = self.all_asleep {
                all_asleep(local);
            }
        }
    }

    /// Until the next timer, or the next look for stalled gathers. With a virtual clock: not at
    /// all, unless a thread of the pool is at work; if nothing else can run, the clock leaps there
    /// instead.
    fn time_to_sleep(&self, local: &Local, now: Instant, next_stall: Option<Duration>) -> Option<Duration> {
        let next = local.timers.borrow().next_turn();
        if !local.clock.is_virtual() {
            let until_timer = next.map(|next| local.clock.time_until(next, now));
            return until_timer.into_iter().chain(next_stall).min();
        }
        let stall_tick = next_stall.map(|until| local.clock.tick_at(local.clock.now() + until));
        let Some(next) = next.into_iter().chain(stall_tick).min() else {
            return local.is_all_asleep().then_some(GRACE);
        };
        let pool_is_busy = local.pool.borrow().as_ref().is_some_and(|pool| pool.is_busy());
        if pool_is_busy {
            return None;
        }
        // What a thread of the pool sent before it was done is in the mailbox by now.
        if self.receiver.is_empty() {
            local.clock.leap_to(next);
            local.note_time();
        }
        Some(Duration::ZERO)
    }
}

/// Step 5: timers that are due, as of the last reading of the clock.
fn fire_due(local: &Local) {
    if local.timers.borrow().len() == 0 {
        return;
    }
    let tick = local.clock.tick_at(local.clock.last());
    let mut foreign = Vec::new();
    // What is ours is marked while the timers are borrowed: that runs no user's code. The rest
    // waits.
    local.timers.borrow_mut().turn(tick, |waker| {
        local.counters.timers_fired.add(1);
        // With tracing a wake is told to a subscriber, which is a user's code: it has to wait,
        // too.
        foreign.extend(if cfg!(feature = "tracing") { Some(waker) } else { local.mark_waker(waker) });
    });
    foreign.into_iter().for_each(|waker| local.wake_waker_contained(waker));
}

impl Local {
    /// The real time, for what is measured.
    fn clock_now_real(&self) -> Instant {
        if self.clock.is_virtual() { Instant::now() } else { self.clock.now() }
    }

    /// The same, as of the last reading where that will do.
    fn clock_last_real(&self) -> Instant {
        if self.clock.is_virtual() { Instant::now() } else { self.clock.last() }
    }

    /// The loop was busy since then. Gives the time.
    fn note_busy(&self, since: Instant) -> Instant {
        let now = self.clock_now_real();
        let busy = now.saturating_duration_since(since);
        if busy > self.counters.longest_poll.get() {
            self.counters.longest_poll.set(busy);
        }
        now
    }
}
