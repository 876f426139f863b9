//! Groups: a set of children that share one parent. The narrow waist between this runtime and `gather`.
//!
//! A combinator that owns child futures (a gather, a scope, a stream) has one [`Group`]. It gives each child a
//! waker of its own ([`Group::waker`]), and the runtime keeps, for each group, a first-in-first-out queue of the
//! children that were woken. So the combinator polls just those, in just that order, and a spurious poll of the
//! combinator polls no child. The group holds no future and no pointer: a row number, and nothing more.
//!
//! Next: [`table`].

mod table;

use std::task::{Context, Waker};

use crate::id::{Id, MAX_CHILDREN, Target};
use crate::local::{self, Local};
use crate::mailbox::{self, Command, RuntimeId};
use crate::waker;

pub(crate) use table::Groups;
pub use table::{Woken, next_generation};

/// What [`Group::enter`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The group is where it was: poll the children that were woken.
    Known,
    /// The group is new on this runtime, at its first poll or because its owner was moved here from another
    /// runtime. Every child that exists has to be polled, so that it learns its waker.
    New {
        /// What the children count their generations from.
        first_generation: u8,
    },
}

/// A set of children that share one parent, for those who write combinators. (Users of `gather` need not know.)
///
/// The life of a poll: [`enter`](Group::enter), then [`next`](Group::next) until it gives `None` or the budget
/// is spent ([`spend`]), then [`leave`](Group::leave).
///
/// # Panics
///
/// All but `new`, `waker` and `release` panic where no runtime runs, and all but `enter` on another runtime than that on
/// which the group was entered last.
///
/// ```
/// use gather_runtime::group::{Entry, Group};
/// use std::future::{Future, poll_fn};
/// use std::task::{Context, Poll};
///
/// // Both of two futures, without polling one because the other was woken.
/// async fn both(a: impl Future<Output = ()>, b: impl Future<Output = ()>) {
///     let mut children = [Some(Box::pin(a) as std::pin::Pin<Box<dyn Future<Output = ()>>>), Some(Box::pin(b))];
///     let mut group = Group::new();
///     poll_fn(|cx| {
///         if let Entry::New { .. } = group.enter(cx) {
///             group.grow(2);
///             group.push_all();
///         }
///         while let Some(woken) = group.next() {
///             let waker = group.waker(woken.child, 1);
///             let slot = &mut children[woken.child as usize];
///             if let Some(child) = slot {
///                 if child.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
///                     *slot = None;
///                 }
///             }
///         }
///         group.leave(cx, false);
///         if children.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
///     })
///     .await
/// }
/// gather_runtime::run(both(gather_runtime::yield_now(), async {}));
/// ```
#[derive(Debug)]
pub struct Group {
    /// The runtime whose table has the row.
    runtime: RuntimeId,
    /// The row, if `runtime` is one.
    row: u32,
}

impl Default for Group {
    fn default() -> Self {
        Group::new()
    }
}

impl Group {
    /// A group without a row: it gets one when it is first polled, on the runtime that polls it.
    pub const fn new() -> Group {
        Group { runtime: RuntimeId::NONE, row: 0 }
    }

    /// Begins a poll: `cx` is the parent's. Until [`leave`](Group::leave), wakes of children do not wake the
    /// parent, because the poll that goes on will find them.
    ///
    /// # Panics
    ///
    /// If this thread runs no runtime.
    #[inline]
    pub fn enter(&mut self, cx: &Context<'_>) -> Entry {
        local::with_running("a gather", |local| {
            let entry = if self.runtime == local.id() { Entry::Known } else { self.move_to(local) };
            local.set_parent(self.row, cx.waker());
            entry
        })
    }

    #[cold]
    fn move_to(&mut self, local: &Local) -> Entry {
        self.release();
        let (row, first_generation) = local.groups.borrow_mut().insert();
        *self = Group { runtime: local.id(), row };
        Entry::New { first_generation }
    }

    /// Makes room for children with the numbers below `count`.
    ///
    /// # Panics
    ///
    /// If that is more than a group can have (16,777,214 on a machine of 64 bits).
    pub fn grow(&self, count: u32) {
        assert!(
            count <= MAX_CHILDREN,
            "gather: more than {MAX_CHILDREN} children at once in one gather; `.limit(n)` keeps fewer alive"
        );
        self.at_home(|local| local.groups.borrow_mut().grow(self.row, count));
    }

    /// Queues every child that [`grow`](Group::grow) made room for, as if each had been woken.
    pub fn push_all(&self) {
        self.at_home(|local| local.groups.borrow_mut().push_all(self.row));
    }

    /// The waker of a child. It owns nothing, and may outlive the group.
    #[inline]
    pub fn waker(&self, child: u32, generation: u8) -> Waker {
        let target = Target::Child { group: self.row, child, generation };
        waker::new(Id::new(self.runtime.number(), target))
    }

    /// The next child that was woken, in the order of the wakes.
    #[inline]
    #[allow(
        clippy::should_implement_trait,
        reason = "it takes &self: children wake themselves while it runs"
    )]
    pub fn next(&self) -> Option<Woken> {
        self.at_home(|local| local.groups.borrow_mut().pop(self.row))
    }

    /// Ends a poll. If children are still queued, or the owner says that there is `more` to do, the parent is
    /// woken so that it polls again when others had their turn.
    #[inline]
    pub fn leave(&self, cx: &Context<'_>, more: bool) {
        let again = self.at_home(|local| local.groups.borrow_mut().end_poll(self.row, more));
        if again {
            cx.waker().wake_by_ref();
        }
    }

    /// The tables of the runtime on which the group was entered last.
    #[inline]
    fn at_home<R>(&self, f: impl FnOnce(&Local) -> R) -> R {
        local::with(|local| {
            assert!(
                self.runtime == local.id(),
                "a group is used between `enter` and `leave`, on the thread that entered it"
            );
            f(local)
        })
    }

    /// Gives the row back. Wakers of its children then wake nobody. Dropping the group does the same.
    pub fn release(&mut self) {
        let runtime = std::mem::replace(&mut self.runtime, RuntimeId::NONE);
        let row = self.row;
        if runtime == RuntimeId::NONE {
            return;
        }
        match local::with_home(runtime, |local| local.groups.borrow_mut().remove(row)) {
            Some(parent) => drop(parent), // a foreign waker runs foreign code: nothing is borrowed here
            None => drop(mailbox::send(runtime, Command::RemoveGroup(row))),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.release();
    }
}

impl Local {
    /// Remembers whom to wake, and that it is polling now.
    #[inline]
    fn set_parent(&self, row: u32, waker: &Waker) {
        let parent = waker::copy(waker);
        let stale = self.groups.borrow_mut().begin_poll(row, parent);
        // A foreign waker runs foreign code when it is dropped: nothing is borrowed here.
        let _ = stale.map(waker::into_id);
    }
}

/// Takes one unit of the budget that each poll of a task starts with, and says whether something is left. What
/// could go on for ever without waiting (a gather with ready children, a socket with data) spends one for each
/// step, and when nothing is left wakes itself and returns `Pending`, so that others have their turn.
#[inline]
pub fn spend() -> bool {
    local::with(Local::spend)
}
