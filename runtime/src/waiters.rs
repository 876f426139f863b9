//! The calls that wait for one direction of a socket.
//!
//! Next: [`source`](crate::source), the socket.

use std::collections::BTreeMap;
use std::mem;
use std::task::Waker;

/// The calls that wait for one direction.
#[derive(Default)]
pub(crate) struct Waiters {
    /// Mostly it is the only one, and needs no memory of its own.
    first: Option<Waiter>,
    others: BTreeMap<u64, Waker>,
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
    /// Returns the waker with the same key, if there was one.
    pub(crate) fn add(&mut self, waiter: Waiter) -> Option<Waker> {
        match &mut self.first {
            Some(first) if first.key != waiter.key => self.others.insert(waiter.key, waiter.waker),
            first => first.replace(waiter).map(|before| before.waker),
        }
    }

    pub(crate) fn remove(&mut self, key: u64) -> Option<Waker> {
        if self.first.as_ref().is_some_and(|first| first.key == key) {
            let next = self.others.pop_first().map(|(key, waker)| Waiter { key, waker });
            return mem::replace(&mut self.first, next).map(|before| before.waker);
        }
        self.others.remove(&key)
    }

    /// Takes all of them, for the direction with this number.
    pub(crate) fn wake(&mut self, side: usize, woken: &mut Woken) {
        let first = self.first.take();
        if self.others.is_empty() {
            woken.single[side] = first.map(|waiter| waiter.waker);
            return;
        }
        let mut all = mem::take(&mut self.others);
        all.extend(first.map(|first| (first.key, first.waker)));
        woken.several.extend(all.into_values()); // the call that has waited longest comes first
    }
}
