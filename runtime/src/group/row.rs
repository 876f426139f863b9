//! What else is known of one group: whom to wake, and what a dump tells of it.
//!
//! Next: [`table`](super::table), where they are.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::task::Waker;

use super::queue::Queue;

/// What the runtime knows of one group. (128 bytes, so that finding one is a shift: a wake and a
/// poll take 2 cycles less.)
#[repr(align(64))]
pub(crate) struct Row {
    /// The children. While the owner polls, it has this too.
    pub(crate) queue: Rc<Queue>,
    /// Whom to wake when the first child is queued.
    pub(super) parent: Option<Waker>,
    /// What the group is called in a dump. `none` until its first poll has ended.
    pub(crate) label: Label,
    /// How many children have given their outputs.
    pub(crate) done: usize,
    /// How often the group was polled.
    pub(crate) polls: u64,
    /// When it was polled last.
    pub(crate) polled_at: u32,
    /// Whether it was reported that nobody polls it.
    pub(super) is_reported: Cell<bool>,
}

/// What a group is, and its name.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    pub(crate) kind: &'static str,
    pub(crate) name: Option<Cow<'static, str>>,
    /// Where it was made.
    pub(crate) place: &'static Location<'static>,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} {name:?}", self.kind),
            None => write!(f, "{} ({})", self.kind, self.place),
        }
    }
}

impl Label {
    #[track_caller]
    pub(super) const fn none() -> Label {
        Label { kind: "", name: None, place: Location::caller() }
    }
}

impl Row {
    pub(super) fn new(queue: Rc<Queue>) -> Row {
        Row {
            queue,
            parent: None,
            label: Label::none(),
            done: 0,
            polls: 0,
            polled_at: 0,
            is_reported: Cell::new(false),
        }
    }

    /// Makes a row as if it were new, but for the memory of a few children. Gives the parent.
    #[inline(never)]
    pub(super) fn clean(&mut self) -> Option<Waker> {
        /// More are not kept.
        const MOST_KEPT: usize = 64;
        let parent = self.parent.take();
        let queue = match self.queue.len() <= MOST_KEPT {
            true => self.queue.clone(),
            false => Rc::new(Queue::new()),
        };
        queue.clean();
        *self = Row::new(queue);
        parent
    }

    /// Whom the group wakes.
    pub(crate) fn parent(&self) -> Option<&Waker> {
        self.parent.as_ref()
    }
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Row>() == 128, "finding a row is a shift");
