//! Gathering futures of different types: [`gather!`](crate::gather!).
//!
//! The futures are in a list that is nested in its type, `Link<A, Link<B, Last<C>>>`, which the compiler flattens:
//! no allocation, no boxes, and one implementation for any number. Each is polled when it was woken, as in a
//! [`gather()`](crate::gather()), with the same group and the same wakers. The outputs come nested, too, and
//! [`Flatten`] makes a plain tuple of them.
//!
//! This is the last file of the reading order.

use std::convert::Infallible;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use gather_runtime::group::{Entry, Group, spend};
use pin_project_lite::pin_project;

use crate::panics::FirstPanic;
use crate::policy::{Capture, FailFast};

/// Runs futures of different types side by side, and gives a tuple of their outputs.
///
/// * `gather!(a, b, c)`: they give `Result`s with the same error type, and it is a future of `Result<(A, B, C), E>`.
///   The first error drops the others, and then it is given.
/// * `gather!(capture; a, b, c)`: they may give anything, and it is a future of the tuple of their outputs.
///
/// It takes one to twelve futures, polls each only when it was woken, and allocates nothing for them. Panics and
/// cancellation are those of [`gather()`](crate::gather()).
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
    ($last:expr) => { $crate::list::Last::new($last) };
    ($first:expr, $($rest:expr),+) => { $crate::list::Link::new($first, $crate::__gather_list!($($rest),+)) };
}

/// What a mode makes of one output: something to keep, or an error that ends the gather.
pub trait Judge<O> {
    type Kept;
    type Error;
    fn judge(output: O) -> Result<Self::Kept, Self::Error>;
}

impl<T, E> Judge<Result<T, E>> for FailFast {
    type Kept = T;
    type Error = E;

    fn judge(output: Result<T, E>) -> Result<T, E> {
        output
    }
}

impl<O> Judge<O> for Capture {
    type Kept = O;
    type Error = Infallible;

    fn judge(output: O) -> Result<O, Infallible> {
        Ok(output)
    }
}

pin_project! {
    /// A child: first its future, then what is kept of its output.
    #[project = ChildProjection]
    #[project_replace = ChildOwned]
    pub enum Child<F, K> {
        Running { #[pin] future: F },
        Kept { kept: K },
        Gone,
    }
}

impl<F: Future, K> Child<F, K> {
    /// Polls the child if it runs, and says whether it has finished now.
    fn poll<M>(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Result<bool, M::Error>
    where
        M: Judge<F::Output, Kept = K>,
    {
        let ChildProjection::Running { future } = self.as_mut().project() else { return Ok(false) };
        let Poll::Ready(output) = future.poll(cx) else { return Ok(false) };
        // The future is dropped before its output is judged, as in every gather.
        self.set(Child::Gone);
        let kept = M::judge(output)?;
        self.set(Child::Kept { kept });
        Ok(true)
    }

    /// What was kept. Every child must have finished.
    fn take(self: Pin<&mut Self>) -> K {
        match self.project_replace(Child::Gone) {
            ChildOwned::Kept { kept } => kept,
            ChildOwned::Running { .. } | ChildOwned::Gone => unreachable!("every child has finished"),
        }
    }
}

/// Children, one after the other.
pub trait List<M> {
    /// What is kept of their outputs, nested as the list is.
    type Kept;
    type Error;
    /// How many they are.
    const COUNT: u32;

    /// Polls the child with this number, and says whether it has finished now.
    fn poll_child(self: Pin<&mut Self>, child: u32, cx: &mut Context<'_>) -> Result<bool, Self::Error>;
    /// What was kept. Every child must have finished.
    fn take(self: Pin<&mut Self>) -> Self::Kept;
}

/// What can drop its children one by one.
pub trait Clear {
    #[allow(private_interfaces, reason = "the whole module is hidden")]
    fn clear(self: Pin<&mut Self>, panics: &mut FirstPanic);
}

pin_project! {
    /// A child, and those after it.
    pub struct Link<F, K, R> {
        #[pin]
        child: Child<F, K>,
        #[pin]
        rest: R,
    }
}

pin_project! {
    /// The last child.
    pub struct Last<F, K> {
        #[pin]
        child: Child<F, K>,
    }
}

impl<F: Future, K, R> Link<F, K, R> {
    pub fn new(future: impl IntoFuture<IntoFuture = F>, rest: R) -> Self {
        Link { child: Child::Running { future: future.into_future() }, rest }
    }
}

impl<F: Future, K> Last<F, K> {
    pub fn new(future: impl IntoFuture<IntoFuture = F>) -> Self {
        Last { child: Child::Running { future: future.into_future() } }
    }
}

impl<M, F, K, R> List<M> for Link<F, K, R>
where
    F: Future,
    R: List<M>,
    M: Judge<F::Output, Kept = K, Error = R::Error>,
{
    type Kept = (K, R::Kept);
    type Error = R::Error;
    const COUNT: u32 = 1 + R::COUNT;

    #[inline]
    fn poll_child(self: Pin<&mut Self>, child: u32, cx: &mut Context<'_>) -> Result<bool, Self::Error> {
        match child {
            0 => self.project().child.poll::<M>(cx),
            _ => self.project().rest.poll_child(child - 1, cx),
        }
    }

    fn take(self: Pin<&mut Self>) -> Self::Kept {
        let this = self.project();
        (this.child.take(), this.rest.take())
    }
}

impl<M, F, K> List<M> for Last<F, K>
where
    F: Future,
    M: Judge<F::Output, Kept = K>,
{
    type Kept = (K, ());
    type Error = M::Error;
    const COUNT: u32 = 1;

    #[inline]
    fn poll_child(self: Pin<&mut Self>, _: u32, cx: &mut Context<'_>) -> Result<bool, Self::Error> {
        self.project().child.poll::<M>(cx)
    }

    fn take(self: Pin<&mut Self>) -> Self::Kept {
        (self.project().child.take(), ())
    }
}

impl<F, K, R: Clear> Clear for Link<F, K, R> {
    #[allow(private_interfaces, reason = "the whole module is hidden")]
    fn clear(self: Pin<&mut Self>, panics: &mut FirstPanic) {
        let mut this = self.project();
        panics.catch(|| this.child.set(Child::Gone));
        this.rest.clear(panics);
    }
}

impl<F, K> Clear for Last<F, K> {
    #[allow(private_interfaces, reason = "the whole module is hidden")]
    fn clear(self: Pin<&mut Self>, panics: &mut FirstPanic) {
        let mut this = self.project();
        panics.catch(|| this.child.set(Child::Gone));
    }
}

pin_project! {
    /// The future of [`gather!`](crate::gather!).
    #[must_use = "a gather does nothing unless it is awaited"]
    pub struct GatherList<L, M> where L: Clear {
        #[pin]
        list: L,
        // The runtime's side: who was woken.
        group: Group,
        // How many children have not finished.
        running: u32,
        // What the wakers of the children carry.
        generation: u8,
        // Whether the result was given.
        is_over: bool,
        mode: PhantomData<M>,
    }

    impl<L, M> PinnedDrop for GatherList<L, M> where L: Clear {
        fn drop(this: Pin<&mut Self>) {
            let mut panics = FirstPanic::default();
            this.project().list.clear(&mut panics);
            panics.resume();
        }
    }
}

/// `gather!(..)`
pub fn fail_fast<L: List<FailFast> + Clear>(list: L) -> GatherList<L, FailFast> {
    GatherList::new(list)
}

/// `gather!(capture; ..)`
pub fn capture<L: List<Capture> + Clear>(list: L) -> GatherList<L, Capture> {
    GatherList::new(list)
}

impl<L: List<M> + Clear, M> GatherList<L, M> {
    fn new(list: L) -> Self {
        let (group, mode) = (Group::new(), PhantomData);
        GatherList { list, group, running: L::COUNT, generation: 1, is_over: false, mode }
    }

    /// Polls who was woken, and gives the result when it is there; then every child is gone.
    fn poll_result(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<L::Kept, L::Error>> {
        let mut this = self.project();
        assert!(!*this.is_over, "a gather was polled after it had given its result");
        // Nothing of the gather is used after a panic, except to drop it.
        let result = catch_unwind(AssertUnwindSafe(|| {
            advance(this.list.as_mut(), this.group, this.running, this.generation, cx)
        }));
        if let Ok(Poll::Pending) = result {
            return Poll::Pending;
        }
        *this.is_over = true;
        let mut panics = FirstPanic::default();
        this.list.as_mut().clear(&mut panics);
        this.group.release();
        panics.forget();
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

fn advance<L: List<M>, M>(
    mut list: Pin<&mut L>,
    group: &mut Group,
    running: &mut u32,
    generation: &mut u8,
    cx: &mut Context<'_>,
) -> Poll<Result<L::Kept, L::Error>> {
    if let Entry::New { first_generation } = group.enter(cx) {
        *generation = first_generation;
        group.grow(L::COUNT);
        group.push_all();
    }
    while let Some(woken) = group.next() {
        let waker = group.waker(woken.child, *generation);
        match list.as_mut().poll_child(woken.child, &mut Context::from_waker(&waker)) {
            Ok(finished) => *running -= u32::from(finished),
            Err(error) => return Poll::Ready(Err(error)),
        }
        if *running == 0 {
            return Poll::Ready(Ok(list.take()));
        }
        if !spend() {
            group.leave(cx, true);
            return Poll::Pending;
        }
    }
    group.leave(cx, false);
    Poll::Pending
}

impl<L> Future for GatherList<L, FailFast>
where
    L: List<FailFast, Kept: Flatten> + Clear,
{
    type Output = Result<<L::Kept as Flatten>::Flat, L::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_result(cx).map_ok(Flatten::flatten)
    }
}

impl<L> Future for GatherList<L, Capture>
where
    L: List<Capture, Kept: Flatten, Error = Infallible> + Clear,
{
    type Output = <L::Kept as Flatten>::Flat;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_result(cx).map(|result| match result {
            Ok(kept) => kept.flatten(),
            Err(never) => match never {},
        })
    }
}

/// From `(a, (b, (c, ())))` to `(a, b, c)`.
pub trait Flatten {
    type Flat;
    fn flatten(self) -> Self::Flat;
}

/// Implements [`Flatten`] for all that is listed, and then for one less.
macro_rules! impl_flatten {
    () => {};
    ($first:ident $($rest:ident)*) => {
        impl<$first, $($rest),*> Flatten for impl_flatten!(@nest $first $($rest)*) {
            type Flat = ($first, $($rest),*);

            #[allow(non_snake_case, reason = "the names of the types serve for their values")]
            fn flatten(self) -> Self::Flat {
                let impl_flatten!(@nest $first $($rest)*) = self;
                ($first, $($rest),*)
            }
        }
        impl_flatten!($($rest)*);
    };
    (@nest) => { () };
    (@nest $first:ident $($rest:ident)*) => { ($first, impl_flatten!(@nest $($rest)*)) };
}

impl_flatten!(A B C D E F G H I J K L);
