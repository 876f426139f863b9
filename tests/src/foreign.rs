//! Wakers of other libraries, with manners of any kind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;

use cooked_waker::{IntoWaker, Wake, WakeRef};

/// What is done to a waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It is cloned.
    Clone,
    /// It is woken, by reference or by value. By value, the drop follows.
    Wake,
    /// It is dropped.
    Drop,
}

/// A waker that calls `behave` whenever something is done to it or to its clones. `behave` may
/// panic.
pub fn foreign(behave: impl Fn(Done) + Send + Sync + 'static) -> Waker {
    Box::new(Foreign { behave: Arc::new(behave) }).into_waker()
}

/// A waker that panics the first time that this is done to it, or to a clone of it, after `armed`
/// was set.
pub fn panicking(when: Done, armed: &Arc<AtomicBool>) -> Waker {
    let armed = armed.clone();
    foreign(move |done| {
        if done == when && armed.swap(false, Ordering::SeqCst) {
            panic!("a foreign waker panics: {done:?}");
        }
    })
}

/// A waker that counts its wakes.
pub fn counter() -> (Waker, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let waker = foreign(move |done| {
        counted.fetch_add(usize::from(done == Done::Wake), Ordering::SeqCst);
    });
    (waker, count)
}

struct Foreign {
    behave: Arc<dyn Fn(Done) + Send + Sync>,
}

impl Clone for Foreign {
    fn clone(&self) -> Self {
        (self.behave)(Done::Clone);
        Foreign { behave: self.behave.clone() }
    }
}

impl WakeRef for Foreign {
    fn wake_by_ref(&self) {
        (self.behave)(Done::Wake);
    }
}

impl Wake for Foreign {}

impl Drop for Foreign {
    fn drop(&mut self) {
        (self.behave)(Done::Drop);
    }
}
