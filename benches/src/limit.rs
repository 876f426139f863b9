//! `limit 256` and `allocs 256`: half a million ready children, 256 at most at once; nanoseconds
//! for a child, and how often memory was allocated for all of them.
//!
//! The work: 512,000 futures that are ready at their first poll, pulled from an iterator. It shows
//! what a limit costs, and whether a child that never waits costs an allocation.
//!
//! Why it is fair: who has outputs in order is asked for them. `try_join_all` has no limit; in its
//! line is `StreamExt::buffered`, in that of `FuturesUnordered` `buffer_unordered`, in that of
//! futures-buffered its `buffered_ordered`. `JoinSet` is what tokio's users build a limit from:
//! spawn while fewer than 256 are in it, and then await one first. The floor polls 256 futures
//! where they lie in a `Vec`, and then the next 256.
//!
//! The allocations are counted by another program, `counting.rs`, which is this file with a
//! counting allocator. Were that linked into this one, it would be in everybody's nanoseconds. An
//! allocation that grows another counts too; what starting a runtime allocates does not.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use futures_buffered::BufferedStreamExt as _;

/// How many children there are.
pub(crate) const CHILDREN: u64 = 512_000;

/// How many exist at once.
const LIMIT: usize = 256;

/// The closure that does the work once with the peer of this name, its runtime made. `None`
/// if it has no limit.
pub(crate) fn runner(peer: &str) -> Option<Box<dyn FnMut()>> {
    Some(match peer {
        "hand (the floor)" => Box::new(|| check(by_hand())),
        "gather" => {
            let runtime = gather::Runtime::new().expect("a runtime starts");
            Box::new(move || {
                check(runtime.block_on(gather::gather(children()).limit(LIMIT)).expect("no child fails"))
            })
        }
        "futures-buffered" => on_block_on(|| stream::iter(children()).buffered_ordered(LIMIT).try_collect()),
        "futures try_join_all" => on_block_on(|| stream::iter(children()).buffered(LIMIT).try_collect()),
        "FuturesUnordered" => on_block_on(|| stream::iter(children()).buffer_unordered(LIMIT).try_collect()),
        "tokio JoinSet" => {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().build().expect("a runtime starts");
            Box::new(move || check(runtime.block_on(in_join_set())))
        }
        _ => return None,
    })
}

/// Runs what `collect` makes on the executor of the peers that have none.
fn on_block_on<F>(collect: impl Fn() -> F + 'static) -> Box<dyn FnMut()>
where
    F: Future<Output = Result<Vec<u64>, ()>>,
{
    Box::new(move || check(futures_lite::future::block_on(collect()).expect("no child fails")))
}

/// Whether all are there.
fn check(outputs: Vec<u64>) {
    assert_eq!(black_box(outputs).len() as u64, CHILDREN);
}

/// The children.
fn children() -> impl Iterator<Item = ReadyChild> {
    (0..black_box(CHILDREN)).map(|number| ReadyChild { number, payload: [0; 6] })
}

/// At most 256 tasks in a set.
async fn in_join_set() -> Vec<u64> {
    let mut set = tokio::task::JoinSet::new();
    let mut outputs = Vec::new();
    let mut keep = |output: Result<Result<u64, ()>, tokio::task::JoinError>| {
        outputs.push(output.expect("it neither panics nor is cancelled").expect("no child fails"));
    };
    for child in children() {
        if set.len() == LIMIT {
            keep(set.join_next().await.expect("the set is full"));
        }
        set.spawn(child);
    }
    while let Some(output) = set.join_next().await {
        keep(output);
    }
    outputs
}

/// 256 in a `Vec`, polled where they lie, and the next 256.
fn by_hand() -> Vec<u64> {
    let mut children = children();
    let mut cx = Context::from_waker(Waker::noop());
    let mut outputs = Vec::new();
    let mut slots = Vec::with_capacity(LIMIT);
    loop {
        slots.extend(children.by_ref().take(LIMIT));
        if slots.is_empty() {
            return outputs;
        }
        for mut child in slots.drain(..) {
            match Pin::new(&mut child).poll(&mut cx) {
                Poll::Ready(output) => outputs.push(output.expect("no child fails")),
                Poll::Pending => unreachable!("it is ready at its first poll"),
            }
        }
    }
}

/// Gives its number at the first poll. The child of `ready.rs`, as large as every row's, which the
/// counting program has not.
struct ReadyChild {
    /// What it gives.
    number: u64,
    /// What else it holds.
    payload: [u64; 6],
}

impl Future for ReadyChild {
    type Output = Result<u64, ()>;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        black_box(&self.payload);
        Poll::Ready(Ok(black_box(self.number)))
    }
}
