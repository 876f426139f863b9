//! What allocates, and how often. The figures are promises of the docs; they are of the thread
//! that counts them, so these tests may run side by side. (A reallocation counts as an
//! allocation.)

use std::future::{Future, poll_fn, ready};
use std::task::{Poll, Waker};

use allocation_counter::{AllocationInfo, measure};
use gather::group::Group;
use gather::{Runtime, Task, gather, scope, spawn, yield_now};
use gather_tests::children::{Control, children, poll_next_turn};

/// A gather of ready futures allocates one chunk, and the outputs. (Fail-fast mode makes the
/// values of the results where these are. The first gather of a runtime also makes the queue of
/// those that were woken, and leaves it.)
const OF_A_GATHER: u64 = 2;

/// A runtime whose tables have had their first growth.
fn warm_runtime() -> Runtime {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..2000).map(|_| spawn(yield_now())).collect(); // all at once
        gather(tasks).await.unwrap();
        gather((0..100).map(ready)).capture().await;
    });
    runtime
}

/// What `future` allocates while it runs.
fn measured<F: Future<Output = ()>>(runtime: &Runtime, future: F) -> AllocationInfo {
    measure(|| runtime.block_on(future))
}

// ---- Gathers

#[test]
fn a_gather_of_ready_futures_allocates_twice_for_a_hundred_as_for_a_million() {
    let runtime = warm_runtime();
    for count in [100, 10_000, 1_000_000] {
        let results = (0..count).map(|index: usize| ready(Ok::<_, std::io::Error>(index)));
        let of_fail_fast = measured(&runtime, async { drop(gather(results).await) });
        let of_capture = measured(&runtime, async { drop(gather((0..count).map(ready)).capture().await) });
        assert_eq!((of_fail_fast.count_total, of_capture.count_total), (OF_A_GATHER, OF_A_GATHER), "{count}");
    }
}

#[test]
fn a_gather_of_ready_futures_takes_memory_for_its_outputs_and_else_the_same_for_a_hundred_and_a_million() {
    let runtime = warm_runtime();
    let beside_outputs = |count: usize| {
        let futures = (0..count as u64).map(ready);
        let counts = measured(&runtime, async { drop(gather(futures).capture().await) });
        counts.bytes_max - (count * size_of::<Option<u64>>()) as u64
    };
    let of_a_hundred = beside_outputs(100);
    assert_eq!(beside_outputs(1_000_000), of_a_hundred);
    assert!(of_a_hundred < 4096, "{of_a_hundred} bytes");
}

#[test]
fn a_child_that_waits_costs_no_allocation_of_its_own() {
    let runtime = warm_runtime();
    for count in [100, 10_000, 100_000] {
        let futures = (0..count).map(|_| yield_now());
        let counts = measured(&runtime, async { drop(gather(futures).capture().await) });
        // For each doubling: a chunk, and the queue grows; and now and then the lists of chunks
        // and of yields.
        let doublings = u64::from(usize::ilog2(count));
        assert!(counts.count_total <= 4 * doublings, "{count} children: {} allocations", counts.count_total);
    }
}

#[test]
fn an_owner_that_makes_room_for_one_child_more_each_time_allocates_now_and_then() {
    let mut group = Group::new("many");
    let counts = measured(&warm_runtime(), async {
        poll_fn(|cx| {
            group.poll(cx, |polling, _| {
                (1..=10_000).for_each(|count| polling.grow(count));
                Poll::Ready(())
            })
        })
        .await;
    });
    assert!(counts.count_total < 50, "{} allocations", counts.count_total);
}

#[test]
fn a_stream_keeps_no_output_and_allocates_no_more_for_a_million_than_for_a_hundred() {
    let runtime = warm_runtime();
    for count in [100, 1_000_000_u64] {
        let counts = measured(&runtime, async {
            let mut stream = gather((0..count).map(ready)).stream();
            let mut given = 0;
            while stream.next().await.is_some() {
                given += 1;
            }
            assert_eq!(given, count);
        });
        // One chunk.
        assert_eq!(counts.count_total, 1, "{count}");
        assert!(counts.bytes_max < 4096, "{} bytes", counts.bytes_max);
    }
}

#[test]
fn for_each_allocates_nothing_for_an_output_and_nothing_for_a_body() {
    let runtime = warm_runtime();
    let of = |count: u64| {
        let counts = measured(&runtime, async {
            let mut bodies = 0;
            let children = (0..count).map(async |number| {
                if number % 3 == 0 {
                    yield_now().await;
                }
                number
            });
            gather(children)
                .limit(10)
                .for_each(async |_, number| {
                    if number % 2 == 0 {
                        yield_now().await;
                    }
                    bodies += 1;
                })
                .await;
            assert_eq!(bodies, count);
        });
        counts.count_total
    };
    of(100); // the queues of those that were woken are made, and left
    let of_a_hundred = of(100);
    assert_eq!(of(100_000), of_a_hundred);
    assert!(of_a_hundred <= 10, "{of_a_hundred} allocations");
}

// ---- Wakers and wakes

#[test]
fn cloning_and_dropping_and_using_a_waker_at_home_never_allocates() {
    /// Does it a thousand times, in the poll that gives the waker.
    async fn check() {
        let mut polls = 0;
        poll_fn(|cx| {
            let counts = measure(|| {
                for _ in 0..1000 {
                    let waker: Waker = cx.waker().clone();
                    waker.wake_by_ref();
                    drop(waker.clone());
                    waker.wake();
                }
            });
            assert_eq!(counts.count_total, 0);
            polls += 1;
            if polls == 3 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
    let runtime = warm_runtime();
    runtime.block_on(check()); // the waker of the main future
    runtime.block_on(async {
        spawn(check()).await.unwrap(); // that of a task
        gather((0..100).map(|_| check())).capture().await; // that of a child
        spawn(gather([gather([check()]).capture()]).capture()).await.unwrap(); // and of one further down
    });
}

#[test]
fn waking_and_polling_many_children_over_and_over_never_allocates() {
    // Where a waker has 32 bits, one with a larger number is an allocation.
    let count = if usize::BITS < 64 { 100 } else { 1000 };
    warm_runtime().block_on(async move {
        let (controls, futures) = children::<Result<(), ()>>(count);
        let mut all = gather(futures);
        for _ in 0..20 {
            assert!(poll_next_turn(&mut all).await.is_pending());
        }
        let counts = measure(|| {
            for _ in 0..100 {
                controls.iter().for_each(Control::wake);
            }
        });
        assert_eq!(counts.count_total, 0);
        for _ in 0..20 {
            poll_fn(|cx| {
                let counts = measure(|| assert!(std::pin::Pin::new(&mut all).poll(cx).is_pending()));
                assert_eq!(counts.count_total, 0);
                Poll::Ready(())
            })
            .await;
            yield_now().await;
        }
        assert!(controls.iter().all(|control| control.polls() == 2));
    });
}

#[test]
fn waking_tasks_at_home_never_allocates() {
    warm_runtime().block_on(async {
        let (controls, futures) = children::<()>(1000);
        let tasks: Vec<Task<()>> = futures.into_iter().map(spawn).collect();
        yield_now().await;
        for round in 1..10 {
            let counts = measure(|| controls.iter().chain(&controls).for_each(Control::wake));
            assert_eq!(counts.count_total, 0);
            yield_now().await;
            assert!(controls.iter().all(|control| control.polls() == 1 + round));
        }
        drop(tasks);
    });
}

// ---- Tasks

#[test]
fn a_spawn_allocates_once_and_awaiting_the_task_does_not() {
    warm_runtime().block_on(async {
        let mut tasks = Vec::with_capacity(1000);
        for _ in 0..3 {
            let spawned = measure(|| tasks.extend((0..1000u64).map(|number| spawn(async move { number }))));
            yield_now().await;
            let mut sum = 0;
            for task in &mut tasks {
                let mut output = None;
                let awaited = poll_fn(|cx| {
                    let task = std::pin::Pin::new(&mut *task);
                    let counts = measure(|| output = Some(task.poll(cx)));
                    // Pending now and then: so many in a row spend the budget.
                    output
                        .as_ref()
                        .is_some_and(Poll::is_ready)
                        .then_some(counts.count_total)
                        .map_or(Poll::Pending, Poll::Ready)
                });
                assert_eq!(awaited.await, 0);
                match output {
                    Some(Poll::Ready(Ok(number))) => sum += number,
                    other => panic!("not the number: {other:?}"),
                }
            }
            assert_eq!(sum, 499_500);
            let dropped = measure(|| tasks.clear());
            assert_eq!(dropped.count_total, 0);
            assert_eq!(spawned.count_total, 1000, "the box of each task");
        }
    });
}

// ---- Scopes

#[test]
fn a_child_of_a_scope_costs_two_allocations_and_its_polls_and_its_end_none() {
    let runtime = warm_runtime();
    let of_children = |count: u64| {
        let mut polled = None;
        let all = measured(&runtime, async {
            let given: Result<(), ()> = scope(async |s| {
                let spawned = measure(|| {
                    for number in 0..count {
                        s.spawn(async move {
                            yield_now().await;
                            Ok(number)
                        });
                    }
                });
                // The table and the queue of new ones double, and nothing else is there.
                let doublings = u64::from(count.ilog2()) + 1;
                let beside = spawned.count_total - 2 * count;
                assert!(
                    beside <= 2 * doublings,
                    "{count} children: {beside} allocations beside the two of each"
                );
                Ok(())
            })
            .await;
            polled = Some(given);
        });
        assert_eq!(polled, Some(Ok(())));
        // (The first of many gives back the queue that a smaller group has left.)
        assert!(all.count_current <= 0, "{count} children: {} allocations are left", all.count_current);
        all.count_total - 2 * count
    };
    for count in [100, 10_000, 100_000] {
        // Chunks, the queue of the woken, the list of free places, and now and then the list of
        // yields.
        let beside = of_children(count);
        let doublings = u64::from(count.ilog2()) + 1;
        assert!(beside <= 8 * doublings, "{count} children: {beside} allocations beside the two of each");
    }
}

#[test]
fn a_scope_takes_the_same_memory_for_a_hundred_thousand_children_one_after_the_other_as_for_a_hundred() {
    let runtime = warm_runtime();
    let one_after_the_other = |count: u64, handle: bool| {
        let counts = measured(&runtime, async {
            let given: Result<(), ()> = scope(async |s| {
                for number in 0..count {
                    let child = s.spawn(async move {
                        yield_now().await;
                        Ok(number)
                    });
                    match (handle, number % 2) {
                        (true, 0) => assert_eq!(child.await.unwrap(), number),
                        (true, _) => child.cancel(),
                        _ => {
                            while !s.is_empty() {
                                yield_now().await;
                            }
                        }
                    }
                }
                Ok(())
            })
            .await;
            assert_eq!(given, Ok(()));
        });
        assert_eq!(counts.count_current, 0);
        counts.bytes_max
    };
    for handle in [false, true] {
        let of_a_hundred = one_after_the_other(100, handle);
        assert_eq!(one_after_the_other(100_000, handle), of_a_hundred);
        assert!(of_a_hundred < 8192, "{of_a_hundred} bytes");
    }
}

#[test]
fn a_scope_gives_all_its_memory_back_also_when_it_is_dropped_and_when_its_children_were_cancelled() {
    let runtime = warm_runtime();
    for end in ["drop", "error", "cancel"] {
        let counts = measured(&runtime, async {
            let mut all = Box::pin(scope(async |s| {
                (0..1000).for_each(|_| drop(s.spawn_named("one", std::future::pending::<Result<(), ()>>())));
                yield_now().await;
                match end {
                    "cancel" => s.cancel(),
                    "error" => return Err(()),
                    _ => {}
                }
                Ok(())
            }));
            for _ in 0..50 {
                if poll_next_turn(&mut all).await.is_ready() {
                    break;
                }
            }
        });
        // (The first of many gives back the queue that a smaller group has left.)
        assert!(counts.count_current <= 0 && counts.bytes_current <= 0, "{end}: {counts:?}");
    }
}
