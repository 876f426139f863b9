//! One output, from one thread to a future on another: what a blocking task and a remote task wait
//! for.
//!
//! Next: [`blocking`](crate::blocking), threads for what blocks.

use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use parking_lot::Mutex;

use crate::budget;
use crate::task::TaskError;

/// What both ends share.
enum State<T> {
    /// There is no output yet. With the waker of the task that awaits it.
    Waiting(Option<Waker>),
    Done(Result<T, TaskError>),
    /// The receiver has the output, or was dropped.
    Over,
}

/// Two ends that belong together.
pub(crate) fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let state = Arc::new(Mutex::new(State::Waiting(None)));
    (Sender(state.clone()), Receiver(state))
}

/// Gives the output. Dropped without giving one, it gives "cancelled".
pub(crate) struct Sender<T>(Arc<Mutex<State<T>>>);

impl<T> Sender<T> {
    pub(crate) fn send(self, output: Result<T, TaskError>) {
        if let Some(waker) = self.put(output) {
            waker.wake();
        }
    }

    /// Gives the output without waking anybody. Returns the waker that is to be woken.
    ///
    /// An output that nobody wants is dropped at the end, when nothing is locked.
    pub(crate) fn put(&self, output: Result<T, TaskError>) -> Option<Waker> {
        let mut state = self.0.lock();
        let State::Waiting(waker) = &mut *state else { return None };
        let waker = waker.take();
        *state = State::Done(output);
        waker
    }

    /// Whether nobody waits for the output any more.
    pub(crate) fn is_unwanted(&self) -> bool {
        matches!(*self.0.lock(), State::Over)
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // (After an output this does nothing.)
        if let Some(waker) = self.put(Err(TaskError::cancelled())) {
            waker.wake();
        }
    }
}

/// Waits for the output.
pub(crate) struct Receiver<T>(Arc<Mutex<State<T>>>);

impl<T> Receiver<T> {
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T, TaskError>> {
        if self.is_ready() {
            ready!(budget::poll(cx));
        }
        // Foreign code clones and drops a waker: not under the lock.
        let waker = cx.waker().clone();
        let _stale;
        let mut state = self.0.lock();
        if let State::Waiting(place) = &mut *state {
            _stale = place.replace(waker);
            return Poll::Pending;
        }
        match std::mem::replace(&mut *state, State::Over) {
            State::Done(output) => {
                budget::spend();
                Poll::Ready(output)
            }
            _ => panic!("a task was polled after it had given its output"),
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(*self.0.lock(), State::Done(_))
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let _left = std::mem::replace(&mut *self.0.lock(), State::Over);
    }
}
