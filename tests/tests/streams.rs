//! Outputs as they come: `stream()`, whose consumer polls the children, and `for_each()`, whose
//! body runs beside them.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::{FusedStream, Stream};
use futures_lite::StreamExt;
use gather::{Builder, Handle, Runtime, gather, now, run, sleep, spawn, timeout, yield_now};
use gather_tests::children::{
    Anchored, Census, Counted, Log, child, children, counting_waker, poll_next_turn,
};
use gather_tests::gate::Gate;
use gather_tests::probe::{Probe, poll_once, some_turns};
use gather_tests::watchdog::finishes;

/// So many children there may be between two turns of another task. A fairly arbitrary number: a
/// few times what it is.
const A_FEW: usize = 1000;

/// Runs with a clock that leaps over sleeps.
fn run_virtually<F: Future>(future: F) -> F::Output {
    Builder::new().virtual_clock(true).build().unwrap().block_on(future)
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Polls a stream once, with a fresh budget.
async fn poll_stream<S: Stream + Unpin>(stream: &mut S) -> Poll<Option<S::Item>> {
    yield_now().await;
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *stream).poll_next(cx))).await
}

/// What a panic said.
#[track_caller]
fn message<T>(result: std::thread::Result<T>) -> String {
    let panic = result.map(drop).expect_err("it panics");
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).expect("a text")
}

/// Panics when it is dropped, and notes it.
struct Bomb(&'static str, Log<&'static str>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.1.note(self.0);
        panic!("{}", self.0);
    }
}

// ---- The order of a stream, and its end

#[test]
fn a_stream_gives_outputs_in_the_order_of_completion_each_with_its_index() {
    run(async {
        let (controls, futures) = children(4);
        let mut stream = gather(futures).stream();
        assert_eq!(poll_stream(&mut stream).await, Poll::Pending);
        for index in [2, 0, 3, 1] {
            controls[index].finish(Ok::<_, ()>(index * 10));
            assert_eq!(poll_stream(&mut stream).await, Poll::Ready(Some((index, Ok(index * 10)))));
            assert!(controls[index].is_dropped());
            if index != 1 {
                assert_eq!(poll_stream(&mut stream).await, Poll::Pending);
            }
        }
        assert_eq!(poll_stream(&mut stream).await, Poll::Ready(None));
    });
}

#[test]
fn an_error_is_an_output_of_a_stream_like_any_other() {
    run(async {
        let mut stream = gather(["1", "x", "3"].map(async |text| text.parse::<i32>().map_err(drop))).stream();
        assert_eq!(stream.next().await, Some((0, Ok(1))));
        assert_eq!(stream.next().await, Some((1, Err(()))));
        assert_eq!(stream.next().await, Some((2, Ok(3))));
        assert_eq!(stream.next().await, None);
    });
}

#[test]
fn several_that_finish_between_two_polls_come_in_the_order_of_their_wakes() {
    run(async {
        let (controls, futures) = children(5);
        let mut stream = gather(futures).stream();
        assert!(poll_stream(&mut stream).await.is_pending());
        [3, 1, 4, 0, 2].iter().for_each(|index: &usize| controls[*index].finish(*index));
        for index in [3, 1, 4, 0, 2] {
            assert_eq!(stream.next().await, Some((index, index)));
        }
    });
}

#[test]
fn a_stream_of_nothing_is_over_at_its_first_poll_and_wakes_nobody() {
    run(async {
        let (wakes, waker) = counting_waker();
        let mut stream = gather(std::iter::empty::<std::future::Ready<()>>()).limit(1).stream();
        assert!(!stream.is_terminated());
        let poll = Pin::new(&mut stream).poll_next(&mut Context::from_waker(&waker));
        assert_eq!(poll, Poll::Ready(None));
        assert!(stream.is_terminated());
        assert_eq!((wakes.get(), Handle::current().metrics().groups_alive()), (0, 0));
    });
}

#[test]
fn a_stream_that_is_over_stays_so_and_asks_its_input_no_more() {
    run(async {
        let asked = Cell::new(0);
        // It would begin again.
        let input = std::iter::from_fn(|| {
            asked.set(asked.get() + 1);
            (asked.get() % 2 == 1).then(|| ready(()))
        });
        let mut stream = gather(input).stream();
        assert_eq!(stream.next().await, Some((0, ())));
        for _ in 0..3 {
            assert_eq!(stream.next().await, None);
            assert!(stream.is_terminated());
            assert_eq!(stream.size_hint(), (0, Some(0)));
        }
        assert_eq!(asked.get(), 2);
    });
}

#[test]
fn the_size_hint_of_a_stream_is_what_the_input_says_and_those_that_run() {
    run(async {
        let (controls, futures) = children::<()>(5);
        let mut stream = gather(futures).limit(2).stream();
        assert_eq!(stream.size_hint(), (5, Some(5)));
        assert!(poll_stream(&mut stream).await.is_pending());
        assert_eq!(stream.size_hint(), (5, Some(5)));
        for (given, control) in (1..).zip(&controls) {
            control.finish(());
            assert!(poll_stream(&mut stream).await.is_ready());
            assert_eq!(stream.size_hint(), (5 - given, Some(5 - given)));
            assert!(given == 5 || poll_stream(&mut stream).await.is_pending());
        }
        let endless = gather((0..).map(ready::<u64>)).stream();
        assert_eq!(endless.size_hint(), (usize::MAX, None));
        let mut filtered = gather((0..9).filter(|number| number % 3 == 0).map(ready)).stream();
        assert_eq!(filtered.size_hint(), (0, Some(9)));
        assert_eq!(filtered.next().await, Some((0, 0)));
        assert_eq!(filtered.size_hint(), (0, Some(8)));
    });
}

#[test]
fn a_stream_is_one_to_other_libraries() {
    run(async {
        let words = ["news".to_owned(), "about".to_owned()];
        let stream = gather(words.iter().map(async |word| word.len())).stream(); // it borrows
        let lengths: Vec<_> = stream.map(|(index, length)| index * 100 + length).collect().await;
        assert_eq!(lengths, [4, 105]);
    });
}

// ---- The limit of a stream

#[test]
fn no_child_of_a_stream_starts_while_as_many_as_the_limit_exist_running_or_finished() {
    run(async {
        for limit in 1..=5 {
            let pulled = Cell::new(0);
            let (controls, futures) = children(12);
            let census = Census::new();
            let input = futures.into_iter().map(|future| {
                pulled.set(pulled.get() + 1);
                let guard = census.guard();
                async move {
                    let _guard = guard;
                    future.await
                }
            });
            let mut stream = gather(input).limit(limit).stream();
            assert_eq!(pulled.get(), 0, "nothing starts before the first poll");
            assert!(poll_stream(&mut stream).await.is_pending());
            assert_eq!((pulled.get(), census.alive()), (limit, limit));
            // All are finished now, and none has been polled.
            controls.iter().take(limit).for_each(|control| control.finish(()));
            some_turns().await;
            assert_eq!((pulled.get(), census.alive()), (limit, limit));
            for given in 1..=limit {
                assert!(poll_stream(&mut stream).await.is_ready());
                assert!(census.alive() < limit, "what was given no longer counts");
                assert!(pulled.get() < limit + given, "one more may start with the next poll");
            }
            assert!(poll_stream(&mut stream).await.is_pending());
            assert_eq!((pulled.get(), census.alive()), ((2 * limit).min(12), limit.min(12 - limit)));
        }
    });
}

#[test]
fn an_endless_input_of_a_stream_is_pulled_only_as_far_as_it_is_wanted() {
    run_virtually(async {
        let pulled = Cell::new(0);
        let endless = (0..).map(|index: u64| {
            pulled.set(pulled.get() + 1);
            sleep(milliseconds(1 + index % 3))
        });
        let mut stream = gather(endless).limit(4).stream();
        for given in 0..1000 {
            assert!(stream.next().await.is_some());
            assert!(pulled.get() <= given + 4, "{} pulled, {given} given before", pulled.get());
        }
        drop(stream);
        assert_eq!(Handle::current().metrics().timers_pending(), 0);
    });
}

#[test]
fn children_that_are_ready_at_once_are_pulled_one_for_each_output() {
    run(async {
        let pulled = Cell::new(0);
        let mut stream = gather((0..).map(|index: usize| {
            pulled.set(pulled.get() + 1);
            ready(index)
        }))
        .stream();
        for given in 0..10_000 {
            assert_eq!(stream.next().await, Some((given, given)));
            assert_eq!(pulled.get(), given + 1);
        }
    });
}

// ---- Turns

#[test]
fn an_endless_input_of_ready_children_does_not_keep_a_woken_one_from_its_turn() {
    finishes(|| {
        run(async {
            let (control, waits) = child();
            let waits: Pin<Box<dyn Future<Output = u64>>> = Box::pin(waits);
            let endless = (1_u64..).map(|number| Box::pin(ready(number)) as _);
            let mut stream = gather(std::iter::once(waits).chain(endless)).limit(10).stream();
            assert_eq!(stream.next().await, Some((1, 1)));
            control.finish(0);
            let next_two = [stream.next().await.unwrap(), stream.next().await.unwrap()];
            assert!(next_two.contains(&(0, 0)), "{next_two:?}");
        });
    });
}

#[test]
fn children_that_wake_themselves_do_not_keep_the_input_from_going_on() {
    finishes(|| {
        run(async {
            let spin = || {
                Box::pin(poll_fn(|cx| {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                })) as Pin<Box<dyn Future<Output = usize>>>
            };
            let input = (0..5).map(|_| spin()).chain((5_usize..200).map(|index| Box::pin(ready(index)) as _));
            let mut stream = gather(input).stream();
            for index in 5..200 {
                assert_eq!(stream.next().await, Some((index, index)));
            }
        });
    });
}

/// Runs a consumer of always ready outputs as the main future, and in a task, until a timer has
/// fired and another task has had a thousand turns. The consumer notes each output.
fn check_that_others_have_their_turns<C: Future<Output = ()> + 'static>(
    consumer: impl Fn(Rc<Cell<usize>>) -> C + Copy + Send + 'static,
) {
    finishes(move || {
        for in_a_task in [false, true] {
            run(async {
                let work = Rc::new(Cell::new(0));
                let watched = work.clone();
                let watch = spawn(async move {
                    let mut most = 0;
                    for _ in 0..1000 {
                        let before = watched.get();
                        yield_now().await;
                        most = most.max(watched.get() - before);
                    }
                    sleep(milliseconds(1)).await;
                    most
                });
                let consumer = consumer(work.clone());
                let consumer = if in_a_task {
                    let task = spawn(consumer);
                    Box::pin(async { task.await.unwrap() }) as Pin<Box<dyn Future<Output = ()>>>
                } else {
                    Box::pin(consumer)
                };
                let (mut consumer, mut watch) = (consumer, watch);
                let most = poll_fn(|cx| {
                    assert!(consumer.as_mut().poll(cx).is_pending(), "it is endless");
                    Pin::new(&mut watch).poll(cx)
                })
                .await
                .unwrap();
                assert!(work.get() > 1000, "{} outputs", work.get());
                assert!(most <= A_FEW, "{most} outputs between two turns, in a task: {in_a_task}");
            });
        }
    });
}

#[test]
fn a_loop_over_a_stream_of_ready_children_lets_tasks_and_timers_have_their_turns() {
    check_that_others_have_their_turns(async |work| {
        let mut stream = gather((0..).map(ready::<u64>)).stream();
        while stream.next().await.is_some() {
            work.set(work.get() + 1);
        }
    });
}

#[test]
fn a_loop_over_a_stream_of_woken_children_lets_tasks_and_timers_have_their_turns() {
    check_that_others_have_their_turns(async |work| {
        let twice = || {
            let mut is_second = false;
            poll_fn(move |cx| {
                cx.waker().wake_by_ref();
                if std::mem::replace(&mut is_second, true) { Poll::Ready(()) } else { Poll::Pending }
            })
        };
        let mut stream = gather(std::iter::repeat_with(twice)).limit(50).stream();
        while stream.next().await.is_some() {
            work.set(work.get() + 1);
        }
    });
}

#[test]
fn for_each_over_ready_children_with_ready_bodies_lets_tasks_and_timers_have_their_turns() {
    check_that_others_have_their_turns(async |work| {
        gather((0..).map(ready::<u64>)).for_each(async |_, _| work.set(work.get() + 1)).await;
    });
}

#[test]
fn for_each_with_a_body_that_wakes_itself_lets_tasks_and_timers_have_their_turns() {
    check_that_others_have_their_turns(async |work| {
        let spin = async |_, _| {
            poll_fn(|cx| {
                work.set(work.get() + 1);
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            })
            .await;
        };
        gather((0..).map(ready::<u64>)).limit(10).for_each(spin).await;
    });
}

#[test]
fn outputs_that_have_heaped_up_do_not_keep_the_loop_when_their_bodies_are_ready() {
    const COUNT: usize = 100_000;
    run(async {
        let (gate, bodies) = (Gate::new(), Cell::new(0));
        let mut all = Box::pin(gather((0..COUNT).map(ready)).for_each(async |index, _| {
            if index == 0 {
                gate.pass().await;
            }
            bodies.set(bodies.get() + 1);
        }));
        for _ in 0..COUNT / 10 {
            assert!(poll_next_turn(&mut all).await.is_pending());
        }
        gate.open();
        let mut is_over = false;
        while !is_over {
            let before = bodies.get();
            is_over = poll_next_turn(&mut all).await.is_ready();
            assert!(bodies.get() - before <= A_FEW, "{} bodies in one poll", bodies.get() - before);
        }
        assert_eq!(bodies.get(), COUNT);
    });
}

/// A stream in a task whose budget another future has spent by the time that it is polled.
#[test]
fn a_stream_goes_on_though_another_future_of_its_task_spends_the_whole_budget() {
    finishes(|| {
        run(async {
            let mut hog = gather((0..).map(|_: u64| ready(()))).capture();
            let mut stream = gather((0..100).map(ready)).stream();
            let mut given = 0;
            poll_fn(|cx| {
                assert!(Pin::new(&mut hog).poll(cx).is_pending());
                while let Poll::Ready(output) = Pin::new(&mut stream).poll_next(cx) {
                    let Some(output) = output else { return Poll::Ready(()) };
                    assert_eq!(output, (given, given));
                    given += 1;
                }
                Poll::Pending
            })
            .await;
            assert_eq!(given, 100);
        });
    });
}

// ---- Polls and wakes of a stream

#[test]
fn a_child_of_a_stream_is_polled_only_when_it_was_woken() {
    run(async {
        let (controls, futures) = children(100);
        let mut stream = gather(futures).stream();
        for _ in 0..5 {
            assert!(poll_stream(&mut stream).await.is_pending());
        }
        controls[7].finish(());
        assert_eq!(poll_stream(&mut stream).await, Poll::Ready(Some((7, ()))));
        for _ in 0..5 {
            assert!(poll_stream(&mut stream).await.is_pending());
        }
        for (index, control) in controls.iter().enumerate() {
            assert_eq!(control.polls(), if index == 7 { 2 } else { 1 }, "child {index}");
        }
    });
}

#[test]
fn a_stream_wakes_its_last_poller_and_only_when_a_child_was_woken() {
    run(async {
        let (controls, futures) = children(3);
        let mut stream = gather(futures).stream();
        let mut poll = |waker: &Waker| Pin::new(&mut stream).poll_next(&mut Context::from_waker(waker));
        let (first_wakes, first) = counting_waker();
        let (second_wakes, second) = counting_waker();
        assert!(poll(&first).is_pending());
        assert!(poll(&second).is_pending());
        controls[1].finish(());
        controls[2].finish(());
        assert_eq!((first_wakes.get(), second_wakes.get()), (0, 1), "once for both");
        assert!(poll(&second).is_ready());
        assert!(poll(&second).is_ready());
        assert!(poll(&second).is_pending());
        controls[0].finish(());
        assert_eq!((first_wakes.get(), second_wakes.get()), (0, 2));
    });
}

#[test]
fn a_next_that_is_dropped_loses_no_output() {
    run_virtually(async {
        let mut stream =
            gather((1..=5).map(async |index: u64| sleep(milliseconds(index * 10)).await)).stream();
        let mut given = vec![];
        loop {
            match timeout(milliseconds(3), stream.next()).await {
                Ok(Some((index, ()))) => given.push(index),
                Ok(None) => break,
                Err(_) => {}
            }
        }
        assert_eq!(given, [0, 1, 2, 3, 4]);
    });
}

#[test]
fn a_stream_may_move_to_another_task_and_to_another_runtime_between_two_polls() {
    let (here, there) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let (controls, futures) = children(4);
    let moves = Log::new();
    let futures: Vec<_> = futures.into_iter().map(|child| Anchored::new(child, &moves)).collect();
    let mut stream = gather(futures).stream();
    here.block_on(async { assert!(poll_stream(&mut stream).await.is_pending()) });
    let mut stream = here.block_on(async {
        controls[3].finish(3);
        let in_a_task = async move {
            assert_eq!(poll_stream(&mut stream).await, Poll::Ready(Some((3, 3))));
            stream
        };
        spawn(in_a_task).await.unwrap()
    });
    controls[0].finish(0);
    there.block_on(async {
        assert_eq!(stream.next().await, Some((0, 0)));
        controls[1].finish(1);
        assert_eq!(stream.next().await, Some((1, 1)));
        assert!(poll_stream(&mut stream).await.is_pending());
    });
    let thread = std::thread::spawn(move || {
        run(async {
            assert!(poll_stream(&mut stream).await.is_pending());
            controls[2].finish(2);
            assert_eq!(stream.next().await, Some((2, 2)));
            assert_eq!(stream.next().await, None);
        });
    });
    thread.join().unwrap();
    assert_eq!(moves.take(), Vec::<String>::new());
}

// ---- Panics and drops of a stream

#[test]
fn a_panic_in_a_child_comes_out_of_the_stream_and_then_all_siblings_are_gone_and_it_is_over() {
    run(async {
        let census = Census::new();
        let (controls, futures) = children(10);
        let input = futures.into_iter().map(|child| {
            let guard = census.guard();
            async move {
                let _guard = guard;
                child.await;
                panic!("child in flames")
            }
        });
        let mut stream = gather(input).limit(5).stream();
        assert_eq!(poll_stream::<_>(&mut stream).await, Poll::<Option<(usize, ())>>::Pending);
        controls[3].finish(());
        let result = catch_unwind(AssertUnwindSafe(|| poll_once(&mut pin!(stream.next()), Waker::noop())));
        assert_eq!(message(result), "child in flames");
        assert_eq!((census.made(), census.dropped()), (5, 5));
        assert_eq!(Handle::current().metrics().groups_alive(), 0);
        assert!(stream.is_terminated());
        assert_eq!(stream.next().await, None);
        assert!(controls.iter().all(|control| control.is_dropped()), "those of the input, too");
    });
}

#[test]
fn panics_in_destructors_cost_no_other_drop_whether_a_stream_is_dropped_or_panics() {
    run(async {
        for is_panicking in [false, true] {
            let log = Log::new();
            let (control, fails) = child();
            let fails = RefCell::new(Some(fails));
            let children = ["a", "b", "fails", "c"].map(async |name| {
                if name == "fails" {
                    let fails = fails.take().unwrap();
                    fails.await;
                    panic!("child in flames");
                }
                let _bomb = Bomb(name, log.clone());
                pending::<()>().await;
            });
            let mut stream = gather(children).stream();
            assert!(poll_stream(&mut stream).await.is_pending());
            if is_panicking {
                control.finish(());
                let poll = || poll_once(&mut pin!(stream.next()), Waker::noop());
                assert_eq!(message(catch_unwind(AssertUnwindSafe(poll))), "child in flames");
                assert_eq!(log.take(), ["a", "b", "c"]);
                drop(stream);
                assert_eq!(log.take(), [""; 0]);
            } else {
                assert_eq!(message(catch_unwind(AssertUnwindSafe(|| drop(stream)))), "a");
                assert_eq!(log.take(), ["a", "b", "c"]);
            }
        }
    });
}

/// An input whose destructor is noted.
struct Input<T>(std::vec::IntoIter<T>, #[allow(dead_code, reason = "it is dropped")] Counted);

impl<T> Iterator for Input<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.next()
    }
}

#[test]
fn a_stream_that_is_dropped_after_any_number_of_steps_drops_everything_at_once_and_once() {
    run(async {
        for steps in 0..=12 {
            let census = Census::new();
            let (controls, futures) = children(5);
            let futures: Vec<_> = futures
                .into_iter()
                .map(|child| {
                    let (guard, census) = (census.guard(), census.clone());
                    async move {
                        let _guard = guard;
                        child.await;
                        census.guard() // the output
                    }
                })
                .collect();
            let input = Input(futures.into_iter(), census.guard());
            let mut stream = gather(input).limit(2).stream();
            let mut given = 0;
            for step in 0..steps {
                if step % 2 == 1 && given < 5 {
                    controls[given].finish(());
                }
                given += usize::from(matches!(poll_stream(&mut stream).await, Poll::Ready(Some(_))));
            }
            assert_eq!(given, (steps / 2).min(5));
            drop(stream);
            assert_eq!(census.made(), 6 + given);
            assert_eq!(census.dropped(), census.made(), "after {steps} steps");
            assert_eq!(Handle::current().metrics().groups_alive(), 0);
        }
    });
}

// ---- for_each: the order, and the body beside the children

#[test]
fn for_each_runs_the_body_for_each_output_in_the_order_of_completion() {
    run(async {
        let (controls, futures) = children(5);
        let seen = RefCell::new(vec![]);
        let mut all = Box::pin(gather(futures).for_each(async |index, output: usize| {
            seen.borrow_mut().push((index, output));
        }));
        for index in [2, 0, 4, 1, 3] {
            assert!(poll_next_turn(&mut all).await.is_pending());
            controls[index].finish(index * 10);
        }
        assert!(poll_next_turn(&mut all).await.is_ready());
        drop(all);
        assert_eq!(seen.into_inner(), [(2, 20), (0, 0), (4, 40), (1, 10), (3, 30)]);
    });
}

#[test]
fn for_each_of_nothing_is_ready_at_its_first_poll_and_runs_no_body() {
    run(async {
        let (wakes, waker) = counting_waker();
        let nothing = std::iter::empty::<std::future::Ready<()>>();
        let all = gather(nothing).limit(1).for_each(async |_, ()| unreachable!("there is no output"));
        assert_eq!(poll_once(&mut pin!(all), &waker), Poll::Ready(()));
        assert_eq!((wakes.get(), Handle::current().metrics().groups_alive()), (0, 0));
    });
}

#[test]
fn bodies_run_one_at_a_time_and_each_to_its_end() {
    run_virtually(async {
        let running = Cell::new(0);
        let mut ended = vec![];
        let children = (0..50).map(async |index: u64| sleep(milliseconds(index * 37 % 20)).await);
        gather(children)
            .for_each(async |index, ()| {
                assert_eq!(running.replace(1), 0);
                sleep(milliseconds(index as u64 % 3)).await;
                yield_now().await;
                assert_eq!(running.replace(0), 1);
                ended.push(index);
            })
            .await;
        let mut sorted = ended.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
        assert!(ended.iter().zip(&ended[1..]).all(|(a, b)| a * 37 % 20 <= b * 37 % 20), "{ended:?}");
    });
}

/// A child that takes ten steps of 100 ms, beside one that is ready, and a body that takes one
/// second for the latter.
async fn second_of_work(index: usize) -> usize {
    for _ in 0..10 * index {
        sleep(milliseconds(100)).await;
    }
    index
}

#[test]
fn children_go_on_while_the_body_waits_so_the_time_is_the_longer_one_and_not_the_sum() {
    run_virtually(async {
        let start = now();
        let body = async |index, _| {
            if index == 0 {
                sleep(milliseconds(1000)).await;
            }
        };
        gather((0..2).map(second_of_work)).for_each(body).await;
        assert_eq!(now() - start, milliseconds(1000));

        // A loop over a stream lets them stand still.
        let start = now();
        let mut stream = gather((0..2).map(second_of_work)).stream();
        while let Some((index, output)) = stream.next().await {
            body(index, output).await;
        }
        assert_eq!(now() - start, milliseconds(2000));
    });
}

#[test]
fn timeouts_in_children_do_not_expire_because_the_body_is_slow() {
    run_virtually(async {
        let step = async |index: u64| {
            for _ in 0..index * 5 {
                timeout(milliseconds(150), sleep(milliseconds(100))).await.map_err(drop)?;
            }
            Ok::<_, ()>(())
        };
        let mut in_time = 0;
        gather((0..5).map(step))
            .for_each(async |_, result: Result<(), ()>| {
                sleep(milliseconds(1000)).await;
                in_time += usize::from(result.is_ok());
            })
            .await;
        assert_eq!(in_time, 5);
    });
}

#[test]
fn a_body_may_wait_for_a_lock_that_a_child_holds() {
    finishes(|| {
        run(async {
            let unlocked = Gate::new();
            let holder = |index| {
                let unlocked = unlocked.clone();
                async move {
                    if index == 1 {
                        some_turns().await; // it holds the lock meanwhile
                        unlocked.open();
                    }
                }
            };
            // With a loop over a stream this hangs: the child is not polled while the body waits.
            gather((0..2).map(holder)).limit(1).for_each(async |_, ()| unlocked.pass().await).await;
        });
    });
}

// ---- for_each: the limit

#[test]
fn running_children_and_waiting_outputs_of_for_each_are_never_more_than_the_limit() {
    run(async {
        for limit in [1, 2, 3, 7, 40] {
            let (census, gate) = (Census::new(), Gate::new());
            let pulled = Cell::new(0);
            let most = Cell::new(0);
            let (controls, futures) = children(40);
            let input = futures.into_iter().map(|child| {
                pulled.set(pulled.get() + 1);
                let guard = census.guard();
                most.set(most.get().max(census.alive()));
                async move {
                    child.await;
                    guard // in the child, then in the output
                }
            });
            let bodies = Cell::new(0);
            let mut all = Box::pin(gather(input).limit(limit).for_each(async |_, guard| {
                drop(guard); // what the body has does not count
                bodies.set(bodies.get() + 1);
                gate.pass().await;
            }));
            assert_eq!(pulled.get(), 0, "nothing starts before the first poll");
            // All are finished; the first body waits.
            controls.iter().for_each(|control| control.prepare(()));
            for _ in 0..5 {
                assert!(poll_next_turn(&mut all).await.is_pending());
            }
            assert_eq!(bodies.get(), 1);
            assert_eq!(pulled.get(), (1 + limit).min(40), "one has been given away: limit {limit}");
            assert_eq!(census.alive(), limit.min(39), "limit {limit}");
            gate.open();
            all.await;
            assert_eq!((bodies.get(), census.made(), census.alive()), (40, 40, 0));
            assert_eq!(most.get(), limit.min(39), "it is reached, and not passed");
        }
    });
}

#[test]
fn a_child_of_for_each_starts_as_soon_as_the_body_takes_an_output() {
    run(async {
        let (controls, futures) = children(3);
        let started = Cell::new(0);
        let input = futures.into_iter().inspect(|_| started.set(started.get() + 1));
        let gates = [Gate::new(), Gate::new(), Gate::new()];
        let mut all = Box::pin(gather(input).limit(1).for_each(async |index, ()| gates[index].pass().await));
        assert!(poll_next_turn(&mut all).await.is_pending());
        assert_eq!(started.get(), 1);
        controls[0].finish(()); // to the body
        assert!(poll_next_turn(&mut all).await.is_pending());
        assert_eq!(started.get(), 2);
        controls[1].finish(()); // waits for the body
        assert!(poll_next_turn(&mut all).await.is_pending());
        assert_eq!((started.get(), controls[1].is_dropped()), (2, true));
        gates[0].open();
        assert!(poll_next_turn(&mut all).await.is_pending());
        assert_eq!(started.get(), 3);
    });
}

#[test]
fn an_endless_input_of_ready_children_does_not_heap_up_before_ready_bodies() {
    run(async {
        let pulled = Cell::new(0);
        let mut bodies = 0;
        let endless = (0..).map(|index: usize| {
            pulled.set(pulled.get() + 1);
            ready(index)
        });
        let mut all = Box::pin(gather(endless).for_each(async |index, output| {
            assert_eq!((index, output), (bodies, bodies));
            bodies += 1;
            assert_eq!(pulled.get(), bodies, "none was started in advance");
        }));
        for _ in 0..100 {
            assert!(poll_next_turn(&mut all).await.is_pending());
        }
        drop(all);
        assert!(bodies > 100, "{bodies}");
    });
}

// ---- for_each: polls and wakes

#[test]
fn the_body_and_the_children_of_for_each_are_polled_only_when_they_were_woken() {
    run(async {
        let (controls, futures) = children(10);
        let (body_control, body_child) = child();
        let body_child = RefCell::new(Some(body_child));
        let mut all = Box::pin(gather(futures).for_each(async |_, ()| {
            let child = body_child.take();
            if let Some(child) = child {
                child.await
            }
        }));
        controls[0].prepare(());
        for _ in 0..3 {
            assert!(poll_next_turn(&mut all).await.is_pending()); // spurious but for the first
        }
        let polls = || controls.iter().map(|control| control.polls()).collect::<Vec<_>>();
        assert_eq!((body_control.polls(), polls()), (1, vec![1; 10]));
        controls[5].wake();
        assert!(poll_next_turn(&mut all).await.is_pending());
        assert_eq!((body_control.polls(), controls[5].polls()), (1, 2), "only the child");
        body_control.wake();
        assert!(poll_next_turn(&mut all).await.is_pending());
        assert_eq!((body_control.polls(), controls[5].polls()), (2, 2), "only the body");
        assert_eq!(polls().iter().sum::<usize>(), 11);
        body_control.finish(());
        controls.iter().skip(1).for_each(|control| control.finish(()));
        assert!(poll_next_turn(&mut all).await.is_ready());
        assert_eq!(body_control.polls(), 3);
        assert_eq!(polls().iter().sum::<usize>(), 20);
    });
}

#[test]
fn for_each_wakes_its_parent_for_the_body_and_for_a_child_and_not_else() {
    run(async {
        let (controls, futures) = children(2);
        let (body_control, body_child) = child();
        let body_child = RefCell::new(Some(body_child));
        controls[0].prepare(());
        let mut all = Box::pin(gather(futures).for_each(async |index, ()| {
            let child = body_child.take();
            match child {
                Some(child) if index == 0 => child.await,
                _ => {}
            }
        }));
        let (wakes, waker) = counting_waker();
        assert!(poll_once(&mut all, &waker).is_pending());
        assert_eq!(wakes.get(), 0);
        body_control.wake();
        controls[1].wake();
        assert_eq!(wakes.get(), 1, "once for both");
        assert!(poll_once(&mut all, &waker).is_pending());
        controls[1].wake();
        assert_eq!(wakes.get(), 2);
        assert!(poll_once(&mut all, &waker).is_pending());
        body_control.finish(());
        assert_eq!(wakes.get(), 3);
        assert!(poll_once(&mut all, &waker).is_pending());
        controls[1].finish(());
        assert_eq!(wakes.get(), 4);
        assert!(poll_once(&mut all, &waker).is_ready());
        assert_eq!(wakes.get(), 4);
    });
}

#[test]
fn a_late_wake_for_a_body_that_has_ended_polls_neither_the_next_nor_a_child() {
    run(async {
        let (controls, futures) = children(3);
        let probes: Vec<_> = (0..3).map(|_| Probe::new()).collect();
        controls.iter().take(2).for_each(|control| control.prepare(()));
        let first = Gate::new();
        let mut all = Box::pin(gather(futures).for_each(async |index, ()| {
            let body = async { if index == 0 { first.pass().await } else { pending().await } };
            probes[index].watch(body).await;
        }));
        assert!(poll_next_turn(&mut all).await.is_pending());
        let late = probes[0].waker();
        first.open();
        assert!(poll_next_turn(&mut all).await.is_pending());
        assert_eq!((probes[0].polls(), probes[1].polls()), (2, 1));
        late.wake();
        assert!(poll_next_turn(&mut all).await.is_pending());
        assert_eq!((probes[0].polls(), probes[1].polls(), controls[2].polls()), (2, 1, 1));
    });
}

#[test]
fn a_body_that_wakes_itself_and_children_that_do_have_their_turns_side_by_side() {
    finishes(|| {
        run(async {
            let spin = |polls: Rc<Cell<usize>>| {
                poll_fn(move |cx| {
                    polls.set(polls.get() + 1);
                    cx.waker().wake_by_ref();
                    Poll::<()>::Pending
                })
            };
            let (of_child, of_body) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
            let child = Box::pin(spin(of_child.clone())) as Pin<Box<dyn Future<Output = ()>>>;
            let input = [child, Box::pin(ready(()))];
            let mut all = Box::pin(gather(input).for_each(async |_, ()| spin(of_body.clone()).await));
            for turn in 1..50 {
                assert!(poll_next_turn(&mut all).await.is_pending());
                let polls = (of_child.get(), of_body.get());
                assert!(polls.0 >= turn && polls.1 >= turn, "in turn {turn}: {polls:?}");
            }
        });
    });
}

#[test]
fn for_each_may_move_to_another_task_and_to_another_runtime_in_the_middle_of_a_body() {
    let (here, there) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let (controls, futures) = children(3);
    let (body_controls, bodies) = children(3);
    let bodies = RefCell::new(bodies.into_iter());
    let mut all = Box::pin(gather(futures).for_each(async |_, ()| {
        let body = bodies.borrow_mut().next();
        body.unwrap().await
    }));
    controls[0].prepare(());
    here.block_on(async { assert!(poll_next_turn(&mut all).await.is_pending()) });
    assert_eq!(body_controls[0].polls(), 1);
    // On another runtime both learn their new wakers.
    there.block_on(async {
        assert!(poll_next_turn(&mut all).await.is_pending());
        body_controls[0].wake();
        assert!(poll_next_turn(&mut all).await.is_pending());
        assert_eq!(body_controls[0].polls(), 3);
    });
    here.block_on(async {
        assert!(poll_next_turn(&mut all).await.is_pending());
        let (_, waker) = counting_waker();
        assert!(poll_once(&mut all, &waker).is_pending()); // another parent
        controls[2].finish(());
        body_controls[0].finish(());
        assert!(poll_next_turn(&mut all).await.is_pending());
        body_controls[1].finish(());
        assert!(poll_next_turn(&mut all).await.is_pending());
        controls[1].finish(());
        body_controls[2].prepare(());
        assert!(poll_next_turn(&mut all).await.is_ready());
    });
}

#[test]
fn a_future_with_a_stream_or_for_each_over_borrowed_data_is_send() {
    fn check<T: Send>(value: T) -> T {
        value
    }
    let words = ["a".to_owned(), "bc".to_owned()];
    let lengths = || words.iter().map(|word| ready(word.len()));
    let of_stream = check(async {
        let mut stream = check(gather(lengths()).stream());
        let mut sum = 0;
        while let Some((_, length)) = stream.next().await {
            sum += length;
        }
        sum
    });
    assert_eq!(run(of_stream), 3);
    // The body may not borrow, if the compiler is to see that it is `Send`.
    let sum = Arc::new(AtomicUsize::new(0));
    let sum_of_body = sum.clone();
    let of_for_each = check(async {
        gather(lengths())
            .for_each(async move |_, length| {
                yield_now().await;
                sum_of_body.fetch_add(length, Ordering::Relaxed);
            })
            .await;
    });
    run(of_for_each);
    assert_eq!(sum.load(Ordering::Relaxed), 3);
}

// ---- for_each: panics and drops

/// What runs for as long as it is not dropped, and is counted.
async fn held<T>(guard: Counted, future: impl Future<Output = T>) -> T {
    let _guard = guard;
    future.await
}

/// Four children, of which the first two are finished: the body has the output of one, the other
/// waits. Everything is counted: children, outputs, the body, what it owns, the input. Then `then`
/// does something to it.
async fn check_that_all_is_dropped(
    then: impl AsyncFnOnce(Pin<Box<dyn Future<Output = ()> + '_>>, &dyn Fn(bool)),
) {
    let census = Census::new();
    let (controls, futures) = children::<()>(6);
    let (body_control, body_child) = child::<bool>();
    let futures: Vec<_> = futures
        .into_iter()
        .map(|child| {
            let (guard, census) = (census.guard(), census.clone());
            async move {
                held(guard, child).await;
                census.guard()
            }
        })
        .collect();
    let input = Input(futures.into_iter(), census.guard());
    let (of_body, of_bodies) = (RefCell::new(Some(census.guard())), census.guard());
    let body_child = RefCell::new(Some(body_child));
    let mut all = Box::pin(gather(input).limit(3).for_each(async move |_, output| {
        let (_output, _owned) = (output, &of_bodies);
        let (guard, child) = (of_body.take().unwrap(), body_child.take().unwrap());
        assert!(!held(guard, child).await, "the body panics");
    }));
    controls[0].prepare(());
    controls[1].prepare(());
    assert!(poll_next_turn(&mut all).await.is_pending());
    assert_eq!((census.made(), census.dropped()), (6 + 2 + 1 + 2, 2), "two outputs are there");
    then(all, &|is_panic| body_control.finish(is_panic)).await;
    assert_eq!(census.made(), census.dropped());
    assert_eq!(Handle::current().metrics().groups_alive(), 0);
}

#[test]
fn for_each_that_is_dropped_in_the_middle_of_a_body_drops_everything_at_once_and_once() {
    run(check_that_all_is_dropped(async |all, _| drop(all)));
}

#[test]
fn a_panic_in_the_body_ends_for_each_with_it_after_everything_was_dropped() {
    run(check_that_all_is_dropped(async |mut all, finish| {
        finish(true);
        let result = catch_unwind(AssertUnwindSafe(|| poll_once(&mut all, Waker::noop())));
        assert_eq!(message(result), "the body panics");
    }));
}

#[test]
fn a_panic_in_a_child_ends_for_each_with_it_after_the_body_and_all_siblings_were_dropped() {
    run(async {
        let log = Log::new();
        let (control, failing) = child();
        let failing = RefCell::new(Some(failing));
        let input = (0..4).map(async |index| {
            let _noted = log.note_on_drop(["child 0", "child 1", "child 2", "child 3"][index]);
            match index {
                0 => {}
                1 => log.note("child 1 is ready"),
                2 => {
                    let failing = failing.take().unwrap();
                    failing.await;
                    panic!("child in flames");
                }
                _ => pending().await,
            }
            log.note_on_drop("output")
        });
        let mut all = Box::pin(gather(input).for_each(async |_, _output| {
            let _noted = log.note_on_drop("body");
            pending().await
        }));
        assert!(poll_next_turn(&mut all).await.is_pending());
        assert_eq!(log.take(), ["child 0", "child 1 is ready", "child 1"]);
        control.finish(());
        let result = catch_unwind(AssertUnwindSafe(|| poll_once(&mut all, Waker::noop())));
        assert_eq!(message(result), "child in flames");
        assert_eq!(log.take(), ["child 2", "body", "output", "child 3", "output"]);
        drop(all);
        assert_eq!(log.take(), [""; 0]);
    });
}

#[test]
fn panics_in_destructors_cost_no_other_drop_of_for_each() {
    run(async {
        for panics_first in [false, true] {
            let log = Log::new();
            let bomb = |name| Bomb(name, log.clone());
            let (control, fails) = child();
            let fails = RefCell::new(Some(fails));
            let input = (0..4).map(async |index| {
                let of_child = (index > 1).then(|| bomb("child"));
                if index == 2 {
                    let fails = fails.take().unwrap();
                    fails.await;
                    std::mem::forget(of_child);
                    panic!("child in flames");
                }
                if index > 1 {
                    pending::<()>().await;
                }
                drop(of_child);
                bomb("output")
            });
            let owned = bomb("owned by the body");
            let mut all = Box::pin(gather(input).for_each(async move |_, output| {
                let _owned = &owned;
                std::mem::forget(output);
                let _bomb = Bomb("body", owned.1.clone());
                pending().await
            }));
            assert!(poll_next_turn(&mut all).await.is_pending());
            assert_eq!(log.take(), [""; 0]);
            if panics_first {
                control.finish(());
                let result = catch_unwind(AssertUnwindSafe(|| poll_once(&mut all, Waker::noop())));
                assert_eq!(message(result), "child in flames");
                // What the user's closure owns goes last: here already, because the whole future
                // unwinds.
                assert_eq!(log.take(), ["body", "child", "output", "owned by the body"]);
                drop(all);
            } else {
                assert_eq!(message(catch_unwind(AssertUnwindSafe(|| drop(all)))), "body");
                assert_eq!(log.take(), ["body", "child", "child", "output", "owned by the body"]);
            }
        }
    });
}

#[test]
fn for_each_that_is_dropped_after_any_number_of_steps_drops_everything_once() {
    run(async {
        for steps in 0..=16 {
            let census = Census::new();
            let bodies = Cell::new(0);
            let futures: Vec<_> = (0..5)
                .map(|_| {
                    let (guard, census) = (census.guard(), census.clone());
                    async move {
                        held(guard, yield_now()).await;
                        census.guard()
                    }
                })
                .collect();
            let input = Input(futures.into_iter(), census.guard());
            let owned = census.guard();
            let counted = census.clone();
            let bodies_run = &bodies;
            let mut all = Box::pin(gather(input).limit(2).for_each(async move |_, output| {
                let (_owned, _output) = (&owned, output);
                held(counted.guard(), yield_now()).await;
                bodies_run.set(bodies_run.get() + 1);
            }));
            let mut is_ready = false;
            for _ in 0..steps {
                if !is_ready {
                    is_ready = poll_next_turn(&mut all).await.is_ready();
                }
            }
            drop(all);
            assert_eq!(census.made(), census.dropped(), "after {steps} steps");
            assert!(steps < 16 || bodies.get() == 5);
            assert_eq!(Handle::current().metrics().groups_alive(), 0);
        }
    });
}
