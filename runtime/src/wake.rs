//! What a wake does: on the thread of its runtime it marks rows in a table, elsewhere it posts its
//! id.
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
//! A wake never polls, never drops a user's value and never blocks. Every step of the loop sets a
//! bit that only a poll clears, so it ends, whatever is whose parent.
//!
//! Next: [`group`](crate::group), the rows that children wait in.

use std::task::Waker;

use crate::contain::contain;
use crate::id::{Id, MAIN, Target};
use crate::local::{self, Local};
use crate::mailbox;
use crate::task::Tasks;
use crate::waker;

/// Wakes what `id` names, from any thread.
#[inline]
pub(crate) fn wake(id: Id) {
    let at_home = local::with(|local| {
        let at_home = local.is_home_of(id);
        if at_home {
            local.wake(id);
        }
        at_home
    });
    if !at_home {
        mailbox::post(id);
    }
}

impl Local {
    /// Wakes what `id` names. Call it only at home.
    #[inline]
    pub(crate) fn wake(&self, id: Id) {
        if let Some(foreign) = self.mark(id) {
            foreign.wake();
        }
    }

    /// As [`wake`](Local::wake), where others must still have their turn: a foreign waker that
    /// panics must not cost them that. The panic hook has reported it, and whoever wrote that
    /// waker has no other place to be told.
    #[inline]
    pub(crate) fn wake_contained(&self, id: Id) {
        if cfg!(feature = "tracing") {
            return contain(|| self.wake(id)); // which tells a subscriber, and that may panic, too
        }
        if let Some(foreign) = self.mark(id) {
            contain(|| foreign.wake());
        }
    }

    /// The same, for any waker.
    #[inline]
    pub(crate) fn wake_waker_contained(&self, waker: Waker) {
        match waker::into_id(waker) {
            Ok(id) if self.is_home_of(id) => self.wake_contained(id),
            Ok(elsewhere) => mailbox::post(elsewhere),
            Err(foreign) => contain(|| foreign.wake()),
        }
    }

    /// As [`mark`](Local::mark), for any waker.
    #[inline]
    pub(crate) fn mark_waker(&self, waker: Waker) -> Option<Waker> {
        match waker::into_id(waker) {
            Ok(id) if self.is_home_of(id) => self.mark(id),
            Ok(id) => Some(waker::new(id)),
            Err(foreign) => Some(foreign),
        }
    }

    /// As [`mark_waker`](Local::mark_waker) with the table of tasks in hand, for the waker of a
    /// task or of the main future; gives any other back. (With tracing every wake is told to a
    /// subscriber, which is a user's code: it gives all back.)
    #[inline(always)]
    pub(crate) fn mark_task_waker(&self, tasks: &mut Tasks, waker: Waker) -> Option<Waker> {
        let Some(id) = waker::id_of(&waker) else { return Some(waker) };
        let Target::Task { row, generation } = id.target() else { return Some(waker) };
        if !self.is_home_of(id) || cfg!(feature = "tracing") {
            return Some(waker);
        }
        waker::forget(waker);
        self.counters.wakes.add(1);
        if row == MAIN {
            self.wake_main(generation);
        } else {
            tasks.make_ready(row, generation);
        }
        None
    }

    /// Does all of a wake that happens in our own tables, and returns the waker of another library
    /// or runtime, if one is at the end of the chain, for the caller to wake when nothing is
    /// borrowed.
    ///
    /// (Most wakes are of a child whose parent was told: those end here, without a call.)
    #[inline(always)]
    pub(crate) fn mark(&self, id: Id) -> Option<Waker> {
        self.counters.wakes.add(1);
        let parent = self.mark_one(id)?;
        self.mark_parents(parent)
    }

    /// The parents of a child, each the parent of the one before.
    #[inline(never)]
    fn mark_parents(&self, mut parent: Waker) -> Option<Waker> {
        loop {
            match waker::into_id(parent) {
                Ok(id) if self.is_home_of(id) => parent = self.mark_one(id)?,
                Ok(elsewhere) => return Some(waker::new(elsewhere)),
                Err(foreign) => return Some(foreign),
            }
        }
    }

    /// Marks what `id` names. Gives the parent, if it is to be woken.
    #[inline(always)]
    fn mark_one(&self, id: Id) -> Option<Waker> {
        match id.target() {
            Target::Child { group, child, generation } => {
                self.groups.borrow_mut().push(group, child, generation, self.now())
            }
            Target::Task { row, generation } => {
                self.mark_task(row, generation);
                None
            }
        }
    }

    #[inline(never)]
    fn mark_task(&self, row: u32, generation: u32) {
        if row == MAIN {
            return self.wake_main(generation);
        }
        self.tasks.borrow_mut().make_ready(row, generation);
        #[cfg(feature = "tracing")]
        {
            let woken = self.tasks.borrow().woken_span(row, generation);
            woken.into_iter().for_each(crate::trace::note_wake);
        }
    }
}
