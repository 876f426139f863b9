//! The contract of `gather` (its README): each sentence has its tests, named after it.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn, ready};
use std::io;
use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::time::Duration;

use gather::net::TcpListener;
use gather::{Builder, Handle, Runtime, gather, now, run, sleep, spawn, spawn_blocking, timeout, yield_now};
use gather_tests::children::{
    Census, Control, Counted, Log, child, children, counting_waker, poll_next_turn,
};
use gather_tests::probe::poll_once;
use gather_tests::watchdog::finishes;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Runs with a clock that leaps over sleeps.
fn run_virtually<F: Future>(future: F) -> F::Output {
    Builder::new().virtual_clock(true).build().unwrap().block_on(future)
}

/// The permutation of `0..len` that has this number; the numbers go up to the factorial of `len`.
fn permutation(mut number: usize, len: usize) -> Vec<usize> {
    let mut left: Vec<_> = (0..len).collect();
    let mut pick = |choices| {
        let picked = left.remove(number % choices);
        number /= choices;
        picked
    };
    (1..=len).rev().map(&mut pick).collect()
}

// ---- 1. Results come in input order, whatever the order of completion. An empty gather is ready
// at its first poll.

/// Finishes the children in this order, and returns what the gather gives after the last.
async fn finish_in<G: Future + Unpin>(
    order: &[usize],
    controls: &[Control<Result<usize, ()>>],
    mut all: G,
) -> G::Output {
    assert!(poll_next_turn(&mut all).await.is_pending());
    let (last, others) = order.split_last().unwrap();
    for index in others {
        controls[*index].finish(Ok(*index));
        assert!(poll_next_turn(&mut all).await.is_pending());
    }
    controls[*last].finish(Ok(*last));
    match poll_next_turn(&mut all).await {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("every child is ready, and the gather is not"),
    }
}

#[test]
fn results_come_in_input_order_whatever_the_order_of_completion() {
    run(async {
        for order in (0..120).map(|number| permutation(number, 5)) {
            let (controls, futures) = children(5);
            assert_eq!(finish_in(&order, &controls, gather(futures)).await, Ok(vec![0, 1, 2, 3, 4]));
            let (controls, futures) = children(5);
            let captured = finish_in(&order, &controls, gather(futures).capture()).await;
            assert_eq!(captured, [Ok(0), Ok(1), Ok(2), Ok(3), Ok(4)]);
        }
    });
}

#[test]
fn results_of_a_thousand_children_come_in_input_order_under_any_limit() {
    run_virtually(async {
        for limit in [1, 7, 32, 33, 999, usize::MAX] {
            let later = async |index: u64| {
                sleep(Duration::from_millis(index * 7919 % 1000)).await;
                Ok::<_, ()>(index)
            };
            let results = gather((0..1000).map(later)).limit(limit).await;
            assert_eq!(results, Ok((0..1000).collect()), "limit {limit}");
        }
    });
}

#[test]
fn an_empty_gather_is_ready_at_its_first_poll() {
    run(async {
        let none = || std::iter::empty::<std::future::Ready<Result<(), ()>>>();
        let (wakes, waker) = counting_waker();
        assert_eq!(poll_once(&mut gather(none()), &waker), Poll::Ready(Ok(vec![])));
        assert_eq!(poll_once(&mut gather(none()).limit(3), &waker), Poll::Ready(Ok(vec![])));
        assert_eq!(poll_once(&mut gather(none()).capture(), &waker), Poll::Ready(vec![]));
        assert_eq!(wakes.get(), 0);
        assert_eq!(Handle::current().metrics().groups_alive(), 0);
    });
}

// ---- 2. The first child to fail ends a fail-fast gather in the same poll; every sibling's
// destructor has run, and its ---- timers and sockets are gone, before the error is seen, for any
// number of children and any `size_hint`.

/// An iterator that says of itself what it is told to say.
struct Hinted<I>(I, (usize, Option<usize>));

impl<I: Iterator> Iterator for Hinted<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.1
    }
}

/// Gathers children that never end, but for the one with the index `fails`: it fails at its first
/// poll, or later. Checks that the error comes out of the very poll in which that child failed,
/// and that no other child is left.
async fn check_prompt_failure(
    count: usize,
    fails: usize,
    fails_later: bool,
    limit: usize,
    hint: (usize, Option<usize>),
) {
    let siblings = Census::new();
    let polls = Cell::new(0);
    let failed_in_poll = Cell::new(0);
    let futures = (0..count).map(|index| {
        let guard = siblings.guard();
        let (polls, failed_in_poll) = (&polls, &failed_in_poll);
        async move {
            let _guard = guard;
            if index != fails {
                pending::<()>().await;
            }
            if fails_later {
                yield_now().await;
            }
            failed_in_poll.set(polls.get());
            Err::<(), _>(index)
        }
    });
    let mut all = gather(Hinted(futures, hint)).limit(limit);
    // When the inner poll returns, `all` is still there: what is dropped by then was dropped by
    // the gather.
    let (result, left) = poll_fn(|cx| {
        polls.set(polls.get() + 1);
        Pin::new(&mut all).poll(cx).map(|result| (result, siblings.alive()))
    })
    .await;
    let case = format!("{count} children, #{fails} fails, later: {fails_later}, limit {limit}, {hint:?}");
    assert_eq!(result, Err(fails), "{case}");
    assert_eq!(failed_in_poll.get(), polls.get(), "not in the same poll: {case}");
    assert_eq!(left, 0, "siblings are left: {case}");
    assert!(siblings.made() > fails, "{case}");
}

async fn check_prompt_failures() {
    for count in [2, 30, 31, 10_000] {
        let hints = [
            (count, Some(count)),           // exact
            (0, None),                      // none
            (1, Some(1)),                   // too small
            (count * 3, Some(count * 3)),   // too large
            (usize::MAX, Some(usize::MAX)), // a lie that no memory can meet
        ];
        for hint in hints {
            for fails in [0, count / 2, count - 1] {
                check_prompt_failure(count, fails, false, usize::MAX, hint).await;
                check_prompt_failure(count, fails, true, usize::MAX, hint).await;
            }
        }
        // An infinite input: the limit keeps the others from starting.
        let endless = (usize::MAX, None);
        check_prompt_failure(usize::MAX, count - 1, false, count, endless).await;
        check_prompt_failure(usize::MAX, count - 1, true, count, endless).await;
    }
}

#[test]
fn the_first_child_to_fail_ends_it_in_the_same_poll_for_any_number_of_children_and_any_size_hint() {
    // An error that is kept back until the other children end would be kept back for ever.
    finishes(|| run(check_prompt_failures()));
}

#[test]
fn an_error_from_child_10_000_is_prompt_while_child_0_never_ends_and_9_999_destructors_have_run_before_it() {
    run(async {
        let census = Census::new();
        let (controls, futures) = children::<Result<(), &str>>(10_000);
        let mut all = gather(futures.into_iter().map(|future| {
            let guard = census.guard();
            async move {
                let _guard = guard;
                future.await
            }
        }));
        for _ in 0..100 {
            assert!(poll_next_turn(&mut all).await.is_pending());
        }
        assert!(controls.iter().all(|control| control.polls() == 1), "all wait");
        controls[9_999].finish(Err("the last one failed"));
        assert_eq!(census.dropped(), 0);
        assert_eq!(poll_next_turn(&mut all).await, Poll::Ready(Err("the last one failed")));
        assert_eq!(census.dropped(), 10_000, "the 9,999 siblings, and the child that failed");
        assert_eq!(controls[0].polls(), 1);
    });
}

#[test]
fn timers_and_sockets_and_tasks_of_the_siblings_are_gone_before_the_error_is_seen() {
    const SIBLINGS: usize = 100;
    let counts = || {
        let metrics = Handle::current().metrics();
        let (timers, sockets) = (metrics.timers_pending(), metrics.sockets_registered());
        (timers, sockets, metrics.tasks_alive(), metrics.groups_alive())
    };
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let (fails, failing) = child::<io::Result<()>>();
        let failing = RefCell::new(Some(failing));
        let futures = (0..=SIBLINGS).map(async |index| {
            if index == SIBLINGS {
                let failing = failing.take().unwrap();
                return failing.await;
            }
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let task = spawn(sleep(HOUR));
            let _ = gather([timeout(HOUR, listener.accept())]).capture().await;
            task.await.map_err(io::Error::other)
        });
        let mut all = gather(futures);
        for _ in 0..10 {
            assert!(poll_next_turn(&mut all).await.is_pending());
            yield_now().await;
        }
        assert_eq!(counts(), (2 * SIBLINGS, SIBLINGS, SIBLINGS, 1 + SIBLINGS), "all of it is there");
        fails.finish(Err(io::Error::other("no more")));
        let error = match poll_next_turn(&mut all).await {
            Poll::Ready(Err(error)) => error,
            other => panic!("not the error: {other:?}"),
        };
        assert_eq!(counts(), (0, 0, 0, 0), "and is gone");
        assert_eq!(error.to_string(), "no more");
    });
}

// ---- 3. Capture mode runs every child to its end and keeps every output. It never captures the
// cancellation of its ---- parent.

#[test]
fn capture_mode_runs_every_child_to_its_end_and_keeps_every_output() {
    run_virtually(async {
        for limit in [1, 5, usize::MAX] {
            let ended = Census::new();
            let outcomes = gather((0..100u64).map(|index| {
                let ended = &ended;
                async move {
                    sleep(Duration::from_millis(index * 37 % 100)).await;
                    drop(ended.guard());
                    if index % 3 == 0 { Err(format!("error {index}")) } else { Ok(index) }
                }
            }))
            .limit(limit)
            .capture()
            .await;
            let expected = |index| if index % 3 == 0 { Err(format!("error {index}")) } else { Ok(index) };
            assert_eq!(outcomes, (0..100).map(expected).collect::<Vec<_>>());
            assert_eq!(ended.dropped(), 100);
        }
        // Outputs of any type.
        assert_eq!(gather(["a", "b"].map(ready)).capture().await, ["a", "b"]);
    });
}

#[test]
fn capture_mode_never_captures_the_cancellation_of_its_parent() {
    run(async {
        let children = Census::new();
        let (census, rounds) = (children.clone(), Log::new());
        let log = rounds.clone();
        let task = spawn(async move {
            loop {
                let guards = [census.guard(), census.guard()];
                let children = guards.map(|guard| async move {
                    yield_now().await;
                    drop(guard);
                    Err::<(), _>("one more")
                });
                log.note(gather(children).capture().await);
            }
        });
        // At whatever point of its round it is met, the cancellation ends the loop.
        for _ in 0..20 {
            yield_now().await;
        }
        task.cancel();
        assert_eq!(children.alive(), 0);
        let outcomes = rounds.take();
        assert!(!outcomes.is_empty());
        assert!(outcomes.iter().all(|outcomes| *outcomes == [Err("one more"), Err("one more")]));
        for _ in 0..20 {
            yield_now().await;
        }
        assert!(rounds.take().is_empty(), "it went on");
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn capture_mode_does_not_turn_a_timeout_around_it_into_outcomes() {
    run_virtually(async {
        let children = Census::new();
        let sleepers = [1, 3].map(|hours| {
            let guard = children.guard();
            async move {
                let _guard = guard;
                sleep(hours * HOUR).await;
            }
        });
        let start = now();
        assert!(timeout(2 * HOUR, gather(sleepers).capture()).await.is_err());
        assert_eq!((now() - start, children.alive()), (2 * HOUR, 0));
    });
}

// ---- 4. Dropping a gather, or cancelling its task, drops every child, at once, exactly once.

/// Some children that are ready at once, with a guard as their output, and some that never are,
/// with a guard inside.
fn ready_and_endless(
    count: usize,
    census: &Census,
) -> Vec<impl Future<Output = Result<Counted, ()>> + use<>> {
    let one = |index: usize| {
        let guard = census.guard();
        async move {
            if index % 2 == 0 {
                pending::<()>().await;
            }
            Ok(guard)
        }
    };
    (0..count).map(one).collect()
}

#[test]
fn dropping_a_gather_drops_every_child_and_every_output_at_once_exactly_once() {
    run(async {
        for count in [1, 2, 31, 33, 1000] {
            for limit in [1, 3, usize::MAX] {
                for polls in [0, 1, 100] {
                    let census = Census::new();
                    let mut all = gather(ready_and_endless(count, &census)).limit(limit);
                    for _ in 0..polls {
                        let _ = poll_next_turn(&mut all).await;
                    }
                    drop(all);
                    assert_eq!((census.made(), census.dropped()), (count, count));
                    assert_eq!(Handle::current().metrics().groups_alive(), 0);
                }
            }
        }
    });
}

#[test]
fn cancelling_its_task_drops_every_child_at_once_exactly_once() {
    run(async {
        for limit in [1, 3, usize::MAX] {
            for turns in [0, 1, 100] {
                let census = Census::new();
                let after = Log::new();
                let (futures, log) = (ready_and_endless(1000, &census), after.clone());
                let task = spawn(async move {
                    let _ = gather(futures).limit(limit).await;
                    log.note("after the await");
                });
                for _ in 0..turns {
                    yield_now().await;
                }
                task.cancel();
                assert_eq!((census.made(), census.dropped()), (1000, 1000));
                assert!(task.await.unwrap_err().is_cancelled());
                assert!(after.take().is_empty());
                assert_eq!(Handle::current().metrics().groups_alive(), 0);
            }
        }
    });
}

#[test]
fn a_child_that_cancels_the_task_of_its_gather_has_every_child_dropped_after_that_poll() {
    run(async {
        let census = Census::new();
        let canceller = std::rc::Rc::new(RefCell::new(None::<gather::Canceller>));
        let guards: Vec<_> = (0..50).map(|_| census.guard()).collect();
        let (shared, counter) = (canceller.clone(), census.clone());
        let task = spawn(async move {
            let alive_after_cancel = Cell::new(None);
            gather(guards.into_iter().enumerate().map(async |(index, guard)| {
                let _guard = guard;
                yield_now().await;
                if index == 20 {
                    shared.take().unwrap().cancel();
                    alive_after_cancel.set(Some(counter.alive()));
                }
                // Not before the poll returns: a future is not dropped while it is polled.
                assert!(alive_after_cancel.get().is_none_or(|alive| alive == 50));
                pending::<Result<(), ()>>().await
            }))
            .await
        });
        canceller.replace(Some(task.canceller()));
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!((census.made(), census.dropped()), (50, 50));
    });
}

// ---- 5. Children are first polled in input order and then in the order in which they were woken.
// A finished child is ---- dropped when it finishes and is never polled again. A child that was
// not woken is not polled.

#[test]
fn children_are_first_polled_in_input_order_and_then_in_the_order_in_which_they_were_woken() {
    run(async {
        // 300 are more than a gather polls in one go.
        for count in [1, 5, 100, 300] {
            let polled = Log::new();
            let (controls, futures) = children::<Result<(), ()>>(count);
            let noting = futures.into_iter().enumerate().map(|(index, mut future)| {
                let polled = &polled;
                poll_fn(move |cx| {
                    polled.note(index);
                    Pin::new(&mut future).poll(cx)
                })
            });
            let mut all = gather(noting);
            let mut poll_often = async || {
                for _ in 0..count {
                    assert!(poll_next_turn(&mut all).await.is_pending());
                }
                polled.take()
            };
            assert_eq!(poll_often().await, (0..count).collect::<Vec<_>>());
            for step in [1, 7, 11, 299] {
                // Each of these steps has no divisor in common with any of the counts, so every
                // child is woken once.
                let order: Vec<_> = (0..count).map(|turn| (turn * step + 3) % count).collect();
                order.iter().for_each(|index| controls[*index].wake());
                assert_eq!(poll_often().await, order);
            }
        }
    });
}

#[test]
fn a_child_that_is_woken_twice_keeps_its_place_and_is_polled_once() {
    run(async {
        let polled = Log::new();
        let (controls, futures) = children::<Result<(), ()>>(3);
        let noting = futures.into_iter().enumerate().map(|(index, mut future)| {
            let polled = &polled;
            poll_fn(move |cx| {
                polled.note(index);
                Pin::new(&mut future).poll(cx)
            })
        });
        let mut all = gather(noting);
        assert!(poll_next_turn(&mut all).await.is_pending());
        polled.take();
        [2, 0, 2, 1, 0, 2].iter().for_each(|index| controls[*index].wake());
        assert!(poll_next_turn(&mut all).await.is_pending());
        assert_eq!(polled.take(), [2, 0, 1]);
    });
}

#[test]
fn a_finished_child_is_dropped_when_it_finishes_before_anything_else_is_polled() {
    run(async {
        let events = Log::new();
        let futures = (0..3).map(|index| {
            let on_drop = events.note_on_drop(("dropped", index));
            let events = &events;
            let mut polls = 0;
            poll_fn(move |_| {
                let _inside = &on_drop;
                events.note(("polled", index));
                polls += 1;
                if index == polls - 1 { Poll::Ready(Ok::<_, ()>(())) } else { Poll::Pending }
            })
        });
        let mut all = gather(futures);
        assert!(poll_next_turn(&mut all).await.is_pending());
        let expected = [("polled", 0), ("dropped", 0), ("polled", 1), ("polled", 2)];
        assert_eq!(events.take(), expected, "the gather goes on, and its finished child is gone");
        drop(all);
        assert_eq!(events.take(), [("dropped", 1), ("dropped", 2)]);
    });
}

#[test]
fn a_finished_child_is_never_polled_again_and_its_late_wakes_poll_nobody() {
    run(async {
        for limit in [1, usize::MAX] {
            // With a limit of 1 the second child has the place that the first had.
            let (controls, futures) = children::<Result<(), ()>>(2);
            let mut all = gather(futures).limit(limit);
            assert!(poll_next_turn(&mut all).await.is_pending());
            let late = controls[0].waker();
            controls[0].finish(Ok(()));
            assert!(poll_next_turn(&mut all).await.is_pending());
            assert!(controls[0].is_dropped());
            for _ in 0..10 {
                late.wake_by_ref();
                assert!(poll_next_turn(&mut all).await.is_pending());
            }
            assert_eq!((controls[0].polls(), controls[1].polls()), (2, 1));
        }
    });
}

#[test]
fn a_child_that_was_not_woken_is_not_polled() {
    run(async {
        let (controls, futures) = children::<Result<(), ()>>(100);
        let mut all = gather(futures);
        for _ in 0..10 {
            assert!(poll_next_turn(&mut all).await.is_pending());
        }
        assert!(controls.iter().all(|control| control.polls() == 1), "polls of the gather poll no child");
        for round in 1..10 {
            controls[42].wake();
            assert!(poll_next_turn(&mut all).await.is_pending());
            let polls: usize = controls.iter().map(Control::polls).sum();
            assert_eq!((controls[42].polls(), polls), (1 + round, 100 + round));
        }
    });
}

// ---- 6. With a limit, at most n children exist at any moment, and the iterator is pulled only
// when one may start.

#[test]
fn with_a_limit_at_most_n_children_exist_at_any_moment() {
    run(async {
        for limit in [1, 2, 31, 32, 33, 100, 500] {
            let alive = Census::new();
            let most = Cell::new(0);
            let futures = (0..500).map(|index| {
                let guard = alive.guard();
                most.set(most.get().max(alive.alive()));
                async move {
                    let _guard = guard;
                    for _ in 0..index % 5 {
                        yield_now().await;
                    }
                    Ok::<_, ()>(index)
                }
            });
            assert_eq!(gather(futures).limit(limit).await, Ok((0..500).collect()));
            let at_most = if limit == 500 { 1..=500 } else { limit..=limit };
            assert!(at_most.contains(&most.get()), "limit {limit}: {} at once", most.get());
        }
    });
}

#[test]
fn with_a_limit_the_iterator_is_pulled_only_when_a_child_may_start() {
    run(async {
        for limit in [1, 2, 40] {
            let (controls, futures) = children::<Result<(), ()>>(100);
            let pulled = Cell::new(0);
            let mut all = gather(futures.into_iter().inspect(|_| pulled.set(pulled.get() + 1))).limit(limit);
            assert_eq!(pulled.get(), 0, "nothing is pulled before the first poll");
            for finished in 0..100 {
                assert!(poll_next_turn(&mut all).await.is_pending());
                assert_eq!(pulled.get(), (finished + limit).min(100));
                let started: usize = controls.iter().map(Control::polls).filter(|polls| *polls > 0).count();
                assert_eq!(started, pulled.get(), "what is pulled is started");
                controls[finished].finish(Ok(()));
                assert_eq!(pulled.get(), (finished + limit).min(100));
            }
            assert_eq!(poll_next_turn(&mut all).await, Poll::Ready(Ok(vec![(); 100])));
        }
    });
}

#[test]
fn with_a_limit_an_endless_input_is_pulled_only_as_far_as_it_is_needed() {
    run(async {
        let pulled = Cell::new(0);
        let endless = (0u64..).inspect(|_| pulled.set(pulled.get() + 1));
        let until_100 = async |index| {
            yield_now().await;
            if index == 100 { Err(index) } else { Ok(()) }
        };
        assert_eq!(gather(endless.map(until_100)).limit(10).await, Err(100));
        assert!((101..=110).contains(&pulled.get()), "{} were pulled", pulled.get());
    });
}

#[test]
#[should_panic(expected = "limit(0) would let no child run")]
fn a_limit_of_zero_panics_and_says_why() {
    drop(gather([ready(Ok::<_, ()>(()))]).limit(0));
}

// ---- 7. If several children fail in one pass, the first in poll order wins.

#[test]
fn if_several_children_fail_in_one_pass_the_first_in_poll_order_wins() {
    run(async {
        // At their first poll that is the order of the input; then it is that of the wakes.
        assert_eq!(gather([Ok(0), Err(1), Err(2)].map(ready)).await, Err(1));
        for order in (0..24).map(|number| permutation(number, 4)) {
            let (controls, futures) = children::<Result<(), usize>>(4);
            let mut all = gather(futures);
            assert!(poll_next_turn(&mut all).await.is_pending());
            order.iter().for_each(|index| controls[*index].finish(Err(*index)));
            assert_eq!(poll_next_turn(&mut all).await, Poll::Ready(Err(order[0])));
            assert!(controls.iter().all(Control::is_dropped));
            assert_eq!(controls[order[1]].polls(), 1, "the second to fail was not asked any more");
        }
    });
}

// ---- 8. A panic in a child ends the gather at once with that panic; siblings are dropped. It is
// never folded into an ---- error.

/// A payload that no other panic has.
struct Payload(usize);

/// Children that never end, but for one, which panics at its first poll or later.
fn panicking(
    index: usize,
    later: bool,
    census: &Census,
) -> Vec<impl Future<Output = Result<(), String>> + use<>> {
    let one = |this| {
        let guard = census.guard();
        async move {
            let _guard = guard;
            if this != index {
                pending::<()>().await;
            }
            if later {
                yield_now().await;
            }
            std::panic::panic_any(Payload(this));
        }
    };
    (0..50).map(one).collect()
}

/// Polls until it panics; gives the payload's number, and how many guards there are when the panic
/// is seen.
async fn caught<G: Future + Unpin>(mut all: G, census: &Census) -> (usize, usize) {
    for _ in 0..3 {
        yield_now().await;
        let poll = poll_fn(|cx| Poll::Ready(catch_unwind(AssertUnwindSafe(|| Pin::new(&mut all).poll(cx)))));
        match poll.await {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(_)) => panic!("the panic became a result"),
            Err(payload) => return (payload.downcast::<Payload>().unwrap().0, census.alive()),
        }
    }
    panic!("it did not panic")
}

#[test]
fn a_panic_in_a_child_ends_the_gather_at_once_with_that_panic_and_its_siblings_are_dropped() {
    run(async {
        for index in [0, 25, 49] {
            for later in [false, true] {
                for limit in [50, usize::MAX] {
                    let census = Census::new();
                    let all = gather(panicking(index, later, &census)).limit(limit);
                    assert_eq!(caught(all, &census).await, (index, 0));
                    assert_eq!(census.dropped(), 50);
                    let census = Census::new();
                    let all = gather(panicking(index, later, &census)).limit(limit).capture();
                    assert_eq!(caught(all, &census).await, (index, 0), "nor does capture mode keep it");
                    assert_eq!(census.dropped(), 50);
                }
            }
        }
        assert_eq!(Handle::current().metrics().groups_alive(), 0);
    });
}

#[test]
fn a_panic_in_a_child_goes_through_the_task_of_the_gather_with_its_payload() {
    finishes(|| {
        run(async {
            let census = Census::new();
            let error = spawn(gather(panicking(7, true, &census)).capture()).await.unwrap_err();
            assert!(error.is_panic());
            assert_eq!(error.into_panic().downcast::<Payload>().unwrap().0, 7);
            assert_eq!((census.made(), census.dropped()), (50, 50));
        })
    });
}

// ---- 9. A gather may be moved to another task, or polled with another waker, at any time before
// and between polls.

#[test]
fn a_gather_may_be_polled_with_another_waker_at_any_time_and_wakes_the_last_one() {
    finishes(|| {
        run(async {
            let (controls, futures) = children::<Result<usize, ()>>(3);
            let mut all = gather(futures);
            let (first_wakes, first) = counting_waker();
            let (second_wakes, second) = counting_waker();
            let polls = |control: &Control<_>| control.polls();
            assert!(poll_once(&mut all, &first).is_pending());
            controls[0].wake();
            assert_eq!((first_wakes.get(), second_wakes.get()), (1, 0));
            // Woken through the first waker, polled with the second: the child's wake is not lost.
            assert!(poll_once(&mut all, &second).is_pending());
            assert_eq!(controls.iter().map(polls).collect::<Vec<_>>(), [2, 1, 1]);
            // The child was last polled with the first waker. Its wake goes to the second all the
            // same.
            controls[1].wake();
            assert_eq!((first_wakes.get(), second_wakes.get()), (1, 1));
            assert!(poll_once(&mut all, &second).is_pending());
            // Now that of the task.
            assert!(poll_next_turn(&mut all).await.is_pending());
            controls.iter().enumerate().for_each(|(index, control)| control.finish(Ok(index)));
            assert_eq!((first_wakes.get(), second_wakes.get()), (1, 1));
            assert_eq!(all.await, Ok(vec![0, 1, 2]));
        })
    });
}

#[test]
fn a_gather_may_be_moved_to_another_task_before_and_between_polls() {
    finishes(|| {
        run(async {
            // Moved before any poll, and then after each, from task to task; the children are
            // woken in the last.
            for moves in 0..4 {
                let (controls, futures) = children::<Result<usize, ()>>(40);
                let mut all = gather(futures);
                for _ in 0..moves {
                    let moved = spawn(async {
                        assert!(poll_next_turn(&mut all).await.is_pending());
                        Some(all)
                    });
                    all = moved.await.unwrap().unwrap();
                }
                let task = spawn(all);
                yield_now().await;
                assert!(controls.iter().all(|control| control.polls() == 1), "a move polls nobody");
                for (index, control) in controls.iter().enumerate().rev() {
                    control.finish(Ok(index));
                }
                assert_eq!(task.await.unwrap(), Ok((0..40).collect()));
            }
        })
    });
}

#[test]
fn a_gather_may_be_moved_to_another_runtime_and_thread_before_its_first_poll() {
    let (controls, futures) = children::<Result<usize, ()>>(40);
    let all = gather(futures);
    let results = finishes(move || {
        let thread = std::thread::spawn(move || run(all));
        controls.iter().enumerate().for_each(|(index, control)| control.finish(Ok(index)));
        thread.join().unwrap()
    });
    assert_eq!(results, Ok((0..40).collect()));
}

#[test]
fn a_gather_may_be_moved_to_another_runtime_and_thread_between_polls() {
    let (controls, futures) = children::<Result<usize, ()>>(40);
    let mut all = gather(futures);
    let first = Runtime::new().unwrap();
    assert!(first.block_on(poll_next_turn(&mut all)).is_pending());
    controls[7].finish(Ok(7)); // woken here, polled there
    let results = finishes(move || {
        let (polled, was_polled) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            run(async {
                assert!(poll_next_turn(&mut all).await.is_pending());
                polled.send(()).unwrap();
                all.await
            })
        });
        was_polled.recv().unwrap();
        assert!(controls[7].is_dropped(), "what was woken at home was polled over there");
        assert!(controls.iter().all(|control| control.polls() == 2), "every child has learnt its new waker");
        for index in (0..40).filter(|index| *index != 7) {
            controls[index].finish(Ok(index));
        }
        thread.join().unwrap()
    });
    assert_eq!(results, Ok((0..40).collect()));
    // The first runtime learns by a message that it has the gather no more. The thread's answer
    // comes after it.
    first.block_on(async { spawn_blocking(|| ()).await }).unwrap();
    assert_eq!(first.metrics().groups_alive(), 0);
}

#[test]
fn late_wakes_through_a_runtime_that_a_gather_has_left_are_harmless() {
    let (controls, futures) = children::<Result<usize, ()>>(40);
    let mut all = gather(futures);
    let (first, second) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    assert!(first.block_on(poll_next_turn(&mut all)).is_pending());
    let late: Vec<_> = controls.iter().map(Control::waker).collect();
    assert!(second.block_on(poll_next_turn(&mut all)).is_pending());
    first.block_on(async {
        late.iter().for_each(Waker::wake_by_ref);
        spawn_blocking(|| ()).await.unwrap(); // the message that the gather has left comes before the answer
        late.iter().for_each(Waker::wake_by_ref);
    });
    assert!(second.block_on(poll_next_turn(&mut all)).is_pending());
    assert!(controls.iter().all(|control| control.polls() == 2), "one poll on each runtime");
    let poll = second.block_on(async {
        controls.iter().enumerate().for_each(|(index, control)| control.finish(Ok(index)));
        poll_next_turn(&mut all).await
    });
    assert_eq!(poll, Poll::Ready(Ok((0..40).collect())));
}

#[test]
fn a_gather_may_go_to_a_new_runtime_on_a_new_thread_after_every_poll() {
    let counting = async |index: usize| {
        for _ in 0..index % 10 {
            yield_now().await;
        }
        Ok::<_, ()>(index)
    };
    let mut all = gather((0..500).map(counting)).limit(50);
    for _ in 0..500 {
        let hop = std::thread::spawn(move || {
            let poll = run(poll_next_turn(&mut all));
            (all, poll)
        });
        let poll;
        (all, poll) = hop.join().unwrap();
        if let Poll::Ready(results) = poll {
            assert_eq!(results, Ok((0..500).collect()));
            return;
        }
    }
    panic!("500 polls were not enough for 500 children that yield nine times, fifty at once");
}

#[test]
fn a_gather_outlives_the_runtime_that_polled_it() {
    let (controls, futures) = children::<Result<usize, ()>>(3);
    let mut all = gather(futures);
    assert!(run(poll_next_turn(&mut all)).is_pending());
    controls.iter().for_each(Control::wake);
    assert!(run(poll_next_turn(&mut all)).is_pending());
    controls.iter().enumerate().for_each(|(index, control)| control.finish(Ok(index)));
    assert_eq!(run(poll_next_turn(&mut all)), Poll::Ready(Ok(vec![0, 1, 2])));
}

// ---- What the call shape promises beside these: borrowed data, and `Send` where the children
// are.

#[test]
fn children_may_borrow_from_the_caller_also_mutably_and_without_send() {
    let names = [String::from("ann"), String::from("bob")];
    let mut lengths = [0; 2];
    let visits = Cell::new(0); // not `Sync`, so what borrows it is not `Send`
    let shouts = run(async {
        gather(names.iter().zip(&mut lengths).map(async |(name, length)| {
            yield_now().await;
            *length = name.len();
            visits.set(visits.get() + 1);
            Ok::<&str, ()>(name)
        }))
        .await
    });
    assert_eq!(shouts, Ok(vec!["ann", "bob"]));
    assert_eq!((lengths, visits.get()), ([3, 3], 2));
}

#[test]
fn a_gather_is_send_when_its_children_are_so_a_task_that_must_be_send_may_await_one() {
    fn send<F: Future + Send + 'static>(future: F) -> F {
        future
    }
    let future = send(async {
        let numbers = Vec::from([1, 2, 3]);
        let doubled = gather(numbers.iter().map(|number| async move {
            yield_now().await;
            Ok::<_, String>(number * 2)
        }))
        .limit(2)
        .await?;
        let captured = gather(doubled.into_iter().map(ready)).capture().await;
        Ok::<_, String>(captured)
    });
    assert_eq!(std::thread::spawn(|| run(future)).join().unwrap(), Ok(vec![2, 4, 6]));
}
