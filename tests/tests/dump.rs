//! Looking into a runtime: the tree of a dump, the warning of a gather that nobody polls, and the
//! end of a run in which all tasks are asleep. What the documentation shows of them is made here.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::mpsc;
use std::task::Context;
use std::thread;
use std::time::{Duration, Instant};

use gather::dump::{Dump, NodeKind, State, Status};
use gather::{
    Builder, Handle, Runtime, Task, dump, gather, run, scope, sleep, spawn, spawn_blocking, yield_now,
};
use gather_tests::alone::{check, command, is_alone};
use gather_tests::guide;
use gather_tests::probe::Probe;

const SECOND: Duration = Duration::from_secs(1);

/// Runs a future on the virtual clock.
fn run_virtually<F: Future>(future: F) -> F::Output {
    Builder::new().virtual_clock(true).build().expect("there are descriptors").block_on(future)
}

/// A dump as text, without the numbers of the runtime and the lines of this file, which say
/// nothing.
#[track_caller]
fn text_of(dump: &Dump) -> String {
    assert_eq!(dump.status, Status::Taken);
    without_places(&dump.to_string())
}

fn without_places(text: &str) -> String {
    let places = text.split(" (").map(|part| part.split_once("):").map_or(part, |(_, rest)| rest));
    let mut shown = String::new();
    for (position, part) in places.enumerate() {
        shown += if position == 0 { "" } else { ":" };
        shown += part;
    }
    shown
}

// ---- the tree

/// A page: its head, then two parts of it at the same time.
async fn page(name: &'static str, slow: u64) -> Result<(), ()> {
    sleep(SECOND).await;
    let parts = [slow, 1].map(async |seconds| {
        sleep(SECOND * seconds as u32).await;
        Ok(())
    });
    gather(parts).named(name).await.map(drop)
}

/// Three pages for four seconds, and what was to be seen half a second before.
async fn site() -> Dump {
    let watcher = spawn(async {
        sleep(Duration::from_millis(3500)).await;
        dump()
    })
    .named("watcher");
    let clock = spawn(sleep(60 * SECOND)).named("clock");
    let pages = [page("front", 60), page("back", 5), page("index", 1)];
    let mut all = pin!(gather(pages).named("pages"));
    let early = gather::timeout(4 * SECOND, all.as_mut()).await;
    assert!(early.is_err());
    drop(clock);
    watcher.await.unwrap()
}

// CPython: test_stack_gather
#[test]
fn the_dump_of_nested_gathers_is_the_tree_of_what_waits_for_what() {
    let shown = run_virtually(site());
    assert_eq!(
        text_of(&shown),
        r#"run: 2 tasks, 3 gathers, 4 timers, 0 sockets
  main: waiting for 1.5 s, polled 3 times
    gather "pages": 2 waiting, 0 ready, 1 done, polled 3 times, last 1.5 s ago
      #0: waiting for 1.5 s
        gather "front": 1 waiting, 0 ready, 1 done, polled 2 times, last 1.5 s ago
          #0: waiting for 2.5 s
      #1: waiting for 1.5 s
        gather "back": 1 waiting, 0 ready, 1 done, polled 2 times, last 1.5 s ago
          #0: waiting for 2.5 s
  task "watcher": running, polled 2 times
  task "clock": waiting for 3.5 s, polled once"#
    );
}

// CPython: test_stack_tgroup (the body is child 0)
#[test]
fn the_dump_of_a_scope_in_a_scope_is_the_tree_of_what_waits_for_what() {
    let inner = async |seconds: u32| {
        scope(async |s| {
            s.spawn(async {
                sleep(SECOND * seconds).await;
                Ok::<_, ()>(())
            });
            Ok(())
        })
        .await
    };
    let shown = run_virtually(async {
        let watcher = spawn(async {
            sleep(Duration::from_millis(1500)).await;
            dump()
        })
        .named("watcher");
        scope(async |s| {
            s.spawn(inner(1));
            s.spawn(inner(2));
            let slow = s.spawn(inner(3));
            slow.await.unwrap();
            Ok::<_, ()>(())
        })
        .await
        .unwrap();
        watcher.await.unwrap()
    });
    assert_eq!(
        text_of(&shown),
        r#"run: 1 task, 3 gathers, 2 timers, 0 sockets
  main: waiting for 500 ms, polled 2 times
    scope: 3 waiting, 0 ready, 1 done, polled 2 times, last 500 ms ago
      #0: waiting for 1.5 s
      #2: waiting for 1.5 s
        scope: 1 waiting, 0 ready, 1 done, polled once, last 1.5 s ago
          #1: waiting for 1.5 s
      #3: waiting for 1.5 s
        scope: 1 waiting, 0 ready, 1 done, polled once, last 1.5 s ago
          #1: waiting for 1.5 s
  task "watcher": running, polled 2 times"#
    );
}

#[test]
fn the_guide_shows_the_dump_of_nested_gathers_as_it_is() {
    let heading = "The dump";
    guide::assert_shown_as_in(include_str!("dump.rs"), heading);
    assert_eq!(without_places(&guide::printed_under(heading)), text_of(&run_virtually(site())));
    // The README has the beginning of it.
    let readme = include_str!("../../README.md").split("```text\n").nth(1).expect("it shows a dump");
    let (shown, _) = readme.split_once("\n```").expect("that ends");
    assert!(guide::printed_under(heading).starts_with(shown), "{shown}");
}

#[test]
fn a_task_that_is_awaited_stands_under_who_awaits_it() {
    let shown = run_virtually(async {
        let tasks: Vec<_> = (0..3).map(|_| spawn(sleep(SECOND))).collect();
        let all = spawn(async { gather(tasks).named("tasks").await.map(drop) }).named("all");
        yield_now().await;
        yield_now().await;
        let shown = dump();
        drop(all);
        shown
    });
    let depths: Vec<_> = shown
        .nodes
        .iter()
        .map(|node| match &node.kind {
            NodeKind::Main => (node.depth, "main"),
            NodeKind::Task { name: Some(_), .. } => (node.depth, "all"),
            NodeKind::Task { .. } => (node.depth, "task"),
            NodeKind::Group { .. } => (node.depth, "gather"),
            NodeKind::Child { .. } => (node.depth, "child"),
            _ => (node.depth, "?"),
        })
        .collect();
    let child = [(2, "child"), (3, "task")];
    let expected =
        [(0, "main"), (0, "all"), (1, "gather")].into_iter().chain(child).chain(child).chain(child);
    assert_eq!(depths, expected.collect::<Vec<_>>());
}

#[test]
fn a_dump_says_where_a_task_was_spawned_and_which_it_is() {
    run(async {
        let (task, line) = (spawn(pending::<()>()), line!());
        let id = task.id();
        let shown = dump();
        let found = shown.nodes.iter().find_map(|node| match &node.kind {
            NodeKind::Task { id, spawned_at, .. } => {
                Some((*id, spawned_at.file(), spawned_at.line(), node.state))
            }
            _ => None,
        });
        assert_eq!(found, Some((id, file!(), line, State::Ready)));
        assert!(shown.to_string().contains(&format!("task {id} ({}:{line}:", file!())), "{shown}");
    });
}

#[test]
fn a_dump_polls_nothing_and_wakes_nobody() {
    run_virtually(async {
        let probe = Probe::new();
        let polls = probe.clone();
        let task = spawn(async move { gather([polls.never()]).capture().await.len() });
        yield_now().await;
        let before = (probe.polls(), Handle::current().metrics().wakes());
        for _ in 0..10 {
            dump();
        }
        yield_now().await;
        assert_eq!(probe.polls(), before.0);
        // The one wake is of the `yield_now`.
        assert_eq!(Handle::current().metrics().wakes(), before.1 + 1);
        drop(task);
    });
}

#[test]
fn of_a_million_children_the_slowest_few_are_listed_and_the_others_counted() {
    let shown = run_virtually(async {
        let watcher = spawn(async {
            sleep(10 * SECOND).await;
            dump()
        });
        // Every one ticks each second, but for three that hang.
        let child = async |index: usize| {
            let period = if index % 400_000 == 7 { Duration::MAX } else { 4 * SECOND };
            loop {
                sleep(period).await;
            }
        };
        let all = gather((0..1_000_000).map(child)).capture();
        assert!(gather::timeout(11 * SECOND, all).await.is_err());
        watcher.await.unwrap()
    });
    let shown = text_of(&shown);
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines.len() < 20, "{shown}");
    assert!(lines[2].contains("gather: 1000000 waiting, 0 ready, 0 done, polled "), "{shown}");
    for (line, index) in lines[3..6].iter().zip([7, 400_007, 800_007]) {
        assert_eq!(line.trim(), format!("#{index}: waiting for 10.0 s"), "{shown}");
    }
    assert!(lines[6].contains(": waiting for 2.0 s"), "{shown}");
    assert_eq!(lines[11].trim(), "… and 999992 more", "{shown}");
}

#[test]
fn a_child_that_ends_and_one_that_takes_its_slot_are_told_apart_by_their_indices() {
    run_virtually(async {
        let child = async |index: u64| sleep(SECOND * (1 + index as u32)).await;
        let mut all = pin!(gather((0..5).map(child)).limit(2).capture());
        assert!(gather::timeout(Duration::from_millis(2500), all.as_mut()).await.is_err());
        let shown = dump();
        let indices: Vec<_> = shown
            .nodes
            .iter()
            .filter_map(|node| match node.kind {
                NodeKind::Child { index } => Some(index),
                _ => None,
            })
            .collect();
        assert_eq!(indices, [2, 3], "{shown}");
    });
}

#[test]
fn a_dump_of_ten_thousand_levels_is_shown_and_dropped_without_recursion() {
    run(async {
        // Each task awaits the one before.
        let mut task = spawn(pending::<()>());
        for _ in 0..10_000 {
            task = spawn(async move { task.await.unwrap() });
        }
        for _ in 0..3 {
            yield_now().await;
        }
        let shown = dump();
        assert_eq!(shown.nodes.iter().map(|node| node.depth).max(), Some(10_000));
        assert!(shown.to_string().len() > 500_000);
        task.detach();
    });
}

#[test]
fn what_is_awaited_through_another_librarys_waker_stands_at_the_top() {
    run(async {
        let mut all = Box::pin(gather([pending::<()>()]).capture());
        assert!(all.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())).is_pending());
        let shown = dump();
        assert!(
            shown.nodes.iter().any(|node| node.depth == 0 && matches!(node.kind, NodeKind::Group { .. })),
            "{shown}"
        );
    });
}

// ---- from another thread

#[test]
fn another_thread_takes_the_dump_of_a_loop_that_sleeps() {
    let shown = run(async {
        let handle = Handle::current();
        let sleeper = spawn(sleep(60 * SECOND)).named("sleeper");
        let shown = spawn_blocking(move || handle.dump()).await.unwrap();
        drop(sleeper);
        shown
    });
    assert!(text_of(&shown).contains("task \"sleeper\": waiting for "), "{shown}");
}

#[test]
fn the_dump_of_a_runtime_that_does_not_answer_says_so() {
    let (sender, receiver) = mpsc::channel();
    let home = thread::spawn(move || {
        let (open, opened) = mpsc::channel::<()>();
        run(async {
            sender.send((Handle::current(), open)).unwrap();
            opened.recv().unwrap_err(); // blocks the loop
        });
    });
    let (handle, open) = receiver.recv().unwrap();
    let shown = handle.dump();
    assert_eq!(
        (shown.status, shown.to_string()),
        (Status::NoAnswer, "run: its loop has not come round for a second".into())
    );
    drop(open);
    home.join().unwrap();
    assert_eq!(handle.dump().status, Status::NoRuntime);
    assert_eq!(dump().to_string(), "run: there is no runtime");
}

// ---- gathers that nobody polls

/// Holds a gather whose child has a lock, and waits for that lock: the shape of a futurelock. It
/// is let go after ten seconds.
async fn futurelock() {
    let lock = Rc::new(async_lock::Mutex::new(()));
    let child = async |seconds: u32| {
        let _guard = lock.lock().await;
        sleep(SECOND * seconds).await;
    };
    let mut both = pin!(gather([1, 1].map(child)).named("lock holders").capture());
    assert!(gather::timeout(Duration::from_millis(100), both.as_mut()).await.is_err());
    // Nobody polls the gather now, and its first child has the lock.
    assert!(gather::timeout(10 * SECOND, lock.lock()).await.is_err());
    both.await;
}

#[test]
fn a_gather_that_is_held_and_not_polled_though_its_children_were_woken_is_reported_once_with_the_tree() {
    let test =
        "a_gather_that_is_held_and_not_polled_though_its_children_were_woken_is_reported_once_with_the_tree";
    if is_alone(test) {
        let runtime = Builder::new().virtual_clock(true).stall_warning(2 * SECOND).build().unwrap();
        return runtime.block_on(futurelock());
    }
    let output = command(test).output().unwrap();
    check(test, &output);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(complaint.matches("nobody has polled the gather since").count(), 1, "{complaint}");
    let tree = "\
run: 0 tasks, 1 gather, 1 timer, 0 sockets
  main: waiting for 2.0 s, polled 3 times
    gather \"lock holders\": 1 waiting, 1 ready, 0 done, polled 2 times, last 2.9 s ago
      #0: ready, not polled for 3.0 s
      #1: waiting for 3.0 s";
    assert!(complaint.contains(tree), "{complaint}");
    // The guide has the whole of it.
    let heading = "The warning of a gather that nobody polls";
    guide::assert_shown_as_in(include_str!("dump.rs"), heading);
    let shown = guide::printed_under(heading);
    assert!(complaint.contains(&shown), "the guide shows:\n{shown}\nand it said:\n{complaint}");
}

/// Said by a test in whose process a gather was in fact not polled for as long as a stall takes,
/// because the machine is busy.
const TOO_SLOW: &str = "the machine was too slow for this test";

fn say_if_too_slow(took: Duration, allowed: Duration) {
    if took >= allowed {
        eprintln!("{TOO_SLOW}");
    }
}

/// Runs the test in a process of its own.
#[track_caller]
fn check_that_no_stall_is_reported(test: &str) {
    let output = command(test).output().unwrap();
    check(test, &output);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(!complaint.contains("nobody has polled") || complaint.contains(TOO_SLOW), "{complaint}");
}

#[test]
fn gathers_that_are_polled_in_time_are_not_reported_however_long_they_wait() {
    let test = "gathers_that_are_polled_in_time_are_not_reported_however_long_they_wait";
    if is_alone(test) {
        let runtime = Builder::new().virtual_clock(true).stall_warning(SECOND).build().unwrap();
        return runtime.block_on(async {
            let children = (0..100).map(|index| sleep(SECOND * index));
            gather(children).limit(7).capture().await;
        });
    }
    check_that_no_stall_is_reported(test);
}

#[test]
fn a_stall_is_reported_in_time_on_the_real_clock_though_nothing_else_wakes_the_loop() {
    let test = "a_stall_is_reported_in_time_on_the_real_clock_though_nothing_else_wakes_the_loop";
    if is_alone(test) {
        let runtime = Builder::new().stall_warning(Duration::from_millis(50)).build().unwrap();
        return runtime.block_on(async {
            // With a socket, events may still come, so the run waits for the parent as long as
            // that takes.
            let _socket = gather::UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let gate = gather_tests::gate::Gate::new();
            let mut held = pin!(gather([yield_now()]).capture());
            assert!(gather::timeout(Duration::ZERO, held.as_mut()).await.is_err());
            // Only the parent ends this: when it has read the report.
            let opener = gate.clone();
            thread::spawn(move || {
                let mut line = String::new();
                std::io::stdin().read_line(&mut line).unwrap();
                opener.open();
            });
            gate.pass().await;
        });
    }
    let mut child = command(test)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let complaint = std::io::BufReader::new(child.stderr.take().unwrap());
    let reported =
        std::io::BufRead::lines(complaint).map(Result::unwrap).any(|line| line.contains("nobody has polled"));
    assert!(reported);
    drop(child.stdin.take());
    check(test, &child.wait_with_output().unwrap());
}

// ---- all tasks asleep

/// What a panic said.
fn message_of(f: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(f)).expect_err("it panics");
    panic.downcast_ref::<String>().expect("a message").clone()
}

#[test]
fn a_run_on_the_virtual_clock_in_which_nothing_can_ever_run_again_panics_with_the_tree() {
    let message = message_of(|| {
        run_virtually(async {
            let _task = spawn(pending::<()>()).named("waits for nobody");
            gather([pending::<()>()]).named("stuck").capture().await;
        });
    });
    assert!(message.starts_with("all tasks are asleep: "), "{message}");
    for line in
        ["gather \"stuck\": 1 waiting, 0 ready, 0 done", "#0: waiting for ", "task \"waits for nobody\""]
    {
        assert!(message.contains(line), "{message}");
    }
}

#[test]
fn the_guide_shows_the_panic_of_a_run_in_which_all_tasks_are_asleep_as_it_is() {
    let message = message_of(|| {
        run_virtually(async { gather([pending::<()>()]).named("stuck").capture().await });
    });
    assert_eq!(guide::printed_under("All tasks are asleep"), message);
}

#[test]
fn a_runtime_in_which_all_tasks_were_asleep_can_be_used_again() {
    let runtime = Builder::new().virtual_clock(true).build().unwrap();
    assert!(message_of(|| runtime.block_on(pending::<()>())).contains("main: waiting for "));
    assert_eq!(runtime.block_on(async { spawn(async { 1 }).await.unwrap() }), 1);
}

#[test]
fn a_thread_that_wakes_something_in_time_keeps_a_run_on_the_virtual_clock_from_panicking() {
    run_virtually(async {
        let gate = gather_tests::gate::Gate::new();
        let passes = gate.pass();
        let thread = thread::spawn(move || gate.open());
        passes.await;
        thread.join().unwrap();
        // A thread of the pool may take as long as it likes.
        let (open, opened) = mpsc::channel::<()>();
        let waits = spawn_blocking(move || opened.recv().is_err());
        let handle = Handle::current();
        thread::spawn(move || {
            assert_eq!(handle.dump().status, Status::Taken);
            drop(open);
        });
        assert!(waits.await.unwrap());
    });
}

#[test]
fn a_name_of_a_task_ends_with_the_task() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let count = Rc::new(Cell::new(0));
        spawn(async {}).named("first").await.unwrap();
        let _second = spawn(async move { count.set(1) });
        assert!(!dump().to_string().contains("first"));
    });
}

// ---- what a review found

#[test]
fn tasks_that_await_each_other_in_a_ring_are_shown() {
    run_virtually(async {
        let slot: Rc<RefCell<Option<Task<()>>>> = Rc::default();
        let there = slot.clone();
        let left = spawn(async move {
            let right = there.take().unwrap();
            let _ = right.await;
        })
        .named("left");
        let right = spawn(async move { left.await.unwrap() }).named("right");
        *slot.borrow_mut() = Some(right);
        for _ in 0..4 {
            yield_now().await;
        }
        let shown = dump().to_string();
        assert!(shown.contains("\n  task \"left\"") && shown.contains("\n    task \"right\""), "{shown}");
    });
}

#[test]
fn a_task_that_is_awaited_by_a_child_of_a_gather_in_its_first_poll_is_shown() {
    run_virtually(async {
        let task = spawn(pending::<()>()).named("awaited");
        let shown = RefCell::new(String::new());
        let children: [Pin<Box<dyn Future<Output = ()>>>; 2] = [
            Box::pin(async { task.await.unwrap() }),
            Box::pin(async { *shown.borrow_mut() = dump().to_string() }),
        ];
        gather(children).capture().within(SECOND).await;
        assert!(shown.borrow().contains("task \"awaited\""), "{}", shown.borrow());
    });
}

#[test]
fn a_stream_that_has_given_something_at_each_poll_is_shown_with_the_children_that_stand_still() {
    run_virtually(async {
        let children: [Pin<Box<dyn Future<Output = ()>>>; 2] =
            [Box::pin(sleep(Duration::from_millis(10))), Box::pin(async {})];
        let mut stream = gather(children).named("held").stream();
        assert_eq!(stream.next().await, Some((1, ())));
        sleep(5 * SECOND).await;
        let shown = dump().to_string();
        assert!(shown.contains("stream \"held\": 0 waiting, 1 ready, 1 done"), "{shown}");
        assert!(shown.contains("#0: ready, not polled for 5.0 s"), "{shown}");
    });
}

#[test]
fn a_dump_that_is_asked_for_while_the_runtime_ends_says_that_there_is_none() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    // Whether the question comes before the end or after it, the answer is the same.
    let asks = thread::spawn(move || handle.dump().status);
    drop(runtime);
    assert_eq!(asks.join().unwrap(), Status::NoRuntime);
}

// The clock leaps only if no socket has anything.
#[test]
fn a_ping_pong_over_the_loopback_takes_no_time_on_the_virtual_clock() {
    run_virtually(async {
        let listener = gather::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let left = gather::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (right, _) = listener.accept().await.unwrap();
        let start = gather::now();
        let pings = async {
            for _ in 0..100 {
                left.write_all(b"x").await?;
                left.read_exact(&mut [0]).await?;
            }
            Ok::<_, std::io::Error>(())
        };
        let pongs = async {
            for _ in 0..100 {
                right.read_exact(&mut [0]).await?;
                right.write_all(b"x").await?;
            }
            Ok(())
        };
        gather::timeout(5 * SECOND, gather!(pings, pongs)).await.expect("nobody is slow").unwrap();
        assert!(gather::now() - start < 5 * SECOND);
    });
}

#[test]
fn a_gather_that_is_held_for_a_short_time_after_a_long_rest_of_the_runtime_is_not_reported() {
    let test = "a_gather_that_is_held_for_a_short_time_after_a_long_rest_of_the_runtime_is_not_reported";
    if is_alone(test) {
        let after = SECOND / 2;
        let runtime = Builder::new().stall_warning(after).build().unwrap();
        // The runtime rests until a thread has slept: nothing is waited for here but time.
        thread::spawn(|| thread::sleep(SECOND)).join().unwrap();
        return runtime.block_on(async {
            let begins = Instant::now();
            let mut held = pin!(gather([yield_now()]).capture());
            assert!(gather::timeout(Duration::ZERO, held.as_mut()).await.is_err());
            sleep(Duration::from_millis(10)).await;
            say_if_too_slow(begins.elapsed(), after);
        });
    }
    check_that_no_stall_is_reported(test);
}

#[test]
fn a_gather_that_is_polled_all_the_time_is_not_reported_though_some_children_are_always_woken() {
    let test = "a_gather_that_is_polled_all_the_time_is_not_reported_though_some_children_are_always_woken";
    if is_alone(test) {
        let after = Duration::from_millis(250);
        let runtime = Builder::new().stall_warning(after).build().unwrap();
        return runtime.block_on(async {
            let start = Instant::now();
            // More than one poll of the gather can poll.
            let children = (0..1000).map(|_| {
                std::future::poll_fn(move |cx| {
                    cx.waker().wake_by_ref();
                    match start.elapsed() < 4 * after {
                        true => std::task::Poll::Pending,
                        false => std::task::Poll::Ready(()),
                    }
                })
            });
            let mut all = pin!(gather(children).capture());
            let (mut last, mut longest) = (start, Duration::ZERO);
            std::future::poll_fn(|cx| {
                longest = longest.max(std::mem::replace(&mut last, Instant::now()).elapsed());
                all.as_mut().poll(cx)
            })
            .await;
            // The loop's clock is behind by up to a turn.
            say_if_too_slow(longest * 2, after);
        });
    }
    check_that_no_stall_is_reported(test);
}

#[test]
fn a_sleep_after_the_virtual_clock_went_on_to_report_a_stall_takes_its_time() {
    let test = "a_sleep_after_the_virtual_clock_went_on_to_report_a_stall_takes_its_time";
    if is_alone(test) {
        let runtime = Builder::new().virtual_clock(true).stall_warning(60 * SECOND).build().unwrap();
        return runtime.block_on(async {
            // With a socket, events may still come, so the run waits for the parent as long as
            // that takes.
            let _socket = gather::UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let gate = gather_tests::gate::Gate::new();
            let mut held = pin!(gather([yield_now()]).capture());
            assert!(gather::timeout(Duration::ZERO, held.as_mut()).await.is_err());
            // Only the parent ends this: when it has read the report.
            let opener = gate.clone();
            thread::spawn(move || {
                let mut line = String::new();
                std::io::stdin().read_line(&mut line).unwrap();
                opener.open();
            });
            gate.pass().await;
            let begins = gather::now();
            sleep(SECOND / 10).await;
            assert_eq!(gather::now() - begins, SECOND / 10);
        });
    }
    let mut child = command(test)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let complaint = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut lines = std::io::BufRead::lines(complaint).map(Result::unwrap);
    assert!(lines.any(|line| line.contains("nobody has polled")));
    drop(child.stdin.take());
    let rest: Vec<_> = lines.collect();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{rest:#?}");
}
