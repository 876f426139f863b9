//! What a runtime is doing: the tree of its tasks, gathers and children, taken without polling
//! anything.
//!
//! The parent of a group is a waker, and who awaits a task has left one; our wakers are numbers
//! that name a task or a child. So the tree is in the tables already, and `collect.rs` reads it
//! off.
//!
//! Next: [`collect`](mod@collect).

mod collect;
mod show;

use std::borrow::Cow;
use std::panic::Location;
use std::time::Duration;

use crate::local;
use crate::metrics::Metrics;
use crate::task::TaskId;

pub(crate) use collect::collect;

/// What the runtime of this thread is doing: a tree of its tasks, gathers and their children, with
/// how long each has waited.
///
/// Nothing is polled for it and nothing changed. It costs time in proportion to what there is (a
/// million children: a few milliseconds). From another thread:
/// [`Handle::dump`](crate::Handle::dump). Where no runtime runs, it is empty.
///
/// ```
/// use gather_runtime::{dump, run, sleep, spawn, yield_now};
/// use std::time::Duration;
///
/// run(async {
///     let task = spawn(sleep(Duration::from_secs(60))).named("once a minute");
///     yield_now().await; // it is polled now, and waits
///     let dump = dump();
///     assert_eq!(dump.metrics.tasks_alive(), 1);
///     assert!(dump.to_string().contains("task \"once a minute\""), "{dump}");
///     drop(task);
/// });
/// ```
pub fn dump() -> Dump {
    local::try_running(|local| collect(local, true)).unwrap_or_else(|| Dump::without(Status::NoRuntime))
}

/// The tree of what a runtime is doing, from [`dump()`]. [`Display`](std::fmt::Display) is for
/// people, the fields for programs.
///
/// ```text
/// run: 2 tasks, 2 gathers, 3 timers, 1 socket
///   main: waiting for 40 ms, polled 2 times
///     gather "pages": 62 waiting, 1 ready, 1436 done, polled 980 times, last 2 ms ago
///       #1437: waiting for 1.2 s
///         gather: 1 waiting, 0 ready, 1 done, polled 2 times, last 1.2 s ago
///           #0: waiting for 1.2 s
///       #1450: waiting for 800 ms
///       … and 61 more
///   task "accept" (src/main.rs:12:5): waiting for 3.0 s, polled 4 times
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Dump {
    /// Whether the runtime could be asked.
    pub status: Status,
    /// What it has counted.
    pub metrics: Metrics,
    /// The tree, from top to bottom: what belongs to a node follows it, one deeper. (So a tree of
    /// any depth can be shown and dropped in a loop.)
    pub nodes: Vec<Node>,
}

/// Whether a [`Dump`] shows anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It does.
    Taken,
    /// There is no runtime: none runs on this thread, or that of the handle has ended.
    NoRuntime,
    /// The loop of the runtime did not come round within a second: a poll takes so long, or it
    /// does not run now.
    NoAnswer,
}

/// One line of a [`Dump`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Node {
    /// How deep in the tree it is: 0 for the main future and for tasks that nothing in the tree
    /// awaits.
    pub depth: usize,
    /// What it is.
    pub kind: NodeKind,
    /// Whether it waits.
    pub state: State,
    /// How long ago it was polled last, to about a millisecond. A time of more than 49 days begins
    /// again at zero.
    pub idle: Duration,
    /// How often it was polled; `None` for the children of a gather, which are too many to be
    /// counted.
    pub polls: Option<u64>,
}

/// What a [`Node`] is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum NodeKind {
    /// The future that the runtime runs.
    Main,
    /// A task. Under another node: one that this node awaits.
    Task {
        /// Its number.
        id: TaskId,
        /// Its name, if it was given one.
        name: Option<Cow<'static, str>>,
        /// Where it was spawned.
        spawned_at: &'static Location<'static>,
    },
    /// A gather, or another group of children, under the task or child that polls it.
    Group {
        /// What it is: `gather`, `gather!`, `scope`, `stream`, and so on.
        kind: &'static str,
        /// Its name, if it was given one.
        name: Option<Cow<'static, str>>,
        /// Where it was made.
        made_at: &'static Location<'static>,
        /// How many of its children wait.
        waiting: usize,
        /// How many were woken and not yet polled.
        ready: usize,
        /// How many have ended.
        done: usize,
    },
    /// A child of a group. Of many, those are listed that were not polled for the longest time.
    Child {
        /// Its index in the input.
        index: usize,
    },
    /// Nodes that are not listed.
    More {
        /// How many.
        count: usize,
    },
}

/// What a [`Node`] is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It waits to be woken.
    Waiting,
    /// It was woken, and waits for its turn.
    Ready,
    /// It is being polled: it took the dump, or is around what did.
    Running,
    /// It has ended, and its output has not been taken.
    Finished,
}

impl Dump {
    pub(crate) fn without(status: Status) -> Dump {
        Dump { status, metrics: Metrics::default(), nodes: Vec::new() }
    }
}
