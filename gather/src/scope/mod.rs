//! The group that grows while it runs: [`scope()`].
//!
//! ```text
//!   body ───────────┐ s.spawn(..)   ┌─────────── engine.rs: polls those that were woken
//!   child ──────────┴──► child ◄────┼─────────── Scope: cancels all, knows the names
//!                       (a cell)    └─────────── ScopedTask: cancels it, and takes the output
//! ```
//!
//! It is a gather whose input goes on coming: the engine takes each new child from the scope and
//! runs it as it runs any child. The body is the first child. A [`child`] is a cell that the
//! engine, the scope and its handle share.
//!
//! The children may borrow the scope, and the scope has the children: it is in a `ManuallyDrop`,
//! so that the compiler need not fear its destructor, and [`Running`] comes after it and drops the
//! children in its place. All this is checked by the compiler: there is no unsafe code in it.
//!
//! Next: [`table`].

mod child;
mod table;

use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{AsyncFnOnce, ControlFlow};
use std::panic::Location;

use crate::engine::Siblings;
use crate::panics::{drop_all, holding};
use crate::policy::{Kept, Policy};
use child::Child;
pub use child::ScopedTask;
use table::{NewChildren, Polled, Table};

/// Runs a body that may start children while it runs, and ends when the body and every child have
/// ended.
///
/// The body is an async closure. It gets the [`Scope`], on which it, and its children,
/// [`spawn`](Scope::spawn) more. The children run beside the body, on this thread, inside this
/// future; each is polled only when it was woken. They may borrow what lives outside the scope,
/// and the scope itself; not what is inside the body, which may end before them.
///
/// It gives what the body gives, if no child fails. It is Python's `asyncio.TaskGroup`, trio's
/// nursery, and [`std::thread::scope`], for futures.
///
/// # Errors
///
/// The first `Err`, of a child or of the body, ends the scope: all others are dropped, and then
/// the error is given.
///
/// # Panics
///
/// A panic in a child or in the body ends the scope with that panic, after all others were
/// dropped. If a destructor panics while the scope ends with an error, the panic goes on and the
/// error is dropped; of several panics the first goes on.
///
/// It panics if it is polled where no runtime runs, and if there are more children at once than a
/// gather may have ([`gather_runtime`](https://docs.rs/gather-runtime) has the table of limits).
///
/// # Cancellation
///
/// Dropping the scope's future drops the body and every child at once: the body first. A
/// destructor that panics keeps no other from running.
///
/// # Cost
///
/// Two allocations for each child (its future, and what it shares with its handle), one for the
/// body, and memory for as many children as there were at once. The future is not `Send`: spawn it
/// with [`spawn`](crate::spawn), which does not ask for that.
///
/// ```
/// use gather::{run, scope, sleep};
/// use std::cell::Cell;
/// use std::time::Duration;
///
/// let total = &Cell::new(0); // borrowed by every child: no Rc, no 'static
/// let count = run(scope(async |s| {
///     for number in 1..=3 {
///         s.spawn(async move {
///             sleep(Duration::from_millis(number)).await;
///             total.set(total.get() + number);
///             s.spawn(async { Ok(total.set(total.get() + 10)) }); // a child may spawn, too
///             Ok::<(), std::io::Error>(())
///         });
///     }
///     let last = s.spawn(async { Ok("the output of a child") });
///     assert_eq!(last.await.unwrap(), "the output of a child");
///     Ok(s.len())
/// }));
/// assert_eq!((count.unwrap(), total.get()), (3, 36)); // all have ended
/// ```
///
/// # What the compiler refuses
///
/// A child may borrow what lives outside, but not what lives inside the body:
///
/// ```
/// # use gather::{run, scope};
/// let text = String::from("outside");
/// let spawned = run(scope(async |s| {
///     s.spawn(async { Ok::<_, ()>(text.len()) });
///     Ok(())
/// }));
/// ```
///
/// ```compile_fail,E0373
/// # use gather::{run, scope};
/// let spawned = run(scope(async |s| {
///     let text = String::from("inside");
///     s.spawn(async { Ok::<_, ()>(text.len()) });
///     Ok(())
/// }));
/// ```
///
/// What a child takes over (`async move`) may come from anywhere. Nor can the scope leave the
/// body:
///
/// ```
/// # use gather::{run, scope};
/// let length = run(scope(async |s| Ok::<_, ()>(s.len())));
/// ```
///
/// ```compile_fail
/// # use gather::{run, scope};
/// let escaped = run(scope(async |s| Ok::<_, ()>(s)));
/// ```
#[track_caller]
pub fn scope<'env, T, E: 'env, B>(body: B) -> impl Future<Output = Result<T, E>>
where
    B: for<'scope> AsyncFnOnce(&'scope Scope<'scope, 'env, E>) -> Result<T, E>,
{
    run_at(Location::caller(), body)
}

/// Runs a scope that was made there.
async fn run_at<'env, T, E: 'env, B>(place: &'static Location<'static>, body: B) -> Result<T, E>
where
    B: for<'scope> AsyncFnOnce(&'scope Scope<'scope, 'env, E>) -> Result<T, E>,
{
    // In this order, so that what is borrowed by the next goes after it.
    let scope = ManuallyDrop::new(Scope { table: Table::new(), environment: PhantomData });
    let scope: &Scope<'_, 'env, E> = &scope;
    let mut siblings = Siblings::new(NewChildren(&scope.table), "scope");
    siblings.group.set_place(place);
    let mut running = Running { table: &scope.table, siblings };
    let body = Child::new(&scope.table, None, body(scope));
    scope.table.add_body(body.clone());
    let result = poll_fn(|cx| running.siblings.advance(&mut UntilError, cx)).await;
    holding(result, || running.end())?;
    Ok(body.take_output().expect("the body has ended"))
}

// `E: 'env` is not needed here, but by the callers: in the body the compiler knows that `E`
// outlives `'scope`, as `'env` does. If it knew nothing of how the two compare, then what a child
// borrows would have to outlive both; with an error that is a `&'static str`, that is, be static.
/// A group that children are spawned into: see [`scope()`].
///
/// It lives for `'scope`; what its children may borrow lives for `'env`, which is longer. A
/// function that spawns takes a `&'scope Scope<'scope, '_, E>`:
///
/// ```
/// use gather::{Scope, run, scope, yield_now};
///
/// /// Visits the numbers up to 15 as the nodes of a binary tree, each in a child of its own.
/// async fn visit<'scope>(s: &'scope Scope<'scope, '_, ()>, number: u32, sum: &'scope std::cell::Cell<u32>) -> Result<(), ()> {
///     sum.set(sum.get() + number);
///     for child in [2 * number, 2 * number + 1] {
///         if child <= 15 {
///             let visit: std::pin::Pin<Box<dyn Future<Output = _>>> = Box::pin(visit(s, child, sum));
///             s.spawn(visit);
///         }
///     }
///     yield_now().await;
///     Ok(())
/// }
///
/// let sum = std::cell::Cell::new(0);
/// run(scope(async |s| {
///     s.spawn(visit(s, 1, &sum));
///     Ok(())
/// })).unwrap();
/// assert_eq!(sum.get(), 120);
/// ```
pub struct Scope<'scope, 'env: 'scope, E: 'env> {
    table: Table<'scope, E>,
    /// Invariant: for a body that works with any `'scope`, there must be no other lifetime than
    /// the caller's `'env`.
    environment: PhantomData<&'env mut &'env ()>,
}

impl<'scope, E> Scope<'scope, '_, E> {
    /// Starts a child. It is first polled when the one who spawns it has let the scope go on.
    ///
    /// The handle is a future of the child's output. It need not be kept: dropping it lets the
    /// child go on.
    ///
    /// In a scope that is ending (from a destructor, then) the future is dropped, not polled, and
    /// its handle gives "cancelled".
    pub fn spawn<U, F>(&'scope self, future: F) -> ScopedTask<'scope, U>
    where
        F: Future<Output = Result<U, E>> + 'scope,
        U: 'scope,
    {
        self.start(None, future)
    }

    /// Starts a child, as [`spawn`](Scope::spawn) does, with a name, which the `Debug` text of its
    /// handle and of the scope shows while it runs.
    pub fn spawn_named<U, F>(&'scope self, name: &str, future: F) -> ScopedTask<'scope, U>
    where
        F: Future<Output = Result<U, E>> + 'scope,
        U: 'scope,
    {
        self.start(Some(name.into()), future)
    }

    fn start<U, F>(&'scope self, name: Option<Box<str>>, future: F) -> ScopedTask<'scope, U>
    where
        F: Future<Output = Result<U, E>> + 'scope,
        U: 'scope,
    {
        let child = Child::new(&self.table, name, future);
        match self.table.add(child.clone()) {
            Some(key) => child.set_key(key),
            None => child.clone().cancel(),
        }
        ScopedTask::new(child)
    }

    /// Cancels every child that there is now: each is dropped before this returns; a child that
    /// calls it, when its poll returns (or, if the destructor of another is running, after that).
    ///
    /// It ends neither the scope nor the body, which go on and may spawn again. If a destructor
    /// panics, the panic goes on when all have run.
    pub fn cancel(&self) {
        drop_all(self.table.all().into_iter().map(|child| child.cancel()));
    }

    /// How many children have not ended. The body does not count.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether every child has ended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<E> fmt::Debug for Scope<'_, '_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let children = self.table.all();
        let named: Vec<_> = children.iter().filter_map(|child| child.name()).collect();
        f.debug_struct("Scope").field("len", &self.len()).field("named", &named).finish()
    }
}

/// The first error ends the scope; nothing else is kept.
struct UntilError;

impl<E> Policy<Result<(), E>> for UntilError {
    type Output = Result<(), E>;

    fn judge(
        &mut self,
        _: usize,
        output: Result<(), E>,
        _: &mut Kept<Result<(), E>>,
    ) -> ControlFlow<Self::Output> {
        match output {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Err(error)),
        }
    }

    fn finish(&mut self, _: Kept<Result<(), E>>) -> Self::Output {
        Ok(())
    }
}

/// The children while they run. It drops them when the scope ends, panics or is dropped.
struct Running<'scope, E> {
    table: &'scope Table<'scope, E>,
    siblings: Siblings<NewChildren<'scope, E>, Polled<'scope, E>, Result<(), E>>,
}

impl<E> Running<'_, E> {
    /// Drops every child that is left, and takes no more.
    fn end(&mut self) {
        self.table.close();
        self.siblings.release();
        self.table.free();
    }
}

impl<E> Drop for Running<'_, E> {
    fn drop(&mut self) {
        self.end();
    }
}
