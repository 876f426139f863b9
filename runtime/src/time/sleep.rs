//! Waiting for a time.
//!
//! Next: [`timeout`](mod@super::timeout).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use crate::budget;
use crate::local::{self, Local};
use crate::mailbox::{RuntimeId, on_home};
use crate::waker;

/// The time as the runtime of this thread sees it: the system's, or the virtual one of a runtime
/// with [`Builder::virtual_clock`](crate::Builder::virtual_clock). Without a runtime it is
/// [`Instant::now`].
pub fn now() -> Instant {
    local::try_running(|local| local.clock.now()).unwrap_or_else(Instant::now)
}

/// Waits for `duration`, counted from now (not from the first poll).
///
/// It never ends early. With the real clock it ends up to two milliseconds late on an idle
/// machine, and later with [`Builder::timer_slack`](crate::Builder::timer_slack).
/// [`Duration::MAX`], or anything else that no [`Instant`] can hold, is for ever.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// gather_runtime::run(async {
///     let start = Instant::now();
///     gather_runtime::sleep(Duration::from_millis(5)).await;
///     assert!(start.elapsed() >= Duration::from_millis(5));
/// });
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    Sleep::new(now().checked_add(duration))
}

/// Waits until `deadline`. One that has passed is over at the first poll, or, if it passed just
/// now, when the loop next looks at its timers.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep::new(Some(deadline))
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// Dropping it takes its timer away at once. It may be moved to another task or another runtime
/// between polls, and polled again when it is over.
///
/// # Panics
///
/// Polling it panics if this thread runs no runtime.
#[must_use = "a sleep does nothing unless it is awaited"]
pub struct Sleep {
    /// When it is over; `None` is never.
    deadline: Option<Instant>,
    /// The runtime that has the timer; `NONE` while there is none.
    runtime: RuntimeId,
    /// The row of the timer.
    row: u32,
}

impl Sleep {
    fn new(deadline: Option<Instant>) -> Sleep {
        Sleep { deadline, runtime: RuntimeId::NONE, row: 0 }
    }

    /// When it is over; `None` if never.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Sets a new deadline, also for a sleep that is over. It has to be polled again to be woken
    /// for it.
    pub fn reset(&mut self, deadline: Instant) {
        self.release();
        self.deadline = Some(deadline);
    }

    /// Looks at the timer. Returns whether the sleep is over, and a waker for the caller to drop.
    fn poll_timer(&mut self, local: &Local, waker: Waker) -> (bool, Option<Waker>) {
        let Some(deadline) = self.deadline else { return (false, Some(waker)) };
        let mut timers = local.timers.borrow_mut();
        if self.runtime == local.id() {
            if !timers.has_fired(self.row) {
                // The last waker that polled is the one to wake.
                return (false, timers.waker_mut(self.row).replace(waker));
            }
            timers.remove(self.row);
            self.runtime = RuntimeId::NONE;
            return (true, Some(waker));
        }
        match local.clock.tick_after(deadline) {
            _ if local.clock.has_passed(deadline) => (true, Some(waker)),
            None => (false, Some(waker)),
            Some(tick) => {
                self.row = timers.insert(tick, waker);
                self.runtime = local.id();
                (false, None)
            }
        }
    }

    /// Takes the timer away, wherever it is.
    fn release(&mut self) {
        let runtime = std::mem::replace(&mut self.runtime, RuntimeId::NONE);
        if runtime == RuntimeId::NONE {
            return;
        }
        let row = self.row;
        on_home(runtime, move |local| {
            let waker = local.timers.borrow_mut().remove(row);
            drop(waker); // a foreign waker runs foreign code: nothing is borrowed here
        });
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = waker::copy(cx.waker());
        let (over, _stale) = local::with_running("a sleep", |local| {
            if self.runtime != local.id() {
                self.release(); // it was polled on another runtime before
            }
            self.poll_timer(local, waker)
        });
        if !over {
            return Poll::Pending;
        }
        ready!(budget::poll(cx));
        budget::spend();
        Poll::Ready(())
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.release();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).finish()
    }
}
