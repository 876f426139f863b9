//! Tasks: the order in which they run, how they end, and the start and the end of the runtime that
//! has them.

#![allow(clippy::async_yields_async, reason = "what waits is handed from one main future to another")]

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::future::{Future, IntoFuture, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use gather::{
    Builder, Canceller, Handle, Runtime, Sleep, Task, TaskError, gather, run, sleep, spawn, spawn_blocking,
    timeout, try_spawn, yield_now,
};
use gather_tests::alone::{alone, alone_after};
use gather_tests::descriptors::{only_a_few_more_than, open_descriptors};
use gather_tests::foreign::{Done, foreign};
use gather_tests::gate::Gate;
use gather_tests::probe::{Probe, poll_once, some_turns};
use gather_tests::watchdog::finishes;
use gather_tests::witness::{Witness, on_drop};

const HOUR: Duration = Duration::from_secs(3600);

/// A future that is never ready and has a guard.
fn guarded(witness: &Witness) -> impl Future<Output = ()> + use<> {
    let guard = witness.guard();
    async move {
        let _guard = guard;
        pending::<()>().await;
    }
}

/// A future that is never ready and runs the closure when it is dropped, also if it was never
/// polled.
fn with_destructor(f: impl FnOnce()) -> impl Future<Output = ()> {
    let guard = on_drop(f);
    async move {
        let _guard = guard;
        pending::<()>().await;
    }
}

fn tasks_alive() -> usize {
    Handle::current().metrics().tasks_alive()
}

// ---- the order

#[test]
fn a_task_is_not_polled_before_its_spawner_lets_the_loop_go_on() {
    run(async {
        let probe = Probe::new();
        let task = spawn(probe.ready_at(1));
        assert_eq!(probe.polls(), 0);
        yield_now().await;
        assert_eq!(probe.polls(), 1);
        assert!(task.is_finished());
    });
}

#[test]
fn tasks_are_first_polled_in_the_order_in_which_they_were_spawned() {
    run(async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let start = |index: usize| {
            let order = order.clone();
            spawn(async move { order.borrow_mut().push(index) })
        };
        let tasks: Vec<_> = (0..100).map(start).collect();
        gather(tasks).await.unwrap();
        assert!(order.take().into_iter().eq(0..100));
    });
}

#[test]
fn a_task_that_takes_the_row_of_a_cancelled_one_does_not_take_its_turn() {
    run(async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let start = |index: usize| {
            let order = order.clone();
            spawn(async move {
                order.borrow_mut().push(index);
                yield_now().await;
                order.borrow_mut().push(index);
            })
        };
        let [first, second] = [start(1), start(2)];
        drop(first);
        let third = start(3);
        gather([second, third]).await.unwrap();
        assert_eq!(order.take(), [2, 3, 2, 3]);
    });
}

// A task that wakes itself waits for the others.
#[test]
fn tasks_that_wake_themselves_take_turns() {
    run(async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let tasks: Vec<_> = (0..10)
            .map(|index| {
                let order = order.clone();
                spawn(async move {
                    for _ in 0..50 {
                        order.borrow_mut().push(index);
                        yield_now().await;
                    }
                })
            })
            .collect();
        gather(tasks).await.unwrap();
        assert!(order.take().into_iter().eq((0..500).map(|turn| turn % 10)));
    });
}

#[test]
fn woken_tasks_are_polled_in_the_order_of_the_wakes_and_others_not_at_all() {
    run(async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let probes: Vec<Probe> = (0..20).map(|_| Probe::new()).collect();
        let _tasks: Vec<_> = probes
            .iter()
            .enumerate()
            .map(|(index, probe)| {
                let (order, probe) = (order.clone(), probe.clone());
                spawn(poll_fn(move |cx| {
                    probe.note(cx);
                    order.borrow_mut().push(index);
                    Poll::<()>::Pending
                }))
            })
            .collect();
        some_turns().await;
        order.borrow_mut().clear();
        for index in [13, 2, 7, 2, 19, 13, 0] {
            probes[index].waker().wake();
        }
        some_turns().await;
        assert_eq!(order.take(), [13, 2, 7, 19, 0]);
    });
}

#[test]
fn the_main_future_is_not_polled_without_a_wake() {
    run(async {
        let probe = Probe::new();
        let busy = spawn(async {
            for _ in 0..5000 {
                yield_now().await;
            }
        });
        probe.watch(busy).await.unwrap();
        assert_eq!(probe.polls(), 2);
    });
}

// Nor does a busy main future keep the tasks from running, or the other way round.
#[test]
fn a_main_future_that_wakes_itself_lets_the_tasks_run_and_they_let_it() {
    run(async {
        let turns = Rc::new(Cell::new(0));
        let counted = turns.clone();
        let _task = spawn(async move {
            loop {
                counted.set(counted.get() + 1);
                yield_now().await;
            }
        });
        for turn in 0..100 {
            assert_eq!(turns.get(), turn);
            yield_now().await;
        }
    });
}

#[test]
fn a_seed_shuffles_the_tasks_of_each_turn_in_the_same_way_each_time() {
    let order_of = |seed| {
        let order = Rc::new(RefCell::new(Vec::new()));
        let runtime = Builder::new().shuffle(seed).build().unwrap();
        runtime.block_on(async {
            let tasks = (0..30).map(|index| {
                let order = order.clone();
                spawn(async move {
                    for _ in 0..3 {
                        order.borrow_mut().push(index);
                        yield_now().await;
                    }
                })
            });
            let tasks: Vec<_> = tasks.collect();
            gather(tasks).await.unwrap();
        });
        order.take()
    };
    assert_eq!(order_of(1), order_of(1));
    assert_ne!(order_of(1), order_of(2));
    // Each turn has all of them, in its own order.
    let order = order_of(3);
    for turn in order.chunks(30) {
        let mut tasks = turn.to_vec();
        tasks.sort_unstable();
        assert!(tasks.into_iter().eq(0..30));
    }
    assert_ne!(order[..30], order[30..60]);
}

// ---- the output

#[test]
fn a_task_gives_its_output_which_need_not_be_send() {
    run(async {
        let output = spawn(async { Rc::new(5) }).await.unwrap();
        assert_eq!(*output, 5);
        assert_eq!(tasks_alive(), 0);
    });
}

#[test]
fn a_task_may_be_awaited_by_another_task_and_by_one_after_the_other() {
    run(async {
        let gate = Gate::new();
        let shared = Rc::new(RefCell::new(spawn(gate.pass())));
        let probes = [Probe::new(), Probe::new()];
        let awaits = probes.each_ref().map(|probe| {
            let (shared, probe) = (shared.clone(), probe.clone());
            spawn(poll_fn(move |cx| {
                probe.note(cx);
                Pin::new(&mut *shared.borrow_mut()).poll(cx)
            }))
        });
        some_turns().await;
        gate.open();
        some_turns().await;
        // The last that polled is told.
        assert_eq!(probes.each_ref().map(Probe::polls), [1, 2]);
        assert!(awaits[1].is_finished() && !awaits[0].is_finished());
    });
}

#[test]
#[should_panic(expected = "polled after it had given its output")]
fn a_task_that_has_given_its_output_says_so_when_it_is_polled_again() {
    run(async {
        let mut task = spawn(async {});
        (&mut task).await.unwrap();
        let _ = poll_once(&mut task, Waker::noop());
    });
}

#[test]
fn a_task_is_finished_when_its_output_is_there() {
    run(async {
        let gate = Gate::new();
        let task = spawn(gate.pass());
        some_turns().await;
        assert!(!task.is_finished());
        gate.open();
        assert!(!task.is_finished(), "woken, not polled");
        some_turns().await;
        assert!(task.is_finished());
        let cancelled = spawn(pending::<()>());
        cancelled.cancel();
        assert!(cancelled.is_finished());
        let panics = spawn(async { panic!("in a task") });
        some_turns().await;
        assert!(panics.is_finished());
    });
}

#[test]
fn a_handle_that_has_given_its_output_keeps_its_id_and_does_nothing_to_the_next_task_of_its_row() {
    run(async {
        let mut task = spawn(async { 1 });
        let (id, canceller) = (task.id(), task.canceller());
        assert_eq!((&mut task).await.unwrap(), 1);
        let next = spawn(async { 2 });
        assert_eq!(task.id(), id);
        assert_ne!(task.id(), next.id());
        assert!(task.is_finished());
        task.cancel();
        task.canceller().cancel();
        canceller.cancel();
        drop(task);
        assert_eq!(next.await.unwrap(), 2);
    });
}

#[test]
fn no_two_tasks_of_the_process_have_the_same_id() {
    let mut ids = Vec::new();
    for _ in 0..3 {
        run(async {
            for _ in 0..10 {
                let task = spawn(async {});
                assert_eq!(task.id(), task.id());
                ids.push(task.id());
                task.await.unwrap(); // and the next takes the row
            }
        });
    }
    let mut texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
    assert!(texts.iter().all(|text| !text.is_empty()));
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 30);
    assert_eq!(ids.into_iter().collect::<std::collections::HashSet<_>>().len(), 30);
}

#[test]
fn a_detached_task_goes_on_and_its_output_is_dropped() {
    run(async {
        let witness = Witness::new();
        let [early, late] = [witness.guard(), witness.guard()];
        let gate = Gate::new();
        let pass = gate.pass();
        spawn(async move {
            pass.await;
            early
        })
        .detach();
        some_turns().await;
        assert_eq!((witness.drops(), tasks_alive()), (0, 1));
        gate.open();
        some_turns().await;
        assert_eq!((witness.drops(), tasks_alive()), (1, 0));
        let finished = spawn(async { late });
        some_turns().await;
        assert_eq!((witness.drops(), tasks_alive()), (1, 1));
        finished.detach();
        assert_eq!((witness.drops(), tasks_alive()), (2, 0));
    });
}

// ---- cancelling

#[test]
fn a_task_that_is_cancelled_before_its_first_poll_is_dropped_at_once_and_never_polled() {
    run(async {
        for by_drop in [false, true] {
            let (witness, probe) = (Witness::new(), Probe::new());
            let task = spawn(probe.watch(guarded(&witness)));
            if by_drop {
                drop(task);
                assert_eq!(witness.drops(), 1);
            } else {
                task.cancel();
                assert_eq!(witness.drops(), 1);
                assert!(task.await.unwrap_err().is_cancelled());
            }
            some_turns().await;
            assert_eq!((witness.drops(), probe.polls(), tasks_alive()), (1, 0, 0));
        }
    });
}

#[test]
fn a_task_that_waits_is_dropped_before_its_cancellation_returns() {
    run(async {
        for by_drop in [false, true] {
            let (witness, probe) = (Witness::new(), Probe::new());
            let task = spawn(probe.watch(guarded(&witness)));
            some_turns().await;
            probe.waker().wake(); // also when it is about to be polled
            if by_drop {
                drop(task);
            } else {
                task.cancel();
                task.cancel();
                task.canceller().cancel();
                drop(task);
            }
            assert_eq!(witness.drops(), 1);
            some_turns().await;
            assert_eq!((witness.drops(), probe.polls(), tasks_alive()), (1, 1, 0));
        }
    });
}

#[test]
fn cancelling_a_finished_task_changes_nothing() {
    run(async {
        let task = spawn(async { 1 });
        some_turns().await;
        task.cancel();
        task.canceller().cancel();
        assert_eq!(task.await.unwrap(), 1);
        let panicked = spawn(async { panic!("in a task") });
        some_turns().await;
        panicked.cancel();
        assert!(panicked.await.unwrap_err().is_panic());
    });
}

#[test]
fn a_late_handle_or_canceller_does_not_touch_the_task_that_took_the_row() {
    run(async {
        let mut late: Vec<Task<()>> = Vec::new();
        let mut cancellers = Vec::new();
        for _ in 0..100 {
            let mut task = spawn(async {});
            cancellers.push(task.canceller());
            (&mut task).await.unwrap();
            late.push(task);
        }
        let witness = Witness::new();
        let task = spawn(guarded(&witness));
        some_turns().await;
        for late in late {
            late.cancel();
            assert!(late.is_finished());
            drop(late);
        }
        cancellers.iter().for_each(Canceller::cancel);
        some_turns().await;
        assert_eq!(witness.drops(), 0);
        assert!(!task.is_finished());
    });
}

/// A task that does something with its own handle in its first poll, and then is ready or not.
async fn acts_on_itself(
    act: impl FnOnce(&Rc<RefCell<Option<Task<i32>>>>, &Witness) + 'static,
    is_ready: bool,
) -> (Witness, Rc<RefCell<Option<Task<i32>>>>, Probe) {
    let (witness, probe) = (Witness::new(), Probe::new());
    let handle: Rc<RefCell<Option<Task<i32>>>> = Rc::default();
    let (own, guard, seen, mut act) = (Rc::downgrade(&handle), witness.guard(), witness.clone(), Some(act));
    let task = spawn(probe.watch(poll_fn(move |_| {
        let _guard = &guard;
        if let (Some(act), Some(own)) = (act.take(), own.upgrade()) {
            act(&own, &seen);
            assert_eq!(seen.drops(), 0, "dropped in the middle of its own poll");
        }
        if is_ready { Poll::Ready(7) } else { Poll::Pending }
    })));
    *handle.borrow_mut() = Some(task);
    some_turns().await;
    (witness, handle, probe)
}

#[test]
fn a_task_that_cancels_itself_is_dropped_when_its_poll_returns() {
    run(async {
        for with_canceller in [false, true] {
            let act = move |own: &Rc<RefCell<Option<Task<i32>>>>, _: &Witness| {
                let own = own.borrow();
                let task = own.as_ref().unwrap();
                if with_canceller {
                    task.canceller().cancel()
                } else {
                    task.cancel()
                }
                task.cancel();
                assert!(!task.is_finished());
            };
            let (witness, handle, probe) = acts_on_itself(act, false).await;
            assert_eq!((witness.drops(), probe.polls()), (1, 1));
            let task = handle.take().unwrap();
            assert!(task.await.unwrap_err().is_cancelled());
        }
    });
}

#[test]
fn a_task_that_cancels_itself_in_the_poll_in_which_it_finishes_gives_its_output() {
    run(async {
        let act = |own: &Rc<RefCell<Option<Task<i32>>>>, _: &Witness| own.borrow().as_ref().unwrap().cancel();
        let (witness, handle, _) = acts_on_itself(act, true).await;
        assert_eq!(witness.drops(), 1);
        let task = handle.take().unwrap();
        assert_eq!(task.await.unwrap(), 7);
    });
}

#[test]
fn a_task_that_drops_its_own_handle_is_dropped_when_its_poll_returns() {
    run(async {
        for is_ready in [false, true] {
            let act = |own: &Rc<RefCell<Option<Task<i32>>>>, _: &Witness| drop(own.take());
            let (witness, _, probe) = acts_on_itself(act, is_ready).await;
            assert_eq!((witness.drops(), probe.polls(), tasks_alive()), (1, 1, 0));
        }
    });
}

#[test]
fn a_task_that_detaches_itself_goes_on() {
    run(async {
        let act = |own: &Rc<RefCell<Option<Task<i32>>>>, _: &Witness| own.take().unwrap().detach();
        let (witness, _, probe) = acts_on_itself(act, false).await;
        assert_eq!((witness.drops(), tasks_alive()), (0, 1));
        probe.waker().wake();
        some_turns().await;
        assert_eq!(probe.polls(), 2);
    });
}

#[test]
fn whoever_awaits_a_task_is_told_that_it_was_cancelled() {
    finishes(|| {
        run(async {
            let task = spawn(pending::<()>());
            let canceller = task.canceller();
            let waits = spawn(task);
            some_turns().await;
            canceller.cancel();
            assert!(waits.await.unwrap().unwrap_err().is_cancelled());
        });
    });
}

#[test]
fn a_hundred_thousand_tasks_that_own_each_other_in_a_chain_are_dropped_without_a_stack_overflow() {
    alone(
        "a_hundred_thousand_tasks_that_own_each_other_in_a_chain_are_dropped_without_a_stack_overflow",
        || {
            let dropped = Rc::new(Cell::new(0));
            let chain = || {
                let mut next: Option<Task<()>> = None;
                for _ in 0..100_000 {
                    let (owned, dropped) = (next.take(), dropped.clone());
                    next = Some(spawn(with_destructor(move || {
                        dropped.set(dropped.get() + 1);
                        drop(owned);
                    })));
                }
                next.unwrap()
            };
            // Cancelled, never polled; cancelled when they wait; when the runtime ends; and as
            // outputs that nobody took.
            run(async { drop(chain()) });
            assert_eq!(dropped.take(), 100_000);
            run(async {
                let first = chain();
                yield_now().await;
                drop(first);
                assert_eq!(dropped.take(), 100_000);
            });
            run(async {
                chain().detach();
                yield_now().await;
            });
            assert_eq!(dropped.take(), 100_000);
            run(async {
                let mut next: Option<Task<Box<dyn Any>>> = None;
                for _ in 0..100_000 {
                    let owned = next.take();
                    next = Some(spawn(async move { Box::new(owned) as Box<dyn Any> }));
                }
                some_turns().await;
                drop(next);
                assert_eq!(tasks_alive(), 0);
            });
        },
    );
}

#[test]
fn dropping_tasks_that_own_tasks_leaves_no_memory_behind() {
    run(async {
        let own_each_other = || {
            let inner = spawn(pending::<()>());
            let middle = spawn(with_destructor(move || drop(inner)));
            drop(spawn(with_destructor(move || drop(middle))));
        };
        // First the tables grow.
        (0..1000).for_each(|_| own_each_other());
        some_turns().await;
        let memory = allocation_counter::measure(|| (0..1000).for_each(|_| own_each_other()));
        assert_eq!((memory.count_current, memory.bytes_current), (0, 0));
    });
}

// ---- panics

#[test]
fn a_panic_in_a_task_is_in_its_error_and_everything_else_goes_on() {
    run(async {
        let witness = Witness::new();
        let guard = witness.guard();
        let other = spawn(async {
            some_turns().await;
            "went on"
        });
        let missing = String::from("tea");
        let task = spawn(async move {
            let _guard = guard;
            yield_now().await;
            panic!("out of {missing}");
        });
        let error: TaskError = task.await.unwrap_err();
        assert_eq!(witness.drops(), 1);
        assert!(error.is_panic() && !error.is_cancelled());
        assert_eq!(error.to_string(), "the task panicked: out of tea");
        assert_eq!(error.into_panic().downcast_ref::<String>().unwrap(), "out of tea");
        let number = spawn(async { panic_any(42u8) }).await.unwrap_err();
        assert_eq!(*number.into_panic().downcast::<u8>().unwrap(), 42);
        assert_eq!(other.await.unwrap(), "went on");
        assert_eq!(tasks_alive(), 0);
    });
}

#[test]
fn the_errors_of_tasks_are_errors_like_any_other() {
    run(async {
        let task = spawn(pending::<()>());
        task.cancel();
        let error: Box<dyn Error + Send + Sync> = task.await.unwrap_err().into();
        assert_eq!(error.to_string(), "the task was cancelled");
        assert_eq!(format!("{error:?}"), "TaskError::Cancelled");
        let error: Box<dyn Error + Send + Sync> = spawn(async { panic!("tea") }).await.unwrap_err().into();
        assert_eq!(format!("{error:?}"), r#"TaskError::Panic("tea")"#);
    });
}

#[test]
#[should_panic(expected = "it did not panic")]
fn the_panic_of_a_task_that_did_not_panic_is_refused() {
    run(async {
        let task = spawn(pending::<()>());
        task.cancel();
        drop(task.await.unwrap_err().into_panic());
    });
}

/// Panics when it is dropped.
struct Bomb(Witness);

impl Drop for Bomb {
    fn drop(&mut self) {
        drop(self.0.guard());
        panic!("a destructor panics");
    }
}

#[test]
fn a_panic_in_the_destructor_of_a_cancelled_future_is_contained() {
    run(async {
        let witness = Witness::new();
        for is_polled in [false, true] {
            let bomb = Bomb(witness.clone());
            let task = spawn(async move {
                let _bomb = bomb;
                pending::<()>().await;
            });
            if is_polled {
                some_turns().await;
            }
            task.cancel();
            assert!(task.await.unwrap_err().is_cancelled());
        }
        assert_eq!(witness.drops(), 2);
        assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
    });
}

#[test]
fn a_panic_in_the_destructor_of_a_future_that_is_done_is_in_the_error_and_its_output_is_dropped() {
    run(async {
        let witness = Witness::new();
        let bomb = Bomb(witness.clone());
        let guard = Cell::new(Some(witness.guard()));
        let task = spawn(poll_fn(move |_| {
            let _bomb = &bomb;
            Poll::Ready(guard.take())
        }));
        let error = task.await.map(drop).unwrap_err();
        assert_eq!(error.to_string(), "the task panicked: a destructor panics");
        assert_eq!(witness.drops(), 2);
    });
}

// The first panic is the one that counts, whatever its own value or that of the second does.
#[test]
fn a_panic_in_a_poll_and_one_in_the_destructor_after_it_are_one_error() {
    struct PanicsAgain;
    impl Drop for PanicsAgain {
        fn drop(&mut self) {
            panic!("the payload of a panic panics");
        }
    }
    struct Fuse;
    impl Drop for Fuse {
        fn drop(&mut self) {
            panic_any(PanicsAgain);
        }
    }
    run(async {
        let fuse = Fuse;
        let task = spawn(poll_fn(move |_| -> Poll<()> {
            let _fuse = &fuse;
            panic!("the first")
        }));
        assert_eq!(task.await.unwrap_err().to_string(), "the task panicked: the first");
        assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
    });
}

#[test]
fn a_panic_in_the_destructor_of_an_output_that_nobody_takes_is_contained() {
    run(async {
        let witness = Witness::new();
        let bomb = || {
            let bomb = Bomb(witness.clone());
            async move { bomb }
        };
        let unread = spawn(bomb());
        let detached = spawn(bomb());
        spawn(bomb()).detach();
        let as_payload = spawn({
            let witness = witness.clone();
            async move { panic_any(std::sync::Mutex::new(Bomb(witness))) }
        });
        some_turns().await;
        drop(unread);
        detached.detach();
        drop::<Task<()>>(as_payload);
        assert_eq!(witness.drops(), 4);
        assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
        assert_eq!(tasks_alive(), 0);
    });
}

// A panic in a panic would end the process.
#[test]
fn when_a_runtime_ends_every_future_is_dropped_however_many_destructors_panic() {
    alone("when_a_runtime_ends_every_future_is_dropped_however_many_destructors_panic", || {
        let witness = Witness::new();
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            for index in 0..1000 {
                let bomb = Bomb(witness.clone());
                let task = spawn(async move {
                    let _bomb = bomb;
                    pending::<()>().await;
                });
                if index % 3 == 0 {
                    yield_now().await;
                }
                task.detach();
            }
            let bomb = Bomb(witness.clone());
            spawn(async { bomb }).detach();
        });
        drop(runtime);
        assert_eq!(witness.drops(), 1001);
    });
}

#[test]
fn a_panic_in_the_main_future_goes_to_the_caller_and_every_future_is_dropped() {
    let witness = Witness::new();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        run(async {
            let _tasks: Vec<_> = (0..10).map(|_| spawn(guarded(&witness))).collect();
            spawn(guarded(&witness)).detach();
            let mut gathered = gather((0..10).map(|_| guarded(&witness))).capture();
            assert!(poll_once(&mut gathered, Waker::noop()).is_pending());
            some_turns().await;
            panic!("in the main future");
        })
    }));
    assert_eq!(*panic.unwrap_err().downcast::<&str>().unwrap(), "in the main future");
    assert_eq!(witness.drops(), 21);
    assert!(Handle::try_current().is_none());
}

#[test]
fn a_runtime_may_be_used_again_after_a_panic_in_its_main_future() {
    let runtime = Runtime::new().unwrap();
    let gate = Gate::new();
    let task = runtime.block_on(async { spawn(gate.pass()) });
    for _ in 0..3 {
        let panic = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                some_turns().await;
                panic!("in the main future");
            })
        }));
        assert!(panic.is_err());
        assert_eq!(runtime.block_on(async { spawn(async { 1 }).await.unwrap() }), 1);
    }
    gate.open();
    runtime.block_on(task).unwrap();
}

// ---- destructors that do something

/// What a destructor may do: everything.
fn use_everything(witness: &Witness) {
    let handle = Handle::current();
    drop(spawn(pending::<()>()));
    spawn(guarded(witness)).detach();
    let mut sleeping = sleep(HOUR);
    assert!(poll_once(&mut sleeping, Waker::noop()).is_pending());
    let mut gathered = gather([pending::<()>()]).capture();
    assert!(poll_once(&mut gathered, Waker::noop()).is_pending());
    drop(spawn_blocking(|| ()));
    drop(handle.spawn(|| async {}));
    handle.spawn(|| async {}).detach();
    assert!(handle.metrics().timers_pending() >= 1);
}

#[test]
fn the_destructor_of_a_cancelled_future_may_do_everything() {
    run(async {
        let witness = Witness::new();
        let done = Rc::new(Cell::new(false));
        let other = spawn(guarded(&witness));
        let (canceller, waited) = (other.canceller(), Probe::new());
        let woken = spawn(waited.never());
        some_turns().await;
        let task = spawn(with_destructor({
            let (witness, done, waker) = (witness.clone(), done.clone(), waited.waker());
            move || {
                use_everything(&witness);
                canceller.cancel();
                waker.wake();
                done.set(true);
            }
        }));
        some_turns().await;
        drop(task);
        assert!(done.get());
        assert!(other.await.unwrap_err().is_cancelled());
        some_turns().await;
        assert_eq!(waited.polls(), 2);
        assert_eq!(witness.drops(), 1, "what the destructor has spawned lives");
        drop(woken);
    });
}

#[test]
fn when_a_runtime_ends_destructors_still_have_it_around_them_and_may_do_everything() {
    let witness = Witness::new();
    let done = Rc::new(Cell::new(0));
    run(async {
        let other = spawn(guarded(&witness));
        let canceller = other.canceller();
        let child = Probe::new();
        let shared = Rc::new(RefCell::new(Some(other)));
        for take_the_other in [true, false] {
            let (witness, done, shared, canceller) =
                (witness.clone(), done.clone(), shared.clone(), canceller.clone());
            let waker = child.clone();
            spawn(with_destructor(move || {
                use_everything(&witness);
                canceller.cancel();
                if take_the_other {
                    drop(shared.take());
                }
                waker.waker().wake();
                done.set(done.get() + 1);
            }))
            .detach();
        }
        spawn(child.never()).detach();
        some_turns().await;
    });
    assert_eq!(done.get(), 2);
    assert_eq!(witness.drops(), 3, "the other, and what the two destructors have spawned");
}

#[test]
fn a_runtime_ends_although_destructors_spawn_tasks_whose_destructors_spawn_tasks() {
    fn spawns(generations: usize, dropped: Rc<Cell<usize>>) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(with_destructor(move || {
            dropped.set(dropped.get() + 1);
            if generations > 0 {
                spawn(spawns(generations - 1, dropped)).detach();
            }
        }))
    }
    finishes(|| {
        let dropped = Rc::new(Cell::new(0));
        run(async {
            spawn(spawns(999, dropped.clone())).detach();
            spawn(spawns(usize::MAX, Rc::default())).detach(); // for ever, if the runtime lets it
            some_turns().await;
        });
        assert_eq!(dropped.get(), 1000);
        assert_eq!(run(async { 1 }), 1);
    });
}

// What is dropped last of all may spawn, too: the closure of work that waits in the pool's queue,
// and the waker of another library.
#[test]
fn what_is_spawned_by_the_last_destructors_of_a_runtime_is_dropped_with_the_runtime_around_it() {
    finishes(|| {
        let (spawned, had_runtime) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let spawns = || {
            let (spawned, had_runtime) = (spawned.clone(), had_runtime.clone());
            move || {
                if Handle::try_current().is_some() {
                    spawned.fetch_add(1, Ordering::SeqCst);
                    spawn(with_destructor(move || {
                        let here = usize::from(Handle::try_current().is_some());
                        had_runtime.fetch_add(here, Ordering::SeqCst);
                    }))
                    .detach();
                }
            }
        };
        let (begins, begun) = mpsc::channel();
        let (end, ends) = mpsc::channel::<()>();
        let runtime = Builder::new().max_blocking_threads(1).build().unwrap();
        let _left = runtime.block_on(async {
            let busy = spawn_blocking(move || {
                begins.send(()).unwrap();
                let _ = ends.recv();
            });
            begun.recv().unwrap();
            let queued = on_drop(spawns());
            let queued = spawn_blocking(move || drop(queued));
            let in_a_waker = |when: Done| {
                let spawns = std::sync::Mutex::new(Some(spawns()));
                foreign(move |done| {
                    if done == when && Handle::try_current().is_some() {
                        if let Some(spawns) = spawns.lock().unwrap().take() {
                            spawns();
                        }
                    }
                })
            };
            let listener = gather::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut accepted = poll_fn(|cx| listener.poll_accept(cx).map(drop));
            assert!(poll_once(&mut accepted, &in_a_waker(Done::Wake)).is_pending());
            let mut sleeping = sleep(HOUR);
            let waker = in_a_waker(Done::Drop);
            assert!(poll_once(&mut sleeping, &waker).is_pending());
            std::mem::forget(waker); // its drop is not the one that is meant
            (busy, queued, listener, sleeping)
        });
        drop(runtime);
        drop(end);
        assert!(spawned.load(Ordering::SeqCst) >= 2);
        assert_eq!(had_runtime.load(Ordering::SeqCst), spawned.load(Ordering::SeqCst));
    });
}

// ---- the runtime

#[test]
fn a_runtime_runs_one_main_future_after_another_and_its_tasks_go_on() {
    let runtime = Runtime::new().unwrap();
    let gate = Gate::new();
    let probe = Probe::new();
    let task = runtime.block_on(async { spawn(probe.watch(gate.pass())) });
    assert_eq!(runtime.metrics().tasks_alive(), 1);
    runtime.block_on(some_turns());
    assert_eq!(probe.polls(), 1);
    // Woken while it does not run.
    gate.open();
    assert_eq!(runtime.block_on(async { 1 }), 1);
    runtime.block_on(task).unwrap();
    assert_eq!(probe.polls(), 2);
    assert_eq!(runtime.metrics().tasks_alive(), 0);
}

#[test]
fn two_runtimes_on_one_thread_may_run_in_turn() {
    let runtimes = [Runtime::new().unwrap(), Runtime::new().unwrap()];
    let gate = Gate::new();
    let tasks = runtimes.each_ref().map(|runtime| runtime.block_on(async { spawn(gate.pass()) }));
    runtimes.iter().for_each(|runtime| runtime.block_on(some_turns()));
    gate.open(); // at home of neither
    for (runtime, task) in runtimes.iter().zip(tasks) {
        assert!(!runtime.metrics().tasks_alive() == 0 || runtime.block_on(task).is_ok());
    }
}

#[test]
fn a_run_takes_what_becomes_a_future() {
    struct Question;
    impl IntoFuture for Question {
        type Output = i32;
        type IntoFuture = std::future::Ready<i32>;
        fn into_future(self) -> Self::IntoFuture {
            ready(42)
        }
    }
    assert_eq!(run(Question), 42);
    assert_eq!(Runtime::new().unwrap().block_on(Question), 42);
}

#[test]
fn a_run_makes_its_future_inside_so_that_it_counts_the_time_of_the_runtime() {
    struct InAnHour;
    impl IntoFuture for InAnHour {
        type Output = ();
        type IntoFuture = Sleep;
        fn into_future(self) -> Sleep {
            assert!(Handle::try_current().is_some());
            sleep(HOUR)
        }
    }
    let runtime = Builder::new().virtual_clock(true).build().unwrap();
    let start = runtime.block_on(async { gather::now() });
    runtime.block_on(InAnHour);
    assert_eq!(runtime.block_on(async { gather::now() }) - start, HOUR);
}

#[test]
fn the_main_future_is_dropped_with_the_runtime_around_it() {
    struct Main(Rc<Cell<usize>>, bool);
    impl Future for Main {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            assert!(!self.1, "the main future panics");
            Poll::Ready(())
        }
    }
    impl Drop for Main {
        fn drop(&mut self) {
            self.0.set(self.0.get() + usize::from(Handle::try_current().is_some()));
        }
    }
    let had_runtime = Rc::new(Cell::new(0));
    run(Main(had_runtime.clone(), false));
    assert_eq!(had_runtime.get(), 1);
    let panic = catch_unwind(AssertUnwindSafe(|| run(Main(had_runtime.clone(), true))));
    assert!(panic.is_err());
    assert_eq!(had_runtime.get(), 2);
}

// And so what it had in the runtime is gone when it is over.
#[test]
fn a_main_future_that_is_over_leaves_no_timer_behind() {
    let runtime = Runtime::new().unwrap();
    assert!(runtime.block_on(timeout(HOUR, yield_now())).is_ok());
    assert_eq!(runtime.metrics().timers_pending(), 0);
}

#[test]
fn a_run_inside_a_run_is_refused_wherever_it_is_and_the_outer_goes_on() {
    let message = |panic: Box<dyn Any + Send>| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast::<&str>().unwrap()).to_owned(),
    };
    let outer = Runtime::new().unwrap();
    let other = Runtime::new().unwrap();
    let refused = Rc::new(Cell::new(0));
    let try_to_run = {
        let refused = refused.clone();
        move |runtime: Option<&Runtime>| {
            let panic = catch_unwind(AssertUnwindSafe(|| match runtime {
                Some(runtime) => runtime.block_on(async { 1 }),
                None => run(async { 1 }),
            }));
            let text = message(panic.unwrap_err());
            assert!(text.contains("was called inside another run on this thread"), "{text}");
            refused.set(refused.get() + 1);
        }
    };
    outer.block_on(async {
        // In the main future; of this runtime, of another and of a new one.
        try_to_run(None);
        try_to_run(Some(&outer));
        try_to_run(Some(&other));
        let in_a_task = try_to_run.clone();
        spawn(async move { in_a_task(None) }).await.unwrap();
        let in_a_destructor = try_to_run.clone();
        drop(spawn(with_destructor(move || in_a_destructor(None))));
        assert_eq!(refused.get(), 5);
        let refused_in_a_waker = Arc::new(AtomicUsize::new(0));
        let counted = refused_in_a_waker.clone();
        let waker = foreign(move |done| {
            let panicked = done == Done::Wake && catch_unwind(|| run(async {})).is_err();
            counted.fetch_add(usize::from(panicked), Ordering::SeqCst);
        });
        let mut task = spawn(async {});
        assert!(poll_once(&mut task, &waker).is_pending());
        some_turns().await;
        assert_eq!(refused_in_a_waker.load(Ordering::SeqCst), 1);
        assert_eq!(spawn(async { 2 }).await.unwrap(), 2);
        // On a thread of its own it may.
        assert_eq!(spawn_blocking(|| run(async { 3 })).await.unwrap(), 3);
        let at_the_end = try_to_run.clone();
        spawn(with_destructor(move || at_the_end(None))).detach();
    });
    assert_eq!(outer.block_on(async { 4 }), 4);
    assert_eq!(other.block_on(async { 5 }), 5);
    drop(outer);
    assert_eq!(refused.get(), 6);
    assert_eq!(run(async { 6 }), 6);
}

#[test]
fn a_runtime_may_be_made_and_dropped_inside_another_and_does_not_disturb_it() {
    Builder::new().virtual_clock(true).build().unwrap().block_on(async {
        let (mine, others) = (Witness::new(), Witness::new());
        let task = spawn(guarded(&mine));
        let mut sleeping = sleep(Duration::from_millis(1));
        assert!(poll_once(&mut sleeping, Waker::noop()).is_pending());
        let outer = Handle::current();
        // A runtime that ran before, on another thread's behalf, and one that never ran.
        let other = Runtime::new().unwrap();
        let queued = other.handle().spawn({
            let guard = others.guard();
            move || async move { drop(guard) }
        });
        drop(other);
        assert_eq!((mine.drops(), others.drops()), (0, 1));
        assert!(queued.await.unwrap_err().is_cancelled());
        assert_eq!(Handle::current(), outer);
        sleeping.await;
        assert_eq!(tasks_alive(), 1);
        drop(task);
    });
}

// It has tasks, and their destructors have their own runtime around them.
#[test]
fn a_runtime_that_is_dropped_in_a_task_of_another_drops_its_tasks_at_home() {
    let inner = Runtime::new().unwrap();
    let inner_handle = inner.handle();
    let seen = Rc::new(RefCell::new(Vec::new()));
    inner.block_on(async {
        let seen = seen.clone();
        spawn(with_destructor(move || seen.borrow_mut().push(Handle::current()))).detach();
        some_turns().await;
    });
    run(async {
        let outer = Handle::current();
        let task = spawn(async move { drop(inner) });
        task.await.unwrap();
        assert_eq!(*seen.borrow(), [inner_handle]);
        assert_eq!(Handle::current(), outer);
    });
}

// A panic in the destructor of a thread-local ends the process.
#[test]
fn a_runtime_may_be_kept_in_a_thread_local() {
    thread_local! {
        static KEPT: RefCell<Option<(Runtime, Task<()>)>> = const { RefCell::new(None) };
    }
    alone("a_runtime_may_be_kept_in_a_thread_local", || {
        for is_first in [false, true] {
            let witness = Witness::new();
            let kept = witness.clone();
            let thread = thread::spawn(move || {
                if is_first {
                    KEPT.set(None); // before the runtime's own thread-locals, if it has any
                }
                let runtime = Runtime::new().unwrap();
                let task = runtime.block_on(async {
                    let task = spawn(guarded(&kept));
                    spawn(guarded(&kept)).detach();
                    some_turns().await;
                    task
                });
                KEPT.set(Some((runtime, task)));
            });
            let id = thread.thread().id();
            thread.join().unwrap();
            assert_eq!(witness.threads(), [id; 2]);
        }
    });
}

#[test]
fn without_a_runtime_a_spawn_says_so() {
    let witness = Witness::new();
    let panic = catch_unwind(AssertUnwindSafe(|| spawn(guarded(&witness)).detach()));
    let text = *panic.unwrap_err().downcast::<String>().unwrap();
    assert!(text.contains("gather::spawn needs a runtime") && text.contains("gather::run"), "{text}");
    assert_eq!(witness.drops(), 1);
    assert!(Handle::try_current().is_none());
}

#[test]
fn there_is_room_for_as_many_tasks_as_there_may_be_and_a_future_too_many_comes_back() {
    let runtime = Builder::new().max_tasks(3).build().unwrap();
    runtime.block_on(async {
        let mut tasks: Vec<Task<i32>> = (0..3).map(|index| try_spawn(ready(index)).unwrap()).collect();
        let witness = Witness::new();
        let probe = Probe::new();
        let error = try_spawn(probe.watch(guarded(&witness))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the runtime already has 3 tasks, the most that it allows (`Builder::max_tasks`)"
        );
        assert_eq!((witness.drops(), probe.polls()), (0, 0));
        drop(error.into_inner());
        assert_eq!(witness.drops(), 1);
        let panic = catch_unwind(|| spawn(async {}).detach()).unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.contains("the runtime already has 3 tasks") && text.contains("try_spawn"), "{text}");
        // A task counts until its output is taken, or its handle dropped or detached.
        some_turns().await;
        assert!(try_spawn(ready(3)).is_err());
        assert_eq!(tasks.pop().unwrap().await.unwrap(), 2);
        tasks.push(try_spawn(ready(4)).unwrap());
        drop(tasks.remove(0));
        try_spawn(async {}).unwrap().detach();
        some_turns().await;
        try_spawn(async {}).unwrap().detach();
        assert_eq!(gather(tasks).await.unwrap(), [1, 4]);
    });
}

/// The size of a future that is far too big, but happens. (To put a megabyte into a box takes more
/// than a stack of two in a debug build already, whatever the runtime does.)
const BIG: usize = 256 * 1024;

struct Big<const SIZE: usize>([u8; SIZE]);

impl<const SIZE: usize> Future for Big<SIZE> {
    type Output = u8;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u8> {
        if self.0[SIZE / 2] == 1 {
            return Poll::Ready(self.0[SIZE - 1] + 2);
        }
        self.0[SIZE / 2] = 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Makes it in the place where the caller wants it.
#[inline(never)]
fn big<const SIZE: usize>() -> Big<SIZE> {
    Big([0; SIZE])
}

/// Runs something on a thread whose stack has two megabytes, the usual size.
fn on_a_usual_stack(f: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(2 << 20).spawn(f).unwrap().join().unwrap();
}

#[test]
fn a_big_future_may_be_run_on_a_stack_of_the_usual_size() {
    alone("a_big_future_may_be_run_on_a_stack_of_the_usual_size", || {
        on_a_usual_stack(|| assert_eq!(run(big::<BIG>()), 2));
    });
}

#[test]
fn a_big_future_may_be_spawned_on_a_stack_of_the_usual_size() {
    alone("a_big_future_may_be_spawned_on_a_stack_of_the_usual_size", || {
        on_a_usual_stack(|| run(async { assert_eq!(spawn(big::<BIG>()).await.unwrap(), 2) }));
    });
}

// A gather boxes none, so each way station of a child on its way into its slot costs its size, in
// a debug build.
#[test]
fn a_big_future_may_be_gathered_on_a_stack_of_the_usual_size() {
    alone("a_big_future_may_be_gathered_on_a_stack_of_the_usual_size", || {
        on_a_usual_stack(|| {
            let outputs = run(async { gather((0..40).map(|_| big::<{ BIG / 4 }>())).capture().await });
            assert_eq!(outputs, [2; 40]);
        });
    });
}

#[test]
fn runtimes_that_come_and_go_leave_no_descriptors() {
    alone("runtimes_that_come_and_go_leave_no_descriptors", || {
        let one = |index: i32| {
            let output = run(async move {
                let task = spawn(async move { index });
                spawn(pending::<()>()).detach();
                sleep(Duration::ZERO).await;
                if index % 100 == 0 {
                    spawn_blocking(|| ()).await.unwrap();
                }
                let listener = gather::TcpListener::bind("127.0.0.1:0").await.unwrap();
                drop(listener);
                task.await.unwrap()
            });
            assert_eq!(output, index);
        };
        one(0);
        let before = open_descriptors();
        (0..2000).for_each(one);
        // A thread that is just ending may hold one for a moment; two thousand runtimes would hold
        // six thousand.
        assert!(only_a_few_more_than(before));
    });
}

#[test]
fn runtimes_that_come_and_go_leave_no_memory_behind() {
    alone("runtimes_that_come_and_go_leave_no_memory_behind", || {
        let one = || {
            run(async {
                let handle = Handle::current();
                let tasks: Vec<_> = (0..100).map(|_| spawn(yield_now())).collect();
                gather(tasks).await.unwrap();
                handle.spawn(|| async {}).await.unwrap();
                let listener = gather::TcpListener::bind("127.0.0.1:0").await.unwrap();
                assert!(timeout(Duration::from_millis(1), listener.accept()).await.is_err());
                spawn(sleep(HOUR)).detach();
                spawn(gather([pending::<()>()]).capture()).detach();
                drop(spawn(spawn(pending::<()>())));
                some_turns().await;
            });
        };
        // The mailboxes of a process are used again, and stay: see `Numbers` in `mailbox.rs`.
        (0..200).for_each(|_| one());
        let memory = allocation_counter::measure(|| (0..50).for_each(|_| one()));
        assert_eq!((memory.count_current, memory.bytes_current), (0, 0));
    });
}

#[test]
fn a_runtime_for_which_there_are_no_descriptors_is_an_error_and_leaves_none_open() {
    let test = "a_runtime_for_which_there_are_no_descriptors_is_an_error_and_leaves_none_open";
    alone_after("ulimit -n 32", test, || {
        let mut runtimes = Vec::new();
        let error = loop {
            let before = open_descriptors();
            match Runtime::new() {
                Ok(runtime) => runtimes.push(runtime),
                Err(error) => {
                    assert_eq!(open_descriptors(), before);
                    break error;
                }
            }
        };
        assert_eq!(error.raw_os_error(), Some(24), "too many open files: {error}");
        assert!(runtimes.len() > 3);
        let panic = catch_unwind(|| run(async {})).unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.contains("gather::run: cannot start a runtime"), "{text}");
        // Also when the failure comes at the second or the third of what it opens.
        runtimes.pop();
        let mut files = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            files.push(file);
        }
        for _ in 0..3 {
            files.pop();
            let before = open_descriptors();
            let made = Runtime::new().is_ok();
            assert_eq!(open_descriptors(), before, "made: {made}");
        }
        assert_eq!(runtimes.pop().unwrap().block_on(async { 1 }), 1);
        assert_eq!(run(async { 2 }), 2);
    });
}

#[test]
fn a_process_may_have_a_thousand_and_twenty_three_runtimes_and_one_more_is_an_error() {
    let test = "a_process_may_have_a_thousand_and_twenty_three_runtimes_and_one_more_is_an_error";
    alone_after("ulimit -S -n 8000", test, || {
        let most = 1023;
        let mut runtimes: Vec<Runtime> = (0..most).map(|_| Runtime::new().unwrap()).collect();
        let error = Runtime::new().unwrap_err();
        assert!(error.to_string().contains(&format!("already has {most} gather runtimes")), "{error}");
        assert_eq!(runtimes.swap_remove(5).block_on(async { spawn(async { 1 }).await.unwrap() }), 1);
        assert_eq!(run(async { 2 }), 2);
        for runtime in &runtimes {
            assert_eq!(runtime.block_on(async { spawn(async { 3 }).await.unwrap() }), 3);
        }
    });
}

#[test]
fn a_runtime_takes_any_number_for_any_setting() {
    alone("a_runtime_takes_any_number_for_any_setting", || {
        for number in [0, 1, 1 << 20, usize::MAX / 24, usize::MAX / 2, usize::MAX] {
            let builder = Builder::new().event_capacity(number).max_blocking_threads(number);
            let stall_warning = Duration::from_secs(number as u64);
            let builder =
                builder.stall_warning(stall_warning).max_tasks(number.max(1)).shuffle(number as u64);
            for is_virtual in [false, true] {
                builder.clone().virtual_clock(is_virtual).build().unwrap().block_on(async {
                    let task = spawn(async {
                        sleep(Duration::from_millis(1)).await;
                        spawn_blocking(|| 1).await.unwrap()
                    });
                    assert_eq!(gather([task]).await.unwrap(), [1]);
                });
            }
        }
        Builder::new().stall_warning(Duration::MAX).build().unwrap().block_on(yield_now());
    });
}

// ---- what a spike leaves behind

#[cfg(unix)] // whose threads know the processor time that they took
mod after_a_spike {
    use super::*;
    use rustix::time::{ClockId, clock_gettime};

    const SPIKE: usize = 20_000;

    /// A runtime that has had so many tasks, each with a gather, at once.
    fn after_spike(size: usize) -> Runtime {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let task = || spawn(async { gather([yield_now()]).capture().await });
            let tasks: Vec<_> = (0..size).map(|_| task()).collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        runtime
    }

    /// The processor time that `f` takes.
    fn busy<T>(f: impl FnOnce() -> T) -> (T, Duration) {
        let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
        let start = now();
        (f(), now() - start)
    }

    #[test]
    fn the_end_of_a_runtime_does_not_look_again_for_each_task_at_all_that_there_ever_were() {
        /// A task whose destructor spawns another, and so on.
        fn chain(length: usize) -> impl Future<Output = ()> {
            with_destructor(move || {
                if length > 0 {
                    spawn(chain(length - 1)).detach();
                }
            })
        }
        finishes(|| {
            let end = |spike, length| {
                let runtime = after_spike(spike);
                runtime.block_on(async { spawn(chain(length)).detach() });
                busy(|| drop(runtime)).1
            };
            let apart = end(SPIKE, 0) + end(1, 5000);
            let together = end(SPIKE, 5000);
            assert!(together < 10 * apart, "{together:?}, and one by one {apart:?}");
        });
    }

    #[test]
    fn a_dump_costs_what_there_is_and_not_what_there_once_was() {
        finishes(|| {
            let dumps = |spike| {
                after_spike(spike).block_on(async {
                    let task = spawn(pending::<()>());
                    let mut gathered = Box::pin(gather([pending::<()>()]).capture());
                    assert!(timeout(Duration::ZERO, &mut gathered).await.is_err());
                    let (lines, busy) = busy(|| (0..200).map(|_| gather::dump().nodes.len()).max());
                    assert_eq!(lines, Some(4), "main, a task, a gather and its child");
                    drop(task);
                    busy
                })
            };
            let (before, after) = (dumps(1), dumps(SPIKE));
            assert!(after < 20 * before, "{after:?}, and without a spike {before:?}");
        });
    }
}
