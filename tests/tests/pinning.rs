//! Attacks on the unsafe code of `gather` (`gather/src/children.rs`): it says that a child never
//! moves from its first poll until it was dropped. The children here are [`Anchored`]: at every
//! poll and in their destructor they compare their address with that of their first poll. Or they
//! hold references into themselves, for Miri to follow, which takes five minutes (one test leaks
//! on purpose, and the loop asks the system for the time):
//!
//! ```text
//! MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-ignore-leaks" cargo +nightly miri test -p gather-tests --test pinning
//! ```

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use gather::{Handle, Runtime, gather, run, yield_now};
use gather_tests::children::{Anchored, Census, Child, Control, Counted, Log, children, poll_next_turn};
use gather_tests::probe::poll_once;

type Outcome = Result<usize, &'static str>;

type Anchor = Anchored<Child<Outcome>>;

/// As many anchored children, their controls, and the log of their moves.
fn anchored(count: usize) -> (Vec<Control<Outcome>>, Vec<Anchor>, Log<String>) {
    let moves = Log::new();
    let (controls, futures) = children(count);
    let futures = futures.into_iter().map(|future| Anchored::new(future, &moves)).collect();
    (controls, futures, moves)
}

fn finish(controls: &[Control<Outcome>], index: usize) {
    controls[index].finish(Ok(index));
}

#[track_caller]
fn assert_none(moves: &Log<String>) {
    assert_eq!(moves.take(), Vec::<String>::new());
}

/// Polls until every child that can start has started: a gather stops at the end of its budget and
/// goes on later.
async fn poll_all(all: &mut (impl Future + Unpin)) {
    for _ in 0..10 {
        assert!(poll_next_turn(all).await.is_pending());
    }
}

// ---- Growing, reusing

#[test]
fn children_stay_where_they_are_while_the_gather_grows_by_many_chunks() {
    run(async {
        let (controls, futures, moves) = anchored(1000);
        let mut all = gather(futures);
        // One more of the old ones is polled at every size.
        for round in 0..10 {
            assert!(poll_next_turn(&mut all).await.is_pending());
            (0..=round).for_each(|index| controls[index].wake());
        }
        assert!(controls.iter().all(|control| control.polls() > 0));
        (0..1000).rev().for_each(|index| finish(&controls, index));
        assert_eq!(all.await, Ok((0..1000).collect()));
        assert_none(&moves);
    });
}

#[test]
fn children_stay_where_they_are_while_slots_are_used_again() {
    run(async {
        for limit in [1, 2, 7, 31, 33, 64] {
            let (controls, futures, moves) = anchored(300);
            let mut all = gather(futures).limit(limit);
            let mut left: Vec<_> = (0..300).collect();
            while !left.is_empty() {
                assert!(poll_next_turn(&mut all).await.is_pending());
                // Some of those that have started, from the middle, and one is woken for nothing.
                let started = left.len().min(limit);
                controls[left[0]].wake();
                finish(&controls, left.remove(started / 2));
            }
            assert_eq!(poll_next_turn(&mut all).await, Poll::Ready(Ok((0..300).collect())));
            assert_none(&moves);
        }
    });
}

/// A future with something large or strangely aligned beside it.
struct Beside<B>(Child<Outcome>, B);

impl<B: Unpin> Future for Beside<B> {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        Pin::new(&mut self.0).poll(cx)
    }
}

#[test]
fn children_stay_where_they_are_and_are_aligned_whatever_their_size_and_alignment() {
    #[derive(Clone, Copy)]
    #[repr(align(4096))]
    struct Page;

    #[derive(Clone, Copy)]
    #[repr(align(64))]
    struct Line(#[expect(dead_code, reason = "it takes its place")] u8);

    async fn check<B: Copy + Unpin>(beside: B) {
        let moves = Log::new();
        let (controls, futures) = children::<Outcome>(100);
        let futures = futures.into_iter().map(|future| Anchored::new(Beside(future, beside), &moves));
        let mut all = gather(futures);
        poll_all(&mut all).await;
        controls.iter().for_each(Control::wake);
        poll_all(&mut all).await;
        (0..100).for_each(|index| finish(&controls, index));
        assert_eq!(all.await, Ok((0..100).collect()));
        assert_none(&moves);
    }
    run(async {
        check(()).await;
        check(1u8).await;
        check([0u8; 10_000]).await;
        check(Line(0)).await;
        check(Page).await;
    });
}

// ---- The gather itself moves and changes

#[test]
fn children_stay_where_they_are_while_the_gather_moves_between_polls() {
    run(async {
        let (controls, futures, moves) = anchored(200);
        let (other_controls, other_futures, other_moves) = anchored(200);
        let (mut all, mut other) = (gather(futures), gather(other_futures));
        poll_all(&mut all).await;
        poll_all(&mut other).await;
        // Two gathers change places, and both go to the heap, into a vector that grows, and back.
        std::mem::swap(&mut all, &mut other);
        let mut places = vec![other, all];
        places.insert(0, gather(Vec::new()));
        places.reverse();
        let mut boxed = Box::new(places);
        controls.iter().chain(&other_controls).for_each(Control::wake);
        for all in &mut boxed[..2] {
            poll_all(all).await;
        }
        assert!(controls.iter().chain(&other_controls).all(|control| control.polls() == 2));
        let [other, all, _] = <[_; 3]>::try_from(*boxed).ok().unwrap();
        (0..200).for_each(|index| finish(&controls, index));
        assert_eq!(all.await, Ok((0..200).collect()));
        drop(other);
        assert_none(&moves);
        assert_none(&other_moves);
    });
}

#[test]
fn children_stay_where_they_are_while_the_gather_goes_from_thread_to_thread() {
    let (controls, futures, moves) = anchored(100);
    let mut all = gather(futures).limit(40);
    for round in 0..10 {
        let hop = std::thread::spawn(move || {
            assert!(run(poll_next_turn(&mut all)).is_pending());
            all
        });
        all = hop.join().unwrap();
        finish(&controls, round);
        finish(&controls, 39 - round);
    }
    (0..100).filter(|index| !(0..10).contains(index) && !(30..40).contains(index)).for_each(|index| {
        controls[index].prepare(Ok(index));
    });
    assert_eq!(std::thread::spawn(|| run(all)).join().unwrap(), Ok((0..100).collect()));
    assert_none(&moves);
}

#[test]
fn children_stay_where_they_are_while_the_limit_goes_up_and_down() {
    run(async {
        let (controls, futures, moves) = anchored(1000);
        let mut all = gather(futures);
        let mut finished = 0;
        for limit in [1, 2, 1, 33, 5, 32, 100, 31, 600, 1, usize::MAX] {
            all = all.limit(limit);
            poll_all(&mut all).await;
            let alive = controls[finished..].iter().filter(|control| control.polls() > 0).count();
            assert!(alive >= limit.min(1000 - finished), "limit {limit}: {alive}");
            controls.iter().for_each(Control::wake);
            finish(&controls, finished);
            finished += 1;
        }
        poll_all(&mut all).await;
        (finished..1000).for_each(|index| finish(&controls, index));
        assert_eq!(all.await, Ok((0..1000).collect()));
        assert_none(&moves);
    });
}

#[test]
fn a_limit_may_go_up_one_by_one_as_often_as_one_likes() {
    // As one does who looks for the limit that a server bears. Each step adds a chunk for one
    // child.
    run(async {
        let (controls, futures, moves) = anchored(200);
        let mut all = gather(futures);
        for limit in 1..=200 {
            all = all.limit(limit);
            assert!(poll_next_turn(&mut all).await.is_pending());
            let started = controls.iter().filter(|control| control.polls() > 0).count();
            assert_eq!(started, limit);
        }
        (0..200).for_each(|index| finish(&controls, index));
        assert_eq!(all.await, Ok((0..200).collect()));
        assert_none(&moves);
    });
}

#[test]
fn children_stay_where_they_are_when_the_mode_changes_between_polls() {
    run(async {
        let (controls, futures, moves) = anchored(200);
        let mut all = gather(futures).limit(150);
        poll_all(&mut all).await;
        finish(&controls, 1); // kept by the one mode, given by the other
        poll_all(&mut all).await;
        let mut all = all.capture();
        poll_all(&mut all).await;
        controls[0].finish(Err("failed"));
        (2..200).for_each(|index| finish(&controls, index));
        let mut expected: Vec<_> = (0..200).map(Ok).collect();
        expected[0] = Err("failed");
        assert_eq!(all.await, expected);
        assert_none(&moves);
    });
}

// ---- Every way to end

#[test]
fn children_are_dropped_where_they_are_however_the_gather_ends() {
    for end in ["dropped", "error", "panic in a child", "panic in the holder", "dropped where no runtime is"]
    {
        run(async {
            let moves = Log::new();
            let (controls, futures) = children::<Outcome>(100);
            let futures = futures.into_iter().map(|future| {
                let future = async {
                    let outcome = future.await;
                    assert!(outcome != Err("panic"));
                    outcome
                };
                Anchored::new(Box::pin(future), &moves)
            });
            let mut all = gather(futures);
            poll_all(&mut all).await;
            (20..30).for_each(|index| finish(&controls, index));
            poll_all(&mut all).await;
            match end {
                "dropped" => drop(all),
                "error" => {
                    controls[70].finish(Err("failed"));
                    assert_eq!(poll_next_turn(&mut all).await, Poll::Ready(Err("failed")));
                }
                "panic in a child" => {
                    controls[70].finish(Err("panic"));
                    let poll = || poll_once(&mut all, Waker::noop()).is_ready();
                    assert!(catch_unwind(AssertUnwindSafe(poll)).is_err());
                }
                "panic in the holder" => {
                    let holder = move || {
                        let _all = all;
                        panic!("the holder's");
                    };
                    assert!(catch_unwind(AssertUnwindSafe(holder)).is_err());
                }
                _ => std::thread::scope(|scope| scope.spawn(|| drop(all)).join().unwrap()),
            }
            assert!(controls.iter().all(Control::is_dropped), "{end}");
            assert_none(&moves);
        });
    }
}

#[test]
fn children_whose_destructors_panic_are_dropped_where_they_are_exactly_once() {
    /// Panics when it is dropped, after it was counted.
    struct Bomb(#[expect(dead_code, reason = "it is dropped")] Counted);
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a bomb");
        }
    }
    run(async {
        let (moves, census) = (Log::new(), Census::new());
        let futures = (0..100).map(|index| {
            let inside = (census.guard(), (index % 3 == 0).then(|| Bomb(census.guard())));
            // The shell looks at its address before what is inside panics.
            let future = async move {
                let _inside = inside;
                pending::<Outcome>().await
            };
            Anchored::new(Box::pin(future), &moves)
        });
        let mut all = gather(futures);
        poll_all(&mut all).await;
        assert!(catch_unwind(AssertUnwindSafe(|| drop(all))).is_err());
        assert_eq!((census.made(), census.dropped()), (134, 134));
        assert_none(&moves);
        assert_eq!(Handle::current().metrics().groups_alive(), 0);
    });
}

#[test]
fn a_gather_that_is_forgotten_leaks_its_children_and_never_touches_what_they_borrow() {
    let runtime = Runtime::new().unwrap();
    let alive = Census::new();
    let wakers = Log::new();
    let polls = Cell::new(0);
    runtime.block_on(async {
        let lent = Vec::from([1, 2, 3]);
        let futures = lent.iter().map(|number| {
            let guard = alive.guard();
            let (wakers, polls) = (&wakers, &polls);
            poll_fn(move |cx: &mut Context<'_>| {
                let _inside = &guard;
                polls.set(polls.get() + number);
                wakers.note(cx.waker().clone());
                Poll::<Result<(), ()>>::Pending
            })
        });
        let mut all = gather(futures);
        assert!(poll_next_turn(&mut all).await.is_pending());
        std::mem::forget(all);
    });
    // What they borrowed is gone. Their wakers are there, and must not lead to them.
    let wakers = wakers.take();
    runtime.block_on(async {
        for _ in 0..10 {
            wakers.iter().for_each(Waker::wake_by_ref);
            yield_now().await;
        }
        assert_eq!(gather([async { Ok::<_, ()>(1) }]).await, Ok(vec![1]));
    });
    assert_eq!((polls.get(), alive.dropped()), (6, 0));
    assert_eq!(runtime.metrics().groups_alive(), 1, "its row is leaked, and goes with the runtime");
    drop(runtime);
    wakers.into_iter().for_each(Waker::wake);
    assert_eq!((polls.get(), alive.dropped()), (6, 0));
}

// ---- Real futures that point into themselves, for Miri

#[test]
fn futures_that_borrow_from_themselves_find_what_they_borrowed_while_everything_around_them_moves() {
    async fn sum_slowly(index: usize) -> Outcome {
        let numbers = [index, index + 1, index + 2];
        let (first, rest) = numbers.split_first().unwrap(); // points into this very future
        let mut sum = *first;
        for number in rest {
            yield_now().await;
            sum += number;
        }
        assert_eq!(numbers.iter().sum::<usize>(), sum);
        Ok(*first)
    }
    run(async {
        let mut all = gather((0..200).map(sum_slowly)).limit(50);
        for limit in 50.. {
            if let Poll::Ready(results) = poll_next_turn(&mut all).await {
                assert_eq!(results, Ok((0..200).collect()));
                return;
            }
            all = *Box::new(all.limit(limit));
        }
    });
}

#[test]
fn gathers_that_are_pinned_inside_children_of_gathers_stay_where_they_are() {
    run(async {
        let moves = Log::new();
        let inner = async |base: usize| {
            let offsets = [0, 1, 2, 3, 4];
            let add = async |offset: &usize| {
                for _ in 0..*offset {
                    yield_now().await;
                }
                Ok::<_, &str>(base + offset)
            };
            let anchored = offsets.iter().map(|offset| Anchored::new(Box::pin(add(offset)), &moves));
            gather(anchored).limit(2).await.map(|sums| sums.len())
        };
        assert_eq!(gather((0..100).map(inner)).await, Ok(vec![5; 100]));
        assert_none(&moves);
    });
}
