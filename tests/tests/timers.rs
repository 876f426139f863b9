//! Time: sleeps, timeouts and intervals, on the real clock and on the virtual one.

#![allow(clippy::async_yields_async, reason = "what waits is handed from one main future to another")]

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::future::{Future, pending, poll_fn, ready};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future;
use gather::{
    Builder, Handle, Sleep, Task, gather, interval, now, run, sleep, sleep_until, spawn, timeout, yield_now,
};
use gather_tests::alone::alone;
use gather_tests::asleep::SystemThread;
use gather_tests::descriptors::most_memory;
use gather_tests::gate::Gate;
use gather_tests::probe::{Probe, letters_are_read, poll_once, some_turns};
use gather_tests::random::Random;
use gather_tests::watchdog::finishes;

const NANOSECOND: Duration = Duration::from_nanos(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Runs a future on a virtual clock.
fn run_virtually<F: Future>(future: F) -> F::Output {
    Builder::new().virtual_clock(true).build().unwrap().block_on(future)
}

fn timers_pending() -> usize {
    Handle::current().metrics().timers_pending()
}

// ---- on the real clock

#[test]
fn a_sleep_never_ends_early() {
    finishes(|| {
        let mut random = Random::new(3);
        let mut durations: Vec<Duration> =
            (0..10_000).map(|_| Duration::from_nanos(random.of_any_size(22))).collect();
        durations.push(Duration::ZERO);
        run(async {
            let measure = async |duration: &Duration| {
                let start = Instant::now();
                sleep(*duration).await;
                assert!(start.elapsed() >= *duration, "{duration:?}: {:?}", start.elapsed());
            };
            // Many at once, and one after the other.
            gather(durations.iter().map(measure)).capture().await;
            gather(durations[..100].iter().map(measure)).limit(1).capture().await;
        });
    });
}

#[test]
fn a_sleep_counts_from_when_it_was_made_and_not_from_its_first_poll() {
    run_virtually(async {
        let start = now();
        let made = sleep(SECOND * 10);
        sleep(SECOND * 7).await;
        made.await;
        assert_eq!(now() - start, SECOND * 10);
        let late = sleep_until(start + SECOND);
        late.await;
        assert_eq!(now() - start, SECOND * 10, "a deadline that has passed is over at once");
    });
}

// The loop sleeps, and does not go round.
#[test]
fn waiting_for_a_timer_takes_no_processor_time() {
    finishes(|| {
        run(async {
            let this_thread = SystemThread::current();
            let (start, busy) = (Instant::now(), this_thread.busy_time());
            for _ in 0..100 {
                sleep(Duration::from_micros(900)).await;
            }
            if let (Some(before), Some(after)) = (busy, this_thread.busy_time()) {
                assert!(
                    after - before < start.elapsed() / 2,
                    "{:?} of {:?}",
                    after - before,
                    start.elapsed()
                );
            }
        });
    });
}

// Not at the beginning of a slot of the timing wheel, too.
#[test]
fn the_loop_sleeps_once_for_each_firing() {
    const PERIOD: Duration = Duration::from_millis(200);
    for (intervals, rounds) in [(10, 5), (100, 3)] {
        let fired = run(async {
            let start = Instant::now();
            let children = (0..intervals).map(async |number| {
                sleep_until(start + PERIOD * number / intervals).await;
                let mut interval = interval(PERIOD);
                for _ in 0..=rounds {
                    interval.tick().await;
                }
            });
            gather(children).capture().await;
            Handle::current().metrics()
        });
        // On a busy machine several fire after one sleep; a sleep without a firing there is none.
        let (parks, firings) = (fired.parks(), fired.timers_fired());
        assert!(parks <= firings + firings / 50 + 1, "{intervals}: {parks} sleeps, {firings} firings");
    }
}

#[test]
fn a_far_deadline_neither_fires_nor_keeps_the_loop_from_sleeping() {
    finishes(|| {
        for far in [DAY * 25, DAY * 50, YEAR * 600, Duration::MAX] {
            run(async move {
                let sleeper = spawn(sleep(far));
                let gate = Gate::new();
                let (opens, this_thread) = (gate.clone(), SystemThread::current());
                let thread = thread::spawn(move || {
                    this_thread.wait_until('S');
                    opens.open();
                });
                gate.pass().await;
                thread.join().unwrap();
                let parks = Handle::current().metrics().parks();
                assert!((1..10).contains(&parks), "{far:?}: slept {parks} times");
                assert!(!sleeper.is_finished());
            });
        }
    });
}

#[test]
fn an_earlier_deadline_that_comes_while_the_loop_sleeps_is_kept() {
    finishes(|| {
        run(async {
            let _far = spawn(sleep(YEAR));
            let (handle, this_thread) = (Handle::current(), SystemThread::current());
            let gate = Gate::new();
            let opens = gate.clone();
            let thread = thread::spawn(move || {
                this_thread.wait_until('S');
                let output = future::block_on(handle.spawn(|| sleep(MILLISECOND)));
                opens.open();
                output
            });
            gate.pass().await;
            thread.join().unwrap().unwrap();
        });
    });
}

#[test]
fn tasks_that_are_always_ready_do_not_starve_a_timer() {
    finishes(|| {
        run(async {
            let endless: Vec<Task<()>> = (0..100)
                .map(|_| {
                    spawn(async {
                        loop {
                            yield_now().await;
                        }
                    })
                })
                .collect();
            sleep(MILLISECOND).await;
            let mut endless_gather = gather((0..100).map(|_| async {
                loop {
                    yield_now().await;
                }
            }))
            .capture();
            let waiting: Result<Vec<()>, _> = timeout(MILLISECOND, &mut endless_gather).await;
            assert!(waiting.is_err());
            drop(endless);
        });
    });
}

// ---- for ever

#[test]
fn the_longest_duration_is_for_ever_and_does_not_panic() {
    run_virtually(async {
        let mut for_ever = sleep(Duration::MAX);
        assert_eq!(for_ever.deadline(), None);
        assert!(poll_once(&mut for_ever, Waker::noop()).is_pending());
        assert!(timeout(YEAR * 500, &mut for_ever).await.is_err());
        assert_eq!(timeout(Duration::MAX, sleep(YEAR)).await, Ok(()));
        let mut ticks = interval(Duration::MAX);
        let first = ticks.tick().await;
        assert!(timeout(YEAR, ticks.tick()).await.is_err());
        assert!(first < now());
        for_ever.reset(now() + SECOND);
        for_ever.await;
    });
}

// No tick of the clock counts so far.
#[test]
fn a_deadline_beyond_all_ticks_never_comes_and_one_just_below_does() {
    let most = Duration::from_nanos(u64::MAX); // 584 years
    run_virtually(async {
        let start = now();
        let beyond = sleep_until(start + most + SECOND);
        let last = sleep_until(start + most - NANOSECOND);
        let mut beyond = Box::pin(beyond);
        assert!(poll_once(&mut beyond, Waker::noop()).is_pending());
        last.await;
        assert_eq!(now() - start, most - NANOSECOND);
        assert!(poll_once(&mut beyond, Waker::noop()).is_pending());
        sleep_until(start + most).await;
        // Here the virtual clock ends. Nothing panics, and what needs no time goes on.
        yield_now().await;
        assert!(poll_once(&mut sleep(SECOND), Waker::noop()).is_pending());
        assert!(poll_once(&mut beyond, Waker::noop()).is_pending());
    });
}

#[test]
fn many_that_last_for_ever_take_no_timers() {
    run(async {
        let mut sleeps: Vec<Sleep> = (0..100).map(|_| sleep(Duration::MAX)).collect();
        sleeps.iter_mut().for_each(|sleep| assert!(poll_once(sleep, Waker::noop()).is_pending()));
        assert_eq!(timers_pending(), 0);
    });
}

// ---- what is dropped, moved and set again

#[test]
fn dropping_what_waits_takes_its_timer_away() {
    run_virtually(async {
        let mut sleeping = sleep(DAY);
        assert_eq!(timers_pending(), 0, "there is none before the first poll");
        assert!(poll_once(&mut sleeping, Waker::noop()).is_pending());
        assert_eq!(timers_pending(), 1);
        drop(sleeping);
        assert_eq!(timers_pending(), 0);

        let mut timed = Box::pin(timeout(DAY, pending::<()>()));
        assert!(poll_once(&mut timed, Waker::noop()).is_pending());
        assert_eq!(timers_pending(), 1);
        drop(timed);
        assert_eq!(timers_pending(), 0);

        let mut ticks = interval(DAY);
        ticks.tick().await;
        assert!(poll_once(&mut Box::pin(ticks.tick()), Waker::noop()).is_pending());
        assert_eq!(timers_pending(), 1, "the timer is the interval's, not the tick's");
        drop(ticks);
        assert_eq!(timers_pending(), 0);

        let task = spawn(sleep(DAY));
        some_turns().await;
        assert_eq!(timers_pending(), 1);
        drop(task);
        assert_eq!(timers_pending(), 0);
    });
}

#[test]
fn a_million_timers_that_were_cancelled_leave_nothing() {
    alone("a_million_timers_that_were_cancelled_leave_nothing", || {
        run(async {
            let create_and_cancel = |count: u64| {
                let mut random = Random::new(count);
                for _ in 0..count {
                    let mut sleeping = sleep(Duration::from_nanos(random.below(1 << 50) + 1_000_000_000));
                    assert!(poll_once(&mut sleeping, Waker::noop()).is_pending());
                }
            };
            create_and_cancel(1000);
            let before = most_memory();
            create_and_cancel(1_000_000);
            assert!(
                most_memory() < before.map(|before| before + 1000) || before.is_none(),
                "the rows are used again"
            );
            assert_eq!(timers_pending(), 0);
            // And with many at once, dropped in another order.
            let mut sleeps: Vec<Sleep> = (1..50_000).map(|seconds| sleep(SECOND * seconds)).collect();
            sleeps.iter_mut().for_each(|sleep| assert!(poll_once(sleep, Waker::noop()).is_pending()));
            let mut random = Random::new(9);
            while !sleeps.is_empty() {
                drop(sleeps.swap_remove(random.below(sleeps.len() as u64) as usize));
            }
            assert_eq!(timers_pending(), 0);
            sleep(MILLISECOND).await;
        });
    });
}

#[test]
fn a_sleep_after_a_cancelled_one_ends() {
    run_virtually(async {
        let start = now();
        for never in [Duration::MAX, YEAR * 100, DAY] {
            let mut sleeping = sleep(never);
            assert!(poll_once(&mut sleeping, Waker::noop()).is_pending());
            drop(sleeping);
            sleep(MILLISECOND * 500).await;
        }
        assert_eq!(now() - start, MILLISECOND * 1500);
    });
}

#[test]
fn a_timer_that_moves_to_another_task_wakes_that_one_only() {
    run_virtually(async {
        let shared = Rc::new(RefCell::new(sleep(SECOND)));
        let probes = [Probe::new(), Probe::new()];
        let tasks = probes.each_ref().map(|probe| {
            let (shared, probe) = (shared.clone(), probe.clone());
            spawn(poll_fn(move |cx| {
                probe.note(cx);
                Pin::new(&mut *shared.borrow_mut()).poll(cx)
            }))
        });
        some_turns().await;
        assert_eq!(timers_pending(), 1);
        sleep(SECOND * 2).await;
        let [first, last] = tasks;
        assert!(!first.is_finished());
        last.await.unwrap();
        assert_eq!(probes.each_ref().map(Probe::polls), [1, 2]);
    });
}

// It belongs to whom polls it.
#[test]
fn a_timer_that_moves_to_another_runtime_is_that_ones() {
    finishes(|| {
        let [first, second] = [(); 2].map(|()| Builder::new().virtual_clock(true).build().unwrap());
        let mut moved = first.block_on(async {
            let mut sleeping = sleep(DAY);
            assert!(poll_once(&mut sleeping, Waker::noop()).is_pending());
            sleeping
        });
        assert_eq!(first.metrics().timers_pending(), 1);
        second.block_on(async {
            let start = now();
            assert!(poll_once(&mut moved, Waker::noop()).is_pending());
            (&mut moved).await;
            assert!(now() > start);
            assert_eq!(timers_pending(), 0);
        });
        first.block_on(async {
            letters_are_read().await;
            assert_eq!(timers_pending(), 0);
            sleep(DAY).await; // each runtime has a clock of its own
            assert!(poll_once(&mut moved, Waker::noop()).is_ready());
        });
        // And one whose runtime is gone.
        let mut orphan = first.block_on(async {
            let mut sleeping = sleep(MILLISECOND);
            assert!(poll_once(&mut sleeping, Waker::noop()).is_pending());
            sleeping
        });
        drop(first);
        second.block_on(&mut orphan);
        second.block_on(orphan);
    });
}

#[test]
fn a_timer_may_be_dropped_or_set_again_in_the_very_turn_in_which_it_fires() {
    run_virtually(async {
        let start = now();
        // Both fire in one turn; then the first that is polled takes the other's timer away, or
        // sets it again.
        let others: Vec<Rc<RefCell<Option<Sleep>>>> = (0..2).map(|_| Rc::default()).collect();
        for other in &others {
            *other.borrow_mut() = Some(sleep(SECOND));
        }
        let first = spawn({
            let others = others.clone();
            async move {
                sleep(SECOND).await;
                drop(others[0].borrow_mut().take());
                others[1].borrow_mut().as_mut().unwrap().reset(start + SECOND * 5);
            }
        });
        let second = spawn(poll_fn(move |cx| match &mut *others[0].borrow_mut() {
            None => Poll::Ready(()),
            Some(sleep) => {
                assert!(Pin::new(sleep).poll(cx).is_pending(), "the other drops it first");
                let third = others[1].borrow_mut().as_mut().map(|sleep| Pin::new(sleep).poll(cx));
                assert!(third.is_some_and(|polled| polled.is_pending()));
                Poll::Pending
            }
        }));
        first.await.unwrap();
        assert_eq!(now() - start, SECOND);
        second.await.unwrap();
        assert_eq!((timers_pending(), now() - start), (0, SECOND));
    });
}

#[test]
fn a_sleep_that_is_over_may_be_polled_again_and_set_again() {
    run_virtually(async {
        let start = now();
        let mut sleeping = sleep(SECOND);
        (&mut sleeping).await;
        (&mut sleeping).await;
        assert_eq!(now() - start, SECOND);
        sleeping.reset(now() + SECOND);
        (&mut sleeping).await;
        assert_eq!(now() - start, SECOND * 2);
        // Due, and not polled since.
        sleeping.reset(now() + SECOND);
        assert!(poll_once(&mut sleeping, Waker::noop()).is_pending());
        sleep(SECOND * 3).await;
        sleeping.reset(now() + SECOND);
        assert!(poll_once(&mut sleeping, Waker::noop()).is_pending());
        assert_eq!(timers_pending(), 1);
        (&mut sleeping).await;
        assert_eq!(now() - start, SECOND * 6);
        // Later, and earlier, while it waits.
        sleeping.reset(now() + SECOND);
        assert!(poll_once(&mut sleeping, Waker::noop()).is_pending());
        sleeping.reset(now() + YEAR);
        assert!(poll_once(&mut sleeping, Waker::noop()).is_pending());
        sleeping.reset(now() + MILLISECOND);
        sleeping.await;
        assert_eq!(now() - start, SECOND * 6 + MILLISECOND);
    });
}

#[test]
#[should_panic(expected = "a sleep needs a runtime")]
fn a_sleep_that_is_polled_without_a_runtime_says_so() {
    let _ = poll_once(&mut sleep(SECOND), Waker::noop());
}

// ---- on the virtual clock: the order

#[test]
fn timers_of_one_instant_fire_in_the_order_in_which_they_were_set() {
    const TIMERS: usize = 100_000;
    run_virtually(async {
        let fired = RefCell::new(Vec::new());
        let deadline = now() + DAY;
        gather((0..TIMERS).map(async |index| {
            sleep_until(deadline).await;
            fired.borrow_mut().push(index);
        }))
        .capture()
        .await;
        assert_eq!(now(), deadline);
        assert!(fired.into_inner().into_iter().eq(0..TIMERS));
    });
}

// The same when they are set at other times, and so at first wait on other levels of the wheel.
#[test]
fn timers_of_one_instant_that_were_set_one_after_another_fire_in_that_order() {
    run_virtually(async {
        let fired = Rc::new(RefCell::new(Vec::new()));
        let deadline = now() + DAY;
        let mut tasks = Vec::new();
        let mut left = DAY;
        while left > Duration::ZERO {
            let (index, order) = (tasks.len(), fired.clone());
            tasks.push(spawn(async move {
                sleep_until(deadline).await;
                order.borrow_mut().push(index);
            }));
            some_turns().await;
            // Three quarters of what is left, to the last nanosecond.
            left /= 4;
            sleep_until(deadline - left).await;
        }
        let count = tasks.len();
        assert!(count > 20);
        gather(tasks).await.unwrap();
        assert!(fired.borrow().iter().copied().eq(0..count));
    });
}

/// A pseudo-random duration: of any magnitude up to a year, and often right beside a boundary of
/// the wheel.
fn any_duration(random: &mut Random) -> Duration {
    let nanoseconds = match random.below(3) {
        0 => (1 << (6 * random.below(9))) + random.below(5), // a power of 64, and a little more
        1 => (1u64 << (6 * (1 + random.below(8)))) - 1 - random.below(2),
        _ => random.of_any_size(54),
    };
    Duration::from_nanos(nanoseconds.clamp(1, YEAR.as_nanos() as u64))
}

#[test]
fn over_three_years_every_timer_fires_in_order_and_at_its_very_nanosecond() {
    const SLEEPERS: usize = 300;
    const END: Duration = Duration::from_secs(3 * 365 * 24 * 60 * 60);
    /// Who was woken when.
    type Log = Vec<(Duration, usize)>;

    /// What ought to happen: of the deadlines the first, and of equal ones the one that was set
    /// first.
    fn model() -> Log {
        let mut randoms: Vec<Random> = (0..SLEEPERS).map(|sleeper| Random::new(sleeper as u64)).collect();
        let (mut heap, mut log, mut set) = (BinaryHeap::new(), Vec::new(), 0);
        for (sleeper, random) in randoms.iter_mut().enumerate() {
            set += 1;
            heap.push(Reverse((any_duration(random), set, sleeper)));
        }
        while let Some(Reverse((time, _, sleeper))) = heap.pop() {
            log.push((time, sleeper));
            if time < END {
                set += 1;
                heap.push(Reverse((time + any_duration(&mut randoms[sleeper]), set, sleeper)));
            }
        }
        log
    }

    let log = RefCell::new(Log::new());
    run_virtually(async {
        let start = now();
        gather((0..SLEEPERS).map(async |sleeper| {
            let mut random = Random::new(sleeper as u64);
            while now() - start < END {
                sleep(any_duration(&mut random)).await;
                log.borrow_mut().push((now() - start, sleeper));
            }
        }))
        .capture()
        .await;
    });
    let (log, model) = (log.into_inner(), model());
    assert!(model.len() > 10_000, "{} are too few", model.len());
    let differs = log.iter().zip(&model).position(|(fired, expected)| fired != expected);
    assert_eq!(differs.map(|at| (at, log[at], model[at])), None);
    assert_eq!(log.len(), model.len());
}

#[test]
fn the_virtual_clock_stands_while_anything_can_run_and_leaps_to_the_very_deadline() {
    run_virtually(async {
        let start = now();
        for _ in 0..5000 {
            yield_now().await;
        }
        assert_eq!(now(), start);
        let task = spawn(async move {
            sleep(DAY + NANOSECOND).await;
            now() - start
        });
        sleep(SECOND).await;
        assert_eq!(now() - start, SECOND);
        assert_eq!(task.await.unwrap(), DAY + NANOSECOND);
        // From another thread's task, too: that is work.
        let handle = Handle::current();
        let remote = thread::spawn(move || handle.spawn(|| async { now() })).join().unwrap();
        assert_eq!(remote.await.unwrap() - start, DAY + NANOSECOND);
    });
}

#[test]
fn with_slack_a_thousand_intervals_share_ten_wakes_a_second_and_none_fires_early() {
    const SLACK: Duration = Duration::from_millis(100);
    const SECONDS: u32 = 20;
    let runtime = Builder::new().virtual_clock(true).timer_slack(SLACK).build().unwrap();
    let wakes = RefCell::new(BTreeSet::new());
    runtime.block_on(async {
        let start = now();
        let children = (0..1000).map(async |number| {
            sleep_until(start + SECOND * number / 1000).await;
            let mut interval = interval(SECOND);
            for _ in 0..=SECONDS {
                let due = interval.tick().await;
                assert!((due..=due + SLACK).contains(&now()), "{:?} late", now() - due);
                wakes.borrow_mut().insert(now());
            }
        });
        gather(children).capture().await;
    });
    let wakes = wakes.borrow().len();
    assert!(wakes <= 11 * (SECONDS as usize + 1), "{wakes}");
}

#[test]
fn a_slack_without_end_is_no_timer_at_all_unless_the_loop_is_up() {
    let runtime = Builder::new().timer_slack(Duration::MAX).build().unwrap();
    runtime.block_on(async {
        let sleeper = spawn(sleep(MILLISECOND));
        while !sleeper.is_finished() {
            yield_now().await;
        }
    });
}

#[test]
fn the_virtual_clock_goes_on_where_it_stood_when_the_runtime_runs_again() {
    let runtime = Builder::new().virtual_clock(true).build().unwrap();
    let start = runtime.block_on(async { now() });
    let task = runtime.block_on(async {
        let task = spawn(async {
            sleep(DAY).await;
            now()
        });
        sleep(SECOND).await;
        task
    });
    assert_eq!(runtime.block_on(async { now() }) - start, SECOND);
    assert_eq!(runtime.block_on(task).unwrap() - start, DAY);
}

// ---- timeouts

#[test]
fn a_timeout_polls_its_future_first() {
    run_virtually(async {
        assert_eq!(timeout(Duration::ZERO, ready(1)).await, Ok(1));
        assert_eq!(timers_pending(), 0);
        // Ready in the very turn in which time is up.
        assert_eq!(timeout(SECOND, sleep(SECOND)).await, Ok(()));
        assert!(timeout(SECOND, sleep(SECOND + NANOSECOND)).await.is_err());
        assert!(timeout(Duration::ZERO, yield_now()).await.is_err());
        // Time is long up when it is first polled, but it is ready.
        let late = timeout(SECOND, ready(2));
        sleep(DAY).await;
        assert_eq!(late.await, Ok(2));
    });
}

#[test]
fn a_timeout_that_is_over_drops_its_future_when_it_was_awaited() {
    run_virtually(async {
        let witness = gather_tests::witness::Witness::new();
        let guard = witness.guard();
        let held = async move {
            let _guard = guard;
            pending::<()>().await;
        };
        assert!(timeout(SECOND, held).await.is_err());
        assert_eq!(witness.drops(), 1);
    });
}

#[test]
fn timeouts_in_timeouts_end_with_the_shortest() {
    run_virtually(async {
        let start = now();
        let inner = timeout(SECOND * 3, pending::<()>());
        let outer = timeout(SECOND * 2, timeout(SECOND, inner)).await;
        assert!(outer.expect("the outer is not over").is_err());
        assert_eq!((now() - start, timers_pending()), (SECOND, 0));
    });
}

#[test]
fn that_time_is_up_is_an_io_error_of_its_kind() {
    let read = || async {
        timeout(Duration::ZERO, pending::<()>()).await?;
        Ok::<(), io::Error>(())
    };
    let error = run(read()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(error.to_string(), "time is up");
}

// ---- intervals

/// The first ticks of an interval, as the time of each since the first.
async fn ticks(interval: &mut gather::Interval, count: usize, start: Instant) -> Vec<Duration> {
    let mut ticks = Vec::new();
    for _ in 0..count {
        ticks.push(interval.tick().await - start);
    }
    ticks
}

#[test]
fn an_interval_ticks_at_once_and_then_at_whole_periods() {
    run_virtually(async {
        let start = now();
        let mut every = interval(SECOND);
        assert_eq!(ticks(&mut every, 4, start).await, [0, 1, 2, 3].map(|tick| SECOND * tick));
        // Work between two ticks does not shift the next.
        sleep(MILLISECOND * 700).await;
        assert_eq!(ticks(&mut every, 2, start).await, [SECOND * 4, SECOND * 5]);
        assert_eq!(now() - start, SECOND * 5);
    });
}

#[test]
fn an_interval_skips_the_ticks_that_were_missed() {
    let periods_and_pauses = [
        (SECOND, SECOND * 10 + MILLISECOND * 300),
        (MILLISECOND, YEAR),
        (Duration::from_micros(1), DAY),
        (NANOSECOND, DAY), // more periods than 32 bits can count
        (SECOND, YEAR * 200),
    ];
    for (period, pause) in periods_and_pauses {
        run_virtually(async {
            let start = now();
            let mut every = interval(period);
            every.tick().await;
            sleep(pause).await;
            // The one that was due is given, late; the others before now are not.
            assert_eq!(every.tick().await - start, period);
            let next = every.tick().await;
            assert!(
                next - start > pause,
                "{period:?}, {pause:?}: a burst, the next is at {:?}",
                next - start
            );
            assert!(next - start <= pause + period, "{period:?}, {pause:?}: {:?}", next - start);
            assert_eq!((next - start).as_nanos() % period.as_nanos(), 0, "{period:?}: not a whole period");
            assert_eq!(next, now());
        });
    }
}

#[test]
fn dropping_a_tick_loses_none() {
    run_virtually(async {
        let start = now();
        let mut every = interval(SECOND);
        every.tick().await;
        for _ in 0..3 {
            assert!(timeout(MILLISECOND, every.tick()).await.is_err());
        }
        assert_eq!(every.tick().await - start, SECOND);
    });
}

#[test]
fn an_interval_on_the_real_clock_never_ticks_early() {
    run(async {
        let mut every = interval(MILLISECOND * 2);
        for _ in 0..20 {
            let tick = every.tick().await;
            assert!(tick <= Instant::now());
        }
    });
}

#[test]
#[should_panic(expected = "the period must not be zero")]
fn an_interval_without_a_period_is_refused() {
    run(async { drop(interval(Duration::ZERO)) });
}

#[test]
fn a_poll_of_a_tick_is_what_a_tick_awaits() {
    run_virtually(async {
        let mut every = interval(SECOND);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(every.poll_tick(&mut cx).is_ready());
        assert!(every.poll_tick(&mut cx).is_pending());
        poll_fn(|cx| every.poll_tick(cx)).await;
        assert!(every.poll_tick(&mut cx).is_pending());
    });
}
