//! The loop: what is polled when, and when the thread sleeps.
//!
//! ```text
//!   ┌─► 1 the main future, if it was woken
//!   │   2 the tasks that were ready when the turn began; then who has yielded is woken
//!   ├───  work is left, and the round is not due: the next turn
//!   │   3 wakes and commands from other threads
//!   ├───  they have made work, and the round is not due: the next turn
//!   │     (after some, and where it helps, it waits a little for more: patience.rs)
//!   │   4 events of sockets: sleep until one comes, or a timer, or a wake; do not sleep if work is left
//!   └── 5 timers that are due
//! ```
//!
//! The clock is read before step 4, to know how long to sleep, and after it. Timers come last, so that those that end a sleep
//! are fired by the reading that follows it: the other way round each sleep of a task would take a second look at the
//! sockets, which is a system call.
//!
//! In a round with events, step 1 comes after every [`SLICE`] of step 2, and not only after all of it; but not for a main future that woke itself, which
//! waits for the others as a task does.
//!
//! It is fair, because
//!
//! 1. a turn has no more tasks than were ready when it began: one that wakes itself waits for the others, and so does a main future;
//! 2. one poll does at most [`BUDGET`] units of work, a unit being the poll of a gather's child or anything else that is
//!    ready at once ([`budget`](crate::budget)): what has more to do comes back the next turn (an executor inside a task
//!    is not bound by that: it polls until it stops by itself);
//! 3. after [`ROUND`] units of work steps 3 to 5 come round, however much is ready, also in the middle of a turn;
//! 4. step 3 takes no more letters than the mailbox held when it began, and at most [`MOST_LETTERS`]; step 4 takes one
//!    batch of events.
//!
//! So between two looks at the timers and sockets there are at most [`ROUND`] units of work, what the last poll before
//! them and the main future's next one do (one [`BUDGET`] each), and one batch of letters. A letter is a unit of work, too, and a wait
//! for letters is [`WAIT`].
//!
//! Next: [`runtime`](crate::runtime), how it is started and ended.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use mio::Token;

use crate::agenda::Item;
use crate::budget::BUDGET;
use crate::contain::contain;
use crate::local::Local;
use crate::mailbox::{Command, Letter, Receiver};
use crate::reactor::Reactor;
use crate::stall::GRACE;
use crate::waker;

/// Units of work between two looks at timers and sockets, while work is left. A look costs a system call, about
/// as much as thirty polls of a child that does nothing; so it is to be rare beside them, and often beside polls
/// that do something (a thousand of a microsecond are a millisecond, which is what timers are accurate to).
const ROUND: u32 = 1024;

/// Units of work of tasks for which a woken main future waits, if sockets have events. Few, because what tasks read takes memory until the main future
/// has it: an HTTP client with 64 connections takes 2.4 MB, and 2.7 if each turn is done to its end.
const SLICE: u32 = 32;

/// Units of work that a wait for letters counts as: it takes up to twenty microseconds. (Counted as nothing, a thread that wakes the
/// loop each six microseconds kept it from its timers for three milliseconds.)
const WAIT: u32 = 20;

/// Letters that are taken in one round. Many, so that wakes that came together lead to one poll; but not as many as
/// come: a thread that posts faster than the loop takes would make each batch a multiple of the one before. This many
/// take about ten milliseconds.
const MOST_LETTERS: usize = 1 << 20;

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
        let mut had_letters = false;
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
            let letters = self.take_letters(local);
            had_letters |= letters > 0;
            work += letters;
            if work < ROUND && local.has_ready() {
                continue;
            }
            if work < ROUND && std::mem::take(&mut had_letters) && self.receiver.expect_more() {
                work += WAIT;
                continue;
            }
            work = 0;
            let now = local.note_busy(busy_since);
            let has_slept = self.wait_for_events(local, now);
            busy_since = local.clock_last_real();
            if has_slept {
                self.receiver.note_sleep(busy_since.saturating_duration_since(now));
            }
            fire_due(local);
        }
    }

    /// Step 3: wakes and commands from other threads. Returns their number.
    fn take_letters(&mut self, local: &Local) -> u32 {
        let letters = self.receiver.collect().min(MOST_LETTERS);
        for _ in 0..letters {
            match self.receiver.take() {
                Some(Letter::Wake(id)) => {
                    local.counters.remote_wakes.add(1);
                    local.wake_contained(id);
                }
                Some(Letter::Commands(commands)) => {
                    commands.into_iter().for_each(|command| obey(local, command));
                }
                None => break,
            }
        }
        letters as u32
    }

    /// Step 4: events of sockets. `now` is the real time. Says whether the thread has slept.
    fn wait_for_events(&mut self, local: &Local, now: Instant) -> bool {
        self.receiver.publish(local.metrics());
        let next_stall = local.look_for_stalled();
        let has_looked = local.clock.is_virtual() && !local.has_ready();
        if has_looked {
            // What a socket has already is not to be leapt over. (Before it lies down: this may take a ring off the bell.) Twice,
            // because mio's selector for poll(2) spends one look on what was registered since the last.
            for _ in 0..2 {
                self.reactor.wait_for_events(local, Some(Duration::ZERO));
            }
        }
        let sleeps = !local.has_ready() && self.receiver.lie_down();
        let timeout = if sleeps { self.time_to_sleep(local, now, next_stall) } else { Some(Duration::ZERO) };
        let parks = timeout != Some(Duration::ZERO);
        local.counters.parks.add(u64::from(parks));
        let gives_up_at =
            (local.clock.is_virtual() && timeout == Some(GRACE)).then(|| Instant::now() + GRACE);
        if parks || !has_looked {
            self.reactor.wait_for_events(local, timeout);
        }
        if sleeps {
            self.receiver.get_up();
        }
        // (A signal, or a ring that came late, ends a sleep early.)
        let has_waited = gives_up_at.is_some_and(|time| Instant::now() >= time);
        if has_waited && local.is_all_asleep() && self.receiver.is_empty() {
            if let Some(all_asleep) = self.all_asleep {
                all_asleep(local);
            }
        }
        parks
    }

    /// Until the next timer, or the next look for stalled gathers. With a virtual clock: not at all, unless a thread of the
    /// pool is at work; if nothing else can run, the clock leaps there instead.
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
    // What is ours is marked while the timers are borrowed: that runs no user's code. The rest waits.
    local.timers.borrow_mut().turn(tick, |waker| {
        local.counters.timers_fired.add(1);
        // With tracing a wake is told to a subscriber, which is a user's code: it has to wait, too.
        foreign.extend(if cfg!(feature = "tracing") { Some(waker) } else { local.mark_waker(waker) });
    });
    foreign.into_iter().for_each(|waker| local.wake_waker_contained(waker));
}

/// Does what another thread has asked for.
fn obey(local: &Local, command: Command) {
    match command {
        // What a row leaves may be a foreign waker, whose destructor may panic.
        Command::RemoveGroup(group) => {
            let left = local.groups.borrow_mut().remove(group);
            contain(|| drop(left));
        }
        Command::RemoveTimer(row) => {
            let left = local.timers.borrow_mut().remove(row);
            contain(|| drop(left));
        }
        Command::RemoveSource(token) => {
            let left = local.sources.borrow_mut().remove(Token(token));
            contain(|| drop(left));
        }
        Command::CancelTask { .. } | Command::DropTask { .. } | Command::DetachTask { .. } => {
            local.change_task(command);
        }
        Command::Run(run) => contain(run),
    }
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
