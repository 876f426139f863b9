//! Ticks at a steady pace.
//!
//! Next: [`yield_now`](mod@super::yield_now).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::{Sleep, now, sleep_until};

/// Ticks every `period`, the first time at once.
///
/// The ticks are at the start plus whole periods, so they do not drift. Ticks that were missed
/// because nobody waited are skipped, not made up for in a burst. With [`Duration::MAX`] there is
/// the first tick and no other.
///
/// # Panics
///
/// If the period is zero.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// gather_runtime::run(async {
///     let mut interval = gather_runtime::interval(Duration::from_millis(2));
///     let first = interval.tick().await;
///     let second = interval.tick().await;
///     assert_eq!(second - first, Duration::from_millis(2));
/// });
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    assert!(!period.is_zero(), "gather::interval: the period must not be zero");
    let start = now();
    Interval { sleep: Some((sleep_until(start), start)), period }
}

/// See [`interval`]. Dropping it takes its timer away.
#[derive(Debug)]
pub struct Interval {
    /// The next tick; `None` if there is none, because no `Instant` can hold it.
    sleep: Option<(Sleep, Instant)>,
    period: Duration,
}

impl Interval {
    /// Waits for the next tick, and gives the time for which it was due. Dropping the future loses
    /// no tick.
    pub fn tick(&mut self) -> impl Future<Output = Instant> + '_ {
        std::future::poll_fn(|cx| self.poll_tick(cx))
    }

    /// Polls for the next tick, as [`tick`](Interval::tick) does.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        let Some((sleep, due)) = &mut self.sleep else { return Poll::Pending };
        if Pin::new(sleep).poll(cx).is_pending() {
            return Poll::Pending;
        }
        let due = *due;
        self.sleep = self.after(due).map(|next| (sleep_until(next), next));
        Poll::Ready(due)
    }

    /// The first tick after `due` that is still to come.
    fn after(&self, due: Instant) -> Option<Instant> {
        let late = now().saturating_duration_since(due).as_nanos();
        let period = self.period.as_nanos();
        let ahead = late - late % period + period;
        let seconds = u64::try_from(ahead / 1_000_000_000).ok()?;
        due.checked_add(Duration::new(seconds, (ahead % 1_000_000_000) as u32))
    }
}
