//! One direction of a socket: whether there is something to try, and who waits.
//!
//! ```text
//!   the runtime's thread: raise                  the thread that polls the socket
//!   R1  events = events + 1, and flags           P1  are there events since it was exhausted? ── yes ──► try; if nothing is left,
//!   R2  exchange waiter for nobody: wake it      P2  exchange waiter for me                              exhausted = events as of P1
//!                                                P3  P1 again; if there are none, wait
//! ```
//!
//! **An event that comes during a try is not lost**: events are counted, and who tried says as of which.
//!
//! **No wake is lost.** R2 and P2 exchange the same word, so one comes before the other. If P2 does, R2 finds who waits. If R2
//! does, P2 reads what it wrote, or what came after, and so P3 sees R1.
//!
//! Only the runtime's thread writes `events`. Who tries writes `exhausted`; where several do, it may be an older value that stays, which costs
//! a try for nothing. So neither needs an exchange: for a message that is read and sent back there are three. The models at the end of [`readiness`](crate::readiness) let loom
//! try the interleavings.
//!
//! Next: [`source`](crate::source), the socket.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::task::Poll;

/// What there was to try when a direction was looked at.
#[derive(Clone, Copy)]
pub(crate) struct Seen(u32);

impl Seen {
    /// Only `WouldBlock` says that it is exhausted: the peer or the system has closed it, or a byte is urgent.
    pub(crate) fn is_sure(self) -> bool {
        self.0 & SURE != 0
    }

    /// The runtime has ended: nobody would ever deliver an event.
    pub(crate) fn is_gone(self) -> bool {
        self.0 & GONE != 0
    }
}

/// Of an event: only `WouldBlock` says that the direction is exhausted.
pub(crate) const SURE: u32 = 1;
/// Of the last event: the runtime has ended.
pub(crate) const GONE: u32 = 2;
/// One event, in the count above the flags.
const ONE_EVENT: u32 = 4;

/// Nobody waits. (No runtime has the number 0, so no waker of ours is one of these two.)
pub(crate) const NOBODY: usize = 0;
/// A waker that is not ours waits: [`Readiness`](crate::readiness::Readiness) has it.
pub(crate) const FOREIGN: usize = 1;

/// One direction of a socket.
pub(crate) struct Side {
    /// How many events have come, and flags. Only the runtime's thread writes it.
    events: AtomicU32,
    /// What `events` was before the last try that left nothing.
    exhausted: AtomicU32,
    /// The word of the waker of who waits, or one of the two above.
    waiter: AtomicUsize,
}

impl Side {
    pub(crate) fn new(is_ready: bool) -> Side {
        Side {
            events: AtomicU32::new(if is_ready { ONE_EVENT } else { 0 }),
            exhausted: AtomicU32::new(0),
            waiter: AtomicUsize::new(NOBODY),
        }
    }

    /// An event has come. Returns who waited.
    #[inline]
    pub(crate) fn raise(&self, flags: u32) -> usize {
        // An event says all that is so now; that the runtime is gone stays.
        let before = self.events.load(Ordering::Relaxed) & !SURE;
        let mut events = before.wrapping_add(ONE_EVENT) | flags;
        if events == self.exhausted.load(Ordering::Relaxed) {
            events = events.wrapping_add(ONE_EVENT); // a billion events came and nobody has tried
        }
        self.events.store(events, Ordering::Release); // R1
        self.waiter.swap(NOBODY, Ordering::AcqRel) // R2
    }

    /// Whether it may be tried.
    #[inline]
    pub(crate) fn look(&self) -> Poll<Seen> {
        let events = self.events.load(Ordering::Acquire); // P1, P3
        if events == self.exhausted.load(Ordering::Relaxed) {
            Poll::Pending
        } else {
            Poll::Ready(Seen(events))
        }
    }

    /// A try has left nothing of what was seen.
    #[inline]
    pub(crate) fn exhaust(&self, seen: Seen) {
        self.exhausted.store(seen.0, Ordering::Relaxed);
    }

    /// From now on this one waits. Returns who waited.
    #[inline]
    pub(crate) fn exchange_waiter(&self, waiter: usize) -> usize {
        self.waiter.swap(waiter, Ordering::AcqRel) // P2
    }

    /// Who waits.
    pub(crate) fn waiter(&self) -> usize {
        self.waiter.load(Ordering::Relaxed)
    }

    /// This one does not wait any more. Another who came meanwhile does.
    #[inline]
    pub(crate) fn wait_no_more(&self, waiter: usize) {
        let _ = self.waiter.compare_exchange(waiter, NOBODY, Ordering::AcqRel, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_seen_after_four_billion_events_too() {
        let side = Side::new(false);
        for exhausted in [u32::MAX - 7, u32::MAX - 3, 0, 4] {
            side.events.store(exhausted.wrapping_sub(ONE_EVENT), Ordering::Relaxed);
            side.exhaust(Seen(exhausted));
            side.raise(0);
            assert!(side.look().is_ready());
        }
    }

    #[test]
    fn that_the_peer_has_closed_is_so_as_long_as_events_say_so_and_that_the_runtime_is_gone_for_ever() {
        let side = Side::new(false);
        let seen = |flags| {
            side.raise(flags);
            match side.look() {
                Poll::Ready(seen) => (seen.is_sure(), seen.is_gone()),
                Poll::Pending => unreachable!("an event has come"),
            }
        };
        assert_eq!(seen(SURE), (true, false));
        assert_eq!(seen(0), (false, false));
        assert_eq!(seen(GONE), (false, true));
        assert_eq!(seen(SURE), (true, true));
    }
}
