//! The reference model: what should come of a [`Program`], said as plainly as can be.
//!
//! It has no futures, no wakers, no slots and no budget. A node is a number; a gather is the list
//! of its children that run and the queue of those that were woken; time is a number, and what
//! waits for it is a list. It is written from the contract, and from what the docs say of modes,
//! timers, yields and other threads.
//!
//! This file is the machine: leaves, wakes, time. Next: `modes.rs`, what a gather makes of its
//! children.
//!
//! Where the contract promises no order, it says so by [`Answer::certain`]: what comes after that
//! many entries of the trace may come in another order, and so may the outcome.

mod modes;

use std::collections::VecDeque;

use crate::program::trace::{Bang, Entry, Event, Outcome, Trace};
use crate::program::{End, Kind, Leaf, OnDrop, Program, Step};

/// A poll of a task may do 128 units of work. A gather looks ahead no more than 32, so up to here
/// no turn is cut short.
const NEVER_CUT_SHORT: usize = 96;

/// What should happen.
#[derive(Debug)]
pub struct Answer {
    /// How it ends.
    pub outcome: Outcome,
    /// When, in nanoseconds from the start.
    pub ended_at: u64,
    /// What happens until then.
    pub trace: Trace,
    /// How much of the trace is promised, if not all.
    pub certain: Option<usize>,
}

/// What a poll gives: nothing yet, an output, or a panic.
enum Poll {
    Pending,
    Ready(Result<String, String>),
    Panic(Bang),
}

/// A node, while it runs.
#[derive(Clone, Default)]
struct State {
    is_alive: bool,
    was_polled: bool,
    /// Whether it waits in the queue of its gather.
    is_queued: bool,
    /// Of a leaf: how many steps are over.
    step: usize,
    /// Of a leaf: whether the next step has begun; and until when it sleeps, if it does.
    has_begun: bool,
    /// Of a leaf that sleeps, a gather with a time limit, or one with a body that sleeps.
    deadline: Option<u64>,
    /// Of a gather: the children that exist, and those of them that were woken.
    running: Vec<usize>,
    queue: VecDeque<usize>,
    /// Of a gather: whether its own gather knows that it is to be polled.
    is_told: bool,
    started: usize,
    all_started: bool,
    /// Of a `for_each`: how many outputs the body has been given.
    given: usize,
    /// The outputs by index, and in the order in which they came.
    came: Vec<(usize, Result<String, String>)>,
}

/// A program while it runs.
pub struct Model<'a> {
    program: &'a Program,
    nodes: Vec<State>,
    now: u64,
    /// Who sleeps until when, in the order in which they fell asleep.
    asleep: Vec<(u64, usize)>,
    /// Who has yielded, and who was woken by another thread.
    yielded: Vec<usize>,
    letters: Vec<usize>,
    root_is_woken: bool,
    /// The units of work in this poll of the root.
    work: usize,
    trace: Vec<Entry>,
    certain: Option<usize>,
}

impl<'a> Model<'a> {
    /// What should come of it.
    pub fn answer(program: &'a Program) -> Answer {
        let nodes = vec![State::default(); program.nodes.len()];
        let mut model = Model {
            program,
            nodes,
            now: 0,
            asleep: Vec::new(),
            yielded: Vec::new(),
            letters: Vec::new(),
            root_is_woken: true,
            work: 0,
            trace: Vec::new(),
            certain: None,
        };
        model.create(0);
        let outcome = model.run();
        let ended_at = model.now;
        let panicked = !model.drop(0).is_empty();
        let outcome =
            if outcome == Outcome::Cancelled(false) { Outcome::Cancelled(panicked) } else { outcome };
        Answer { outcome, ended_at, trace: Trace(model.trace), certain: model.certain }
    }

    /// The loop: the root; then who has yielded; then other threads; and when nothing is left to
    /// do, time.
    fn run(&mut self) -> Outcome {
        loop {
            if std::mem::take(&mut self.root_is_woken) {
                self.work = 0;
                match self.poll(0) {
                    Poll::Ready(result) => return Outcome::Output(result),
                    Poll::Panic(bang) => return Outcome::Panic(bang),
                    Poll::Pending => {}
                }
            }
            let cancelled_at = self.program.host.cancelled_at();
            if cancelled_at.is_some_and(|time| time <= self.now) {
                return Outcome::Cancelled(false);
            }
            std::mem::take(&mut self.yielded).into_iter().for_each(|node| self.wake_late(node));
            if self.root_is_woken {
                continue;
            }
            std::mem::take(&mut self.letters).into_iter().for_each(|node| self.wake_late(node));
            if self.root_is_woken {
                continue;
            }
            let next = self.asleep.iter().map(|(deadline, _)| *deadline).chain(cancelled_at).min();
            let Some(next) = next else { return Outcome::Stuck };
            self.now = next;
            let (due, asleep) = self.asleep.iter().partition(|(deadline, _)| *deadline <= next);
            self.asleep = asleep;
            let due: Vec<(u64, usize)> = due;
            due.into_iter().for_each(|(_, node)| self.wake(node));
        }
    }

    /// A node is queued once, and its gather told once, up to the root.
    fn wake(&mut self, node: usize) {
        if !self.nodes[node].is_alive {
            return;
        }
        let Some(gather) = self.program.nodes[node].parent else {
            self.root_is_woken = true;
            return;
        };
        if !std::mem::replace(&mut self.nodes[node].is_queued, true) {
            self.nodes[gather].queue.push_back(node);
        }
        if !std::mem::replace(&mut self.nodes[gather].is_told, true) {
            self.wake(gather);
        }
    }

    /// A wake that may come when the node is gone. Then some gather may be polled for nothing,
    /// before others: a late wake is promised to be no worse than that.
    fn wake_late(&mut self, node: usize) {
        if !self.nodes[node].is_alive {
            self.is_uncertain();
        }
        self.wake(node);
    }

    fn is_uncertain(&mut self) {
        self.certain.get_or_insert(self.trace.len());
    }

    fn note(&mut self, event: Event) {
        self.trace.push(Entry(self.now, event));
    }

    /// Drops a node and what it has. Gives the panics of the destructors.
    fn drop(&mut self, node: usize) -> Vec<Bang> {
        self.note(Event::Drop(node));
        self.nodes[node].is_alive = false;
        self.asleep.retain(|(_, sleeper)| *sleeper != node);
        let Kind::Leaf(Leaf { on_drop, .. }) = &self.program.nodes[node].kind else {
            return self.drop_children(node);
        };
        let family = &self.program.nodes[node];
        match on_drop {
            OnDrop::Panics => return vec![Bang::Drop(node)],
            OnDrop::WakesParent => family.parent.into_iter().for_each(|gather| self.wake(gather)),
            OnDrop::WakesSibling => {
                let sibling = family.sibling.filter(|sibling| self.nodes[*sibling].was_polled);
                sibling.into_iter().for_each(|sibling| self.wake(sibling));
            }
            // It is gone. And what is spawned is outside the tree.
            OnDrop::WakesSelf | OnDrop::Spawns | OnDrop::Plain => {}
        }
        Vec::new()
    }

    fn drop_children(&mut self, gather: usize) -> Vec<Bang> {
        let children = std::mem::take(&mut self.nodes[gather].running);
        children.into_iter().flat_map(|child| self.drop(child)).collect()
    }

    fn poll(&mut self, node: usize) -> Poll {
        self.work += 1;
        if self.work >= NEVER_CUT_SHORT {
            self.is_uncertain();
        }
        self.nodes[node].was_polled = true;
        match &self.program.nodes[node].kind {
            Kind::Leaf(leaf) => self.poll_leaf(node, leaf),
            Kind::Gather(gathering) => match self.poll_gather(node, gathering) {
                Poll::Pending => Poll::Pending,
                over => self.end(node, gathering.mode, over),
            },
        }
    }

    fn poll_leaf(&mut self, node: usize, leaf: &Leaf) -> Poll {
        self.note(Event::Poll(node));
        while let Some(step) = leaf.steps.get(self.nodes[node].step) {
            let has_begun = std::mem::replace(&mut self.nodes[node].has_begun, true);
            let is_over = match *step {
                Step::Sleep(duration) => self.sleep(node, duration),
                Step::Yield | Step::WakeSelf | Step::Thread if has_begun => true,
                step => {
                    match step {
                        Step::Yield => self.yielded.push(node),
                        Step::Thread => self.letters.push(node),
                        _ => self.wake(node),
                    }
                    false
                }
            };
            if !is_over {
                return Poll::Pending;
            }
            let state = &mut self.nodes[node];
            (state.step, state.has_begun, state.deadline) = (state.step + 1, false, None);
        }
        self.note(Event::End(node, format!("{:?}", leaf.end)));
        match leaf.end {
            End::Ok => Poll::Ready(Ok(node.to_string())),
            End::Err => Poll::Ready(Err(node.to_string())),
            End::Panic => Poll::Panic(Bang::Poll(node)),
        }
    }

    /// Whether the time has come. The first call sets it.
    fn sleep(&mut self, node: usize, duration: u64) -> bool {
        let deadline = self.nodes[node].deadline.unwrap_or_else(|| {
            let deadline = self.now + duration;
            if duration > 0 {
                self.asleep.push((deadline, node));
            }
            deadline
        });
        self.nodes[node].deadline = Some(deadline);
        deadline <= self.now
    }
}
