//! Random programs: trees of gathers and children, generated from a seed.
//!
//! A program is plain data. [`real`] runs it with gather, and [`Model`](crate::model) says what
//! should come of it; both write a [`Trace`](trace::Trace). A node's number is its place in
//! [`Program::nodes`], which is in the order of a walk from the root down.
//!
//! Next: [`generate`], [`trace`], [`real`], and then [`model`](crate::model).

use std::fmt;

mod gathers;
pub mod generate;
pub mod real;
pub mod trace;

/// A tree, and who polls it.
#[derive(Clone, Debug)]
pub struct Program {
    /// The root, a gather, is the first.
    pub nodes: Vec<Node>,
    /// Who polls the root.
    pub host: Host,
    /// No two leaves ever do something at the same instant, but for their first polls, which do
    /// nothing that others see. The order within an instant is then of no matter, and a gather may
    /// be too wide for one turn.
    pub is_calm: bool,
}

/// Who polls the root. The model knows nothing of it, but for the cancellation.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Each poll brings another waker, of another library.
    pub is_foreign: bool,
    /// After so many nanoseconds each, the root goes to another task.
    pub moves: Vec<u64>,
    /// So long after the last move the root is dropped.
    pub cancel: Option<u64>,
}

impl Host {
    /// When the root is dropped, in nanoseconds from the start.
    pub fn cancelled_at(&self) -> Option<u64> {
        self.cancel.map(|after| after + self.moves.iter().sum::<u64>())
    }
}

/// One of the tree.
#[derive(Clone, Debug)]
pub struct Node {
    /// The gather that it is a child of.
    pub parent: Option<usize>,
    /// The child of the same gather that comes after it.
    pub sibling: Option<usize>,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// It has no children.
    Leaf(Leaf),
    /// It has.
    Gather(Gathering),
}

/// A script.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// What it waits for, one after the other.
    pub steps: Vec<Step>,
    /// How it ends.
    pub end: End,
    /// What its destructor does.
    pub on_drop: OnDrop,
}

/// What a leaf waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A sleep of so many nanoseconds. It is over when its time has come, however often it is
    /// polled before.
    Sleep(u64),
    /// `yield_now`: woken at the end of the turn. This step and those below are over at the next
    /// poll, whatever woke it.
    Yield,
    /// It wakes itself while it is polled.
    WakeSelf,
    /// Another thread wakes it while it is polled: the loop finds that wake when nothing else is
    /// to be done.
    Thread,
}

/// How a leaf ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a value.
    Ok,
    /// With an error.
    Err,
    /// With a panic.
    Panic,
}

/// What a destructor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDrop {
    /// Nothing.
    Plain,
    /// It panics (unless a panic is going on).
    Panics,
    /// It spawns a task and detaches it.
    Spawns,
    /// It wakes itself, which is too late.
    WakesSelf,
    /// It wakes the next child of the same gather, if that was polled and is there.
    WakesSibling,
    /// It wakes its gather, as if another child had.
    WakesParent,
}

/// A gather of nodes.
#[derive(Clone, Debug)]
pub struct Gathering {
    /// What ends it.
    pub mode: Mode,
    /// How many children may run.
    pub limit: Option<usize>,
    /// What its input says of their number.
    pub hint: Hint,
    /// The children.
    pub children: Vec<usize>,
    /// The input panics in place of the child with this index.
    pub input_panics_at: Option<usize>,
}

/// The modes. A new one needs a line here, in [`generate`], one in `gathers.rs` that makes it, and
/// its rules in [`model`](crate::model): `judge` for an output, `stop` for a gather that waits,
/// `result` for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `gather(..)`
    FailFast,
    /// `.capture()`
    Capture,
    /// `.capture().within(nanoseconds)`
    Within(u64),
    /// `.detailed()`
    Detailed,
    /// `.first_ok()`
    FirstOk,
    /// `.first_ok_n(needed)`
    FirstOkN(usize),
    /// `.race()`
    Race,
    /// A policy of the test's own, `Until` of `gathers.rs`: over when so many outputs of any kind
    /// have come.
    Until(usize),
    /// `.stream()`, taken to its end
    Stream,
    /// `.for_each(..)` with a body that sleeps so many nanoseconds. Only in calm programs: in what
    /// order the children and the body go on within an instant is not promised.
    ForEach(u64),
    /// `scope(..)`: the first child is awaited in the body, which starts half of the others before
    /// and the rest after it.
    Scope,
    /// `gather!(..)`, of one to four
    List,
    /// `gather!(capture; ..)`, of one to four
    ListCapture,
}

impl Mode {
    /// Whether all children are there from the start, as in `gather!`.
    pub fn is_list(self) -> bool {
        matches!(self, Mode::List | Mode::ListCapture)
    }

    /// Whether it takes its children from an iterator.
    pub fn has_input(self) -> bool {
        !self.is_list() && self != Mode::Scope
    }
}

/// A `size_hint`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// The truth.
    Exact,
    /// `(0, None)`
    None,
    /// One less than there are, said to be exact.
    TooSmall,
    /// Three more than there are, said to be exact.
    TooLarge,
    /// `usize::MAX`, said to be exact.
    Huge,
}

impl Hint {
    /// What an input of that many says.
    pub fn of(self, count: usize) -> (usize, Option<usize>) {
        let exact = |count| (count, Some(count));
        match self {
            Hint::Exact => exact(count),
            Hint::None => (0, None),
            Hint::TooSmall => exact(count.saturating_sub(1)),
            Hint::TooLarge => exact(count + 3),
            Hint::Huge => exact(usize::MAX),
        }
    }
}

impl Program {
    /// A node that is a gather.
    ///
    /// # Panics
    ///
    /// If it is not.
    pub fn gathering(&self, node: usize) -> &Gathering {
        match &self.nodes[node].kind {
            Kind::Gather(gathering) => gathering,
            Kind::Leaf(_) => panic!("node {node} is a leaf"),
        }
    }

    fn print(&self, f: &mut fmt::Formatter<'_>, node: usize, depth: usize) -> fmt::Result {
        write!(f, "{:indent$}{node}: ", "", indent = depth * 2)?;
        match &self.nodes[node].kind {
            Kind::Leaf(Leaf { steps, end, on_drop }) => {
                steps.iter().try_for_each(|step| write!(f, "{step:?}, "))?;
                write!(f, "{end:?}")?;
                if *on_drop != OnDrop::Plain {
                    write!(f, ", {on_drop:?}")?;
                }
                writeln!(f)
            }
            Kind::Gather(Gathering { mode, limit, hint, children, input_panics_at }) => {
                write!(f, "{mode:?}, hint {hint:?}")?;
                if let Some(limit) = limit {
                    write!(f, ", limit {limit}")?;
                }
                if let Some(index) = input_panics_at {
                    write!(f, ", the input panics at {index}")?;
                }
                writeln!(f)?;
                children.iter().try_for_each(|child| self.print(f, *child, depth + 1))
            }
        }
    }
}

/// The tree, a line for each node.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}{}", self.host, if self.is_calm { ", calm" } else { "" })?;
        self.print(f, 0, 1)
    }
}
