//! `nested 5`: gathers in gathers, five deep, with eight children each; nanoseconds for a leaf.
//!
//! The work: 8⁵ leaves, which each yield once. It shows what a small gather costs to make and to
//! end, and what it costs a wake to reach the root through four gathers.
//!
//! Why it is fair: the tree is the same for all. A gather that is a child of a gather is in a box,
//! because a future cannot hold one of its own type; the leaves are not. The runtimes have a task
//! for each child at every level. `try_join_all` of so few children polls all of them at every
//! wake and keeps no account of who was woken. All leaves are woken here before any is polled
//! again, so two passes over the tree end it, and nothing is cheaper; in a tree where one leaf
//! wakes at a time it would poll 8⁵ of them for each.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Instant;

use crate::peers::{AnyWork, GathersAny, Peer};
use crate::yields::YieldingChild;

/// How many children each gather has.
const CHILDREN: u64 = 8;

/// The closure that takes one sample of this row.
pub(crate) fn sampler(peer: Peer, depth: u32) -> Box<dyn FnMut() -> f64> {
    peer.gathering_any(Nested { depth })
}

/// The row.
#[derive(Clone, Copy)]
struct Nested {
    /// How many gathers there are from the root to a leaf.
    depth: u32,
}

impl AnyWork for Nested {
    fn sample<P: GathersAny>(self, peer: &Rc<P>) -> f64 {
        let leaves = CHILDREN.pow(self.depth);
        peer.block_on(async {
            let start = Instant::now();
            assert_eq!(black_box(level(peer.clone(), self.depth).await), Ok(leaves));
            start.elapsed().as_nanos() as f64 / leaves as f64
        })
    }
}

/// A gather with so many levels of gathers, itself among them. Gives the number of its leaves.
fn level<P: GathersAny>(peer: Rc<P>, depth: u32) -> Pin<Box<dyn Future<Output = Result<u64, ()>>>> {
    Box::pin(async move {
        let counts = if depth == 1 {
            peer.gather_any((0..CHILDREN).map(|_| YieldingChild::new(1, 1))).await
        } else {
            peer.gather_any((0..CHILDREN).map(|_| level(peer.clone(), depth - 1))).await
        };
        Ok(counts.iter().sum())
    })
}
