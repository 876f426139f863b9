//! The waker: an [`Id`] in the data word of a `std::task::Waker`. The only unsafe code of this
//! crate.
//!
//! Such a waker owns nothing. Clone copies a word and drop does nothing: no allocation, no
//! reference count, no atomics, nothing to dangle and nothing to leak. It may be kept for ever and
//! used on any thread; what it wakes is looked up by number when it is used
//! ([`wake`](crate::wake)), and if that is gone, nothing happens.
//!
//! An id with large numbers does not fit a word of 32 bits. There, its waker is an `Arc` of the id
//! (`std::task::Wake`, safe code). [`id_of`] works for both kinds, so no other file knows of them.
//!
//! Next: [`local`](crate::local), the tables in which wakes are looked up.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ptr;
use std::sync::{Arc, LazyLock};
use std::task::{Context, RawWaker, RawWakerVTable, Wake, Waker};

use crate::id::{FITS_A_WORD, Id};
use crate::wake;

/// A `static`, so that its address tells our wakers from all others.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone_raw, wake_raw, wake_raw, drop_raw);

/// A waker for the task or child that `id` names.
#[inline]
pub(crate) fn new(id: Id) -> Waker {
    match id.word() {
        Some(word) => from_word(word),
        None => boxed(id),
    }
}

/// The waker with this [word](Id::word).
#[inline]
pub(crate) fn from_word(word: usize) -> Waker {
    // SAFETY: the contract of `RawWaker` and its table asks for thread safety and for resources to
    // be managed by clone and drop.
    // 1. The data pointer is a number without provenance. No function of the table dereferences
    //    it: each reads the number back with `addr` and works on a copy.
    // 2. There is no resource: clone returns the same number, drop does nothing, so any order and
    //    any count of calls, from any thread, is sound; also after the task, the runtime or the
    //    thread has ended.
    // 3. `wake` and `wake_by_ref` need nothing of the waker but the number, so one function is
    //    right for both. Attacked by the tests below and by `tests/tests/wakers.rs`.
    unsafe { Waker::new(ptr::without_provenance(word), &VTABLE) }
}

/// The word in a waker, if the waker is one of ours and its id fits a word.
#[inline]
pub(crate) fn word_of(waker: &Waker) -> Option<usize> {
    ptr::eq(waker.vtable(), &VTABLE).then(|| waker.data().addr())
}

/// The id in a waker, if the waker is one of ours.
#[inline]
pub(crate) fn id_of(waker: &Waker) -> Option<Id> {
    match word_of(waker) {
        Some(word) => Some(Id::from_word(word)),
        None if FITS_A_WORD => None,
        None => boxed_id_of(waker),
    }
}

/// A clone. One of ours is copied without a call through its table.
#[inline]
pub(crate) fn copy(waker: &Waker) -> Waker {
    match word_of(waker) {
        Some(word) => from_word(word),
        None => waker.clone(),
    }
}

/// The id in a waker, or the waker, if it is not one of ours.
#[inline]
pub(crate) fn into_id(waker: Waker) -> Result<Id, Waker> {
    match id_of(&waker) {
        Some(id) => {
            forget(waker);
            Ok(id)
        }
        None => Err(waker),
    }
}

/// Drops a waker of ours. (If it owns nothing, its drop would do nothing, through a call.)
#[inline]
pub(crate) fn forget(waker: Waker) {
    if FITS_A_WORD {
        std::mem::forget(waker);
    }
}

/// Calls `f`, which polls the task or child that `id` names, with a context of it.
#[inline(always)]
pub(crate) fn lend<R>(id: Id, f: impl FnOnce(&mut Context<'_>) -> R) -> R {
    let waker = new(id);
    #[cfg(target_pointer_width = "64")]
    let waker = std::mem::ManuallyDrop::new(waker); // as in `forget`
    f(&mut Context::from_waker(&waker))
}

fn clone_raw(data: *const ()) -> RawWaker {
    RawWaker::new(data, &VTABLE)
}

fn wake_raw(data: *const ()) {
    wake::wake(Id::from_word(data.addr()));
}

fn drop_raw(_: *const ()) {}

/// An id that does not fit a word.
struct Boxed(Id);

thread_local! {
    /// While this is `Some`, a wake of a [`Boxed`] id wakes nobody and puts the id here.
    static ASKED: Cell<Option<Option<Id>>> = const { Cell::new(None) };
}

impl Wake for Boxed {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        match ASKED.get() {
            None => wake::wake(self.0),
            Some(_) => ASKED.set(Some(Some(self.0))),
        }
    }
}

/// (Not inlined: the address of its table tells these wakers from all others.)
#[inline(never)]
fn boxed(id: Id) -> Waker {
    Arc::new(Boxed(id)).into()
}

/// The id in a waker, if it is a [`Boxed`] one.
///
/// Safe code cannot look into the `Arc` of a waker. But waking it calls our code, which answers
/// with the id while [`ASKED`] says so. If these wakers were taken for foreign ones, a wake would
/// go up through nested groups by recursion, and a dump would show those groups at the root.
#[cold]
fn boxed_id_of(waker: &Waker) -> Option<Id> {
    static EXAMPLE: LazyLock<Waker> = LazyLock::new(|| boxed(Id::from_word(0)));
    if !ptr::eq(waker.vtable(), EXAMPLE.vtable()) {
        return None; // (also if the compiler makes two tables; then it counts as foreign)
    }
    ASKED.set(Some(None));
    waker.wake_by_ref();
    ASKED.take().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{MAIN, MAX_CHILDREN, Target};

    /// Of each kind, with small numbers and with large ones.
    fn ids() -> Vec<Id> {
        let mut ids = Vec::new();
        for runtime in [1, 31, 32, 1023] {
            for row in [0, 1, 8190, 8191, MAIN - 1, MAIN] {
                ids.push(Id::new(runtime, Target::Task { row, generation: 1 }));
            }
            for (group, child) in [(0, 0), (2047, 127), (2048, 127), (2047, 128), (5, MAX_CHILDREN)] {
                ids.push(Id::new(runtime, Target::Child { group, child, generation: 255 }));
            }
        }
        ids
    }

    #[test]
    fn every_id_survives_the_round_trip_through_a_waker_and_its_clones() {
        for id in ids() {
            let waker = new(id);
            let clone = waker.clone();
            drop(waker);
            let copy = copy(&clone);
            assert_eq!((id_of(&clone), id_of(&copy)), (Some(id), Some(id)));
            assert_eq!(into_id(clone).unwrap(), id);
            assert_eq!(lend(id, |cx| id_of(&cx.waker().clone())), Some(id));
        }
    }

    #[test]
    fn an_id_that_fits_no_word_survives_it_too() {
        for id in ids() {
            let waker = boxed(id);
            let clone = waker.clone();
            assert!(clone.will_wake(&waker) && !clone.will_wake(&boxed(id)));
            drop(waker);
            assert_eq!(boxed_id_of(&clone.clone()), Some(id));
            assert_eq!(word_of(&clone), None);
            assert_eq!(into_id(clone).ok(), if FITS_A_WORD { None } else { Some(id) });
        }
        // Not asked any more, it wakes, though nobody.
        let waker = boxed(Id::new(1023, Target::Task { row: 5, generation: 1 }));
        waker.wake_by_ref();
        waker.wake();
    }

    #[test]
    fn a_waker_of_another_runtime_is_not_taken_for_ours_and_not_woken_by_the_question() {
        struct Foreign;
        impl Wake for Foreign {
            fn wake(self: Arc<Self>) {
                panic!("it was woken");
            }
        }
        for waker in [Waker::noop().clone(), Arc::new(Foreign).into()] {
            assert_eq!((id_of(&waker), boxed_id_of(&waker)), (None, None));
        }
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
                let waker = from_word(word);
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
