//! The queries with `gather`, over the connections and the pool of the example `postgres_pool`.

use std::time::{Duration, Instant};

use gather::gather;
use tokio_postgres::types::Type;

use crate::connection::pool::Pool;
use crate::connection::{Failure, url};
use crate::{AnyError, CONNECTIONS, LIMIT, Peer, SQL, Work};

/// How long the queries took.
pub(crate) fn run(to: &str, work: Work) -> Result<Duration, AnyError> {
    let mut config = url(to)?;
    config.application_name(Peer::Ours.name());
    gather::run(async {
        let pool = Pool::new(config, CONNECTIONS, LIMIT);
        drop(gather((0..CONNECTIONS).map(|_| pool.take())).await?); // all are open
        let started = Instant::now();
        let answers =
            gather((0..work.queries as i64).map(|number| query(&pool, number, work.pause()))).await?;
        let elapsed = started.elapsed();
        assert!(answers.into_iter().eq((0..work.queries as i64).map(|number| 2 * number)));
        Ok(elapsed)
    })
}

async fn query(pool: &Pool, number: i64, pause: f64) -> Result<i64, Failure> {
    let connection = pool.take().await?;
    let rows = connection.query(SQL, &[(&number, Type::INT8), (&pause, Type::FLOAT8)]).await?;
    Ok(rows[0].get(0))
}
