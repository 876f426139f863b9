//! What a mode promises beside the contract: when `within` ends and what it gives, quorums,
//! places, policies that panic; and, for each mode, that its children may borrow and that its
//! future is `Send` if they are.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn, ready};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use gather::{
    Builder, Failure, Handle, Kept, Policy, gather, now, run, scope, sleep, spawn, wait, yield_now,
};
use gather_tests::alone::alone;
use gather_tests::children::{Census, Control, Log, child, children, poll_next_turn};
use gather_tests::every_mode::{Bang, Brood, FIVE, Mode};
use gather_tests::scopes::caught;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Runs with a clock that leaps over sleeps.
fn run_virtually<F: Future>(future: F) -> F::Output {
    Builder::new().virtual_clock(true).build().unwrap().block_on(future)
}

/// Nothing is left in the runtime.
#[track_caller]
fn check_nothing_left() {
    let metrics = Handle::current().metrics();
    assert_eq!((metrics.groups_alive(), metrics.timers_pending()), (0, 0));
}

// ---- within

/// Children that sleep for so many seconds and give that.
async fn slow(seconds: u32) -> u32 {
    sleep(SECOND * seconds).await;
    seconds
}

#[test]
fn what_finishes_at_the_instant_at_which_the_time_is_over_counts() {
    run_virtually(async {
        let begin = now();
        let outputs = gather([1, 2, 3].map(slow)).capture().within(2 * SECOND).await;
        assert_eq!((outputs, now() - begin), (vec![Some(1), Some(2), None], 2 * SECOND));
        // However many they are: more than are polled in one go.
        let outputs = gather((0..10_000).map(|_| slow(2))).capture().within(2 * SECOND).await;
        assert_eq!(outputs, [Some(2); 10_000]);
        check_nothing_left();
    });
}

#[test]
fn a_child_that_was_woken_is_polled_once_more_when_the_time_is_over_and_not_twice() {
    run_virtually(async {
        let polls = Log::new();
        let outputs = gather([1, 2, 3].map(async |more| {
            sleep(SECOND).await;
            polls.note(more);
            for _ in 1..more {
                yield_now().await;
                polls.note(more);
            }
        }))
        .capture()
        .within(SECOND)
        .await;
        assert_eq!((outputs, polls.take()), (vec![Some(()), None, None], vec![1, 2, 3]));
    });
}

#[test]
fn within_no_time_what_is_ready_at_its_first_poll_counts_and_nothing_else() {
    run_virtually(async {
        let outputs = gather((0..100).map(async |index: u32| {
            if index % 2 == 1 {
                sleep(Duration::from_nanos(1)).await;
            }
            index
        }))
        .capture()
        .within(Duration::ZERO)
        .await;
        let expected = |index| if index % 2 == 0 { Some(index) } else { None };
        assert_eq!(outputs, (0..100).map(expected).collect::<Vec<_>>());
        check_nothing_left();
        // With a limit those behind one that waits are not started.
        let children = [0, 0, 1, 0].map(slow);
        let outputs = gather(children).limit(1).capture().within(Duration::ZERO).await;
        assert_eq!(outputs, [Some(0), Some(0), None, None]);
    });
}

#[test]
fn within_no_time_an_endless_input_and_a_child_that_wakes_itself_for_ever_come_to_an_end() {
    run(async {
        let outputs = gather((0..).map(async |index: usize| index)).capture().within(Duration::ZERO).await;
        assert!(outputs.iter().enumerate().all(|(place, output)| *output == Some(place)));
        let restless = || {
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            })
        };
        assert_eq!(gather([restless(), restless()]).capture().within(Duration::ZERO).await, [None, None]);
        check_nothing_left();
    });
}

#[test]
fn within_the_longest_time_is_without_an_end() {
    run_virtually(async {
        let begin = now();
        let outputs = gather([1, 1_000_000].map(slow)).capture().within(Duration::MAX).await;
        assert_eq!(outputs, [Some(1), Some(1_000_000)]);
        assert_eq!(now() - begin, SECOND * 1_000_000);
        check_nothing_left();
    });
}

#[test]
fn within_counts_from_the_first_poll_and_ends_with_the_last_child_if_that_is_earlier() {
    run_virtually(async {
        let all = gather([1, 2].map(slow)).capture().within(3 * SECOND);
        sleep(HOUR).await;
        let begin = now();
        assert_eq!(all.await, [Some(1), Some(2)]);
        assert_eq!(now() - begin, 2 * SECOND);
        check_nothing_left();
    });
}

#[test]
fn no_child_of_within_is_started_after_its_end_and_the_length_is_that_of_the_input_or_of_those_that_were_started()
 {
    run_virtually(async {
        for limit in [1, 40, 300] {
            let pulled = Cell::new(0);
            let children = || {
                pulled.set(0);
                (0..1000).map(|_| 1).inspect(|_| pulled.set(pulled.get() + 1)).map(slow)
            };
            // Each second a batch ends. Once the time is over at the same instant as the second
            // batch, whose places stay empty.
            for (time, batches) in [(2 * SECOND, 2), (SECOND * 5 / 2, 3)] {
                let begin = now();
                let outputs = gather(children()).limit(limit).capture().within(time).await;
                let finished = outputs.iter().flatten().count();
                assert_eq!((finished, outputs.len()), (2 * limit, 1000), "limit {limit}, {time:?}");
                assert!(outputs[..finished].iter().all(Option::is_some));
                assert_eq!((pulled.get(), now() - begin), (batches * limit, time), "limit {limit}");
                // An input that does not know its length.
                let unknown = children().filter(|_| true);
                let outputs = gather(unknown).limit(limit).capture().within(time).await;
                let finished = outputs.iter().flatten().count();
                assert_eq!(
                    (finished, outputs.len()),
                    (2 * limit, batches * limit),
                    "limit {limit}, {time:?}"
                );
            }
        }
    });
}

#[test]
fn a_result_of_within_is_as_long_as_what_was_started_if_the_input_says_too_little_or_more_than_memory_can_hold()
 {
    /// Says this of itself.
    struct Liar<I>(I, usize);
    impl<I: Iterator> Iterator for Liar<I> {
        type Item = I::Item;
        fn next(&mut self) -> Option<I::Item> {
            self.0.next()
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            (self.1, Some(self.1))
        }
    }
    run_virtually(async {
        for claim in [0, 1, usize::MAX] {
            let children = Liar([1, 3].map(slow).into_iter(), claim);
            let outputs = gather(children).capture().within(2 * SECOND).await;
            assert_eq!(outputs, [Some(1), None], "{claim}");
        }
    });
}

// ---- first_ok and first_ok_n

#[test]
fn a_quorum_ends_with_its_last_success_in_the_order_in_which_they_came_and_the_others_are_dropped() {
    run(async {
        for needed in 1..=FIVE {
            let (controls, futures) = children::<Result<usize, usize>>(FIVE);
            let mut all = gather(futures).first_ok_n(needed);
            let order = [3, 0, 4, 1, 2];
            for (position, index) in order[..needed].iter().enumerate() {
                assert!(poll_next_turn(&mut all).await.is_pending(), "{position} of {needed}");
                controls[*index].finish(Ok(index * 10));
            }
            let expected: Vec<_> = order[..needed].iter().map(|index| (*index, index * 10)).collect();
            assert_eq!(poll_next_turn(&mut all).await, Poll::Ready(Ok(expected)));
            assert!(controls.iter().all(Control::is_dropped));
        }
    });
}

#[test]
fn a_quorum_of_none_starts_no_child_and_asks_for_none() {
    run(async {
        let endless = std::iter::from_fn(|| -> Option<std::future::Ready<Result<(), ()>>> {
            panic!("it was asked for a child");
        });
        assert_eq!(gather(endless).first_ok_n(0).await, Ok(vec![]));
        check_nothing_left();
    });
}

#[test]
fn a_quorum_of_more_than_there_are_is_given_up_at_the_first_poll() {
    run(async {
        for needed in [FIVE + 1, usize::MAX] {
            let (controls, futures) = children::<Result<(), ()>>(FIVE);
            let mut all = gather(futures).first_ok_n(needed);
            let Poll::Ready(Err(error)) = poll_next_turn(&mut all).await else { panic!("{needed}") };
            assert_eq!((error.failures().len(), error.total()), (0, FIVE), "{needed}");
            assert!(controls.iter().all(Control::is_dropped));
        }
    });
}

#[test]
fn a_quorum_is_given_up_with_the_failure_that_is_one_too_many_and_not_before() {
    run(async {
        for needed in 1..=FIVE {
            let (controls, futures) = children::<Result<(), usize>>(FIVE);
            let mut all = gather(futures).first_ok_n(needed);
            let mut error = None;
            let mut failures = 0;
            for index in [4, 1, 3, 0, 2] {
                match poll_next_turn(&mut all).await {
                    Poll::Pending => {}
                    Poll::Ready(result) => {
                        error = Some(result.unwrap_err());
                        break;
                    }
                }
                controls[index].finish(Err(index));
                failures += 1;
            }
            let error = match error {
                Some(error) => error,
                None => match poll_next_turn(&mut all).await {
                    Poll::Ready(result) => result.unwrap_err(),
                    Poll::Pending => panic!("all have failed"),
                },
            };
            assert_eq!(failures, FIVE - needed + 1, "{needed} of {FIVE}");
            let mut expected = [4, 1, 3, 0, 2][..failures].to_vec();
            expected.sort_unstable();
            assert_eq!(error.failures().iter().map(|(index, _)| *index).collect::<Vec<_>>(), expected);
            assert!(controls.iter().all(Control::is_dropped));
        }
    });
}

#[test]
fn with_a_limit_a_quorum_is_given_up_when_the_input_has_ended() {
    run(async {
        let started = Cell::new(0);
        let fail = async |index: u32| {
            started.set(started.get() + 1);
            yield_now().await;
            if index == 1 { Ok(()) } else { Err(()) }
        };
        // Two of five: after four failures it is lost, and that there is no sixth is known only
        // then.
        let error = gather((0..5).map(fail)).limit(1).first_ok_n(2).await.unwrap_err();
        assert_eq!((started.get(), error.failures().len(), error.total()), (5, 4, 5));
    });
}

#[test]
fn first_ok_of_nobody_and_of_failures_only_gives_every_error_in_the_order_of_the_input() {
    run(async {
        let nobody: [std::future::Ready<Result<(), ()>>; 0] = [];
        let error = gather(nobody).first_ok().await.unwrap_err();
        assert_eq!((error.failures().len(), error.total()), (0, 0));
        let (controls, futures) = children::<Result<(), &str>>(3);
        let mut all = gather(futures).first_ok();
        for (index, error) in [(2, "c"), (0, "a"), (1, "b")] {
            assert!(poll_next_turn(&mut all).await.is_pending());
            controls[index].finish(Err(error));
        }
        let error = all.await.unwrap_err();
        assert_eq!(error.to_string(), "3 of 3 failed: #0: a; #1: b; #2: c");
    });
}

#[test]
fn errors_and_successes_whose_destructors_panic_are_all_dropped_with_the_gather_that_has_them() {
    let name = "errors_and_successes_whose_destructors_panic_are_all_dropped_with_the_gather_that_has_them";
    // Two panics at once would end the process.
    alone(name, || {
        run(async {
            // The others keep none; and what comes out of a scope's children is the body's to
            // keep.
            let keeps = |mode: &Mode| !matches!(mode, Mode::Race | Mode::Scope) && !mode.gives_as_they_come();
            for mode in Mode::ALL.into_iter().filter(keeps) {
                let mut brood = Brood::new(FIVE);
                brood.output_bombs = vec![0, 1, 2, 4];
                let mut all = mode.gather(&brood, usize::MAX);
                assert!(poll_next_turn(&mut all).await.is_pending());
                for index in [1, 4, 0] {
                    brood.finish(index, mode.passes(index));
                    assert!(poll_next_turn(&mut all).await.is_pending(), "{mode:?}");
                }
                let panic = catch_unwind(AssertUnwindSafe(|| drop(all))).unwrap_err();
                assert!(matches!(panic.downcast_ref(), Some(Bang::OutputDrop(_))), "{mode:?}");
                brood.check_all_gone(&format!("{mode:?}"));
            }
        });
    });
}

// ---- detailed

#[test]
fn a_detailed_failure_has_a_place_for_each_child_of_an_input_that_knows_its_length_and_else_for_those_started()
 {
    run(async {
        for fails in 0..FIVE {
            for is_known in [true, false] {
                let (controls, futures) = children::<Result<usize, &str>>(FIVE);
                let input = futures.into_iter();
                let input: Box<dyn Iterator<Item = _>> =
                    if is_known { Box::new(input) } else { Box::new(input.filter(|_| true)) };
                let mut all = gather(input).limit(3).detailed();
                assert!(poll_next_turn(&mut all).await.is_pending());
                // All before it finish, last first as far as they run; with a limit of 3 two more
                // are started for two of them.
                (0..fails).for_each(|index| controls[index].finish(Ok(index)));
                for _ in 0..FIVE {
                    assert!(poll_next_turn(&mut all).await.is_pending());
                }
                controls[fails].finish(Err("failed"));
                let Poll::Ready(Err(failure)) = poll_next_turn(&mut all).await else { panic!("#{fails}") };
                let Failure { index, error, finished } = failure;
                assert_eq!((index, error), (fails, "failed"));
                let started = (fails + 3).min(FIVE);
                assert_eq!(finished.len(), if is_known { FIVE } else { started }, "#{fails}, {is_known}");
                let expected = |place| if place < fails { Some(place) } else { None };
                assert_eq!(finished, (0..finished.len()).map(expected).collect::<Vec<_>>());
            }
        }
    });
}

#[test]
fn a_detailed_gather_in_which_nobody_fails_gives_what_a_plain_one_does() {
    run(async {
        let all = gather([3, 1, 2].map(async |turns| {
            for _ in 0..turns {
                yield_now().await;
            }
            Ok::<_, ()>(turns)
        }));
        assert_eq!(all.detailed().await, Ok(vec![3, 1, 2]));
    });
}

#[test]
fn outputs_ahead_of_a_missing_one_stand_in_their_places_in_a_detailed_failure() {
    run(async {
        let (controls, futures) = children::<Result<usize, ()>>(FIVE);
        let mut all = gather(futures).detailed();
        assert!(poll_next_turn(&mut all).await.is_pending());
        [4, 0, 2].into_iter().for_each(|index| controls[index].finish(Ok(index)));
        assert!(poll_next_turn(&mut all).await.is_pending());
        controls[3].finish(Err(()));
        let Poll::Ready(Err(failure)) = poll_next_turn(&mut all).await else { panic!("it has not ended") };
        assert_eq!((failure.index, failure.finished), (3, vec![Some(0), None, Some(2), None, Some(4)]));
    });
}

// ---- race

#[test]
fn a_race_gives_an_error_as_gladly_as_a_success_and_outputs_of_any_type() {
    run(async {
        assert_eq!(gather([Err::<(), _>("failed")].map(ready)).race().await, (0, Err("failed")));
        let (controls, futures) = children::<&str>(3);
        let mut all = gather(futures).race();
        assert!(poll_next_turn(&mut all).await.is_pending());
        controls[2].finish("won");
        assert_eq!(poll_next_turn(&mut all).await, Poll::Ready((2, "won")));
        assert!(controls.iter().all(Control::is_dropped));
    });
}

// ---- policies of users

/// Panics in one of its functions.
struct Panics(&'static str);

impl Panics {
    fn now(&self, function: &str) {
        assert!(self.0 != function, "in {function}");
    }
}

impl Policy<u32> for Panics {
    type Output = Vec<u32>;

    fn judge(&mut self, index: usize, output: u32, kept: &mut Kept<u32>) -> ControlFlow<Vec<u32>> {
        if output == 7 {
            self.now("judge");
        }
        kept.keep(index, output);
        ControlFlow::Continue(())
    }

    fn finish(&mut self, kept: Kept<u32>) -> Vec<u32> {
        self.now("finish");
        kept.into_vec()
    }

    fn poll_stop(&mut self, _: &Kept<u32>, _: &mut Context<'_>) -> Poll<()> {
        self.now("poll_stop");
        Poll::Pending
    }

    fn held(&self) -> usize {
        self.now("held");
        0
    }
}

#[test]
fn a_panic_in_any_function_of_a_policy_ends_the_gather_with_it_and_every_child_was_dropped() {
    run(async {
        for function in ["judge", "finish", "poll_stop", "held"] {
            for later in [false, true] {
                let census = Census::new();
                let mut all = gather((0..40).map(|index| {
                    let guard = census.guard();
                    async move {
                        let _guard = guard;
                        if later || function == "poll_stop" {
                            yield_now().await;
                        }
                        if function != "finish" && index == 20 {
                            pending::<()>().await;
                        }
                        index
                    }
                }))
                .policy(Panics(function));
                assert_eq!(caught(&mut all).await, format!("in {function}"));
                assert_eq!(
                    (census.alive(), Handle::current().metrics().groups_alive()),
                    (0, 0),
                    "{function}"
                );
                assert!(census.made() > 0 || function == "held");
                assert_eq!(caught(&mut all).await, "a gather was polled after it had given its result");
            }
        }
    });
}

#[test]
fn a_policy_is_given_an_output_when_its_child_is_gone() {
    /// Counts the children that are there at each output.
    struct Counts(Census, Vec<usize>);
    impl Policy<()> for Counts {
        type Output = Vec<usize>;
        fn judge(&mut self, _: usize, (): (), _: &mut Kept<()>) -> ControlFlow<Self::Output> {
            self.1.push(self.0.alive());
            ControlFlow::Continue(())
        }
        fn finish(&mut self, _: Kept<()>) -> Self::Output {
            self.1.clone()
        }
    }
    run(async {
        let census = Census::new();
        // Two are ready at their first poll, two later.
        let all = gather([0, 1, 1, 0].map(|turns| {
            let guard = census.guard();
            let mut turns = turns;
            poll_fn(move |cx| {
                let _inside = &guard;
                if turns == 0 {
                    return Poll::Ready(());
                }
                turns -= 1;
                cx.waker().wake_by_ref();
                Poll::Pending
            })
        }));
        assert_eq!(all.policy(Counts(census.clone(), vec![])).await, [3, 2, 1, 0]);
    });
}

#[test]
fn a_policy_that_stops_has_no_more_children_started_and_is_given_what_those_that_were_woken_give() {
    /// Stops when its gate is open.
    struct Until<F>(F, Log<(usize, bool)>);
    impl<F: Future<Output = ()> + Unpin> Policy<usize> for Until<F> {
        type Output = Vec<Option<usize>>;
        fn judge(
            &mut self,
            index: usize,
            output: usize,
            kept: &mut Kept<usize>,
        ) -> ControlFlow<Self::Output> {
            self.1.note((kept.started(), kept.all_started()));
            kept.keep(index, output);
            ControlFlow::Continue(())
        }
        fn finish(&mut self, kept: Kept<usize>) -> Self::Output {
            kept.into_options()
        }
        fn poll_stop(&mut self, _: &Kept<usize>, cx: &mut Context<'_>) -> Poll<()> {
            Pin::new(&mut self.0).poll(cx)
        }
    }
    run(async {
        let (stop, stopped) = child::<()>();
        let (controls, futures) = children::<usize>(6);
        let started = Log::new();
        let mut all = gather(futures).limit(3).policy(Until(stopped, started.clone()));
        assert!(poll_next_turn(&mut all).await.is_pending());
        controls[0].finish(0);
        assert!(poll_next_turn(&mut all).await.is_pending());
        controls[2].finish(2);
        controls[1].finish(1);
        stop.finish(());
        // Nobody takes the places of those that finish now.
        let Poll::Ready(outputs) = poll_next_turn(&mut all).await else { panic!("it does not stop") };
        assert_eq!(outputs, [Some(0), Some(1), Some(2), None, None, None]);
        assert_eq!(controls.iter().map(Control::polls).collect::<Vec<_>>(), [2, 2, 2, 1, 0, 0]);
        assert_eq!(started.take(), [(3, false), (4, false), (4, false)]);
        assert!(controls.iter().all(Control::is_dropped));
    });
}

// ---- borrows, and `Send`

/// Borrows, waits and gives.
async fn borrows<'a>(name: &'a str, length: &mut usize) -> Result<&'a str, ()> {
    yield_now().await;
    *length = name.len();
    Ok(name)
}

#[test]
fn children_may_borrow_from_the_caller_also_mutably_in_every_mode() {
    let names = [String::from("ann"), String::from("bob")];
    let mut lengths = [0; 2];
    run(async {
        // All children of a mode, and none of another: the lengths are borrowed by one at a time.
        macro_rules! children {
            () => {{
                lengths = [0; 2];
                gather(names.iter().zip(&mut lengths).map(|(name, length)| borrows(name, length)))
            }};
        }
        let (ann, bob) = (names[0].as_str(), names[1].as_str());
        assert_eq!(children!().await, Ok(vec![ann, bob]));
        assert_eq!(children!().capture().await, [Ok(ann), Ok(bob)]);
        assert_eq!(children!().capture().within(HOUR).await, [Some(Ok(ann)), Some(Ok(bob))]);
        assert_eq!(children!().detailed().await, Ok(vec![ann, bob]));
        assert_eq!(children!().first_ok_n(2).await, Ok(vec![(0, ann), (1, bob)]));
        assert_eq!(lengths, [3, 3]);
        assert_eq!(children!().first_ok().await, Ok((0, ann)));
        assert_eq!(children!().race().await, (0, Ok(ann)));
        assert_eq!(lengths, [3, 0], "the second was dropped");
        let mut stream = children!().stream();
        assert_eq!((stream.next().await, stream.next().await), (Some((0, Ok(ann))), Some((1, Ok(bob)))));
        drop(stream);
        let mut seen = vec![];
        children!().for_each(async |index, name| seen.push((index, name))).await;
        assert_eq!(seen, [(0, Ok(ann)), (1, Ok(bob))]);
        let [one, two] = &mut lengths;
        assert_eq!(gather!(borrows(ann, one), borrows(bob, two)).await, Ok((ann, bob)));
        assert_eq!(gather!(capture; borrows(ann, one), borrows(bob, two)).await, (Ok(ann), Ok(bob)));
        let given = scope(async |s| {
            let [one, two] = [s.spawn(borrows(ann, one)), s.spawn(borrows(bob, two))];
            Ok::<_, ()>((one.await.unwrap(), two.await.unwrap()))
        });
        assert_eq!(given.await, Ok((ann, bob)));
        assert_eq!(lengths, [3, 3]);
    });
}

/// It is only compiled: which futures are `Send` is for the compiler to say.
#[test]
fn the_future_of_every_mode_is_send_if_its_children_are_also_when_they_borrow_and_another_future_awaits_it() {
    fn send<F: Future + Send + 'static>(future: F) -> F {
        future
    }
    let future = send(async {
        let numbers = Vec::from([1, 2, 3]);
        macro_rules! children {
            () => {
                gather(numbers.iter().map(|number| async move {
                    yield_now().await;
                    Ok::<_, String>(*number)
                }))
                .limit(2)
            };
        }
        assert_eq!(children!().await, Ok(vec![1, 2, 3]));
        assert_eq!(children!().capture().await, [Ok(1), Ok(2), Ok(3)]);
        assert_eq!(children!().capture().within(HOUR).await, [Some(Ok(1)), Some(Ok(2)), Some(Ok(3))]);
        assert_eq!(children!().detailed().await, Ok(vec![1, 2, 3]));
        assert_eq!(children!().first_ok().await, Ok((0, 1)));
        assert_eq!(children!().first_ok_n(2).await, Ok(vec![(0, 1), (1, 2)]));
        assert_eq!(children!().race().await, (0, Ok(1)));
        let mut stream = children!().stream();
        assert_eq!(stream.next().await, Some((0, Ok(1))));
        drop(stream);
        assert_eq!(gather!(ready(Ok::<_, ()>(1)), ready(Ok("two"))).await, Ok((1, "two")));
        assert_eq!(gather!(capture; yield_now(), ready("two")).await, ((), "two"));
        let tasks = [1, 2].map(|number| spawn(async move { number }));
        assert_eq!(wait(tasks).await.done.len(), 2);
    });
    run(future);
}
