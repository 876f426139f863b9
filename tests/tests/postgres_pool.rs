//! The example `postgres_pool` against PostgreSQL: how many connections it makes, and what a
//! restart does. `cargo servers` runs these tests.

#![cfg(all(unix, feature = "servers"))]

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::OnceLock;

use gather_tests::load_test::{Ended, LoadTest};
use gather_tests::postgres::Postgres;
use gather_tests::programs::build_example;
use gather_tests::silence::Way;

#[track_caller]
fn start(options: &[&str]) -> LoadTest {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    LoadTest::start_program(PROGRAM.get_or_init(|| build_example("postgres_pool")), options)
}

/// What was tried again, as the report says it.
fn tried_again(ended: &Ended) -> &str {
    let (_, kinds) = ended.printed.split_once("\ntried again, by kind of failure\n").unwrap_or_default();
    kinds.split("\n\n").next().unwrap_or_default()
}

/// Waits until a tenth is done.
#[track_caller]
fn wait_for_a_tenth(pool: &mut LoadTest) {
    let tenth = pool.next_complaint().expect("it goes on for longer than this");
    assert!(tenth.starts_with(" 10 %: ") && tenth.ends_with(" 0 failed"), "{tenth}");
}

#[test]
fn five_hundred_queries_never_have_more_than_16_backends() {
    let postgres = Postgres::shared();
    // Looking on can miss a 17th. So the server is told to refuse it.
    postgres.sql("postgres", "create role sixteen login connection limit 16");
    let url = postgres.over_unix(&postgres.database()).replace("//postgres@", "//sixteen@");
    let mut pool = start(&["--url", &url, "--pause", "40"]);
    wait_for_a_tenth(&mut pool);
    let backends =
        postgres.sql("postgres", "select count(*) from pg_stat_activity where usename = 'sixteen'");
    assert_eq!(backends, "16");
    let ended = pool.ended();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(["succeeded", "failed", "connections opened"].map(|name| ended.figure(name)), [500, 0, 16]);
    assert_eq!(tried_again(&ended), "", "{ended:#?}");
}

#[test]
fn with_fewer_backends_than_it_asked_for_it_goes_on_and_says_so() {
    let postgres = Postgres::shared();
    postgres.sql("postgres", "create role five login connection limit 5");
    let url = postgres.over_unix(&postgres.database()).replace("//postgres@", "//five@");
    let ended = start(&["--url", &url, "-n", "100", "-c", "20", "--pause", "100"]).ended();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(["succeeded", "failed"].map(|name| ended.figure(name)), [100, 0], "{ended:#?}");
    // While the server refuses one, it may count it, and refuse another for that.
    assert!(ended.figure("connections opened") <= 5, "{ended:#?}");
    assert!(ended.figure("connections refused") >= 14, "{ended:#?}");
}

#[test]
fn a_server_that_falls_silent_fails_every_query_and_the_program_ends() {
    let postgres = Postgres::shared();
    let way = Way::to(postgres.port());
    let url = way.by(&postgres.database());
    let mut pool = start(&["--url", &url, "-c", "4", "--limit", "3", "--patience", "6"]);
    wait_for_a_tenth(&mut pool);
    way.silence(0..usize::MAX);
    let ended = pool.ended();
    way.silence(0..0); // a server that stops waits a minute for a login that hangs
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let failed = ended.figure("failed");
    assert_eq!(ended.figure("succeeded") + failed, 500, "{ended:#?}");
    assert_eq!(ended.kinds().get("PostgreSQL has not answered for 3.005s"), Some(&failed), "{ended:#?}");
}

#[test]
fn a_connection_that_falls_silent_is_replaced_and_its_query_tried_again() {
    let postgres = Postgres::shared();
    let way = Way::to(postgres.port());
    let url = way.by(&postgres.database());
    let mut pool = start(&["--url", &url, "-c", "4", "--limit", "3", "--patience", "60"]);
    wait_for_a_tenth(&mut pool);
    way.silence(0..2);
    let ended = pool.ended();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(["succeeded", "failed"].map(|name| ended.figure(name)), [500, 0], "{ended:#?}");
    assert!(tried_again(&ended).contains("PostgreSQL has not answered for 3.005s 2"), "{ended:#?}");
}

#[test]
fn over_a_unix_socket_it_says_itself_that_there_were_at_most_16_backends() {
    let postgres = Postgres::shared();
    let url = postgres.over_unix(&postgres.database());
    let ended = start(&["--url", &url, "--pause", "20", "--watch"]).ended();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(["succeeded", "backends at most"].map(|name| ended.figure(name)), [500, 16], "{ended:#?}");
}

#[test]
fn when_the_server_restarts_in_the_middle_every_query_succeeds_on_new_connections() {
    let postgres = Postgres::start();
    let url = postgres.over_unix(&postgres.database());
    let mut pool = start(&["--url", &url, "--queries", "2000", "--pause", "20", "--patience", "30"]);
    wait_for_a_tenth(&mut pool);
    postgres.stop();
    postgres.start_again();
    let ended = pool.ended();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(["succeeded", "failed"].map(|name| ended.figure(name)), [2000, 0]);
    assert!((17..=32).contains(&ended.figure("connections opened")), "{ended:#?}");
    // Those that it was at work on were told so.
    assert!(tried_again(&ended).contains("57P01"), "{ended:#?}");
}

#[test]
fn when_the_server_does_not_come_back_the_failures_are_counted_by_kind() {
    let postgres = Postgres::start();
    let url = postgres.database();
    // One password's hash takes a tenth of a second in a build without optimization.
    let url = format!("{url}?connect_timeout=60");
    let options = ["-n", "1000", "-c", "2", "--pause", "20", "--limit", "60", "--patience", "0.3"];
    let mut pool = start(&[&["--url", &url][..], &options].concat());
    wait_for_a_tenth(&mut pool);
    postgres.stop();
    let ended = pool.ended();
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let failed = ended.figure("failed");
    assert_eq!(ended.figure("succeeded") + failed, 1000, "{ended:#?}");
    assert_eq!(ended.kinds().values().sum::<usize>(), failed, "{ended:#?}");
    assert!(ended.kinds().contains_key("cannot connect: connection refused"), "{ended:#?}");
}

#[test]
fn without_a_server_it_says_where_it_looked_and_ends_with_1() {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = address.expect("a free port, which nobody listens to from here on");
    let ended = start(&["--url", &format!("postgres://postgres@{address}")]).ended();
    assert_eq!((ended.code, ended.printed.as_str()), (Some(1), ""));
    let said = format!("postgres_pool: cannot connect to PostgreSQL at {address}: Connection refused");
    assert!(ended.complained.starts_with(&said) && ended.complained.lines().count() == 1, "{ended:#?}");
}

#[test]
fn options_that_cannot_be_used_end_it_with_2_and_help_with_0() {
    for options in
        [&["--querys", "3"][..], &["--queries", "0"], &["--url", "postgres://"], &["--pause", "-1"]]
    {
        let ended = start(options).ended();
        assert_eq!((ended.code, ended.printed.as_str()), (Some(2), ""), "{options:?}");
        assert!(ended.complained.ends_with("(see --help)\n"), "{ended:#?}");
    }
    let help = start(&["--help"]).ended();
    assert_eq!(help.code, Some(0));
    assert!(help.printed.contains("Usage: postgres_pool"));
}
