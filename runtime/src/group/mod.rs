//! Groups: a set of children that share one parent. The narrow waist between this runtime and
//! `gather`.
//!
//! A combinator that owns child futures (a gather, a scope, a stream) has one [`Group`]. It gives
//! each child a waker of its own ([`Polling::with_context`]), and the runtime keeps, for each
//! group, a first-in-first-out queue of the children that were woken. So the combinator polls just
//! those, in just that order, and a spurious poll of the combinator polls no child. The group
//! holds no future and no pointer: a row number, and nothing more.
//!
//! Next: [`queue`](mod@queue).

mod queue;
mod row;
mod table;

use std::borrow::Cow;
use std::panic::Location;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::budget;
use crate::id::{Id, Target};
use crate::local::{self, Local};
use crate::mailbox::{RuntimeId, on_home};
use crate::waker;

pub use crate::budget::{poll_budget, without_budget};
pub use crate::id::MAX_CHILDREN;
pub use crate::trace::Span;
pub(crate) use queue::ChildFacts;
use queue::Queue;
pub(crate) use row::{Label, Row as GroupRow};
pub(crate) use table::Groups;
pub use table::next_generation;

/// A set of children that share one parent, for those who write combinators. (Users of `gather`
/// need not know.)
///
/// Its owner gives each child a number of its choice, and a generation that differs between
/// children that have the same number one after the other ([`next_generation`]).
///
/// ```
/// use gather_runtime::group::Group;
/// use std::future::{Future, poll_fn};
/// use std::pin::Pin;
/// use std::task::Poll;
///
/// // Both of two futures, without polling one because the other was woken.
/// async fn both(a: impl Future<Output = ()>, b: impl Future<Output = ()>) {
///     let mut children = [Some(Box::pin(a) as Pin<Box<dyn Future<Output = ()>>>), Some(Box::pin(b))];
///     let mut group = Group::new("both");
///     let mut generation = 0;
///     poll_fn(|cx| {
///         group.poll(cx, |polling, first_generation| {
///             if let Some(first) = first_generation {
///                 generation = first;
///                 polling.grow(2);
///                 (0..2).for_each(|number| polling.push(number, generation));
///             }
///             while let Some((number, _)) = polling.next() {
///                 let Some(child) = &mut children[number as usize] else { continue };
///                 match polling.with_context(number, generation, |cx| child.as_mut().poll(cx)) {
///                     Poll::Pending => polling.started(number, generation, number as usize),
///                     Poll::Ready(()) => {
///                         children[number as usize] = None;
///                         polling.ended(number);
///                     }
///                 }
///             }
///             let done = children.iter().filter(|child| child.is_none()).count();
///             if done == 2 { Poll::Ready(()) } else { polling.wait(false, done) }
///         })
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
    /// What it is called in a dump.
    label: Label,
    /// Open from its first poll on.
    span: Span,
}

impl Group {
    /// A group without a row: it gets one when it is first polled, on the runtime that polls it.
    /// The kind is what a dump calls it: "gather", say.
    #[track_caller]
    pub const fn new(kind: &'static str) -> Group {
        let label = Label { kind, name: None, place: Location::caller() };
        Group { runtime: RuntimeId::NONE, row: 0, label, span: Span::NONE }
    }

    /// Changes the kind.
    pub fn set_kind(&mut self, kind: &'static str) {
        self.label.kind = kind;
    }

    /// Says where it was made, if that is not where [`new`](Group::new) was called.
    pub fn set_place(&mut self, place: &'static Location<'static>) {
        self.label.place = place;
    }

    /// Gives it a name, which a dump shows. Set it before the first poll.
    pub fn set_name(&mut self, name: Cow<'static, str>) {
        self.label.name = Some(name);
    }

    /// Takes the name away, for another group that stands for this one.
    pub fn take_name(&mut self) -> Option<Cow<'static, str>> {
        self.label.name.take()
    }

    /// One poll of the owner: `cx` is the parent's, and `f` polls the children that were woken.
    ///
    /// `f` is given a generation if the group is new on this runtime: at its first poll, or
    /// because its owner was moved here from another runtime. Then every child that exists has to
    /// be announced with [`Polling::started`] and [`Polling::push`]ed, so that it learns its
    /// waker; new ones count their generations from the one that is given.
    ///
    /// Until `f` ends with [`Polling::wait`], wakes of children do not wake the parent, because
    /// the poll that goes on will find them. If it ends without, which is right when the owner has
    /// something to give, the next poll finds them.
    ///
    /// # Panics
    ///
    /// If this thread runs no runtime.
    #[inline]
    pub fn poll<R>(
        &mut self,
        cx: &Context<'_>,
        f: impl FnOnce(&mut Polling<'_>, Option<u8>) -> Poll<R>,
    ) -> Poll<R> {
        let result = local::try_running(|local| {
            let (queue, first_generation) = if self.runtime == local.id() {
                (local.groups.borrow_mut().begin_poll(self.row), None)
            } else {
                let (queue, first_generation) = self.move_to(local);
                (queue, Some(first_generation))
            };
            let target = Target::Child { group: self.row, child: 0, generation: 0 };
            let first = Id::new(self.runtime.number(), target);
            let _budget_before = budget::of_group(local, cx.waker());
            let mut polling = Polling { local, group: self, queue, parent: cx.waker(), first };
            polling.group.span.enter(|| f(&mut polling, first_generation))
        });
        match result {
            Some(poll) => poll,
            None => self.no_runtime(),
        }
    }

    /// What is said of more children than there can be.
    #[cold]
    fn too_many(&self) -> String {
        let kind = self.label.kind;
        let advice = match kind {
            "gather" | "stream" | "for_each" => "; `.limit(n)` keeps fewer alive",
            _ => "",
        };
        format!("more than {MAX_CHILDREN} children at once in one {kind}{advice}")
    }

    #[cold]
    fn no_runtime(&self) -> ! {
        local::no_runtime(&format!("a {}", self.label.kind))
    }

    #[inline]
    fn move_to(&mut self, local: &Local) -> (Rc<Queue>, u8) {
        self.release();
        let (row, queue, first_generation) = local.groups.borrow_mut().insert();
        self.span = Span::of_group(&self.label);
        (self.runtime, self.row) = (local.id(), row);
        (queue, first_generation)
    }

    /// Gives the row back. Wakers of its children then wake nobody. Dropping the group does the
    /// same.
    #[inline(always)] // mostly it was given back before
    pub fn release(&mut self) {
        if self.runtime != RuntimeId::NONE {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        let runtime = std::mem::replace(&mut self.runtime, RuntimeId::NONE);
        let row = self.row;
        on_home(runtime, move |local| {
            let parent = local.groups.borrow_mut().remove(row);
            if let Some(parent) = parent {
                drop_parent(parent);
            }
        });
    }
}

/// A foreign waker runs foreign code when it is dropped: nothing is borrowed here.
#[cold]
fn drop_parent(parent: Waker) {
    let _ = waker::into_id(parent);
}

impl Drop for Group {
    #[inline]
    fn drop(&mut self) {
        self.release();
    }
}

/// A [`Group`] while its owner is polled. It stays on this thread, and in this poll: so its row is
/// where it is looked for, and need not be looked for twice.
pub struct Polling<'a> {
    local: &'a Local,
    group: &'a Group,
    /// The children, those that were woken in order.
    queue: Rc<Queue>,
    parent: &'a Waker,
    /// The id of child 0, from which the others are made.
    first: Id,
}

impl Polling<'_> {
    /// Makes room for children with the numbers below `count`.
    ///
    /// # Panics
    ///
    /// If that is more than [`MAX_CHILDREN`].
    pub fn grow(&mut self, count: u32) {
        assert!(count <= MAX_CHILDREN, "gather: {}", self.group.too_many());
        if self.queue.len() < count as usize {
            self.queue = self.local.groups.borrow_mut().grow(self.group.row, count);
        }
    }

    /// The span of a child with this index, to be entered while it is polled. (Without the feature
    /// `tracing` it is nothing.)
    #[inline]
    pub fn child_span(&self, index: usize) -> Span {
        self.group.span.of_child(index)
    }

    /// The waker of a child. It may outlive the group.
    #[inline]
    pub fn waker(&self, number: u32, generation: u8) -> Waker {
        waker::new(self.first.with_child(number, generation))
    }

    /// Calls `f`, which polls a child, with the context of that child.
    #[inline(always)] // as the engine's poll of a child, which it is a part of
    pub fn with_context<R>(&self, number: u32, generation: u8, f: impl FnOnce(&mut Context<'_>) -> R) -> R {
        waker::lend(self.first.with_child(number, generation), f)
    }

    /// Queues a child, as if it had been woken.
    pub fn push(&self, number: u32, generation: u8) {
        // The parent is told: this poll goes on.
        let _ = self.queue.push(number, generation, self.local.now());
    }

    /// A child was polled for the first time and is pending: from here on wakes for other
    /// generations are ignored. The index is what a dump shows.
    #[inline]
    pub fn started(&self, number: u32, generation: u8, index: usize) {
        self.queue.started(number, generation, index, self.local.now());
    }

    /// A child that was started has ended; or [`next`](Polling::next) gave a number that has no
    /// child.
    #[inline]
    pub fn ended(&self, number: u32) {
        self.queue.ended(number);
    }

    /// The next child that was woken, in the order of the wakes: its number, and the generation
    /// that it was [`started`](Polling::started) with. (Rarely a number whose child is gone, or
    /// that never had one; then the generation means nothing.)
    #[inline]
    #[allow(
        clippy::should_implement_trait,
        reason = "it takes &self: children wake themselves while it runs"
    )]
    pub fn next(&self) -> Option<(u32, u8)> {
        self.queue.pop(self.local.now())
    }

    /// What is left of the budget that each poll of a task starts with: one unit is a poll of a
    /// child, or an operation on a socket. Do at least one step in each poll, however little is
    /// left.
    #[inline]
    pub fn budget(&self) -> u32 {
        self.local.budget.left()
    }

    /// Takes units of the budget, and says whether something is left. When nothing is, end the
    /// poll with [`wait(true, ..)`](Polling::wait), so that others have their turn.
    #[inline]
    pub fn spend(&self, units: u32) -> bool {
        self.local.budget.spend(units)
    }

    /// The context of the parent.
    pub fn context(&self) -> Context<'_> {
        Context::from_waker(self.parent)
    }

    /// Ends a poll that gives something when so many children are `done` and so many `left`: a
    /// dump shows those, though the owner does not wait.
    #[inline]
    pub fn give<R>(&self, output: R, done: usize, left: usize) -> Poll<R> {
        if left > 0 {
            let mut groups = self.local.groups.borrow_mut();
            groups.note_poll(self.group.row, &self.group.label, done, self.local.now());
        }
        Poll::Ready(output)
    }

    /// Ends the poll. If children are still queued, or there is `more` to do, the parent is woken
    /// so that it polls again when others had their turn. A dump says how many children are
    /// `done`.
    #[inline]
    pub fn wait<R>(&self, more: bool, done: usize) -> Poll<R> {
        let Polling { local, group, queue, parent, .. } = self;
        // A foreign waker runs foreign code when it is cloned or dropped: nothing is borrowed
        // here.
        let waker = waker::copy(parent);
        let again = more || !queue.is_empty();
        queue.set_told(again);
        let mut groups = local.groups.borrow_mut();
        groups.note_poll(group.row, &group.label, done, local.now());
        let stale = groups.set_parent(group.row, waker);
        drop(groups);
        let _ = stale.map(waker::into_id);
        if again {
            parent.wake_by_ref();
        }
        Poll::Pending
    }
}
