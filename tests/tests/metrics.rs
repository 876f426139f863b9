//! What the runtime counts.

#![allow(clippy::async_yields_async, reason = "what waits is handed from one main future to another")]

use std::future::{pending, poll_fn, ready};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use gather::{
    Builder, Handle, Metrics, Runtime, TaskError, TcpListener, TcpStream, gather, run, sleep, spawn,
    spawn_blocking, yield_now,
};
use gather_tests::gate::Gate;
use gather_tests::probe::{Probe, elsewhere, letters_are_read, poll_once, some_turns};
use gather_tests::watchdog::finishes;

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

fn metrics() -> Metrics {
    Handle::current().metrics()
}

#[test]
fn a_new_runtime_has_counted_nothing() {
    let metrics = Runtime::new().unwrap().metrics();
    let gauges = [
        metrics.tasks_alive(),
        metrics.groups_alive(),
        metrics.timers_pending(),
        metrics.sockets_registered(),
        metrics.blocking_threads(),
    ];
    assert_eq!(gauges, [0; 5]);
    let counters = [
        metrics.polls(),
        metrics.wakes(),
        metrics.remote_wakes(),
        metrics.parks(),
        metrics.io_events(),
        metrics.timers_fired(),
    ];
    assert_eq!(counters, [0; 6]);
    assert_eq!(metrics.longest_poll(), Duration::ZERO);
}

#[test]
fn tasks_are_alive_until_their_output_is_taken_or_their_handle_is_gone() {
    run(async {
        let alive = || metrics().tasks_alive();
        let (awaited, dropped, detached) = (spawn(ready(1)), spawn(pending::<()>()), spawn(ready(2)));
        let cancelled = spawn(pending::<()>());
        assert_eq!(alive(), 4);
        some_turns().await;
        assert_eq!(alive(), 4, "finished, but not taken");
        awaited.await.unwrap();
        assert_eq!(alive(), 3);
        drop(dropped);
        assert_eq!(alive(), 2);
        detached.detach();
        assert_eq!(alive(), 1);
        cancelled.cancel();
        assert_eq!(alive(), 1, "its handle can still ask");
        assert!(cancelled.await.is_err());
        assert_eq!(alive(), 0);
    });
}

#[test]
fn groups_are_alive_from_their_first_poll_to_their_end() {
    run(async {
        let alive = || metrics().groups_alive();
        let gate = Gate::new();
        let mut outer = gather([gather([gate.pass(), gate.pass()]).capture()]).capture();
        assert_eq!(alive(), 0);
        assert!(poll_once(&mut outer, Waker::noop()).is_pending());
        assert_eq!(alive(), 2);
        let mut dropped = gather([pending::<()>()]).capture();
        assert!(poll_once(&mut dropped, Waker::noop()).is_pending());
        assert_eq!(alive(), 3);
        drop(dropped);
        assert_eq!(alive(), 2);
        gate.open();
        assert!(poll_once(&mut outer, Waker::noop()).is_ready());
        assert_eq!(alive(), 0);
    });
}

#[test]
fn timers_are_pending_until_they_fire_and_then_they_are_counted() {
    let runtime = Builder::new().virtual_clock(true).build().unwrap();
    runtime.block_on(async {
        let pending = || (metrics().timers_pending(), metrics().timers_fired());
        let sleeps: Vec<_> = (1..=3).map(|hours| spawn(sleep(HOUR * hours))).collect();
        assert_eq!(pending(), (0, 0));
        yield_now().await;
        assert_eq!(pending(), (3, 0));
        sleep(HOUR + HOUR / 2).await;
        assert_eq!(pending(), (2, 2));
        drop(sleeps);
        assert_eq!(pending(), (0, 2));
        sleep(HOUR).await;
        assert_eq!(pending(), (0, 3), "what was cancelled does not fire");
    });
}

#[test]
fn sockets_are_registered_until_they_are_dropped_and_their_events_are_counted() {
    finishes(|| {
        run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            assert_eq!((metrics().sockets_registered(), metrics().io_events()), (1, 0));
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            assert_eq!(metrics().sockets_registered(), 3);
            let before = metrics().io_events();
            let reads = spawn(async move { server.read(&mut [0; 8]).await });
            some_turns().await;
            client.write_all(b"x").await.unwrap();
            assert_eq!(reads.await.unwrap().unwrap(), 1);
            assert!(metrics().io_events() > before);
            assert_eq!(metrics().sockets_registered(), 2, "the task has dropped its own");
            drop((listener, client));
            assert_eq!(metrics().sockets_registered(), 0);
        });
    });
}

#[test]
fn threads_of_the_pool_are_counted_busy_or_idle() {
    finishes(|| {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            assert_eq!(metrics().blocking_threads(), 0);
            let (end, ends) = mpsc::channel::<()>();
            let busy = spawn_blocking(move || ends.recv());
            assert_eq!(metrics().blocking_threads(), 1);
            let other = spawn_blocking(|| ());
            assert_eq!(metrics().blocking_threads(), 2);
            other.await.unwrap();
            assert_eq!(metrics().blocking_threads(), 2, "idle now, and still there");
            drop(end);
            assert!(busy.await.unwrap().is_err());
        });
        assert_eq!(runtime.metrics().blocking_threads(), 2);
    });
}

#[test]
fn polls_are_those_of_the_main_future_and_of_tasks_not_of_children() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(ready(()));
    assert_eq!(runtime.metrics().polls(), 1);
    // The main future twice, the task three times.
    runtime.block_on(async {
        let task = spawn(async {
            yield_now().await;
            yield_now().await;
        });
        task.await.unwrap();
    });
    assert_eq!(runtime.metrics().polls(), 6);
    runtime.block_on(async { gather((0..100).map(|_| ready(()))).capture().await });
    assert_eq!(runtime.metrics().polls(), 7);
}

#[test]
fn wakes_of_every_kind_are_counted_also_those_for_nobody() {
    finishes(|| {
        run(async {
            let [task, child, gone] = [Probe::new(), Probe::new(), Probe::new()];
            let _task = spawn(task.never());
            let mut gathered = gather([child.never()]).capture();
            assert!(poll_once(&mut gathered, Waker::noop()).is_pending());
            spawn(gone.ready_at(1)).await.unwrap();
            some_turns().await;
            for waker in [task.waker(), child.waker(), gone.waker()] {
                let before = metrics();
                waker.wake_by_ref();
                waker.wake_by_ref();
                assert_eq!(metrics().wakes() - before.wakes(), 2);
                assert_eq!(metrics().remote_wakes(), before.remote_wakes());
            }
        });
    });
}

#[test]
fn a_task_that_finishes_wakes_who_awaits_it_once_be_it_the_main_future_a_task_or_a_child() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(spawn_inside(async {})).unwrap();
    assert_eq!(runtime.metrics().wakes(), 1);
    runtime.block_on(spawn_inside(async { spawn(async {}).await.unwrap() })).unwrap();
    assert_eq!(runtime.metrics().wakes(), 3);
    runtime.block_on(async { gather([spawn(async {})]).await }).unwrap();
    assert_eq!(runtime.metrics().wakes(), 4);
}

/// A future that spawns this one when it is polled, and awaits it.
async fn spawn_inside(future: impl Future<Output = ()> + 'static) -> Result<(), TaskError> {
    spawn(future).await
}

#[test]
fn wakes_from_other_threads_are_counted_among_the_wakes_when_the_loop_takes_them() {
    finishes(|| {
        let runtime = Runtime::new().unwrap();
        let probe = Probe::new();
        let task = runtime.block_on(async {
            let task = spawn(probe.never());
            yield_now().await;
            task
        });
        let before = runtime.metrics();
        let waker = probe.waker();
        thread::spawn(move || (0..10).for_each(|_| waker.wake_by_ref())).join().unwrap();
        assert_eq!(runtime.metrics().remote_wakes(), before.remote_wakes(), "it does not run");
        runtime.block_on(elsewhere(|| ()));
        let after = runtime.metrics();
        assert!(after.remote_wakes() - before.remote_wakes() >= 10);
        assert!(after.wakes() - before.wakes() >= after.remote_wakes() - before.remote_wakes());
        drop(task);
    });
}

#[test]
fn parks_are_counted_when_the_loop_sleeps_and_not_when_it_only_looks() {
    finishes(|| {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            for _ in 0..5000 {
                yield_now().await; // it looks at the reactor a few times
            }
        });
        assert_eq!(runtime.metrics().parks(), 0);
        runtime.block_on(async {
            // On a busy machine a sleep may be over before it is awaited.
            while metrics().parks() < 5 {
                sleep(MILLISECOND).await;
            }
        });
    });
}

#[test]
fn the_longest_poll_is_that_of_the_task_that_kept_the_loop() {
    const LONG: Duration = Duration::from_millis(30);
    for in_a_task in [false, true] {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let blocks = poll_fn(|_| {
                thread::sleep(LONG); // what one should not do
                Poll::Ready(())
            });
            if in_a_task {
                spawn(blocks).await.unwrap();
            } else {
                blocks.await;
            }
            sleep(MILLISECOND).await;
        });
        assert!(runtime.metrics().longest_poll() >= LONG);
    }
    // And sleeping is no poll. (A busy machine may interrupt one for that long, but not each
    // time.)
    let a_sleep_is_no_poll = |_| {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(sleep(LONG * 4));
        runtime.metrics().longest_poll() < LONG * 4
    };
    assert!((0..20).any(a_sleep_is_no_poll));
}

#[test]
fn another_thread_reads_what_the_loop_has_published() {
    finishes(|| {
        let runtime = Runtime::new().unwrap();
        let handle = runtime.handle();
        let stop = Arc::new(AtomicBool::new(false));
        let stops = stop.clone();
        // The loop never sleeps, and publishes all the same.
        let reader = thread::spawn(move || {
            while handle.metrics().polls() < 3000 || handle.metrics().tasks_alive() != 2 {
                thread::yield_now();
            }
            stops.store(true, Ordering::SeqCst);
            handle
        });
        runtime.block_on(async {
            let _tasks = [spawn(pending::<()>()), spawn(pending::<()>())];
            while !stop.load(Ordering::SeqCst) {
                yield_now().await;
            }
        });
        let handle = reader.join().unwrap();
        assert!(handle.metrics().polls() <= runtime.metrics().polls());
        let polls = runtime.metrics().polls();
        drop(runtime);
        assert!(polls >= 3000);
        assert_eq!(handle.metrics().polls(), 0, "zeros of a runtime that is gone");
    });
}

#[test]
fn a_loop_that_sleeps_has_published_all_that_it_had_counted() {
    finishes(|| {
        let (sender, receiver) = mpsc::channel();
        let gate = Gate::new();
        let opens = gate.clone();
        let thread = thread::spawn(move || {
            run(async {
                let _tasks: Vec<_> = (0..5).map(|_| spawn(sleep(HOUR))).collect();
                some_turns().await;
                sender.send(Handle::current()).unwrap();
                gate.pass().await;
            });
        });
        let handle = receiver.recv().unwrap();
        while handle.metrics().timers_pending() != 5 {
            thread::yield_now();
        }
        assert_eq!(handle.metrics().tasks_alive(), 5);
        opens.open();
        thread.join().unwrap();
    });
}

#[test]
fn a_runtime_tells_its_metrics_inside_and_outside_of_its_run_and_beside_another() {
    let [one, other] = [Runtime::new().unwrap(), Runtime::new().unwrap()];
    let task = one.block_on(async {
        let task = spawn(pending::<()>());
        assert_eq!(one.metrics().tasks_alive(), 1);
        assert_eq!(one.handle().metrics().tasks_alive(), 1);
        assert_eq!(other.metrics().tasks_alive(), 0);
        task
    });
    assert_eq!(one.metrics().tasks_alive(), 1);
    other.block_on(async {
        assert_eq!(one.metrics().tasks_alive(), 1);
        assert_eq!(other.metrics().tasks_alive(), 0);
    });
    drop(task);
    one.block_on(letters_are_read()); // it was dropped where its runtime did not run
    assert_eq!(one.metrics().tasks_alive(), 0);
}
