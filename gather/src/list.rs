//! Gathering futures of different types: [`gather!`](crate::gather!).
//!
//! The futures are in a list that is nested in its type ([`nested`](crate::nested)): no
//! allocation, no boxes, and one implementation for any number. Each is polled when it was woken,
//! as in a [`gather()`](crate::gather()), with the same group and the same wakers.
//!
//! Next: [`nested`](crate::nested).

use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use gather_runtime::group::Group;
use pin_project_lite::pin_project;

pub use crate::nested::{Flatten, Link, List};
use crate::panics::forget_panic;
use crate::policy::{Capture, FailFast};

/// Runs futures of different types side by side, and gives a tuple of their outputs.
///
/// * `gather!(a, b, c)`: they give `Result`s with the same error type, and it is a future of
///   `Result<(A, B, C), E>`. The first error drops the others, and then it is given.
/// * `gather!(capture; a, b, c)`: they may give anything, and it is a future of the tuple of their
///   outputs.
///
/// It takes one to twelve futures, polls each only when it was woken, and allocates nothing for
/// them. Panics and cancellation are those of [`gather()`](crate::gather()).
///
/// ```
/// use gather::{gather, run};
///
/// async fn name() -> Result<String, std::io::Error> { Ok("ann".to_owned()) }
/// async fn age() -> Result<u32, std::io::Error> { Ok(42) }
///
/// run(async {
///     let (name, age) = gather!(name(), age()).await?;
///     assert_eq!((name.as_str(), age), ("ann", 42));
///     let (one, two) = gather!(capture; async { 1 }, async { "two" }).await;
///     assert_eq!((one, two), (1, "two"));
///     Ok::<(), std::io::Error>(())
/// })
/// # .unwrap();
/// ```
#[macro_export]
macro_rules! gather {
    ($(capture;)? $(,)?) => {
        ::core::compile_error!("`gather!` takes one to twelve futures; `gather(list)` takes any number, also none")
    };
    (capture; $($future:expr),+ $(,)?) => {
        $crate::list::capture($crate::__gather_list!($($future),+))
    };
    ($($future:expr),+ $(,)?) => {
        $crate::list::fail_fast($crate::__gather_list!($($future),+))
    };
}

/// Nests the futures.
#[doc(hidden)]
#[macro_export]
macro_rules! __gather_list {
    () => { () };
    ($first:expr $(, $rest:expr)*) => { $crate::list::Link::new($first, $crate::__gather_list!($($rest),*)) };
}

pin_project! {
    /// The future of [`gather!`](crate::gather!).
    #[must_use = "a gather does nothing unless it is awaited"]
    pub struct GatherList<L, M, E> {
        // `None` when the result was given.
        #[pin]
        list: Option<L>,
        // The runtime's side: who was woken.
        group: Group,
        // How many children have not finished.
        running: u32,
        // What the wakers of the children carry.
        generation: u8,
        mode: PhantomData<(M, E)>,
    }
}

/// `gather!(..)`
#[track_caller]
pub fn fail_fast<L: List<FailFast, E>, E>(list: L) -> GatherList<L, FailFast, E> {
    GatherList::new(list)
}

/// `gather!(capture; ..)`
#[track_caller]
pub fn capture<L: List<Capture, Infallible>>(list: L) -> GatherList<L, Capture, Infallible> {
    GatherList::new(list)
}

impl<L: List<M, E>, M, E> GatherList<L, M, E> {
    #[track_caller]
    fn new(list: L) -> Self {
        let group = Group::new("gather!");
        GatherList { list: Some(list), group, running: L::COUNT, generation: 1, mode: PhantomData }
    }

    /// Polls the children that were woken. When the result is there, every child is gone.
    fn poll_result(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<L::Kept, E>> {
        let mut this = self.project();
        let list = this.list.as_mut().as_pin_mut();
        let list = list.expect("a gather was polled after it had given its result");
        let poll =
            catch_unwind(AssertUnwindSafe(|| advance(list, this.group, this.running, this.generation, cx)));
        if let Ok(Poll::Pending) = poll {
            return Poll::Pending;
        }
        forget_panic(|| this.list.set(None));
        this.group.release();
        poll.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

fn advance<L: List<M, E>, M, E>(
    mut list: Pin<&mut L>,
    group: &mut Group,
    running: &mut u32,
    generation: &mut u8,
    cx: &mut Context<'_>,
) -> Poll<Result<L::Kept, E>> {
    group.poll(cx, |polling, first_generation| {
        let mut in_order = 0..0;
        if let Some(first_generation) = first_generation {
            *generation = first_generation;
            polling.grow(L::COUNT);
            in_order = 0..L::COUNT;
        }
        loop {
            // In the first poll each in turn; then those that were woken.
            let first = in_order.next();
            let Some(number) = first.or_else(|| Some(polling.next()?.0)) else { break };
            let poll = polling.with_context(number, *generation, |cx| list.as_mut().poll_child(number, cx));
            let Some(poll) = poll else { continue }; // it has ended
            if poll?.is_ready() {
                polling.ended(number);
                *running -= 1;
                if *running == 0 {
                    return Poll::Ready(Ok(list.take()));
                }
            } else if first.is_some() {
                polling.started(number, *generation, number as usize);
            }
            if first.is_none() && !polling.spend(1) {
                return polling.wait(true, (L::COUNT - *running) as usize);
            }
        }
        polling.wait(false, (L::COUNT - *running) as usize)
    })
}

impl<L, E> Future for GatherList<L, FailFast, E>
where
    L: List<FailFast, E, Kept: Flatten>,
{
    type Output = Result<<L::Kept as Flatten>::Flat, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_result(cx).map_ok(Flatten::flatten)
    }
}

impl<L> Future for GatherList<L, Capture, Infallible>
where
    L: List<Capture, Infallible, Kept: Flatten>,
{
    type Output = <L::Kept as Flatten>::Flat;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(Ok(kept)) = self.poll_result(cx) else { return Poll::Pending };
        Poll::Ready(kept.flatten())
    }
}
