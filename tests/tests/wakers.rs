//! Attacks the unsafe code of `runtime/src/waker.rs` through the public API: wakers that outlive
//! what they wake, on any thread, in any order and number. And the other side: wakers of other
//! libraries that misbehave while this runtime holds them.

#![allow(clippy::async_yields_async, reason = "what waits is handed from one main future to another")]

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use gather::{
    Builder, Canceller, Handle, Runtime, Task, TcpListener, gather, run, sleep, spawn, spawn_blocking,
    yield_now,
};
use gather_tests::alone::alone;
use gather_tests::foreign::{Done, counter, foreign, panicking};
use gather_tests::gate::Gate;
use gather_tests::probe::{Probe, elsewhere, letters_are_read, poll_once, some_turns};
use gather_tests::watchdog::finishes;
use gather_tests::witness::{Witness, on_drop};

const HOUR: Duration = Duration::from_secs(3600);

/// By reference, by value, twice, as a clone and as a clone of a clone.
fn use_in_every_way(waker: &Waker) {
    waker.wake_by_ref();
    let clone = waker.clone();
    assert!(clone.will_wake(waker));
    clone.wake();
    let clone_of_a_clone = waker.clone().clone();
    clone_of_a_clone.wake();
    drop(waker.clone());
    waker.wake_by_ref();
}

fn use_all(wakers: &[Waker]) {
    wakers.iter().for_each(use_in_every_way);
}

/// Uses them on another thread, while the loop stands, so that it takes all those wakes together.
async fn use_all_elsewhere(wakers: &[Waker]) {
    thread::scope(|scope| scope.spawn(|| use_all(wakers)).join().unwrap());
    letters_are_read().await;
}

/// The wakers of a main future, of a task and of a gather's child, all of them over.
fn late_wakers() -> Vec<Waker> {
    let [main, task, child] = [Probe::new(), Probe::new(), Probe::new()];
    run(async {
        spawn(task.ready_at(1)).await.unwrap();
        gather([child.ready_at(1)]).capture().await;
        main.ready_at(1).await;
    });
    vec![main.waker(), task.waker(), child.waker()]
}

// ---- wakers that outlive what they wake

#[test]
fn waking_a_task_that_is_finished_or_cancelled_does_nothing() {
    run(async {
        let [finished, cancelled] = [Probe::new(), Probe::new()];
        spawn(finished.ready_at(1)).await.unwrap();
        let task = spawn(cancelled.never());
        some_turns().await;
        task.cancel();
        let late = [finished.waker(), cancelled.waker()];
        use_all(&late);
        use_all_elsewhere(&late).await;
        assert_eq!([finished.polls(), cancelled.polls()], [1, 1]);
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_late_wake_does_not_poll_the_task_that_took_the_row() {
    run(async {
        let mut late = Vec::new();
        for _ in 0..1000 {
            let probe = Probe::new();
            spawn(probe.ready_at(1)).await.unwrap();
            late.push(probe.waker());
        }
        let probe = Probe::new();
        let task = spawn(probe.never());
        some_turns().await;
        use_all(&late);
        use_all_elsewhere(&late).await;
        assert_eq!(probe.polls(), 1);
        assert!(!task.is_finished());
    });
}

/// Runs `count` children, one after the other in the same slot of a gather. Each, at its first
/// poll, uses those wakers of its predecessors that `which` selects, and then waits for a timer.
/// Returns the most polls that one of them had.
fn most_polls_of_a_successor(count: usize, which: fn(&[Waker]) -> &[Waker]) -> usize {
    let late = RefCell::new(Vec::new());
    let most = Cell::new(0);
    let child = |index: usize| {
        let probe = Probe::new();
        let mut sleep = sleep(HOUR);
        let (late, most) = (&late, &most);
        poll_fn(move |cx: &mut Context<'_>| {
            probe.note(cx);
            if probe.polls() == 1 {
                use_all(which(&late.borrow()));
            }
            if Pin::new(&mut sleep).poll(cx).is_pending() {
                return Poll::Pending;
            }
            most.set(most.get().max(probe.polls()));
            late.borrow_mut().push(probe.waker());
            Poll::Ready(index)
        })
    };
    let runtime = Builder::new().virtual_clock(true).build().unwrap();
    let indices = runtime.block_on(async { gather((0..count).map(child)).limit(1).capture().await });
    assert_eq!(indices, (0..count).collect::<Vec<_>>());
    most.get()
}

#[test]
fn a_late_wake_of_a_finished_child_does_not_poll_its_successor() {
    assert_eq!(most_polls_of_a_successor(600, |late| &late[late.len().saturating_sub(1)..]), 2);
}

// 600 are more than the generations of a child can tell apart.
#[test]
fn late_wakes_of_all_children_that_had_a_slot_poll_the_child_in_it_at_most_once() {
    assert!(most_polls_of_a_successor(600, |late| late) <= 3);
}

fn wakers_of(probes: &[Probe]) -> Vec<Waker> {
    probes.iter().map(Probe::waker).collect()
}

/// Uses the wakers, here and elsewhere, while a new gather with that many children waits. Returns
/// the most polls that one of them had before it was woken by its own waker.
async fn most_polls_of_the_next_gather(late: &[Waker], count: usize) -> usize {
    let probes: Vec<Probe> = (0..count).map(|_| Probe::new()).collect();
    let gate = Gate::new();
    let children: Vec<_> = probes.iter().map(|probe| probe.watch(gate.pass())).collect();
    let task = spawn(gather(children).capture());
    some_turns().await;
    use_all(late);
    some_turns().await;
    use_all_elsewhere(late).await;
    let most = probes.iter().map(Probe::polls).max().unwrap();
    gate.open();
    assert_eq!(task.await.unwrap().len(), count);
    most
}

#[test]
fn a_late_wake_of_a_gather_that_is_gone_does_not_poll_the_children_of_the_next() {
    run(async {
        let probes: Vec<Probe> = (0..40).map(|_| Probe::new()).collect();
        let mut dropped = gather(probes.iter().map(Probe::never)).capture();
        assert!(poll_once(&mut dropped, Waker::noop()).is_pending());
        drop(dropped);
        assert_eq!(most_polls_of_the_next_gather(&wakers_of(&probes), 40).await, 1);
    });
}

// 254 is what generations of eight bits can tell apart.
#[test]
fn a_late_wake_of_a_child_polls_none_in_the_254_gathers_that_have_its_row_afterwards() {
    run(async {
        let probes: [Probe; 2] = Default::default();
        let mut dropped = gather(probes.iter().map(Probe::never)).capture();
        assert!(poll_once(&mut dropped, Waker::noop()).is_pending());
        drop(dropped);
        let late = wakers_of(&probes);
        for successor in 1..=254 {
            yield_now().await; // each has a whole budget
            let probes: [Probe; 2] = Default::default();
            let mut gather = gather(probes.iter().map(Probe::never)).capture();
            assert!(poll_once(&mut gather, Waker::noop()).is_pending());
            use_all(&late);
            assert!(poll_once(&mut gather, Waker::noop()).is_pending());
            assert!(probes.iter().all(|probe| probe.polls() == 1), "successor {successor}: {probes:?}");
        }
    });
}

// These are more than the generations of a child can tell apart. They were used at two times.
#[test]
fn late_wakes_of_all_children_of_a_gather_poll_those_of_the_next_once_each_time_at_most() {
    run(async {
        let probes: Vec<Probe> = (0..600).map(|_| Probe::new()).collect();
        gather(probes.iter().map(|probe| probe.ready_at(1))).capture().await;
        assert!(most_polls_of_the_next_gather(&wakers_of(&probes), 40).await <= 3);
    });
}

#[test]
fn wakers_outlive_their_runtime_and_their_thread() {
    let late = thread::spawn(late_wakers).join().unwrap();
    use_all(&late);
    run(async { use_all(&late) });
    let late = thread::spawn(move || {
        use_all(&late);
        late
    });
    use_all(&late.join().unwrap());
}

// The number of a runtime is used again after a while.
#[test]
fn late_wakes_for_a_runtime_that_is_gone_poll_a_task_of_its_successor_once_each_time_at_most() {
    let late = late_wakers();
    for _ in 0..200 {
        let probe = Probe::new();
        run(async {
            let _task = spawn(probe.never());
            some_turns().await;
            use_all(&late);
            some_turns().await;
            assert!(probe.polls() <= 2);
            use_all_elsewhere(&late).await;
            assert!(probe.polls() <= 3);
        });
    }
}

#[test]
fn wakes_may_come_while_the_runtime_is_dropped_and_after() {
    finishes(|| {
        for _ in 0..300 {
            let probe = Probe::new();
            let runtime = Runtime::new().unwrap();
            runtime.block_on(async {
                spawn(probe.never()).detach();
                some_turns().await;
            });
            let [begun, gone] = [Barrier::new(3), Barrier::new(3)];
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        let waker = probe.waker();
                        waker.wake_by_ref();
                        begun.wait();
                        (0..200).for_each(|_| waker.wake_by_ref());
                        gone.wait();
                        use_in_every_way(&waker);
                    });
                }
                begun.wait();
                drop(runtime);
                gone.wait();
            });
        }
    });
}

// The task is polled, finishes and is freed while other threads are in the middle of waking it.
#[test]
fn a_task_may_finish_while_other_threads_wake_it_and_is_never_polled_by_two_at_once() {
    /// The waker of the present poll, and its number.
    type Current = Arc<Mutex<(u64, Option<Waker>)>>;

    /// Wakes each waker some times, until the number is `u64::MAX`.
    fn wake_what_is_current(current: &Current) {
        let mut seen = 0;
        while seen != u64::MAX {
            let (number, waker) = current.lock().unwrap().clone();
            match waker {
                Some(waker) if number != seen => (0..5).for_each(|_| waker.wake_by_ref()),
                _ => thread::yield_now(),
            }
            seen = number;
        }
    }

    finishes(|| {
        run(async {
            let current = Current::default();
            let threads = [0, 1].map(|_| {
                let current = current.clone();
                spawn_blocking(move || wake_what_is_current(&current))
            });
            for _ in 0..2000 {
                let current = current.clone();
                let is_polled = AtomicBool::new(false);
                let mut polls = 0;
                let task = spawn(poll_fn(move |cx| {
                    assert!(!is_polled.swap(true, Ordering::SeqCst));
                    let mut now = current.lock().unwrap();
                    *now = (now.0 + 1, Some(cx.waker().clone()));
                    polls += 1;
                    is_polled.store(false, Ordering::SeqCst);
                    if polls > 3 { Poll::Ready(()) } else { Poll::Pending }
                }));
                task.await.unwrap();
            }
            *current.lock().unwrap() = (u64::MAX, None);
            for thread in threads {
                thread.await.unwrap();
            }
        });
    });
}

/// Kept by a thread to its end, and used then.
struct Kept {
    wakers: Vec<Waker>,
    canceller: Canceller,
    task: Option<Task<()>>,
    handle: Handle,
    done: mpsc::Sender<bool>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        let runs_nothing = Handle::try_current().is_none();
        use_all(&self.wakers);
        self.canceller.cancel();
        drop(self.task.take());
        self.handle.spawn(|| async {}).detach();
        let _ = self.handle.metrics();
        let _ = self.done.send(runs_nothing);
    }
}

thread_local! {
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

/// What a thread of its own may keep, from the runtime of this thread.
async fn something_to_keep(done: mpsc::Sender<bool>) -> (Kept, Probe, Task<()>) {
    let [probe, child] = [Probe::new(), Probe::new()];
    let woken = spawn(probe.never());
    let cancelled = spawn(pending());
    let gathered = gather([child.never()]).capture();
    let task = spawn(async {
        gathered.await;
    });
    some_turns().await;
    let kept = Kept {
        wakers: vec![probe.waker(), child.waker()],
        canceller: cancelled.canceller(),
        task: Some(task),
        handle: Handle::current(),
        done,
    };
    woken.detach();
    (kept, probe, cancelled)
}

// A panic in the destructor of a thread-local ends the process.
#[test]
fn wakers_and_handles_may_be_used_in_a_thread_local_destructor() {
    alone("wakers_and_handles_may_be_used_in_a_thread_local_destructor", || {
        run(async {
            let (sender, receiver) = mpsc::channel();
            for thread_ran_something in [false, true] {
                let (kept, probe, cancelled) = something_to_keep(sender.clone()).await;
                let thread = thread::spawn(move || {
                    // The order decides whose destructor runs first, if both have one.
                    if thread_ran_something {
                        run(yield_now());
                    }
                    KEPT.set(Some(kept));
                });
                elsewhere(move || thread.join().unwrap()).await;
                assert!(receiver.recv().unwrap());
                // And it has reached this runtime.
                assert!(probe.polls() >= 2);
                assert!(cancelled.await.unwrap_err().is_cancelled());
            }
        });
    });
}

#[test]
fn wakers_and_handles_of_a_thread_may_be_used_when_that_thread_ends() {
    alone("wakers_and_handles_of_a_thread_may_be_used_when_that_thread_ends", || {
        for run_before in [false, true] {
            let (sender, receiver) = mpsc::channel();
            let ends = move || {
                if run_before {
                    run(yield_now());
                }
                KEPT.set(None);
                let runtime = Runtime::new().unwrap();
                let (kept, ..) = runtime.block_on(something_to_keep(sender));
                KEPT.set(Some(kept));
            };
            thread::spawn(ends).join().unwrap();
            assert!(receiver.recv().unwrap());
        }
    });
}

// ---- what a wake does

#[test]
fn a_million_wakes_before_a_poll_are_one_poll() {
    let probe = Probe::new();
    let runtime = Runtime::new().unwrap();
    let task = runtime.block_on(async {
        let task = spawn(probe.never());
        some_turns().await;
        let waker = probe.waker();
        (0..1_000_000).for_each(|_| waker.wake_by_ref());
        some_turns().await;
        assert_eq!(probe.polls(), 2);
        task
    });
    // The same from another thread, while the loop stands.
    let waker = probe.waker();
    thread::spawn(move || (0..1_000_000).for_each(|_| waker.wake_by_ref())).join().unwrap();
    runtime.block_on(letters_are_read());
    assert_eq!(probe.polls(), 3);
    drop(task);
}

/// Ready when it was polled so often, and wakes itself until then.
async fn wakes_itself(polls: usize) {
    let mut polled = 0;
    poll_fn(|cx| {
        polled += 1;
        if polled == polls {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn a_wake_in_the_own_poll_polls_again_without_a_sleep() {
    finishes(|| {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(wakes_itself(1000));
        runtime.block_on(async { spawn(wakes_itself(1000)).await.unwrap() });
        runtime.block_on(async { gather([wakes_itself(1000), wakes_itself(500)]).capture().await });
        assert_eq!(runtime.metrics().parks(), 0);
    });
}

#[test]
fn a_wake_from_a_destructor_that_holds_a_lock_does_not_poll_the_task_that_needs_it() {
    finishes(|| {
        run(async {
            let lock = Arc::new(Mutex::new(0));
            let probe = Probe::new();
            let task = spawn({
                let (lock, probe) = (lock.clone(), probe.clone());
                poll_fn(move |cx| {
                    probe.note(cx);
                    *lock.lock().unwrap() += 1; // a poll from within the wake would hang here
                    if probe.polls() == 2 { Poll::Ready(()) } else { Poll::Pending }
                })
            });
            some_turns().await;
            let dropped = spawn({
                let (lock, waker) = (lock.clone(), probe.waker());
                let guard = on_drop(move || {
                    let held = lock.lock().unwrap();
                    waker.wake();
                    drop(held);
                });
                async move {
                    let _guard = guard;
                    pending::<()>().await;
                }
            });
            drop(dropped);
            task.await.unwrap();
            assert_eq!(*lock.lock().unwrap(), 2);
        });
    });
}

#[test]
fn will_wake_tells_one_task_from_another() {
    let runtime = Runtime::new().unwrap();
    let first_main = Probe::new();
    runtime.block_on(first_main.ready_at(1));
    runtime.block_on(async {
        let probes = [Probe::new(), Probe::new(), Probe::new()];
        let _tasks = [spawn(probes[0].never()), spawn(probes[1].never())];
        spawn(probes[2].ready_at(1)).await.unwrap();
        let children = [Probe::new(), Probe::new()];
        let mut gathered = gather(children.iter().map(Probe::never)).capture();
        assert!(poll_once(&mut gathered, Waker::noop()).is_pending());
        let main = Probe::new();
        main.ready_at(1).await;
        let in_the_same_row = Probe::new();
        let _task = spawn(in_the_same_row.never());
        some_turns().await;

        let first = probes[0].waker();
        first.wake_by_ref();
        some_turns().await;
        assert!(probes[0].waker().will_wake(&first), "the same task, another poll");
        let wakers: Vec<Waker> = probes
            .iter()
            .chain(&children)
            .chain([&main, &first_main, &in_the_same_row])
            .map(Probe::waker)
            .chain([Waker::noop().clone()])
            .collect();
        for (index, waker) in wakers.iter().enumerate() {
            let like_it: Vec<usize> =
                (0..wakers.len()).filter(|other| wakers[*other].will_wake(waker)).collect();
            assert_eq!(like_it, [index]);
        }
    });
}

// And the main future is not polled for the wakes of an earlier one.
#[test]
fn a_waker_of_an_earlier_main_future_does_not_wake_the_present_one() {
    let runtime = Runtime::new().unwrap();
    let first = Probe::new();
    runtime.block_on(first.ready_at(1));
    let second = Probe::new();
    let gate = Gate::new();
    runtime.block_on(async {
        spawn({
            let gate = gate.clone();
            async move {
                use_in_every_way(&first.waker());
                let late = first.waker();
                elsewhere(move || use_in_every_way(&late)).await;
                gate.open();
            }
        })
        .detach();
        let mut pass = Box::pin(gate.pass());
        poll_fn(|cx| {
            second.note(cx);
            pass.as_mut().poll(cx)
        })
        .await;
    });
    assert_eq!(second.polls(), 2);
}

// ---- what a waker keeps alive: nothing

#[test]
fn the_memory_of_a_finished_task_is_free_while_its_wakers_and_its_handle_are_kept() {
    run(async {
        let probe = Probe::new();
        let big = Arc::new(vec![0u8; 1 << 20]);
        let memory = Arc::downgrade(&big);
        let task = spawn({
            let ready = probe.ready_at(1);
            async move {
                let _big = big;
                ready.await;
            }
        });
        some_turns().await;
        assert!(task.is_finished());
        let _kept = (probe.waker(), task);
        assert_eq!(memory.strong_count(), 0);
    });
}

#[test]
fn tasks_that_own_each_other_and_their_own_wakers_are_dropped_with_the_runtime() {
    let witness = Witness::new();
    run(async {
        let handles: [Rc<RefCell<Option<Task<()>>>>; 2] = Default::default();
        for index in 0..2 {
            let guard = witness.guard();
            let other = handles[1 - index].clone();
            let own_waker = Rc::new(RefCell::new(None));
            let runtime = Handle::current();
            let task = spawn(async move {
                let _owned = (guard, other, own_waker.clone(), runtime);
                poll_fn(|cx| {
                    *own_waker.borrow_mut() = Some(cx.waker().clone());
                    Poll::<()>::Pending
                })
                .await;
            });
            *handles[index].borrow_mut() = Some(task);
        }
        some_turns().await;
    });
    assert_eq!(witness.drops(), 2);
}

// ---- wakers of other libraries

/// What keeps the waker of the one who waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Task,
    Sleep,
    Socket,
    Blocking,
    Remote,
    Gather,
    GatherOfSleep,
}

const KINDS: [Kind; 7] =
    [Kind::Task, Kind::Sleep, Kind::Socket, Kind::Blocking, Kind::Remote, Kind::Gather, Kind::GatherOfSleep];

/// Something to wait for, and what makes it ready.
struct Leaf {
    future: Pin<Box<dyn Future<Output = ()>>>,
    fire: Box<dyn FnOnce()>,
}

/// Forgets what a future gives. Unlike an async block it can be polled again after a poll of it
/// has panicked.
fn forget_output<F: Future + Unpin + 'static>(mut future: F) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(poll_fn(move |cx| Pin::new(&mut future).poll(cx).map(drop)))
}

/// A leaf that sleeps is ready only when all that the test does is done: with this clock a busy
/// machine changes nothing.
fn run_virtually<F: Future>(future: F) -> F::Output {
    virtual_runtime().block_on(future)
}

fn virtual_runtime() -> Runtime {
    Builder::new().virtual_clock(true).build().unwrap()
}

impl Leaf {
    fn new(kind: Kind) -> Leaf {
        let gate = Gate::new();
        let pass = gate.pass();
        let open = Box::new(move || gate.open());
        let soon = Duration::from_millis(2);
        match kind {
            Kind::Task => Leaf { future: forget_output(spawn(pass)), fire: open },
            Kind::Sleep => Leaf { future: forget_output(sleep(soon)), fire: Box::new(|| ()) },
            Kind::Socket => {
                let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                let address = listener.local_addr().unwrap();
                let listener = TcpListener::from_std(listener).unwrap();
                let fire = Box::new(move || drop(std::net::TcpStream::connect(address).unwrap()));
                Leaf { future: forget_output(poll_fn(move |cx| listener.poll_accept(cx))), fire }
            }
            Kind::Blocking => {
                let (sender, receiver) = mpsc::channel::<()>();
                let task = spawn_blocking(move || receiver.recv().unwrap());
                Leaf { future: forget_output(task), fire: Box::new(move || sender.send(()).unwrap()) }
            }
            Kind::Remote => Leaf { future: forget_output(Handle::current().spawn(|| pass)), fire: open },
            Kind::Gather => Leaf { future: forget_output(gather([pass]).capture()), fire: open },
            Kind::GatherOfSleep => {
                Leaf { future: forget_output(gather([sleep(soon)]).capture()), fire: Box::new(|| ()) }
            }
        }
    }

    fn poll(&mut self, waker: &Waker) -> Poll<()> {
        poll_once(&mut self.future, waker)
    }

    /// Polls it with a waker that is to panic in this poll.
    fn poll_panics(&mut self, waker: &Waker) -> bool {
        catch_unwind(AssertUnwindSafe(|| self.poll(waker))).is_err()
    }

    /// Fires. A panic of a foreign waker may come through to the one who has caused the wake.
    fn fire(&mut self) {
        let fire = std::mem::replace(&mut self.fire, Box::new(|| ()));
        let _ = catch_unwind(AssertUnwindSafe(fire));
    }
}

/// Waits until so many of the wakers that this gives have been woken.
struct Woken {
    count: Arc<AtomicUsize>,
    main: Arc<Mutex<Option<Waker>>>,
}

impl Woken {
    fn new() -> Woken {
        Woken { count: Arc::default(), main: Arc::default() }
    }

    fn waker(&self) -> Waker {
        let (count, main) = (self.count.clone(), self.main.clone());
        foreign(move |done| {
            if done == Done::Wake {
                count.fetch_add(1, Ordering::SeqCst);
                if let Some(main) = &*main.lock().unwrap() {
                    main.wake_by_ref();
                }
            }
        })
    }

    fn waker_that_may_panic(&self, panics: bool) -> Waker {
        let good = self.waker();
        foreign(move |done| {
            if done == Done::Wake {
                good.wake_by_ref();
                assert!(!panics, "a foreign waker panics when it is woken");
            }
        })
    }

    async fn at_least(&self, count: usize) {
        poll_fn(|cx| {
            *self.main.lock().unwrap() = Some(cx.waker().clone());
            if self.count.load(Ordering::SeqCst) >= count { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Nothing is left of what the leaves had, except for tasks.
fn assert_nothing_is_left(kind: Kind) {
    let metrics = Handle::current().metrics();
    assert_eq!(metrics.timers_pending(), 0, "{kind:?}");
    assert_eq!(metrics.groups_alive(), 0, "{kind:?}");
    assert_eq!(metrics.sockets_registered(), 0, "{kind:?}");
}

#[test]
fn the_last_waker_is_woken_and_the_ones_before_are_dropped_at_once() {
    finishes(|| {
        for kind in KINDS {
            run_virtually(async move {
                let mut leaf = Leaf::new(kind);
                let stale = Arc::new(AtomicUsize::new(0));
                let counted = stale.clone();
                let first = foreign(move |done| match done {
                    Done::Clone => drop(counted.fetch_add(1, Ordering::SeqCst)),
                    Done::Drop => drop(counted.fetch_sub(1, Ordering::SeqCst)),
                    Done::Wake => panic!("{kind:?}: not the last that polled"),
                });
                assert!(leaf.poll(&first).is_pending());
                assert!(stale.load(Ordering::SeqCst) > 0, "{kind:?}: it was kept");
                let woken = Woken::new();
                assert!(leaf.poll(&woken.waker()).is_pending());
                assert_eq!(stale.load(Ordering::SeqCst), 0, "{kind:?}: the clones are gone");
                leaf.fire();
                woken.at_least(1).await;
                assert!(leaf.poll(Waker::noop()).is_ready());
            });
        }
    });
}

#[test]
fn what_is_dropped_drops_the_waker_that_it_kept_at_once() {
    finishes(|| {
        for kind in KINDS {
            run_virtually(async move {
                let mut leaf = Leaf::new(kind);
                let kept = Arc::new(AtomicUsize::new(0));
                let counted = kept.clone();
                let waker = foreign(move |done| match done {
                    Done::Clone => drop(counted.fetch_add(1, Ordering::SeqCst)),
                    Done::Drop => drop(counted.fetch_sub(1, Ordering::SeqCst)),
                    Done::Wake => {}
                });
                assert!(leaf.poll(&waker).is_pending());
                assert!(kept.load(Ordering::SeqCst) > 0, "{kind:?}");
                leaf.future = Box::pin(pending());
                if kind == Kind::Gather {
                    leaf.fire = Box::new(|| ()); // the gate keeps the waker of the child, which is a number
                }
                assert_eq!(kept.load(Ordering::SeqCst), 0, "{kind:?}");
                assert_nothing_is_left(kind);
                leaf.fire();
            });
        }
    });
}

#[test]
fn a_runtime_that_ends_drops_the_wakers_that_it_kept() {
    finishes(|| {
        for kind in KINDS {
            let kept = Arc::new(AtomicUsize::new(0));
            let counted = kept.clone();
            let waker = foreign(move |done| match done {
                Done::Clone => drop(counted.fetch_add(1, Ordering::SeqCst)),
                Done::Drop => drop(counted.fetch_sub(1, Ordering::SeqCst)),
                Done::Wake => {}
            });
            let mut leaf = run_virtually(async {
                let mut leaf = Leaf::new(kind);
                assert!(leaf.poll(&waker).is_pending());
                leaf
            });
            if kind == Kind::Blocking {
                leaf.future = Box::pin(pending()); // its thread may be at work, and then it would wake it
            }
            assert_eq!(kept.load(Ordering::SeqCst), 0, "{kind:?}");
            leaf.fire();
        }
    });
}

#[test]
fn a_foreign_waker_that_panics_when_it_is_woken_costs_no_other_its_wake() {
    finishes(|| {
        for kind in KINDS {
            run_virtually(async move {
                let woken = Woken::new();
                let mut leaves: Vec<Leaf> = (0..5).map(|_| Leaf::new(kind)).collect();
                for (index, leaf) in leaves.iter_mut().enumerate() {
                    assert!(leaf.poll(&woken.waker_that_may_panic(index == 2)).is_pending());
                }
                leaves.iter_mut().for_each(Leaf::fire);
                woken.at_least(5).await;
                assert!(leaves.iter_mut().all(|leaf| leaf.poll(Waker::noop()).is_ready()), "{kind:?}");
                drop(leaves);
                assert_nothing_is_left(kind);
                assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
                assert_eq!(spawn_blocking(|| 2).await.unwrap(), 2);
            });
        }
    });
}

#[test]
fn a_foreign_parent_that_panics_costs_no_other_child_its_wake_from_another_thread() {
    finishes(|| {
        run(async {
            let woken = Woken::new();
            let wakers = Arc::new(Mutex::new(Vec::new()));
            let mut gathers: Vec<_> = (0..5)
                .map(|_| {
                    let wakers = wakers.clone();
                    Box::pin(gather([poll_fn(move |cx| {
                        let mut wakers = wakers.lock().unwrap();
                        if wakers.len() == 5 {
                            return Poll::Ready(Ok::<_, ()>(()));
                        }
                        wakers.push(cx.waker().clone());
                        Poll::Pending
                    })]))
                })
                .collect();
            for (index, gather) in gathers.iter_mut().enumerate() {
                assert!(poll_once(gather, &woken.waker_that_may_panic(index == 2)).is_pending());
            }
            let children = wakers.clone();
            elsewhere(move || children.lock().unwrap().iter().for_each(Waker::wake_by_ref)).await;
            woken.at_least(5).await;
            assert!(gathers.iter_mut().all(|gather| poll_once(gather, Waker::noop()).is_ready()));
        });
    });
}

// The payload of a panic is a value, and its destructor may panic too.
#[test]
fn a_foreign_waker_that_panics_with_something_that_panics_when_dropped_does_not_stop_the_loop() {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            panic!("the payload of a panic panics");
        }
    }
    finishes(|| {
        for kind in KINDS.into_iter().filter(|kind| *kind != Kind::Gather) {
            run_virtually(async move {
                let mut leaf = Leaf::new(kind);
                let woken = Woken::new();
                let good = woken.waker();
                let waker = foreign(move |done| {
                    if done == Done::Wake {
                        good.wake_by_ref();
                        panic_any(Payload);
                    }
                });
                assert!(leaf.poll(&waker).is_pending());
                let mut other = sleep(Duration::from_millis(4));
                assert!(poll_once(&mut other, &woken.waker()).is_pending());
                leaf.fire();
                woken.at_least(2).await;
                assert!(leaf.poll(Waker::noop()).is_ready(), "{kind:?}");
            });
        }
    });
}

#[test]
fn a_foreign_waker_that_panics_when_it_is_cloned_leaves_what_was_polled_as_it_was() {
    finishes(|| {
        // A panic in the poll of a gather ends the gather, whoever has panicked.
        for kind in KINDS.into_iter().filter(|kind| !matches!(kind, Kind::Gather | Kind::GatherOfSleep)) {
            run_virtually(async move {
                let armed = Arc::new(AtomicBool::new(true));
                let waker = panicking(Done::Clone, &armed);
                // At the first poll, and when another waker is there already.
                for polled_before in [false, true] {
                    let mut leaf = Leaf::new(kind);
                    let (before, _) = counter();
                    if polled_before {
                        assert!(leaf.poll(&before).is_pending());
                    }
                    armed.store(true, Ordering::SeqCst);
                    assert!(leaf.poll_panics(&waker), "{kind:?}");
                    let woken = Woken::new();
                    assert!(leaf.poll(&woken.waker()).is_pending(), "{kind:?}");
                    leaf.fire();
                    woken.at_least(1).await;
                    assert!(leaf.poll(Waker::noop()).is_ready(), "{kind:?}");
                }
                assert_nothing_is_left(kind);
            });
        }
    });
}

#[test]
fn a_gather_whose_parent_panics_when_it_is_cloned_ends_and_drops_its_children() {
    run(async {
        let witness = Witness::new();
        let guard = witness.guard();
        let mut gathered = gather([async move {
            let _guard = guard;
            pending::<()>().await;
        }])
        .capture();
        assert!(poll_once(&mut gathered, Waker::noop()).is_pending());
        let waker = panicking(Done::Clone, &Arc::new(AtomicBool::new(true)));
        assert!(catch_unwind(AssertUnwindSafe(|| poll_once(&mut gathered, &waker))).is_err());
        assert_eq!(witness.drops(), 1);
        assert_eq!(Handle::current().metrics().groups_alive(), 0);
    });
}

#[test]
fn a_foreign_waker_that_panics_when_it_is_dropped_leaves_the_rest_as_it_was() {
    finishes(|| {
        for kind in KINDS {
            run_virtually(async move {
                // Because another takes its place.
                let armed = Arc::new(AtomicBool::new(false));
                let mut leaf = Leaf::new(kind);
                assert!(leaf.poll(&panicking(Done::Drop, &armed)).is_pending());
                armed.store(true, Ordering::SeqCst);
                let woken = Woken::new();
                let panicked = leaf.poll_panics(&woken.waker());
                assert!(!armed.load(Ordering::SeqCst), "{kind:?}: the stale waker was dropped");
                let is_over = panicked && matches!(kind, Kind::Gather | Kind::GatherOfSleep);
                if !is_over {
                    assert!(leaf.poll(&woken.waker()).is_pending());
                    leaf.fire();
                    woken.at_least(1).await;
                    assert!(leaf.poll(Waker::noop()).is_ready(), "{kind:?}");
                }
                drop(leaf);
                assert_nothing_is_left(kind);

                // Because what keeps it is dropped.
                let mut leaf = Leaf::new(kind);
                assert!(leaf.poll(&panicking(Done::Drop, &armed)).is_pending());
                armed.store(true, Ordering::SeqCst);
                let Leaf { future, .. } = leaf;
                let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
                assert!(!armed.load(Ordering::SeqCst), "{kind:?}: it was dropped");
                assert_nothing_is_left(kind);
                assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
            });
        }
    });
}

// What is dropped on another thread has its waker dropped by the loop.
#[test]
fn a_foreign_waker_that_panics_when_the_loop_drops_it_does_not_stop_the_loop() {
    alone("a_foreign_waker_that_panics_when_the_loop_drops_it_does_not_stop_the_loop", || {
        run(async {
            let mut moved: Vec<Box<dyn Send>> = Vec::new();
            let armed = Arc::new(AtomicBool::new(false));
            let mut sleeping = sleep(HOUR);
            assert!(poll_once(&mut sleeping, &panicking(Done::Drop, &armed)).is_pending());
            moved.push(Box::new(sleeping));
            let other_armed = Arc::new(AtomicBool::new(false));
            let mut gathered = gather([pending::<()>()]).capture();
            assert!(poll_once(&mut gathered, &panicking(Done::Drop, &other_armed)).is_pending());
            moved.push(Box::new(gathered));

            armed.store(true, Ordering::SeqCst);
            other_armed.store(true, Ordering::SeqCst);
            let cancelled = spawn(pending::<()>());
            let (canceller, handle) = (cancelled.canceller(), Handle::current());
            // The loop stands while this thread waits for the other, so all of this comes at once.
            let elsewhere = thread::spawn(move || {
                drop(moved);
                canceller.cancel();
                handle.spawn(|| async { 1 })
            });
            let spawned = elsewhere.join().unwrap();
            assert!(cancelled.await.unwrap_err().is_cancelled());
            assert_eq!(spawned.await.unwrap(), 1);
            assert!(!armed.load(Ordering::SeqCst) && !other_armed.load(Ordering::SeqCst));
            assert_nothing_is_left(Kind::Sleep);
        });
    });
}

// A panic in a panic would end the process.
#[test]
fn many_foreign_wakers_that_panic_when_a_runtime_drops_them_do_not_end_the_process() {
    alone("many_foreign_wakers_that_panic_when_a_runtime_drops_them_do_not_end_the_process", || {
        let dropped = Arc::new(AtomicUsize::new(0));
        let runtime = virtual_runtime();
        let left = runtime.block_on(async {
            let mut left = Vec::new();
            for kind in [Kind::Sleep, Kind::Gather, Kind::Task, Kind::Remote, Kind::Socket] {
                for _ in 0..3 {
                    let dropped = dropped.clone();
                    let is_first = AtomicBool::new(true);
                    let waker = foreign(move |done| {
                        // The first drop is that of this very waker, in the test.
                        if done == Done::Drop && !is_first.swap(false, Ordering::SeqCst) {
                            dropped.fetch_add(1, Ordering::SeqCst);
                            panic!("a foreign waker panics when it is dropped");
                        }
                    });
                    let mut leaf = Leaf::new(kind);
                    assert!(leaf.poll(&waker).is_pending());
                    left.push(leaf);
                }
            }
            left
        });
        let _ = catch_unwind(AssertUnwindSafe(|| drop(runtime)));
        assert_eq!(dropped.load(Ordering::SeqCst), 15);
        drop(left);
    });
}

/// Does something to every table of the runtime of this thread.
fn re_enter() -> io::Result<()> {
    drop(spawn(pending::<()>()));
    spawn(async {}).detach();
    let _ = poll_once(&mut sleep(HOUR), Waker::noop());
    let _ = poll_once(&mut gather([pending::<()>()]).capture(), Waker::noop());
    drop(TcpListener::from_std(std::net::TcpListener::bind("127.0.0.1:0")?)?);
    let handle = Handle::current();
    handle.spawn(|| async {}).detach();
    let _ = handle.metrics();
    drop(spawn_blocking(|| ()));
    Ok(())
}

#[test]
fn a_foreign_waker_may_enter_the_runtime_again_when_it_is_cloned_woken_and_dropped() {
    finishes(|| {
        for kind in KINDS {
            run_virtually(async move {
                // A panic in a foreign waker may be contained, so count those that returned, too.
                let entered: Arc<[AtomicUsize; 3]> = Arc::default();
                let returned: Arc<[AtomicUsize; 3]> = Arc::default();
                let woken = Woken::new();
                let waker = {
                    let (entered, returned, woken) = (entered.clone(), returned.clone(), woken.waker());
                    foreign(move |done| {
                        if Handle::try_current().is_some() {
                            entered[done as usize].fetch_add(1, Ordering::SeqCst);
                            re_enter().unwrap();
                            returned[done as usize].fetch_add(1, Ordering::SeqCst);
                        }
                        if done == Done::Wake {
                            woken.wake_by_ref();
                        }
                    })
                };
                // It takes its own place, is woken, is dropped by what is ready, and with what is
                // not.
                let mut leaf = Leaf::new(kind);
                assert!(leaf.poll(&waker).is_pending());
                assert!(leaf.poll(&waker).is_pending());
                leaf.fire();
                woken.at_least(1).await;
                assert!(leaf.poll(&waker).is_ready(), "{kind:?}");
                drop(leaf);
                let mut leaf = Leaf::new(kind);
                assert!(leaf.poll(&waker).is_pending());
                let Leaf { future, .. } = leaf;
                drop(future);

                let counts = |of: &[AtomicUsize; 3]| of.each_ref().map(|count| count.load(Ordering::SeqCst));
                assert_eq!(counts(&entered), counts(&returned), "{kind:?}: [clones, wakes, drops]");
                assert!(counts(&entered)[0] > 0 && counts(&entered)[2] > 0, "{kind:?}");
                // A blocking task is woken on its own thread.
                assert!(counts(&entered)[1] > 0 || kind == Kind::Blocking, "{kind:?}");
                assert_nothing_is_left(kind);
            });
        }
    });
}

#[test]
fn a_task_that_is_cancelled_while_the_waker_for_it_is_cloned_is_not_waited_for_in_vain() {
    run(async {
        for is_polled_before in [false, true] {
            let mut task = spawn(pending::<()>());
            if is_polled_before {
                some_turns().await;
            }
            let canceller = task.canceller();
            let wakes = Arc::new(AtomicUsize::new(0));
            let counted = wakes.clone();
            let waker = foreign(move |done| match done {
                Done::Clone => canceller.cancel(),
                Done::Wake => drop(counted.fetch_add(1, Ordering::SeqCst)),
                Done::Drop => {}
            });
            let polled = poll_once(&mut task, &waker);
            some_turns().await;
            let is_told = polled.is_ready() || wakes.load(Ordering::SeqCst) > 0;
            assert!(is_told, "pending, and not woken");
        }
    });
}

// The loop drops and wakes it, for another thread.
#[test]
fn a_foreign_waker_may_enter_the_runtime_again_when_the_loop_handles_it_for_another_thread() {
    finishes(|| {
        run(async {
            let entered = Arc::new(AtomicUsize::new(0));
            let returned = Arc::new(AtomicUsize::new(0));
            let waker = || {
                let (entered, returned) = (entered.clone(), returned.clone());
                foreign(move |done| {
                    if done != Done::Clone && Handle::try_current().is_some() {
                        entered.fetch_add(1, Ordering::SeqCst);
                        re_enter().unwrap();
                        returned.fetch_add(1, Ordering::SeqCst);
                    }
                })
            };
            let child = Probe::new();
            let mut sleeping = sleep(HOUR);
            let mut gathered = gather([child.never()]).capture();
            let mut task = spawn(pending::<()>());
            assert!(poll_once(&mut sleeping, &waker()).is_pending());
            assert!(poll_once(&mut gathered, &waker()).is_pending());
            assert!(poll_once(&mut task, &waker()).is_pending());
            entered.store(0, Ordering::SeqCst);
            returned.store(0, Ordering::SeqCst);
            elsewhere(move || {
                child.waker().wake(); // wakes the parent of the gather, and uses it up
                drop((sleeping, gathered, task));
            })
            .await;
            assert!(entered.load(Ordering::SeqCst) >= 3);
            assert_eq!(entered.load(Ordering::SeqCst), returned.load(Ordering::SeqCst));
            assert_nothing_is_left(Kind::Sleep);
        });
    });
}
