//! What a thread's runtime owns: its tables, in a thread-local.
//!
//! A thread runs one runtime at a time, so its tables can be found without a pointer to them: that
//! is how a number is enough for a waker. A [`Runtime`](crate::Runtime) that is not running keeps
//! its tables itself; [`enter`] exchanges them for those of the thread, and the guard exchanges
//! them back.
//!
//! The thread-local has no destructor: a thread that runs nothing has empty tables, so there is
//! nothing to destroy, and an access needs no check whether it was destroyed (which was a tenth of
//! the cost of a wake).
//!
//! Rule: no user's code (a poll, a drop, a clone or wake of a foreign waker, an iterator, the
//! payload of a panic) runs while one of these cells is borrowed. Take it out, end the borrow,
//! then run it.
//!
//! Next: [`agenda`](crate::agenda), what the loop has to do beside the tasks.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::task::Waker;

use crate::agenda::{Agenda, Item};
use crate::blocking::Pool;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::group::Groups;
use crate::id::{Id, MAIN, Target, task_generation};
use crate::mailbox::RuntimeId;
use crate::metrics::{Counters, Metrics};
use crate::reactor::Sources;
use crate::stall::StallWarning;
use crate::task::{Discarded, Tasks};
use crate::wheel::Wheel;

thread_local! {
    static LOCAL: ManuallyDrop<Local> = const { ManuallyDrop::new(Local::new()) };
}

/// What one runtime owns, on its thread.
pub(crate) struct Local {
    /// Which runtime this is; `NONE` on a thread that runs none.
    id: Cell<RuntimeId>,
    /// What is to be done before the next turn of tasks.
    pub(crate) agenda: Agenda,
    /// Which main future of this runtime; wakers of earlier ones do not wake this one.
    main_generation: Cell<u32>,
    /// When the loop last looked at the clock, in milliseconds since the runtime was made.
    now: Cell<u32>,
    /// How often main futures were polled, and how often earlier ones.
    main_polls: Cell<u64>,
    earlier_main_polls: Cell<u64>,
    /// When it was polled last.
    main_polled_at: Cell<u32>,
    /// What the poll that goes on now may still do.
    pub(crate) budget: Budget,
    /// Whether, and how, gathers that nobody polls are reported.
    stall_warning: Cell<Option<StallWarning>>,
    /// Who is woken at the end of the turn.
    deferred: RefCell<Vec<Waker>>,
    /// The tasks.
    pub(crate) tasks: RefCell<Tasks>,
    /// The groups of children.
    pub(crate) groups: RefCell<Groups>,
    /// The timers.
    pub(crate) timers: RefCell<Wheel>,
    /// What the time is.
    pub(crate) clock: Clock,
    /// The sockets.
    pub(crate) sources: RefCell<Sources>,
    /// The threads for what blocks.
    pub(crate) pool: RefCell<Option<Arc<Pool>>>,
    /// What is counted.
    pub(crate) counters: Counters,
    /// Tasks that wait to be dropped.
    pub(crate) discarded: Discarded,
}

impl Local {
    pub(crate) const fn new() -> Local {
        Local {
            id: Cell::new(RuntimeId::NONE),
            agenda: Agenda::new(),
            main_generation: Cell::new(0),
            now: Cell::new(0),
            main_polls: Cell::new(0),
            earlier_main_polls: Cell::new(0),
            main_polled_at: Cell::new(0),
            budget: Budget::new(),
            stall_warning: Cell::new(None),
            deferred: RefCell::new(Vec::new()),
            tasks: RefCell::new(Tasks::new()),
            groups: RefCell::new(Groups::new()),
            timers: RefCell::new(Wheel::new()),
            clock: Clock::new(),
            sources: RefCell::new(Sources::new()),
            pool: RefCell::new(None),
            counters: Counters::new(),
            discarded: Discarded::new(),
        }
    }

    fn swap(&self, other: &Local) {
        self.id.swap(&other.id);
        self.agenda.swap(&other.agenda);
        self.main_generation.swap(&other.main_generation);
        self.now.swap(&other.now);
        self.main_polls.swap(&other.main_polls);
        self.earlier_main_polls.swap(&other.earlier_main_polls);
        self.main_polled_at.swap(&other.main_polled_at);
        self.budget.swap(&other.budget);
        self.stall_warning.swap(&other.stall_warning);
        self.deferred.swap(&other.deferred);
        self.tasks.swap(&other.tasks);
        self.groups.swap(&other.groups);
        self.timers.swap(&other.timers);
        self.clock.swap(&other.clock);
        self.sources.swap(&other.sources);
        self.pool.swap(&other.pool);
        self.counters.swap(&other.counters);
        self.discarded.swap(&other.discarded);
    }

    #[inline]
    pub(crate) fn id(&self) -> RuntimeId {
        self.id.get()
    }

    /// Makes this the tables of that runtime.
    pub(crate) fn set_id(&self, id: RuntimeId) {
        self.id.set(id);
    }

    /// Whether what `id` names is in these tables. A thread that runs nothing is nobody's home.
    #[inline]
    pub(crate) fn is_home_of(&self, id: Id) -> bool {
        self.id.get().number() == id.runtime()
    }

    /// Begins a new main future: wakers of earlier ones are forgotten. Returns the id of its
    /// waker.
    pub(crate) fn begin_main(&self) -> Id {
        let generation = self.main_generation.get().wrapping_add(1);
        self.main_generation.set(generation);
        self.agenda.add(Item::PollMain);
        self.earlier_main_polls.set(self.main_polls.get());
        self.main_polled_at.set(self.now.get());
        let generation = task_generation(generation.into());
        Id::new(self.id.get().number(), Target::Task { row: MAIN, generation })
    }

    #[inline]
    pub(crate) fn wake_main(&self, generation: u32) {
        if generation == task_generation(self.main_generation.get().into()) {
            self.agenda.add(Item::PollMain);
        }
    }

    /// Whether the main future or a task is to be polled, or somebody to be woken for that. (That
    /// turns are shuffled is no work.)
    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        self.agenda.has(Item::PollMain)
            || self.agenda.has(Item::WakeDeferred)
            || self.tasks.borrow().has_ready()
    }

    /// The main future is polled now.
    #[inline]
    pub(crate) fn note_main_poll(&self) {
        self.main_polls.set(self.main_polls.get() + 1);
        self.main_polled_at.set(self.now.get());
    }

    /// How often the main future was polled, and when last.
    pub(crate) fn main_polled(&self) -> (u64, u32) {
        (self.main_polls.get() - self.earlier_main_polls.get(), self.main_polled_at.get())
    }

    pub(crate) fn set_stall_warning(&self, warning: Option<StallWarning>) {
        self.stall_warning.set(warning);
    }

    pub(crate) fn stall_warning(&self) -> Option<StallWarning> {
        self.stall_warning.get()
    }

    /// The clock has been read: what is polled from here on is polled at this time.
    pub(crate) fn note_time(&self) {
        let milliseconds = self.clock.milliseconds();
        self.now.set(milliseconds);
        self.tasks.borrow_mut().set_now(milliseconds);
    }

    /// When the loop last looked at the clock, in milliseconds.
    #[inline]
    pub(crate) fn now(&self) -> u32 {
        self.now.get()
    }

    /// Wakes `waker` at the end of the turn. Gives it back if no runtime runs, which has no turns.
    pub(crate) fn defer(&self, waker: Waker) -> Option<Waker> {
        if self.id.get() == RuntimeId::NONE {
            return Some(waker);
        }
        self.deferred.borrow_mut().push(waker);
        self.agenda.add(Item::WakeDeferred);
        None
    }

    /// The end of the turn: wakes who was deferred.
    #[inline]
    pub(crate) fn wake_deferred(&self) {
        if self.agenda.take(Item::WakeDeferred) {
            self.wake_all_deferred();
        }
    }

    #[cold]
    fn wake_all_deferred(&self) {
        let mut deferred = self.deferred.take();
        for waker in deferred.drain(..) {
            self.wake_waker_contained(waker);
        }
        // Keeps the memory for the next turn, unless a foreign waker has deferred another
        // meanwhile.
        let mut place = self.deferred.borrow_mut();
        if place.is_empty() {
            *place = deferred;
        }
    }

    pub(crate) fn take_deferred(&self) -> Vec<Waker> {
        self.deferred.take()
    }

    pub(crate) fn metrics(&self) -> Metrics {
        Metrics {
            tasks_alive: self.tasks.borrow().len(),
            groups_alive: self.groups.borrow().len(),
            timers_pending: self.timers.borrow().len(),
            sockets_registered: self.sources.borrow().len(),
            blocking_threads: self.pool.borrow().as_ref().map_or(0, |pool| pool.threads()),
            polls: self.counters.polls.get() + self.main_polls.get(),
            wakes: self.counters.wakes.get(),
            remote_wakes: self.counters.remote_wakes.get(),
            parks: self.counters.parks.get(),
            io_events: self.counters.io_events.get(),
            timers_fired: self.counters.timers_fired.get(),
            longest_poll: self.counters.longest_poll.get(),
        }
    }
}

/// The tables of this thread. They belong to no runtime while none runs.
#[inline(always)]
pub(crate) fn with<R>(f: impl FnOnce(&Local) -> R) -> R {
    LOCAL.with(|local| f(local))
}

/// The tables of this thread, if it runs this runtime now.
#[inline(always)]
pub(crate) fn with_home<R>(runtime: RuntimeId, f: impl FnOnce(&Local) -> R) -> Option<R> {
    with(|local| if local.id.get() == runtime { Some(f(local)) } else { None })
}

/// The tables of the runtime that runs on this thread, if one does.
#[inline(always)]
pub(crate) fn try_running<R>(f: impl FnOnce(&Local) -> R) -> Option<R> {
    with(|local| if local.id.get() != RuntimeId::NONE { Some(f(local)) } else { None })
}

/// The tables of the runtime that runs on this thread.
///
/// # Panics
///
/// If none does: `what` says what needed one.
#[inline]
#[track_caller]
pub(crate) fn with_running<R>(what: &str, f: impl FnOnce(&Local) -> R) -> R {
    match try_running(f) {
        Some(result) => result,
        None => no_runtime(what),
    }
}

#[cold]
#[track_caller]
pub(crate) fn no_runtime(what: &str) -> ! {
    panic!(
        "{what} needs a runtime, and none runs on this thread: call it inside `gather::run(async {{ .. }})`"
    )
}

/// Makes `own` the tables of this thread until the guard is dropped.
pub(crate) fn enter(own: &Local) -> Entered<'_> {
    with(|local| local.swap(own));
    Entered { own }
}

/// While it lives, a runtime's tables are those of the thread.
pub(crate) struct Entered<'a> {
    /// Where they go back to.
    own: &'a Local,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        with(|local| local.swap(self.own));
    }
}
