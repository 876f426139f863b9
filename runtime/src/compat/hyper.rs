//! What hyper asks of a runtime: [`Executor`] and [`Timer`] here, and `rt::{Read, Write}` on the
//! streams and on references to them.
//!
//! ```
//! use gather_runtime::hyper::{Executor, Timer};
//!
//! fn fits(_: impl hyper::rt::Executor<std::future::Ready<()>>, _: impl hyper::rt::Timer) {}
//! fits(Executor, Timer);
//! ```
//!
//! This is the last file of the reading order.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use hyper::rt::{Read, ReadBufCursor, Write};

use super::polled::read_and_write;
use crate::net::TcpStream;
#[cfg(unix)]
use crate::net::UnixStream;
use crate::{Sleep, now, sleep, sleep_until, spawn};

read_and_write!("hyper": Read, ReadBufCursor<'_>, Write, for TcpStream, &TcpStream);
#[cfg(unix)]
read_and_write!("hyper": Read, ReadBufCursor<'_>, Write, for UnixStream, &UnixStream);

/// Spawns what hyper wants to run beside a request or a connection, on the runtime of the thread
/// where it asks. It has no state, so it is `Send + Sync`, and what it spawns need not be.
///
/// Executing panics if that thread runs no runtime, or one that has as many tasks as it may.
#[derive(Clone, Copy, Debug, Default)]
pub struct Executor;

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        spawn(future).detach();
    }
}

/// Gives hyper the runtime's timers, so that its timeouts work.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timer;

impl hyper::rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(sleep(duration))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(sleep_until(deadline))
    }

    fn now(&self) -> Instant {
        now()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn hyper::rt::Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Sleep>() {
            Some(mut ours) => ours.reset(deadline),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

#[cfg(feature = "hyper")]
impl hyper::rt::Sleep for Sleep {}
