//! One output, from one thread to a future on another: what a blocking task and a remote task wait for.
//!
//! Next: [`blocking`](crate::blocking), threads for what blocks.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::task::TaskError;

/// What both ends share.
struct Shared<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    output: Option<Result<T, TaskError>>,
    waker: Option<Waker>,
    /// Whether the receiver was dropped.
    unwanted: bool,
    /// Whether the receiver has the output.
    taken: bool,
}

/// Two ends that belong together.
pub(crate) fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let state = Mutex::new(State { output: None, waker: None, unwanted: false, taken: false });
    let shared = Arc::new(Shared { state });
    (Sender(Some(shared.clone())), Receiver(shared))
}

/// Gives the output. Dropped without giving one, it gives "cancelled".
pub(crate) struct Sender<T>(Option<Arc<Shared<T>>>);

impl<T> Sender<T> {
    pub(crate) fn send(self, output: Result<T, TaskError>) {
        if let Some(waker) = self.put(output) {
            waker.wake();
        }
    }

    /// Gives the output without waking anybody. Returns the waker that is to be woken.
    pub(crate) fn put(mut self, output: Result<T, TaskError>) -> Option<Waker> {
        self.deliver(output)
    }

    /// Whether nobody waits for the output any more.
    pub(crate) fn is_unwanted(&self) -> bool {
        self.0.as_ref().is_none_or(|shared| shared.state.lock().unwanted)
    }

    fn deliver(&mut self, output: Result<T, TaskError>) -> Option<Waker> {
        let shared = self.0.take()?;
        let (waker, _unwanted) = {
            let mut state = shared.state.lock();
            let unwanted = if state.unwanted { Some(output) } else { state.output.replace(output) };
            (state.waker.take(), unwanted)
        };
        waker
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if let Some(waker) = self.deliver(Err(TaskError::cancelled())) {
            waker.wake();
        }
    }
}

/// Waits for the output.
pub(crate) struct Receiver<T>(Arc<Shared<T>>);

impl<T> Receiver<T> {
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T, TaskError>> {
        let waker = cx.waker().clone(); // foreign code: not under the lock
        let _stale = {
            let mut state = self.0.state.lock();
            assert!(!state.taken, "a task was polled after it had given its output");
            if let Some(output) = state.output.take() {
                state.taken = true;
                return Poll::Ready(output);
            }
            state.waker.replace(waker)
        };
        Poll::Pending
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.0.state.lock().output.is_some()
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let _left = {
            let mut state = self.0.state.lock();
            state.unwanted = true;
            (state.output.take(), state.waker.take())
        };
    }
}
