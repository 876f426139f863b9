//! Letting others have their turn.
//!
//! Next: [`reactor`](crate::reactor), where sockets wait.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::{local, waker};

/// Lets every other task that is ready have its turn, once. For a long computation between awaits.
///
/// It is woken at the end of the loop's turn, not at once: so also a child of a gather that yields
/// lets the tasks outside the gather have their turn, though the gather could poll it again right
/// away.
///
/// ```
/// gather_runtime::run(async {
///     for part in 0..3 {
///         // .. compute a part ..
///         gather_runtime::yield_now().await;
///     }
/// });
/// ```
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// The future of [`yield_now`]. It works on any runtime (where it wakes itself at once).
#[derive(Debug)]
#[must_use = "it does nothing unless it is awaited"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.yielded, true) {
            return Poll::Ready(());
        }
        let waker = waker::copy(cx.waker());
        if let Some(waker) = local::with(|local| local.defer(waker)) {
            waker.wake();
        }
        Poll::Pending
    }
}
