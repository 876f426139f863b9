//! tokio-postgres and deadpool on this runtime, against PostgreSQL: what libraries that nobody
//! here wrote make of our sockets, and what is left when gathered queries are dropped.
//! `cargo servers` runs these tests.

#![cfg(all(unix, feature = "servers"))]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use gather::{Runtime, gather, run, sleep, timeout};
use gather_tests::postgres::Postgres;
use gather_tests::watchdog::LIMIT;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Config, Error};

/// What the examples make of the two libraries.
#[allow(dead_code, reason = "the examples need more of it")]
#[path = "../../examples/postgres/mod.rs"]
mod postgres;

use postgres::pool::{Pool, Taken};
use postgres::{Failure, connect};

fn config(url: &str) -> Config {
    let mut config = postgres::url(url).expect("a URL of ours");
    config.connect_timeout(LIMIT);
    config
}

fn pool(url: &str, connections: usize) -> Pool {
    Pool::new(config(url), connections, LIMIT)
}

async fn take(pool: &Pool) -> Taken<'_> {
    pool.take().await.expect("the server is there")
}

/// Asks for one number.
async fn ask(client: &Client, sql: &str) -> Result<i64, Error> {
    client.query_one_scalar(sql, &[]).await
}

#[test]
fn gathered_queries_give_their_answers_in_input_order_over_tcp_and_unix() {
    let server = Postgres::shared();
    let url = server.database();
    for url in [server.over_unix(&url), url] {
        let pool = pool(&url, 8);
        let answers = run(gather((0..200_i64).map(async |number| {
            // Each of them comes a little later than the next.
            let sql = "select $1::bigint, pg_sleep((200 - $1) / 20000.0)";
            let row = take(&pool).await.client.query_one(sql, &[&number]).await?;
            Ok::<i64, Error>(row.get(0))
        })));
        assert_eq!(answers.expect("all succeed"), (0..200).collect::<Vec<i64>>());
        assert_eq!(pool.opened(), 8);
    }
}

#[test]
fn a_thousand_gathered_queries_share_one_connection() {
    let server = Postgres::shared();
    let pool = pool(&server.database(), 1);
    let answers = run(async {
        let client = &take(&pool).await.client;
        gather((0..1000).map(async |number| ask(client, &format!("select {number}::bigint")).await)).await
    });
    assert_eq!(answers.expect("all succeed"), (0..1000).collect::<Vec<i64>>());
}

#[test]
fn a_value_of_ten_megabytes_arrives_whole() {
    let server = Postgres::shared();
    let url = server.database();
    for url in [server.over_unix(&url), url] {
        let pool = pool(&url, 1);
        let sent = "gather ".repeat(750_000);
        let came: Result<String, Error> =
            run(async { take(&pool).await.client.query_one_scalar("select $1::text || $1", &[&sent]).await });
        assert!(came.expect("it succeeds") == sent.repeat(2));
    }
}

#[test]
fn transactions_that_are_gathered_do_not_see_half_of_each_other() {
    let server = Postgres::shared();
    let url = server.database();
    server.sql(&url, "create table accounts as select id, 100 as money from generate_series(0, 9) as id");
    let pool = pool(&url, 8);
    run(async {
        let transfers = (0..200).map(async |number: i32| {
            let mut taken = take(&pool).await;
            let transaction = taken.client.transaction().await?;
            // In the order of the ids, so that no two wait for each other.
            let (from, to) = (number % 9, number % 9 + 1);
            let sql = "update accounts set money = money + $2 where id = $1";
            transaction.execute(sql, &[&from, &-1]).await?;
            transaction.execute(sql, &[&to, &1]).await?;
            if number % 4 == 0 { transaction.rollback().await } else { transaction.commit().await }
        });
        let looks = async {
            for _ in 0..50 {
                assert_eq!(ask(&take(&pool).await.client, "select sum(money) from accounts").await?, 1000);
            }
            Ok(())
        };
        gather::gather!(gather(transfers).limit(7), looks).await
    })
    .expect("all succeed");
    assert_eq!(server.sql(&url, "select money from accounts where id in (0, 9) order by id"), "83\n116");
}

#[test]
fn the_first_failure_rolls_back_every_transaction_that_is_open_and_the_pool_goes_on() {
    let server = Postgres::shared();
    let url = server.database();
    server.sql(&url, "create table numbers (number int primary key)");
    let pool = pool(&url, 8);
    run(async {
        let inserts = (0..8).map(async |number: i32| {
            let mut taken = take(&pool).await;
            let transaction = taken.client.transaction().await?;
            transaction.execute("insert into numbers values ($1)", &[&number]).await?;
            // The others are waiting for the server when this one fails.
            let sql =
                if number == 5 { "select 1 / (pg_sleep(0.2) is null)::int" } else { "select pg_sleep(0.7)" };
            transaction.query_one(sql, &[]).await?;
            transaction.commit().await
        });
        let error = gather(inserts).await.expect_err("the sixth fails");
        assert_eq!(error.code(), Some(&SqlState::DIVISION_BY_ZERO));
        // The same connections: each has rolled back before it does anything else.
        let counts =
            (0..8).map(async |_| ask(&take(&pool).await.client, "select count(*) from numbers").await);
        assert_eq!(gather(counts).await.expect("all succeed"), [0; 8]);
        assert_eq!(pool.opened(), 8);
    });
}

#[test]
fn answers_to_queries_that_were_dropped_reach_nobody() {
    let server = Postgres::shared();
    let pool = pool(&server.database(), 4);
    run(async {
        for round in 1..=20_u64 {
            let queries = (0..50).map(async |number: i64| {
                let sql = format!("select {number}, pg_sleep(0.001)");
                take(&pool).await.client.query_one(&sql, &[]).await
            });
            // Now after a few, now after most of them.
            drop(timeout(Duration::from_millis(round), gather(queries)).await);
            let again = (1000..1020).map(async |number| {
                ask(&take(&pool).await.client, &format!("select {number}::bigint")).await
            });
            assert_eq!(gather(again).await.expect("all succeed"), (1000..1020).collect::<Vec<i64>>());
        }
        assert_eq!(pool.opened(), 4);
    });
}

#[test]
fn notifications_come_in_order_beside_the_answers() {
    let server = Postgres::shared();
    let url = server.database();
    let config = config(&url);
    let pool = pool(&url, 4);
    let heard = Rc::new(RefCell::new(Vec::new()));
    let hears = Rc::clone(&heard); // neither Send nor Sync: it stays on this thread
    run(async {
        let listening = connect(&config, LIMIT, move |message| {
            if let AsyncMessage::Notification(notification) = message {
                hears.borrow_mut().push(notification.payload().to_owned());
            }
        });
        let listening = &listening.await.expect("the server is there").client;
        listening.batch_execute("listen numbers").await.expect("it succeeds");
        let notifies = async {
            let client = &take(&pool).await.client;
            for number in 0..300 {
                client.batch_execute(&format!("notify numbers, '{number}'")).await?;
            }
            Ok::<_, Error>(())
        };
        let asks = gather((0..300).map(async |_| ask(listening, "select count(*) from pg_class").await));
        gather::gather!(notifies, asks).await.expect("all succeed");
        let all = async {
            while heard.borrow().len() < 300 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(LIMIT, all).await.expect("the last is on its way");
    });
    assert!(heard.borrow().iter().eq((0..300).map(|number| number.to_string()).collect::<Vec<_>>().iter()));
}

#[test]
fn a_client_that_is_dropped_leaves_neither_task_nor_socket() {
    let server = Postgres::shared();
    let url = server.database();
    let runtime = Runtime::new().expect("the system gives what a runtime needs");
    let alive = || (runtime.metrics().tasks_alive(), runtime.metrics().sockets_registered());
    runtime.block_on(async {
        let before = alive();
        let pool = pool(&url, 8);
        let clients = (0..8)
            .map(async |_| ask(&take(&pool).await.client, "select 1::bigint from pg_sleep(0.05)").await);
        gather(clients).await.expect("all succeed");
        assert_eq!(alive(), (before.0 + 8, before.1 + 8));
        drop(pool);
        // Each connection has its farewell to send.
        let gone = async {
            while alive() != before {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(LIMIT, gone).await.expect("the connections end");
    });
}

#[test]
fn the_last_words_of_a_connection_reach_the_next_question() {
    let server = Postgres::shared();
    let url = server.database();
    let pool = pool(&url, 1);
    run(async {
        let connection = take(&pool).await;
        let process = &connection.query("select pg_backend_pid()::text", &[]).await.expect("it succeeds")[0];
        let process: &str = process.get(0);
        server.sql(&url, &format!("select pg_terminate_backend({process})"));
        let gone = async {
            while !connection.is_gone() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(LIMIT, gone).await.expect("the connection ends");
        let failure = connection.query("select 1", &[]).await.expect_err("the connection has ended");
        let words = "db error: FATAL: terminating connection due to administrator command";
        assert_eq!(failure.to_string(), words);
        assert!(failure.may_pass());
    });
}

#[test]
fn an_answer_that_does_not_come_ends_its_connection() {
    let server = Postgres::shared();
    let pool = Pool::new(config(&server.database()), 1, Duration::from_secs(1));
    run(async {
        let slow = pool.take().await.expect("the server is there").query("select pg_sleep(600)", &[]).await;
        let failure = slow.expect_err("it takes longer than the limit");
        assert!(matches!(failure, Failure::Silent(_)), "{failure}");
        pool.take().await.expect("a new one").query("select 1", &[]).await.expect("it answers");
        assert_eq!(pool.opened(), 2);
    });
}
