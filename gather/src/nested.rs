//! A list of children that is nested in its type: `Link<A, Link<B, ()>>`.
//!
//! The compiler flattens it: a child is found by its number in a chain of comparisons that it
//! makes a jump of. The outputs come nested, too, and [`Flatten`] makes a plain tuple of them.
//!
//! Next: [`scope`](mod@crate::scope), the group that grows.

use std::convert::Infallible;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::panics::{DropAll, drop_all, drop_child, holding};
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
    /// A child: its future while it runs, and then what is kept of its output.
    pub struct Child<F, K> {
        #[pin]
        future: Option<F>,
        kept: DropAll<Option<K>>,
    }

    impl<F, K> PinnedDrop for Child<F, K> {
        fn drop(this: Pin<&mut Self>) {
            let mut future = this.project().future;
            if future.is_some() {
                drop_all(std::iter::once_with(|| future.set(None)));
            }
        }
    }
}

impl<F: Future, K> Child<F, K> {
    /// Polls the child; `None` if it has finished before.
    fn poll<M>(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Option<Poll<Result<(), M::Error>>>
    where
        M: Judge<F::Output, Kept = K>,
    {
        let mut this = self.project();
        let poll = this.future.as_mut().as_pin_mut()?.poll(cx);
        Some(poll.map(|output| {
            // The future is dropped before its output is judged, as in every gather.
            let output = holding(output, || drop_child::<F>(|| this.future.set(None)));
            this.kept.0 = Some(M::judge(output)?);
            Ok(())
        }))
    }

    /// What was kept. Every child must have finished.
    fn take(self: Pin<&mut Self>) -> K {
        self.project().kept.take().expect("every child has finished")
    }
}

/// Children, one after the other, in mode `M` and with errors of type `E`. The end of a list is
/// `()`.
pub trait List<M, E> {
    /// What is kept of their outputs, nested as the list is.
    type Kept;
    /// How many they are.
    const COUNT: u32;

    /// Polls the child with this number; `None` if it has finished before, or never was.
    fn poll_child(self: Pin<&mut Self>, child: u32, cx: &mut Context<'_>) -> Option<Poll<Result<(), E>>>;
    /// What was kept. Every child must have finished.
    fn take(self: Pin<&mut Self>) -> Self::Kept;
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

impl<F: Future, K, R> Link<F, K, R> {
    pub fn new(future: impl IntoFuture<IntoFuture = F>, rest: R) -> Self {
        Link { child: Child { future: Some(future.into_future()), kept: DropAll(None) }, rest }
    }
}

impl<M, E, F, K, R> List<M, E> for Link<F, K, R>
where
    F: Future,
    R: List<M, E>,
    M: Judge<F::Output, Kept = K, Error = E>,
{
    type Kept = (K, R::Kept);
    const COUNT: u32 = 1 + R::COUNT;

    fn poll_child(self: Pin<&mut Self>, child: u32, cx: &mut Context<'_>) -> Option<Poll<Result<(), E>>> {
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

impl<M, E> List<M, E> for () {
    type Kept = ();
    const COUNT: u32 = 0;

    fn poll_child(self: Pin<&mut Self>, _: u32, _: &mut Context<'_>) -> Option<Poll<Result<(), E>>> {
        None
    }

    fn take(self: Pin<&mut Self>) {}
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
