//! The example `work_queue` on PostgreSQL: no job is lost, and none has its effect twice, whatever happens to the workers.
//! `cargo servers` runs these tests.

#![cfg(all(unix, feature = "servers"))]

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use gather_tests::load_test::{Ended, LoadTest};
use gather_tests::postgres::Postgres;
use gather_tests::programs::{build_example, send_signal};
use gather_tests::silence::Way;
use gather_tests::watchdog::LIMIT;

#[track_caller]
fn start(options: &[&str]) -> LoadTest {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    LoadTest::start_program(PROGRAM.get_or_init(|| build_example("work_queue")), options)
}

/// Runs it to its end, which must be a good one.
#[track_caller]
fn run(options: &[&str]) -> Ended {
    let ended = start(options).ended();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    ended
}

/// The figures of `--role status`, which are also what there must be.
#[track_caller]
fn check_status(url: &str, [done, dead, results]: [usize; 3]) {
    let status = run(&["--role", "status", "--url", url]);
    let names = ["ready", "running", "done", "dead", "results"];
    assert_eq!(names.map(|name| status.figure(name)), [0, 0, done, dead, results], "{status:#?}");
}

/// Returns when a condition on the tables holds. The server itself looks again and again.
#[track_caller]
fn wait_until(postgres: &Postgres, url: &str, condition: &str) {
    let sql = format!(
        "do $$ begin
            for i in 1..{} loop
                if ({condition}) then return; end if;
                perform pg_sleep(0.005);
            end loop;
            raise 'it is never so';
        end $$",
        LIMIT.as_millis() / 5
    );
    postgres.sql(url, &sql);
}

#[track_caller]
fn send(signal: &str, process: u32) {
    assert!(send_signal(signal, process), "{signal}");
}

#[test]
fn two_thousand_jobs_have_their_effect_once_while_workers_are_killed_again_and_again() {
    let postgres = Postgres::shared();
    let url = postgres.database();
    let submit = ["--role", "submit", "--jobs", "2000", "--payload", "sleep 20", "--attempts", "100"];
    run(&[&submit[..], &["--url", &url]].concat());
    let work = ["--role", "work", "--concurrency", "4", "--lease", "1", "--until-empty", "--url", &url];
    let done = "select count(*) from jobs where state = 'done'";

    let mut workers: [LoadTest; 4] = std::array::from_fn(|_| start(&work));
    let kills = 20;
    for kill in 1..=kills {
        wait_until(&postgres, &url, &format!("({done}) >= {}", 90 * kill));
        workers[kill % 4] = start(&work); // the one that was there is killed when it is dropped
    }
    for worker in workers {
        let ended = worker.ended();
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }
    check_status(&url, [2000, 0, 2000]);
    assert_eq!(postgres.sql(&url, "select count(distinct job) from results"), "2000");
    let repeated = postgres.sql(&url, "select count(*) from jobs where attempts > 1");
    assert!(repeated != "0", "nobody was killed at work");
    println!("{kills} kills, {repeated} jobs taken more than once");
}

#[test]
fn who_has_lost_a_job_to_another_changes_nothing() {
    let postgres = Postgres::shared();
    let url = postgres.database();
    run(&["--role", "submit", "--jobs", "1", "--payload", "sleep 3000", "--url", &url]);
    let work = ["--role", "work", "--concurrency", "1", "--lease", "3", "--url", &url];
    let stalled = start(&work);
    wait_until(&postgres, &url, WRITTEN);
    send("STOP", stalled.id());
    let ended = run(&[&work[..], &["--until-empty"]].concat());
    assert!(ended.printed.contains(": 1 done, 0 failed, 0 lost"), "{ended:#?}");
    send("CONT", stalled.id());
    send("TERM", stalled.id()); // what it has begun may finish
    let ended = stalled.ended();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.printed.contains(": 0 done, 0 failed, 1 lost"), "{ended:#?}");
    check_status(&url, [1, 0, 1]);
}

#[test]
fn the_lease_of_a_job_that_takes_longer_is_extended() {
    let postgres = Postgres::shared();
    let url = postgres.database();
    run(&["--role", "submit", "--jobs", "4", "--payload", "sleep 7500", "--url", &url]);
    let work = ["--role", "work", "--lease", "3", "--until-empty", "--concurrency", "2", "--url", &url];
    let workers = [start(&work), start(&work)];
    let printed: String = workers.map(|worker| worker.ended().printed).concat();
    assert_eq!(printed.matches(": 2 done, 0 failed, 0 lost").count(), 2, "{printed}");
    assert_eq!(postgres.sql(&url, "select max(attempts) from jobs"), "1");
}

#[test]
fn a_job_that_fails_is_tried_again_and_is_dead_after_its_last_attempt() {
    let postgres = Postgres::shared();
    let url = postgres.database();
    let submit = ["--role", "submit", "--attempts", "3", "--url", &url];
    for (jobs, payload) in [("5", "flaky"), ("3", "broken"), ("7", "sleep 1")] {
        run(&[&submit[..], &["--jobs", jobs, "--payload", payload]].concat());
    }
    let started = Instant::now();
    let ended = run(&["--role", "work", "--pause", "0.2", "--until-empty", "--url", &url]);
    assert!(started.elapsed() >= Duration::from_millis(600), "the pauses are 0.2 s and 0.4 s");
    assert!(ended.printed.contains(": 12 done, 14 failed, 0 lost"), "{ended:#?}");
    check_status(&url, [12, 3, 12]);
    let status = run(&["--role", "status", "--url", &url]).printed;
    assert!(status.ends_with("job 6: it fails at every attempt\n"), "{status}");
    let attempts = "select string_agg(distinct payload || ' ' || attempts, ', ' order by payload || ' ' || attempts) from jobs";
    assert_eq!(postgres.sql(&url, attempts), "broken 3, flaky 2, sleep 1 1");
}

#[test]
fn a_job_that_kills_its_workers_is_dead_after_its_last_attempt() {
    let postgres = Postgres::shared();
    let url = postgres.database();
    run(&["--role", "submit", "--jobs", "1", "--payload", "sleep 60000", "--attempts", "2", "--url", &url]);
    let work = ["--role", "work", "--concurrency", "1", "--lease", "1", "--until-empty", "--url", &url];
    for attempt in 1..=2 {
        let worker = start(&work);
        let taken = format!("exists (select from jobs where state = 'running' and attempts = {attempt})");
        wait_until(&postgres, &url, &taken);
        drop(worker); // kills it
    }
    run(&work);
    check_status(&url, [0, 1, 0]);
    let error = postgres.sql(&url, "select last_error from jobs");
    assert!(error.starts_with("the worker was gone when the lease ended: "), "{error}");
}

#[test]
fn an_idle_worker_begins_a_new_job_at_once_when_it_is_announced() {
    let postgres = Postgres::shared();
    let url = postgres.database();
    run(&["--role", "status", "--url", &url]); // makes the tables
    postgres.sql(
        &url,
        "create table seen (job bigint, state text, at timestamptz default clock_timestamp());
        create function see() returns trigger language plpgsql as
            $$ begin insert into seen values (new.id, new.state); return new; end $$;
        create trigger see after insert or update on jobs for each row execute function see()",
    );
    let worker = start(&["--role", "work", "--url", &url]);
    // One after the other, each announced or not in turn. What nobody announces the worker finds when it looks, twice a second.
    for _ in 0..21 {
        run(&["--role", "submit", "--jobs", "1", "--payload", "sleep 0", "--url", &url]);
        wait_until(&postgres, &url, "not exists (select from jobs where state <> 'done')");
        postgres.sql(&url, "insert into jobs (payload, max_attempts) values ('sleep 0', 1)");
        wait_until(&postgres, &url, "not exists (select from jobs where state <> 'done')");
    }
    let median = |kind: &str| -> u32 {
        let median = format!(
            "with each as (
                select min(at) filter (where state = 'running') - min(at) filter (where state = 'ready') as waited
                from seen group by job having job % 2 = {kind}
            )
            select (1000 * extract(epoch from percentile_cont(0.5) within group (order by waited)))::int from each"
        );
        postgres.sql(&url, &median).parse().expect("a number of milliseconds")
    };
    let (announced, found) = (median("1"), median("0"));
    println!("an announced job waits for {announced} ms, another one for {found} ms");
    assert!(announced + 50 < found, "{announced} ms and {found} ms");
    send("INT", worker.id());
    let ended = worker.ended();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.printed.contains(": 42 done, 0 failed, 0 lost"), "{ended:#?}");
}

#[test]
fn a_restart_of_the_server_loses_no_job() {
    let postgres = Postgres::start();
    let url = postgres.database();
    run(&["--role", "submit", "--jobs", "400", "--payload", "sleep 100", "--url", &url]);
    let worker =
        start(&["--role", "work", "--concurrency", "8", "--lease", "1", "--until-empty", "--url", &url]);
    wait_until(&postgres, &url, "(select count(*) from jobs where state = 'done') >= 40");
    postgres.stop();
    postgres.start_again();
    let ended = worker.ended();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.complained.contains("; again in 1 s\n"), "{ended:#?}");
    check_status(&url, [400, 0, 400]);
    assert_eq!(postgres.sql(&url, "select count(distinct job) from results"), "400");
}

/// When a job has written its result, in a transaction that nobody sees yet.
const WRITTEN: &str =
    "exists (select from pg_locks where relation = 'results'::regclass and mode = 'RowExclusiveLock')";

/// The URL by another way.
fn by(way: &Way, url: &str) -> String {
    let (server, database) = url.rsplit_once('/').expect("a database");
    let (server, _) = server.rsplit_once(':').expect("a port");
    format!("{server}:{}/{database}", way.port())
}

/// A way to the server of this URL.
fn way_to(url: &str) -> Way {
    let port = url.rsplit_once(':').and_then(|(_, end)| end.split('/').next());
    Way::to(port.and_then(|port| port.parse().ok()).expect("a port"))
}

#[test]
fn a_server_that_says_nothing_for_as_long_as_a_lease_is_taken_for_gone() {
    let postgres = Postgres::shared();
    let url = postgres.database();
    run(&["--role", "submit", "--jobs", "1", "--payload", "sleep 60000", "--url", &url]);
    let way = way_to(&url);
    let work = ["--role", "work", "--concurrency", "1", "--lease", "3", "--until-empty", "--url"];
    let mut worker = start(&[&work[..], &[&by(&way, &url)]].concat());
    wait_until(&postgres, &url, WRITTEN);
    way.silence(0..usize::MAX);
    let complaint = worker.next_complaint();
    assert_eq!(complaint, Some("work_queue: PostgreSQL has not answered for 3s; again in 1 s"));
    // It has given the job up in the middle. So another one does it, now that it takes no time.
    postgres.sql(&url, "update jobs set payload = 'sleep 0'");
    let other = run(&[&work[..], &[&url]].concat());
    assert!(other.printed.contains(": 1 done, 0 failed, 0 lost"), "{other:#?}");
    way.silence(0..0);
    let ended = worker.ended();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.printed.contains(": 0 done, 0 failed, 0 lost"), "{ended:#?}");
    check_status(&url, [1, 0, 1]);
}

#[test]
fn a_job_whose_own_connection_falls_silent_is_tried_again_on_a_new_one() {
    let postgres = Postgres::shared();
    let url = postgres.database();
    run(&["--role", "submit", "--jobs", "1", "--payload", "sleep 3000", "--url", &url]);
    let way = way_to(&url);
    let work = ["--role", "work", "--concurrency", "1", "--lease", "3", "--pause", "0.1", "--until-empty"];
    let worker = start(&[&work[..], &["--url", &by(&way, &url)]].concat());
    wait_until(&postgres, &url, WRITTEN);
    way.silence(1..2); // the first is the one that extends the lease
    let ended = worker.ended();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.printed.contains(": 1 done, 1 failed, 0 lost"), "{ended:#?}");
    assert!(ended.printed.contains(", 3 connections\n"), "{ended:#?}");
    check_status(&url, [1, 0, 1]);
}

#[test]
fn without_a_server_it_says_so_and_ends_with_1_and_with_wrong_options_with_2() {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let url = format!(
        "postgres://postgres@{}",
        address.expect("a free port, which nobody listens to from here on")
    );
    for role in ["submit", "work", "status"] {
        let ended = start(&["--role", role, "--url", &url]).ended();
        assert_eq!((ended.code, ended.printed.as_str()), (Some(1), ""));
        assert!(ended.complained.starts_with("work_queue: cannot connect to PostgreSQL at "), "{ended:#?}");
    }
    for options in
        [&[][..], &["--role", "boss"], &["--role", "work", "--lease", "0"], &["--role", "work", "x"]]
    {
        assert_eq!(start(options).ended().code, Some(2), "{options:?}");
    }
    assert!(run(&["--help"]).printed.contains("Usage: work_queue"));
}
