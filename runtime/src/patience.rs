//! Whether the loop waits a little for the next wake from another thread before it sleeps.
//!
//! Where one letter came, others come. A thread that wakes a sleeping loop pays fifty times as much as one that wakes a
//! loop that is up, and without patience a thread that wakes many tasks pays that for every third of them. So the loop looks at its
//! mailbox for ten or twenty microseconds more, where that has just been seen to help: after a sleep that was ended at once.
//!
//! It does not help where the other thread cannot run meanwhile, on one core, or comes later each time. That is seen too: after a
//! few waits for nothing the loop sleeps at once the next time, and after each further one twice as many times. So where
//! patience never helps it costs half a microsecond for each sleep, and where it does it is soon tried again.
//! (To ask the system for the number of cores would be 14 kB of a small server, and wrong for a thread that is bound to one of many.)
//!
//! And while the loop is up, it lets the mailbox alone for a moment after many letters came at once, so that it takes the next ones together.
//!
//! Next: [`doorbell`](crate::doorbell), when a wake has to ring.

use std::cell::Cell;
use std::hint;
use std::time::Duration;

/// A sleep that was ended so soon that the thread that ended it may be about to send more.
const SHORT_SLEEP: Duration = Duration::from_micros(50);

/// How often the mailbox is looked at, and how many times as long as a look it is let alone in between: ten or twenty
/// microseconds in all, as long as the processor makes a pause. (Who looks all the time takes the queue's cache line from the thread that fills it: with 1,024 looks and no pauses
/// a wake took 41 ns, with these 31.)
const LOOKS: usize = 32;
const PAUSES: usize = 32;

/// So many letters at once are from a thread that is sending more.
const MANY: usize = 4;

/// So many waits for nothing mean nothing yet.
const PARDONED: u32 = 3;

/// The most waits that are left out in a row are two to this power, less one.
const MOST_DOUBT: u32 = 5;

/// What one loop has learned.
#[derive(Default)]
pub(crate) struct Patience {
    /// Whether the last sleep was short.
    was_short: Cell<bool>,
    /// Whether many letters came at once.
    came_many: Cell<bool>,
    /// How many waits are still left out.
    left_out: Cell<u32>,
    /// How many waits in a row were for nothing.
    in_vain: Cell<u32>,
}

impl Patience {
    /// The loop has slept so long.
    pub(crate) fn note_sleep(&self, slept: Duration) {
        self.was_short.set(slept < SHORT_SLEEP);
    }

    /// So many letters were there.
    pub(crate) fn note_letters(&self, letters: usize) {
        self.came_many.set(letters >= MANY);
    }

    /// Before a look at the mailbox, if many letters came the last time: lets it alone for a little, so that some gather. (With each look the loop
    /// takes the list's cache line from the thread that fills it. Where the two share no cache, a wake takes 37 ns and not 51.)
    pub(crate) fn let_gather(&self) {
        if self.came_many.get() {
            (0..PAUSES).for_each(|_| hint::spin_loop());
        }
    }

    /// Waits a little, if that may help, until `has_come`. Says whether it has.
    pub(crate) fn wait(&self, mut has_come: impl FnMut() -> bool) -> bool {
        if !self.was_short.get() {
            return false;
        }
        if let Some(left) = self.left_out.get().checked_sub(1) {
            self.left_out.set(left);
            return false;
        }
        let come = (0..LOOKS).any(|_| {
            (0..PAUSES).for_each(|_| hint::spin_loop());
            has_come()
        });
        self.in_vain.set(if come { 0 } else { self.in_vain.get().saturating_add(1) });
        self.left_out.set((1 << self.in_vain.get().saturating_sub(PARDONED).min(MOST_DOUBT)) - 1);
        come
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has slept for a short time, and has a chance to wait. Says whether it took it.
    fn waits(patience: &Patience, comes: bool) -> bool {
        let mut has_looked = false;
        patience.note_sleep(Duration::ZERO);
        let come = patience.wait(|| {
            has_looked = true;
            comes
        });
        assert_eq!(come, has_looked && comes);
        has_looked
    }

    #[test]
    fn it_waits_only_after_a_short_sleep() {
        let patience = Patience::default();
        patience.note_sleep(Duration::from_millis(1));
        assert!(!patience.wait(|| panic!("nobody waits")));
        assert!(waits(&patience, true));
    }

    #[test]
    fn where_it_never_helps_it_is_tried_ever_more_seldom() {
        let patience = Patience::default();
        let tries: Vec<_> = (0..150).filter(|_| waits(&patience, false)).collect();
        assert_eq!(tries, [0, 1, 2, 3, 5, 9, 17, 33, 65, 97, 129]);
    }

    #[test]
    fn where_it_helps_again_it_is_done_each_time() {
        let patience = Patience::default();
        (0..1000).for_each(|_| {
            waits(&patience, false);
        });
        assert!((0..32).any(|_| waits(&patience, true)));
        assert!((0..100).all(|_| waits(&patience, true)));
    }
}
