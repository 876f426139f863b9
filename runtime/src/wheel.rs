//! Where timers wait: a hierarchical timing wheel (Varghese and Lauck, 1987), without limit.
//!
//! ```text
//!  level 2   │  4096 … 8191 │  8192 … │ …        a slot of level k is 64^k ticks wide
//!  level 1   │ 64 … 127 │ 128 … 191 │ …
//!  level 0   │ 1 │ 2 │ 3 │ … │ 63 │            one tick: what is here is due at exactly that tick
//! ```
//!
//! A timer goes where its deadline first differs from the present, six bits to a level; so putting
//! one in is a count of leading zeros and a link in a list, and taking one out is an unlink. Both
//! cost the same however many there are. When the present reaches a slot of a higher level, its
//! timers move down, each at most once a level. Eleven levels hold every 64-bit tick, so nothing
//! wraps and there is no list for what is far away.
//!
//! Timers fire in the order of their ticks, and those of a tick in the order of their insertion.
//!
//! A slot knows its earliest deadline, so the loop sleeps until a timer is due, and not until a
//! slot of a higher level begins: that would wake it twice for each of ten intervals.
//!
//! A binary heap would be simpler, but most timers are timeouts that never fire, and each of those
//! would cost it O(log n) twice.
//!
//! Next: [`time`](crate::time), what users hold of it.

use std::task::Waker;

use slab::Slab;

/// The bits of a tick that one level looks at.
const LEVEL_BITS: u32 = 6;
const SLOTS: usize = 1 << LEVEL_BITS;
/// The levels that are made with the first timer: an hour of the real clock. Four kilobytes.
const USUAL_LEVELS: usize = 4;
/// No timer.
const NIL: u32 = u32::MAX;

/// The timers of one runtime.
pub(crate) struct Wheel {
    /// A row for each timer.
    timers: Slab<Timer>,
    /// The levels up to the highest that was ever needed.
    levels: Vec<Level>,
    /// The present: every timer that is due at this tick or before it has fired.
    now: u64,
    /// How many timers wait.
    waiting: usize,
    /// How many ticks a timer may fire late, so that several fire in one turn.
    pub(crate) slack: u64,
}

/// The slots of one level.
#[derive(Clone, Copy)]
struct Level {
    /// A bit for each slot that has timers.
    occupied: u64,
    lists: [List; SLOTS],
}

/// The timers of a slot. It means nothing where the slot is not occupied.
#[derive(Clone, Copy)]
struct List {
    first: u32,
    last: u32,
    /// No timer is due before this tick. One was due then, but it may have been removed.
    earliest: u64,
}

/// One timer.
struct Timer {
    /// When it is due.
    tick: u64,
    /// Whom to wake then. `None` for a moment while it is being exchanged.
    waker: Option<Waker>,
    previous: u32,
    next: u32,
    /// The level that it is in, until it fires.
    level: u8,
    has_fired: bool,
}

impl Wheel {
    pub(crate) const fn new() -> Wheel {
        Wheel { timers: Slab::new(), levels: Vec::new(), now: 0, waiting: 0, slack: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    /// Puts a timer in, and returns its row, which is the caller's until it is removed.
    pub(crate) fn insert(&mut self, tick: u64, waker: Waker) -> u32 {
        let timer = Timer {
            tick: tick.max(self.now.saturating_add(1)),
            waker: Some(waker),
            previous: NIL,
            next: NIL,
            level: 0,
            has_fired: false,
        };
        let row = self.timers.insert(timer) as u32;
        self.link(row);
        self.waiting += 1;
        row
    }

    /// Takes a timer out, fired or not. The caller drops its waker when nothing is borrowed.
    pub(crate) fn remove(&mut self, row: u32) -> Option<Waker> {
        if !self.has_fired(row) {
            self.unlink(row);
            self.waiting -= 1;
        }
        self.timers.remove(row as usize).waker
    }

    /// Takes the wakers out, for a runtime that ends.
    pub(crate) fn take_wakers(&mut self) -> Vec<Waker> {
        self.timers.iter_mut().filter_map(|(_, timer)| timer.waker.take()).collect()
    }

    pub(crate) fn has_fired(&self, row: u32) -> bool {
        self.timers[row as usize].has_fired
    }

    /// The waker of a timer.
    pub(crate) fn waker_mut(&mut self, row: u32) -> &mut Option<Waker> {
        &mut self.timers[row as usize].waker
    }

    /// When the first timer is due, plus the slack; or earlier, if a timer was removed.
    pub(crate) fn next_turn(&self) -> Option<u64> {
        let (level, slot, _) = self.next_slot()?;
        Some(self.levels[level].lists[slot].earliest.saturating_add(self.slack))
    }

    /// Turns the wheel to `now`. Each timer that is due is taken from its slot, in order, and its
    /// waker given to `fire`; its row stays until it is removed.
    pub(crate) fn turn(&mut self, now: u64, mut fire: impl FnMut(Waker)) {
        while let Some((level, slot, start)) = self.next_slot().filter(|(_, _, start)| *start <= now) {
            self.now = start;
            self.levels[level].occupied &= !(1 << slot);
            let mut row = self.levels[level].lists[slot].first;
            while row != NIL {
                let timer = &mut self.timers[row as usize];
                let next = timer.next;
                if level == 0 {
                    timer.has_fired = true;
                    self.waiting -= 1;
                    if let Some(waker) = timer.waker.take() {
                        fire(waker);
                    }
                } else {
                    self.link(row);
                }
                row = next;
            }
        }
        self.now = self.now.max(now);
    }

    /// The first slot that has timers, and the tick at which it starts.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        if self.waiting == 0 {
            return None;
        }
        let level = self.levels.iter().position(|level| level.occupied != 0)?;
        // A slot before the present would be one of the next round: there is none, its timers are
        // a level up.
        let slot = self.levels[level].occupied.trailing_zeros();
        let low = level as u32 * LEVEL_BITS;
        let above = self.now.checked_shr(low + LEVEL_BITS).unwrap_or(0);
        let start = above.checked_shl(low + LEVEL_BITS).unwrap_or(0) | (slot as u64) << low;
        Some((level, slot as usize, start))
    }

    /// Puts a timer at the end of the list of its slot. A timer of this very tick goes to level 0.
    fn link(&mut self, row: u32) {
        let tick = self.timers[row as usize].tick;
        let differing = (tick ^ self.now) | 1;
        let level = ((u64::BITS - 1 - differing.leading_zeros()) / LEVEL_BITS) as usize;
        let slot = slot_at(level, tick);
        if level >= self.levels.len() {
            let levels = (level + 1).max(USUAL_LEVELS);
            self.levels.reserve_exact(levels - self.levels.len());
            self.levels.resize(levels, Level::EMPTY);
        }
        let previous = self.levels[level].push(slot, row, tick);
        if previous != NIL {
            self.timers[previous as usize].next = row;
        }
        let timer = &mut self.timers[row as usize];
        timer.previous = previous;
        timer.next = NIL;
        timer.level = level as u8;
    }

    fn unlink(&mut self, row: u32) {
        let Timer { tick, level, previous, next, .. } = self.timers[row as usize];
        let slot = slot_at(level.into(), tick);
        let level = &mut self.levels[usize::from(level)];
        match previous {
            NIL => level.lists[slot].first = next,
            previous => self.timers[previous as usize].next = next,
        }
        match next {
            NIL => level.lists[slot].last = previous,
            next => self.timers[next as usize].previous = previous,
        }
        if previous == NIL && next == NIL {
            level.occupied &= !(1 << slot);
        }
    }
}

/// The slot of a level that a tick is in.
fn slot_at(level: usize, tick: u64) -> usize {
    (tick >> (level as u32 * LEVEL_BITS)) as usize % SLOTS
}

impl Level {
    const EMPTY: Level =
        Level { occupied: 0, lists: [List { first: NIL, last: NIL, earliest: u64::MAX }; SLOTS] };

    /// Puts a timer at the end of a list, and returns the one before it.
    fn push(&mut self, slot: usize, row: u32, tick: u64) -> u32 {
        let list = &mut self.lists[slot];
        if self.occupied & (1 << slot) == 0 {
            self.occupied |= 1 << slot;
            *list = List { first: row, last: row, earliest: tick };
            return NIL;
        }
        list.earliest = list.earliest.min(tick);
        std::mem::replace(&mut list.last, row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Turns the wheel from turn to turn, and gives the ticks at which something fired, in order.
    fn ticks_fired(wheel: &mut Wheel) -> Vec<u64> {
        let mut fired = Vec::new();
        while let Some(tick) = wheel.next_turn() {
            wheel.turn(tick, |_| fired.push(tick));
        }
        fired
    }

    #[test]
    fn timers_fire_at_their_very_tick_and_in_order_across_every_level() {
        let mut wheel = Wheel::new();
        let mut ticks = Vec::new();
        for level in 0..u64::BITS.div_ceil(LEVEL_BITS) {
            let start = 1u64 << (level * LEVEL_BITS);
            let around =
                [start.wrapping_sub(1), start, start + 1, start.saturating_mul(63), start.saturating_mul(64)];
            ticks.extend(around.into_iter().filter(|tick| *tick > 0));
        }
        ticks.push(u64::MAX);
        for tick in ticks.iter().rev() {
            wheel.insert(*tick, Waker::noop().clone());
        }
        ticks.sort();
        assert_eq!(ticks_fired(&mut wheel), ticks);
    }

    #[test]
    fn a_timer_put_in_after_the_wheel_has_turned_far_fires_at_its_tick() {
        let mut wheel = Wheel::new();
        for power in 2..60 {
            let now = (1u64 << power) - 3;
            wheel.turn(now, |_| {});
            wheel.insert(now + 7, Waker::noop().clone());
            wheel.insert(now + 5, Waker::noop().clone());
            assert_eq!(ticks_fired(&mut wheel), [now + 5, now + 7]);
        }
    }

    #[test]
    fn timers_of_one_tick_fire_in_the_order_in_which_they_were_put_in() {
        let mut wheel = Wheel::new();
        // The first waits on a high level and moves down before the second is put in.
        let order = [Arc::new(Count(AtomicUsize::new(0))), Arc::new(Count(AtomicUsize::new(0)))];
        wheel.insert(5000, order[0].clone().into());
        wheel.turn(4990, |_| {});
        wheel.insert(5000, order[1].clone().into());
        let mut fired = Vec::new();
        wheel.turn(5000, |waker| fired.push(waker));
        assert!(fired[0].will_wake(&order[0].clone().into()));
        assert!(fired[1].will_wake(&order[1].clone().into()));
    }

    #[test]
    fn what_is_removed_does_not_fire_and_leaves_nothing() {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let mut wheel = Wheel::new();
        let rows: Vec<u32> = (1..1000).map(|tick| wheel.insert(tick * 7, count.clone().into())).collect();
        for row in rows {
            wheel.remove(row);
        }
        assert_eq!((wheel.len(), wheel.next_turn(), Arc::strong_count(&count)), (0, None, 1));
        assert!(wheel.levels.iter().all(|level| level.occupied == 0));
    }

    #[test]
    fn there_is_a_turn_for_each_firing_and_no_other() {
        for intervals in [10, 100] {
            // A second of ticks, in phases that have nothing to do with slots.
            let (period, mut wheel) = (3815, Wheel::new());
            let mut due: Vec<u64> = (0..intervals).map(|number| 1 + number * 2718 % period).collect();
            for due in &due {
                wheel.insert(*due, Waker::noop().clone());
            }
            let (mut turns, mut fired) = (0, 0);
            while fired < 50 * intervals {
                let now = wheel.next_turn().unwrap();
                wheel.turn(now, |_| fired += 1);
                turns += 1;
                let due = due.iter_mut().find(|due| **due == now).unwrap();
                *due += period;
                wheel.insert(*due, Waker::noop().clone());
            }
            assert_eq!(turns, fired, "{intervals}");
        }
    }

    #[test]
    fn a_late_turn_fires_all_that_is_due_in_order_and_nothing_else() {
        let mut wheel = Wheel::new();
        let rows: Vec<u32> =
            [9, 70, 69, 4096, 5000].map(|tick| wheel.insert(tick, Waker::noop().clone())).into();
        let mut fired = 0;
        wheel.turn(4999, |_| fired += 1);
        assert_eq!(fired, 4);
        let have_fired: Vec<_> = rows.iter().map(|row| wheel.has_fired(*row)).collect();
        assert_eq!(have_fired, [true, true, true, true, false]);
        assert_eq!(wheel.next_turn(), Some(5000));
    }
}
