//! The queries with tokio: `try_join_all` of futures on a runtime of one thread, tokio-postgres as
//! it connects there by itself, and the same pool.

use std::time::{Duration, Instant};

use deadpool::managed::{self, Manager, Metrics, RecycleError, RecycleResult};
use futures::future::try_join_all;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, Error, NoTls};

use crate::{AnyError, CONNECTIONS, Peer, SQL, Work};

type Pool = managed::Pool<Connections>;

/// Opens connections for the pool.
struct Connections(Config);

impl Manager for Connections {
    type Type = Client;
    type Error = Error;

    async fn create(&self) -> Result<Client, Error> {
        let (client, connection) = self.0.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    async fn recycle(&self, client: &mut Client, _: &Metrics) -> RecycleResult<Error> {
        if client.is_closed() { Err(RecycleError::message("the connection has ended")) } else { Ok(()) }
    }
}

/// How long the queries took.
pub(crate) fn run(to: &str, work: Work) -> Result<Duration, AnyError> {
    let mut config: Config = to.parse()?;
    config.application_name(Peer::Tokio.name());
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let pool = Pool::builder(Connections(config)).max_size(CONNECTIONS).build()?;
        drop(try_join_all((0..CONNECTIONS).map(|_| pool.get())).await?); // all are open
        let started = Instant::now();
        let queries = (0..work.queries as i64).map(|number| query(&pool, number, work.pause()));
        let answers = try_join_all(queries).await?;
        let elapsed = started.elapsed();
        assert!(answers.into_iter().eq((0..work.queries as i64).map(|number| 2 * number)));
        Ok(elapsed)
    })
}

async fn query(pool: &Pool, number: i64, pause: f64) -> Result<i64, AnyError> {
    let client = pool.get().await?;
    let row = client.query_typed(SQL, &[(&number, Type::INT8), (&pause, Type::FLOAT8)]).await?;
    Ok(row[0].get(0))
}
