//! The calls that wait for one direction of a socket.
//!
//! Next: [`source`](crate::source), the socket.

use std::mem;
use std::task::Waker;

/// The calls that wait for one direction.
#[derive(Default)]
pub(crate) struct Waiters {
    /// Mostly it is the only one, and needs no memory of its own.
    first: Option<Waiter>,
    others: Vec<Waiter>,
}

pub(crate) struct Waiter {
    /// See [`readiness`](crate::readiness): one for each call, and one for all poll functions.
    pub(crate) key: u64,
    pub(crate) waker: Waker,
}

/// The wakers of calls that waited, to be woken when nothing is locked or borrowed.
#[derive(Default)]
pub(crate) struct Woken {
    /// Those of directions for which only one call waited.
    single: [Option<Waker>; 2],
    /// All others.
    several: Vec<Waker>,
}

impl Woken {
    #[inline]
    pub(crate) fn wake_each(self, mut wake: impl FnMut(Waker)) {
        self.single.into_iter().flatten().for_each(&mut wake);
        self.several.into_iter().for_each(wake);
    }
}

impl Waiters {
    /// Returns the waiter with the same key, if there was one.
    pub(crate) fn add(&mut self, waiter: Waiter) -> Option<Waiter> {
        match &mut self.first {
            Some(first) if first.key != waiter.key => {
                match self.others.iter_mut().find(|other| other.key == waiter.key) {
                    Some(other) => Some(mem::replace(other, waiter)),
                    None => {
                        self.others.push(waiter);
                        None
                    }
                }
            }
            first => first.replace(waiter),
        }
    }

    pub(crate) fn remove(&mut self, key: u64) -> Option<Waiter> {
        if self.first.as_ref().is_some_and(|first| first.key == key) {
            let next = self.others.pop();
            return mem::replace(&mut self.first, next);
        }
        let index = self.others.iter().position(|other| other.key == key)?;
        Some(self.others.swap_remove(index))
    }

    /// Takes all of them, for the direction with this number.
    pub(crate) fn wake(&mut self, side: usize, woken: &mut Woken) {
        if self.others.is_empty() {
            woken.single[side] = self.first.take().map(|waiter| waiter.waker);
            return;
        }
        let mut all = mem::take(&mut self.others);
        all.extend(self.first.take());
        all.sort_unstable_by_key(|waiter| waiter.key); // the call that has waited longest comes first
        woken.several.extend(all.into_iter().map(|waiter| waiter.waker));
    }
}
