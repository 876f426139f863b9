//! What the tests of scopes share.

use std::any::Any;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

use gather::{Handle, yield_now};

use crate::children::{Census, poll_next_turn};

/// What most of the children give.
pub type Outcome<T = ()> = Result<T, &'static str>;
/// A future that can be polled by hand.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A child that never ends, and is counted.
pub async fn endless<T, E>(census: &Census) -> Result<T, E> {
    let _guard = census.guard();
    pending().await
}

/// Polls with a fresh budget.
///
/// # Panics
///
/// If it is ready.
pub async fn poll_pending(all: &mut (impl Future + Unpin)) {
    assert!(poll_next_turn(all).await.is_pending());
}

/// How many gathers and scopes have a row in the runtime.
pub fn groups_alive() -> usize {
    Handle::current().metrics().groups_alive()
}

/// Polls until it panics, and gives what the panic says.
///
/// # Panics
///
/// If it does not.
pub async fn caught<F: Future + Unpin>(all: &mut F) -> String {
    for _ in 0..10 {
        yield_now().await;
        let poll = poll_fn(|cx| {
            Poll::Ready(catch_unwind(AssertUnwindSafe(|| Pin::new(&mut *all).poll(cx).is_ready())))
        });
        match poll.await {
            Ok(false) => {}
            Ok(true) => panic!("the panic became a result"),
            Err(panic) => return said(&*panic),
        }
    }
    panic!("it did not panic")
}

/// What a panic says.
///
/// # Panics
///
/// If that is not text.
pub fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).expect("it is text")
}
