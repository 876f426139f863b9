//! Destructors that panic: none keeps another from running.
//!
//! The first panic is kept, and goes on when all have run; unless one is going on already, because
//! two at once would abort. The payloads of the others are leaked: to drop a payload is to run a
//! user's destructor again, which could panic again. (The panic hook has reported them.)
//!
//! Next: [`policy`](crate::policy), the modes.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use gather_runtime::group::without_budget;

/// Takes and drops every value, whichever of them panics.
pub(crate) fn drop_all(values: impl IntoIterator) {
    let mut values = values.into_iter();
    let mut first = None;
    while let Err(panic) = catch(|| values.by_ref().for_each(drop)) {
        match first {
            None => first = Some(panic),
            Some(_) => mem::forget(panic),
        }
    }
    match first {
        Some(panic) if !std::thread::panicking() => resume_unwind(panic),
        panic => mem::forget(panic),
    }
}

/// Runs `f`, which drops a child of type `F`, without a budget. (Asking first whether that runs
/// anything saves a tenth of the instructions of a child that is ready.)
pub(crate) fn drop_child<F>(f: impl FnOnce()) {
    if mem::needs_drop::<F>() { without_budget(f) } else { f() }
}

/// Runs a destructor where there is a result, or another panic, that goes first: a panic in it
/// ends here.
pub(crate) fn forget_panic(f: impl FnOnce()) {
    if let Err(panic) = catch(f) {
        mem::forget(panic);
    }
}

fn catch(f: impl FnOnce()) -> Result<(), Box<dyn Any + Send>> {
    catch_unwind(AssertUnwindSafe(|| without_budget(f)))
}

/// Values that are dropped by [`drop_all`]: of those in a `Vec`, the second that panics would
/// abort, and so would one value that is dropped while a panic goes on.
#[derive(Debug)]
pub(crate) struct DropAll<C: Default + IntoIterator>(pub(crate) C);

impl<C: Default + IntoIterator> DropAll<C> {
    pub(crate) fn take(&mut self) -> C {
        mem::take(&mut self.0)
    }
}

impl<C: Default + IntoIterator> Drop for DropAll<C> {
    fn drop(&mut self) {
        if mem::needs_drop::<C>() {
            drop_all(self.take());
        }
    }
}

/// Runs `f`, a destructor, and returns the value. If `f` panics, the value is dropped while that
/// goes on.
pub(crate) fn holding<T>(value: T, f: impl FnOnce()) -> T {
    let mut held = DropAll(Some(value));
    f();
    held.take().expect("it was just put there")
}

/// An iterator whose rest is dropped like this.
impl<I: Iterator + Default> Iterator for DropAll<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}
