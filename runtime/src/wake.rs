//! What a wake does: on the thread of its runtime it marks rows in a table, elsewhere it posts its id.
//!
//! ```text
//!  waker.wake()                 at home                                     elsewhere
//!      id ─────────► task: put its row on the ready queue         push the id to the runtime's mailbox;
//!                    main future: set its flag                    ring, if the runtime sleeps (mailbox.rs)
//!                    child: put it on its group's queue, and
//!                           wake the group's parent, if that
//!                           was not told yet: the same again,
//!                           in a loop, so nesting costs no stack
//! ```
//!
//! A wake never polls, never drops a user's value and never blocks. Every step of the loop sets a bit that only
//! a poll clears, so it ends, whatever is whose parent.
//!
//! Next: [`group`](crate::group), the rows that children wait in.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use crate::id::{Id, MAIN, Target};
use crate::local::{self, Local};
use crate::mailbox;

/// Wakes what `id` names, from any thread.
#[inline]
pub(crate) fn wake(id: Id) {
    let at_home = local::try_with(|local| {
        let at_home = local.is_home_of(id);
        if at_home {
            local.wake(id);
        }
        at_home
    });
    if at_home != Some(true) {
        mailbox::post(id);
    }
}

/// Wakes a waker of unknown origin inside a batch: one that panics must not cost the others their wake.
pub(crate) fn wake_contained(waker: Waker) {
    // The panic hook has reported it; whoever wrote that waker has no other place to be told.
    let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
}

/// Whom a group asks its parent to be: a row of the same runtime, or any other waker.
#[derive(Default)]
pub(crate) enum Parent {
    /// Nobody: the group was not polled yet, or its foreign parent was already woken.
    #[default]
    None,
    /// A row of the same runtime.
    Local(Id),
    /// A waker of another runtime or another library.
    Foreign(Waker),
}

impl Local {
    /// Wakes what `id` names. Call it only at home.
    #[inline]
    pub(crate) fn wake(&self, id: Id) {
        if let Some(foreign) = self.mark(id) {
            foreign.wake();
        }
    }

    /// Does all of a wake that happens in our own tables, and returns the foreign waker, if one is at the end of
    /// the chain, for the caller to wake when nothing is borrowed.
    #[inline]
    pub(crate) fn mark(&self, mut id: Id) -> Option<Waker> {
        self.counters.wakes.add(1);
        loop {
            let parent = match id.target() {
                Target::Task { row: MAIN, generation } => {
                    self.wake_main(generation);
                    return None;
                }
                Target::Task { row, generation } => {
                    self.tasks.borrow_mut().make_ready(row, generation);
                    return None;
                }
                Target::Child { group, child, generation } => {
                    self.groups.borrow_mut().push(group, child, generation)
                }
            };
            match parent {
                Parent::None => return None,
                Parent::Local(parent) => id = parent,
                Parent::Foreign(waker) => return Some(waker),
            }
        }
    }
}
