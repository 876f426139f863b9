//! Scopes whose children are cancelled, panic, and do things in their destructors: alone, in one
//! another, and at random.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use gather::group::Group;
use gather::{Builder, Handle, Scope, ScopedTask, gather, run, scope, sleep, spawn, timeout, yield_now};
use gather_tests::alone::alone;
use gather_tests::children::{Census, Child, Log, child, children, counting_waker, poll_next_turn};
use gather_tests::foreign;
use gather_tests::probe::poll_once;
use gather_tests::random::Random;
use gather_tests::scopes::{Boxed, Outcome, caught, endless, groups_alive, poll_pending, said};
use gather_tests::watchdog::finishes;
use gather_tests::witness::on_drop;

/// Runs with a clock that leaps over sleeps.
fn run_virtually<F: Future>(future: F) -> F::Output {
    Builder::new().virtual_clock(true).build().unwrap().block_on(future)
}

// ---- Handles

#[test]
fn dropping_a_handle_lets_the_child_go_on_and_its_output_is_dropped_when_it_comes() {
    run(async {
        let outputs = Census::new();
        let (control, waits) = child::<()>();
        let given: Outcome = scope(async |s| {
            drop(s.spawn(async {
                waits.await;
                Ok(outputs.guard())
            }));
            yield_now().await;
            assert_eq!(s.len(), 1);
            control.finish(());
            while !s.is_empty() {
                yield_now().await;
            }
            assert_eq!((outputs.made(), outputs.dropped()), (1, 1));
            // And one that is there when the handle goes.
            let task = s.spawn(async { Ok(outputs.guard()) });
            yield_now().await;
            assert_eq!((task.is_finished(), outputs.alive()), (true, 1));
            drop(task);
            assert_eq!((outputs.made(), outputs.dropped()), (2, 2));
            Ok(())
        })
        .await;
        assert_eq!(given, Ok(()));
    });
}

#[test]
fn a_handle_wakes_the_one_who_polled_it_last_once_and_nobody_when_it_was_dropped() {
    run(async {
        let given: Outcome = scope(async |s| {
            let (controls, futures) = children::<Outcome<u32>>(2);
            let mut tasks = futures.into_iter().map(|future| s.spawn(future));
            let (mut task, mut dropped) = (tasks.next().unwrap(), tasks.next().unwrap());
            let (first_wakes, first) = counting_waker();
            let (last_wakes, last) = counting_waker();
            assert!(poll_once(&mut task, &first).is_pending());
            assert!(poll_once(&mut task, &last).is_pending());
            assert!(poll_once(&mut task, &last).is_pending());
            assert!(poll_once(&mut dropped, &first).is_pending());
            drop(dropped);
            controls.iter().for_each(|control| control.prepare(Ok(7)));
            yield_now().await;
            assert_eq!((first_wakes.get(), last_wakes.get()), (0, 1));
            assert_eq!(poll_once(&mut task, &last).map(Result::unwrap), Poll::Ready(7));
            Ok(())
        })
        .await;
        assert_eq!(given, Ok(()));
    });
}

#[test]
#[should_panic(expected = "a `ScopedTask` was polled after it had given its output")]
fn a_handle_that_is_polled_again_after_its_output_panics_and_says_why() {
    let given: Outcome = run(scope(async |s| {
        let mut task = s.spawn(async { Ok(()) });
        poll_fn(|cx| Pin::new(&mut task).poll(cx)).await.unwrap();
        poll_fn(|cx| Pin::new(&mut task).poll(cx)).await.unwrap();
        Ok(())
    }));
    given.unwrap();
}

#[test]
fn a_sibling_may_await_a_handle_and_is_told_of_the_output_and_of_a_cancellation() {
    run(async {
        let log = Log::new();
        let (control, waits) = child::<Outcome<u32>>();
        let given: Outcome = scope(async |s| {
            let finishes = s.spawn(waits);
            let cancelled = s.spawn(pending::<Outcome<u32>>());
            s.spawn(async {
                log.note(finishes.await.ok());
                Ok(())
            });
            let cancelled = Rc::new(RefCell::new(cancelled));
            let awaited = cancelled.clone();
            s.spawn(async {
                let output = poll_fn(move |cx| Pin::new(&mut *awaited.borrow_mut()).poll(cx)).await;
                log.note(output.ok());
                Ok(())
            });
            yield_now().await;
            control.finish(Ok(7));
            yield_now().await;
            assert_eq!(log.take(), [Some(7)]);
            cancelled.borrow().cancel();
            yield_now().await;
            assert!(s.is_empty());
            Ok(())
        })
        .await;
        assert_eq!((given, log.take()), (Ok(()), vec![None]));
    });
}

// ---- Cancelling

#[test]
fn a_child_that_is_cancelled_before_its_first_poll_is_dropped_at_once_and_never_polled() {
    run(async {
        let given: Outcome = scope(async |s| {
            let (control, future) = child::<Outcome>();
            let task = s.spawn(future);
            task.cancel();
            task.cancel();
            assert!(control.is_dropped());
            assert!(s.is_empty() && task.is_finished());
            assert!(task.await.unwrap_err().is_cancelled());
            yield_now().await;
            assert_eq!(control.polls(), 0);
            Ok(())
        })
        .await;
        assert_eq!(given, Ok(()));
    });
}

#[test]
fn cancelling_a_child_that_has_ended_changes_nothing_nor_does_it_touch_the_one_in_its_place() {
    run(async {
        let given: Outcome = scope(async |s| {
            let old = s.spawn(async { Ok(7) });
            let gone = s.spawn(pending::<Outcome>());
            yield_now().await;
            gone.cancel();
            yield_now().await;
            let (control, futures) = children::<Outcome>(2);
            let tasks: Vec<_> = futures.into_iter().map(|future| s.spawn(future)).collect();
            yield_now().await;
            old.cancel();
            gone.cancel();
            assert!(control.iter().all(|control| !control.is_dropped()));
            assert_eq!(old.await.unwrap(), 7);
            assert!(gone.await.unwrap_err().is_cancelled());
            tasks.iter().for_each(ScopedTask::cancel);
            Ok(())
        })
        .await;
        assert_eq!(given, Ok(()));
    });
}

#[test]
fn a_child_that_cancels_itself_is_dropped_when_its_poll_returns_or_gives_its_output_if_it_finishes_in_that_poll()
 {
    run(async {
        for finishes in [false, true] {
            for all in [false, true] {
                let census = Census::new();
                let given: Outcome<_> = scope(async |s| {
                    let (waits, gate) = child::<()>();
                    let census = &census;
                    let handle: Rc<RefCell<Option<Rc<ScopedTask<'_, i32>>>>> = Rc::default();
                    let mine = handle.clone();
                    let task = Rc::new(s.spawn(async move {
                        let _guard = census.guard();
                        gate.await;
                        match all {
                            true => s.cancel(),
                            false => mine.borrow_mut().take().unwrap().cancel(),
                        }
                        assert_eq!((census.alive(), s.len()), (1, 1), "not while it is polled");
                        if !finishes {
                            pending::<()>().await;
                        }
                        Ok(7)
                    }));
                    *handle.borrow_mut() = Some(task.clone());
                    yield_now().await;
                    waits.finish(());
                    while !s.is_empty() {
                        yield_now().await;
                    }
                    assert_eq!(census.alive(), 0);
                    handle.borrow_mut().take();
                    let task = Rc::into_inner(task).unwrap();
                    Ok(task.await.map_err(|error| error.is_cancelled()))
                })
                .await;
                assert_eq!(given, Ok(if finishes { Ok(7) } else { Err(true) }));
                assert_eq!((census.made(), census.dropped()), (1, 1));
            }
        }
    });
}

#[test]
fn an_error_in_the_poll_in_which_a_child_is_cancelled_is_an_error_of_the_scope() {
    let given: Outcome = run(scope(async |s| {
        s.spawn(async {
            s.cancel();
            Err::<(), _>("all the same")
        });
        Ok(())
    }));
    assert_eq!(given, Err("all the same"));
}

#[test]
fn cancelling_a_scope_drops_every_child_there_is_and_the_body_goes_on_and_may_spawn_again() {
    run(async {
        let census = Census::new();
        let given: Outcome<_> = scope(async |s| {
            s.cancel(); // there is none
            for round in 1..4 {
                yield_now().await; // with a new budget
                let waiting: Vec<_> = (0..50).map(|_| s.spawn(endless::<(), _>(&census))).collect();
                yield_now().await;
                let (control, unpolled) = child::<Outcome>();
                let unpolled = s.spawn(unpolled);
                assert_eq!((s.len(), census.alive()), (51, 50));
                s.cancel();
                assert_eq!((s.len(), census.alive(), census.dropped()), (0, 0, round * 50));
                assert!(control.is_dropped() && control.polls() == 0);
                assert!(unpolled.await.unwrap_err().is_cancelled());
                for task in waiting {
                    assert!(task.await.unwrap_err().is_cancelled());
                }
            }
            Ok(s.spawn(async { Ok("again") }).await.unwrap())
        })
        .await;
        assert_eq!(given, Ok("again"));
    });
}

#[test]
fn a_child_may_cancel_the_scope_and_so_may_a_destructor_and_what_is_spawned_then_is_not_cancelled() {
    run(async {
        let (log, census) = (Log::new(), Census::new());
        let given: Outcome = scope(async |s| {
            for _ in 0..3 {
                let (log, census) = (&log, &census);
                s.spawn(async move {
                    let _again = on_drop(|| {
                        s.cancel(); // inside the cancellation: the others are dropped, each once
                        s.spawn(async {
                            yield_now().await;
                            log.note("spawned by a destructor");
                            Ok(())
                        });
                    });
                    endless::<(), _>(census).await
                });
            }
            yield_now().await;
            s.spawn(async {
                s.cancel();
                assert_eq!(census.alive(), 0);
                s.spawn(async {
                    yield_now().await;
                    log.note("spawned after");
                    Ok(())
                });
                pending::<Outcome>().await
            });
            Ok(())
        })
        .await;
        assert_eq!((given, census.made(), census.dropped()), (Ok(()), 3, 3));
        // The first destructor cancels what there is; the last two cancel also what those before
        // them have spawned.
        assert_eq!(log.take(), ["spawned by a destructor", "spawned after"]);
    });
}

#[test]
fn a_scope_ends_when_its_last_child_was_cancelled() {
    finishes(|| {
        run(async {
            let given: Outcome<_> = scope(async |s| {
                let task = s.spawn(pending::<Outcome>());
                s.spawn(async move {
                    yield_now().await;
                    task.cancel();
                    Ok(())
                });
                Ok("the end")
            })
            .await;
            assert_eq!(given, Ok("the end"));
        })
    });
}

/// What is dropped at each await point of a body and its children, which borrow and await one
/// another.
async fn busy(census: &Census, outputs: &Census) -> Outcome<usize> {
    let _outside = census.guard();
    scope(async |s| {
        let _body = census.guard();
        let mut tasks = Vec::new();
        for index in 0..5 {
            let task = s.spawn(async move {
                let _child = census.guard();
                for _ in 0..index {
                    yield_now().await;
                }
                s.spawn(async {
                    let _grandchild = census.guard();
                    yield_now().await;
                    scope(async |inner| {
                        inner.spawn(async {
                            let _inner = census.guard();
                            yield_now().await;
                            Ok(outputs.guard())
                        });
                        yield_now().await;
                        Ok(())
                    })
                    .await
                });
                yield_now().await;
                Ok(outputs.guard())
            });
            tasks.push(task);
            yield_now().await;
        }
        tasks[4].cancel();
        let mut finished = 0;
        for task in tasks {
            finished += usize::from(task.await.is_ok());
        }
        Ok(finished)
    })
    .await
}

#[test]
fn a_scope_that_is_dropped_at_any_await_point_drops_everything_exactly_once() {
    run(async {
        for polls in 0.. {
            let (census, outputs) = (Census::new(), Census::new());
            let mut all: Boxed<'_, Outcome<usize>> = Box::pin(busy(&census, &outputs));
            let mut given = None;
            for _ in 0..polls {
                if let Poll::Ready(output) = poll_next_turn(&mut all).await {
                    given = Some(output);
                    break;
                }
            }
            drop(all);
            assert_eq!((census.alive(), outputs.alive(), groups_alive()), (0, 0, 0), "after {polls} polls");
            assert_eq!((census.made(), outputs.made()), (census.dropped(), outputs.dropped()));
            if let Some(given) = given {
                assert!((4..=5).contains(&given.unwrap()));
                assert!(polls > 5, "there were {polls} await points");
                return;
            }
        }
    });
}

// ---- Panics

#[test]
fn a_panic_of_the_body_ends_the_scope_with_that_panic_and_the_children_are_dropped_first() {
    run(async {
        for later in [false, true] {
            let census = Census::new();
            let mut all: Boxed<'_, Outcome> = Box::pin(scope(async |s| {
                let _guard = census.guard();
                for _ in 0..5 {
                    let guard = census.guard();
                    s.spawn(async move {
                        let _guard = guard;
                        pending::<Outcome>().await
                    });
                }
                if later {
                    yield_now().await;
                }
                panic!("the body's")
            }));
            assert_eq!(caught(&mut all).await, "the body's");
            assert_eq!((census.made(), census.dropped(), groups_alive()), (6, 6, 0));
        }
    });
}

#[test]
fn a_panic_of_a_child_goes_through_the_task_of_the_scope_with_its_payload() {
    struct Payload(usize);
    finishes(|| {
        run(async {
            let task = spawn(scope(async |s| {
                s.spawn(async {
                    yield_now().await;
                    std::panic::panic_any(Payload(7));
                    #[expect(unreachable_code, reason = "it says what the child gives")]
                    Ok(())
                });
                pending::<Outcome>().await
            }));
            let error = task.await.unwrap_err();
            assert_eq!(error.into_panic().downcast::<Payload>().unwrap().0, 7);
        })
    });
}

/// Children that never end and panic when they are dropped, after they have noted it.
fn spawn_bombs<'scope>(s: &'scope Scope<'scope, '_, &'static str>, count: usize, log: &'scope Log<usize>) {
    for index in 0..count {
        s.spawn(async move {
            let _bomb = on_drop(move || {
                log.note(index);
                panic!("bomb {index}");
            });
            pending::<Outcome>().await
        });
    }
}

#[test]
fn a_panic_in_a_destructor_keeps_no_other_from_running_and_the_first_panic_comes_out_of_each_way_to_end() {
    run(async {
        for end in ["error", "panic", "drop", "cancel", "handle"] {
            let dropped = Log::new();
            let mut all: Boxed<'_, Outcome> = Box::pin(scope(async |s| {
                spawn_bombs(s, 50, &dropped);
                yield_now().await;
                match end {
                    "error" => return Err("the error"),
                    "panic" => panic!("the body's"),
                    "cancel" => s.cancel(),
                    _ => {}
                }
                pending().await
            }));
            poll_pending(&mut all).await;
            let first = match end {
                "error" | "cancel" => caught(&mut all).await,
                "panic" => caught(&mut all).await.replace("the body's", "bomb 0"),
                _ => {
                    poll_pending(&mut all).await;
                    said(&*catch_unwind(AssertUnwindSafe(|| drop(all))).unwrap_err())
                }
            };
            assert_eq!(first, "bomb 0", "{end}");
            assert_eq!(dropped.take(), (0..50).collect::<Vec<_>>(), "{end}");
            assert_eq!(groups_alive(), 0);
        }
    });
}

#[test]
fn a_panic_in_a_destructor_while_another_panic_is_under_way_does_not_abort() {
    alone("a_panic_in_a_destructor_while_another_panic_is_under_way_does_not_abort", || {
        run(async {
            // One that unwinds through the one who holds the scope, and that of a child whose own
            // destructor panics.
            let dropped = Log::new();
            let mut all: Boxed<'_, Outcome> = Box::pin(scope(async |s| {
                spawn_bombs(s, 5, &dropped);
                pending().await
            }));
            poll_pending(&mut all).await;
            let holder = move || {
                let _all = all;
                panic!("the holder's");
            };
            let panic = catch_unwind(AssertUnwindSafe(holder)).unwrap_err();
            assert_eq!(said(&*panic), "the holder's");
            assert_eq!(dropped.take(), [0, 1, 2, 3, 4]);

            let mut all: Boxed<'_, Outcome> = Box::pin(scope(async |s| {
                spawn_bombs(s, 5, &dropped);
                let mut bomb = Some(on_drop(|| panic!("its destructor's")));
                s.spawn(poll_fn(move |_| -> Poll<Outcome> {
                    let _armed = bomb.as_mut();
                    panic!("the child's")
                }));
                pending().await
            }));
            assert_eq!(caught(&mut all).await, "the child's");
            assert_eq!(dropped.take(), [0, 1, 2, 3, 4]);

            // An error whose destructor panics, while a destructor panics.
            struct Nasty;
            impl Drop for Nasty {
                fn drop(&mut self) {
                    panic!("the error's");
                }
            }
            let mut all: Boxed<'_, Result<(), Nasty>> = Box::pin(scope(async |s| {
                s.spawn(async {
                    let _bomb = on_drop(|| panic!("the first"));
                    pending::<Result<(), Nasty>>().await
                });
                yield_now().await;
                Err(Nasty)
            }));
            assert_eq!(caught(&mut all).await, "the first");
            assert_eq!(groups_alive(), 0);
        });
    });
}

#[test]
fn a_panic_in_the_destructor_of_a_child_that_finishes_or_of_its_output_ends_the_scope() {
    struct Bomb(&'static str);
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("{}", self.0);
        }
    }
    run(async {
        for of_output in [false, true] {
            let census = Census::new();
            let mut all: Boxed<'_, Outcome> = Box::pin(scope(async |s| {
                if of_output {
                    drop(s.spawn(async { Ok(Bomb("at its end")) }));
                } else {
                    let mut bomb = Some(Bomb("at its end"));
                    s.spawn(poll_fn(move |_| {
                        let _held = bomb.as_mut();
                        Poll::Ready(Ok(()))
                    }));
                }
                endless(&census).await
            }));
            assert_eq!(caught(&mut all).await, "at its end");
            assert_eq!((census.made(), census.dropped(), groups_alive()), (1, 1, 0));
        }
    });
}

// ---- Destructors

#[test]
fn a_childs_destructor_may_wake_spawn_cancel_gather_and_open_a_scope_in_any_way_to_end() {
    finishes(|| {
        run(async {
            for end in ["error", "drop", "cancel", "success"] {
                let log = Log::new();
                let wakers: RefCell<Vec<Waker>> = RefCell::default();
                let mut all: Boxed<'_, Outcome> = Box::pin(scope(async |s| {
                    let victim = Rc::new(s.spawn(pending::<Outcome>()));
                    for index in 0..10 {
                        let (log, wakers, victim) = (&log, &wakers, victim.clone());
                        s.spawn(async move {
                            let _busy = on_drop(move || {
                                wakers.borrow().iter().for_each(Waker::wake_by_ref);
                                victim.cancel();
                                s.spawn(async { Ok(()) });
                                spawn(async {}).detach();
                                let mut other = gather([ready(Ok::<_, ()>(1))]);
                                assert_eq!(poll_once(&mut other, Waker::noop()), Poll::Ready(Ok(vec![1])));
                                let mut other: Boxed<'_, Outcome> = Box::pin(scope(async |inner| {
                                    inner.spawn(ready(Ok(())));
                                    Ok(())
                                }));
                                assert_eq!(poll_once(&mut other, Waker::noop()), Poll::Ready(Ok(())));
                                log.note(index);
                            });
                            poll_fn(|cx| {
                                wakers.borrow_mut().push(cx.waker().clone());
                                Poll::Ready(())
                            })
                            .await;
                            yield_now().await;
                            match (end, index) {
                                ("success", _) => {}
                                ("error", 5) => return Err("the error"),
                                _ => pending().await,
                            }
                            Ok(())
                        });
                    }
                    drop(victim);
                    yield_now().await;
                    yield_now().await;
                    if end == "cancel" {
                        s.cancel();
                    }
                    Ok(())
                }));
                for _ in 0..3 {
                    if let Poll::Ready(given) = poll_next_turn(&mut all).await {
                        assert_eq!(given, if end == "error" { Err("the error") } else { Ok(()) });
                        break;
                    }
                }
                drop(all);
                let mut dropped = log.take();
                dropped.sort_unstable();
                assert_eq!(dropped, (0..10).collect::<Vec<_>>(), "{end}");
                assert_eq!(groups_alive(), 0);
            }
        });
    });
}

#[test]
fn dropping_a_million_children_needs_no_stack_nor_does_a_chain_of_cancelling_or_spawning_destructors() {
    alone(
        "dropping_a_million_children_needs_no_stack_nor_does_a_chain_of_cancelling_or_spawning_destructors",
        || {
            let thread = std::thread::Builder::new().stack_size(256 * 1024).spawn(|| {
                run(async {
                    drop_a_million_children().await;
                    cancel_in_a_chain().await;
                    spawn_in_a_chain().await;
                });
            });
            thread.unwrap().join().unwrap();
        },
    );
}

const MANY: usize = 1_000_000;

async fn drop_a_million_children() {
    let census = Census::new();
    for polls in [1, 3] {
        let mut all: Boxed<'_, Outcome> = Box::pin(scope(async |s| {
            for _ in 0..MANY {
                let guard = census.guard();
                s.spawn(async move {
                    let _guard = guard;
                    pending::<Outcome>().await
                });
            }
            Ok(())
        }));
        for _ in 0..polls {
            poll_pending(&mut all).await;
        }
        drop(all);
        assert_eq!(census.alive(), 0);
    }
    assert_eq!(census.made(), 2 * MANY);
}

/// Each child's destructor cancels the next child.
async fn cancel_in_a_chain() {
    let count = Cell::new(0);
    let given: Outcome = scope(async |s| {
        let mut next: Option<ScopedTask<'_, ()>> = None;
        for _ in 0..MANY {
            let count = &count;
            let cancels = on_drop(move || {
                count.set(count.get() + 1);
                next.iter().for_each(ScopedTask::cancel);
            });
            next = Some(s.spawn(async move {
                let _cancels = cancels;
                pending().await
            }));
        }
        next.unwrap().cancel();
        assert_eq!((count.get(), s.len()), (MANY, 0));
        Ok(())
    })
    .await;
    assert_eq!(given, Ok(()));
}

/// Each child's destructor spawns a child, into a scope that is ending.
async fn spawn_in_a_chain() {
    fn link<'scope>(
        s: &'scope Scope<'scope, '_, &'static str>,
        count: &'scope Cell<usize>,
    ) -> Boxed<'scope, Outcome> {
        let spawns = on_drop(move || {
            count.set(count.get() + 1);
            if count.get() < MANY {
                s.spawn(link(s, count));
            }
        });
        Box::pin(async move {
            let _spawns = spawns;
            pending().await
        })
    }
    let count = Cell::new(0);
    let given = scope(async |s| {
        s.spawn(link(s, &count));
        Err::<(), _>("the error")
    })
    .await;
    assert_eq!((given, count.get()), (Err("the error"), MANY));
}

#[test]
fn a_destructor_that_spawns_its_like_for_ever_does_not_keep_a_scope_from_ending() {
    fn again<'scope>(s: &'scope Scope<'scope, '_, &'static str>, count: &'scope Cell<usize>) {
        let spawns = on_drop(move || {
            count.set(count.get() + 1);
            again(s, count);
        });
        s.spawn(async move {
            let _spawns = spawns;
            pending::<Outcome>().await
        });
    }
    run(async {
        let count = Cell::new(0);
        let given = scope(async |s| {
            again(s, &count);
            Err::<(), _>("the error")
        })
        .await;
        assert_eq!(given, Err("the error"));
        assert!(count.get() > MANY);
    });
}

// ---- Scopes in gathers, gathers in scopes, scopes in scopes

#[test]
fn a_scope_in_a_gather_and_a_gather_in_a_scope_work_and_fail_as_one() {
    run_virtually(async {
        let census = Census::new();
        for fails in [None, Some(3)] {
            let one = async |number: u64| {
                scope(async |s| {
                    s.spawn(endless_unless(fails.is_none(), &census));
                    let inner = s.spawn(gather((0..5).map(move |index| async move {
                        sleep(Duration::from_millis(index + number)).await;
                        if fails == Some(index) { Err("the error") } else { Ok(index) }
                    })));
                    Ok(inner.await.unwrap().iter().sum::<u64>())
                })
                .await
            };
            let given = gather([10, 20, 30].map(one)).await;
            assert_eq!(given, if fails.is_none() { Ok(vec![10; 3]) } else { Err("the error") });
            assert_eq!((census.alive(), groups_alive()), (0, 0));
        }
        assert_eq!(census.made(), 3 + 3);
    });
}

async fn endless_unless(ends: bool, census: &Census) -> Outcome {
    let _guard = census.guard();
    if ends { Ok(()) } else { pending().await }
}

/// Scopes in scopes, so deep; the innermost child is `leaf`.
fn nest<'a>(depth: usize, leaf: Child<Outcome<usize>>, alive: &'a Census) -> Boxed<'a, Outcome<usize>> {
    if depth == 0 {
        return Box::pin(leaf);
    }
    let inner = nest(depth - 1, leaf, alive);
    Box::pin(async move {
        let _guard = alive.guard();
        scope(async |s| Ok(s.spawn(inner).await.unwrap() + 1)).await
    })
}

#[test]
fn a_wake_at_the_bottom_of_a_hundred_nested_scopes_reaches_the_top_and_so_does_its_error() {
    finishes(|| {
        run(async {
            let alive = Census::new();
            for result in [Ok(1), Err("from the bottom")] {
                let (control, leaf) = child();
                let mut all = nest(100, leaf, &alive);
                while control.polls() == 0 {
                    poll_pending(&mut all).await;
                }
                assert_eq!((groups_alive(), alive.alive()), (100, 100));
                control.finish(result);
                assert_eq!(all.await, result.map(|sum| sum + 100));
                assert_eq!((groups_alive(), alive.alive()), (0, 0));
            }
            let (control, leaf) = child();
            let mut all = nest(100, leaf, &alive);
            poll_pending(&mut all).await;
            drop(all);
            assert!(control.is_dropped());
            assert_eq!((groups_alive(), alive.alive()), (0, 0));
        })
    });
}

#[test]
fn a_child_of_an_inner_scope_may_spawn_into_the_outer_one_which_waits_for_it() {
    let log = Log::new();
    let given: Outcome = run(scope(async |outer| {
        let log = &log;
        let given: Outcome = scope(async |inner| {
            inner.spawn(async {
                outer.spawn(async {
                    yield_now().await;
                    yield_now().await;
                    log.note("in the outer");
                    Ok(())
                });
                Ok(())
            });
            Ok(())
        })
        .await;
        log.note("the inner has ended");
        given
    }));
    assert_eq!((given, log.take()), (Ok(()), vec!["the inner has ended", "in the outer"]));
}

#[test]
fn a_timeout_around_a_scope_drops_it_and_one_in_a_child_is_its_own() {
    run_virtually(async {
        let census = Census::new();
        let around = timeout(
            Duration::from_secs(1),
            scope(async |s| {
                s.spawn(endless::<(), &str>(&census));
                let inside = s.spawn(async {
                    let late = timeout(Duration::from_millis(1), pending::<()>()).await;
                    Ok(late.is_err())
                });
                assert!(inside.await.unwrap());
                endless::<(), _>(&census).await
            }),
        );
        assert!(around.await.is_err());
        assert_eq!((census.made(), census.dropped()), (2, 2));
        assert_eq!(Handle::current().metrics().timers_pending(), 0);
    });
}

// ---- At random

/// A child that does this and that, and spawns more of its kind.
fn wanderer<'scope>(
    s: &'scope Scope<'scope, '_, &'static str>,
    seed: u64,
    budget: &'scope Cell<usize>,
    census: &'scope Census,
    outputs: &'scope RefCell<Vec<u64>>,
) -> Boxed<'scope, Outcome<u64>> {
    Box::pin(async move {
        let _guard = census.guard();
        let mut random = Random::new(seed);
        let mut tasks: Vec<ScopedTask<'scope, u64>> = Vec::new();
        for _ in 0..random.below(6) {
            match random.below(8) {
                0..3 if budget.get() > 0 => {
                    budget.set(budget.get() - 1);
                    tasks.push(s.spawn(wanderer(s, random.any(), budget, census, outputs)));
                }
                3 => tasks.iter().for_each(ScopedTask::cancel),
                4 => drop(tasks.pop()),
                5 => {
                    if let Some(task) = tasks.pop() {
                        let output = task.await.ok();
                        outputs.borrow_mut().extend(output);
                    }
                }
                6 if random.below(50) == 0 => s.cancel(),
                7 if random.below(200) == 0 => return Err("by chance"),
                _ => yield_now().await,
            }
        }
        Ok(seed)
    })
}

#[test]
fn whatever_children_do_to_one_another_each_is_dropped_once_and_the_scope_ends() {
    finishes(|| {
        run(async {
            let (mut errors, mut spawned, mut taken) = (0, 0, 0);
            for seed in 0..300 {
                let (census, budget, outputs) = (Census::new(), Cell::new(300), RefCell::new(Vec::new()));
                let given: Outcome = scope(async |s| {
                    for number in 0..10 {
                        s.spawn(wanderer(s, seed * 1000 + number, &budget, &census, &outputs));
                    }
                    Ok(())
                })
                .await;
                errors += usize::from(given.is_err());
                spawned += census.made();
                taken += outputs.borrow().len();
                assert_eq!((census.alive(), groups_alive()), (0, 0), "seed {seed}");
            }
            assert!(taken > 100, "{taken} outputs were awaited");
            assert!(errors > 10 && errors < 290 && spawned > 5000, "{errors} errors, {spawned} children");
        });
    });
}

#[test]
fn foreign_wakers_around_a_scope_and_in_a_handle_may_do_what_they_like() {
    run(async {
        let count = Arc::new(AtomicUsize::new(0));
        let controls: Arc<Mutex<Vec<Waker>>> = Arc::default();
        let (counted, wakers) = (count.clone(), controls.clone());
        let waker = foreign::foreign(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            let wakers = wakers.lock().unwrap().clone();
            wakers.iter().for_each(Waker::wake_by_ref);
        });
        let (control, waits) = child::<Outcome<u32>>();
        let mut all: Boxed<'_, Outcome> = Box::pin(scope(async |s| {
            let mut task = s.spawn(waits);
            assert!(poll_once(&mut task, &waker).is_pending());
            yield_now().await;
            task.cancel();
            assert!(task.await.unwrap_err().is_cancelled());
            Ok(())
        }));
        assert!(poll_once(&mut all, &waker).is_pending());
        controls.lock().unwrap().push(control.waker());
        while poll_once(&mut all, &waker).is_pending() {
            yield_now().await;
        }
        assert!(control.is_dropped() && count.load(Ordering::SeqCst) > 3);
    });
}

// ---- Limits

#[test]
fn more_children_than_there_can_be_end_with_a_panic_that_says_of_what() {
    let message_for = |kind: &'static str| {
        let grows = || {
            run(poll_fn(|cx| {
                Group::new(kind).poll(cx, |polling, _| {
                    polling.grow(u32::MAX);
                    Poll::Ready(())
                })
            }));
        };
        said(&*catch_unwind(grows).unwrap_err())
    };
    let message = message_for("scope");
    assert!(message.ends_with("children at once in one scope"), "{message}");
    let message = message_for("gather");
    assert!(message.ends_with("children at once in one gather; `.limit(n)` keeps fewer alive"), "{message}");
}
