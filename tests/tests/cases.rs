//! CPython's own tests for `asyncio.gather`, under their names, as far as they have a meaning
//! here; and then the cases that Python does not have and Rust does: wakers, panics, destructors,
//! moves.
//!
//! Where Python cancels, a future is dropped here, and there is no loop to choose. What was left
//! out has no meaning in Rust: interpreter flags, global loops, the same coroutine twice. Who
//! waits for whom (`test_stack_gather`, `test_stack_tgroup`) is in `dump.rs`; `asyncio.TaskGroup`
//! is in `scope.rs`, `asyncio.wait` in `wait.rs`.
//!
//! # What CPython does not test
//!
//! | case | test, here if no file stands with it |
//! |---|---|
//! | a poll after the end | [`a_poll_after_the_result_panics_and_says_why`]; `modes.rs`: `a_poll_after_the_result_panics_and_says_why_and_a_stream_stays_at_its_end` |
//! | a child that wakes itself in its poll | [`a_child_that_wakes_itself_is_polled_again_and_starves_no_sibling`]; `fairness.rs`: other tasks, timers and sockets |
//! | a waker that outlives its child, its gather and its runtime, used by another thread | [`wakes_from_another_thread_after_the_child_finished_or_the_gather_ended_poll_nobody`] |
//! | a wake between the last child's poll and the parent's waker being left behind | [`a_wake_that_comes_while_children_are_polled_is_not_lost_whoever_it_is_for`], [`a_wake_from_another_thread_while_its_child_is_polled_is_not_lost`]; `modes.rs`: `a_wake_that_comes_when_no_child_is_left_to_poll_and_its_waker_is_cloned_is_not_lost` |
//! | another parent's waker between two polls | `modes.rs`: `it_wakes_the_one_who_polled_it_last`, `it_may_move_to_another_task_before_and_after_each_poll`, `it_may_move_to_another_runtime_before_and_after_each_poll` |
//! | a child that panics, and destructors that panic then | [`a_panic_in_a_childs_drop_while_another_panic_is_under_way_does_not_abort`]; `modes.rs`: `a_panic_in_a_child_at_its_first_poll_or_later_and_outputs_are_dropped_too` |
//! | a destructor that panics while an error ends it | [`a_panic_in_a_childs_drop_during_fail_fast_keeps_neither_the_error_nor_the_other_drops_from_coming`]; `modes.rs`: `panics_in_the_destructors_of_siblings_and_of_outputs_change_no_result_but_that_of_a_scope` |
//! | an error of a child behind many that wait | `contract.rs`: `an_error_from_child_10_000_is_prompt_while_child_0_never_ends_and_9_999_destructors_have_run_before_it` |
//! | an input that does not know its length, or lies, or has no end | `contract.rs`: `the_first_child_to_fail_ends_it_in_the_same_poll_for_any_number_of_children_and_any_size_hint`; [`an_endless_input_with_a_limit_ends_with_the_first_error`] |
//! | a limit of 0 | `contract.rs`: `a_limit_of_zero_panics_and_says_why` |
//! | outputs without size, children that must not move, allocations | [`outputs_without_size_are_counted_right`], [`children_that_must_not_move_do_not_move`]; `allocations.rs` |
//! | a hundred thousand children | [`wakes_of_a_hundred_thousand_children_poll_just_those_and_each_once`]; `scope_faults.rs`: `dropping_a_million_children_needs_no_stack_nor_does_a_chain_of_cancelling_or_spawning_destructors` |
//! | ten thousand gathers in one another | `nesting.rs`: `ten_thousand_nested_gathers_are_polled_woken_and_dropped_on_the_stack_that_the_docs_state` |
//! | outputs of finished siblings | [`outputs_of_finished_siblings_are_dropped_with_an_error_and_with_a_panic_and_with_the_gather`] |
//! | a gather that is held and not polled | `dump.rs`: `a_gather_that_is_held_and_not_polled_though_its_children_were_woken_is_reported_once_with_the_tree` |

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Wake, Waker};

use gather::{
    Canceller, Handle, Outcomes, Runtime, Task, TaskError, gather, run, spawn, spawn_blocking, yield_now,
};
use gather_tests::children::{
    Anchored, Census, Child, Control, Log, child, children, counting_waker, poll_next_turn,
};
use gather_tests::probe::{poll_once, some_turns};
use gather_tests::watchdog::finishes;

type Outcome = Result<i32, &'static str>;
/// A child whose type is forgotten, so that different ones can be gathered.
type BoxedChild<'a, T = Outcome> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Polls with a fresh budget, and expects that it is not ready.
async fn poll_pending(all: &mut (impl Future + Unpin)) {
    assert!(poll_next_turn(all).await.is_pending());
}

// ---- CPython's GatherTestsBase

/// The results are in input order; it is done with the last child, and wakes its parent for each
/// poll that it needs.
#[test]
fn test_success() {
    run(async {
        let (controls, futures) = children::<Outcome>(3);
        let [a, b, c] = [0, 1, 2].map(|index| &controls[index]);
        let mut all = gather(futures);
        let (wakes, waker) = counting_waker();
        assert!(poll_once(&mut all, &waker).is_pending());
        b.finish(Ok(1));
        assert!(poll_once(&mut all, &waker).is_pending());
        a.finish(Ok(2));
        assert!(poll_once(&mut all, &waker).is_pending());
        c.finish(Ok(3));
        assert_eq!(wakes.get(), 3);
        assert_eq!(poll_once(&mut all, &waker), Poll::Ready(Ok(vec![2, 1, 3])));
        assert_eq!(wakes.get(), 3, "the end wakes nobody");
    });
}

/// The same in capture mode.
#[test]
fn test_result_exception_success() {
    run(async {
        let (controls, futures) = children::<Outcome>(3);
        let mut all = gather(futures).capture();
        for (index, value) in [(1, 1), (0, 2), (2, 3)] {
            poll_pending(&mut all).await;
            controls[index].finish(Ok(value));
        }
        let outcomes = all.await;
        assert_eq!(outcomes, [Ok(2), Ok(1), Ok(3)]);
        assert_eq!((outcomes.success_count(), outcomes.failure_count()), (3, 0));
    });
}

/// The first error ends it with just that error; what becomes of the others afterwards changes
/// nothing.
#[test]
fn test_one_exception() {
    run(async {
        let (controls, futures) = children::<Outcome>(5);
        let mut all = gather(futures);
        poll_pending(&mut all).await;
        controls[0].finish(Ok(1));
        controls[1].finish(Err("b failed"));
        assert_eq!(poll_next_turn(&mut all).await, Poll::Ready(Err("b failed")));
        assert!(controls.iter().all(Control::is_dropped));
        controls[2].finish(Ok(2));
        controls[3].finish(Err("d failed too"));
        controls[4].wake();
        some_turns().await;
        assert_eq!(controls.iter().map(Control::polls).collect::<Vec<_>>(), [2, 2, 1, 1, 1]);
    });
}

/// In capture mode two errors do not end it, and stand among the results in input order.
#[test]
fn test_return_exceptions() {
    run(async {
        let (controls, futures) = children::<Outcome>(4);
        let mut all = gather(futures).capture();
        for (index, outcome) in [(1, Ok(1)), (3, Err("d failed")), (2, Err("c failed")), (0, Ok(3))] {
            poll_pending(&mut all).await;
            controls[index].finish(outcome);
        }
        assert_eq!(all.await, [Ok(3), Ok(1), Err("c failed"), Err("d failed")]);
    });
}

// ---- CPython's FutureGatherTests

/// A gather of nothing is ready at its first poll, whatever its mode and limit, and wakes nobody.
#[test]
fn test_constructor_empty_sequence_use_running_loop() {
    run(async {
        let (wakes, waker) = counting_waker();
        let nothing: [std::future::Ready<Outcome>; 0] = [];
        assert_eq!(poll_once(&mut gather(nothing.clone()).limit(1), &waker), Poll::Ready(Ok(vec![])));
        assert_eq!(poll_once(&mut gather(nothing).capture().limit(1), &waker), Poll::Ready(vec![]));
        assert_eq!(wakes.get(), 0);
    });
}

/// Python refuses futures of two loops. Here wakes find their runtime, also from another one on
/// the same thread; and tasks of another thread's runtime may be gathered with one's own.
#[test]
fn test_constructor_heterogenous_futures() {
    finishes(|| {
        let (here, there) = (Runtime::new().unwrap(), Runtime::new().unwrap());
        let (controls, futures) = children::<Outcome>(2);
        let mut all = gather(futures);
        here.block_on(poll_pending(&mut all));
        there.block_on(async { controls.iter().for_each(|control| control.finish(Ok(1))) });
        assert_eq!(here.block_on(all), Ok(vec![1, 1]));
    });

    let (sender, handles) = mpsc::channel();
    let (stop, stopped) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        run(async {
            sender.send(Handle::current()).unwrap();
            spawn_blocking(move || stopped.recv()).await.unwrap().unwrap();
        });
    });
    let handle = handles.recv().unwrap();
    let remote = (0..10).map(|number| handle.spawn(move || async move { number }));
    assert_eq!(run(async { gather(remote).await }).unwrap(), (0..10).collect::<Vec<_>>());
    stop.send(()).unwrap();
    thread.join().unwrap();
}

/// Futures that are only lent to a gather can be gathered again.
#[test]
fn test_constructor_homogenous_futures() {
    run(async {
        let (controls, mut futures) = children::<Outcome>(2);
        let mut first = gather(futures.iter_mut());
        poll_pending(&mut first).await;
        drop(first);
        assert!(!controls[0].is_dropped());
        controls[1].finish(Ok(1)); // its waker is that of the first gather, and wakes nobody
        controls[0].finish(Ok(0));
        assert_eq!(gather(&mut futures).await, Ok(vec![0, 1]));
    });
}

/// A child that is cancelled on its own ends the gather with its error. Unlike in Python the
/// others are cancelled then, as after any error.
#[test]
fn test_one_cancellation() {
    run(async {
        let alive = Census::new();
        let tasks: Vec<Task<()>> = (0..5)
            .map(|_| {
                let guard = alive.guard();
                spawn(async move {
                    let _guard = guard;
                    pending().await
                })
            })
            .collect();
        let canceller = tasks[1].canceller();
        let mut all = gather(tasks);
        poll_pending(&mut all).await;
        canceller.cancel();
        let error = all.await.unwrap_err();
        assert!(error.is_cancelled());
        assert_eq!(alive.alive(), 0);
    });
}

/// In capture mode children that are cancelled on their own are outcomes among the others, apart
/// from their errors.
#[test]
fn test_result_exception_one_cancellation() {
    run(async {
        let (controls, futures) = children::<Outcome>(6);
        let tasks: Vec<_> = futures.into_iter().map(spawn).collect();
        let cancellers: Vec<_> = tasks.iter().map(Task::canceller).collect();
        let mut all = gather(tasks).capture();
        poll_pending(&mut all).await;
        cancellers[0].cancel();
        controls[1].finish(Ok(1));
        poll_pending(&mut all).await;
        controls[2].finish(Err("c failed"));
        cancellers[3].cancel();
        controls[4].finish(Ok(4));
        poll_pending(&mut all).await;
        controls[5].finish(Err("f failed"));
        let outcomes = all.await;
        let cancelled: Vec<_> =
            outcomes.failures().map(|(index, error)| (index, error.is_cancelled())).collect();
        assert_eq!(cancelled, [(0, true), (3, true)]);
        let finished: Vec<_> = outcomes.successes().map(|(index, outcome)| (index, *outcome)).collect();
        assert_eq!(finished, [(1, Ok(1)), (2, Err("c failed")), (4, Ok(4)), (5, Err("f failed"))]);
    });
}

// ---- CPython's CoroutineGatherTests

/// It works wherever a runtime runs: as the main future, in a task, in a gather in a gather.
#[test]
fn test_constructor_use_running_loop() {
    let numbers = || [1, 2].map(|number| async move { Ok::<_, ()>(number) });
    assert_eq!(run(gather(numbers())), Ok(vec![1, 2]));
    assert_eq!(run(async { gather(numbers()).await }), Ok(vec![1, 2]));
    assert_eq!(run(async { spawn(gather(numbers())).await.unwrap() }), Ok(vec![1, 2]));
    let nested = gather([(); 2].map(|()| gather([(); 2].map(|()| gather(numbers())))));
    assert_eq!(run(nested), Ok(vec![vec![vec![1, 2]; 2]; 2]));
}

/// Cancelling the task that awaits a gather cancels every child, and what stands after the await
/// never runs.
#[test]
fn test_cancellation_broadcast() {
    run(async {
        let (controls, futures) = children::<Outcome>(2);
        let after = Log::new();
        let log = after.clone();
        let task = spawn(async move {
            let _ = gather(futures).await;
            log.note("after");
        });
        some_turns().await;
        task.cancel();
        assert!(controls.iter().all(Control::is_dropped));
        controls.iter().for_each(|control| control.finish(Ok(1)));
        some_turns().await;
        assert!(after.take().is_empty());
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

/// A second error in the pass of the first cannot be lost unseen: its child was never asked for
/// it.
#[test]
fn test_exception_marking() {
    run(async {
        let asked = Log::new();
        let fail = async |index: i32| {
            yield_now().await;
            asked.note(index);
            Err::<(), _>(index)
        };
        assert_eq!(gather([1, 2].map(fail)).await, Err(1));
        assert_eq!(asked.take(), [1]);
    });
}

/// An argument that is no future is a type error here. What can go wrong while the arguments are
/// taken is the iterator: if it panics, that panic comes out and what was taken is dropped.
#[test]
fn test_issue46672() {
    run(async {
        let census = Census::new();
        for limit in [40, usize::MAX] {
            let (census, guards) = (&census, (0..100).map(|_| census.guard()).collect::<Vec<_>>());
            let futures = guards.into_iter().enumerate().map(|(index, guard)| {
                assert!(index != 50, "no future number 50");
                async move {
                    let _guard = guard;
                    if index > 19 {
                        pending::<()>().await;
                    }
                    Ok::<_, ()>(census.guard())
                }
            });
            let mut all = gather(futures).limit(limit);
            let poll =
                poll_fn(|cx| Poll::Ready(catch_unwind(AssertUnwindSafe(|| Pin::new(&mut all).poll(cx)))));
            let panic = poll.await.unwrap_err();
            assert_eq!(panic.downcast_ref::<&str>(), Some(&"no future number 50"));
            assert_eq!(census.alive(), 0, "futures and outputs alike");
            yield_now().await;
        }
        assert_eq!(Handle::current().metrics().groups_alive(), 0);
        assert_eq!(gather([ready(Ok::<_, ()>(1))]).await, Ok(vec![1]), "the runtime works on");
    });
}

// ---- CPython's BaseTaskTests about gather

/// When every child is done and the gather was not polled again, dropping it drops the results. A
/// task whose gather is done cannot be cancelled any more: the results are still to be had.
#[test]
fn test_cancel_gather_1() {
    run(async {
        let outputs = Census::new();
        let (controls, futures) = children::<Result<_, ()>>(2);
        let mut all = gather(futures);
        poll_pending(&mut all).await;
        controls.iter().for_each(|control| control.finish(Ok(outputs.guard())));
        drop(all);
        drop(controls);
        assert_eq!((outputs.made(), outputs.dropped()), (2, 2));

        let (controls, futures) = children::<Outcome>(2);
        let task = spawn(gather(futures));
        some_turns().await;
        controls.iter().for_each(|control| control.finish(Ok(1)));
        some_turns().await;
        task.cancel();
        assert_eq!(task.await.unwrap(), Ok(vec![1, 1]));
    });
}

/// A loop around a capture ends when its task is cancelled, whatever its children are doing
/// (bpo-32684).
#[test]
fn test_cancel_gather_2() {
    run(async {
        for turns in 0..10 {
            let rounds = Rc::new(Cell::new(0));
            let counter = rounds.clone();
            let task = spawn(async move {
                loop {
                    gather([yield_now(), yield_now()]).capture().await;
                    counter.set(counter.get() + 1);
                }
            });
            for _ in 0..turns {
                yield_now().await;
            }
            task.cancel();
            let before = rounds.get();
            assert!(task.await.unwrap_err().is_cancelled());
            some_turns().await;
            assert_eq!((rounds.get(), Rc::strong_count(&rounds)), (before, 1));
        }
    });
}

/// A task that goes on when the one who waits for it is cancelled: Python's `shield`.
struct Shield<T: 'static>(Option<Task<T>>);

fn shield<T>(task: Task<T>) -> Shield<T> {
    Shield(Some(task))
}

impl<T> Future for Shield<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let output = Pin::new(self.0.as_mut().unwrap()).poll(cx);
        if output.is_ready() {
            self.0 = None;
        }
        output
    }
}

impl<T> Drop for Shield<T> {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(Task::detach);
    }
}

/// A gather in a task that is shielded goes on when the one who waits for it is cancelled.
#[test]
fn test_shield_gather() {
    run(async {
        let (controls, futures) = children::<Outcome>(2);
        let results = Log::new();
        let log = results.clone();
        let inner = spawn(async move { log.note(gather(futures).await) });
        let outer = spawn(shield(inner));
        some_turns().await;
        drop(outer);
        controls[0].finish(Ok(1));
        controls[1].finish(Ok(2));
        some_turns().await;
        assert_eq!(results.take(), [Ok(vec![1, 2])]);
    });
}

/// A gather of shielded tasks is cancelled, and the tasks are not.
#[test]
fn test_gather_shield() {
    run(async {
        let (controls, futures) = children::<i32>(2);
        let results = Log::new();
        let tasks = futures.into_iter().map(|future| {
            let log = results.clone();
            shield(spawn(async move { log.note(future.await) }))
        });
        let outer = spawn(gather(tasks.collect::<Vec<_>>()));
        some_turns().await;
        outer.cancel();
        assert!(outer.await.unwrap_err().is_cancelled());
        controls[0].finish(1);
        controls[1].finish(2);
        some_turns().await;
        assert_eq!(results.take(), [1, 2]);
    });
}

// ---- What CPython does not test and Rust must: polls and wakes

#[test]
fn a_poll_after_the_result_panics_and_says_why() {
    run(async {
        let text = |panic: Box<dyn std::any::Any + Send>| *panic.downcast::<&str>().unwrap();
        let mut succeeded = gather([ready(Ok::<_, ()>(1))]);
        let mut failed = gather([ready(Err::<(), _>(1))]);
        let mut captured = gather([ready(1)]).capture();
        assert!(poll_next_turn(&mut succeeded).await.is_ready());
        assert!(poll_next_turn(&mut failed).await.is_ready());
        assert!(poll_next_turn(&mut captured).await.is_ready());
        let waker = Waker::noop();
        let message = "a gather was polled after it had given its result";
        let again = || poll_once(&mut succeeded, waker).is_ready();
        assert_eq!(text(catch_unwind(AssertUnwindSafe(again)).unwrap_err()), message);
        let again = || poll_once(&mut failed, waker).is_ready();
        assert_eq!(text(catch_unwind(AssertUnwindSafe(again)).unwrap_err()), message);
        let again = || poll_once(&mut captured, waker).is_ready();
        assert_eq!(text(catch_unwind(AssertUnwindSafe(again)).unwrap_err()), message);
    });
}

#[test]
#[should_panic(expected = "a gather needs a runtime, and none runs on this thread")]
fn a_poll_without_a_runtime_panics_and_says_what_to_do() {
    let _ = poll_once(&mut gather([ready(Ok::<_, ()>(1))]), Waker::noop());
}

#[test]
fn a_child_that_wakes_itself_is_polled_again_and_starves_no_sibling() {
    run(async {
        let (control, sibling) = child::<Outcome>();
        let rounds = Cell::new(0);
        let busy = poll_fn(|cx| {
            rounds.set(rounds.get() + 1);
            cx.waker().wake_by_ref();
            cx.waker().wake_by_ref();
            match rounds.get() {
                1000 => control.finish(Ok(1)), // the sibling has to be polled to end it
                1_000_000 => panic!("the sibling starves"),
                _ => {}
            }
            Poll::<Outcome>::Pending
        });
        let futures: [BoxedChild<'_>; 2] =
            [Box::pin(busy), Box::pin(async { Err(if sibling.await == Ok(1) { "done" } else { "what?" }) })];
        assert_eq!(gather(futures).await, Err("done"));
        assert!(rounds.get() < 1010, "{} rounds", rounds.get());
    });
}

#[test]
fn a_wake_that_comes_while_children_are_polled_is_not_lost_whoever_it_is_for() {
    run(async {
        // Each child, when polled for the first time, wakes one that was polled before and waits
        // already, itself, or one that comes later. Then it is done at its next poll.
        let wakers = RefCell::new(vec![None::<Waker>; 30]);
        let futures = (0..30usize).map(|index| {
            let wakers = &wakers;
            let mut polls = 0;
            poll_fn(move |cx| {
                wakers.borrow_mut()[index] = Some(cx.waker().clone());
                polls += 1;
                let whom = if polls == 1 { index.checked_sub(1) } else { Some(29) };
                let waker = whom.and_then(|whom| wakers.borrow()[whom].clone());
                waker.into_iter().for_each(Waker::wake);
                if polls == 2 { Poll::Ready(Ok::<_, ()>(index)) } else { Poll::Pending }
            })
        });
        assert_eq!(gather(futures).await, Ok((0..30).collect()));
    });
}

#[test]
fn a_wake_from_another_thread_while_its_child_is_polled_is_not_lost() {
    run(async {
        for _ in 0..100 {
            let mut polls = 0;
            let future = poll_fn(|cx| {
                polls += 1;
                if polls == 2 {
                    return Poll::Ready(Ok::<_, ()>(()));
                }
                let waker = cx.waker().clone();
                std::thread::spawn(move || waker.wake()).join().unwrap(); // during the poll
                Poll::Pending
            });
            assert_eq!(gather([future]).await, Ok(vec![()]));
        }
    });
}

#[test]
fn wakes_from_another_thread_after_the_child_finished_or_the_gather_ended_poll_nobody() {
    let late_of_all = run(async {
        let (controls, futures) = children::<Outcome>(3);
        let mut all = gather(futures).limit(2);
        poll_pending(&mut all).await;
        let wakers: Vec<_> = controls[..2].iter().map(Control::waker).collect();
        let wake_elsewhere = async |wakers: Vec<Waker>| {
            spawn_blocking(move || wakers.iter().for_each(Waker::wake_by_ref)).await.unwrap();
            some_turns().await;
        };
        controls[0].finish(Ok(0));
        poll_pending(&mut all).await;
        wake_elsewhere(vec![wakers[0].clone()]).await; // its place has the third child now
        poll_pending(&mut all).await;
        assert_eq!(controls.iter().map(Control::polls).collect::<Vec<_>>(), [2, 1, 1]);
        drop(all);
        // The new gather may have the row of the old one.
        let (others, futures) = children::<Outcome>(3);
        let mut all = gather(futures);
        poll_pending(&mut all).await;
        wake_elsewhere(wakers.clone()).await;
        poll_pending(&mut all).await;
        assert!(others.iter().all(|control| control.polls() == 1));
        wakers
    });
    // And when there is no runtime any more.
    late_of_all.iter().for_each(Waker::wake_by_ref);
    std::thread::spawn(move || late_of_all.into_iter().for_each(Waker::wake)).join().unwrap();
}

#[test]
fn wakes_of_a_hundred_thousand_children_poll_just_those_and_each_once() {
    const COUNT: usize = 100_000;
    run(async {
        let (controls, futures) = children::<Outcome>(COUNT);
        let mut all = gather(futures);
        let mut parent_polls = 0;
        while controls[COUNT - 1].polls() == 0 {
            poll_pending(&mut all).await;
            parent_polls += 1;
        }
        assert!(parent_polls <= COUNT / 100, "{parent_polls} polls of the gather to start them");
        let polls = || controls.iter().map(Control::polls).sum::<usize>();
        assert_eq!(polls(), COUNT);
        // One wake is one poll of one child, however many there are.
        for round in 0..1000 {
            controls[round * 97].wake();
            poll_pending(&mut all).await;
            assert_eq!(controls[round * 97].polls(), 2);
        }
        assert_eq!(polls(), COUNT + 1000);
        // When all finish one by one, it is one poll for each.
        for (index, control) in controls.iter().enumerate() {
            control.finish(Ok(index as i32));
            if index + 1 < COUNT {
                poll_pending(&mut all).await;
            }
        }
        assert_eq!(poll_next_turn(&mut all).await, Poll::Ready(Ok((0..COUNT as i32).collect())));
        assert_eq!(polls(), COUNT + 1000 + COUNT);
    });
}

#[test]
fn ready_children_take_one_poll_each_and_the_parent_is_not_woken_for_them() {
    run(async {
        let polls = Cell::new(0);
        let count = |index| {
            polls.set(polls.get() + 1);
            Ok::<_, ()>(index)
        };
        let (wakes, waker) = counting_waker();
        let mut all = gather(
            (0..100).map(|index| poll_fn(move |_| Poll::Ready(index))).map(async |index| count(index.await)),
        );
        assert_eq!(poll_once(&mut all, &waker), Poll::Ready(Ok((0..100).collect())));
        assert_eq!((polls.get(), wakes.get()), (100, 0));
    });
}

#[test]
fn a_parent_is_woken_once_for_many_children_until_it_polls() {
    run(async {
        let (controls, futures) = children::<Outcome>(100);
        let mut all = gather(futures);
        let (wakes, waker) = counting_waker();
        assert!(poll_once(&mut all, &waker).is_pending());
        controls.iter().chain(&controls).for_each(Control::wake);
        assert_eq!(wakes.get(), 1);
        assert!(poll_once(&mut all, &waker).is_pending());
        controls[3].wake();
        assert_eq!(wakes.get(), 2);
    });
}

// ---- Panics and destructors

/// Panics in its destructor, after it has noted that it ran.
struct Bomb(usize, Log<usize>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.1.note(self.0);
        panic!("bomb {}", self.0);
    }
}

/// Children that never end and panic when they are dropped. The one with the index `fails` fails
/// at its second poll.
///
/// They are made when they are pulled: what has not started is the iterator's to drop, and a `Vec`
/// aborts when two of its elements panic.
fn bombs(count: usize, fails: usize, log: &Log<usize>) -> impl Iterator<Item = BoxedChild<'static>> + use<> {
    let log = log.clone();
    (0..count).map(move |index| {
        let bomb = (index != fails).then(|| Bomb(index, log.clone()));
        let child = async move {
            let _bomb = bomb;
            if index != fails {
                pending::<()>().await;
            }
            yield_now().await;
            Err("the error")
        };
        Box::pin(child) as BoxedChild<'static>
    })
}

#[test]
fn a_panic_in_a_childs_drop_during_fail_fast_keeps_neither_the_error_nor_the_other_drops_from_coming() {
    run(async {
        for count in [2, 31, 1000] {
            for fails in [0, count / 2, count - 1] {
                let dropped = Log::new();
                let started = Cell::new(0);
                let futures = bombs(count, fails, &dropped).inspect(|_| started.set(started.get() + 1));
                assert_eq!(gather(futures).await, Err("the error"));
                let others: Vec<_> = (0..started.get()).filter(|index| *index != fails).collect();
                assert_eq!(dropped.take(), others);
                assert!(!others.is_empty());
            }
        }
        assert_eq!(Handle::current().metrics().groups_alive(), 0);
    });
}

#[test]
fn a_panic_in_a_childs_drop_when_a_gather_is_dropped_comes_out_after_every_drop() {
    run(async {
        let dropped = Log::new();
        let mut all = gather(bombs(50, 50, &dropped));
        poll_pending(&mut all).await;
        let panic = catch_unwind(AssertUnwindSafe(|| drop(all))).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "bomb 0", "the first");
        assert_eq!(dropped.take(), (0..50).collect::<Vec<_>>());
        assert_eq!(Handle::current().metrics().groups_alive(), 0);
    });
}

#[test]
fn a_panic_in_a_childs_drop_while_another_panic_is_under_way_does_not_abort() {
    run(async {
        // Once with the panic of a child, once with a panic that unwinds through the one who holds
        // the gather.
        let dropped = Log::new();
        let panics: BoxedChild<'static> = Box::pin(poll_fn(|_| panic!("the child's")));
        let error = spawn(gather(bombs(50, 50, &dropped).chain([panics]))).await.unwrap_err();
        assert_eq!(*error.into_panic().downcast::<&str>().unwrap(), "the child's");
        assert_eq!(dropped.take(), (0..50).collect::<Vec<_>>());

        let mut all = gather(bombs(50, 50, &dropped));
        poll_pending(&mut all).await;
        let holder = move || {
            let _all = all;
            panic!("the holder's");
        };
        let panic = catch_unwind(AssertUnwindSafe(holder)).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"the holder's"));
        assert_eq!(dropped.take(), (0..50).collect::<Vec<_>>());
    });
}

/// A payload whose own destructor panics.
struct Nasty(Log<&'static str>);

impl Drop for Nasty {
    fn drop(&mut self) {
        self.0.note("the payload was dropped");
        panic!("the payload's");
    }
}

#[test]
fn a_panic_payload_whose_drop_panics_costs_neither_the_error_nor_the_other_drops() {
    struct Thrower(usize, Log<usize>, Log<&'static str>);
    impl Drop for Thrower {
        fn drop(&mut self) {
            self.1.note(self.0);
            std::panic::panic_any(Nasty(self.2.clone()));
        }
    }
    run(async {
        let (dropped, payloads) = (Log::new(), Log::new());
        let futures = (0..10).map(|index| {
            let thrower = (index != 9).then(|| Thrower(index, dropped.clone(), payloads.clone()));
            async move {
                let _thrower = thrower;
                if index != 9 {
                    pending::<()>().await;
                }
                Err::<(), _>("the error")
            }
        });
        let mut all = gather(futures);
        let poll = poll_fn(|cx| Poll::Ready(catch_unwind(AssertUnwindSafe(|| Pin::new(&mut all).poll(cx)))));
        let outcome = poll.await.map_err(std::mem::forget);
        assert_eq!(dropped.take(), (0..9).collect::<Vec<_>>());
        assert_eq!(outcome, Ok(Poll::Ready(Err("the error"))));
    });
}

#[test]
fn outputs_of_finished_siblings_are_dropped_with_an_error_and_with_a_panic_and_with_the_gather() {
    run(async {
        for end in ["error", "panic", "drop"] {
            for count in [3, 100] {
                let outputs = Census::new();
                let (controls, futures) = children::<Result<_, &str>>(count);
                let mut last = None;
                let futures = futures.into_iter().enumerate().map(async |(index, future)| {
                    let output = future.await;
                    assert!(end != "panic" || index + 1 < count, "the last one");
                    output
                });
                let mut all = gather(futures);
                poll_pending(&mut all).await;
                // Some in order and some ahead of their turn, so that both kinds of kept outputs
                // are there.
                for (index, control) in controls.iter().enumerate() {
                    match index {
                        1 => {}
                        _ if index + 1 == count => last = Some(control),
                        _ => control.finish(Ok(outputs.guard())),
                    }
                }
                poll_pending(&mut all).await;
                assert_eq!((outputs.made(), outputs.dropped()), (count - 2, 0));
                let last = last.unwrap();
                match end {
                    "error" => {
                        last.finish(Err("failed"));
                        assert!(matches!(poll_next_turn(&mut all).await, Poll::Ready(Err("failed"))));
                    }
                    "panic" => {
                        last.finish(Ok(outputs.guard()));
                        let poll = || poll_once(&mut all, Waker::noop()).is_ready();
                        assert!(catch_unwind(AssertUnwindSafe(poll)).is_err());
                    }
                    _ => drop(all),
                }
                assert_eq!(outputs.alive(), 0, "{end}, {count}");
            }
        }
    });
}

#[test]
fn panics_in_the_drops_of_outputs_cost_neither_the_error_nor_the_other_drops() {
    run(async {
        let dropped = Log::new();
        let (controls, futures) = children::<Result<Bomb, &str>>(10);
        let mut all = gather(futures);
        poll_pending(&mut all).await;
        // Some in order, and some ahead of their turn.
        for index in [0, 1, 2, 5, 6] {
            controls[index].finish(Ok(Bomb(index, dropped.clone())));
        }
        poll_pending(&mut all).await;
        assert!(dropped.take().is_empty());
        controls[9].finish(Err("failed"));
        assert!(matches!(poll_next_turn(&mut all).await, Poll::Ready(Err("failed"))));
        assert_eq!(dropped.take(), [0, 1, 2, 5, 6]);
    });
}

#[test]
fn a_childs_destructor_may_wake_its_siblings_and_the_parent_and_spawn_and_cancel_and_gather() {
    struct Busy(Rc<RefCell<Vec<Waker>>>, Log<&'static str>, Option<Canceller>);
    impl Drop for Busy {
        fn drop(&mut self) {
            self.0.borrow().iter().for_each(Waker::wake_by_ref);
            let log = self.1.clone();
            spawn(async move { log.note("spawned by a destructor") }).detach();
            self.2.iter().for_each(Canceller::cancel);
            let mut other = gather([ready(Ok::<_, ()>(1))]);
            assert_eq!(poll_once(&mut other, Waker::noop()), Poll::Ready(Ok(vec![1])));
        }
    }
    run(async {
        let log = Log::new();
        let wakers = Rc::new(RefCell::new(vec![poll_fn(|cx| Poll::Ready(cx.waker().clone())).await]));
        let other = spawn(pending::<()>());
        let futures = (0..10).map(|index| {
            let wakers = wakers.clone();
            let busy = Busy(wakers.clone(), log.clone(), Some(other.canceller()));
            let mut polls = 0;
            poll_fn(move |cx| {
                let _inside = &busy;
                polls += 1;
                wakers.borrow_mut().push(cx.waker().clone());
                match (index, polls) {
                    (0..5, _) => Poll::Ready(Ok(())),        // drops while it goes on
                    (5, 2) => Poll::Ready(Err("the error")), // drops the others
                    (5, _) => {
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }
                    _ => Poll::Pending,
                }
            })
        });
        assert_eq!(gather(futures).await, Err("the error"));
        assert!(other.await.unwrap_err().is_cancelled());
        some_turns().await;
        assert_eq!(log.take().len(), 10);
        assert_eq!(Rc::strong_count(&wakers), 1);
    });
}

#[test]
fn a_child_that_drops_the_task_of_another_child_is_safe_and_that_one_ends_as_cancelled() {
    run(async {
        let first: Rc<RefCell<Option<Task<()>>>> = Rc::default();
        *first.borrow_mut() = Some(spawn(pending()));
        let canceller = first.borrow().as_ref().unwrap().canceller();
        let wait = async || {
            let task = first.borrow_mut().take().unwrap();
            task.await.map_err(|error| error.is_cancelled())
        };
        let cancel = async || {
            canceller.cancel();
            Ok(())
        };
        let futures: [BoxedChild<'_, Result<(), bool>>; 2] = [Box::pin(wait()), Box::pin(cancel())];
        assert_eq!(gather(futures).await, Err(true));
    });
}

/// A waker that does something when it is used.
struct Does(Box<dyn Fn() + Send + Sync>);

impl Wake for Does {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

#[test]
fn a_parents_waker_may_drop_the_gather_and_wake_its_children_when_it_is_used() {
    run(async {
        let (controls, futures) = children::<Outcome>(3);
        let all = Arc::new(Mutex::new(Some(gather(futures))));
        let controls = Arc::new(controls);
        let (held, others) = (all.clone(), controls.clone());
        let waker = Waker::from(Arc::new(Does(Box::new(move || {
            others.iter().for_each(Control::wake);
            drop(held.lock().unwrap().take());
            others.iter().for_each(Control::wake);
        }))));
        let poll = all.lock().unwrap().as_mut().map(|all| poll_once(all, &waker).is_pending());
        assert_eq!(poll, Some(true));
        controls[1].wake();
        assert!(controls.iter().all(Control::is_dropped));
        assert_eq!(Handle::current().metrics().groups_alive(), 0);
    });
}

#[test]
fn a_parents_waker_that_panics_panics_where_the_child_is_woken_and_the_wake_is_not_lost() {
    run(async {
        let (controls, futures) = children::<Outcome>(2);
        let mut all = gather(futures);
        let waker = Waker::from(Arc::new(Does(Box::new(|| panic!("the parent's waker")))));
        assert!(poll_once(&mut all, &waker).is_pending());
        let panic = catch_unwind(AssertUnwindSafe(|| controls[0].finish(Ok(0)))).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"the parent's waker"));
        controls[1].finish(Ok(1)); // the parent was told already
        assert_eq!(all.await, Ok(vec![0, 1]));
    });
}

// ---- Inputs and outputs of all kinds

#[test]
fn an_input_that_is_not_fused_is_not_asked_again_after_its_end() {
    run(async {
        let mut pulls = 0;
        let input = std::iter::from_fn(|| {
            pulls += 1;
            match pulls {
                3 => None,
                4.. => panic!("it was asked again"),
                _ => Some(yield_now()),
            }
        });
        assert_eq!(gather(input).capture().await, [(), ()]);
    });
}

#[test]
fn an_endless_input_with_a_limit_ends_with_the_first_error() {
    run(async {
        let odd = async |index: u32| if index == 100_001 { Err(index) } else { Ok(()) };
        assert_eq!(gather((0..).map(odd)).limit(3).await, Err(100_001));
    });
}

#[test]
fn outputs_without_size_are_counted_right() {
    run(async {
        let results = gather((0..1000).map(async |index: u32| {
            if index % 2 == 0 {
                yield_now().await;
            }
            Ok::<(), ()>(())
        }))
        .await;
        assert_eq!(results, Ok(vec![(); 1000]));
        assert_eq!(gather((0..1000).map(|_| ready(()))).capture().await.len(), 1000);
    });
}

#[test]
fn children_that_must_not_move_do_not_move() {
    run(async {
        let moves = Log::new();
        let (controls, futures) = children::<Outcome>(200);
        let anchored = futures.into_iter().map(|future| Anchored::new(future, &moves));
        let mut all = gather(anchored.collect::<Vec<Anchored<Child<Outcome>>>>()).limit(50);
        for (index, control) in controls.iter().enumerate() {
            poll_pending(&mut all).await;
            control.finish(Ok(index as i32));
        }
        assert_eq!(all.await, Ok((0..200).collect()));
        assert!(moves.take().is_empty());
    });
}

/// Gathers in gathers, so deep; the innermost child is `leaf`.
fn nest(
    depth: usize,
    leaf: Child<Result<usize, String>>,
    alive: &Census,
) -> BoxedChild<'static, Result<usize, String>> {
    if depth == 0 {
        return Box::pin(leaf);
    }
    let inner = nest(depth - 1, leaf, alive);
    let guards = [alive.guard(), alive.guard()];
    Box::pin(async move {
        let [guard, endless] = guards;
        let sibling: BoxedChild<'_, _> = Box::pin(async move {
            let _endless = endless;
            yield_now().await;
            Ok(1)
        });
        let _guard = guard;
        let sum = gather([inner, sibling]).await?.iter().sum();
        Ok(sum)
    })
}

#[test]
fn a_wake_at_the_bottom_of_a_hundred_nested_gathers_reaches_the_top_and_so_does_its_error() {
    run(async {
        for result in [Ok(1), Err(String::from("from the bottom"))] {
            let alive = Census::new();
            let (control, leaf) = child();
            let task = spawn(nest(100, leaf, &alive));
            for _ in 0..1000 {
                yield_now().await;
            }
            assert_eq!(Handle::current().metrics().groups_alive(), 100);
            let polls = Handle::current().metrics().polls();
            some_turns().await;
            let idle = Handle::current().metrics().polls() - polls;
            assert!(idle <= 5, "only this task was polled, not the one that waits: {idle}");
            control.finish(result.clone());
            assert_eq!(task.await.unwrap(), result.map(|sum| sum + 100));
            assert_eq!((alive.alive(), Handle::current().metrics().groups_alive()), (0, 0));
        }
        // Dropped from the top.
        let alive = Census::new();
        let (control, leaf) = child();
        let task = spawn(nest(100, leaf, &alive));
        some_turns().await;
        drop(task);
        assert!(control.is_dropped());
        assert_eq!((alive.alive(), Handle::current().metrics().groups_alive()), (0, 0));
    });
}
