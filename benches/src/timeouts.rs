//! `timeout 1` and `timeout n`: a future that ends after one yield, with a limit of 30 s;
//! nanoseconds of processor time for each.
//!
//! The work: most time limits never run out. A timer is set, the future yields once and ends, the
//! timer is taken back. `timeout 1` does one after another, in one child of a gather or in one
//! task; `timeout n` gathers n.
//!
//! How to read it: who starts all children first, as the runtimes with their tasks do, has n
//! timers at a time. Ours starts 32, then polls those that were woken, and so on: they end, and no
//! more than 32 of its timers stand at a time, in the cache. So the row shows what it costs to
//! gather so many, and not what a timer costs among n others; that is in `sleep n`.
//!
//! Why it is fair:
//!
//! * The time is the process's, helper threads too, because a runtime may have a thread for its
//!   timers.
//! * Everybody has the timers that come with the runtime, and futures-buffered has tokio's.
//!   `FuturesUnordered` and `try_join_all` over tokio's timers are left out: they are quadratic
//!   there (see `peers.rs`). There is no floor: a heap by hand cannot cancel.

use std::future::Future;
use std::hint::black_box;
use std::iter;
use std::time::Duration;

use crate::machine::CpuTime;
use crate::peers::{Peer, TimeoutWork, TimesOut};
use crate::yields::YieldingChild;

/// How many there are in a sample of `timeout 1`.
const ONE_BY_ONE: u64 = 20_000;

/// How many timeouts a sample of `timeout n` has at least.
const AT_LEAST: usize = 20_000;

/// The limit of each.
const LIMIT: Duration = Duration::from_secs(30);

/// The closure that takes one sample of this row.
pub(crate) fn sampler(peer: Peer, children: usize) -> Box<dyn FnMut() -> f64> {
    peer.timing_out(Timeouts { children })
}

/// The row.
#[derive(Clone, Copy)]
struct Timeouts {
    /// How many are gathered, or 1 for one after another.
    children: usize,
}

impl TimeoutWork for Timeouts {
    fn sample<P: TimesOut>(self, peer: &P) -> f64 {
        if self.children == 1 {
            return one_by_one(peer);
        }
        let repetitions = AT_LEAST.div_ceil(self.children);
        peer.block_on(async {
            let start = CpuTime::now();
            for _ in 0..repetitions {
                let children = (0..black_box(self.children as u64)).map(limited::<P>);
                assert_eq!(black_box(peer.gather_any(children).await).len(), self.children);
            }
            start.elapsed_ns() / (self.children * repetitions) as f64
        })
    }
}

/// One after another.
fn one_by_one<P: TimesOut>(peer: &P) -> f64 {
    let one_child = async {
        for number in 0..black_box(ONE_BY_ONE) {
            limited::<P>(number).await?;
        }
        Ok(0)
    };
    peer.block_on(async {
        let start = CpuTime::now();
        peer.gather_any(iter::once(one_child)).await;
        start.elapsed_ns() / ONE_BY_ONE as f64
    })
}

/// Yields once, well before its limit, and gives its number.
fn limited<P: TimesOut>(number: u64) -> impl Future<Output = Result<u64, ()>> + 'static {
    let timeout = P::timeout(LIMIT, YieldingChild::new(number, 1));
    async { timeout.await.expect("30 s are enough") }
}
