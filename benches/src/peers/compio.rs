//! compio, on io_uring.

use std::future::Future;
use std::time::Duration;

use futures::FutureExt as _;

use super::tasks;

/// `compio::runtime::spawn` inside `Runtime::block_on`.
pub(crate) struct Compio(compio::runtime::Runtime);

impl tasks::Runtime for Compio {
    type Task<T: 'static> = compio::runtime::JoinHandle<T>;

    fn start() -> Self {
        Self(compio::runtime::Runtime::new().expect("a runtime starts"))
    }

    fn block_on<T>(&self, root: impl Future<Output = T>) -> T {
        self.0.block_on(root)
    }

    fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Self::Task<T> {
        compio::runtime::spawn(future)
    }

    fn joined<T: 'static>(output: <Self::Task<T> as Future>::Output) -> T {
        match output {
            Ok(output) => output,
            Err(error) => panic!("it neither panics nor is cancelled: {error}"),
        }
    }
}

impl tasks::Clock for Compio {
    fn sleep(duration: Duration) -> impl Future<Output: 'static> + 'static {
        compio::runtime::time::sleep(duration)
    }

    fn timeout<T: 'static>(
        limit: Duration,
        future: impl Future<Output = T> + 'static,
    ) -> impl Future<Output = Option<T>> + 'static {
        compio::runtime::time::timeout(limit, future).map(Result::ok)
    }
}
