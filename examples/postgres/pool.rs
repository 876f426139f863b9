//! The pool: deadpool's, which needs no runtime, with connections on ours.
//!
//! It opens a connection when none is idle and fewer than the maximum are open, and makes the next one who asks wait
//! otherwise. A connection that has ended is dropped when it is next taken, and a new one opened: so it recovers by itself.

use std::sync::atomic::{AtomicUsize, Ordering};

use deadpool::managed::{self, Manager, Metrics, Object, PoolError, RecycleError, RecycleResult};
use tokio_postgres::{Client, Config};

use super::{Failure, connect};

pub(crate) type Pool = managed::Pool<Connections>;

/// Opens connections for the pool.
pub(crate) struct Connections {
    config: Config,
    /// How many so far. (The pool asks for `Sync`, so it is no `Cell`.)
    opened: AtomicUsize,
}

impl Connections {
    /// A pool of at most so many connections. None is opened yet.
    pub(crate) fn pool(config: Config, connections: usize) -> Pool {
        let pool = Pool::builder(Connections { config, opened: AtomicUsize::new(0) });
        pool.max_size(connections).build().expect("only timeouts would need a runtime")
    }

    /// How many connections were opened so far.
    pub(crate) fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }
}

impl Manager for Connections {
    type Type = Client;
    type Error = Failure;

    async fn create(&self) -> Result<Client, Failure> {
        let client = connect(&self.config, drop).await?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(client)
    }

    async fn recycle(&self, client: &mut Client, _: &Metrics) -> RecycleResult<Failure> {
        if client.is_closed() { Err(RecycleError::message("the connection has ended")) } else { Ok(()) }
    }
}

/// Takes a connection, which goes back when it is dropped; waits if all are taken.
pub(crate) async fn take(pool: &Pool) -> Result<Object<Connections>, Failure> {
    match pool.get().await {
        Ok(client) => Ok(client),
        Err(PoolError::Backend(failure)) => Err(failure),
        Err(error) => unreachable!("the pool is never closed, and has neither timeouts nor hooks: {error}"),
    }
}
