//! sqlx, which needs a tokio runtime, over each bridge to one, against PostgreSQL.

#![cfg(all(unix, feature = "servers"))]

use std::future::pending;
use std::time::Duration;

use gather::{gather, timeout};
use gather_ecosystem::bridge::over_each_bridge;
use gather_tests::postgres::Postgres;
use sqlx::postgres::{PgPool, PgPoolOptions, PgRow};
use sqlx::{FromRow, query, query_scalar};

/// A new database, over a Unix socket: unoptimised, sqlx takes long to check a password.
fn database(server: &Postgres) -> String {
    server.over_unix(&server.database())
}

/// A pool of at most this many connections.
async fn pool(database: &str, connections: u32) -> PgPool {
    let options = PgPoolOptions::new().max_connections(connections);
    options.connect(database).await.expect("the server is there")
}

async fn ask<T>(pool: &PgPool, sql: &'static str) -> T
where
    (T,): for<'r> FromRow<'r, PgRow>,
    T: Send + Unpin,
{
    query_scalar(sql).fetch_one(pool).await.expect("it succeeds")
}

#[test]
fn sqlx_gathers_500_queries_over_a_pool_of_16_in_order_over_each_bridge() {
    let server = Postgres::shared();
    over_each_bridge(async move || {
        let pool = pool(&database(&server), 16).await;
        let answers = gather((0..500_i64).map(async |number| {
            let row = query_scalar("select $1::bigint from pg_sleep(0.001)").bind(number);
            row.fetch_one(&pool).await
        }));
        let answers: Vec<i64> = answers.await.expect("all succeed");
        assert_eq!(answers, (0..500).collect::<Vec<_>>());
        assert!(pool.size() <= 16, "{} connections", pool.size());
        pool.close().await;
    });
}

#[test]
fn a_query_of_sqlx_whose_time_is_up_leaves_its_place_in_the_pool_and_its_answer_to_nobody() {
    let server = Postgres::shared();
    over_each_bridge(async move || {
        let database = database(&server);
        let [pool, other] = [pool(&database, 1).await, pool(&database, 1).await];
        ask::<i64>(&other, "select 1::bigint from pg_advisory_lock(1)").await;
        let waits = ask::<i64>(&pool, "select 2::bigint from pg_advisory_lock(1)");
        timeout(Duration::from_millis(20), waits).await.expect_err("the other has the lock");
        ask::<bool>(&other, "select pg_advisory_unlock(1)").await;
        assert_eq!(ask::<i64>(&pool, "select 3::bigint").await, 3);
        gather([pool.close(), other.close()]).capture().await;
    });
}

#[test]
fn the_time_that_sqlx_waits_for_a_connection_ends() {
    let server = Postgres::shared();
    over_each_bridge(async move || {
        let options = PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_millis(200));
        let pool = options.connect_lazy(&database(&server)).expect("a URL of ours");
        // A busy machine may take longer to connect.
        let _only = loop {
            if let Ok(connection) = pool.acquire().await {
                break connection;
            }
        };
        let error = pool.acquire().await.expect_err("there is no other");
        assert!(matches!(error, sqlx::Error::PoolTimedOut), "{error}");
    });
}

#[test]
fn the_first_failure_rolls_back_the_transactions_of_the_others() {
    let server = Postgres::shared();
    over_each_bridge(async move || {
        let pool = pool(&database(&server), 8).await;
        query("create table numbers (number int primary key)").execute(&pool).await.expect("it succeeds");
        let inserts = (0..8).map(async |number: i32| {
            let mut transaction = pool.begin().await?;
            query("insert into numbers values ($1)").bind(number).execute(&mut *transaction).await?;
            if number == 5 {
                query("select 1 / 0").execute(&mut *transaction).await?;
            }
            // That one fails while these wait, or before they do.
            query("select pg_sleep(0.3)").execute(&mut *transaction).await?;
            pending::<Result<(), sqlx::Error>>().await
        });
        let error = gather(inserts).await.expect_err("the sixth fails");
        assert!(error.to_string().contains("division by zero"), "{error}");
        assert_eq!(ask::<i64>(&pool, "select count(*) from numbers").await, 0);
        pool.close().await;
    });
}
