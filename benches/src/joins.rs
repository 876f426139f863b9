//! `join n`: three futures of different types, joined by a macro; nanoseconds for one join.
//!
//! The work: `gather!(a, b, c)`, and the peers' `try_join!`, over three futures that each yield n
//! times (0: ready at once) and give a `Result`. It shows what a join of a few costs that are
//! known when the program is written.
//!
//! Why it is fair: the same three futures for all; each peer on the executor that it is used with,
//! as in the other rows. A `try_join!` polls all its futures at each wake of any, and has nothing
//! to set up; ours polls those that were woken. With futures that are ready at once there is
//! nothing to tell apart, and theirs are cheaper.

use std::hint::black_box;
use std::time::Instant;

use futures_concurrency::prelude::*;

use crate::peers::{Child, Gathers, Joining, Peer};
use crate::yields::YieldingChild;

/// How many joins a sample has.
const JOINS: usize = 5_000;

/// The closure that takes one sample of this row.
pub(crate) fn sampler(peer: Peer, yields: usize) -> Box<dyn FnMut() -> f64> {
    peer.joining(Joins { yields })
}

/// The row.
#[derive(Clone, Copy)]
pub(crate) struct Joins {
    /// How often each future yields.
    yields: usize,
}

impl Joins {
    /// Takes one sample: nanoseconds for one join.
    pub(crate) fn sample(self, peer: &impl Gathers, joining: Joining) -> f64 {
        peer.block_on(async {
            let start = Instant::now();
            for _ in 0..JOINS {
                let [a, b, c] = [1, 2, 3].map(|number| YieldingChild::new(number, black_box(self.yields)));
                let sum = match joining {
                    Joining::Gather => sum(gather::gather!(typed(a), b, c).await),
                    Joining::Tokio => sum(async { tokio::try_join!(typed(a), b, c) }.await),
                    Joining::Futures => sum(async { futures::try_join!(typed(a), b, c) }.await),
                    Joining::Concurrency => sum((typed(a), b, c).try_join().await),
                };
                assert_eq!(sum, 6);
            }
            start.elapsed().as_nanos() as f64 / JOINS as f64
        })
    }
}

/// A future of another type, or they would be three of a kind.
async fn typed(child: impl Child) -> Result<u64, ()> {
    child.await
}

/// What came out of it.
fn sum(joined: Result<(u64, u64, u64), ()>) -> u64 {
    let (a, b, c) = joined.expect("no child fails");
    a + b + c
}
