//! `wait(tasks)`: CPython's own tests for `asyncio.wait`, under their names, as far as they have a
//! meaning here; then what Rust adds: who owns the tasks, polls, drops. And what becomes of tasks
//! that are children of a gather.
//!
//! What was left out has no meaning in Rust: the same coroutine twice, wrong modes, no loop.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use gather::{
    Builder, Handle, Runtime, Task, TaskError, Wait, Waited, gather, now, run, sleep, spawn, wait, yield_now,
};
use gather_tests::children::{Census, children, counting_waker, poll_next_turn};
use gather_tests::probe::{poll_once, some_turns};
use gather_tests::watchdog::finishes;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Runs with a clock that leaps over sleeps.
fn run_virtually<F: Future>(future: F) -> F::Output {
    Builder::new().virtual_clock(true).build().unwrap().block_on(future)
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A task that sleeps and then gives how long.
fn sleeper(duration: u64) -> Task<u64> {
    spawn(async move {
        sleep(milliseconds(duration)).await;
        duration
    })
}

/// The indices of the tasks that are done, and of those that are not.
fn indices<T>(waited: &Waited<T>) -> (Vec<usize>, Vec<usize>) {
    let done = waited.done.iter().map(|(index, _)| *index).collect();
    (done, waited.pending.iter().map(|(index, _)| *index).collect())
}

/// The outputs of those that are done, none of which has failed.
#[track_caller]
fn outputs<T>(waited: Waited<T>) -> Vec<T> {
    waited.done.into_iter().map(|(_, result)| result.unwrap()).collect()
}

/// How long it takes, by the runtime's clock.
async fn timed<F: Future>(future: F) -> (F::Output, Duration) {
    let start = now();
    let output = future.await;
    (output, now() - start)
}

// ---- CPython's BaseTaskTests about wait

// CPython: test_wait
#[test]
fn test_wait() {
    run_virtually(async {
        let (waited, time) = timed(wait([sleeper(150), sleeper(100)])).await;
        assert_eq!((indices(&waited), time), ((vec![0, 1], vec![]), milliseconds(150)));
        assert_eq!(outputs(waited), [150, 100]);

        // Tasks that have finished already take no time.
        let tasks = [sleeper(15), sleeper(10)];
        sleep(milliseconds(20)).await;
        let (waited, time) = timed(wait(tasks)).await;
        assert_eq!((outputs(waited), time), (vec![15, 10], Duration::ZERO));
    });
}

// CPython: test_wait_with_iterator_of_tasks
#[test]
fn test_wait_with_iterator_of_tasks() {
    run_virtually(async {
        let mut tasks = vec![sleeper(150), sleeper(100)];
        let (waited, time) = timed(wait(tasks.drain(..).rev())).await;
        assert_eq!((outputs(waited), time), (vec![100, 150], milliseconds(150)));
    });
}

// CPython: test_wait_generator
#[test]
fn test_wait_generator() {
    run(async {
        let waited = wait((0..10).map(|number| spawn(async move { number }))).await;
        assert_eq!(outputs(waited), (0..10).collect::<Vec<_>>());
    });
}

// CPython: test_wait_errors (there an empty set is an error; here it is done)
#[test]
fn test_wait_errors() {
    let nothing = || std::iter::empty::<Task<()>>();
    let (wakes, waker) = counting_waker();
    let check = |mut nothing: Wait<()>| match poll_once(&mut nothing, &waker) {
        Poll::Ready(waited) => assert_eq!(indices(&waited), (vec![], vec![])),
        Poll::Pending => panic!("there is nothing to wait for"),
    };
    // It needs no runtime.
    check(wait(nothing()));
    check(wait(nothing()).first_completed());
    check(wait(nothing()).first_failure());
    check(wait(nothing()).within(HOUR));
    assert_eq!(wakes.get(), 0);
}

// CPython: test_wait_first_completed
#[test]
fn test_wait_first_completed() {
    run_virtually(async {
        let tasks = [sleeper(10_000), sleeper(100)];
        let (waited, time) = timed(wait(tasks).first_completed()).await;
        assert_eq!((indices(&waited), time), ((vec![1], vec![0]), milliseconds(100)));
        assert!(!waited.pending[0].1.is_finished());
        // It goes on, and can be waited for again.
        let pending = waited.pending.into_iter().map(|(_, task)| task);
        let (waited, time) = timed(wait(pending)).await;
        assert_eq!((outputs(waited), time), (vec![10_000], milliseconds(9_900)));
    });
}

// CPython: test_wait_really_done
#[test]
fn test_wait_really_done() {
    // Several have finished when the wait is polled, though only one had to.
    run(async {
        let turns = |count| {
            spawn(async move {
                for _ in 0..count {
                    yield_now().await;
                }
            })
        };
        let waited = wait([turns(2), turns(1), turns(1)]).first_completed();
        let mut waited = Box::pin(waited);
        assert!(poll_once(&mut waited, Waker::noop()).is_pending());
        some_turns().await;
        assert_eq!(indices(&waited.await), (vec![0, 1, 2], vec![]));
    });
}

// CPython: test_wait_first_exception
#[test]
fn test_wait_first_exception() {
    run_virtually(async {
        let tasks = [sleeper(10_000), spawn(async { panic!("err") }), sleeper(1)];
        let (waited, time) = timed(wait(tasks).first_failure()).await;
        assert_eq!((indices(&waited), time), ((vec![1], vec![0, 2]), Duration::ZERO));
        assert!(waited.done[0].1.as_ref().unwrap_err().is_panic());
    });
}

// CPython: test_wait_first_exception_in_wait
#[test]
fn test_wait_first_exception_in_wait() {
    run_virtually(async {
        let fails = spawn(async {
            sleep(milliseconds(10)).await;
            panic!("err")
        });
        let (waited, time) = timed(wait([sleeper(10_000), fails, sleeper(5)]).first_failure()).await;
        assert_eq!((indices(&waited), time), ((vec![1, 2], vec![0]), milliseconds(10)));
        assert_eq!(waited.done[1].1.as_ref().unwrap(), &5);
    });
}

// CPython: test_wait_with_exception
#[test]
fn test_wait_with_exception() {
    run_virtually(async {
        let fails = spawn(async {
            sleep(milliseconds(150)).await;
            panic!("err")
        });
        let (waited, time) = timed(wait([fails, sleeper(100)])).await;
        assert_eq!((indices(&waited), time), ((vec![0, 1], vec![]), milliseconds(150)));
        let failures = waited.done.iter().filter(|(_, result)| result.is_err());
        assert_eq!(failures.map(|(index, _)| *index).collect::<Vec<_>>(), [0]);
    });
}

// CPython: test_wait_with_timeout
#[test]
fn test_wait_with_timeout() {
    run_virtually(async {
        let (waited, time) = timed(wait([sleeper(150), sleeper(100)]).within(milliseconds(110))).await;
        assert_eq!((indices(&waited), time), ((vec![1], vec![0]), milliseconds(110)));
        assert!(!waited.pending[0].1.is_finished());
        assert_eq!(Handle::current().metrics().timers_pending(), 1, "only that of the task");
    });
}

// CPython: test_wait_concurrent_complete
#[test]
fn test_wait_concurrent_complete() {
    // A task finishes just when the time is over.
    run_virtually(async {
        for in_a_task in [false, true] {
            let waiting = wait([sleeper(100), sleeper(150)]).within(milliseconds(100));
            let (waited, time) = match in_a_task {
                false => timed(waiting).await,
                true => timed(async { spawn(waiting).await.unwrap() }).await,
            };
            assert_eq!((indices(&waited), time), ((vec![0], vec![1]), milliseconds(100)));
            let pending = waited.pending.into_iter().map(|(_, task)| task);
            assert_eq!(outputs(wait(pending).await), [150]);
        }
    });
}

// ---- Modes

#[test]
fn first_completed_ends_at_a_failure_as_well_and_first_failure_at_the_last_task() {
    run(async {
        let tasks = [spawn(pending::<()>()), spawn(pending())];
        tasks[1].cancel();
        let waited = wait(tasks).first_completed().await;
        assert_eq!(indices(&waited), (vec![1], vec![0]));
        let waited = wait((0..5).map(|number| spawn(async move { number }))).first_failure().await;
        assert_eq!(outputs(waited), [0, 1, 2, 3, 4]);
    });
}

#[test]
fn a_cancelled_task_is_a_failure_and_an_err_in_an_output_is_not_but_can_count_with_until() {
    run_virtually(async {
        let tasks = || {
            [30, 10, 20].map(|duration| {
                spawn(async move {
                    sleep(milliseconds(duration)).await;
                    if duration == 10 { Err("ten") } else { Ok(duration) }
                })
            })
        };
        let (waited, time) = timed(wait(tasks()).first_failure()).await;
        assert_eq!((indices(&waited), time), ((vec![0, 1, 2], vec![]), milliseconds(30)));

        let is_bad = |result: &Result<Result<u64, &str>, TaskError>| !matches!(result, Ok(Ok(_)));
        let (waited, time) = timed(wait(tasks()).until(is_bad)).await;
        assert_eq!((indices(&waited), time), ((vec![1], vec![0, 2]), milliseconds(10)));

        let tasks = tasks();
        let canceller = tasks[0].canceller();
        let mut waiting = wait(tasks).first_failure();
        assert!(poll_next_turn(&mut waiting).await.is_pending());
        canceller.cancel();
        let waited = waiting.await;
        assert_eq!(indices(&waited), (vec![0], vec![1, 2]));
        assert!(waited.done[0].1.as_ref().unwrap_err().is_cancelled());
    });
}

#[test]
fn until_sees_each_result_once_in_the_order_of_completion_and_none_after_it_was_enough() {
    run_virtually(async {
        let mut seen = vec![];
        let tasks = [50, 20, 40, 10, 30].map(sleeper);
        let waited = wait(tasks)
            .until(|result| {
                seen.push(*result.as_ref().unwrap());
                seen.len() == 3
            })
            .within(HOUR)
            .await;
        assert_eq!(indices(&waited), (vec![1, 3, 4], vec![0, 2]));
        assert_eq!(seen, [10, 20, 30]);
    });
}

#[test]
fn within_ends_each_mode_and_changes_nothing_that_comes_in_time() {
    run_virtually(async {
        let tasks = || [sleeper(100), sleeper(10), sleeper(5000)];
        let short = milliseconds(5);
        let (waited, time) = timed(wait(tasks()).first_completed().within(short)).await;
        assert_eq!((indices(&waited), time), ((vec![], vec![0, 1, 2]), short));
        let (waited, time) = timed(wait(tasks()).within(HOUR).first_completed()).await;
        assert_eq!((indices(&waited), time), ((vec![1], vec![0, 2]), milliseconds(10)));
        let (waited, time) = timed(wait(tasks()).first_failure().within(milliseconds(200))).await;
        assert_eq!((indices(&waited), time), ((vec![0, 1], vec![2]), milliseconds(200)));
        let (waited, time) = timed(wait(tasks()).within(short).until(|_| true)).await;
        assert_eq!((indices(&waited), time), ((vec![], vec![0, 1, 2]), short));
        let (waited, time) = timed(wait(tasks()).within(Duration::MAX)).await;
        assert_eq!((outputs(waited), time), (vec![100, 10, 5000], milliseconds(5000)));
    });
}

#[test]
fn within_no_time_gives_all_that_has_finished_however_many_there_are() {
    run(async {
        const COUNT: usize = 10_000; // more than one poll of the wait looks at
        let tasks: Vec<Task<usize>> = (0..COUNT)
            .map(|number| spawn(async move { if number % 2 == 0 { number } else { pending().await } }))
            .collect();
        for _ in 0..100 {
            yield_now().await;
        }
        let mut waiting = wait(tasks).within(Duration::ZERO);
        assert!(poll_next_turn(&mut waiting).await.is_pending(), "others have their turn");
        let Poll::Ready(waited) = poll_next_turn(&mut waiting).await else { panic!("no time is no time") };
        let (done, pending) = indices(&waited);
        assert_eq!(done, (0..COUNT).step_by(2).collect::<Vec<_>>());
        assert_eq!(pending, (1..COUNT).step_by(2).collect::<Vec<_>>());
    });
}

#[test]
fn a_wait_that_has_given_its_result_has_no_timer_and_no_group_left() {
    run(async {
        let mut waiting = wait([spawn(yield_now())]).within(HOUR);
        assert!(poll_next_turn(&mut waiting).await.is_pending());
        assert_eq!(Handle::current().metrics().timers_pending(), 1);
        drop((&mut waiting).await);
        let metrics = Handle::current().metrics();
        assert_eq!((metrics.timers_pending(), metrics.groups_alive()), (0, 0));
        drop(waiting);
    });
}

// ---- Who owns the tasks

#[test]
fn nothing_is_cancelled_when_the_wait_is_over_and_what_is_handed_back_goes_on() {
    run_virtually(async {
        let census = Census::new();
        let tasks = [1, 20, 30].map(|duration| {
            let guard = census.guard();
            spawn(async move {
                let _guard = guard;
                sleep(milliseconds(duration)).await;
                duration
            })
        });
        let waited = wait(tasks).first_completed().await;
        assert_eq!((indices(&waited), census.alive()), ((vec![0], vec![1, 2]), 2));
        let mut outputs = vec![];
        for (index, task) in waited.pending {
            outputs.push((index, task.await.unwrap()));
        }
        assert_eq!(outputs, [(1, 20), (2, 30)]);
    });
}

#[test]
fn a_wait_that_is_dropped_before_it_is_done_cancels_its_tasks_and_drops_results_that_it_has() {
    run(async {
        for polls in 0..3 {
            let census = Census::new();
            let tasks: Vec<_> = (0..5)
                .map(|index| {
                    let guard = census.guard();
                    spawn(async move {
                        if index != 2 {
                            pending::<()>().await;
                        }
                        guard
                    })
                })
                .collect();
            let mut waiting = wait(tasks);
            for _ in 0..polls {
                assert!(poll_next_turn(&mut waiting).await.is_pending());
            }
            assert_eq!(census.dropped(), 0);
            drop(waiting);
            assert_eq!(census.dropped(), 5);
            let metrics = Handle::current().metrics();
            assert_eq!((metrics.tasks_alive(), metrics.groups_alive()), (0, 0));
        }
    });
}

#[test]
fn panics_in_the_drops_of_results_keep_no_task_from_being_cancelled() {
    #[derive(Debug)]
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a bomb went off");
        }
    }
    run(async {
        let census = Census::new();
        let tasks: Vec<_> = (0..6)
            .map(|index| {
                let guard = census.guard();
                spawn(async move {
                    if index > 3 {
                        pending::<()>().await;
                    }
                    drop(guard);
                    Bomb
                })
            })
            .collect();
        let mut waiting = wait(tasks);
        for _ in 0..2 {
            assert!(poll_next_turn(&mut waiting).await.is_pending());
        }
        let panic = catch_unwind(AssertUnwindSafe(|| drop(waiting))).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"a bomb went off"));
        assert_eq!((census.alive(), Handle::current().metrics().tasks_alive()), (0, 0));
    });
}

#[test]
fn a_panic_in_until_comes_out_and_loses_no_task() {
    run(async {
        let tasks = [spawn(async { 1 }), spawn(async { 2 })];
        let mut is_first = true;
        let mut waiting = wait(tasks).until(|_| {
            assert!(!std::mem::take(&mut is_first), "not yet");
            false
        });
        some_turns().await;
        let poll = || poll_once(&mut waiting, Waker::noop());
        let panic = catch_unwind(AssertUnwindSafe(poll)).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"not yet"));
        assert_eq!(outputs(waiting.await), [1, 2]);
    });
}

#[test]
fn a_wait_that_has_given_its_result_panics_when_it_is_polled_again() {
    run(async {
        let mut waiting = wait([spawn(async {})]);
        assert_eq!(outputs((&mut waiting).await).len(), 1);
        let poll = || poll_once(&mut waiting, Waker::noop());
        let panic = catch_unwind(AssertUnwindSafe(poll)).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"a wait was polled after it had given its result"));
    });
}

// ---- Polls and wakes

#[test]
fn a_wait_is_woken_once_for_many_tasks_and_only_when_one_has_finished() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let (controls, futures) = children(100);
        let mut waiting = wait(futures.into_iter().map(spawn));
        let (wakes, waker) = counting_waker();
        assert!(poll_once(&mut waiting, &waker).is_pending());
        some_turns().await;
        controls[7].wake(); // not finished
        some_turns().await;
        assert_eq!(wakes.get(), 0);
        controls.iter().take(50).for_each(|control| control.finish(()));
        some_turns().await;
        assert_eq!(wakes.get(), 1);
        assert!(poll_once(&mut waiting, &waker).is_pending());
        controls.iter().skip(50).for_each(|control| control.finish(()));
        some_turns().await;
        assert_eq!(wakes.get(), 2);
        assert_eq!(poll_once(&mut waiting, &waker).map(outputs), Poll::Ready(vec![(); 100]));
    });
}

#[test]
fn a_hundred_thousand_tasks_that_finish_one_by_one_take_linear_time() {
    const COUNT: usize = 100_000;
    // Polls of every task for every wake would be five billion.
    finishes(|| {
        run(async {
            let turn = Rc::new(Cell::new(0));
            let tasks = (0..COUNT).map(|number| {
                let turn = turn.clone();
                spawn(poll_fn(move |cx| {
                    if turn.get() < number {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    turn.set(turn.get() + 1);
                    Poll::Ready(number)
                }))
            });
            assert_eq!(outputs(wait(tasks).await), (0..COUNT).collect::<Vec<_>>());
        });
        run(async {
            let (controls, futures) = children(COUNT);
            let mut waiting = wait(futures.into_iter().map(spawn));
            while controls[COUNT - 1].polls() == 0 {
                assert!(poll_next_turn(&mut waiting).await.is_pending());
            }
            for control in controls.iter().rev().take(COUNT - 1) {
                control.finish(());
                assert!(poll_next_turn(&mut waiting).await.is_pending());
            }
            controls[0].finish(());
            assert_eq!(outputs(waiting.await).len(), COUNT);
        });
    });
}

#[test]
fn a_wait_for_finished_tasks_lets_others_have_their_turns() {
    run(async {
        let tasks: Vec<_> = (0..100_000).map(|_| spawn(async {})).collect();
        while Handle::current().metrics().polls() < 100_000 {
            yield_now().await;
        }
        let turns = Rc::new(Cell::new(0));
        let counted = turns.clone();
        let _watch = spawn(async move {
            loop {
                counted.set(counted.get() + 1);
                yield_now().await;
            }
        });
        wait(tasks).await.done.clear();
        assert!(turns.get() > 100, "{} turns", turns.get());
    });
}

#[test]
fn a_wait_may_move_to_another_task_between_two_polls() {
    run(async {
        let (controls, futures) = children(3);
        let mut waiting = wait(futures.into_iter().map(spawn));
        let (_, waker) = counting_waker();
        assert!(poll_once(&mut waiting, &waker).is_pending());
        let waiting = spawn(waiting);
        some_turns().await;
        for (number, control) in controls.iter().enumerate() {
            control.finish(number);
            some_turns().await;
        }
        assert_eq!(outputs(waiting.await.unwrap()), [0, 1, 2]);
    });
}

#[test]
fn a_wait_is_send_if_its_outputs_are() {
    fn check<T: Send>(_: &T) {}
    run(async {
        check(&wait([spawn(async { 1 })]));
        check(&wait([spawn(async { 1 })]).within(HOUR).until(|result| result.is_ok()));
    });
}

// ---- Tasks as children of a gather

/// Tasks that never end, but for one that fails or succeeds; and the census of what is in them.
fn tasks_but_one(output: Result<u32, &'static str>) -> (Vec<Task<Result<u32, &'static str>>>, Census) {
    let census = Census::new();
    let tasks = (0..5)
        .map(|index| {
            let guard = census.guard();
            spawn(async move {
                let _guard = guard;
                if index == 3 { output } else { pending().await }
            })
        })
        .collect();
    (tasks, census)
}

/// A task's output, with a failure of the task as one more error.
async fn flat(task: Task<Result<u32, &'static str>>) -> Result<u32, &'static str> {
    task.await.unwrap_or(Err("the task failed"))
}

#[test]
fn gather_and_first_ok_and_race_and_streams_cancel_the_tasks_that_they_drop() {
    run(async {
        let check = |census: &Census| {
            assert_eq!((census.made(), census.alive()), (5, 0));
            assert_eq!(Handle::current().metrics().tasks_alive(), 0);
        };
        let (tasks, census) = tasks_but_one(Err("no"));
        assert_eq!(gather(tasks.into_iter().map(flat)).await, Err("no"));
        check(&census);

        let (tasks, census) = tasks_but_one(Ok(7));
        assert_eq!(gather(tasks.into_iter().map(flat)).first_ok().await.unwrap(), (3, 7));
        check(&census);

        let (tasks, census) = tasks_but_one(Ok(7));
        let (index, result) = gather(tasks).race().await;
        assert_eq!((index, result.unwrap()), (3, Ok(7)));
        check(&census);

        let (tasks, census) = tasks_but_one(Ok(7));
        let mut stream = gather(tasks).stream();
        assert_eq!(stream.next().await.map(|(index, _)| index), Some(3));
        assert_eq!(census.alive(), 4);
        drop(stream);
        check(&census);
    });
}
