//! Many of everything, the same on every machine. (Where a pointer has 32 bits, wakers with large
//! numbers are of another kind. These tests have both kinds.)

use std::cell::RefCell;
use std::future::{Future, pending, poll_fn};
use std::mem::forget;
use std::panic::catch_unwind;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use gather::group::{Group, MAX_CHILDREN};
use gather::{Handle, Runtime, dump, gather, run, sleep, spawn, yield_now};
use gather_tests::children::poll_next_turn;
use gather_tests::gate::Gate;
use gather_tests::probe::{Probe, letters_are_read, some_turns};
use gather_tests::watchdog::finishes;

#[test]
fn thousands_of_clients_may_each_have_a_task_with_a_gather_in_it() {
    const CLIENTS: usize = 10_000;
    finishes(|| {
        run(async {
            let gate = Gate::new();
            let client = |client: usize| {
                let parts = [0, 1, 2].map(|part| {
                    let opens = gate.pass();
                    async move {
                        match part {
                            0 => opens.await,
                            1 => sleep(Duration::from_millis(1)).await,
                            _ => yield_now().await,
                        }
                        client + part
                    }
                });
                gather(parts).capture()
            };
            let clients: Vec<_> = (0..CLIENTS).map(|number| spawn(client(number))).collect();
            some_turns().await;
            assert_eq!(Handle::current().metrics().groups_alive(), CLIENTS);
            thread::spawn(move || gate.open());
            for (number, client) in (0..).zip(clients) {
                assert_eq!(client.await.unwrap(), [number, number + 1, number + 2]);
            }
        });
    });
}

#[test]
fn forty_runtimes_run_at_once_and_wake_one_another() {
    const RUNTIMES: usize = 40;
    finishes(|| {
        let gates: Vec<_> = (0..RUNTIMES).map(|_| Gate::new()).collect();
        let all_run = Barrier::new(RUNTIMES);
        thread::scope(|scope| {
            for number in 0..RUNTIMES {
                let (gates, all_run) = (&gates, &all_run);
                scope.spawn(move || {
                    run(async {
                        let opens = gates[number].pass();
                        let task = spawn(async { gather([opens]).capture().await });
                        some_turns().await;
                        all_run.wait();
                        gates[(number + 1) % RUNTIMES].open();
                        task.await.unwrap();
                    });
                });
            }
        });
    });
}

#[test]
fn children_with_numbers_of_any_size_are_polled_in_the_order_in_which_they_were_woken() {
    const CHILDREN: usize = 400;
    /// Each comes once, small and large ones mixed.
    fn order() -> impl Iterator<Item = usize> {
        (0..CHILDREN).map(|step| step * 377 % CHILDREN)
    }
    run(async {
        let probes: Vec<_> = (0..CHILDREN).map(|_| Probe::new()).collect();
        let polled = Rc::new(RefCell::new(Vec::new()));
        let child = |index: usize| {
            let (probe, polled) = (probes[index].clone(), polled.clone());
            poll_fn(move |cx| {
                probe.note(cx);
                polled.borrow_mut().push(index);
                if probe.polls() < 4 { Poll::Pending } else { Poll::Ready(()) }
            })
        };
        let children: Vec<_> = (0..CHILDREN).map(child).collect();
        let task = spawn(gather(children).capture());
        some_turns().await;
        assert!(polled.take().into_iter().eq(0..CHILDREN));

        // By their wakers, here.
        order().for_each(|index| probes[index].waker().wake());
        some_turns().await;
        assert!(polled.take().into_iter().eq(order()));

        // By their wakers, on another thread.
        let wakers: Vec<Waker> = order().map(|index| probes[index].waker()).collect();
        thread::spawn(|| wakers.into_iter().for_each(Waker::wake)).join().unwrap();
        letters_are_read().await;
        assert!(polled.take().into_iter().eq(order()));

        // By timers that are due in the same millisecond, or one after the other.
        for index in order() {
            let waker = probes[index].waker();
            let mut sleep = Box::pin(sleep(Duration::from_millis(1)));
            assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            forget(sleep); // its drop would take the timer away
        }
        task.await.unwrap();
        assert!(polled.take().into_iter().eq(order()));
    });
}

#[test]
fn a_dump_shows_the_same_tree_in_a_runtime_with_any_number() {
    /// The main future and a task each await a task in a gather. Returns the depths in the dump.
    async fn depths() -> Vec<usize> {
        let outer = spawn(async {
            let inner = spawn(pending::<()>());
            gather([inner]).capture().await
        });
        let mut all = pin!(gather([outer]).capture());
        assert!(poll_next_turn(&mut all).await.is_pending());
        some_turns().await;
        dump().nodes.iter().map(|node| node.depth).collect()
    }
    let runtimes: Vec<Runtime> = (0..40).map(|_| Runtime::new().unwrap()).collect();
    for runtime in &runtimes {
        assert_eq!(runtime.block_on(depths()), [0, 1, 2, 3, 4, 5, 6]);
    }
}

#[test]
fn more_children_than_the_documented_limit_end_with_a_panic_that_names_it() {
    assert_eq!(MAX_CHILDREN, 16_777_214);
    let grows = || {
        run(poll_fn(|cx| {
            Group::new("scope").poll(cx, |polling, _| {
                polling.grow(MAX_CHILDREN + 1);
                Poll::Ready(())
            })
        }));
    };
    let panic = catch_unwind(grows).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert_eq!(message, "gather: more than 16777214 children at once in one scope");
}
