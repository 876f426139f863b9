//! Running destructors so that a panic in one keeps no other from running.
//!
//! The first panic is kept, to go on when all is done. The payloads of the others are leaked: to drop a payload is
//! to run a user's destructor again, which could panic again. (The panic hook has reported them.)
//!
//! Next: [`progress`](crate::progress).

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use gather_runtime::group::without_budget;

/// A value that is held while another destructor runs. If that panics, this one is dropped during the unwinding, where
/// a second panic would abort: so it is caught.
pub(crate) struct Guarded<T>(Option<T>);

impl<T> Guarded<T> {
    #[inline]
    pub(crate) fn new(value: T) -> Guarded<T> {
        Guarded(Some(value))
    }

    #[inline]
    pub(crate) fn into_inner(mut self) -> Option<T> {
        self.0.take()
    }
}

impl<T> Drop for Guarded<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            let mut panics = FirstPanic::default();
            panics.catch(|| drop(value));
            panics.forget();
        }
    }
}

/// A value that may be dropped while a panic is under way: if its destructor panics then, that ends here.
pub(crate) struct Careful<T>(Option<T>);

impl<T> Careful<T> {
    pub(crate) fn new(value: T) -> Careful<T> {
        Careful(Some(value))
    }

    pub(crate) fn get(&mut self) -> &mut T {
        self.0.as_mut().expect("it is there until this is dropped")
    }
}

impl<T> Drop for Careful<T> {
    fn drop(&mut self) {
        let mut panics = FirstPanic::default();
        panics.catch(|| drop(self.0.take()));
        panics.resume();
    }
}

/// Values that are all dropped though destructors of some panic. (Of those in a `Vec`, the second that panics aborts.)
#[derive(Debug)]
pub(crate) struct CarefulVec<T>(pub(crate) Vec<T>);

impl<T> Drop for CarefulVec<T> {
    fn drop(&mut self) {
        let mut panics = FirstPanic::default();
        mem::take(&mut self.0).into_iter().for_each(|value| panics.catch(|| drop(value)));
        panics.resume();
    }
}

/// The first panic of some calls.
/// Runs `f`, which drops a child of type `F`, without a budget. (Asking first whether that runs anything saves 10 of the 93
/// instructions of a child that is ready.)
#[inline]
pub(crate) fn drop_child<F>(f: impl FnOnce()) {
    if mem::needs_drop::<F>() { without_budget(f) } else { f() }
}

#[derive(Default)]
pub(crate) struct FirstPanic(Option<Box<dyn Any + Send>>);

impl FirstPanic {
    /// Runs `f`; if it panics, and nothing did before, keeps the panic.
    #[inline]
    pub(crate) fn catch(&mut self, f: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| without_budget(f))) {
            match self.0 {
                None => self.0 = Some(panic),
                Some(_) => mem::forget(panic),
            }
        }
    }

    /// Forgets the panic: there is a result, or another panic, that goes first.
    pub(crate) fn forget(self) {
        mem::forget(self.0);
    }

    /// Lets the panic go on, unless one is going on already: two at once would abort.
    pub(crate) fn resume(self) {
        match self.0 {
            Some(panic) if !std::thread::panicking() => resume_unwind(panic),
            panic => mem::forget(panic),
        }
    }
}
