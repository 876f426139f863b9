//! Time as users see it.
//!
//! A [`Sleep`] is a deadline and the row of a timer; the row exists from the first poll that has
//! to wait until the sleep is over or dropped. [`timeout`](timeout()) and [`interval`](interval())
//! are made of sleeps.
//!
//! Next: [`sleep`](mod@sleep).

mod interval;
mod sleep;
mod timeout;
mod yield_now;

pub use interval::{Interval, interval};
pub use sleep::{Sleep, now, sleep, sleep_until};
pub use timeout::{Elapsed, Timeout, timeout};
pub use yield_now::{YieldNow, yield_now};
