//! `spawn root` and `spawn task`: spawn one task, await it, spawn the next; nanoseconds for one of
//! them.
//!
//! The work: a future becomes a task, runs, and its output comes back to the one that waits for
//! it. It shows what a task costs from birth to end, and what a runtime does when the one that
//! waits is its root future: several make a system call then.
//!
//! Why it is fair: it is the same loop for all, [`each`], and the task is ready at its first poll.
//! Nothing else is queued, so nobody's scheduling policy shows. What is only a future cannot
//! spawn, and has no figure.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::peers::tasks::Runtime;
use crate::peers::{Peer, TaskWork};
use crate::rows::Origin;

/// How many tasks a sample has.
const TASKS: u64 = 10_000;

/// The closure that takes one sample of this row.
pub(crate) fn sampler(peer: Peer, origin: Origin) -> Box<dyn FnMut() -> f64> {
    let mut spawn = peer.spawning(origin == Origin::Task);
    Box::new(move || {
        let start = Instant::now();
        let sum = spawn(black_box(TASKS));
        let took = start.elapsed();
        assert_eq!(sum, TASKS * (TASKS - 1) / 2);
        took.as_nanos() as f64 / TASKS as f64
    })
}

/// The closure that takes one sample of the row that grows: `tasks` at once, awaited in order.
pub(crate) fn many_sampler(peer: Peer, tasks: usize) -> Box<dyn FnMut() -> f64> {
    peer.tasking(Many { tasks })
}

/// The row that grows.
#[derive(Clone, Copy)]
struct Many {
    /// How many tasks there are at once.
    tasks: usize,
}

impl TaskWork for Many {
    fn sample<R: Runtime>(self, runtime: &R) -> f64 {
        let repetitions = (TASKS as usize).div_ceil(self.tasks);
        runtime.block_on(async {
            let start = Instant::now();
            for _ in 0..repetitions {
                let tasks: Vec<_> =
                    (0..black_box(self.tasks as u64)).map(|number| runtime.spawn(Job(number))).collect();
                for task in tasks {
                    black_box(R::joined(task.await));
                }
            }
            start.elapsed().as_nanos() as f64 / (self.tasks * repetitions) as f64
        })
    }
}

/// Calls `spawn_and_await` `count` times, one after the other, and gives the sum of the outputs.
pub(crate) async fn each(count: u64, mut spawn_and_await: impl AsyncFnMut(Job) -> u64) -> u64 {
    let mut sum = 0;
    for number in 0..count {
        sum += spawn_and_await(Job(number)).await;
    }
    sum
}

/// What is spawned: gives its number at the first poll.
pub(crate) struct Job(u64);

impl Future for Job {
    type Output = u64;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(black_box(self.0))
    }
}
