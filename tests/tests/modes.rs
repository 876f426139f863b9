//! The contract of `gather` in every mode: each sentence is a module, each promise in it a test,
//! and the test goes through all modes for which it is promised. A failure names the mode.
//!
//! | sentence | held here for |
//! |---|---|
//! | 1 results in input order | all modes: in input order, or (`stream`, `for_each`) as they come, each with its index |
//! | 2 the end is prompt | what an output ends: plain, `detailed`, `first_ok`, `first_ok_n`, `race`, `policy`, `gather!`, `scope`; and `within`, which the time ends |
//! | 3 capture | `capture`, `within`, `stream`, `for_each`, `gather!(capture; ..)` |
//! | 4 dropping it | all modes |
//! | 5 the order of polls | all modes |
//! | 6 the limit | all modes but `gather!` and `scope`, which have none |
//! | 7 several ends in one pass | as 2 |
//! | 8 panics | all modes |
//! | 9 moves and wakers | all modes |
//!
//! (10 is about Python.) `mode_by_mode.rs` has what a mode promises beside that. `contract.rs` has
//! the promises for a plain gather and a capture in more detail: timers and sockets, threads,
//! inputs that lie. The tasks of a `wait` are polled by the loop and outlive it: what it promises
//! is in `wait.rs`.
//!
//! # What the tests catch
//!
//! Each of these faults was put into the code on purpose, and these tests failed; most faults fail
//! many others, too. A number is that of the sentence; a test without one is in `mode_by_mode.rs`.
//! (`random_programs.rs` has a list of its own.)
//!
//! | fault | caught by |
//! |---|---|
//! | siblings are not dropped before the result is seen | 2: `whatever_ends_it_at_a_first_poll_or_later_for_any_number_of_children_and_any_size_hint` |
//! | siblings are not dropped before a panic is seen (in a gather, in a stream) | 8: `a_panic_in_a_child_at_its_first_poll_or_later_and_outputs_are_dropped_too` |
//! | `gather!` does not drop siblings before the error | 2: `whatever_ends_it_at_a_first_poll_or_later_for_any_number_of_children_and_any_size_hint` |
//! | `scope` does not drop its children in its last poll | 8: `panics_in_the_destructors_of_siblings_and_of_outputs_change_no_result_but_that_of_a_scope` |
//! | an error is kept back while more than 30 siblings run | 2: `whatever_ends_it_at_a_first_poll_or_later_for_any_number_of_children_and_any_size_hint` |
//! | a size hint is believed | 2: `whatever_ends_it_at_a_first_poll_or_later_for_any_number_of_children_and_any_size_hint` |
//! | outputs leak when it ends or is dropped | 4: `dropping_it_after_any_number_of_steps_drops_every_child_and_every_output` |
//! | results come in the order of completion | 1: `results_are_in_input_order_or_come_with_their_indices_whatever_the_order_of_completion` |
//! | a slot that is used again has a wrong index | 1: `results_are_in_input_order_or_come_with_their_indices_under_any_limit` |
//! | an empty gather waits | 1: `an_empty_gather_is_ready_at_its_first_poll_and_wakes_nobody` |
//! | the first parent is kept | 9: `it_wakes_the_one_who_polled_it_last`, `the_task_that_it_has_moved_to_is_woken_and_not_the_one_that_it_has_left` |
//! | the parent is always taken for told | 9: `it_wakes_the_one_who_polled_it_last` |
//! | a wake is lost that comes after the last child was polled | 9: `a_wake_that_comes_when_no_child_is_left_to_poll_and_its_waker_is_cloned_is_not_lost` |
//! | a wake in a first poll is lost | 5: `a_child_that_wakes_itself_in_its_first_poll_is_polled_again_after_those_before_it` |
//! | children do not learn their wakers on another runtime | 9: `it_may_move_to_another_runtime_before_and_after_each_poll` |
//! | the child that was woken last is polled first | 5: `children_are_first_polled_in_input_order_and_then_in_the_order_in_which_they_were_woken` |
//! | every child is polled at each poll | 5: `a_child_that_was_not_woken_is_not_polled` |
//! | generations are not looked at | 5: `late_wakes_of_a_finished_child_poll_neither_it_nor_the_one_in_its_place` |
//! | a finished child stays | 5: `a_finished_child_is_dropped_when_it_finishes_before_the_next_is_polled` |
//! | an output is judged before its child is dropped | `a_policy_is_given_an_output_when_its_child_is_gone`; in `gather!`: 8: `a_panic_in_the_destructor_of_a_child_that_finishes` |
//! | the limit is one too high, or one too low | 6: `as_many_as_may_run_do_and_never_more_and_what_is_pulled_is_polled_at_once` |
//! | the input is asked for one more than may start | 6: `as_many_as_may_run_do_and_never_more_and_what_is_pulled_is_polled_at_once` |
//! | outputs that wait in `for_each` do not count against the limit | `streams.rs`: `running_children_and_waiting_outputs_of_for_each_are_never_more_than_the_limit` |
//! | a panic in a child is taken for a child that waits | 8: `a_panic_in_a_child_at_its_first_poll_or_later_and_outputs_are_dropped_too` |
//! | a destructor that panics keeps others from running | 8: `a_panic_in_a_destructor_when_it_is_dropped_comes_out_after_every_destructor_has_run` (it aborts) |
//! | errors of `first_ok` are dropped as a `Vec` drops them | `errors_and_successes_whose_destructors_panic_are_all_dropped_with_the_gather_that_has_them` |
//! | a poll after the end goes through | 9: `a_poll_after_the_result_panics_and_says_why_and_a_stream_stays_at_its_end` |
//! | `within` gives up those that were woken at its end | `what_finishes_at_the_instant_at_which_the_time_is_over_counts` |
//! | a child is started when the time of `within` is over | `no_child_of_within_is_started_after_its_end_and_the_length_is_that_of_the_input_or_of_those_that_were_started` |
//! | what `within` gives is as long as what was started | `no_child_of_within_is_started_after_its_end_and_the_length_is_that_of_the_input_or_of_those_that_were_started` |
//! | a quorum is one too high, or one too low | `a_quorum_ends_with_its_last_success_in_the_order_in_which_they_came_and_the_others_are_dropped` |
//! | a quorum is given up one failure too early, or too late | `a_quorum_is_given_up_with_the_failure_that_is_one_too_many_and_not_before` |
//! | a policy that has stopped is asked again | `a_policy_that_stops_has_no_more_children_started_and_is_given_what_those_that_were_woken_give` |

use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::iter::from_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use gather::{Builder, Handle, Runtime, gather, run, sleep, spawn, yield_now};
use gather_tests::children::{counting_waker, poll_next_turn};
use gather_tests::every_mode::{Bang, Brood, Event, FIVE, Given, Mode, Running};
use gather_tests::foreign::{Done, foreign};
use gather_tests::probe::{poll_once, some_turns};
use gather_tests::random::Random;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Runs with a clock that leaps over sleeps.
fn run_virtually<F: Future>(future: F) -> F::Output {
    Builder::new().virtual_clock(true).build().unwrap().block_on(future)
}

fn groups_alive() -> usize {
    Handle::current().metrics().groups_alive()
}

/// All permutations of `0..len`.
fn permutations(len: usize) -> impl Iterator<Item = Vec<usize>> {
    (0..(1..=len).product()).map(move |mut number: usize| {
        let mut left: Vec<_> = (0..len).collect();
        let mut pick = |choices| {
            let picked = left.remove(number % choices);
            number /= choices;
            picked
        };
        (1..=len).rev().map(&mut pick).collect()
    })
}

/// Polls with a fresh budget.
#[track_caller]
fn check_pending(poll: &Poll<Given>, case: &str) {
    assert!(poll.is_pending(), "{case}: it has ended: {poll:?}");
}

/// Polls until each of so many children was polled.
async fn start(all: &mut Running, brood: &Brood, count: usize, case: &str) {
    let mut polled = vec![];
    for _ in 0..=count {
        check_pending(&poll_next_turn(all).await, case);
        polled.append(&mut brood.polled());
        if polled.len() >= count {
            assert_eq!(polled, (0..count).collect::<Vec<_>>(), "{case}: first polls in input order");
            return;
        }
    }
    panic!("{case}: {} of {count} were started", polled.len());
}

/// What a mode gives when its children have finished in that order, with outputs that it lets
/// pass.
fn expected(mode: Mode, order: &[usize]) -> Given {
    let mut indices = order.to_vec();
    match mode {
        Mode::Race => indices.truncate(1),
        _ if mode.gives_as_they_come() => {}
        _ => indices.sort_unstable(),
    }
    indices.into_iter().map(|index| (index, mode.passes(index))).collect()
}

mod sentence_1_results_come_in_input_order_and_an_empty_gather_is_ready_at_its_first_poll {
    use super::*;

    #[test]
    fn results_are_in_input_order_or_come_with_their_indices_whatever_the_order_of_completion() {
        run(async {
            for mode in Mode::ALL {
                for order in permutations(FIVE) {
                    let case = format!("{mode:?}, {order:?}");
                    let brood = Brood::new(FIVE);
                    let mut all = mode.gather(&brood, usize::MAX);
                    start(&mut all, &brood, FIVE, &case).await;
                    let last = if mode == Mode::Race { 1 } else { FIVE };
                    for (position, &index) in order[..last].iter().enumerate() {
                        brood.finish(index, mode.passes(index));
                        match poll_next_turn(&mut all).await {
                            Poll::Pending => assert!(position + 1 < last, "{case}: it does not end"),
                            Poll::Ready(given) => {
                                assert_eq!((given, position + 1), (expected(mode, &order), last), "{case}");
                            }
                        }
                    }
                    drop(all);
                    brood.check_all_gone(&case);
                }
            }
        });
    }

    #[test]
    fn results_are_in_input_order_or_come_with_their_indices_under_any_limit() {
        const COUNT: usize = 100;
        run(async {
            let mut random = Random::new(1);
            for mode in Mode::ALL.into_iter().filter(|mode| mode.takes(COUNT)) {
                for limit in [1, 2, 31, 32, 33, 99, 100, 101, usize::MAX] {
                    let case = format!("{mode:?}, limit {limit}");
                    let brood = Brood::new(COUNT);
                    // Some are ready at their first poll; of the others, one of those that run is
                    // finished at a time.
                    let is_prepared = |index| index % 4 == 3 && mode != Mode::Race;
                    (0..COUNT)
                        .filter(|index| is_prepared(*index))
                        .for_each(|i| brood.prepare(i, mode.passes(i)));
                    let mut all = mode.gather(&brood, limit);
                    let given = loop {
                        if let Poll::Ready(given) = poll_next_turn(&mut all).await {
                            break given;
                        }
                        let running = running(&brood);
                        let index = running[random.below(running.len() as u64) as usize];
                        brood.finish(index, mode.passes(index));
                    };
                    let gave = brood.history().into_iter();
                    let order: Vec<_> = gave
                        .filter_map(|event| if let Event::Gave(i) = event { Some(i) } else { None })
                        .collect();
                    assert_eq!(order.len(), if mode == Mode::Race { 1 } else { COUNT }, "{case}");
                    assert_eq!(given, expected(mode, &order), "{case}");
                    drop(all);
                    brood.check_all_gone(&case);
                }
            }
        });
    }

    #[test]
    fn an_empty_gather_is_ready_at_its_first_poll_and_wakes_nobody() {
        run(async {
            for mode in Mode::ALL.into_iter().filter(|mode| mode.takes(0) && *mode != Mode::Race) {
                for limit in [1, usize::MAX] {
                    let (wakes, waker) = counting_waker();
                    let brood = Brood::new(0);
                    let mut all = mode.gather(&brood, limit);
                    assert_eq!(poll_once(&mut all, &waker), Poll::Ready(vec![]), "{mode:?}");
                    assert_eq!((wakes.get(), groups_alive()), (0, 0), "{mode:?}");
                }
            }
        });
    }

    #[test]
    #[should_panic(expected = "a race without children has no winner")]
    fn a_race_of_nobody_panics_and_says_why() {
        run(Mode::Race.gather(&Brood::new(0), usize::MAX));
    }
}

/// The children that were pulled and have not finished.
fn running(brood: &Brood) -> Vec<usize> {
    let mut running = vec![];
    for event in brood.history() {
        match event {
            Event::Pulled(index) => running.push(index),
            Event::Dropped(index) => running.retain(|other| *other != index),
            _ => {}
        }
    }
    running
}

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

mod sentence_2_what_ends_it_ends_it_in_the_same_poll_and_every_sibling_was_dropped_before {
    use super::*;

    async fn check(
        mode: Mode,
        count: usize,
        ender: usize,
        is_ok: bool,
        later: bool,
        hint: (usize, Option<usize>),
    ) {
        let case = format!("{mode:?}, {count} children, #{ender} gives {is_ok}, later: {later}, {hint:?}");
        let brood = Brood::new(count);
        let mut all = mode.gather_from(Hinted(brood.input(), hint), usize::MAX, &brood.log);
        if later {
            start(&mut all, &brood, count, &case).await;
            brood.finish(ender, is_ok);
        } else {
            brood.prepare(ender, is_ok);
        }
        for _ in 0..count {
            if let Poll::Ready(given) = poll_next_turn(&mut all).await {
                assert_eq!(given, [(ender, is_ok)], "{case}");
                // `all` is still there: what is gone now was dropped by it.
                brood.check_gone_before_the_end(&case);
                assert_eq!(groups_alive(), 0, "{case}");
                if mode != Mode::Scope {
                    let pulled = brood.pulled_and_alive().0;
                    assert_eq!(
                        pulled,
                        if later || !mode.takes_a_limit() { count } else { ender + 1 },
                        "{case}"
                    );
                }
                drop(all);
                return brood.check_all_gone(&case);
            }
            assert_eq!(brood.count(Event::Gave(ender)), 0, "{case}: not in the same poll");
        }
        panic!("{case}: it has not ended");
    }

    #[test]
    fn whatever_ends_it_at_a_first_poll_or_later_for_any_number_of_children_and_any_size_hint() {
        run(async {
            for mode in Mode::ALL {
                for is_ok in mode.enders() {
                    for count in [FIVE, 31, 33, 1000].into_iter().filter(|count| mode.takes(*count)) {
                        let hints =
                            [(count, Some(count)), (0, None), (1, Some(1)), (usize::MAX, Some(usize::MAX))];
                        for (hint, ender) in hints.into_iter().zip([0, count / 2, count - 1, 1]) {
                            check(mode, count, ender, is_ok, false, hint).await;
                            check(mode, count, ender, is_ok, true, hint).await;
                        }
                    }
                }
            }
        });
    }

    #[test]
    fn outputs_that_are_not_given_are_dropped_before_the_result_is_seen() {
        run(async {
            for mode in [Mode::Plain, Mode::Policy, Mode::Macro, Mode::Scope] {
                let case = format!("{mode:?}");
                let brood = Brood::new(FIVE);
                let mut all = mode.gather(&brood, usize::MAX);
                start(&mut all, &brood, FIVE, &case).await;
                // One in order, and one ahead of its turn.
                for index in [0, 3] {
                    brood.finish(index, true);
                    check_pending(&poll_next_turn(&mut all).await, &case);
                }
                brood.finish(1, false);
                assert_eq!(poll_next_turn(&mut all).await, Poll::Ready(vec![(1, false)]), "{case}");
                let history = brood.history();
                let end = history.iter().position(|event| *event == Event::Ended).unwrap();
                for index in [0, 3] {
                    assert!(history[..end].contains(&Event::OutputDropped(index)), "{case}: {history:?}");
                }
            }
        });
    }

    #[test]
    fn the_time_that_ends_within_ends_it_in_the_same_poll_and_every_child_was_dropped_before() {
        run_virtually(async {
            for count in [1, 33, 1000] {
                let brood = Brood::new(count);
                let all = gather(brood.input()).capture().within(HOUR);
                let mut all = gather_tests::every_mode::hold(all, &brood.log, |outcomes| {
                    assert!(outcomes.iter().all(Option::is_none));
                    vec![(outcomes.len(), false)]
                });
                start(&mut all, &brood, count, "within").await;
                sleep(HOUR).await;
                assert_eq!(poll_next_turn(&mut all).await, Poll::Ready(vec![(count, false)]));
                brood.check_gone_before_the_end("within");
                assert!(brood.polled().is_empty());
                let metrics = Handle::current().metrics();
                assert_eq!((metrics.groups_alive(), metrics.timers_pending()), (0, 0));
            }
        });
    }
}

mod sentence_3_what_captures_keeps_every_output_and_never_the_cancellation_of_its_parent {
    use super::*;

    #[test]
    fn every_child_runs_to_its_end_and_every_output_is_kept_whatever_it_is() {
        run(async {
            for mode in Mode::ALL.into_iter().filter(|mode| mode.keeps_all()) {
                // Each bit says whether a child succeeds.
                for outcomes in 0..1 << FIVE {
                    let case = format!("{mode:?}, {outcomes:05b}");
                    let is_ok = |index: usize| outcomes >> index & 1 == 1;
                    let brood = Brood::new(FIVE);
                    let mut all = mode.gather(&brood, usize::MAX);
                    for index in 0..FIVE {
                        check_pending(&poll_next_turn(&mut all).await, &case);
                        brood.finish(index, is_ok(index));
                    }
                    let given: Given = (0..FIVE).map(|index| (index, is_ok(index))).collect();
                    assert_eq!(poll_next_turn(&mut all).await, Poll::Ready(given), "{case}");
                    brood.check_all_gone(&case);
                }
            }
        });
    }

    /// A round in some mode, of two children that yield.
    async fn round(mode: Mode) {
        let children = [yield_now(), yield_now()];
        match mode {
            Mode::Capture => drop(gather(children).capture().await),
            Mode::Within => drop(gather(children).capture().within(HOUR).await),
            Mode::ForEach => gather(children).for_each(async |_, ()| {}).await,
            Mode::MacroCapture => drop(gather!(capture; yield_now(), yield_now()).await),
            _ => {
                let mut stream = gather(children).stream();
                while stream.next().await.is_some() {}
            }
        }
    }

    #[test]
    fn a_task_that_loops_over_a_mode_that_captures_ends_when_it_is_cancelled_at_any_point() {
        run(async {
            for mode in Mode::ALL.into_iter().filter(|mode| mode.keeps_all()) {
                for turns in 0..10 {
                    let rounds = Rc::new(Cell::new(0));
                    let counter = rounds.clone();
                    let task = spawn(async move {
                        loop {
                            round(mode).await;
                            counter.set(counter.get() + 1);
                        }
                    });
                    for _ in 0..turns {
                        yield_now().await;
                    }
                    task.cancel();
                    let before = rounds.get();
                    assert!(turns < 5 || before > 0, "{mode:?}: it does not go round");
                    assert!(task.await.unwrap_err().is_cancelled(), "{mode:?}");
                    assert_eq!(
                        (rounds.get(), Rc::strong_count(&rounds), groups_alive()),
                        (before, 1, 0),
                        "{mode:?}"
                    );
                }
            }
        });
    }
}

/// One after the other: `None` is a poll, `Some` finishes a child, with an output that passes if
/// there is one.
const SCRIPT: [Option<usize>; 12] =
    [None, Some(2), None, Some(0), Some(4), None, None, Some(1), None, Some(3), None, None];

mod sentence_4_dropping_it_or_cancelling_its_task_drops_every_child_at_once_exactly_once {
    use super::*;

    #[test]
    fn dropping_it_after_any_number_of_steps_drops_every_child_and_every_output() {
        run(async {
            for mode in Mode::ALL {
                for limit in [1, 2, usize::MAX] {
                    for steps in 0..SCRIPT.len() {
                        let case = format!("{mode:?}, limit {limit}, {steps} steps");
                        let brood = Brood::new(FIVE);
                        let mut all = mode.gather(&brood, limit);
                        let mut is_over = false;
                        for step in &SCRIPT[..steps] {
                            match step {
                                Some(index) => brood.finish(*index, mode.passes(*index)),
                                None if is_over => {}
                                None => is_over = poll_next_turn(&mut all).await.is_ready(),
                            }
                        }
                        drop(all);
                        brood.check_all_gone(&case);
                        assert_eq!(groups_alive(), 0, "{case}");
                        brood.events();
                        (0..FIVE).for_each(|index| brood.wake(index));
                        yield_now().await;
                        assert_eq!(brood.events(), [], "{case}: afterwards");
                    }
                }
            }
        });
    }

    #[test]
    fn cancelling_its_task_after_any_number_of_steps_does_so_too_and_what_comes_after_the_await_never_runs() {
        run(async {
            for mode in Mode::ALL {
                for limit in [1, 2, usize::MAX] {
                    for steps in 0..SCRIPT.len() {
                        let case = format!("{mode:?}, limit {limit}, {steps} steps");
                        let brood = Rc::new(Brood::new(FIVE));
                        let all = mode.gather(&brood, limit);
                        let is_after = Rc::new(Cell::new(false));
                        let after = is_after.clone();
                        let task = spawn(async move {
                            all.await;
                            after.set(true);
                        });
                        for step in &SCRIPT[..steps] {
                            match step {
                                Some(index) => brood.finish(*index, mode.passes(*index)),
                                None => yield_now().await,
                            }
                        }
                        let is_over = task.is_finished();
                        task.cancel();
                        brood.check_all_gone(&case);
                        assert_eq!((is_after.get(), groups_alive()), (is_over, 0), "{case}");
                        assert_eq!(task.await.is_ok(), is_over, "{case}");
                    }
                }
            }
        });
    }

    #[test]
    fn a_thousand_children_are_dropped_at_once_finished_or_not() {
        run(async {
            for mode in Mode::ALL.into_iter().filter(|mode| mode.takes(1000) && *mode != Mode::Race) {
                let case = format!("{mode:?}");
                let brood = Brood::new(1000);
                let mut all = mode.gather(&brood, usize::MAX);
                start(&mut all, &brood, 1000, &case).await;
                (0..1000)
                    .filter(|index| index % 3 == 0)
                    .for_each(|index| brood.finish(index, mode.passes(index)));
                for _ in 0..3 {
                    check_pending(&poll_next_turn(&mut all).await, &case);
                }
                assert!((1..1000).contains(&brood.pulled_and_alive().1), "{case}");
                drop(all);
                brood.check_all_gone(&case);
            }
        });
    }
}

mod sentence_5_polls_are_in_input_order_and_then_in_that_of_the_wakes_and_only_those {
    use super::*;

    #[test]
    fn children_are_first_polled_in_input_order_and_then_in_the_order_in_which_they_were_woken() {
        run(async {
            for mode in Mode::ALL {
                // 300 are more than a gather polls in one go.
                for count in [FIVE, 100, 300].into_iter().filter(|count| mode.takes(*count)) {
                    let case = format!("{mode:?}, {count} children");
                    let brood = Brood::new(count);
                    let mut all = mode.gather(&brood, usize::MAX);
                    start(&mut all, &brood, count, &case).await;
                    for step in [1, 7, 11, 299] {
                        // Each of these steps has no divisor in common with any of the counts.
                        let order: Vec<_> = (0..count).map(|turn| (turn * step + 3) % count).collect();
                        order.iter().for_each(|index| brood.wake(*index));
                        let mut polled = vec![];
                        for _ in 0..10 {
                            check_pending(&poll_next_turn(&mut all).await, &case);
                            polled.append(&mut brood.polled());
                        }
                        assert_eq!(polled, order, "{case}");
                    }
                }
            }
        });
    }

    #[test]
    fn a_child_that_is_woken_twice_keeps_its_place_and_is_polled_once() {
        run(async {
            for mode in Mode::ALL {
                let case = format!("{mode:?}");
                let brood = Brood::new(FIVE);
                let mut all = mode.gather(&brood, usize::MAX);
                start(&mut all, &brood, FIVE, &case).await;
                [2, 0, 2, 1, 0, 2].into_iter().for_each(|index| brood.wake(index));
                check_pending(&poll_next_turn(&mut all).await, &case);
                assert_eq!(brood.polled(), [2, 0, 1], "{case}");
            }
        });
    }

    #[test]
    fn a_finished_child_is_dropped_when_it_finishes_before_the_next_is_polled() {
        run(async {
            for mode in Mode::ALL {
                for limit in [2, usize::MAX] {
                    let case = format!("{mode:?}, limit {limit}");
                    let brood = Brood::new(FIVE);
                    let mut all = mode.gather(&brood, limit);
                    check_pending(&poll_next_turn(&mut all).await, &case);
                    brood.events();
                    [1, 0].into_iter().for_each(|index| brood.finish(index, mode.passes(index)));
                    let _ = poll_next_turn(&mut all).await;
                    let events = brood.events();
                    let order = if mode == Mode::Race { &[1][..] } else { &[1, 0] };
                    for index in order {
                        let gave = events.iter().position(|event| *event == Event::Gave(*index)).unwrap();
                        assert_eq!(events[gave + 1], Event::Dropped(*index), "{case}: {events:?}");
                    }
                }
            }
        });
    }

    #[test]
    fn late_wakes_of_a_finished_child_poll_neither_it_nor_the_one_in_its_place() {
        run(async {
            for mode in Mode::ALL.into_iter().filter(|mode| *mode != Mode::Race) {
                for limit in [1, usize::MAX] {
                    let case = format!("{mode:?}, limit {limit}");
                    let brood = Brood::new(FIVE);
                    let mut all = mode.gather(&brood, limit);
                    check_pending(&poll_next_turn(&mut all).await, &case);
                    let late = brood.waker(0);
                    brood.finish(0, mode.passes(0));
                    check_pending(&poll_next_turn(&mut all).await, &case);
                    brood.events();
                    for _ in 0..10 {
                        late.wake_by_ref();
                        check_pending(&poll_next_turn(&mut all).await, &case);
                    }
                    assert_eq!(brood.events(), [], "{case}");
                }
            }
        });
    }

    #[test]
    fn a_child_that_wakes_itself_in_its_first_poll_is_polled_again_after_those_before_it() {
        run(async {
            for mode in Mode::ALL {
                let case = format!("{mode:?}");
                let mut brood = Brood::new(FIVE);
                brood.restless = vec![1, 3];
                let mut all = mode.gather(&brood, usize::MAX);
                let (wakes, waker) = counting_waker();
                check_pending(&poll_once(&mut all, &waker), &case);
                assert_eq!((brood.polled(), wakes.get()), (vec![0, 1, 2, 3, 4, 1, 3], 0), "{case}");
            }
        });
    }

    #[test]
    fn a_child_that_was_not_woken_is_not_polled() {
        run(async {
            for mode in Mode::ALL {
                let case = format!("{mode:?}");
                let brood = Brood::new(FIVE);
                let mut all = mode.gather(&brood, usize::MAX);
                start(&mut all, &brood, FIVE, &case).await;
                for _ in 0..5 {
                    check_pending(&poll_next_turn(&mut all).await, &case);
                    assert_eq!(brood.events(), [], "{case}");
                    brood.wake(2);
                    check_pending(&poll_next_turn(&mut all).await, &case);
                    assert_eq!(brood.events(), [Event::Polled(2)], "{case}");
                }
            }
        });
    }
}

mod sentence_6_with_a_limit_at_most_n_children_exist_and_the_input_is_pulled_only_when_one_may_start {
    use super::*;

    #[test]
    fn as_many_as_may_run_do_and_never_more_and_what_is_pulled_is_polled_at_once() {
        const COUNT: usize = 100;
        run(async {
            let mut random = Random::new(2);
            for mode in Mode::ALL.into_iter().filter(|mode| mode.takes_a_limit()) {
                for limit in [1, 2, 7, 31, 32, 33, 99, 100, 101, usize::MAX] {
                    let case = format!("{mode:?}, limit {limit}");
                    let brood = Brood::new(COUNT);
                    let mut all = mode.gather(&brood, limit);
                    assert_eq!(brood.history(), [], "{case}: nothing is pulled before the first poll");
                    for finished in 0..COUNT {
                        check_pending(&poll_next_turn(&mut all).await, &case);
                        let pulled = finished.saturating_add(limit).min(COUNT);
                        assert_eq!(brood.pulled_and_alive(), (pulled, pulled - finished), "{case}");
                        if mode == Mode::Race {
                            break; // it ends with the first
                        }
                        let running = running(&brood);
                        let index = running[random.below(running.len() as u64) as usize];
                        brood.finish(index, mode.passes(index));
                        assert_eq!(brood.pulled_and_alive().0, pulled, "{case}: a wake pulls nothing");
                    }
                    drop(poll_next_turn(&mut all).await);
                    let history = brood.history();
                    let mut alive = 0;
                    for (position, event) in history.iter().enumerate() {
                        match *event {
                            Event::Pulled(index) => {
                                alive += 1;
                                assert!(alive <= limit, "{case}: {alive} at once");
                                assert_eq!(history[position + 1], Event::Polled(index), "{case}");
                            }
                            Event::Dropped(_) => alive -= 1,
                            _ => {}
                        }
                    }
                    assert!(mode == Mode::Race || history.contains(&Event::Ended), "{case}");
                }
            }
        });
    }

    #[test]
    fn an_endless_input_is_pulled_no_further_than_to_what_ends_it() {
        run(async {
            for mode in Mode::ALL.into_iter().filter(|mode| mode.takes_a_limit()) {
                for is_ok in mode.enders() {
                    let case = format!("{mode:?}, {is_ok}");
                    // Endless as far as anyone can see: 100 are ready at once, and the next one
                    // ends it.
                    let brood = Brood::new(1000);
                    let ender = if mode == Mode::Race { 0 } else { 100 };
                    (0..ender).for_each(|index| brood.prepare(index, mode.passes(index)));
                    brood.prepare(ender, is_ok);
                    let mut input = brood.input();
                    let endless = from_fn(move || Some(input.next().expect("it is pulled too far")));
                    let given = mode.gather_from(endless, 3, &brood.log).await;
                    assert_eq!(
                        (given, brood.pulled_and_alive()),
                        (vec![(ender, is_ok)], (ender + 1, 0)),
                        "{case}"
                    );
                }
            }
        });
    }
}

mod sentence_7_if_several_end_it_in_one_pass_the_first_in_poll_order_wins {
    use super::*;

    #[test]
    fn the_first_that_was_woken_wins_and_the_others_are_not_asked_any_more() {
        run(async {
            for mode in Mode::ALL {
                for is_ok in mode.enders() {
                    for order in permutations(FIVE) {
                        let case = format!("{mode:?}, {is_ok}, {order:?}");
                        let brood = Brood::new(FIVE);
                        let mut all = mode.gather(&brood, usize::MAX);
                        start(&mut all, &brood, FIVE, &case).await;
                        order.iter().for_each(|index| brood.finish(*index, is_ok));
                        assert_eq!(
                            poll_next_turn(&mut all).await,
                            Poll::Ready(vec![(order[0], is_ok)]),
                            "{case}"
                        );
                        assert_eq!(brood.polled(), [order[0]], "{case}");
                    }
                }
            }
        });
    }

    #[test]
    fn of_those_that_are_ready_at_their_first_poll_the_first_in_input_order_wins() {
        run(async {
            for mode in Mode::ALL {
                for is_ok in mode.enders() {
                    let brood = Brood::new(FIVE);
                    [1, 2, 4].into_iter().for_each(|index| brood.prepare(index, is_ok));
                    let given = mode.gather(&brood, usize::MAX).await;
                    assert_eq!((given, brood.polled()), (vec![(1, is_ok)], vec![0, 1]), "{mode:?}");
                }
            }
        });
    }
}

/// Polls, and gives the panic if there is one.
async fn poll_caught(all: &mut Running) -> Result<Poll<Given>, Box<dyn Any + Send>> {
    yield_now().await;
    std::future::poll_fn(|cx| Poll::Ready(catch_unwind(AssertUnwindSafe(|| Pin::new(&mut *all).poll(cx)))))
        .await
}

/// Polls until it panics on purpose.
async fn caught(all: &mut Running, case: &str) -> Bang {
    for _ in 0..10 {
        match poll_caught(all).await {
            Ok(poll) => check_pending(&poll, case),
            Err(panic) => return *panic.downcast().unwrap_or_else(|_| panic!("{case}: another panic")),
        }
    }
    panic!("{case}: it does not panic")
}

mod sentence_8_a_panic_ends_it_at_once_with_that_panic_and_siblings_are_dropped {
    use super::*;

    /// Everything is gone, though the gather is still there; and then it goes, too.
    fn check_gone(all: Running, brood: &Brood, case: &str) {
        assert_eq!((brood.pulled_and_alive().1, groups_alive()), (0, 0), "{case}: when the panic is seen");
        assert_eq!(brood.count(Event::Ended), 0, "{case}: it has given a result");
        drop(all);
        brood.check_all_gone(case);
    }

    #[test]
    fn a_panic_in_a_child_at_its_first_poll_or_later_and_outputs_are_dropped_too() {
        run(async {
            for mode in Mode::ALL {
                for count in [FIVE, 50].into_iter().filter(|count| mode.takes(*count)) {
                    for index in [0, 1, count / 2, count - 1] {
                        for limit in [count, usize::MAX] {
                            for later in [false, true] {
                                let case =
                                    format!("{mode:?}, {count} children, #{index}, limit {limit}, {later}");
                                let brood = Brood::new(count);
                                let mut all = mode.gather(&brood, limit);
                                if later {
                                    start(&mut all, &brood, count, &case).await;
                                    if mode != Mode::Race {
                                        (0..index)
                                            .for_each(|before| brood.finish(before, mode.passes(before)));
                                    }
                                }
                                brood.panic(index);
                                assert_eq!(caught(&mut all, &case).await, Bang::Child(index), "{case}");
                                check_gone(all, &brood, &case);
                            }
                        }
                    }
                }
            }
        });
    }

    #[test]
    fn a_panic_in_the_destructor_of_a_child_that_finishes() {
        run(async {
            // It goes before the output is looked at: so it is the panic that ends it, and not an
            // output that would.
            for mode in Mode::ALL {
                for (later, is_ok) in [(false, false), (false, true), (true, false), (true, true)] {
                    let case = format!("{mode:?}, {later}, {is_ok}");
                    let mut brood = Brood::new(FIVE);
                    brood.bombs = vec![1];
                    let mut all = mode.gather(&brood, usize::MAX);
                    if later {
                        start(&mut all, &brood, FIVE, &case).await;
                    }
                    brood.finish(1, is_ok);
                    assert_eq!(caught(&mut all, &case).await, Bang::Drop(1), "{case}");
                    check_gone(all, &brood, &case);
                }
            }
        });
    }

    #[test]
    fn a_panic_in_the_input() {
        run(async {
            for mode in Mode::ALL.into_iter().filter(|mode| mode.takes(1)) {
                for limit in [3, usize::MAX] {
                    let case = format!("{mode:?}, limit {limit}");
                    let brood = Brood::new(FIVE);
                    let mut pulls = 0;
                    let mut input = brood.input();
                    let input = from_fn(move || {
                        pulls += 1;
                        if pulls > 3 {
                            std::panic::panic_any(Bang::Input(pulls - 1));
                        }
                        input.next()
                    });
                    let mut all = mode.gather_from(input, limit, &brood.log);
                    if limit == 3 && mode.takes_a_limit() {
                        start(&mut all, &brood, 3, &case).await;
                        if mode == Mode::Race {
                            continue; // it ends before it pulls another
                        }
                        brood.finish(0, mode.passes(0));
                    }
                    assert_eq!(caught(&mut all, &case).await, Bang::Input(3), "{case}");
                    check_gone(all, &brood, &case);
                }
            }
        });
    }

    #[test]
    fn panics_in_the_destructors_of_siblings_and_of_outputs_change_no_result_but_that_of_a_scope() {
        run(async {
            for mode in Mode::ALL {
                for is_ok in mode.enders() {
                    for index in [0, 2, 4] {
                        let case = format!("{mode:?}, #{index} gives {is_ok}");
                        let mut brood = Brood::new(FIVE);
                        brood.bombs = (0..FIVE).filter(|bomb| *bomb != index && *bomb != 3).collect();
                        // The others give all outputs that they have, or keep none.
                        let keeps_outputs =
                            [Mode::Plain, Mode::Policy, Mode::Macro, Mode::Scope].contains(&mode);
                        brood.output_bombs = vec![3];
                        let mut all = mode.gather(&brood, usize::MAX);
                        start(&mut all, &brood, FIVE, &case).await;
                        if keeps_outputs {
                            brood.finish(3, true);
                            check_pending(&poll_next_turn(&mut all).await, &case);
                        }
                        brood.finish(index, is_ok);
                        match poll_caught(&mut all).await {
                            Ok(poll) if mode != Mode::Scope => {
                                assert_eq!(poll, Poll::Ready(vec![(index, is_ok)]), "{case}");
                                brood.check_gone_before_the_end(&case);
                            }
                            Err(panic) if mode == Mode::Scope => assert!(panic.is::<Bang>(), "{case}"),
                            _ => panic!("{case}: not what its documentation says"),
                        }
                        drop(all);
                        brood.check_all_gone(&case);
                    }
                }
            }
        });
    }

    #[test]
    fn a_panic_in_a_destructor_when_it_is_dropped_comes_out_after_every_destructor_has_run() {
        run(async {
            for mode in Mode::ALL {
                let case = format!("{mode:?}");
                let mut brood = Brood::new(FIVE);
                brood.bombs = vec![1, 2, 4];
                let mut all = mode.gather(&brood, usize::MAX);
                start(&mut all, &brood, FIVE, &case).await;
                let panic = catch_unwind(AssertUnwindSafe(|| drop(all))).unwrap_err();
                assert_eq!(panic.downcast_ref(), Some(&Bang::Drop(1)), "{case}: the first");
                brood.check_all_gone(&case);
                assert_eq!(groups_alive(), 0, "{case}");
            }
        });
    }

    #[test]
    fn destructors_that_panic_while_the_one_who_holds_it_panics_all_run_and_do_not_abort() {
        run(async {
            for mode in Mode::ALL {
                let case = format!("{mode:?}");
                let mut brood = Brood::new(FIVE);
                brood.bombs = vec![1, 2, 4];
                let mut all = mode.gather(&brood, usize::MAX);
                start(&mut all, &brood, FIVE, &case).await;
                let holder = move || {
                    let _all = all;
                    std::panic::panic_any(Bang::Input(0));
                };
                let panic = catch_unwind(AssertUnwindSafe(holder)).unwrap_err();
                assert_eq!(panic.downcast_ref(), Some(&Bang::Input(0)), "{case}");
                brood.check_all_gone(&case);
                assert_eq!(groups_alive(), 0, "{case}");
            }
        });
    }
}

mod sentence_9_it_may_be_moved_or_polled_with_another_waker_before_and_between_polls {
    use super::*;

    #[test]
    fn it_wakes_the_one_who_polled_it_last() {
        run(async {
            for mode in Mode::ALL {
                let case = format!("{mode:?}");
                let brood = Brood::new(FIVE);
                let mut all = mode.gather(&brood, usize::MAX);
                let (first_wakes, first) = counting_waker();
                let (second_wakes, second) = counting_waker();
                check_pending(&poll_once(&mut all, &first), &case);
                check_pending(&poll_once(&mut all, &second), &case);
                // Its child was last polled with the first waker; its wake goes to the second all
                // the same.
                brood.wake(0);
                assert_eq!((first_wakes.get(), second_wakes.get()), (0, 1), "{case}");
                // Woken through the second and polled with the first, whose turn it is now.
                check_pending(&poll_once(&mut all, &first), &case);
                brood.wake(1);
                assert_eq!((first_wakes.get(), second_wakes.get()), (1, 1), "{case}");
                check_pending(&poll_once(&mut all, &first), &case);
                check_pending(&poll_once(&mut all, &second), &case);
                brood.wake(2);
                assert_eq!((first_wakes.get(), second_wakes.get()), (1, 2), "{case}");
                assert_eq!(brood.polled(), [0, 1, 2, 3, 4, 0, 1], "{case}");
            }
        });
    }

    #[test]
    fn the_task_that_it_has_moved_to_is_woken_and_not_the_one_that_it_has_left() {
        run(async {
            for mode in Mode::ALL.into_iter().filter(|mode| *mode != Mode::Race) {
                let case = format!("{mode:?}");
                let brood = Brood::new(FIVE);
                let mut all = mode.gather(&brood, usize::MAX);
                start(&mut all, &brood, FIVE, &case).await; // in this task
                let task = spawn(all);
                some_turns().await;
                assert_eq!(brood.polled(), [], "{case}: a move polls nobody");
                (0..FIVE).for_each(|index| brood.finish(index, mode.passes(index)));
                let polls = Handle::current().metrics().polls();
                some_turns().await;
                assert!(task.is_finished(), "{case}: it was not woken");
                assert!(Handle::current().metrics().polls() - polls <= 6, "{case}: who else was woken?");
                assert_eq!(task.await.unwrap(), expected(mode, &[0, 1, 2, 3, 4]), "{case}");
            }
        });
    }

    #[test]
    fn a_wake_that_comes_when_no_child_is_left_to_poll_and_its_waker_is_cloned_is_not_lost() {
        run(async {
            for mode in Mode::ALL {
                let case = format!("{mode:?}");
                let brood = Brood::new(FIVE);
                let mut all = mode.gather(&brood, usize::MAX);
                start(&mut all, &brood, FIVE, &case).await;
                let child = brood.waker(1);
                let wakes = Arc::new(AtomicUsize::new(0));
                let counter = wakes.clone();
                let parent = foreign(move |done| match done {
                    Done::Clone => child.wake_by_ref(),
                    Done::Wake => drop(counter.fetch_add(1, Ordering::SeqCst)),
                    Done::Drop => {}
                });
                check_pending(&poll_once(&mut all, &parent), &case);
                assert!(wakes.load(Ordering::SeqCst) > 0, "{case}: it was not told");
                brood.events(); // `within` clones the waker for its timer as well, and then polls
                check_pending(&poll_next_turn(&mut all).await, &case);
                assert_eq!(brood.polled(), [1], "{case}");
            }
        });
    }

    #[test]
    fn it_may_move_to_another_task_before_and_after_each_poll() {
        run(async {
            for mode in Mode::ALL {
                let case = format!("{mode:?}");
                let brood = Brood::new(FIVE);
                let mut all = mode.gather(&brood, usize::MAX);
                let mut given = None;
                for step in SCRIPT {
                    match step {
                        Some(index) => brood.finish(index, mode.passes(index)),
                        None if given.is_some() => {}
                        None => {
                            let poll;
                            (all, poll) = spawn(async {
                                let poll = poll_next_turn(&mut all).await;
                                (all, poll)
                            })
                            .await
                            .unwrap();
                            given = if let Poll::Ready(given) = poll { Some(given) } else { None };
                        }
                    }
                }
                assert_eq!(given, Some(expected(mode, &[2, 0, 4, 1, 3])), "{case}");
                drop(all);
                brood.check_all_gone(&case);
            }
        });
    }

    #[test]
    fn it_may_move_to_another_runtime_before_and_after_each_poll() {
        for mode in Mode::ALL {
            let case = format!("{mode:?}");
            let runtimes = [Runtime::new().unwrap(), Runtime::new().unwrap()];
            let brood = Brood::new(FIVE);
            let mut all = mode.gather(&brood, usize::MAX);
            let mut given = None;
            for (position, step) in SCRIPT.into_iter().enumerate() {
                match step {
                    Some(index) => brood.finish(index, mode.passes(index)),
                    None if given.is_some() => {}
                    None => {
                        let poll = runtimes[position / 2 % 2].block_on(poll_next_turn(&mut all));
                        given = if let Poll::Ready(given) = poll { Some(given) } else { None };
                    }
                }
            }
            let mut given = given.unwrap_or_else(|| panic!("{case}: it has not ended"));
            if mode.gives_as_they_come() {
                given.sort_unstable(); // on a new runtime every child is polled again, in the order of their slots
            }
            let order = [0, 1, 2, 3, 4];
            let winner = [(2, mode.passes(2))];
            assert_eq!(
                given,
                if mode == Mode::Race { winner.into() } else { expected(mode, &order) },
                "{case}"
            );
            drop(all);
            brood.check_all_gone(&case);
        }
    }

    #[test]
    fn a_poll_after_the_result_panics_and_says_why_and_a_stream_stays_at_its_end() {
        run(async {
            for mode in Mode::ALL {
                let case = format!("{mode:?}");
                let brood = Brood::new(FIVE);
                (0..FIVE).for_each(|index| brood.prepare(index, mode.passes(index)));
                let mut all = mode.gather(&brood, usize::MAX);
                assert!(poll_next_turn(&mut all).await.is_ready(), "{case}");
                let text = match poll_caught(&mut all).await {
                    Ok(poll) => format!("{poll:?}"),
                    Err(panic) => gather_tests::scopes::said(&*panic),
                };
                let expected = match mode {
                    Mode::Stream => "Ready([])",
                    // They are async functions; this is what the compiler says for them.
                    Mode::Scope => "`async fn` resumed after completion",
                    Mode::ForEach => "`async fn` resumed after completion",
                    _ => "a gather was polled after it had given its result",
                };
                assert_eq!(text, expected, "{case}");
            }
        });
    }

    #[test]
    fn a_poll_after_a_panic_panics_again_and_polls_no_child() {
        run(async {
            for mode in Mode::ALL.into_iter().filter(|mode| *mode != Mode::Stream) {
                let case = format!("{mode:?}");
                let brood = Brood::new(FIVE);
                let mut all = mode.gather(&brood, usize::MAX);
                start(&mut all, &brood, FIVE, &case).await;
                brood.panic(3);
                assert_eq!(caught(&mut all, &case).await, Bang::Child(3), "{case}");
                brood.events();
                assert!(poll_caught(&mut all).await.is_err(), "{case}");
                assert_eq!(brood.events(), [], "{case}");
            }
        });
    }
}
