//! Scopes: CPython's own tests for `asyncio.TaskGroup`, as far as they have a meaning here, each
//! with its name in Python; and then borrows, polls and wakes. (Handles, panics and destructors:
//! `scope_faults.rs`.)
//!
//! What was left out is about asynchronous clean-up (`finally` with an `await`), which there is
//! not: what is cancelled is dropped. What the compiler refuses is in `src/refused.rs`, and there
//! are the cases of misuse (`already_entered`, `double_enter`, `not_entered`,
//! `without_parent_task`, `test_taskgroup_finished`). Who waits for whom (`test_stack_tgroup`) is
//! in `dump.rs`, and what a child allocates in `allocations.rs`.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, pending, poll_fn, ready};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use gather::{Builder, Runtime, Scope, now, run, scope, sleep, spawn, yield_now};
use gather_tests::children::{Anchored, Census, Child, Control, Log, child, children, poll_next_turn};
use gather_tests::probe::{Probe, elsewhere, letters_are_read, poll_once, some_turns};
use gather_tests::scopes::{Boxed, Outcome, caught, endless, groups_alive, poll_pending};
use gather_tests::watchdog::finishes;
use gather_tests::witness::on_drop;

/// Runs with a clock that leaps over sleeps.
fn run_virtually<F: Future>(future: F) -> F::Output {
    Builder::new().virtual_clock(true).build().unwrap().block_on(future)
}

// ---- CPython's BaseTestTaskGroup

// CPython: test_taskgroup_01
#[test]
fn a_scope_ends_after_its_children_and_their_handles_give_what_they_gave() {
    let (mut sum, mut slept) = (0, Duration::ZERO);
    let given: Outcome<_> = run_virtually(scope(async |s| {
        let begin = now();
        let (sum, slept) = (&mut sum, &mut slept);
        let [one, two] = [1, 2].map(|number| {
            s.spawn(async move {
                sleep(Duration::from_millis(number * 100)).await;
                Ok(number)
            })
        });
        s.spawn(async move {
            *sum = one.await.unwrap() + two.await.unwrap();
            sleep(Duration::from_secs(1)).await;
            *slept = now() - begin;
            Ok(())
        });
        Ok("the body's")
    }));
    assert_eq!((given, sum), (Ok("the body's"), 3));
    assert_eq!(slept, Duration::from_millis(1200));
}

// CPython: test_taskgroup_02
#[test]
fn a_child_may_be_added_after_an_await_in_the_body() {
    let given: Outcome<_> = run(scope(async |s| {
        let one = s.spawn(async { Ok(1) });
        yield_now().await;
        assert!(one.is_finished());
        let two = s.spawn(async {
            yield_now().await;
            Ok(2)
        });
        Ok(one.await.unwrap() + two.await.unwrap())
    }));
    assert_eq!(given, Ok(3));
}

// CPython: test_taskgroup_03
#[test]
fn cancelling_one_child_is_no_failure_and_its_handle_says_cancelled() {
    let census = Census::new();
    let given: Outcome<_> = run(scope(async |s| {
        let cancelled = s.spawn(endless::<(), _>(&census));
        let other = s.spawn(async {
            yield_now().await;
            Ok(7)
        });
        yield_now().await;
        assert_eq!((census.alive(), s.len()), (1, 2));
        cancelled.cancel();
        assert_eq!((census.alive(), s.len()), (0, 1), "dropped before `cancel` has returned");
        assert!(cancelled.is_finished());
        assert!(cancelled.await.unwrap_err().is_cancelled());
        Ok(other.await.unwrap())
    }));
    assert_eq!((given, census.dropped()), (Ok(7), 1));
}

// CPython: test_taskgroup_04
#[test]
fn a_childs_error_cancels_its_siblings_and_the_body_and_is_just_that_error() {
    run(async {
        let (census, log) = (Census::new(), Log::new());
        let mut all: Boxed<'_, Outcome> = Box::pin(scope(async |s| {
            let _guard = census.guard();
            s.spawn(endless::<(), _>(&census));
            s.spawn(async {
                yield_now().await;
                Err::<(), _>("the error")
            });
            s.spawn(endless::<(), _>(&census));
            pending::<()>().await;
            log.note("after");
            Ok(())
        }));
        poll_pending(&mut all).await;
        assert_eq!(census.alive(), 3);
        assert_eq!(poll_next_turn(&mut all).await, Poll::Ready(Err("the error")));
        assert_eq!((census.made(), census.dropped()), (3, 3), "before the future itself is dropped");
        assert_eq!(groups_alive(), 0);
        drop(all);
        assert_eq!(census.dropped(), 3);
        assert!(log.take().is_empty());
    });
}

// CPython: test_cancel_children_on_child_error
#[test]
fn of_several_children_that_fail_in_one_pass_the_first_that_was_woken_gives_the_error_and_the_body_is_cancelled()
 {
    run(async {
        for first in 0..3 {
            let census = Census::new();
            let (controls, futures) = children::<Result<(), usize>>(3);
            let mut all: Boxed<'_, Result<(), usize>> = Box::pin(scope(async |s| {
                futures.into_iter().for_each(|future| drop(s.spawn(future)));
                endless(&census).await
            }));
            poll_pending(&mut all).await;
            for index in [first, (first + 1) % 3, (first + 2) % 3] {
                controls[index].finish(Err(index));
            }
            assert_eq!(poll_next_turn(&mut all).await, Poll::Ready(Err(first)));
            assert_eq!((census.made(), census.dropped()), (1, 1));
            assert!(controls.iter().all(Control::is_dropped));
            let polls: usize = controls.iter().map(Control::polls).sum();
            assert_eq!(polls, 4, "nobody was asked after the first error");
        }
    });
}

// CPython: test_cancellation
#[test]
fn cancelling_the_task_of_a_scope_drops_every_child() {
    run(async {
        let census = Rc::new(Census::new());
        let (seen, log) = (census.clone(), Log::new());
        let after = log.clone();
        let task = spawn(async move {
            let given: Outcome = scope(async |s| {
                (0..5).for_each(|_| drop(s.spawn(endless::<(), _>(&seen))));
                Ok(())
            })
            .await;
            after.note(given);
        });
        some_turns().await;
        assert_eq!(census.alive(), 5);
        task.cancel();
        assert_eq!((census.made(), census.dropped()), (5, 5));
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(log.take().is_empty());
        assert_eq!(groups_alive(), 0);
    });
}

// CPython: test_taskgroup_07
#[test]
fn cancelling_the_task_of_a_scope_drops_the_body_too_and_first() {
    run(async {
        let log = Log::new();
        let notes = log.clone();
        let task = spawn(async move {
            let given: Outcome = scope(async |s| {
                for index in 0..5 {
                    let note = notes.note_on_drop(index);
                    s.spawn(async move {
                        let _note = note;
                        pending::<Outcome>().await
                    });
                }
                let _note = notes.note_on_drop(100);
                pending().await
            })
            .await;
            given
        });
        some_turns().await;
        drop(task);
        assert_eq!(log.take(), [100, 0, 1, 2, 3, 4]);
    });
}

// CPython: test_taskgroup_09
#[test]
fn an_error_of_the_body_after_an_await_cancels_the_children() {
    run(async {
        let census = Census::new();
        let given = scope(async |s| {
            (0..5).for_each(|_| drop(s.spawn(endless::<(), _>(&census))));
            yield_now().await;
            assert_eq!(census.alive(), 5);
            Err::<(), _>("the body's")
        })
        .await;
        assert_eq!((given, census.made(), census.dropped()), (Err("the body's"), 5, 5));
    });
}

// CPython: test_taskgroup_10
#[test]
fn an_error_of_the_body_before_the_children_ran_drops_them_unpolled() {
    run(async {
        let (controls, futures) = children::<Outcome>(5);
        let given = scope(async |s| {
            futures.into_iter().for_each(|future| drop(s.spawn(future)));
            Err::<(), _>("the body's")
        })
        .await;
        assert_eq!(given, Err("the body's"));
        assert!(controls.iter().all(|control| control.is_dropped() && control.polls() == 0));
    });
}

// CPython: test_taskgroup_13
#[test]
fn an_error_beside_an_inner_scope_drops_it_with_its_children_and_is_just_that_error() {
    run(async {
        let census = Census::new();
        let given: Outcome = scope(async |outer| {
            outer.spawn(async {
                yield_now().await;
                Err::<(), _>("of the outer")
            });
            scope(async |inner| {
                (0..3).for_each(|_| drop(inner.spawn(endless::<(), _>(&census))));
                endless(&census).await
            })
            .await
        })
        .await;
        assert_eq!((given, census.made(), census.dropped()), (Err("of the outer"), 4, 4));
        assert_eq!(groups_alive(), 0);
    });
}

// CPython: test_taskgroup_14
#[test]
fn an_error_in_an_inner_scope_is_the_error_that_the_inner_scope_gives_and_is_not_wrapped() {
    run(async {
        let census = Census::new();
        let given: Outcome = scope(async |outer| {
            outer.spawn(endless::<(), _>(&census));
            let inner: Outcome = scope(async |inner| {
                inner.spawn(async {
                    yield_now().await;
                    Err::<(), _>("of the inner")
                });
                endless(&census).await
            })
            .await;
            assert_eq!((inner, census.alive()), (Err("of the inner"), 1), "the outer one goes on");
            inner
        })
        .await;
        assert_eq!((given, census.alive()), (Err("of the inner"), 0));
    });
}

// CPython: test_taskgroup_17
#[test]
fn a_scope_without_children_is_as_its_body_and_goes_with_it() {
    run(async {
        assert_eq!(scope(async |_| Ok::<_, ()>(1)).await, Ok(1));
        assert_eq!(scope(async |_| Err::<(), _>(1)).await, Err(1));
        let census = Census::new();
        let mut all: Boxed<'_, Outcome> = Box::pin(scope(async |_| endless(&census).await));
        poll_pending(&mut all).await;
        assert_eq!(census.alive(), 1);
        drop(all);
        assert_eq!((census.made(), census.dropped(), groups_alive()), (1, 1, 0));
    });
}

// CPython: test_taskgroup_20
#[test]
fn a_panic_of_the_body_while_it_is_cancelled_beats_the_error_that_cancelled_it() {
    run(async {
        let census = Census::new();
        let mut all: Boxed<'_, Outcome> = Box::pin(scope(async |s| {
            s.spawn(async {
                yield_now().await;
                Err::<(), _>("the error")
            });
            s.spawn(endless::<(), _>(&census));
            let _cleanup = on_drop(|| panic!("the clean-up's"));
            pending().await
        }));
        assert_eq!(caught(&mut all).await, "the clean-up's");
        assert_eq!((census.made(), census.dropped()), (1, 1), "the others were dropped first");
    });
}

// CPython: _test_taskgroup_21, which crashes its loop
#[test]
fn a_panic_of_a_child_ends_the_scope_with_that_panic_and_all_others_are_dropped_first() {
    run(async {
        for later in [false, true] {
            for index in [0, 25, 49] {
                let census = Census::new();
                let mut all: Boxed<'_, Outcome> = Box::pin(scope(async |s| {
                    for child in 0..50 {
                        let census = &census;
                        s.spawn(async move {
                            let _guard = census.guard();
                            if child != index {
                                pending::<()>().await;
                            }
                            if later {
                                yield_now().await;
                            }
                            panic!("child {child}");
                            #[expect(unreachable_code, reason = "it says what the child gives")]
                            Ok(())
                        });
                    }
                    endless(&census).await
                }));
                assert_eq!(caught(&mut all).await, format!("child {index}"));
                assert_eq!(census.alive(), 0);
                assert!(census.made() >= index + 2, "the body and those before it");
                assert_eq!(groups_alive(), 0);
            }
        }
    });
}

// CPython: test_taskgroup_22
#[test]
fn a_scope_that_is_cancelled_soon_after_its_start_drops_what_there_is() {
    run(async {
        for polls in 0..4 {
            let census = Census::new();
            let body = census.guard();
            let mut all: Boxed<'_, Outcome> = Box::pin(scope(async |s| {
                let _body = body;
                for _ in 0..3 {
                    let guard = census.guard();
                    s.spawn(async move {
                        let _guard = guard;
                        pending::<Outcome>().await
                    });
                    yield_now().await;
                }
                pending().await
            }));
            for _ in 0..polls {
                poll_pending(&mut all).await;
            }
            assert_eq!(census.made(), 1 + polls.min(3));
            drop(all);
            assert_eq!(census.alive(), 0);
        }
    });
}

// CPython: test_taskgroup_23
#[test]
fn children_that_have_ended_leave_the_scope() {
    run(async {
        let given: Outcome = scope(async |s| {
            assert!(s.is_empty());
            let tasks: Vec<_> = (0..10).map(|_| s.spawn(yield_twice())).collect();
            assert_eq!(s.len(), 10);
            for task in tasks {
                task.await.unwrap();
            }
            assert!(s.is_empty());
            // Each takes the place of the one before.
            for _ in 0..1000 {
                s.spawn(yield_twice());
                assert_eq!(s.len(), 1);
                while !s.is_empty() {
                    yield_now().await;
                }
            }
            Ok(())
        })
        .await;
        assert_eq!(given, Ok(()));
    });
}

async fn yield_twice() -> Outcome {
    yield_now().await;
    yield_now().await;
    Ok(())
}

// CPython: test_taskgroup_24
#[test]
fn a_child_may_spawn_after_the_body_has_ended_and_the_scope_waits_for_grandchildren() {
    async fn descend<'scope>(
        s: &'scope Scope<'scope, '_, Infallible>,
        depth: u32,
        log: &'scope Log<u32>,
    ) -> Result<(), Infallible> {
        yield_now().await;
        log.note(depth);
        if depth < 5 {
            let child: Boxed<'scope, _> = Box::pin(descend(s, depth + 1, log));
            s.spawn(child);
        }
        Ok(())
    }
    let log = Log::new();
    let given = run(scope(async |s| {
        s.spawn(descend(s, 0, &log));
        Ok(())
    }));
    assert_eq!((given, log.take()), (Ok(()), vec![0, 1, 2, 3, 4, 5]));
}

/// A child that spawns two children and ends; the one with the number `fails` fails.
fn hydra<'scope>(
    s: &'scope Scope<'scope, '_, usize>,
    heads: &'scope Cell<usize>,
    alive: &'scope Census,
    fails: usize,
) -> Boxed<'scope, Result<(), usize>> {
    Box::pin(async move {
        let _guard = alive.guard();
        heads.set(heads.get() + 1);
        let head = heads.get();
        yield_now().await;
        if head == fails {
            return Err(head);
        }
        s.spawn(hydra(s, heads, alive, fails));
        s.spawn(hydra(s, heads, alive, fails));
        Ok(())
    })
}

// CPython: test_taskgroup_25
#[test]
fn a_hydra_that_grows_two_heads_for_each_ends_promptly_with_an_error() {
    finishes(|| {
        run(async {
            for fails in [1, 2, 100, 10_000] {
                let (heads, alive) = (Cell::new(0), Census::new());
                let given = scope(async |s| {
                    s.spawn(hydra(s, &heads, &alive, fails));
                    Ok(())
                })
                .await;
                assert_eq!((given, alive.alive()), (Err(fails), 0));
                assert!(heads.get() <= 2 * fails + 2, "{} heads for {fails}", heads.get());
                assert_eq!(groups_alive(), 0);
            }
        });
    });
}

// CPython: test_taskgroup_task_name, test_name
#[test]
fn a_name_is_with_the_handle_and_shows_in_the_scope_while_the_child_runs() {
    let given: Outcome = run(scope(async |s| {
        let named = s.spawn_named("reader", async move {
            assert_eq!(format!("{s:?}"), r#"Scope { len: 2, named: ["reader"] }"#);
            Ok(())
        });
        let unnamed = s.spawn(yield_twice());
        assert_eq!((named.name(), unnamed.name()), (Some("reader"), None));
        assert_eq!(format!("{named:?}"), r#"ScopedTask { name: "reader", finished: false }"#);
        assert_eq!(format!("{unnamed:?}"), "ScopedTask { finished: false }");
        yield_now().await;
        // Its place goes to a child without a name.
        s.spawn(async { Ok(()) });
        assert_eq!(format!("{s:?}"), "Scope { len: 2, named: [] }");
        assert_eq!(format!("{named:?}"), r#"ScopedTask { name: "reader", finished: true }"#);
        Ok(())
    }));
    assert_eq!(given, Ok(()));
}

// CPython: test_taskgroup_no_create_task_after_failure, test_coro_closed_when_tg_closed
#[test]
fn a_spawn_into_a_scope_that_is_ending_drops_the_future_and_its_handle_says_cancelled() {
    run(async {
        for end in ["error", "panic", "drop"] {
            let (log, refused) = (Log::new(), Census::new());
            let mut all: Boxed<'_, Outcome> = Box::pin(scope(async |s| {
                for _ in 0..3 {
                    let (log, refused) = (&log, &refused);
                    s.spawn(async move {
                        let _spawns = on_drop(|| {
                            let guard = refused.guard();
                            let child = s.spawn(async move {
                                let _guard = guard;
                                unreachable!("it is not polled");
                                #[expect(unreachable_code, reason = "it says what the child gives")]
                                Ok(())
                            });
                            let named = s.spawn_named("refused", async { Ok(()) });
                            child.cancel();
                            log.note((child.is_finished(), s.len(), named.name() == Some("refused")));
                            let mut child = child;
                            match poll_once(&mut child, Waker::noop()) {
                                Poll::Ready(Err(error)) => assert!(error.is_cancelled()),
                                other => panic!("not cancelled: {other:?}"),
                            }
                        });
                        pending::<Outcome>().await
                    });
                }
                s.spawn(async move {
                    yield_now().await;
                    assert!(end != "panic", "the child's");
                    if end == "error" { Err::<(), _>("the error") } else { pending().await }
                });
                pending().await
            }));
            poll_pending(&mut all).await;
            match end {
                "error" => assert_eq!(poll_next_turn(&mut all).await, Poll::Ready(Err("the error"))),
                "panic" => assert_eq!(caught(&mut all).await, "the child's"),
                _ => drop(all),
            }
            assert_eq!(log.take(), [(true, 0, true); 3], "{end}");
            assert_eq!((refused.made(), refused.dropped()), (3, 3), "{end}");
        }
    });
}

// CPython: test_cancelling_level_preserved, test_cancellation_does_not_leak_out_of_tg
#[test]
fn after_an_error_that_was_handled_the_parent_runs_on_as_ever() {
    run(async {
        let task = spawn(async {
            for round in 0..3 {
                let failed: Outcome = scope(async |s| {
                    s.spawn(async { Err::<(), _>("the error") });
                    pending().await
                })
                .await;
                assert_eq!(failed, Err("the error"));
                yield_now().await;
                let given: Outcome<_> =
                    scope(async |s| Ok(s.spawn(async { Ok(round) }).await.unwrap())).await;
                assert_eq!(given, Ok(round));
            }
            "to the end"
        });
        assert_eq!(task.await.unwrap(), "to the end");
    });
}

// CPython: test_nested_groups_both_cancelled
#[test]
fn when_an_inner_and_an_outer_child_fail_at_once_the_inner_error_can_be_handled_and_the_outer_one_comes() {
    run(async {
        let (controls, futures) = children::<Outcome>(2);
        let handled = Log::new();
        let mut all: Boxed<'_, Outcome> = Box::pin(scope(async |outer| {
            let [inner_child, outer_child] = <[Child<Outcome>; 2]>::try_from(futures).ok().unwrap();
            outer.spawn(outer_child);
            let inner: Outcome = scope(async |inner| {
                inner.spawn(inner_child);
                Ok(())
            })
            .await;
            handled.note(inner);
            Ok(())
        }));
        poll_pending(&mut all).await;
        controls[0].finish(Err("of the inner"));
        controls[1].finish(Err("of the outer"));
        assert_eq!(poll_next_turn(&mut all).await, Poll::Ready(Err("of the outer")));
        assert_eq!(handled.take(), [Err("of the inner")]);
    });
}

// CPython: test_error_and_cancel
#[test]
fn an_error_and_a_cancellation_of_the_parent_at_once_end_in_the_cancellation() {
    run(async {
        let (control, failing) = child::<Outcome>();
        let log = Log::new();
        let after = log.clone();
        let task = spawn(async move {
            let given: Outcome = scope(async |s| {
                s.spawn(failing);
                pending().await
            })
            .await;
            after.note(given);
        });
        some_turns().await;
        control.finish(Err("too late"));
        task.cancel();
        assert!(control.is_dropped());
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(log.take().is_empty());
    });
}

// CPython: test_exception_refcycles_direct, test_exception_refcycles_errors,
// test_exception_refcycles_base_error
#[test]
fn nothing_is_kept_of_errors_outputs_and_children_after_the_end_though_their_wakers_are() {
    run(async {
        for end in ["error", "panic", "drop", "success"] {
            let shared = Rc::new(());
            let probe = Probe::new();
            let mut all: Boxed<'_, Result<Rc<()>, Rc<()>>> = Box::pin(scope(async |s| {
                let held = shared.clone();
                let kept = s.spawn_named("kept", async { Ok(shared.clone()) }); // an output that nobody takes
                s.spawn(probe.watch(async {
                    let held = shared.clone();
                    yield_now().await;
                    yield_now().await;
                    match end {
                        "error" => return Err(held),
                        "panic" => panic!("the child's"),
                        "success" => {}
                        _ => pending().await,
                    }
                    Ok(held)
                }));
                s.spawn(ready(Ok(shared.clone())));
                while !kept.is_finished() {
                    yield_now().await;
                }
                Ok(held)
            }));
            poll_pending(&mut all).await;
            poll_pending(&mut all).await;
            let waker = probe.waker();
            match end {
                "drop" => drop(all),
                "panic" => {
                    assert_eq!(caught(&mut all).await, "the child's");
                    drop(all);
                }
                _ => {
                    let given = all.await;
                    assert_eq!(given.is_ok(), end == "success");
                    assert_eq!(Rc::strong_count(&shared), 2, "{end}");
                }
            }
            assert_eq!(Rc::strong_count(&shared), 1, "{end}");
            waker.wake_by_ref();
            some_turns().await;
        }
        assert_eq!(groups_alive(), 0);
    });
}

// CPython: test_exception_refcycles_parent_task, test_exception_refcycles_parent_task_wr,
// test_exception_refcycles_propagate_cancellation_error
#[test]
fn nothing_is_kept_of_the_task_of_a_scope_after_an_error_or_its_cancellation_though_wakers_of_its_children_are()
 {
    run(async {
        for is_cancelled in [false, true] {
            let shared = Rc::new(());
            let probe = Probe::new();
            let (of_task, of_child, watching) = (shared.clone(), shared.clone(), probe.clone());
            let task = spawn(async move {
                let _of_task = of_task;
                scope(async |s| {
                    let of_child = of_child.clone();
                    s.spawn(watching.watch(async move {
                        let _of_child = of_child;
                        pending::<Outcome>().await
                    }));
                    s.spawn(async move {
                        yield_now().await;
                        if is_cancelled { pending().await } else { Err::<(), _>("the error") }
                    });
                    pending::<Outcome>().await
                })
                .await
            });
            some_turns().await;
            if is_cancelled {
                task.cancel();
                assert_eq!(Rc::strong_count(&shared), 1, "at once");
                assert!(task.await.unwrap_err().is_cancelled());
            } else {
                assert_eq!(task.await.unwrap(), Err("the error"));
            }
            assert_eq!((Rc::strong_count(&shared), groups_alive()), (1, 0));
            probe.waker().wake();
            some_turns().await;
            assert_eq!(probe.polls(), 1);
        }
    });
}

// CPython: test_cancels_task_if_created_during_creation
#[test]
fn a_child_that_is_spawned_by_a_child_in_its_first_poll_is_dropped_with_the_others_if_that_one_or_a_sibling_fails()
 {
    run(async {
        for is_own_failure in [true, false] {
            let (census, polled) = (Census::new(), Cell::new(0));
            let given: Outcome = scope(async |s| {
                let never = || async {
                    let _guard = census.guard();
                    polled.set(polled.get() + 1);
                    pending::<Outcome>().await
                };
                s.spawn(never());
                s.spawn(async move {
                    s.spawn(never());
                    if is_own_failure { Err::<(), _>("the error") } else { Ok(()) }
                });
                s.spawn(async move {
                    let handle = s.spawn(never());
                    handle.cancel();
                    Err::<(), _>("the error")
                });
                s.spawn(never());
                pending().await
            })
            .await;
            assert_eq!(given, Err("the error"), "{is_own_failure}");
            // The first was polled before the failure, and those that were spawned meanwhile were
            // behind it.
            assert_eq!((polled.get(), census.made(), census.alive(), groups_alive()), (1, 1, 0, 0));
        }
    });
}

// ---- Borrows

#[test]
fn children_may_borrow_what_lives_outside_also_mutably_and_the_scope_itself() {
    let names = [String::from("ann"), String::from("bob")];
    let mut lengths = [0; 2];
    let visits = Cell::new(0);
    let mut grandchild = 0;
    let given: Outcome<&str> = run(async {
        scope(async |s| {
            for (name, length) in names.iter().zip(&mut lengths) {
                let visits = &visits;
                s.spawn(async move {
                    yield_now().await;
                    *length = name.len();
                    visits.set(visits.get() + 1);
                    Ok(())
                });
            }
            s.spawn(async {
                s.spawn(async {
                    grandchild += 1; // not moved: borrowed from outside, through the body and the child
                    Ok(())
                });
                Ok(())
            });
            yield_now().await;
            Ok(names[0].as_str())
        })
        .await
    });
    assert_eq!((given, lengths, visits.get(), grandchild), (Ok("ann"), [3, 3], 2, 1));
}

#[test]
fn an_error_and_an_output_may_borrow_what_lives_outside() {
    let text = String::from("borrowed");
    let given: Result<&str, &str> = run(scope(async |s| {
        let child = s.spawn(async { Ok(text.as_str()) });
        Ok(child.await.unwrap())
    }));
    assert_eq!(given, Ok("borrowed"));
    let given: Result<(), &str> = run(scope(async |s| {
        s.spawn(async { Err::<(), _>(text.as_str()) });
        Ok(())
    }));
    assert_eq!(given, Err("borrowed"));
}

#[test]
fn children_that_must_not_move_do_not_move() {
    run(async {
        let moves = Log::new();
        let (controls, futures) = children::<Outcome>(200);
        let mut all: Boxed<'_, Outcome> = Box::pin(scope(async |s| {
            futures.into_iter().for_each(|future| drop(s.spawn(Anchored::new(future, &moves))));
            Ok(())
        }));
        for control in &controls {
            poll_pending(&mut all).await;
            control.wake();
            poll_pending(&mut all).await;
            control.finish(Ok(()));
        }
        assert_eq!(all.await, Ok(()));
        assert!(moves.take().is_empty());
    });
}

#[test]
fn a_scope_that_is_leaked_drops_nothing_and_harms_nobody() {
    run(async {
        let census = Rc::new(Census::new());
        let seen = census.clone();
        let mut all: Boxed<'static, Outcome> = Box::pin(async move {
            scope(async |s| {
                s.spawn(endless::<(), _>(&seen));
                pending().await
            })
            .await
        });
        poll_pending(&mut all).await;
        std::mem::forget(all);
        some_turns().await;
        assert_eq!((census.made(), census.dropped()), (1, 0));
    });
}

// ---- Polls and wakes

#[test]
fn a_child_that_was_not_woken_is_not_polled_nor_is_the_body() {
    run(async {
        let (controls, futures) = children::<Outcome>(100);
        let body = Probe::new();
        let mut all: Boxed<'_, Outcome> = Box::pin(scope(async |s| {
            futures.into_iter().for_each(|future| drop(s.spawn(future)));
            body.never().await;
            Ok(())
        }));
        for _ in 0..5 {
            poll_pending(&mut all).await; // a poll that nobody asked for polls nobody
        }
        for (round, index) in [42, 7, 42, 99].into_iter().enumerate() {
            let before = controls[index].polls();
            controls[index].wake();
            controls[index].wake();
            poll_pending(&mut all).await;
            let polls: usize = controls.iter().map(Control::polls).sum();
            assert_eq!((controls[index].polls(), polls), (before + 1, 101 + round));
        }
        assert_eq!(body.polls(), 1);
        body.waker().wake();
        poll_pending(&mut all).await;
        let polls: usize = controls.iter().map(Control::polls).sum();
        assert_eq!((body.polls(), polls), (2, 104));
    });
}

#[test]
fn children_are_first_polled_in_the_order_of_their_spawns_and_in_the_poll_in_which_they_were_spawned() {
    run(async {
        let log = Log::new();
        let mut all: Boxed<'_, Outcome> = Box::pin(scope(async |s| {
            for index in 0..3 {
                let log = &log;
                s.spawn(async move {
                    log.note(index);
                    s.spawn(async move {
                        log.note(10 + index);
                        s.spawn(async move {
                            log.note(20 + index);
                            Ok(())
                        });
                        pending::<Outcome>().await
                    });
                    pending::<Outcome>().await
                });
            }
            log.note(-1);
            pending().await
        }));
        poll_pending(&mut all).await;
        assert_eq!(log.take(), [-1, 0, 1, 2, 10, 11, 12, 20, 21, 22]);
    });
}

#[test]
fn a_child_that_a_woken_child_spawns_is_started_in_the_same_poll() {
    run(async {
        let (control, waits) = child::<()>();
        let log = Log::new();
        let mut all: Boxed<'_, Outcome> = Box::pin(scope(async |s| {
            s.spawn(async {
                waits.await;
                s.spawn(async {
                    log.note("spawned");
                    Ok(())
                });
                pending::<Outcome>().await
            });
            Ok(())
        }));
        poll_pending(&mut all).await;
        control.finish(());
        poll_pending(&mut all).await;
        assert_eq!(log.take(), ["spawned"]);
    });
}

#[test]
fn wakes_of_a_hundred_thousand_children_poll_just_those_and_each_once() {
    const COUNT: usize = 100_000;
    run(async {
        let (controls, futures) = children::<Outcome>(COUNT);
        let mut all: Boxed<'_, Outcome> = Box::pin(scope(async |s| {
            futures.into_iter().for_each(|future| drop(s.spawn(future)));
            assert_eq!(s.len(), COUNT);
            Ok(())
        }));
        while controls[COUNT - 1].polls() == 0 {
            poll_pending(&mut all).await;
        }
        let polls = || controls.iter().map(Control::polls).sum::<usize>();
        assert_eq!(polls(), COUNT);
        for round in 0..1000 {
            controls[round * 97].wake();
            poll_pending(&mut all).await;
            assert_eq!(controls[round * 97].polls(), 2);
        }
        assert_eq!(polls(), COUNT + 1000);
        for (index, control) in controls.iter().enumerate() {
            control.finish(Ok(()));
            if index + 1 < COUNT {
                poll_pending(&mut all).await;
            }
        }
        assert_eq!(poll_next_turn(&mut all).await, Poll::Ready(Ok(())));
        assert_eq!(polls(), COUNT + 1000 + COUNT);
    });
}

#[test]
fn a_child_that_wakes_itself_and_a_child_that_spawns_without_end_starve_neither_siblings_nor_tasks() {
    finishes(|| {
        run(async {
            for spawns in [false, true] {
                let (control, sibling) = child::<Outcome>();
                let other = spawn(async {
                    for _ in 0..100 {
                        yield_now().await;
                    }
                });
                let rounds = Cell::new(0u32);
                let round = || {
                    rounds.set(rounds.get() + 1);
                    assert!(rounds.get() < 10_000_000, "the others starve");
                };
                fn chain<'scope>(
                    s: &'scope Scope<'scope, '_, &'static str>,
                    round: &'scope dyn Fn(),
                ) -> Boxed<'scope, Outcome> {
                    Box::pin(async move {
                        round();
                        s.spawn(chain(s, round));
                        Ok(())
                    })
                }
                let given: Outcome = scope(async |s| {
                    s.spawn(sibling);
                    if spawns {
                        s.spawn(chain(s, &round));
                    } else {
                        s.spawn(poll_fn(|cx| {
                            round();
                            cx.waker().wake_by_ref();
                            Poll::<Outcome>::Pending
                        }));
                    }
                    other.await.unwrap();
                    control.finish(Err("done"));
                    Ok(())
                })
                .await;
                assert_eq!(given, Err("done"));
            }
        });
    });
}

#[test]
fn a_wake_that_comes_while_children_are_polled_is_not_lost_whoever_it_is_for() {
    finishes(|| {
        run(async {
            // Each child, when polled for the first time, wakes the one before it, which waits
            // already; at the second, itself.
            let wakers = RefCell::new(vec![None::<Waker>; 30]);
            let given: Outcome = scope(async |s| {
                for index in 0..30usize {
                    let wakers = &wakers;
                    let mut polls = 0;
                    s.spawn(poll_fn(move |cx| {
                        wakers.borrow_mut()[index] = Some(cx.waker().clone());
                        polls += 1;
                        let whom = if polls == 1 { index.checked_sub(1) } else { Some(29) };
                        let waker = whom.and_then(|whom| wakers.borrow()[whom].clone());
                        waker.into_iter().for_each(Waker::wake);
                        if polls == 2 { Poll::Ready(Ok(())) } else { Poll::Pending }
                    }));
                }
                Ok(())
            })
            .await;
            assert_eq!(given, Ok(()));
        })
    });
}

#[test]
fn wakes_from_other_threads_reach_the_children_and_no_others() {
    finishes(|| {
        run(async {
            let (controls, futures) = children::<Outcome>(64);
            let controls = Arc::new(controls);
            let wake_all = controls.clone();
            let given: Outcome = scope(async |s| {
                futures.into_iter().for_each(|future| drop(s.spawn(future)));
                yield_now().await;
                elsewhere(move || wake_all[7].wake()).await;
                let polls: Vec<_> = controls.iter().map(Control::polls).collect();
                assert!(polls.iter().enumerate().all(|(index, polls)| *polls == 1 + usize::from(index == 7)));
                let threads: Vec<_> = (0..4)
                    .map(|thread| {
                        let controls = controls.clone();
                        std::thread::spawn(move || {
                            for index in (0..64).filter(|index| index % 4 == thread) {
                                controls[index].finish(Ok(()));
                            }
                        })
                    })
                    .collect();
                while !s.is_empty() {
                    yield_now().await;
                }
                threads.into_iter().for_each(|thread| thread.join().unwrap());
                Ok(())
            })
            .await;
            assert_eq!(given, Ok(()));
        });
    });
}

#[test]
fn late_wakes_of_a_child_that_has_ended_do_not_poll_the_one_in_its_place() {
    run(async {
        let (controls, futures) = children::<Outcome>(3);
        let mut futures = futures.into_iter();
        let given: Outcome = scope(async |s| {
            let first = s.spawn(futures.next().unwrap());
            let second = s.spawn(futures.next().unwrap());
            yield_now().await;
            let late = [controls[0].waker(), controls[1].waker()];
            controls[0].finish(Ok(()));
            first.await.unwrap();
            second.cancel();
            yield_now().await;
            s.spawn(futures.next().unwrap());
            yield_now().await;
            late.iter().for_each(Waker::wake_by_ref);
            let elsewhere_too = late.clone();
            elsewhere(move || elsewhere_too.iter().for_each(Waker::wake_by_ref)).await;
            assert_eq!(controls[2].polls(), 1);
            controls[2].finish(Ok(()));
            Ok(())
        })
        .await;
        assert_eq!(given, Ok(()));
    });
}

#[test]
fn a_scope_may_go_to_another_runtime_between_polls_and_there_cancelling_still_works() {
    let (here, there) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let (controls, futures) = children::<Outcome>(10);
    let cancel = Cell::new(false);
    let body = Probe::new();
    let mut all: Boxed<'_, Outcome> = Box::pin(scope(async |s| {
        let tasks: Vec<_> = futures.into_iter().map(|future| s.spawn(future)).collect();
        poll_fn(|cx| {
            body.note(cx);
            if cancel.get() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        tasks[3].cancel();
        let cancelled = tasks.into_iter().nth(3).unwrap().await;
        assert!(cancelled.unwrap_err().is_cancelled());
        Ok(())
    }));
    assert!(here.block_on(poll_next_turn(&mut all)).is_pending());
    assert!(there.block_on(poll_next_turn(&mut all)).is_pending());
    assert!(controls.iter().all(|control| control.polls() == 2), "each has learnt its new waker");
    there.block_on(async {
        cancel.set(true);
        body.waker().wake();
        poll_pending(&mut all).await;
        assert!(controls[3].is_dropped());
        controls.iter().for_each(|control| control.finish(Ok(())));
        assert_eq!(poll_next_turn(&mut all).await, Poll::Ready(Ok(())));
    });
    here.block_on(letters_are_read()); // it learns by a message that it has the scope no more
    assert_eq!((here.metrics().groups_alive(), there.metrics().groups_alive()), (0, 0));
}

#[test]
#[should_panic(expected = "a scope needs a runtime, and none runs on this thread")]
fn a_poll_without_a_runtime_panics() {
    let mut all: Boxed<'_, Outcome> = Box::pin(scope(async |_| Ok(())));
    let _ = poll_once(&mut all, Waker::noop());
}
