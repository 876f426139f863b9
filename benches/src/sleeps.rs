//! `sleep n` and `late n`: gather n sleeps of 1 to 100 ms; processor time for each, and how late
//! they end.
//!
//! The work: n timers are set one after the other and run out in another order than they were set
//! in. `sleep` is nanoseconds of processor time for each child, from making it to its output.
//! `late` is what the children see: the time from a deadline until the child goes on, which 99 of
//! 100 stay below, in microseconds. With 1e6 children the processor is busy throughout, and the
//! first timers run out while the last are set: `late` says how long it is until a loop comes to
//! look at them.
//!
//! Why it is fair: the durations are the same for all, pseudo-random and fixed. The time of
//! `sleep` is the process's, helper threads too; its children do not look at the clock. Those of
//! `late` do, before they ask for the sleep and when it has ended, so that nobody is taken at
//! their own word, and a sleep that ends early ends the process with a panic. Several runtimes
//! count milliseconds and end a sleep up to one later than asked for, or two. A child asks for its
//! sleep at its first poll. If the sleeps were made with the children, many of a million would be
//! over when those who make all children first come to poll them, and would never be in the
//! timers. Who is left out, and why, is in `peers.rs`.

use std::cell::RefCell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::machine::CpuTime;
use crate::peers::{Peer, SleepWork, Sleeps};

/// The closure that takes one sample of `sleep n`.
pub(crate) fn cost_sampler(peer: Peer, children: usize) -> Box<dyn FnMut() -> f64> {
    peer.sleeping(Cost { children })
}

/// The closure that takes one sample of `late n`.
pub(crate) fn lateness_sampler(peer: Peer, children: usize) -> Box<dyn FnMut() -> f64> {
    peer.sleeping(Lateness { children })
}

/// 1 to 100 ms, to the microsecond: the same for the same number.
fn duration(number: u64) -> Duration {
    // A step of SplitMix64.
    let mut bits = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Duration::from_micros(1_000 + (bits ^ (bits >> 31)) % 99_001)
}

/// The row `sleep`.
#[derive(Clone, Copy)]
struct Cost {
    /// How many sleep at once.
    children: usize,
}

impl SleepWork for Cost {
    fn sample<P: Sleeps>(self, peer: &P) -> f64 {
        peer.block_on(async {
            let start = CpuTime::now();
            let children = (0..black_box(self.children as u64)).map(|number| async move {
                P::sleep(duration(number)).await;
                Ok(number)
            });
            assert_eq!(black_box(peer.gather_any(children).await).len(), self.children);
            start.elapsed_ns() / self.children as f64
        })
    }
}

thread_local! {
    /// How late each child went on, in nanoseconds.
    static LATE: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// The row `late`.
#[derive(Clone, Copy)]
struct Lateness {
    /// How many sleep at once.
    children: usize,
}

impl SleepWork for Lateness {
    fn sample<P: Sleeps>(self, peer: &P) -> f64 {
        LATE.with_borrow_mut(|late| {
            late.clear();
            late.reserve(self.children);
        });
        let outputs = peer.block_on(peer.gather_any((0..self.children as u64).map(watched::<P>)));
        assert_eq!(outputs.len(), self.children);
        LATE.with_borrow_mut(|late| {
            let (_, p99, _) = late.select_nth_unstable(self.children * 99 / 100);
            *p99 as f64 / 1000.0
        })
    }
}

/// Sleeps, and notes how late it went on.
async fn watched<P: Sleeps>(number: u64) -> Result<u64, ()> {
    let duration = duration(number);
    let asked_at = Instant::now();
    P::sleep(duration).await;
    let slept = asked_at.elapsed();
    assert!(slept >= duration, "asked for {duration:?}, slept {slept:?}");
    LATE.with_borrow_mut(|late| late.push((slept - duration).as_nanos() as u64));
    Ok(number)
}
