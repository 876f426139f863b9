//! A list of children that is nested in its type: `Link<A, Link<B, Last<C>>>`.
//!
//! The compiler flattens it: a child is found by its number in a chain of comparisons that it makes a jump of. The outputs
//! come nested, too, and [`Flatten`] makes a plain tuple of them.
//!
//! Next: [`scope`](mod@crate::scope), the group that grows.

use std::convert::Infallible;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::panics::{FirstPanic, Guarded, drop_child};
use crate::policy::{Capture, FailFast};

/// What a mode makes of one output: something to keep, or an error that ends the gather.
#[diagnostic::on_unimplemented(
    message = "this `gather!` does not fit a child that gives `{O}`",
    note = "`gather!(a, b, c)` stops at the first `Err`, so each must give a `Result`, all with the same error type",
    note = "children that give anything else: `gather!(capture; a, b, c)`"
)]
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
    pub enum Child<F, K> {
        Running { #[pin] future: F },
        Kept { kept: Option<K> },
        Gone,
    }
}

/// What a poll of a child has led to.
pub enum Step {
    Waits,
    HasFinished,
    /// It had finished before.
    IsGone,
}

impl<F: Future, K> Child<F, K> {
    /// Polls the child if it runs.
    fn poll<M>(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Result<Step, M::Error>
    where
        M: Judge<F::Output, Kept = K>,
    {
        let ChildProjection::Running { future } = self.as_mut().project() else { return Ok(Step::IsGone) };
        let Poll::Ready(output) = future.poll(cx) else { return Ok(Step::Waits) };
        // The future is dropped before its output is judged, as in every gather.
        let output = Guarded::new(output);
        drop_child::<F>(|| self.set(Child::Gone));
        if let Some(output) = output.into_inner() {
            let kept = M::judge(output)?;
            self.set(Child::Kept { kept: Some(kept) });
        }
        Ok(Step::HasFinished)
    }

    /// What was kept. Every child must have finished.
    fn take(self: Pin<&mut Self>) -> K {
        // Only what was kept is moved: moved as a whole, a child would be read in other pieces than it was just written in.
        match self.project() {
            ChildProjection::Kept { kept } => kept.take(),
            ChildProjection::Running { .. } | ChildProjection::Gone => None,
        }
        .expect("every child has finished")
    }
}

/// Children, one after the other.
pub trait List<M> {
    /// What is kept of their outputs, nested as the list is.
    type Kept;
    type Error;
    /// How many they are.
    const COUNT: u32;

    /// Polls the child with this number, if it runs.
    fn poll_child(self: Pin<&mut Self>, child: u32, cx: &mut Context<'_>) -> Result<Step, Self::Error>;
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
    fn poll_child(self: Pin<&mut Self>, child: u32, cx: &mut Context<'_>) -> Result<Step, Self::Error> {
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
    fn poll_child(self: Pin<&mut Self>, _: u32, cx: &mut Context<'_>) -> Result<Step, Self::Error> {
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

/// From `(a, (b, (c, ())))` to `(a, b, c)`.
#[diagnostic::on_unimplemented(message = "`gather!` takes one to twelve futures")]
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
