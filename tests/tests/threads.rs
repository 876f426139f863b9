//! Other threads: wakes that come from them, tasks that they start and await, and handles that end
//! there.

#![allow(clippy::async_yields_async, reason = "what waits is handed from one main future to another")]

use std::cell::Cell;
use std::future::{Future, pending};
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Barrier, Mutex};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use futures_lite::future;
use gather::{
    BlockingTask, Builder, Canceller, Gather, Handle, Metrics, RemoteTask, Runtime, Sleep, Task, TaskError,
    TaskId, TcpListener, TcpStream, Timeout, gather, run, sleep, spawn, spawn_blocking, yield_now,
};
use gather_tests::alone::alone;
use gather_tests::gate::Gate;
use gather_tests::probe::{Probe, elsewhere, letters_are_read, poll_once, some_turns};
use gather_tests::wake_storm::storm;
use gather_tests::watchdog::finishes;
use gather_tests::witness::{Witness, on_drop};

/// Runs a closure on another thread while the runtime of this one stands.
fn on_a_thread<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    thread::spawn(f).join().unwrap()
}

// ---- what may cross over

#[test]
fn what_a_user_holds_may_cross_threads_if_its_contents_may() {
    fn is_send_and_sync<T: Send + Sync>() {}
    fn is_send<T: Send>(_: &T) {}
    is_send_and_sync::<Handle>();
    is_send_and_sync::<Canceller>();
    is_send_and_sync::<TaskId>();
    is_send_and_sync::<TaskError>();
    is_send_and_sync::<Metrics>();
    is_send_and_sync::<Builder>();
    is_send_and_sync::<Task<String>>();
    is_send_and_sync::<RemoteTask<String>>();
    is_send_and_sync::<BlockingTask<String>>();
    is_send_and_sync::<Sleep>();
    is_send_and_sync::<Timeout<Sleep>>();
    is_send_and_sync::<TcpStream>();
    is_send_and_sync::<TcpListener>();
    is_send(&gather([sleep(Duration::ZERO)]).capture());
    fn connects() -> impl Future<Output = io::Result<TcpStream>> + Send {
        TcpStream::connect("localhost:80")
    }
    drop(connects());
}

// ---- wakes

// A wake that is lost leaves it hanging.
#[test]
fn no_wake_is_lost_while_the_loop_goes_to_sleep_and_wakes() {
    let report = finishes(|| storm(100_000));
    assert_eq!((report.wakes, report.wakes_seen), (100_000, 100_000));
    assert!(report.parks > 0, "a storm in which the loop never slept has tested nothing");
    // At most one for each time that the loop lay down; now and then it finds a wake just then,
    // and does not sleep.
    let most_rings = report.parks + report.parks / 10 + 10;
    assert!(report.rings.is_none_or(|rings| rings <= most_rings), "{report:?}");
}

#[test]
fn no_wake_is_lost_when_many_threads_wake_many_runtimes() {
    finishes(|| {
        let storms: Vec<_> = (0..4).map(|_| thread::spawn(|| storm(20_000))).collect();
        for storm in storms {
            assert_eq!(storm.join().unwrap().wakes_seen, 20_000);
        }
    });
}

#[test]
fn a_wake_does_not_block_while_its_thread_holds_a_lock_that_the_tasks_need() {
    finishes(|| {
        let lock = Arc::new(Mutex::new(0));
        let probes: Arc<Vec<Probe>> = Arc::new((0..100).map(|_| Probe::new()).collect());
        let runtime = Runtime::new().unwrap();
        let tasks: Vec<_> = runtime.block_on(async {
            let tasks = probes.iter().map(|probe| {
                let (lock, watched) = (lock.clone(), probe.never());
                let mut watched = Box::pin(watched);
                spawn(std::future::poll_fn(move |cx| {
                    *lock.lock().unwrap() += 1;
                    watched.as_mut().poll(cx)
                }))
            });
            let tasks = tasks.collect();
            some_turns().await;
            tasks
        });
        // The runtime does not run now; nobody takes what is woken.
        let (held, woken) = (lock.clone(), probes.clone());
        on_a_thread(move || {
            let _held = held.lock().unwrap();
            (0..100_000).for_each(|wake| woken[wake % 100].waker().wake());
        });
        runtime.block_on(letters_are_read());
        assert!(probes.iter().all(|probe| probe.polls() == 2), "many wakes before a poll are one poll");
        assert_eq!(*lock.lock().unwrap(), 200);
        // And now it does, and its tasks wait for the lock.
        let (held, woken) = (lock.clone(), probes.clone());
        runtime.block_on(elsewhere(move || {
            let _held = held.lock().unwrap();
            (0..100_000).for_each(|wake| woken[wake % 100].waker().wake());
        }));
        assert!(probes.iter().all(|probe| probe.polls() >= 3));
        drop(tasks);
    });
}

#[test]
fn a_flood_of_wakes_from_another_thread_starves_neither_timers_nor_sockets_nor_tasks() {
    /// How far the flood may be ahead of the loop: a bound for the memory of this test.
    const MOST_AHEAD: u64 = 2_500_000;
    /// What the loop takes at once at most (`MOST_REMOTE` there), and a few that are merged.
    const MOST_AT_ONCE: u64 = (1 << 20) + 10_000;

    finishes(|| {
        run(async {
            // Many, because repeated wakes of one task are merged.
            let probes: Vec<_> = (0..1000).map(|_| Probe::new()).collect();
            let flooded: Vec<_> = probes.iter().map(|probe| spawn(probe.never())).collect();
            some_turns().await;
            let (client, server) = {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
                (client, listener.accept().await.unwrap().0)
            };
            let (taken, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
            let (is_high, high) = mpsc::channel();
            let flood = spawn_blocking({
                let wakers: Vec<_> = probes.iter().map(Probe::waker).collect();
                let (taken, stop) = (taken.clone(), stop.clone());
                move || {
                    let mut wakes = 0;
                    while !stop.load(Ordering::Relaxed) {
                        if wakes > taken.load(Ordering::Relaxed) + MOST_AHEAD {
                            let _ = is_high.send(());
                            thread::yield_now();
                        } else {
                            wakers[wakes as usize % wakers.len()].wake_by_ref();
                            wakes += 1;
                        }
                    }
                }
            });
            let served = Rc::new(Cell::new(0));
            let counted = served.clone();
            let waits = spawn(async move {
                loop {
                    sleep(Duration::from_millis(1)).await;
                    client.write_all(b"x").await.unwrap();
                    server.read_exact(&mut [0]).await.unwrap();
                    counted.set(counted.get() + 1);
                }
            });
            high.recv().unwrap(); // the loop stands until then
            drop(high);
            // This is polled in each turn of the loop.
            let (mut before, mut most) = (Handle::current().metrics().remote_wakes(), 0);
            while served.get() < 5 {
                yield_now().await;
                let now = Handle::current().metrics().remote_wakes();
                most = most.max(now - before);
                taken.fetch_add(now - before, Ordering::Relaxed);
                before = now;
            }
            stop.store(true, Ordering::Relaxed);
            flood.await.unwrap();
            assert!(most <= MOST_AT_ONCE, "{most} wakes were taken at once");
            assert!(probes.iter().any(|probe| probe.polls() > 1));
            drop((flooded, waits));
        });
    });
}

#[test]
fn a_million_wakes_of_one_task_take_no_memory_and_are_one_poll() {
    alone("a_million_wakes_of_one_task_take_no_memory_and_are_one_poll", || {
        let runtime = Runtime::new().unwrap();
        let probe = Probe::new();
        let task = runtime.block_on(async {
            let task = spawn(probe.never());
            some_turns().await;
            task
        });
        let (waker, before) = (probe.waker(), runtime.metrics().remote_wakes());
        let memory = on_a_thread(move || {
            allocation_counter::measure(|| (0..1_000_000).for_each(|_| waker.wake_by_ref()))
        });
        assert!(memory.bytes_max < 10_000, "{memory:?}");
        runtime.block_on(letters_are_read());
        assert_eq!(probe.polls(), 2);
        assert_eq!(runtime.metrics().remote_wakes() - before, 1_000_000, "all are counted");
        drop(task);
    });
}

// ---- tasks that are started from elsewhere

#[test]
fn a_future_that_is_not_send_is_made_polled_and_dropped_on_its_own_thread() {
    finishes(|| {
        run(async {
            let witness = Witness::new();
            let handle = Handle::current();
            let watched = witness.clone();
            let task = on_a_thread(move || {
                handle.spawn(move || {
                    let made_on = thread::current().id();
                    let guard = Rc::new(watched.guard()); // never leaves the thread
                    async move {
                        let mut polled_on = vec![made_on, thread::current().id()];
                        yield_now().await;
                        polled_on.push(thread::current().id());
                        drop(guard);
                        polled_on
                    }
                })
            });
            assert_eq!(task.await.unwrap(), [thread::current().id(); 3]);
            assert_eq!(witness.threads(), [thread::current().id()]);
        });
    });
}

#[test]
fn tasks_that_many_threads_start_all_run() {
    finishes(|| {
        run(async {
            let threads: Vec<_> = (0..4)
                .map(|thread| {
                    let handle = Handle::current();
                    spawn_blocking(move || {
                        (0..500)
                            .map(|task| handle.spawn(move || async move { thread * 500 + task }))
                            .collect()
                    })
                })
                .collect();
            let mut outputs = Vec::new();
            for thread in threads {
                let tasks: Vec<RemoteTask<usize>> = thread.await.unwrap();
                outputs.extend(gather(tasks).await.unwrap());
            }
            assert_eq!(outputs, (0..2000).collect::<Vec<_>>());
        });
    });
}

#[test]
fn a_remote_task_may_be_awaited_at_home_on_another_runtime_and_on_a_thread_without_one() {
    finishes(|| {
        let handle_of_a_server = || {
            let (sender, receiver) = mpsc::channel();
            let gate = Gate::new();
            let closed = gate.clone();
            let thread = thread::spawn(move || {
                run(async {
                    sender.send(Handle::current()).unwrap();
                    closed.pass().await;
                });
            });
            (receiver.recv().unwrap(), gate, thread)
        };
        let (handle, gate, thread) = handle_of_a_server();
        let work = || async {
            sleep(Duration::from_millis(1)).await;
            thread::current().id()
        };
        let server = thread.thread().id();
        assert_eq!(run(handle.spawn(work)).unwrap(), server);
        assert_eq!(future::block_on(handle.spawn(work)).unwrap(), server);
        let (started, other) = (handle.spawn(work), handle.clone());
        assert_eq!(on_a_thread(move || run(started)).unwrap(), server, "it may move before it is awaited");
        let both = run(async move { gather([other.spawn(work), other.spawn(work)]).await });
        assert_eq!(both.unwrap(), [server; 2]);
        let at_home = handle.spawn(move || async move { Handle::current().spawn(work).await.unwrap() });
        assert_eq!(future::block_on(at_home).unwrap(), server);
        gate.open();
        thread.join().unwrap();
    });
}

#[test]
fn a_panic_in_a_remote_task_or_in_what_makes_it_is_in_its_error() {
    finishes(|| {
        run(async {
            let handle = Handle::current();
            let (in_closure, in_poll, value) = on_a_thread(move || {
                let in_closure = handle.spawn(|| -> future::Ready<()> { panic!("no future") });
                let in_poll = handle.spawn(|| async { panic!("no output") });
                let value = handle.spawn(|| async { std::panic::panic_any(42) });
                (in_closure, in_poll, value)
            });
            assert_eq!(in_closure.await.unwrap_err().to_string(), "the task panicked: no future");
            assert_eq!(in_poll.await.unwrap_err().to_string(), "the task panicked: no output");
            assert_eq!(*value.await.unwrap_err().into_panic().downcast::<i32>().unwrap(), 42);
            assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
        });
    });
}

#[test]
fn a_remote_task_that_is_dropped_is_cancelled_and_its_future_dropped_on_its_own_thread() {
    finishes(|| {
        run(async {
            for is_cancelled_first in [false, true] {
                let witness = Witness::new();
                let probe = Probe::new();
                let (guard, never, handle) = (witness.guard(), probe.never(), Handle::current());
                let task = on_a_thread(move || {
                    handle.spawn(|| async move {
                        let _guard = guard;
                        never.await;
                    })
                });
                letters_are_read().await;
                assert_eq!((probe.polls(), witness.drops()), (1, 0), "it has started");
                let error = elsewhere(move || {
                    is_cancelled_first.then(|| {
                        task.cancel();
                        future::block_on(task).unwrap_err()
                    })
                });
                assert!(error.await.is_none_or(|error| error.is_cancelled()));
                assert_eq!(witness.threads(), [thread::current().id()]);
                assert_eq!(probe.polls(), 1);
            }
        });
    });
}

#[test]
fn a_remote_task_that_is_dropped_before_it_starts_is_not_started() {
    finishes(|| {
        run(async {
            let witness = Witness::new();
            let started = Arc::new(AtomicBool::new(false));
            let (guard, flag, handle) = (witness.guard(), started.clone(), Handle::current());
            // The loop stands while this thread waits for the other.
            on_a_thread(move || {
                let task = handle.spawn(move || {
                    let _guard = guard;
                    flag.store(true, Ordering::SeqCst);
                    pending::<()>()
                });
                drop(task);
            });
            letters_are_read().await;
            assert!(!started.load(Ordering::SeqCst));
            assert_eq!(witness.threads(), [thread::current().id()]);
        });
    });
}

// The task is dropped elsewhere at the very time that the closure makes the future here.
#[test]
fn a_remote_task_that_is_dropped_while_it_starts_is_cancelled() {
    finishes(|| {
        run(async {
            let witness = Witness::new();
            let starts = Arc::new(Barrier::new(2));
            let dropped = Arc::new(Barrier::new(2));
            let (guard, handle) = (witness.guard(), Handle::current());
            let here = (starts.clone(), dropped.clone());
            elsewhere(move || {
                let task = handle.spawn(move || {
                    here.0.wait();
                    here.1.wait();
                    async move {
                        let _guard = guard;
                        pending::<()>().await;
                    }
                });
                starts.wait();
                drop(task);
                dropped.wait();
            })
            .await;
            assert_eq!(witness.threads(), [thread::current().id()]);
            assert_eq!(Handle::current().metrics().tasks_alive(), 0);
        });
    });
}

#[test]
fn a_remote_task_that_is_detached_goes_on() {
    finishes(|| {
        run(async {
            let handle = Handle::current();
            let (sender, receiver) = mpsc::channel();
            let done = Gate::new();
            let opened = done.clone();
            on_a_thread(move || {
                let work = async move {
                    yield_now().await;
                    sender.send(thread::current().id()).unwrap();
                    opened.open();
                };
                handle.spawn(|| work).detach();
            });
            done.pass().await;
            assert_eq!(receiver.recv().unwrap(), thread::current().id());
        });
    });
}

#[test]
fn a_remote_task_says_whether_it_is_finished() {
    finishes(|| {
        run(async {
            let gate = Gate::new();
            let pass = gate.pass();
            let task = Handle::current().spawn(|| pass);
            letters_are_read().await;
            assert!(!task.is_finished());
            gate.open();
            some_turns().await;
            assert!(task.is_finished());
            task.await.unwrap();
        });
    });
}

#[test]
fn a_remote_task_of_a_runtime_that_is_gone_is_cancelled() {
    finishes(|| {
        let runtime = Runtime::new().unwrap();
        let handle = runtime.handle();
        let witness = Witness::new();
        let with_guard = || {
            let guard = witness.guard();
            move || async move {
                let _guard = guard;
                pending::<()>().await;
            }
        };
        let started = handle.spawn(with_guard());
        runtime.block_on(letters_are_read());
        let queued = handle.spawn(with_guard());
        let finished = runtime.block_on(async {
            let finished = Handle::current().spawn(|| async { 1 });
            letters_are_read().await;
            finished
        });
        // Somebody waits when it ends.
        let (begun, waits) = mpsc::channel();
        let waiting = handle.spawn(with_guard());
        let waiting = thread::spawn(move || {
            begun.send(()).unwrap();
            future::block_on(waiting)
        });
        waits.recv().unwrap();
        drop(runtime);
        let late = handle.spawn(with_guard());
        assert!(waiting.join().unwrap().unwrap_err().is_cancelled());
        for task in [started, queued, late] {
            assert!(task.is_finished());
            assert!(future::block_on(task).unwrap_err().is_cancelled());
        }
        assert_eq!(future::block_on(finished).unwrap(), 1, "what was finished is still there");
        assert_eq!(witness.drops(), 4);
        assert_eq!(handle.metrics().tasks_alive(), 0);
    });
}

#[test]
fn a_remote_task_for_which_there_is_no_room_is_an_error() {
    finishes(|| {
        let runtime = Builder::new().max_tasks(1).build().unwrap();
        runtime.block_on(async {
            let only = spawn(pending::<()>());
            let handle = Handle::current();
            let refused = on_a_thread(move || handle.spawn(|| async {}));
            assert!(refused.await.is_err());
            drop(only);
            let handle = Handle::current();
            assert_eq!(on_a_thread(move || handle.spawn(|| async { 1 })).await.unwrap(), 1);
        });
    });
}

// ---- the handles of tasks elsewhere

#[test]
fn a_task_may_be_dropped_cancelled_and_detached_on_another_thread() {
    finishes(|| {
        run(async {
            let witness = Witness::new();
            let gate = Gate::new();
            let guarded = || {
                let (guard, pass) = (witness.guard(), gate.pass());
                spawn(async move {
                    let _guard = Rc::new(guard); // the future is not `Send`, and its handle is
                    pass.await;
                })
            };
            let [dropped, cancelled, detached] = [guarded(), guarded(), guarded()];
            let with_output = spawn({
                let guard = witness.guard();
                async { guard }
            });
            some_turns().await;
            assert!(with_output.is_finished());
            let cancelled = elsewhere(move || {
                assert!(!dropped.is_finished());
                drop(dropped);
                cancelled.cancel();
                cancelled.canceller().cancel();
                detached.detach();
                drop(with_output);
                cancelled
            })
            .await;
            assert_eq!(witness.threads(), [thread::current().id(); 3]);
            assert!(cancelled.await.unwrap_err().is_cancelled());
            assert_eq!(Handle::current().metrics().tasks_alive(), 1);
            gate.open();
            some_turns().await;
            assert_eq!(witness.drops(), 4, "the detached task has run to its end");
        });
    });
}

#[test]
fn a_task_that_is_awaited_on_another_thread_says_so() {
    finishes(|| {
        run(async {
            let task = spawn(async { 1 });
            let elsewhere = thread::spawn(move || future::block_on(task)).join().unwrap_err();
            let message = elsewhere.downcast_ref::<&str>().expect("a message");
            assert!(message.contains("can only be awaited on the thread of its runtime"), "{message}");
            // In another run on another thread, too.
            let task = spawn(async { 1 });
            assert!(thread::spawn(move || run(task)).join().is_err());
        });
    });
}

#[test]
fn a_task_that_outlives_its_runtime_gives_an_error_on_any_thread() {
    let runtime = Runtime::new().unwrap();
    let [here, elsewhere, dropped] = runtime.block_on(async { [(); 3].map(|()| spawn(pending::<()>())) });
    drop(runtime);
    assert!(here.is_finished());
    assert!(run(here).unwrap_err().is_cancelled());
    on_a_thread(move || {
        assert!(elsewhere.is_finished());
        elsewhere.cancel();
        assert!(future::block_on(elsewhere).unwrap_err().is_cancelled());
    });
    drop(dropped);
}

#[test]
fn a_canceller_cancels_from_any_thread_as_often_as_one_likes() {
    finishes(|| {
        run(async {
            let witness = Witness::new();
            let guard = witness.guard();
            let task = spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
            let cancellers: Vec<Canceller> = (0..4).map(|_| task.canceller().clone()).collect();
            let threads: Vec<_> = cancellers
                .into_iter()
                .map(|canceller| {
                    thread::spawn(move || {
                        canceller.cancel();
                        canceller.cancel();
                        canceller
                    })
                })
                .collect();
            assert!(task.await.unwrap_err().is_cancelled());
            assert_eq!(witness.threads(), [thread::current().id()]);
            // Late: the row may have another task by now.
            let next = spawn(async { 1 });
            for thread in threads {
                thread.join().unwrap().cancel();
            }
            letters_are_read().await;
            assert_eq!(next.await.unwrap(), 1);
        });
    });
}

// The future's destructor is not run by the thread that cancels.
#[test]
fn a_future_whose_destructor_needs_its_thread_is_never_dropped_on_another() {
    thread_local! {
        static HOME: Cell<bool> = const { Cell::new(false) };
    }
    finishes(|| {
        HOME.set(true);
        let away = Arc::new(AtomicUsize::new(0));
        run(async {
            let tasks: Vec<Task<()>> = (0..200)
                .map(|_| {
                    let away = away.clone();
                    let guard = on_drop(move || {
                        away.fetch_add(usize::from(!HOME.get()), Ordering::SeqCst);
                    });
                    spawn(async move {
                        let _guard = guard;
                        loop {
                            yield_now().await;
                        }
                    })
                })
                .collect();
            let cancellers: Vec<Canceller> = tasks.iter().map(Task::canceller).collect();
            let cancels = spawn_blocking(move || cancellers.iter().for_each(Canceller::cancel));
            for task in tasks {
                assert!(task.await.unwrap_err().is_cancelled());
            }
            cancels.await.unwrap();
        });
        assert_eq!(away.load(Ordering::SeqCst), 0);
    });
}

// ---- a gather moves between runtimes

#[test]
fn a_gather_may_move_to_a_runtime_on_another_thread_between_polls() {
    finishes(|| {
        let gate = Gate::new();
        let children: Vec<_> = (0..100).map(|_| gate.pass()).collect();
        let mut moved: Gather<_, gather::Capture> = gather(children).capture();
        run(async { assert!(poll_once(&mut moved, Waker::noop()).is_pending()) });
        let outputs = thread::spawn(move || {
            run(async move {
                let opened = spawn_blocking(move || gate.open());
                let outputs = moved.await;
                opened.await.unwrap();
                outputs
            })
        });
        assert_eq!(outputs.join().unwrap().len(), 100);
    });
}
