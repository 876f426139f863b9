//! The pool: deadpool's, which needs no runtime, with connections on ours.
//!
//! It opens a connection when none is idle and fewer than the maximum are open. Otherwise the next
//! user waits. A connection that has ended is dropped when it is next taken, and a new one opened:
//! so the pool recovers by itself. If the server refuses to open as many as the maximum, the pool
//! makes do with those that it has.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool::managed::{self, Manager, Metrics, Object, PoolError, RecycleError, RecycleResult};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::Config;
use tokio_postgres::error::SqlState;

use super::{Connection, Failure, connect};

pub(crate) struct Pool {
    connections: managed::Pool<Connections>,
    /// A permit for each connection that the server allows, as far as is known.
    room: Semaphore,
    /// How many the server has refused.
    refused: AtomicUsize,
}

/// Opens connections for the pool.
struct Connections {
    config: Config,
    /// For each answer.
    limit: Duration,
    /// How many so far. (deadpool asks for `Sync`, so it is no `Cell`.)
    opened: AtomicUsize,
}

/// A connection, until it is dropped, and its permit.
pub(crate) struct Taken<'a> {
    connection: Object<Connections>,
    _permit: SemaphorePermit<'a>,
}

impl Pool {
    /// A pool of at most `max` connections, none of which is open yet. `limit` is how long the
    /// server may take for an answer.
    pub(crate) fn new(config: Config, max: usize, limit: Duration) -> Pool {
        let connections = managed::Pool::builder(Connections { config, limit, opened: AtomicUsize::new(0) });
        let connections = connections.max_size(max).build().expect("only timeouts would need a runtime");
        Pool { connections, room: Semaphore::new(max), refused: AtomicUsize::new(0) }
    }

    /// Takes a connection, which goes back when it is dropped; waits if all are taken.
    pub(crate) async fn take(&self) -> Result<Taken<'_>, Failure> {
        loop {
            let permit = self.room.acquire().await.expect("it is never closed");
            match self.connections.get().await {
                Ok(connection) => return Ok(Taken { connection, _permit: permit }),
                // Others have connections: this one waits for one of them.
                Err(PoolError::Backend(Failure::Postgres(error)))
                    if error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS)
                        && self.connections.status().size > 0 =>
                {
                    permit.forget();
                    self.refused.fetch_add(1, Ordering::Relaxed);
                }
                Err(PoolError::Backend(failure)) => return Err(failure),
                Err(error) => unreachable!("no timeout, no hook, and it is never closed: {error}"),
            }
        }
    }

    /// How many connections were opened so far.
    pub(crate) fn opened(&self) -> usize {
        self.connections.manager().opened.load(Ordering::Relaxed)
    }

    /// How many connections fewer than the maximum the pool makes do with.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    /// Allows one more of the connections that were refused: the server may have room again.
    pub(crate) fn grow(&self) {
        if self.refused() > 0 {
            self.refused.fetch_sub(1, Ordering::Relaxed);
            self.room.add_permits(1);
        }
    }
}

impl Manager for Connections {
    type Type = Connection;
    type Error = Failure;

    async fn create(&self) -> Result<Connection, Failure> {
        let connection = connect(&self.config, self.limit, drop).await?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(connection)
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<Failure> {
        if connection.is_gone() { Err(RecycleError::message("the connection is gone")) } else { Ok(()) }
    }
}

impl Deref for Taken<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Taken<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}
