//! monoio, with each of its two drivers: io_uring, and epoll ("legacy").
//!
//! Its feature `sync`, with which other threads may wake its tasks, is on, as in a program that
//! needs it.

use std::cell::RefCell;
use std::future::Future;
use std::time::Duration;

use futures::FutureExt as _;
use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, Runtime, RuntimeBuilder};

use super::tasks;

/// `monoio::spawn` inside `Runtime::block_on`, on io_uring.
pub(crate) struct OnUring(RefCell<Runtime<TimeDriver<IoUringDriver>>>);

impl tasks::Runtime for OnUring {
    type Task<T: 'static> = monoio::task::JoinHandle<T>;

    fn start() -> Self {
        let builder = RuntimeBuilder::<IoUringDriver>::new().enable_timer();
        Self(RefCell::new(builder.build().expect("a runtime starts")))
    }

    fn block_on<T>(&self, root: impl Future<Output = T>) -> T {
        self.0.borrow_mut().block_on(root)
    }

    fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Self::Task<T> {
        monoio::spawn(future)
    }

    fn joined<T: 'static>(output: <Self::Task<T> as Future>::Output) -> T {
        output
    }
}

/// The same on epoll.
pub(crate) struct OnEpoll(RefCell<Runtime<TimeDriver<LegacyDriver>>>);

impl tasks::Runtime for OnEpoll {
    type Task<T: 'static> = monoio::task::JoinHandle<T>;

    fn start() -> Self {
        let builder = RuntimeBuilder::<LegacyDriver>::new().enable_timer();
        Self(RefCell::new(builder.build().expect("a runtime starts")))
    }

    fn block_on<T>(&self, root: impl Future<Output = T>) -> T {
        self.0.borrow_mut().block_on(root)
    }

    fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Self::Task<T> {
        monoio::spawn(future)
    }

    fn joined<T: 'static>(output: <Self::Task<T> as Future>::Output) -> T {
        output
    }
}

impl tasks::Clock for OnUring {
    fn sleep(duration: Duration) -> impl Future<Output: 'static> + 'static {
        monoio::time::sleep(duration)
    }

    fn timeout<T: 'static>(
        limit: Duration,
        future: impl Future<Output = T> + 'static,
    ) -> impl Future<Output = Option<T>> + 'static {
        monoio::time::timeout(limit, future).map(Result::ok)
    }
}

impl tasks::Clock for OnEpoll {
    fn sleep(duration: Duration) -> impl Future<Output: 'static> + 'static {
        monoio::time::sleep(duration)
    }

    fn timeout<T: 'static>(
        limit: Duration,
        future: impl Future<Output = T> + 'static,
    ) -> impl Future<Output = Option<T>> + 'static {
        monoio::time::timeout(limit, future).map(Result::ok)
    }
}
