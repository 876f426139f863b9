//! The blocking pool: what runs on threads beside the loop.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

#[cfg(target_os = "linux")]
use gather::UdpSocket;
use gather::{
    BlockingTask, Builder, Handle, Runtime, TcpListener, TcpStream, gather, now, run, sleep, spawn,
    spawn_blocking, timeout, try_spawn_blocking, yield_now,
};
#[cfg(target_os = "linux")]
use gather_tests::addresses::HERE;
#[cfg(target_os = "linux")]
use gather_tests::alone::alone;
use gather_tests::asleep::SystemThread;
use gather_tests::foreign::{Done, foreign};
#[cfg(target_os = "linux")]
use gather_tests::limits::NoThreads;
use gather_tests::probe::{letters_are_read, poll_once, some_turns};
use gather_tests::watchdog::finishes;
use gather_tests::witness::{Witness, on_drop};

/// Work that says when it begins and goes on until it is told to end.
struct Work {
    begun: mpsc::Receiver<()>,
    end: mpsc::Sender<()>,
    task: BlockingTask<()>,
}

impl Work {
    fn start() -> Work {
        let (begins, begun) = mpsc::channel();
        let (end, ends) = mpsc::channel();
        let task = spawn_blocking(move || {
            begins.send(()).unwrap();
            ends.recv().unwrap();
        });
        Work { begun, end, task }
    }
}

#[test]
fn it_gives_the_output_of_a_closure_that_ran_on_another_thread() {
    run(async {
        let home = thread::current().id();
        let (value, thread) = spawn_blocking(|| (6 * 7, thread::current().id())).await.unwrap();
        assert_eq!(value, 42);
        assert_ne!(thread, home);
    });
}

#[test]
fn a_panic_in_the_closure_is_in_the_error_and_the_thread_goes_on() {
    let runtime = Builder::new().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let error = spawn_blocking(|| panic!("out of tea")).await.unwrap_err();
        assert!(error.is_panic());
        assert_eq!(error.to_string(), "the task panicked: out of tea");
        let error = spawn_blocking(|| std::panic::panic_any(7)).await.unwrap_err();
        assert_eq!(*error.into_panic().downcast::<i32>().unwrap(), 7);
        assert_eq!(spawn_blocking(|| 1).await.unwrap(), 1);
        assert_eq!(Handle::current().metrics().blocking_threads(), 1);
    });
}

#[test]
fn it_says_whether_it_is_finished() {
    finishes(|| {
        run(async {
            let work = Work::start();
            work.begun.recv().unwrap();
            assert!(!work.task.is_finished());
            work.end.send(()).unwrap();
            while !work.task.is_finished() {
                yield_now().await;
            }
            work.task.await.unwrap();
        });
    });
}

#[test]
fn the_loop_goes_on_while_a_thread_blocks() {
    finishes(|| {
        run(async {
            let work = Work::start();
            work.begun.recv().unwrap();
            let ticks = spawn(async {
                for _ in 0..10 {
                    sleep(Duration::from_millis(1)).await;
                }
                10
            });
            assert_eq!(ticks.await.unwrap(), 10);
            work.end.send(()).unwrap();
            work.task.await.unwrap();
        });
    });
}

#[test]
fn as_many_run_at_once_as_there_may_be_threads_and_no_more() {
    const MOST: usize = 3;
    finishes(|| {
        let runtime = Builder::new().max_blocking_threads(MOST).build().unwrap();
        let running = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        // Passes only when so many run at once.
        let together = Arc::new(Barrier::new(MOST));
        let order = runtime.block_on(async {
            let tasks: Vec<_> = (0..MOST * 20)
                .map(|index| {
                    let (running, most, together) = (running.clone(), most.clone(), together.clone());
                    spawn_blocking(move || {
                        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        together.wait();
                        running.fetch_sub(1, Ordering::SeqCst);
                        together.wait();
                        index
                    })
                })
                .collect();
            assert_eq!(Handle::current().metrics().blocking_threads(), MOST);
            gather(tasks).await.unwrap()
        });
        assert_eq!(order, (0..MOST * 20).collect::<Vec<_>>());
        assert_eq!(most.load(Ordering::SeqCst), MOST);
    });
}

#[test]
fn what_waits_in_the_queue_is_run_in_order() {
    finishes(|| {
        let runtime = Builder::new().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let (sender, receiver) = mpsc::channel();
            let tasks = (0..100).map(|index| {
                let sender = sender.clone();
                spawn_blocking(move || sender.send(index))
            });
            let tasks: Vec<_> = tasks.collect();
            gather(tasks).capture().await;
            assert_eq!(receiver.try_iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
        });
    });
}

#[test]
fn a_limit_of_zero_threads_is_one_thread() {
    finishes(|| {
        let runtime = Builder::new().max_blocking_threads(0).build().unwrap();
        assert_eq!(runtime.block_on(async { spawn_blocking(|| 1).await.unwrap() }), 1);
        assert_eq!(runtime.metrics().blocking_threads(), 1);
    });
}

#[test]
fn an_idle_thread_is_used_again_before_another_is_started() {
    finishes(|| {
        run(async {
            for _ in 0..50 {
                // The thread tells of the output before it is idle, so wait until it has told of
                // something else.
                let (ended, end) = mpsc::channel();
                spawn_blocking(move || ended.send(()).unwrap()).await.unwrap();
                end.recv().unwrap();
            }
            // A thread that was not idle yet when the next work came is at most one more each
            // time; not fifty.
            assert!(Handle::current().metrics().blocking_threads() <= 3);
        });
    });
}

#[test]
fn what_is_dropped_before_it_starts_is_not_run() {
    finishes(|| {
        let runtime = Builder::new().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let work = Work::start();
            let runs = Arc::new(AtomicUsize::new(0));
            let counted = runs.clone();
            let witness = Witness::new();
            let guard = witness.guard();
            let dropped = spawn_blocking(move || {
                let _guard = guard;
                counted.fetch_add(1, Ordering::SeqCst)
            });
            drop(dropped);
            work.begun.recv().unwrap();
            work.end.send(()).unwrap();
            // The only thread has passed over it when it comes to this.
            spawn_blocking(|| ()).await.unwrap();
            assert_eq!(runs.load(Ordering::SeqCst), 0);
            assert_eq!(witness.drops(), 1, "what the closure held is dropped, too");
            work.task.await.unwrap();
        });
    });
}

#[test]
fn a_closure_that_is_not_run_and_panics_when_it_is_dropped_costs_the_pool_no_thread() {
    finishes(|| {
        let runtime = Builder::new().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            for _ in 0..3 {
                let work = Work::start();
                let bomb = on_drop(|| panic!("a destructor panics"));
                drop(spawn_blocking(move || drop(bomb)));
                work.begun.recv().unwrap();
                work.end.send(()).unwrap();
                assert_eq!(spawn_blocking(|| 1).await.unwrap(), 1);
                work.task.await.unwrap();
            }
            assert_eq!(Handle::current().metrics().blocking_threads(), 1);
        });
    });
}

#[test]
fn a_thread_that_drops_an_output_that_nobody_wants_is_busy() {
    finishes(|| {
        run(async {
            let (drops, dropping) = mpsc::channel();
            let (end, ends) = mpsc::channel();
            let (begins, begun) = mpsc::channel();
            // Its output, which nobody wants any more, takes its time to be dropped: until other
            // work has run.
            let unwanted = spawn_blocking(move || {
                begins.send(()).unwrap();
                let _ = ends.recv();
                on_drop(move || {
                    drops.send(()).unwrap();
                    let _ = ends.recv();
                })
            });
            begun.recv().unwrap();
            drop(unwanted);
            end.send(()).unwrap();
            dropping.recv().unwrap();
            assert_eq!(spawn_blocking(|| 1).await.unwrap(), 1);
            drop(end);
        });
    });
}

#[test]
fn what_is_dropped_while_it_runs_runs_on_and_its_output_is_dropped() {
    finishes(|| {
        run(async {
            let (begins, begun) = mpsc::channel();
            let (end, ends) = mpsc::channel();
            let witness = Witness::new();
            let guard = witness.guard();
            let task = spawn_blocking(move || {
                begins.send(()).unwrap();
                ends.recv().unwrap();
                begins.send(()).unwrap();
                guard
            });
            begun.recv().unwrap();
            drop(task);
            assert_eq!(witness.drops(), 0);
            end.send(()).unwrap();
            begun.recv().unwrap();
            // The sender is gone when the thread is done with it.
            assert!(begun.recv().is_err());
            while witness.drops() == 0 {
                yield_now().await;
            }
        });
    });
}

#[test]
fn a_runtime_that_ends_drops_what_is_queued_and_does_not_wait_for_what_runs() {
    finishes(|| {
        let runtime = Builder::new().max_blocking_threads(1).build().unwrap();
        let (work, queued, witness) = runtime.block_on(async {
            let work = Work::start();
            work.begun.recv().unwrap();
            let witness = Witness::new();
            let guards: Vec<_> = (0..10).map(|_| witness.guard()).collect();
            let queued: Vec<_> =
                guards.into_iter().map(|guard| spawn_blocking(move || drop(guard))).collect();
            (work, queued, witness)
        });
        assert_eq!(witness.drops(), 0);
        drop(runtime);
        assert_eq!(witness.threads(), vec![thread::current().id(); 10], "dropped, not run");
        for task in queued {
            assert!(task.is_finished());
            assert!(run(task).unwrap_err().is_cancelled());
        }
        // What runs gives its output, also to another runtime.
        assert!(!work.task.is_finished());
        work.end.send(()).unwrap();
        run(work.task).unwrap();
    });
}

#[test]
fn the_idle_threads_end_with_the_runtime() {
    thread_local! {
        static SAYS_WHEN_THE_THREAD_ENDS: std::cell::RefCell<Option<Box<dyn std::any::Any>>> =
            const { std::cell::RefCell::new(None) };
    }
    finishes(|| {
        let (ended, ends) = mpsc::channel();
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let together = Arc::new(Barrier::new(4));
            let tasks = (0..4).map(|_| {
                let (ended, together) = (ended.clone(), together.clone());
                spawn_blocking(move || {
                    let says = on_drop(move || ended.send(()).unwrap());
                    SAYS_WHEN_THE_THREAD_ENDS.set(Some(Box::new(says)));
                    together.wait();
                })
            });
            let tasks: Vec<_> = tasks.collect();
            gather(tasks).await.unwrap();
        });
        assert!(ends.try_recv().is_err(), "idle threads wait for more");
        drop(runtime);
        (0..4).for_each(|_| ends.recv().unwrap());
    });
}

#[test]
fn a_thread_of_the_pool_may_run_a_runtime_with_a_pool_of_its_own() {
    finishes(|| {
        let depth = run(async {
            spawn_blocking(|| run(async { 1 + spawn_blocking(|| run(async { 1 })).await.unwrap() }))
                .await
                .unwrap()
        });
        assert_eq!(depth, 2);
    });
}

#[test]
fn a_thread_of_the_pool_runs_no_runtime_and_says_so() {
    run(async {
        assert!(spawn_blocking(Handle::try_current).await.unwrap().is_none());
        let error = spawn_blocking(|| spawn(async {})).await.unwrap_err();
        assert!(error.to_string().contains("needs a runtime"), "{error}");
        // It reaches the runtime through a handle.
        let handle = Handle::current();
        let task = spawn_blocking(move || handle.spawn(|| async { spawn_blocking(|| 1).await.unwrap() }));
        assert_eq!(task.await.unwrap().await.unwrap(), 1);
    });
}

#[test]
#[should_panic(expected = "gather::spawn_blocking needs a runtime")]
fn without_a_runtime_it_panics_and_says_so() {
    drop(spawn_blocking(|| ()));
}

#[test]
fn it_may_be_awaited_by_a_timeout_which_leaves_it_running() {
    finishes(|| {
        run(async {
            let mut work = Work::start();
            work.begun.recv().unwrap();
            assert!(timeout(Duration::from_millis(1), &mut work.task).await.is_err());
            work.end.send(()).unwrap();
            work.task.await.unwrap();
        });
    });
}

#[test]
fn many_short_ones_all_give_their_outputs() {
    finishes(|| {
        let sum = run(async {
            let tasks = (0..2000u64).map(|number| async move { spawn_blocking(move || number).await });
            gather(tasks).limit(16).await.unwrap().into_iter().sum::<u64>()
        });
        assert_eq!(sum, 1999 * 2000 / 2);
    });
}

#[test]
fn a_thread_that_is_in_a_foreign_waker_is_busy() {
    finishes(|| {
        run(async {
            let (begins, begun) = mpsc::channel();
            let (end, ends) = mpsc::channel::<()>();
            let ends = Mutex::new(ends);
            // The wake takes its time: until other work has run.
            let slow = foreign(move |done| {
                if done == Done::Wake {
                    begins.send(()).unwrap();
                    let _ = ends.lock().unwrap().recv();
                }
            });
            let mut work = Work::start();
            assert!(poll_once(&mut work.task, &slow).is_pending());
            work.end.send(()).unwrap();
            begun.recv().unwrap();
            assert_eq!(spawn_blocking(|| 1).await.unwrap(), 1);
            drop(end);
        });
    });
}

// ---- without threads

#[cfg(target_os = "linux")]
#[test]
fn where_no_thread_can_be_started_the_closure_comes_back() {
    alone("where_no_thread_can_be_started_the_closure_comes_back", || {
        run(async {
            let none = NoThreads::begin();
            let error = try_spawn_blocking(|| 1).unwrap_err();
            assert!(
                error.to_string().contains("the pool has no thread, and the system starts none"),
                "{error}"
            );
            assert!(format!("{error:?}").contains("NoThread"), "{error:?}");
            assert_eq!(error.into_inner()(), 1);
            assert_eq!(Handle::current().metrics().blocking_threads(), 0);
            drop(none);
            assert_eq!(try_spawn_blocking(|| 2).unwrap().await.unwrap(), 2);
        });
    });
}

#[cfg(target_os = "linux")]
#[test]
fn where_no_further_thread_can_be_started_work_waits_for_one_that_is_there() {
    alone("where_no_further_thread_can_be_started_work_waits_for_one_that_is_there", || {
        run(async {
            let work = Work::start();
            work.begun.recv().unwrap();
            let none = NoThreads::begin();
            let waits = try_spawn_blocking(|| 1).unwrap();
            drop(none);
            work.end.send(()).unwrap();
            assert_eq!(waits.await.unwrap(), 1);
            assert_eq!(Handle::current().metrics().blocking_threads(), 1);
            work.task.await.unwrap();
        });
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_no_thread_can_look_up_is_an_error_and_an_address_needs_none() {
    alone("a_name_that_no_thread_can_look_up_is_an_error_and_an_address_needs_none", || {
        run(async {
            let none = NoThreads::begin();
            let listener = TcpListener::bind(HERE).await.unwrap();
            let name = ("localhost", listener.local_addr().unwrap().port());
            let socket = UdpSocket::bind(HERE).await.unwrap();
            let errors = [
                TcpStream::connect(name).await.unwrap_err(),
                TcpListener::bind("localhost:0").await.unwrap_err(),
                UdpSocket::bind("localhost:0").await.unwrap_err(),
                socket.send_to(b"datagram", name).await.unwrap_err(),
                socket.connect(name).await.unwrap_err(),
            ];
            drop(none);
            for error in errors {
                assert!(error.to_string().contains("cannot look up the name \"localhost\""), "{error}");
                // Callers try again at once after that.
                assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock);
            }
            TcpStream::connect(name).await.unwrap();
        });
    });
}

#[test]
fn a_runtime_that_ends_gives_the_closure_back_and_looks_up_no_name() {
    finishes(|| {
        let runtime = Builder::new().max_blocking_threads(1).build().unwrap();
        let (tell, told) = mpsc::channel();
        let work = runtime.block_on(async {
            let work = Work::start();
            // Dropped when the pool is closed.
            let queued = on_drop(move || {
                let error = try_spawn_blocking(|| 1).unwrap_err();
                assert_eq!(error.to_string(), "the runtime is ending");
                let mut look_up = Box::pin(TcpStream::connect("localhost:80"));
                let looked_up = poll_once(&mut look_up, Waker::noop());
                tell.send((error.into_inner()(), looked_up)).unwrap();
            });
            drop(spawn_blocking(move || drop(queued)));
            work.begun.recv().unwrap();
            work
        });
        drop(runtime);
        let (output, looked_up) = told.recv().unwrap();
        assert_eq!(output, 1);
        assert!(matches!(looked_up, Poll::Ready(Err(_))), "{looked_up:?}");
        work.end.send(()).unwrap();
    });
}

// ---- names

#[test]
fn a_name_is_looked_up_while_all_threads_are_at_work() {
    finishes(|| {
        let runtime = Builder::new().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let work = Work::start();
            work.begun.recv().unwrap();
            let waits = spawn_blocking(|| ());
            let listener = TcpListener::bind("localhost:0").await.unwrap();
            let name = ("localhost", listener.local_addr().unwrap().port());
            TcpStream::connect(name).await.unwrap();
            assert!(!waits.is_finished());
            assert_eq!(Handle::current().metrics().blocking_threads(), 2);
            work.end.send(()).unwrap();
            waits.await.unwrap();
        });
    });
}

#[cfg(target_os = "linux")]
#[test]
fn the_threads_that_look_up_names_end_with_the_runtime() {
    alone("the_threads_that_look_up_names_end_with_the_runtime", || {
        let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
        let before = threads();
        let runtime = Runtime::new().unwrap();
        runtime.block_on(TcpListener::bind("localhost:0")).unwrap();
        assert_eq!(runtime.metrics().blocking_threads(), 1);
        assert_eq!(threads(), before + 1);
        drop(runtime);
        while threads() > before {
            thread::yield_now();
        }
    });
}

#[test]
fn the_virtual_clock_does_not_leap_while_a_name_is_looked_up() {
    finishes(|| {
        let runtime = Builder::new().virtual_clock(true).build().unwrap();
        runtime.block_on(async {
            let hour = Duration::from_secs(3600);
            for _ in 0..20 {
                timeout(hour, TcpListener::bind("localhost:0")).await.unwrap().unwrap();
            }
        });
    });
}

// ---- with a virtual clock

#[test]
fn the_virtual_clock_does_not_leap_while_a_thread_is_at_work() {
    finishes(|| {
        let runtime = Builder::new().virtual_clock(true).build().unwrap();
        runtime.block_on(async {
            let start = now();
            let mut work = Work::start();
            work.begun.recv().unwrap();
            let mut sleeping = sleep(Duration::from_secs(3600));
            assert!(poll_once(&mut sleeping, Waker::noop()).is_pending());
            // The loop sleeps until this thread ends the work.
            let end = work.end.clone();
            let handle = Handle::current();
            let ends = thread::spawn(move || {
                // A task that other threads start still runs, and time stands.
                let at = futures_lite::future::block_on(handle.spawn(|| async { now() })).unwrap();
                end.send(()).unwrap();
                at
            });
            (&mut work.task).await.unwrap();
            assert_eq!(ends.join().unwrap(), start);
            assert_eq!(now(), start);
            sleeping.await;
            assert_eq!(now() - start, Duration::from_secs(3600));
        });
    });
}

#[test]
fn the_virtual_clock_leaps_on_when_work_that_nobody_waits_for_is_done() {
    finishes(|| {
        let runtime = Builder::new().virtual_clock(true).build().unwrap();
        runtime.block_on(async {
            let start = now();
            let work = Work::start();
            work.begun.recv().unwrap();
            drop(work.task);
            // Another thread ends the work when the loop has gone to sleep.
            let this_thread = SystemThread::current();
            thread::spawn(move || {
                this_thread.wait_until('S');
                work.end.send(()).unwrap();
            });
            sleep(Duration::from_secs(1)).await;
            assert_eq!(now() - start, Duration::from_secs(1));
        });
    });
}

#[test]
fn the_virtual_clock_leaps_on_when_a_thread_has_given_its_output_and_is_not_idle_yet() {
    finishes(|| {
        let runtime = Builder::new().virtual_clock(true).build().unwrap();
        runtime.block_on(async {
            let start = now();
            let mut work = Work::start();
            work.begun.recv().unwrap();
            let this_thread = SystemThread::current();
            poll_fn(|cx| {
                // The thread wakes the main future, and then is slow: it comes back when the loop
                // sleeps again.
                let (main, this_thread) = (cx.waker().clone(), this_thread.clone());
                let slow = foreign(move |done| {
                    if done == Done::Wake {
                        main.wake_by_ref();
                        this_thread.wait_until('S');
                    }
                });
                let polled = poll_once(&mut work.task, &slow);
                let _ = work.end.send(());
                polled
            })
            .await
            .unwrap();
            sleep(Duration::from_secs(1)).await;
            assert_eq!(now() - start, Duration::from_secs(1));
        });
    });
}

#[test]
fn the_virtual_clock_leaps_on_after_each_piece_of_work() {
    finishes(|| {
        let runtime = Builder::new().virtual_clock(true).build().unwrap();
        runtime.block_on(async {
            let start = now();
            for _ in 0..2000 {
                spawn_blocking(|| ()).await.unwrap();
                sleep(Duration::from_secs(1)).await;
            }
            assert_eq!(now() - start, Duration::from_secs(2000));
        });
    });
}

#[test]
fn a_task_that_awaits_a_thread_and_one_that_sleeps_share_the_loop() {
    finishes(|| {
        run(async {
            let other = spawn(async {
                some_turns().await;
                letters_are_read().await;
                1
            });
            let both = gather([spawn_blocking(|| 2), spawn_blocking(|| 3)]).await.unwrap();
            assert_eq!((other.await.unwrap(), both), (1, vec![2, 3]));
        });
    });
}
