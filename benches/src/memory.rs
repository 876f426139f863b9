//! `asleep n` and `idle task n`: bytes of resident memory for a child that sleeps, and for a task
//! that waits for ever.
//!
//! The work of `asleep n`: n sleeps of an hour at once. Each is the runtime's own sleep as it is,
//! with no future around it: a child of `gather(..).capture()` or of futures-buffered's
//! `join_all`, or a task. When all of them wait, the peak of the process's resident memory, less
//! the peak before the first was made, is divided by n. In the figure are: the sleeps, what holds
//! them (our slots, or the tasks and the `Vec` of their handles), the places of the outputs that
//! some make at once, and the entries in the runtime's timers.
//!
//! The work of `idle task n`: the same with n spawned tasks. In the figure are: the task, its
//! future (one word, that it never ends), and the handle in a `Vec`, as a user has it who spawns
//! and means to await; and a place in the queue of what is ready, because all are spawned before
//! the first is polled. Nobody has a waker of it. There are no timers in it.
//!
//! Why it is fair: a process for each figure, one sample, no warm-up, so the peak has no history.
//! It is the peak and not what is in use in the end, because a table that doubles needs both
//! halves while it does. It is what the kernel counts, so the allocator's headers and unused
//! halves are in it, as they are in a container's limit. Page tables, a five-hundredth more, are
//! not. The kernel counts in pages and in batches: it means nothing for fewer than some ten
//! thousand children.

use std::cell::{Cell, RefCell};
use std::fs;
use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::machine::CpuTime;
use crate::peers::tasks::Runtime;
use crate::peers::{Peer, SleepWork, Sleeps, TaskWork};

/// The closure that takes the one sample of `asleep n`.
pub(crate) fn asleep_sampler(peer: Peer, children: usize) -> Box<dyn FnMut() -> f64> {
    peer.sleeping(Asleep { children })
}

/// The closure that takes the one sample of `idle task n`.
pub(crate) fn idle_sampler(peer: Peer, tasks: usize) -> Box<dyn FnMut() -> f64> {
    peer.tasking(Idle { tasks })
}

/// The peak of this process's resident memory.
fn peak_bytes() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("these rows are for Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says it");
    let kilobytes = peak.trim().strip_suffix(" kB").expect("in kB");
    kilobytes.parse::<f64>().expect("a number") * 1024.0
}

/// The row `asleep`.
#[derive(Clone, Copy)]
struct Asleep {
    /// How many sleep at once.
    children: usize,
}

impl SleepWork for Asleep {
    fn sample<P: Sleeps>(self, peer: &P) -> f64 {
        let before = peak_bytes();
        peer.block_on(async {
            let gathered = peer.gather_sleeps(black_box(self.children), Duration::from_secs(3600));
            let gathered = async {
                gathered.await;
                unreachable!("an hour has passed")
            };
            futures_lite::future::or(gathered, all_asleep::<P>()).await;
            (peak_bytes() - before) / self.children as f64
        })
    }
}

/// Ends when this process has nothing left to do: when it took less than a twentieth of the
/// processor for a fifth of a second.
async fn all_asleep<P: Sleeps>() {
    let a_while = Duration::from_millis(200);
    let mut took = f64::INFINITY;
    while took > a_while.as_nanos() as f64 / 20.0 {
        let start = CpuTime::now();
        P::sleep(a_while).await;
        took = start.elapsed_ns();
    }
}

thread_local! {
    /// How many have not had their first poll.
    static ABSENT: Cell<usize> = const { Cell::new(0) };

    /// Who waits until all have.
    static WAITING: RefCell<Option<Waker>> = const { RefCell::new(None) };
}

/// One more has had its first poll.
fn arrive() {
    ABSENT.set(ABSENT.get() - 1);
    if ABSENT.get() == 0 {
        if let Some(waker) = WAITING.take() {
            waker.wake();
        }
    }
}

/// Ends when all have had their first poll.
fn all_arrived() -> impl Future<Output = ()> {
    poll_fn(|cx| {
        if ABSENT.get() == 0 {
            return Poll::Ready(());
        }
        WAITING.set(Some(cx.waker().clone()));
        Poll::Pending
    })
}

/// The row `idle task`.
#[derive(Clone, Copy)]
struct Idle {
    /// How many tasks there are.
    tasks: usize,
}

impl TaskWork for Idle {
    fn sample<R: Runtime>(self, runtime: &R) -> f64 {
        ABSENT.set(self.tasks);
        let before = peak_bytes();
        runtime.block_on(async {
            let tasks: Vec<_> = (0..self.tasks).map(|number| runtime.spawn(WaitForEver(number))).collect();
            all_arrived().await;
            let bytes = peak_bytes() - before;
            black_box(tasks);
            bytes / self.tasks as f64
        })
    }
}

/// A future of one word. It is polled once.
struct WaitForEver(usize);

impl Future for WaitForEver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        black_box(self.0);
        arrive();
        Poll::Pending
    }
}
