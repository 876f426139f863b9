//! The waker: an [`Id`] in the data word of a `std::task::Waker`. The only unsafe code of this crate.
//!
//! Such a waker owns nothing. Clone copies a word and drop does nothing: no allocation, no reference count, no
//! atomics, nothing to dangle and nothing to leak. It may be kept for ever and used on any thread; what it wakes
//! is looked up by number when it is used ([`wake`](crate::wake)), and if that is gone, nothing happens.
//!
//! Next: [`local`](crate::local), the tables in which wakes are looked up.

#![allow(unsafe_code)]

use std::ptr;
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::id::Id;
use crate::wake;

/// A `static`, so that its address tells our wakers from all others.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone_raw, wake_raw, wake_raw, drop_raw);

/// A waker for the task or child that `id` names.
#[inline]
pub(crate) fn new(id: Id) -> Waker {
    // SAFETY: the contract of `RawWaker` and its table asks for thread safety and for resources to be managed by
    // clone and drop.
    // 1. The data pointer is a number without provenance. No function of the table dereferences it: each reads
    //    the number back with `addr` and works on a copy.
    // 2. There is no resource: clone returns the same number, drop does nothing, so any order and any count of
    //    calls, from any thread, is sound; also after the task, the runtime or the thread has ended.
    // 3. `wake` and `wake_by_ref` need nothing of the waker but the number, so one function is right for both.
    // Attacked by the tests below and by `tests/tests/wakers.rs`.
    unsafe { Waker::new(ptr::without_provenance(id.word()), &VTABLE) }
}

/// The id in a waker, if the waker is one of ours.
#[inline]
pub(crate) fn id_of(waker: &Waker) -> Option<Id> {
    ptr::eq(waker.vtable(), &VTABLE).then(|| Id::from_word(waker.data().addr()))
}

/// A clone. One of ours is copied without a call through its table.
#[inline]
pub(crate) fn copy(waker: &Waker) -> Waker {
    match id_of(waker) {
        Some(id) => new(id),
        None => waker.clone(),
    }
}

/// The id in a waker, or the waker, if it is not one of ours.
#[inline]
pub(crate) fn into_id(waker: Waker) -> Result<Id, Waker> {
    match id_of(&waker) {
        Some(id) => {
            std::mem::forget(waker); // its drop would do nothing, through a call
            Ok(id)
        }
        None => Err(waker),
    }
}

fn clone_raw(data: *const ()) -> RawWaker {
    RawWaker::new(data, &VTABLE)
}

fn wake_raw(data: *const ()) {
    wake::wake(Id::from_word(data.addr()));
}

fn drop_raw(_: *const ()) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Target;

    #[test]
    fn every_word_survives_the_round_trip_through_a_waker_and_its_clones() {
        for word in [0, 1, usize::MAX, usize::MAX / 2, usize::MAX / 2 + 1, 0x5555_5555] {
            let waker = new(Id::from_word(word));
            let clone = waker.clone();
            drop(waker);
            assert_eq!(id_of(&clone), Some(Id::from_word(word)));
        }
    }

    #[test]
    fn a_waker_of_another_runtime_is_not_taken_for_ours() {
        assert_eq!(id_of(Waker::noop()), None);
    }

    #[test]
    fn wakers_for_the_same_child_will_wake_each_other_and_no_one_else() {
        let waker = |child| new(Id::new(1, Target::Child { group: 1, child, generation: 1 }));
        assert!(waker(1).will_wake(&waker(1).clone()));
        assert!(!waker(1).will_wake(&waker(2)));
    }

    #[test]
    fn a_waker_with_any_word_is_harmless_on_any_thread() {
        // Neither the runtimes nor the rows that these words name exist.
        let words = [0, 1, usize::MAX, usize::MAX / 3, usize::MAX << 8];
        let attack = move || {
            for word in words {
                let waker = new(Id::from_word(word));
                waker.wake_by_ref();
                let clone = waker.clone();
                drop(waker);
                clone.wake();
            }
        };
        attack();
        std::thread::spawn(attack).join().unwrap();
    }
}
