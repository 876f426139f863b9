//! A look inside: how often a future was polled, and with which waker.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use gather::{Handle, spawn_blocking, yield_now};

/// Counts the polls of its futures and keeps the last waker.
#[derive(Clone, Debug, Default)]
pub struct Probe(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    polls: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl Probe {
    /// A probe that has seen nothing.
    pub fn new() -> Probe {
        Probe::default()
    }

    /// Takes note of a poll.
    pub fn note(&self, cx: &mut Context<'_>) {
        self.0.polls.fetch_add(1, Ordering::SeqCst);
        let before = self.0.waker.lock().unwrap().replace(cx.waker().clone());
        drop(before);
    }

    /// How often it was polled.
    pub fn polls(&self) -> usize {
        self.0.polls.load(Ordering::SeqCst)
    }

    /// The waker of the last poll.
    ///
    /// # Panics
    ///
    /// If there was none.
    #[track_caller]
    pub fn waker(&self) -> Waker {
        self.0.waker.lock().unwrap().clone().expect("it was polled")
    }

    /// Takes note of the polls of that future.
    pub fn watch<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        let probe = self.clone();
        let mut future = Box::pin(future);
        poll_fn(move |cx| {
            probe.note(cx);
            future.as_mut().poll(cx)
        })
    }

    /// A future that is never ready.
    pub fn never(&self) -> impl Future<Output = ()> + Send + use<> {
        self.ready_at(usize::MAX)
    }

    /// A future that is ready at this poll, counted from 1. It does not wake itself.
    pub fn ready_at(&self, poll: usize) -> impl Future<Output = ()> + Send + use<> {
        let probe = self.clone();
        poll_fn(move |cx| {
            probe.note(cx);
            if probe.polls() >= poll { Poll::Ready(()) } else { Poll::Pending }
        })
    }
}

/// Polls a future once.
pub fn poll_once<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Lets every task that is ready have some turns.
pub async fn some_turns() {
    for _ in 0..4 {
        yield_now().await;
    }
}

/// Returns when the loop has done everything that other threads have asked it to do until now, and
/// the tasks that they woke were polled.
pub async fn letters_are_read() {
    // It goes through the mailbox, which keeps the order.
    Handle::current().spawn(|| async {}).await.expect("there is room for a task");
    some_turns().await;
}

/// How many sockets the runtime of this thread has.
pub fn sockets_registered() -> usize {
    Handle::current().metrics().sockets_registered()
}

/// Runs `f` on another thread, and returns when the loop has done everything that `f` asked it to
/// do.
pub async fn elsewhere<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let output = spawn_blocking(f).await.expect("it does not panic");
    letters_are_read().await;
    output
}
