//! smol: `LocalExecutor` inside `smol::block_on`, which drives its reactor.

use std::future::Future;
use std::time::Duration;

use smol::LocalExecutor;

use super::tasks;

/// `LocalExecutor::spawn`.
pub(crate) struct OnLocalExecutor(LocalExecutor<'static>);

impl tasks::Runtime for OnLocalExecutor {
    type Task<T: 'static> = smol::Task<T>;

    fn start() -> Self {
        Self(LocalExecutor::new())
    }

    fn block_on<T>(&self, root: impl Future<Output = T>) -> T {
        smol::block_on(self.0.run(root))
    }

    fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Self::Task<T> {
        self.0.spawn(future)
    }

    fn joined<T: 'static>(output: <Self::Task<T> as Future>::Output) -> T {
        output
    }
}

impl tasks::Clock for OnLocalExecutor {
    fn sleep(duration: Duration) -> impl Future<Output: 'static> + 'static {
        smol::Timer::after(duration)
    }

    fn timeout<T: 'static>(
        limit: Duration,
        future: impl Future<Output = T> + 'static,
    ) -> impl Future<Output = Option<T>> + 'static {
        // As smol's documentation has it: it has no call of its own.
        smol::future::or(async { Some(future.await) }, async move {
            smol::Timer::after(limit).await;
            None
        })
    }
}
