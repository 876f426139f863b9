//! The example `work_queue` on PostgreSQL: no job is lost, and none has its effect twice, whatever
//! happens to the workers. `cargo servers` runs these tests.

#![cfg(all(unix, feature = "servers"))]

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gather_tests::example::{Running, closed_pipe, program};
use gather_tests::load_test::{Ended, LoadTest};
use gather_tests::postgres::Postgres;
use gather_tests::programs::printed_by;
use gather_tests::silence::Way;

#[track_caller]
fn start(options: &[&str]) -> LoadTest {
    LoadTest::start_program(&program("work_queue"), options)
}

/// A database, over the Unix socket: it asks for no password, whose hash takes a tenth of a second
/// for each connection in a build without optimization.
#[track_caller]
fn database(postgres: &Postgres) -> String {
    postgres.over_unix(&postgres.database())
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
            for i in 1..60000 loop
                if ({condition}) then return; end if;
                perform pg_sleep(0.005), pg_stat_clear_snapshot();
            end loop;
            raise 'it is never so';
        end $$"
    );
    postgres.sql(url, &sql);
}

/// When a worker has this many jobs at work.
fn running(jobs: usize) -> String {
    format!("(select count(*) from jobs where state = 'running') = {jobs}")
}

#[track_caller]
fn send(signal: &str, process: u32) {
    printed_by(Command::new("sh").args(["-c", &format!("kill -{signal} {process}")]));
}

#[test]
fn two_thousand_jobs_have_their_effect_once_while_workers_are_killed_again_and_again() {
    let postgres = Postgres::shared();
    let url = database(&postgres);
    let submit = ["--role", "submit", "--jobs", "2000", "--payload", "sleep 20", "--attempts", "100"];
    run(&[&submit[..], &["--url", &url]].concat());
    let work = ["--role", "work", "--concurrency", "4", "--lease", "1", "--until-empty", "--url", &url];

    let mut workers: [LoadTest; 4] = std::array::from_fn(|_| start(&work));
    for kill in 0..20 {
        // Some more jobs are done, and the next victim is in the middle of one.
        let [victim, done] = [workers[kill % 4].id() as usize, 80 * kill];
        let at_work = format!(
            "(select count(*) from jobs where state = 'done') >= {done}
                and exists (select from jobs where state = 'running' and worker like '%:{victim}')
            or not exists (select from jobs where state <> 'done')"
        );
        wait_until(&postgres, &url, &at_work);
        workers[kill % 4] = start(&work); // the one that was there is killed when it is dropped
    }
    for worker in workers {
        let ended = worker.ended();
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }
    check_status(&url, [2000, 0, 2000]);
    assert_eq!(postgres.sql(&url, "select count(distinct job) from results"), "2000");
    let repeated = postgres.sql(&url, "select count(*) from jobs where attempts > 1");
    assert_ne!(repeated, "0", "nobody was killed at work");
    println!("20 kills, {repeated} jobs taken more than once");
}

#[test]
fn who_has_lost_a_job_to_another_changes_nothing() {
    let postgres = Postgres::shared();
    let url = database(&postgres);
    run(&["--role", "submit", "--jobs", "1", "--payload", "sleep 5000", "--url", &url]);
    let work = ["--role", "work", "--concurrency", "1", "--lease", "1", "--url", &url];
    let stalled = start(&work);
    wait_until(&postgres, &url, &running(1));
    send("STOP", stalled.id());
    postgres.sql(&url, "update jobs set payload = 'sleep 0'"); // for the other
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
    let url = database(&postgres);
    run(&["--role", "submit", "--jobs", "4", "--payload", "sleep 9000", "--url", &url]);
    let work = ["--role", "work", "--lease", "6", "--until-empty", "--concurrency", "2", "--url", &url];
    let workers = [start(&work), start(&work)];
    let printed: String = workers.map(|worker| worker.ended().printed).concat();
    assert_eq!(printed.matches(": 2 done, 0 failed, 0 lost").count(), 2, "{printed}");
    assert_eq!(postgres.sql(&url, "select max(attempts) from jobs"), "1");
}

#[test]
fn a_job_that_fails_is_tried_again_and_is_dead_after_its_last_attempt() {
    let postgres = Postgres::shared();
    let url = database(&postgres);
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
    let url = database(&postgres);
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
fn an_idle_worker_begins_a_new_job_at_once() {
    let postgres = Postgres::shared();
    let url = database(&postgres);
    run(&["--role", "status", "--url", &url]); // makes the tables
    postgres.sql(
        &url,
        "create table seen (job bigint, state text, at timestamptz default clock_timestamp());
        create function see() returns trigger language plpgsql as
            $$ begin insert into seen values (new.id, new.state); return new; end $$;
        create trigger see after insert or update on jobs for each row execute function see()",
    );
    let worker = start(&["--role", "work", "--url", &url]);
    for _ in 0..21 {
        run(&["--role", "submit", "--jobs", "1", "--payload", "sleep 0", "--url", &url]);
        wait_until(&postgres, &url, "not exists (select from jobs where state <> 'done')");
    }
    let median = "with each as (
            select min(at) filter (where state = 'running') - min(at) filter (where state = 'ready') as waited
            from seen group by job
        )
        select (1000 * extract(epoch from percentile_cont(0.5) within group (order by waited)))::int from each";
    let median: u32 = postgres.sql(&url, median).parse().expect("a number of milliseconds");
    // It looks by itself twice a second, which would be 250 ms or more.
    assert!(median < 150, "it took {median} ms");
    send("INT", worker.id());
    let ended = worker.ended();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.printed.contains(": 21 done, 0 failed, 0 lost"), "{ended:#?}");
}

#[test]
fn a_restart_of_the_server_loses_no_job() {
    let postgres = Postgres::start();
    let url = database(&postgres);
    run(&["--role", "submit", "--jobs", "400", "--payload", "sleep 20", "--url", &url]);
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

#[test]
fn a_server_that_says_nothing_for_as_long_as_a_lease_is_taken_for_gone() {
    let postgres = Postgres::shared();
    let url = postgres.database();
    run(&["--role", "submit", "--jobs", "1", "--payload", "sleep 60000", "--url", &url]);
    let way = Way::to(postgres.port());
    let work = ["--role", "work", "--concurrency", "1", "--lease", "1", "--until-empty", "--url"];
    let mut worker = start(&[&work[..], &[&way.by(&url)]].concat());
    wait_until(&postgres, &url, &running(1));
    way.silence(0..usize::MAX);
    let gone = "work_queue: PostgreSQL has not answered for 1s; again in 1 s";
    while worker.next_complaint().expect("it goes on") != gone {}
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
    let way = Way::to(postgres.port());
    let work = ["--role", "work", "--concurrency", "1", "--lease", "2", "--pause", "0.1", "--until-empty"];
    let worker = start(&[&work[..], &["--url", &way.by(&url)]].concat());
    wait_until(&postgres, &url, &running(1));
    way.silence(1..2); // the first is the one that extends the lease
    let ended = worker.ended();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    // Nothing has failed if the silence swallows the answer to "take".
    assert!(ended.printed.contains(": 1 done, ") && ended.printed.contains(" 0 lost"), "{ended:#?}");
    assert!(ended.printed.contains(", 3 connections\n"), "{ended:#?}");
    assert_eq!(postgres.sql(&url, "select attempts from jobs"), "2");
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

/// Makes every change of a job fail with the error in the table `trouble`, if there is one.
const TROUBLE: &str = "
    create table trouble (code text);
    create function trouble() returns trigger language plpgsql as $$
        declare code text := (select max(trouble.code) from trouble);
        begin
            if code is null then return new; end if;
            raise exception 'trouble %', code using errcode = code;
        end $$;
    create trigger trouble before update on jobs for each row execute function trouble()";

#[test]
fn errors_that_pass_cost_a_pause_and_any_other_ends_a_worker_with_the_words_of_the_server() {
    let postgres = Postgres::shared();
    let url = database(&postgres);
    run(&["--role", "submit", "--jobs", "20", "--payload", "sleep 0", "--url", &url]);
    postgres.sql(&url, TROUBLE);
    let be_in_trouble = |code| {
        postgres.sql(&url, &format!("delete from trouble; insert into trouble values ('{code}')"));
        format!("work_queue: db error: ERROR: trouble {code}")
    };
    let work = ["--role", "work", "--concurrency", "4", "--until-empty", "--url", &url];

    let mut says = be_in_trouble("40001");
    let mut worker = start(&work);
    for next in ["08006", "25006", "40P01", "53200", "55P03", "57014"] {
        let expected = format!("{says}; again in 1 s");
        while worker.next_complaint().expect("it goes on") != expected {}
        says = be_in_trouble(next);
    }
    postgres.sql(&url, "delete from trouble");
    let ended = worker.ended();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    check_status(&url, [20, 0, 20]);

    run(&["--role", "submit", "--jobs", "20", "--payload", "sleep 0", "--url", &url]);
    let says = be_in_trouble("42501");
    let ended = start(&work).ended();
    assert_eq!((ended.code, ended.complained), (Some(1), format!("{says}\n")));
}

#[test]
fn a_server_that_is_read_only_for_a_while_loses_no_job_and_no_worker() {
    let postgres = Postgres::start();
    let url = database(&postgres);
    let read_only = |on| {
        postgres.sql(&url, &format!("alter system set default_transaction_read_only = {on}"));
        postgres.sql(&url, "select pg_reload_conf()");
    };
    run(&["--role", "submit", "--jobs", "400", "--payload", "sleep 50", "--url", &url]);
    let mut worker = start(&["--role", "work", "--concurrency", "4", "--until-empty", "--url", &url]);
    wait_until(&postgres, &url, "(select count(*) from jobs where state = 'done') >= 10");
    read_only("on");
    let complaint = worker.next_complaint().expect("it goes on");
    assert!(complaint.contains("in a read-only transaction; again in 1 s"), "{complaint}");
    read_only("off");
    let ended = worker.ended();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    check_status(&url, [400, 0, 400]);
}

#[test]
fn a_job_whose_commit_was_done_but_not_answered_is_counted_as_done() {
    let postgres = Postgres::start();
    let url = database(&postgres);
    run(&["--role", "submit", "--jobs", "1", "--payload", "sleep 2000", "--url", &url]);
    let work = ["--role", "work", "--concurrency", "1", "--lease", "300", "--until-empty"];
    let worker = start(&[&work[..], &["--url", &url]].concat());
    wait_until(&postgres, &url, &running(1));
    // From here on a COMMIT waits for a standby that never comes, after it has taken effect here.
    postgres.sql(&url, "alter system set synchronous_standby_names = 'nobody'");
    postgres.sql(&url, "select pg_reload_conf()");
    let waits = "from pg_stat_activity where query = 'COMMIT' and wait_event = 'SyncRep'";
    wait_until(&postgres, &url, &format!("exists (select {waits})"));
    postgres.sql(&url, &format!("select pg_terminate_backend(pid) {waits}"));
    let ended = worker.ended();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.printed.contains(": 1 done, 0 failed, 0 lost"), "{ended:#?}");
    assert_eq!(postgres.sql(&url, "select state, attempts from jobs"), "done|1");
}

#[test]
fn no_transaction_is_open_while_a_job_runs() {
    let postgres = Postgres::shared();
    let url = database(&postgres);
    run(&["--role", "submit", "--jobs", "4", "--payload", "sleep 600000", "--url", &url]);
    let _worker = start(&["--role", "work", "--concurrency", "4", "--url", &url]);
    wait_until(&postgres, &url, &running(4));
    let idle = "from pg_stat_activity
        where datname = current_database() and query like 'update jobs%returning%' and state = 'idle'";
    wait_until(&postgres, &url, &format!("(select count(*) {idle}) = 4"));
}

/// How many times rows of `jobs` were changed, and how many of these changes touched an index,
/// when so many jobs of this payload are done with this lease.
fn changes(jobs: usize, payload: &str, lease: &str) -> [usize; 2] {
    let postgres = Postgres::shared();
    let url = database(&postgres);
    run(&["--role", "submit", "--jobs", &jobs.to_string(), "--payload", payload, "--url", &url]);
    run(&["--role", "work", "--lease", lease, "--until-empty", "--url", &url]);
    let changes =
        "select n_tup_upd, n_tup_upd - n_tup_hot_upd from pg_stat_user_tables where relname = 'jobs'";
    // Each backend reports its changes when it ends.
    let reported = format!(
        "exists (select from pg_stat_user_tables where relname = 'jobs' and n_tup_upd >= {})",
        2 * jobs
    );
    wait_until(&postgres, &url, &reported);
    wait_until(
        &postgres,
        &url,
        "1 = (select count(*) from pg_stat_activity where datname = current_database())",
    );
    let changes = postgres.sql(&url, changes);
    let (all, indexed) = changes.split_once('|').expect("two columns");
    [all, indexed].map(|number| number.parse().expect("a number"))
}

#[test]
fn a_job_that_ends_long_before_its_lease_is_written_when_it_is_taken_and_when_it_is_done() {
    assert_eq!(changes(4, "sleep 1500", "600"), [8, 8]);
}

#[test]
fn extending_a_lease_touches_no_index() {
    let [all, indexed] = changes(4, "sleep 4000", "6");
    assert_eq!(indexed, 8, "of {all}");
    assert!(all > indexed, "no lease was extended");
}

#[test]
fn with_fewer_connections_than_slots_it_goes_on_with_those_it_gets_and_says_so() {
    let postgres = Postgres::shared();
    let url = database(&postgres);
    postgres.sql(&url, "create role six login connection limit 6");
    let (_, database) = url.rsplit_once('/').expect("a database");
    postgres.sql(&url, &format!("alter database {database} owner to six"));
    let url = url.replace("//postgres@", "//six@");
    run(&["--role", "submit", "--jobs", "100", "--payload", "sleep 200", "--url", &url]);
    let ended = run(&["--role", "work", "--concurrency", "20", "--until-empty", "--url", &url]);
    assert!(ended.printed.contains(": 100 done, 0 failed, 0 lost"), "{ended:#?}");
    let says = " slots: the server refuses more connections\n";
    assert!(ended.complained.contains(says), "{ended:#?}");
}

/// A worker whose output nobody reads.
#[track_caller]
fn start_unread(options: &[&str]) -> Running {
    let mut command = Command::new(program("work_queue"));
    command.args(options).stdin(Stdio::null()).stdout(closed_pipe()).stderr(closed_pipe());
    Running { process: command.spawn().expect("it starts"), address: String::new(), printed: None }
}

#[test]
fn a_worker_whose_output_nobody_reads_finishes_its_jobs_when_it_is_asked_to_stop() {
    let postgres = Postgres::shared();
    let url = database(&postgres);
    run(&["--role", "submit", "--jobs", "4", "--payload", "sleep 3000", "--url", &url]);
    let mut worker = start_unread(&["--role", "work", "--url", &url]);
    wait_until(&postgres, &url, &running(4));
    worker.signal("TERM");
    assert_eq!(worker.wait().code(), Some(0));
    check_status(&url, [4, 0, 4]);
}

#[test]
fn a_worker_whose_output_nobody_reads_connects_again() {
    let postgres = Postgres::start();
    let url = database(&postgres);
    run(&["--role", "submit", "--jobs", "200", "--payload", "sleep 20", "--url", &url]);
    let mut worker =
        start_unread(&["--role", "work", "-c", "4", "--lease", "1", "--until-empty", "--url", &url]);
    wait_until(&postgres, &url, "(select count(*) from jobs where state = 'done') >= 10");
    postgres.stop();
    postgres.start_again();
    assert_eq!(worker.wait().code(), Some(0));
    check_status(&url, [200, 0, 200]);
}
