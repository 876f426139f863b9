//! What happened in a run, and what the model says should.
//!
//! Next: [`real`](super::real).

use std::fmt;

/// What happened, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace(pub Vec<Entry>);

/// Something that happened, and when: nanoseconds from the start.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry(pub u64, pub Event);

/// Something that happened to a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// The input of a gather was asked for the child with this index.
    Pull(usize, usize),
    /// A leaf was polled.
    Poll(usize),
    /// The body of a `for_each` was given the output of the child with this index.
    Body(usize, usize),
    /// A leaf ended, or a gather gave a result: with what it gave.
    End(usize, String),
    /// A leaf or a gather was dropped.
    Drop(usize),
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a value or an error.
    Output(Result<String, String>),
    /// With a panic.
    Panic(Bang),
    /// It was cancelled, and some destructor panicked, or none.
    Cancelled(bool),
    /// It did not end, though all that is waited for has come; or it was polled for ever.
    Stuck,
}

/// The payload of a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bang {
    /// The poll of that leaf.
    Poll(usize),
    /// The destructor of that leaf.
    Drop(usize),
    /// The input of that gather.
    Input(usize),
    /// A race without children.
    NoWinner,
}

impl Trace {
    /// With drops that follow one another in the order of their numbers: no order is promised
    /// where several are dropped. If no order is to be looked at, everything of one instant is
    /// sorted.
    pub fn sorted(&self, order_matters: bool) -> Trace {
        let mut entries = self.0.clone();
        let belong = |a: &Entry, b: &Entry| {
            let both_drop = matches!((&a.1, &b.1), (Event::Drop(_), Event::Drop(_)));
            a.0 == b.0 && (both_drop || !order_matters)
        };
        entries.chunk_by_mut(belong).for_each(<[Entry]>::sort);
        Trace(entries)
    }
}

/// A line for each instant.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for instant in self.0.chunk_by(|a, b| a.0 == b.0) {
            write!(f, "  {:>12} ns:", instant[0].0)?;
            for Entry(_, event) in instant {
                match event {
                    Event::Pull(node, index) => write!(f, " pull {node}#{index};")?,
                    Event::Body(node, index) => write!(f, " body {node}#{index};")?,
                    Event::Poll(node) => write!(f, " poll {node};")?,
                    Event::End(node, text) => write!(f, " end {node} {text};")?,
                    Event::Drop(node) => write!(f, " drop {node};")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
