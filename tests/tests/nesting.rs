//! Gathers in gathers in gathers: how deep they may be nested, and what a level costs.
//!
//! A child is polled inside the poll of its gather, and dropped inside its drop, as all futures in
//! Rust are. So a level costs stack: about 600 bytes in a release build and 5 kB in a debug build.
//! Ten thousand levels take 6 MB of the 8 MB that a main thread has (14,000 levels fit) and do not
//! fit the 2 MB of other threads (3,500 do). A wake, on the other hand, is a loop, and a task
//! between two levels ends the recursion: it is polled and dropped by the loop.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use gather::{gather, run, sleep, spawn, yield_now};
use gather_tests::alone::alone;
use gather_tests::gate::Gate;
use gather_tests::witness::Witness;

/// What the tests of this file nest.
const LEVELS: usize = 10_000;

type Boxed = Pin<Box<dyn Future<Output = usize>>>;

/// Gathers in gathers, with `leaf` at the bottom. It gives the number of levels.
fn nested(levels: usize, leaf: Boxed) -> Boxed {
    (0..levels).fold(leaf, |inner, _| Box::pin(async move { gather([inner]).capture().await[0] + 1 }))
}

/// Runs a test on a thread with a stack for so many levels of a debug build.
fn with_stack_for(levels: usize, body: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(levels * 8192).spawn(body).unwrap().join().unwrap();
}

#[test]
fn ten_thousand_nested_gathers_are_polled_woken_and_dropped_on_the_stack_that_the_docs_state() {
    alone(
        "ten_thousand_nested_gathers_are_polled_woken_and_dropped_on_the_stack_that_the_docs_state",
        || {
            with_stack_for(LEVELS, || {
                // Woken by a timer, by another thread, and by itself.
                let gate = Gate::new();
                let passes = gate.pass();
                let leaf = Box::pin(async move {
                    sleep(Duration::from_millis(1)).await;
                    thread::spawn(move || gate.open());
                    passes.await;
                    yield_now().await;
                    0
                });
                assert_eq!(run(nested(LEVELS, leaf)), LEVELS);
                // Dropped in the middle.
                let witness = Witness::new();
                let (ticket, polled) = (witness.guard(), Rc::new(Cell::new(false)));
                let sees = polled.clone();
                let leaf = Box::pin(async move {
                    let _ticket = ticket;
                    sees.set(true);
                    std::future::pending().await
                });
                run(async {
                    let task = spawn(nested(LEVELS, leaf));
                    while !polled.get() {
                        yield_now().await;
                    }
                    drop(task);
                });
                assert_eq!(witness.drops(), 1);
            });
        },
    );
}

/// A tree of gathers of eight each. It gives the number of its leaves, and counts how often
/// gathers and leaves are polled.
fn tree(levels: usize, polls: Rc<Cell<usize>>) -> Boxed {
    let mut node: Boxed = match levels {
        0 => Box::pin(async {
            yield_now().await;
            1
        }),
        _ => {
            let children: Vec<_> = (0..8).map(|_| tree(levels - 1, polls.clone())).collect();
            Box::pin(async move { gather(children).capture().await.into_iter().sum() })
        }
    };
    Box::pin(poll_fn(move |cx| {
        polls.set(polls.get() + 1);
        node.as_mut().poll(cx)
    }))
}

#[test]
fn gathers_in_gathers_share_one_budget_and_none_goes_on_with_single_steps_when_it_is_spent() {
    let polls = Rc::new(Cell::new(0));
    assert_eq!(run(tree(4, polls.clone())), 4096);
    // Each leaf is polled twice, each gather a few times. (Were each gather to take one step more
    // in each turn, it would be 16,368.)
    assert!(polls.get() < 3 * 4096, "{} polls", polls.get());
}

#[test]
fn a_wake_goes_up_any_number_of_levels_without_recursion() {
    alone("a_wake_goes_up_any_number_of_levels_without_recursion", || {
        // The stack holds the levels when they are polled; the thread that wakes has but a little.
        with_stack_for(LEVELS, || {
            let gate = Gate::new();
            let passes = gate.pass();
            let leaf = Box::pin(async move {
                passes.await;
                0
            });
            let waker = thread::Builder::new().stack_size(64 << 10);
            let count = run(async {
                let all = spawn(nested(LEVELS, leaf));
                yield_now().await;
                waker.spawn(move || gate.open()).unwrap().join().unwrap();
                all.await.unwrap()
            });
            assert_eq!(count, LEVELS);
        });
    });
}

#[test]
fn with_a_task_at_each_level_any_depth_is_polled_woken_and_dropped_on_a_usual_stack() {
    alone("with_a_task_at_each_level_any_depth_is_polled_woken_and_dropped_on_a_usual_stack", || {
        async fn nested_in_tasks(levels: usize, leaf: Boxed) -> usize {
            let mut task = spawn(leaf);
            for _ in 0..levels {
                task = spawn(async move { gather([task]).await.unwrap()[0] + 1 });
            }
            task.await.unwrap()
        }
        run(async {
            let gate = Gate::new();
            let passes = gate.pass();
            let all = spawn(nested_in_tasks(
                10 * LEVELS,
                Box::pin(async move {
                    passes.await;
                    0
                }),
            ));
            yield_now().await;
            thread::spawn(move || gate.open());
            assert_eq!(all.await.unwrap(), 10 * LEVELS);
            // Dropped in the middle.
            let witness = Witness::new();
            let ticket = witness.guard();
            let all = spawn(nested_in_tasks(
                10 * LEVELS,
                Box::pin(async move {
                    let _ticket = ticket;
                    std::future::pending().await
                }),
            ));
            for _ in 0..3 {
                yield_now().await;
            }
            drop(all);
            assert_eq!(witness.drops(), 1);
        });
    });
}
