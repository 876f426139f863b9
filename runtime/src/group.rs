//! Groups: a set of children that share one parent. The narrow waist between this runtime and `gather`.
//!
//! A combinator that owns child futures (a gather, a scope, a stream) has one [`Group`]. It gives each child a
//! waker of its own ([`Group::waker`]), and the runtime keeps, for each group, a first-in-first-out queue of the
//! children that were woken. So the combinator polls just those, in just that order, and a spurious poll of the
//! combinator polls no child. The group holds no future and no pointer: a row number, and nothing more.
//!
//! # The queue
//!
//! One word for each child does three jobs: is the child queued, who is behind it, and which generation of the
//! child was woken.
//!
//! ```text
//!   head ──► links[4] ──► links[0] ──► links[7] = END          links[1] = IDLE: not queued
//!                                       ▲ tail
//! ```
//!
//! Children reuse numbers, so a late wake for a finished child may find its successor. The generation tells them
//! apart: the owner skips what it pops for a generation that is gone. If wakes for two generations of one number
//! meet in the queue, the entry becomes "any generation", which is at worst one spurious poll.
//!
//! # The parent
//!
//! `told` is set while the parent knows that it has to poll the group: from the first wake until the owner
//! leaves a poll with an empty queue. So n children that are woken in a row wake their parent once.
//!
//! Next: [`task`](crate::task), the other kind of row.

use std::task::{Context, Waker};

use slab::Slab;

use crate::id::{CHILD_GENERATION_BITS, Id, MAX_CHILDREN, MAX_GROUPS, Target};
use crate::local::{self, Local};
use crate::mailbox::{self, Command, RuntimeId};
use crate::waker;

/// The bits of a link that hold the number of the next child; the bits above hold the woken generation.
const NEXT_BITS: u32 = 24;
/// The link of a child that is not queued.
const IDLE: u32 = (1 << NEXT_BITS) - 1;
/// The link of the last child in the queue.
const END: u32 = IDLE - 1;
/// In a link: the child was woken for more than one generation.
const ANY_GENERATION: u8 = 0;

/// The last generation before they start again at 1.
const LAST_GENERATION: u8 = ((1u32 << CHILD_GENERATION_BITS) - 1) as u8;

/// The generation that follows `generation`, round and round, without the 0 that means any.
#[inline]
pub fn next_generation(generation: u8) -> u8 {
    // The mask is that of a byte on 64 bits, and of five bits on 32.
    match generation.wrapping_add(1) & LAST_GENERATION {
        ANY_GENERATION => 1,
        next => next,
    }
}

/// The groups of one runtime.
pub(crate) struct Groups {
    /// A row for each group that is alive.
    rows: Slab<Row>,
    /// What the children of the next group count their generations from, so that late wakes for a group that is
    /// gone rarely match one that took its row.
    next_generation: u8,
}

/// What the runtime knows of one group.
struct Row {
    /// For each child: the next in the queue, and the generation that was woken.
    links: Vec<u32>,
    /// The first child in the queue, or `END`.
    head: u32,
    /// The last child in the queue; means nothing while the queue is empty.
    tail: u32,
    /// Whether the parent knows that there is something to poll.
    told: bool,
    /// Whom to wake when the first child is queued.
    parent: Option<Waker>,
}

impl Groups {
    pub(crate) const fn new() -> Groups {
        Groups { rows: Slab::new(), next_generation: 1 }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    fn insert(&mut self) -> (u32, u8) {
        assert!(
            self.rows.len() < MAX_GROUPS,
            "gather: this runtime already has {MAX_GROUPS} gathers alive, which is the limit on this machine"
        );
        let generation = self.next_generation;
        self.next_generation = next_generation(generation);
        let row = Row { links: Vec::new(), head: END, tail: END, told: false, parent: None };
        (self.rows.insert(row) as u32, generation)
    }

    /// Removes a group; its foreign parent, if any, is for the caller to drop when nothing is borrowed.
    pub(crate) fn remove(&mut self, group: u32) -> Option<Waker> {
        self.rows.try_remove(group as usize)?.parent
    }

    /// Takes the wakers out, for a runtime that ends.
    pub(crate) fn take_wakers(&mut self) -> Vec<Waker> {
        self.rows.iter_mut().filter_map(|(_, row)| row.parent.take()).collect()
    }

    /// Queues a child, and returns the parent if it is to be woken.
    #[inline]
    pub(crate) fn push(&mut self, group: u32, child: u32, generation: u8) -> Option<Waker> {
        let row = self.rows.get_mut(group as usize)?;
        let link = row.links.get_mut(child as usize)?;
        if *link & IDLE != IDLE {
            if (*link >> NEXT_BITS) as u8 != generation {
                *link &= IDLE; // ANY_GENERATION
            }
            return None;
        }
        *link = (generation as u32) << NEXT_BITS | END;
        if row.head == END {
            row.head = child;
        } else {
            let tail = &mut row.links[row.tail as usize];
            *tail = *tail & !IDLE | child;
        }
        row.tail = child;
        if row.told {
            return None;
        }
        row.told = true;
        match row.parent.as_ref().and_then(waker::id_of) {
            Some(id) => Some(waker::new(id)),
            // Waking consumes a foreign waker; the poll that follows leaves another.
            None => row.parent.take(),
        }
    }

    /// Takes the first child off the queue.
    #[inline]
    fn pop(&mut self, group: u32) -> Option<Woken> {
        let row = &mut self.rows[group as usize];
        let child = row.head;
        if child == END {
            return None;
        }
        let link = std::mem::replace(&mut row.links[child as usize], IDLE);
        row.head = link & IDLE;
        Some(Woken { child, generation: (link >> NEXT_BITS) as u8 })
    }
}

/// A child that was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Woken {
    /// Its number.
    pub child: u32,
    /// The generation that it had.
    generation: u8,
}

impl Woken {
    /// Whether the wake is for the child that has this generation now, not for one that had its number before.
    #[inline]
    pub fn is_for(self, generation: u8) -> bool {
        self.generation == generation || self.generation == ANY_GENERATION
    }
}

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
        local::with(|local| {
            let links = &mut local.groups.borrow_mut().rows[self.row as usize].links;
            if links.len() < count as usize {
                links.resize(count as usize, IDLE);
            }
        });
    }

    /// Queues every child that [`grow`](Group::grow) made room for, as if each had been woken.
    pub fn push_all(&self) {
        local::with(|local| {
            let mut groups = local.groups.borrow_mut();
            for child in 0..groups.rows[self.row as usize].links.len() as u32 {
                groups.push(self.row, child, ANY_GENERATION);
            }
        });
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
        local::with(|local| {
            debug_assert_eq!(self.runtime, local.id(), "next() outside enter() and leave()");
            local.groups.borrow_mut().pop(self.row)
        })
    }

    /// Ends a poll. If children are still queued, or the owner says that there is `more` to do, the parent is
    /// woken so that it polls again when others had their turn.
    #[inline]
    pub fn leave(&self, cx: &Context<'_>, more: bool) {
        let again = local::with(|local| {
            let row = &mut local.groups.borrow_mut().rows[self.row as usize];
            row.told = more || row.head != END;
            row.told
        });
        if again {
            cx.waker().wake_by_ref();
        }
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
        let stale = {
            let row = &mut self.groups.borrow_mut().rows[row as usize];
            row.told = true;
            row.parent.replace(parent)
        };
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
