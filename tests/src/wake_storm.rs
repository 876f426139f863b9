//! One thread wakes a thousand parked tasks over and over, while their loop goes to sleep and is
//! woken. A wake that is lost leaves both waiting for ever.
//!
//! `tests/threads.rs` runs it with a hundred thousand wakes;
//! `cargo run --release -p gather-tests --bin wake_stress 10000000` with as many as you like, and
//! under `strace -c -f` it shows what they cost in system calls.

use std::fs;
use std::future::{Future, poll_fn};
use std::hint;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread::{self, Thread};

use gather::{Handle, Runtime, Task, spawn, spawn_blocking, yield_now};

use crate::random::Random;

/// The tasks.
const TASKS: u64 = 1000;

/// What a storm came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// The wakes from the other thread.
    pub wakes: u64,
    /// How many of them the loop has counted.
    pub wakes_seen: u64,
    /// How often the loop slept.
    pub parks: u64,
    /// How often the other thread had to end its sleep, a system call each. `None` where the
    /// system does not count the calls of a thread.
    pub rings: Option<u64>,
}

/// A parked task, as both threads see it.
#[derive(Default)]
struct Sleeper {
    waker: Mutex<Option<Waker>>,
    /// How often it was woken. Written before the wake with `Relaxed`: the wake itself has to
    /// carry it over.
    asked: AtomicU64,
    /// How many of those wakes it knows of.
    answered: AtomicU64,
}

struct Storm {
    sleepers: Vec<Sleeper>,
    /// How many sleepers have not answered yet.
    unanswered: AtomicUsize,
    /// Who waits until all have.
    waking_thread: Mutex<Option<Thread>>,
}

impl Storm {
    /// The task with this number.
    fn sleep(self: Arc<Self>, number: usize) -> impl Future<Output = ()> {
        poll_fn(move |cx| {
            let sleeper = &self.sleepers[number];
            sleeper.waker.lock().unwrap().get_or_insert_with(|| cx.waker().clone());
            let asked = sleeper.asked.load(Ordering::Relaxed);
            if sleeper.answered.swap(asked, Ordering::Relaxed) != asked
                && self.unanswered.fetch_sub(1, Ordering::AcqRel) == 1
            {
                self.waking_thread.lock().unwrap().as_ref().expect("it has woken us").unpark();
            }
            Poll::Pending
        })
    }

    /// The other thread: wakes some, waits until all of those have answered, and so on. Returns
    /// the rings.
    fn wake(&self, wakes: u64) -> Option<u64> {
        *self.waking_thread.lock().unwrap() = Some(thread::current());
        let wakers: Vec<Waker> = self
            .sleepers
            .iter()
            .map(|sleeper| sleeper.waker.lock().unwrap().clone().expect("parked"))
            .collect();
        let mut random = Random::new(wakes);
        let writes_before = writes_of_this_thread();
        let mut left = wakes;
        while left > 0 {
            // Often few, so that the loop is about to sleep when the next come.
            let most = if random.below(16) > 0 { 3 } else { TASKS };
            let count = (1 + random.below(most)).min(left);
            let first = random.below(TASKS);
            self.unanswered.store(count as usize, Ordering::Release);
            for number in first..first + count {
                let number = (number % TASKS) as usize;
                self.sleepers[number].asked.fetch_add(1, Ordering::Relaxed);
                wakers[number].wake_by_ref();
            }
            self.wait_for_answers();
            // So that the next wake comes now before, now after and now just when the loop goes to
            // sleep.
            (0..random.below(1000)).for_each(|_| hint::spin_loop());
            left -= count;
        }
        Some(writes_of_this_thread()? - writes_before?)
    }

    fn wait_for_answers(&self) {
        for _ in 0..10_000 {
            if self.unanswered.load(Ordering::Acquire) == 0 {
                return;
            }
            hint::spin_loop();
        }
        // There may be just one processor.
        while self.unanswered.load(Ordering::Acquire) > 0 {
            thread::park();
        }
    }
}

/// How many writes this thread has asked the system for: nothing but rings, while it wakes.
fn writes_of_this_thread() -> Option<u64> {
    let counts = fs::read_to_string("/proc/thread-self/io").ok()?;
    counts.lines().find_map(|line| line.strip_prefix("syscw: "))?.parse().ok()
}

/// Runs a storm of that many wakes.
///
/// # Panics
///
/// If the system has no descriptors or threads left.
pub fn storm(wakes: u64) -> Report {
    let storm = Arc::new(Storm {
        sleepers: (0..TASKS).map(|_| Sleeper::default()).collect(),
        unanswered: AtomicUsize::new(0),
        waking_thread: Mutex::new(None),
    });
    let runtime = Runtime::new().expect("the system has descriptors");
    runtime.block_on(async {
        let _tasks: Vec<Task<()>> =
            (0..TASKS).map(|number| spawn(storm.clone().sleep(number as usize))).collect();
        yield_now().await; // now they are parked
        let before = Handle::current().metrics();
        let other = storm.clone();
        let rings = spawn_blocking(move || other.wake(wakes)).await.expect("the other thread does not panic");
        let after = Handle::current().metrics();
        Report {
            wakes,
            // The last wake is that of the blocking task.
            wakes_seen: after.remote_wakes() - before.remote_wakes() - 1,
            parks: after.parks() - before.parks(),
            rings,
        }
    })
}
