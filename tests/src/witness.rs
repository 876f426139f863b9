//! What was dropped, how often, and on which thread.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};

/// Keeps the record of the drops of its [`Guard`]s.
#[derive(Clone, Debug, Default)]
pub struct Witness(Arc<Mutex<Vec<ThreadId>>>);

impl Witness {
    /// A witness that has seen nothing.
    pub fn new() -> Witness {
        Witness::default()
    }

    /// Something whose drop is witnessed.
    pub fn guard(&self) -> Guard {
        Guard(self.clone())
    }

    /// How many guards were dropped.
    pub fn drops(&self) -> usize {
        self.threads().len()
    }

    /// On which threads, in the order of the drops.
    pub fn threads(&self) -> Vec<ThreadId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// See [`Witness::guard`].
#[derive(Debug)]
pub struct Guard(Witness);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).push(thread::current().id());
    }
}

/// Runs a closure when it is dropped.
#[derive(Debug)]
pub struct OnDrop<F: FnOnce()>(Option<F>);

/// See [`OnDrop`].
#[must_use = "it runs the closure when it is dropped"]
pub fn on_drop<F: FnOnce()>(f: F) -> OnDrop<F> {
    OnDrop(Some(f))
}

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}
