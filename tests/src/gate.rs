//! Something to wait for that is ready when a test says so, from any thread.

use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

/// A gate that is closed at first.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    is_open: bool,
    waiting: Vec<Waker>,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Gate {
        Gate::default()
    }

    /// Opens it for good, and wakes who waits.
    pub fn open(&self) {
        let waiting = {
            let mut state = self.0.lock().unwrap();
            state.is_open = true;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Waits until it is open.
    pub fn pass(&self) -> impl Future<Output = ()> + Send + use<> {
        let gate = self.clone();
        poll_fn(move |cx| {
            let waker = cx.waker().clone(); // it may panic: not under the lock
            let mut state = gate.0.lock().unwrap();
            if state.is_open {
                return Poll::Ready(());
            }
            state.waiting.push(waker);
            Poll::Pending
        })
    }
}
