//! Children for gathers, which a test finishes, wakes and watches.
//!
//! [`child`] gives a future and the [`Control`] of it; [`Anchored`] notes whether a future was
//! moved; a [`Census`] counts what is alive, and a [`Log`] keeps what happened in order. All may
//! go to other threads, so that tests can take a gather there. [`poll_next_turn`] polls a gather
//! by hand.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use gather::yield_now;

/// Polls a future once, with the waker of whoever awaits this: in the next turn of the loop, so
/// that it has the whole budget of a poll for itself.
pub async fn poll_next_turn<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    yield_now().await;
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

/// A waker of no runtime, and the count of its wakes.
pub fn counting_waker() -> (Arc<WakeCount>, Waker) {
    let count = Arc::new(WakeCount(AtomicUsize::new(0)));
    let waker = Waker::from(count.clone());
    (count, waker)
}

/// How often a [`counting_waker`] was used.
#[derive(Debug)]
pub struct WakeCount(AtomicUsize);

impl WakeCount {
    /// How often.
    pub fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for WakeCount {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// What happened, in order. Clones are the same log.
#[derive(Debug)]
pub struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Log<T> {
    fn clone(&self) -> Log<T> {
        Log(self.0.clone())
    }
}

impl<T> Default for Log<T> {
    fn default() -> Log<T> {
        Log(Arc::default())
    }
}

impl<T> Log<T> {
    /// An empty log.
    pub fn new() -> Log<T> {
        Log::default()
    }

    /// Adds an entry.
    pub fn note(&self, entry: T) {
        lock(&self.0).push(entry);
    }

    /// A value that adds the entry when it is dropped.
    pub fn note_on_drop(&self, entry: T) -> NoteOnDrop<T> {
        NoteOnDrop { entry: Some(entry), log: self.clone() }
    }

    /// Takes the entries out, oldest first.
    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut *lock(&self.0))
    }
}

/// See [`Log::note_on_drop`].
#[derive(Debug)]
pub struct NoteOnDrop<T> {
    entry: Option<T>,
    log: Log<T>,
}

impl<T> Drop for NoteOnDrop<T> {
    fn drop(&mut self) {
        self.entry.take().into_iter().for_each(|entry| self.log.note(entry));
    }
}

/// Counts values that were made and dropped. Clones are the same census.
#[derive(Clone, Debug, Default)]
pub struct Census(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    made: AtomicUsize,
    dropped: AtomicUsize,
}

impl Census {
    /// One that has seen nothing.
    pub fn new() -> Census {
        Census::default()
    }

    /// A value to be put into what is to be counted.
    pub fn guard(&self) -> Counted {
        self.0.made.fetch_add(1, Ordering::SeqCst);
        Counted(self.clone())
    }

    /// How many were made.
    pub fn made(&self) -> usize {
        self.0.made.load(Ordering::SeqCst)
    }

    /// How many were dropped. More than were made, if one was dropped twice.
    pub fn dropped(&self) -> usize {
        self.0.dropped.load(Ordering::SeqCst)
    }

    /// How many there are.
    pub fn alive(&self) -> usize {
        self.made() - self.dropped()
    }
}

/// See [`Census::guard`].
#[derive(Debug)]
pub struct Counted(Census);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future, and what decides when it is ready.
pub fn child<T>() -> (Control<T>, Child<T>) {
    let state = State { output: None, waker: None, polls: 0, is_dropped: false };
    let state = Arc::new(Mutex::new(state));
    (Control(state.clone()), Child { state, is_finished: false })
}

/// As many of them as `count`.
pub fn children<T>(count: usize) -> (Vec<Control<T>>, Vec<Child<T>>) {
    (0..count).map(|_| child()).unzip()
}

/// What a child and its control share.
struct State<T> {
    /// What the child gives at its next poll.
    output: Option<T>,
    /// What it was last polled with.
    waker: Option<Waker>,
    polls: usize,
    is_dropped: bool,
}

/// Decides when its [`Child`] is ready, and knows how it fares.
pub struct Control<T>(Arc<Mutex<State<T>>>);

impl<T> Control<T> {
    /// Lets the child be ready with this output, and wakes it.
    pub fn finish(&self, output: T) {
        self.prepare(output);
        self.wake();
    }

    /// Lets the child be ready with this output when it is polled, without waking it.
    pub fn prepare(&self, output: T) {
        lock(&self.0).output = Some(output);
    }

    /// Wakes the child, if it was polled.
    pub fn wake(&self) {
        // It wakes when nothing is locked, because a wake may run foreign code.
        let waker = lock(&self.0).waker.clone();
        waker.iter().for_each(Waker::wake_by_ref);
    }

    /// The waker that the child was last polled with.
    ///
    /// # Panics
    ///
    /// If it was not polled.
    pub fn waker(&self) -> Waker {
        lock(&self.0).waker.clone().expect("the child was not polled")
    }

    /// How often the child was polled.
    pub fn polls(&self) -> usize {
        lock(&self.0).polls
    }

    /// Whether the child was dropped.
    pub fn is_dropped(&self) -> bool {
        lock(&self.0).is_dropped
    }
}

/// A future that is ready when its [`Control`] says so. It panics if it is polled after that.
pub struct Child<T> {
    state: Arc<Mutex<State<T>>>,
    is_finished: bool,
}

impl<T> Future for Child<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        assert!(!self.is_finished, "a child was polled after it was ready");
        let output = {
            let mut state = lock(&self.state);
            state.polls += 1;
            state.waker = Some(cx.waker().clone());
            state.output.take()
        };
        self.is_finished = output.is_some();
        output.map_or(Poll::Pending, Poll::Ready)
    }
}

impl<T> Drop for Child<T> {
    fn drop(&mut self) {
        lock(&self.state).is_dropped = true;
    }
}

/// A future that must not be moved once it was polled, and notes in a log whether it was: at every
/// poll and when it is dropped it compares its address with that of its first poll.
pub struct Anchored<F> {
    future: RefCell<F>,
    address: Cell<Option<usize>>,
    moves: Log<String>,
    _pinned: PhantomPinned,
}

impl<F> Anchored<F> {
    /// Not polled yet, so it may still be moved. Moves from its first poll on are noted in
    /// `moves`.
    pub fn new(future: F, moves: &Log<String>) -> Anchored<F> {
        Anchored {
            future: RefCell::new(future),
            address: Cell::new(None),
            moves: moves.clone(),
            _pinned: PhantomPinned,
        }
    }

    fn look(&self, moment: &str) {
        let address = std::ptr::from_ref(self).addr();
        match self.address.get() {
            Some(known) if known != address => {
                self.moves.note(format!("moved from {known:#x} to {address:#x}, seen when {moment}"));
            }
            _ => {}
        }
        if address % align_of::<Self>() != 0 {
            self.moves.note(format!("{address:#x} is not aligned to {}", align_of::<Self>()));
        }
    }
}

impl<F: Future + Unpin> Future for Anchored<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.into_ref().get_ref();
        this.look("polled");
        this.address.set(Some(std::ptr::from_ref(this).addr()));
        Pin::new(&mut *this.future.borrow_mut()).poll(cx)
    }
}

impl<F> Drop for Anchored<F> {
    fn drop(&mut self) {
        self.look("dropped");
    }
}

/// Locks, also after a panic elsewhere: tests panic on purpose.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
