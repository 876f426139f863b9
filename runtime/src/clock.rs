//! What the time is: the system's, or in tests a virtual one.
//!
//! Reading the system's clock costs about as much as polling two children, so the loop reads it
//! twice a round, before and after its look at the sockets, and keeps the reading. A kept reading
//! is never ahead of the time, so whoever takes it for the time fires late, not early; and a new
//! deadline is always counted from a fresh reading, so no sleep ends early.
//!
//! The virtual clock stands still while anything can run. When nothing can, the loop moves it to
//! the next deadline. So a test of a day's timers takes a millisecond, and gives the same result
//! each time.
//!
//! Next: [`wheel`](crate::wheel), where timers wait.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// The real clock counts in ticks of 2^18 ns, about a quarter of a millisecond: the reactor cannot
/// sleep for less than a millisecond, and a power of two makes a tick a shift.
const REAL_TICK_BITS: u32 = 18;

/// The clock of one runtime.
pub(crate) struct Clock {
    /// When the runtime was made: tick 0.
    start: Cell<Option<Instant>>,
    /// The last reading.
    read: Cell<Option<Instant>>,
    /// Whether the loop moves the clock.
    is_virtual: Cell<bool>,
}

impl Clock {
    pub(crate) const fn new() -> Clock {
        Clock { start: Cell::new(None), read: Cell::new(None), is_virtual: Cell::new(false) }
    }

    pub(crate) fn start(&self, is_virtual: bool) {
        let now = Some(Instant::now());
        self.start.set(now);
        self.read.set(now);
        self.is_virtual.set(is_virtual);
    }

    pub(crate) fn swap(&self, other: &Clock) {
        self.start.swap(&other.start);
        self.read.swap(&other.read);
        self.is_virtual.swap(&other.is_virtual);
    }

    pub(crate) fn is_virtual(&self) -> bool {
        self.is_virtual.get()
    }

    /// Reads the clock.
    #[inline]
    pub(crate) fn now(&self) -> Instant {
        match self.read.get() {
            Some(now) if self.is_virtual.get() => now,
            _ => {
                let now = Instant::now();
                self.read.set(Some(now));
                now
            }
        }
    }

    /// The last reading.
    #[inline]
    pub(crate) fn last(&self) -> Instant {
        self.read.get().unwrap_or_else(|| self.now())
    }

    /// How long the runtime has been there at its last reading, in milliseconds. After 49 days it
    /// begins again at 0.
    pub(crate) fn milliseconds(&self) -> u32 {
        let since =
            self.read.get().zip(self.start.get()).map(|(read, start)| read.saturating_duration_since(start));
        since.map_or(0, |since| since.as_millis() as u32)
    }

    /// Whether the last reading was at this deadline or after it.
    #[inline]
    pub(crate) fn has_passed(&self, deadline: Instant) -> bool {
        self.read.get().is_some_and(|read| deadline <= read)
    }

    /// The last tick that has wholly passed at this time.
    pub(crate) fn tick_at(&self, time: Instant) -> u64 {
        self.nanoseconds_until(time).unwrap_or(u64::MAX) >> self.tick_bits()
    }

    /// The first tick at which this deadline has passed. So far away that no tick counts it:
    /// `None`.
    #[inline]
    pub(crate) fn tick_after(&self, deadline: Instant) -> Option<u64> {
        let bits = self.tick_bits();
        Some(self.nanoseconds_until(deadline)?.checked_add((1 << bits) - 1)? >> bits)
    }

    /// How many whole ticks a duration has.
    pub(crate) fn ticks_in(&self, duration: Duration) -> u64 {
        u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX) >> self.tick_bits()
    }

    /// How long it is from `now` until this tick.
    pub(crate) fn time_until(&self, tick: u64, now: Instant) -> Duration {
        let nanoseconds = tick.saturating_mul(1 << self.tick_bits());
        Duration::from_nanos(nanoseconds.saturating_sub(self.nanoseconds_until(now).unwrap_or(u64::MAX)))
    }

    /// Moves the virtual clock to this tick, if it is not there yet. (The wheel stands still while
    /// it has no timer, and its next turn may then be over.)
    pub(crate) fn leap_to(&self, tick: u64) {
        debug_assert!(self.is_virtual.get());
        let there = self.start.get().and_then(|start| start.checked_add(Duration::from_nanos(tick)));
        self.read.set(self.read.get().max(there));
    }

    /// From the start to `time`; `None` if that is more than 584 years.
    #[inline]
    fn nanoseconds_until(&self, time: Instant) -> Option<u64> {
        let since = self.start.get().map_or(Duration::ZERO, |start| time.saturating_duration_since(start));
        since.as_secs().checked_mul(1_000_000_000)?.checked_add(since.subsec_nanos().into())
    }

    #[inline]
    fn tick_bits(&self) -> u32 {
        if self.is_virtual.get() { 0 } else { REAL_TICK_BITS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_virtual_clock_never_goes_back() {
        let clock = Clock::new();
        clock.start(true);
        clock.leap_to(5);
        let five = clock.now();
        clock.leap_to(3);
        assert_eq!((clock.now(), clock.tick_at(five)), (five, 5));
    }
}
