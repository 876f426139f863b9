//! What is known of one group and of each of its children.
//!
//! Next: [`table`](super::table), where they are.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::task::Waker;

/// The next of a child that is not queued.
pub(super) const IDLE: u32 = u32::MAX;
/// The next of the last child in the queue.
pub(super) const END: u32 = IDLE - 1;
/// The generation where there is no child.
pub(super) const NOBODY: u8 = 0;
/// In place of the generation that was woken: there were several.
pub(super) const ANY: u16 = 0;
/// In place of the generation that was woken: it is not the one that is there.
pub(super) const GONE: u16 = 1 << 8;

/// What the runtime knows of one group. (128 bytes, so that finding one is a shift: 22 cycles for a wake and a poll, not 24.)
#[repr(align(64))]
pub(crate) struct Row {
    /// The children, by their numbers.
    pub(super) children: Vec<Child>,
    /// Whether a child of it ever waited.
    pub(super) is_used: bool,
    /// The first child in the queue, or `END`.
    pub(super) head: u32,
    /// The last child in the queue; means nothing while the queue is empty.
    pub(super) tail: u32,
    /// Whether the parent knows that there is something to poll.
    pub(super) told: bool,
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
    /// When a child was queued and none was before.
    pub(super) woken_at: u32,
    /// Whether it was reported that nobody polls it.
    pub(super) is_reported: bool,
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

/// What the runtime knows of one child.
///
/// All that a wake and the poll after it change is in sixteen bytes, which lie in one line of the cache. (How often each child
/// was polled is not counted: it would make a wake and a poll take 31 cycles, not 26.)
#[derive(Clone)]
pub(super) struct Child {
    /// Who is behind it in the queue; `IDLE` if it is not queued.
    pub(super) next: u32,
    /// Its index in the input of its owner, as far as 32 bits go.
    pub(super) index: u32,
    /// When it was polled last.
    pub(super) polled_at: u32,
    /// Its generation; `NOBODY` if there is no child.
    pub(super) generation: u8,
    /// If it is queued: the generation that was woken, or `ANY`, or `GONE`.
    pub(super) woken: u16,
}

/// A child, for a dump.
pub(crate) struct ChildFacts {
    pub(crate) number: u32,
    pub(crate) index: u32,
    pub(crate) is_woken: bool,
    pub(crate) polled_at: u32,
}

impl Child {
    pub(super) const NONE: Child =
        Child { next: IDLE, index: 0, polled_at: 0, generation: NOBODY, woken: ANY };

    #[inline]
    pub(super) fn is_queued(&self) -> bool {
        self.next != IDLE
    }
}

impl Row {
    pub(super) const fn new() -> Row {
        Row {
            children: Vec::new(),
            is_used: false,
            head: END,
            tail: END,
            told: true,
            parent: None,
            label: Label::none(),
            done: 0,
            polls: 0,
            polled_at: 0,
            woken_at: 0,
            is_reported: false,
        }
    }

    /// Makes a row as if it were new, but for the memory of a few children. Gives the parent.
    #[inline(never)]
    pub(super) fn clean(&mut self) -> Option<Waker> {
        /// More are not kept.
        const MOST_KEPT: usize = 64;
        let parent = self.parent.take();
        let mut children = std::mem::take(&mut self.children);
        children.clear();
        if children.capacity() > MOST_KEPT {
            children = Vec::new();
        }
        *self = Row { children, ..Row::new() };
        parent
    }

    /// Whom the group wakes.
    pub(crate) fn parent(&self) -> Option<&Waker> {
        self.parent.as_ref()
    }

    /// The children that are there.
    pub(crate) fn children(&self) -> impl Iterator<Item = ChildFacts> {
        self.children.iter().zip(0..).filter(|(child, _)| child.generation != NOBODY).map(
            |(child, number)| {
                let &Child { index, polled_at, .. } = child;
                ChildFacts { number, index, is_woken: child.is_queued(), polled_at }
            },
        )
    }
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Row>() == 128, "finding a row is a shift");
