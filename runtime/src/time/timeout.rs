//! A future with a deadline.
//!
//! Next: [`interval`](mod@super::interval).

use std::error::Error;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::{Sleep, sleep};

/// Waits for a future, but no longer than `duration`, counted from now.
///
/// The future is polled first, so one that is ready is never too late. When time is up the future
/// is not dropped at once but with the `Timeout`, which `.await` does right away. Until it has to
/// wait once, it has no timer.
///
/// [`Duration::MAX`] is no limit.
///
/// # Errors
///
/// [`Elapsed`], if time is up first.
///
/// # Panics
///
/// When it has to wait and this thread runs no runtime.
///
/// ```
/// use gather_runtime::timeout;
/// use std::time::Duration;
///
/// gather_runtime::run(async {
///     assert_eq!(timeout(Duration::from_secs(5), async { 1 }).await, Ok(1));
///     let never = std::future::pending::<()>();
///     assert!(timeout(Duration::from_millis(1), never).await.is_err());
/// });
/// ```
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout { future: future.into_future(), sleep: sleep(duration) }
}

pin_project! {
    /// The future of [`timeout`]. Dropping it drops the future and the timer.
    #[must_use = "a timeout does nothing unless it is awaited"]
    #[derive(Debug)]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        #[pin]
        sleep: Sleep,
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        this.sleep.poll(cx).map(|()| Err(Elapsed(())))
    }
}

/// Time was up: see [`timeout`]. It converts to an [`io::Error`](std::io::Error) of the kind
/// `TimedOut`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("time is up")
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for std::io::Error {
    fn from(elapsed: Elapsed) -> Self {
        std::io::Error::new(std::io::ErrorKind::TimedOut, elapsed)
    }
}
