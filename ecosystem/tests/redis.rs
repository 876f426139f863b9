//! The crate redis, which needs a tokio runtime, over each bridge to one, against Redis.

#![cfg(all(unix, feature = "servers"))]

use std::time::Duration;

use gather::{gather, timeout};
use gather_ecosystem::bridge::over_each_bridge;
use gather_ecosystem::redis::Redis;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, cmd};

/// A connection that waits for answers as long as they take.
async fn connection(url: &str) -> MultiplexedConnection {
    let client = Client::open(url).expect("a URL of ours");
    let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
    let connection = client.get_multiplexed_async_connection_with_config(&config).await;
    connection.expect("the server is there")
}

#[test]
fn redis_gathers_1000_commands_in_order_over_each_bridge() {
    let server = Redis::start();
    let url = server.url();
    over_each_bridge(async move || {
        let connection = connection(&url).await;
        let answers = gather((0..1000_u32).map(async |number| {
            let mut connection = connection.clone();
            cmd("SET").arg(number).arg(2 * number).exec_async(&mut connection).await?;
            cmd("GET").arg(number).query_async(&mut connection).await
        }));
        let answers: Vec<u32> = answers.await.expect("all succeed");
        assert_eq!(answers, (0..1000).map(|number| 2 * number).collect::<Vec<_>>());
    });
}

#[test]
fn timeouts_of_redis_and_of_gather_end_a_command_and_its_answer_reaches_nobody() {
    let server = Redis::start();
    let url = server.url();
    over_each_bridge(async move || {
        let brief = Duration::from_millis(20);
        let mut pop = cmd("BLPOP");
        pop.arg("list").arg(0);
        let mut other = connection(&url).await;
        cmd("DEL").arg("list").exec_async(&mut other).await.expect("it succeeds");

        let mut hasty = connection(&url).await;
        hasty.set_response_timeout(brief);
        let error = pop.query_async::<()>(&mut hasty).await.expect_err("the list is empty");
        assert!(error.is_timeout(), "{error}");

        let mut patient = connection(&url).await;
        timeout(brief, pop.query_async::<()>(&mut patient)).await.expect_err("the list is empty");
        // One for each that the server has seen waiting.
        cmd("RPUSH").arg("list").arg("1").arg("2").exec_async(&mut other).await.expect("it succeeds");
        let answer: String = cmd("ECHO").arg("3").query_async(&mut patient).await.expect("it succeeds");
        assert_eq!(answer, "3");
    });
}
