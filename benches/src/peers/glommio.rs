//! glommio, on io_uring. It locks memory for its rings: where `ulimit -l` allows too little, it
//! does not start and has no figures.

use std::future::Future;
use std::time::Duration;

use futures::FutureExt as _;
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};

use super::tasks;

/// `glommio::spawn_local` inside `LocalExecutor::run`, on the core that the process is pinned to.
pub(crate) struct Glommio(LocalExecutor);

impl tasks::Runtime for Glommio {
    type Task<T: 'static> = glommio::Task<T>;

    fn start() -> Self {
        Self(LocalExecutorBuilder::new(Placement::Unbound).make().expect("a runtime starts"))
    }

    fn block_on<T>(&self, root: impl Future<Output = T>) -> T {
        self.0.run(root)
    }

    fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Self::Task<T> {
        glommio::spawn_local(future)
    }

    fn joined<T: 'static>(output: <Self::Task<T> as Future>::Output) -> T {
        output
    }
}

impl tasks::Clock for Glommio {
    fn sleep(duration: Duration) -> impl Future<Output: 'static> + 'static {
        glommio::timer::sleep(duration)
    }

    fn timeout<T: 'static>(
        limit: Duration,
        future: impl Future<Output = T> + 'static,
    ) -> impl Future<Output = Option<T>> + 'static {
        let future = future.map(Ok::<_, glommio::GlommioError<()>>);
        glommio::timer::timeout(limit, future).map(Result::ok)
    }
}
