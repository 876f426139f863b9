//! The bridges to a tokio runtime: what happens without one, and what each reaches. The programs
//! of the guide's page about them are those of `reqwest.rs`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use gather::{run, timeout};
use gather_ecosystem::bridge::{one_worker, over_each_bridge};
use gather_tests::watchdog::finishes;
use tokio::runtime::Builder;

#[test]
fn without_a_bridge_tokio_panics_and_says_what_is_missing() {
    let sleeps = || run(async { tokio::time::sleep(Duration::from_millis(1)).await });
    let panic = catch_unwind(AssertUnwindSafe(sleeps)).expect_err("there is no tokio runtime");
    let said = panic.downcast_ref::<String>().expect("a message");
    assert!(said.contains("there is no reactor running"), "{said}");
}

#[test]
fn tasks_and_timers_of_tokio_run_over_each_bridge() {
    over_each_bridge(async || {
        let task = tokio::spawn(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            42
        });
        assert_eq!(task.await.expect("it does not panic"), 42);
    });
}

#[test]
fn a_tokio_runtime_that_is_entered_reaches_the_tasks_of_gather_and_async_compat_only_what_it_wraps() {
    let spawned = async || {
        let task = gather::spawn(async { tokio::runtime::Handle::try_current().is_ok() });
        task.await.expect("it does not panic")
    };
    finishes(move || {
        let tokio = one_worker();
        let _entered = tokio.enter();
        assert!(run(spawned()));
    });
    finishes(move || assert!(!run(async_compat::Compat::new(spawned()))));
}

#[test]
fn an_entered_current_thread_runtime_accepts_tasks_and_timers_and_drives_neither() {
    finishes(|| {
        let tokio = Builder::new_current_thread().enable_all().build().expect("it needs no thread");
        let entered = tokio.enter();
        let mut task = tokio::spawn(async { 42 });
        let mut timer = Box::pin(tokio::time::sleep(Duration::from_millis(1)));
        let limit = Duration::from_millis(50);
        run(timeout(limit, &mut task)).map(drop).expect_err("nothing runs it");
        run(timeout(limit, &mut timer)).expect_err("nothing fires it");
        drop(entered);
        // Both only waited for this.
        assert_eq!(tokio.block_on(task).expect("it does not panic"), 42);
        tokio.block_on(timer);
    });
}

#[test]
fn the_guide_shows_programs_that_run_in_these_tests() {
    let page = include_str!("../../gather/src/guide/libraries_that_want_tokio.rs");
    let page: Vec<_> = page.lines().map(|line| line.strip_prefix("//!").unwrap_or(line)).collect();
    let page: Vec<_> = page.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    let page = page.join("\n");
    let programs: Vec<_> =
        page.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(programs.len() >= 2, "{programs:?}");
    for program in programs {
        assert!(include_str!("reqwest.rs").contains(program), "the tests have no such program:\n{program}");
    }
}
