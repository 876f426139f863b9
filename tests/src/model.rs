//! The reference model: what should come of a [`Program`], said as plainly as can be.
//!
//! It has no futures, no wakers, no slots and no budget. A node is a number; a gather is the list of its children that run
//! and the queue of those that were woken; time is a number, and what waits for it is a list. It is written from the
//! contract, and from what the docs say of modes, timers, yields and other threads.
//!
//! Where the contract promises no order, it says so by [`Answer::certain`]: what comes after that many entries of the
//! trace may come in another order, and so may the outcome.

use std::collections::VecDeque;

use crate::program::trace::{Bang, Entry, Event, Outcome, Trace};
use crate::program::{End, Gathering, Kind, Leaf, Mode, OnDrop, Program, Step};

/// A poll of a task may do 128 units of work. A gather looks ahead no more than 32, so up to here no turn is cut short.
const NEVER_CUT_SHORT: usize = 96;
/// A gather that starts more children than this at a time polls others in between.
const STARTED_IN_ONE_GO: usize = 32;

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
    /// Of a leaf, or a gather with a time limit.
    deadline: Option<u64>,
    /// Of a gather: the children that exist, and those of them that were woken.
    running: Vec<usize>,
    queue: VecDeque<usize>,
    /// Of a gather: whether its own gather knows that it is to be polled.
    is_told: bool,
    started: usize,
    all_started: bool,
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
        let panicked = model.drop(0).is_some();
        let outcome =
            if outcome == Outcome::Cancelled(false) { Outcome::Cancelled(panicked) } else { outcome };
        Answer { outcome, ended_at, trace: Trace(model.trace), certain: model.certain }
    }

    /// The loop: the root; then who has yielded; then other threads; and when nothing is left to do, time.
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

    /// A wake that may come when the node is gone. Then some gather may be polled for nothing, before others: a late wake is
    /// promised to be no worse than that.
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

    fn create(&mut self, node: usize) {
        self.nodes[node].is_alive = true;
        let Kind::Gather(gathering) = &self.program.nodes[node].kind else { return };
        if gathering.mode.is_list() {
            gathering.children.iter().for_each(|child| self.create(*child));
            self.nodes[node].running = gathering.children.clone();
        }
    }

    /// Drops a node and what it has. Gives the panic of a destructor.
    fn drop(&mut self, node: usize) -> Option<Bang> {
        self.note(Event::Drop(node));
        self.nodes[node].is_alive = false;
        self.asleep.retain(|(_, sleeper)| *sleeper != node);
        match &self.program.nodes[node].kind {
            Kind::Gather(_) => self.drop_children(node),
            Kind::Leaf(Leaf { on_drop, .. }) => {
                let Some(gather) = self.program.nodes[node].parent else { return None };
                match on_drop {
                    OnDrop::Panics => return Some(Bang::Drop(node)),
                    OnDrop::WakesParent => self.wake(gather),
                    OnDrop::WakesSibling => {
                        let sibling = self.program.nodes[node].sibling;
                        let sibling = sibling.filter(|sibling| self.nodes[*sibling].was_polled);
                        sibling.into_iter().for_each(|sibling| self.wake(sibling));
                    }
                    // It is gone. And what is spawned is outside the tree.
                    OnDrop::WakesSelf | OnDrop::Spawns | OnDrop::Plain => {}
                }
                None
            }
        }
    }

    fn drop_children(&mut self, gather: usize) -> Option<Bang> {
        let children = std::mem::take(&mut self.nodes[gather].running);
        children.into_iter().filter_map(|child| self.drop(child)).last()
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
                over => {
                    // What is left is dropped, whatever the destructors do, before anybody sees the result.
                    self.asleep.retain(|(_, sleeper)| *sleeper != node);
                    let _ = self.drop_children(node);
                    if let Poll::Ready(result) = &over {
                        self.note(Event::End(node, format!("{result:?}")));
                    }
                    over
                }
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

    /// Starts children while there is room, polls those that were woken, and again, until there is nothing to do.
    fn poll_gather(&mut self, node: usize, gathering: &Gathering) -> Poll {
        let Gathering { mode, limit, children, input_panics_at, .. } = gathering;
        self.nodes[node].is_told = true;
        if mode.is_list() && self.nodes[node].started == 0 {
            // They are there; their first polls are due.
            self.nodes[node].started = children.len();
            children.iter().for_each(|child| self.wake(*child));
        }
        if *mode == Mode::FirstOkN(0) {
            return self.finish(node, gathering);
        }
        loop {
            while self.nodes[node].running.len() < limit.unwrap_or(usize::MAX) {
                let index = self.nodes[node].started;
                if index >= STARTED_IN_ONE_GO {
                    self.is_uncertain();
                }
                if !mode.is_list() && !self.nodes[node].all_started {
                    self.note(Event::Pull(node, index));
                    if *input_panics_at == Some(index) {
                        return Poll::Panic(Bang::Input(node));
                    }
                }
                let Some(child) = children.get(index) else {
                    self.nodes[node].all_started = true;
                    match self.nodes[node].running.len() {
                        0 => return self.finish(node, gathering),
                        _ => break,
                    }
                };
                self.nodes[node].started += 1;
                self.create(*child);
                self.nodes[node].running.push(*child);
                if let Some(over) = self.poll_child(node, gathering, *child) {
                    return over;
                }
            }
            if self.nodes[node].queue.is_empty() {
                break;
            }
            while let Some(child) = self.nodes[node].queue.pop_front() {
                self.nodes[child].is_queued = false;
                if self.nodes[child].is_alive {
                    if let Some(over) = self.poll_child(node, gathering, child) {
                        return over;
                    }
                }
            }
        }
        if self.stop(node, gathering) {
            return self.finish(node, gathering);
        }
        self.nodes[node].is_told = false;
        Poll::Pending
    }

    /// Gives what the gather gives, if this ends it.
    fn poll_child(&mut self, node: usize, gathering: &Gathering, child: usize) -> Option<Poll> {
        match self.poll(child) {
            Poll::Pending => None,
            Poll::Panic(bang) => Some(Poll::Panic(bang)),
            Poll::Ready(result) => {
                self.nodes[node].running.retain(|other| *other != child);
                if let Some(bang) = self.drop(child) {
                    return Some(Poll::Panic(bang));
                }
                let index = gathering.children.iter().position(|other| *other == child)?;
                self.nodes[node].came.push((index, result));
                self.judge(node, gathering).then(|| self.finish(node, gathering))
            }
        }
    }

    /// Whether the output that has come now ends the gather.
    fn judge(&self, node: usize, gathering: &Gathering) -> bool {
        let came = &self.nodes[node].came;
        let is_ok = came.last().is_some_and(|(_, result)| result.is_ok());
        match gathering.mode {
            Mode::FailFast | Mode::Detailed | Mode::List => !is_ok,
            Mode::FirstOk => is_ok,
            Mode::Race => true,
            Mode::Capture | Mode::Within(_) | Mode::ListCapture => false,
            Mode::Until(needed) => came.len() >= needed,
            Mode::FirstOkN(needed) => self.successes(node) >= needed || self.is_hopeless(node, needed),
        }
    }

    /// Whether it ends though its children wait.
    fn stop(&mut self, node: usize, gathering: &Gathering) -> bool {
        match gathering.mode {
            Mode::Within(duration) => self.sleep(node, duration),
            Mode::FirstOkN(needed) => self.is_hopeless(node, needed),
            _ => false,
        }
    }

    fn successes(&self, node: usize) -> usize {
        self.nodes[node].came.iter().filter(|(_, result)| result.is_ok()).count()
    }

    /// Whether so many can no longer succeed, as far as is known.
    fn is_hopeless(&self, node: usize, needed: usize) -> bool {
        let State { started, all_started, came, .. } = &self.nodes[node];
        *all_started && started - (came.len() - self.successes(node)) < needed
    }

    /// What the gather gives.
    fn finish(&self, node: usize, gathering: &Gathering) -> Poll {
        let State { started, came, .. } = &self.nodes[node];
        let sign = |result: &Result<String, String>| match result {
            Ok(value) => format!("+{value}"),
            Err(error) => format!("-{error}"),
        };
        let last = came.last();
        // By index, in as many places as children are known of, with a dot for what has not come or does not count.
        let list = |places: usize, counts: fn(&Result<String, String>) -> bool| {
            let place = |index| came.iter().find(|(came, result)| *came == index && counts(result));
            let texts = (0..places).map(|index| place(index).map_or(".".into(), |(_, result)| sign(result)));
            format!("[{}]", texts.collect::<Vec<_>>().join(" "))
        };
        let expected = match gathering.hint.of(gathering.children.len()) {
            (least, Some(most)) if least == most && least < usize::MAX => least,
            _ => 0,
        };
        let places = expected.max(*started);
        let failures = || {
            let mut failures: Vec<_> =
                came.iter().filter_map(|(index, result)| Some((index, result.as_ref().err()?))).collect();
            failures.sort();
            let texts: Vec<_> = failures.iter().map(|(index, error)| format!("#{index} {error}")).collect();
            format!("{} of {started}: {}", texts.len(), texts.join(" "))
        };
        Poll::Ready(match (gathering.mode, last) {
            (Mode::FailFast | Mode::List, Some((_, Err(error)))) => Err(error.clone()),
            (Mode::Detailed, Some((index, Err(error)))) => {
                Err(format!("#{index} {error} {}", list(places, Result::is_ok)))
            }
            (Mode::FailFast | Mode::List | Mode::Detailed, _) => Ok(list(*started, |_| true)),
            (Mode::Capture | Mode::ListCapture, _) => Ok(list(*started, |_| true)),
            (Mode::Within(_), _) => Ok(list(places, |_| true)),
            (Mode::FirstOk, Some((index, Ok(value)))) => Ok(format!("#{index} {value}")),
            (Mode::FirstOk, _) => Err(failures()),
            (Mode::FirstOkN(needed), _) if self.successes(node) >= needed => {
                let texts = came
                    .iter()
                    .filter_map(|(index, result)| Some(format!("#{index} {} ", result.as_ref().ok()?)));
                Ok(texts.collect())
            }
            (Mode::FirstOkN(_), _) => Err(failures()),
            (Mode::Race, Some((index, Ok(value)))) => Ok(format!("#{index} {value}")),
            (Mode::Race, Some((index, Err(error)))) => Err(format!("#{index} {error}")),
            (Mode::Race, None) => return Poll::Panic(Bang::NoWinner),
            (Mode::Until(_), _) => {
                let indices: Vec<_> = came.iter().map(|(index, _)| *index).collect();
                Ok(format!("{indices:?} {}", list(places, |_| true)))
            }
        })
    }
}
