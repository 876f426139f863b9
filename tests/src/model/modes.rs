//! The model of a gather: which children it starts and polls, and what each mode makes of their
//! outputs.
//!
//! This is the last file of the reading order of random programs.

use super::{Model, Poll, State};
use crate::program::trace::{Bang, Event};
use crate::program::{Gathering, Kind, Mode};

/// A gather that starts more children than this at a time polls others in between.
const STARTED_IN_ONE_GO: usize = 32;

impl Model<'_> {
    /// A node comes to be, with its children if it is a `gather!`. Until they end they are the
    /// gather's.
    pub(super) fn create(&mut self, node: usize) {
        self.nodes[node].is_alive = true;
        if let Some(gather) = self.program.nodes[node].parent {
            self.nodes[gather].running.push(node);
        }
        let Kind::Gather(Gathering { mode, children, .. }) = &self.program.nodes[node].kind else { return };
        if mode.is_list() {
            children.iter().for_each(|child| self.create(*child));
        }
    }

    /// Starts children while there is room, polls those that were woken, and again, until there is
    /// nothing to do.
    pub(super) fn poll_gather(&mut self, node: usize, gathering: &Gathering) -> Poll {
        let Gathering { mode, children, .. } = gathering;
        self.nodes[node].is_told = true;
        if mode.is_list() && !self.nodes[node].all_started {
            // They are there; their first polls are due.
            (self.nodes[node].started, self.nodes[node].all_started) = (children.len(), true);
            children.iter().for_each(|child| self.wake(*child));
        }
        if *mode == Mode::Scope && self.nodes[node].started == 0 {
            self.create(children[0]);
        }
        if *mode == Mode::FirstOkN(0) {
            return self.result(node, gathering);
        }
        // A stream has somebody else's turn when it has given something: those that may start, and
        // those that were woken.
        let is_stream = *mode == Mode::Stream;
        while self.may_start(node, gathering) || !self.nodes[node].queue.is_empty() {
            while self.may_start(node, gathering) {
                match self.start(node, gathering) {
                    Step::Over(over) => return over,
                    Step::Output if is_stream => break,
                    Step::Output | Step::Nothing => {}
                }
            }
            while let Some(child) = self.nodes[node].queue.pop_front() {
                self.nodes[child].is_queued = false;
                match self.poll_child(node, gathering, child) {
                    Step::Over(over) => return over,
                    Step::Output if is_stream => break,
                    Step::Output | Step::Nothing => {}
                }
            }
        }
        // It takes an output, which may make room.
        if self.run_body(node, gathering) {
            return self.poll_gather(node, gathering);
        }
        let has_body = matches!(mode, Mode::ForEach(_)) && self.nodes[node].deadline.is_some();
        let State { running, all_started, .. } = &self.nodes[node];
        let is_over = running.is_empty() && !has_body && (*all_started || *mode == Mode::Scope);
        if is_over || self.stop(node, gathering) {
            return self.result(node, gathering);
        }
        self.nodes[node].is_told = false;
        Poll::Pending
    }

    /// Whether the input is to be asked for a child, or a scope has one that was spawned.
    fn may_start(&self, node: usize, gathering: &Gathering) -> bool {
        let State { running, started, all_started, came, given, deadline, .. } = &self.nodes[node];
        match gathering.mode {
            Mode::Scope => gathering.children.get(*started).is_some_and(|child| self.nodes[*child].is_alive),
            Mode::ForEach(_)
                if running.len() + came.len() - given >= gathering.limit.unwrap_or(usize::MAX) =>
            {
                false
            }
            // When its time is over it starts nobody, also if that is in this poll and somebody
            // makes room.
            Mode::Within(_) if deadline.is_some_and(|deadline| deadline <= self.now) => false,
            _ => !all_started && running.len() < gathering.limit.unwrap_or(usize::MAX),
        }
    }

    fn start(&mut self, node: usize, gathering: &Gathering) -> Step {
        let Gathering { mode, children, input_panics_at, .. } = gathering;
        let index = self.nodes[node].started;
        if index >= STARTED_IN_ONE_GO {
            self.is_uncertain();
        }
        if mode.has_input() {
            self.note(Event::Pull(node, index));
            if *input_panics_at == Some(index) {
                return Step::Over(Poll::Panic(Bang::Input(node)));
            }
        }
        let Some(child) = children.get(index) else {
            self.nodes[node].all_started = true;
            return Step::Nothing;
        };
        self.nodes[node].started += 1;
        if mode.has_input() {
            self.create(*child);
        } else if index == 0 {
            self.spawn(&children[1..1 + children[1..].len() / 2]);
        }
        self.poll_child(node, gathering, *child)
    }

    /// The body of a scope spawns these.
    fn spawn(&mut self, children: &[usize]) {
        children.iter().for_each(|child| self.create(*child));
    }

    /// Polls a child, unless it is gone.
    fn poll_child(&mut self, node: usize, gathering: &Gathering, child: usize) -> Step {
        if !self.nodes[child].is_alive {
            return Step::Nothing;
        }
        let result = match self.poll(child) {
            Poll::Pending => return Step::Nothing,
            Poll::Panic(bang) => return Step::Over(Poll::Panic(bang)),
            Poll::Ready(result) => result,
        };
        self.nodes[node].running.retain(|other| *other != child);
        if let Some(bang) = self.drop(child).into_iter().next() {
            return Step::Over(Poll::Panic(bang));
        }
        let index = child_index(gathering, child);
        if gathering.mode == Mode::Scope && index == 0 && result.is_ok() {
            let others = &gathering.children[1..];
            self.spawn(&others[others.len() / 2..]);
        }
        self.nodes[node].came.push((index, result));
        match self.judge(node, gathering) {
            true => Step::Over(self.result(node, gathering)),
            false => Step::Output,
        }
    }

    /// The body of a `for_each` has one output at a time, and sleeps. Gives whether it took one.
    fn run_body(&mut self, node: usize, gathering: &Gathering) -> bool {
        let Mode::ForEach(duration) = gathering.mode else { return false };
        if self.nodes[node].deadline.is_some_and(|deadline| deadline <= self.now) {
            self.nodes[node].deadline = None;
        }
        let State { deadline, came, given, .. } = &mut self.nodes[node];
        let (None, Some((index, _))) = (&deadline, came.get(*given)) else { return false };
        *given += 1;
        let event = Event::Body(node, *index);
        self.note(event);
        self.sleep(node, duration);
        true
    }

    /// A gather has a result, or a panic. What is left is dropped before anybody sees it, whatever
    /// the destructors do.
    pub(super) fn end(&mut self, node: usize, mode: Mode, over: Poll) -> Poll {
        self.asleep.retain(|(_, sleeper)| *sleeper != node);
        let bangs = self.drop_children(node);
        match (over, bangs.first()) {
            (Poll::Ready(_), Some(bang)) if mode == Mode::Scope => {
                if bangs.len() > 1 {
                    self.is_uncertain(); // which is the first is not promised
                }
                Poll::Panic(*bang)
            }
            (Poll::Ready(result), _) => {
                self.note(Event::End(node, format!("{result:?}")));
                Poll::Ready(result)
            }
            (over, _) => over,
        }
    }

    /// Whether the output that has come now ends the gather.
    fn judge(&self, node: usize, gathering: &Gathering) -> bool {
        let came = &self.nodes[node].came;
        let is_ok = came.last().is_some_and(|(_, result)| result.is_ok());
        match gathering.mode {
            Mode::FailFast | Mode::Detailed | Mode::List | Mode::Scope => !is_ok,
            Mode::FirstOk => is_ok,
            Mode::Race => true,
            Mode::Until(needed) => came.len() >= needed,
            Mode::FirstOkN(needed) => self.successes(node) >= needed || self.is_hopeless(node, needed),
            Mode::Capture | Mode::Within(_) | Mode::ListCapture | Mode::Stream | Mode::ForEach(_) => false,
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
    fn result(&self, node: usize, gathering: &Gathering) -> Poll {
        let State { started, came, .. } = &self.nodes[node];
        let sign = |result: &Result<String, String>| match result {
            Ok(value) => format!("+{value}"),
            Err(error) => format!("-{error}"),
        };
        let last = came.last();
        // By index, in as many places as children are known of, with a dot for what has not come
        // or does not count.
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
            (Mode::Stream | Mode::ForEach(_), _) => {
                let texts: Vec<_> =
                    came.iter().map(|(index, result)| format!("#{index} {}", sign(result))).collect();
                Ok(texts.join(" "))
            }
            (Mode::Scope, Some((_, Err(error)))) => Err(error.clone()),
            (Mode::Scope, _) => {
                came.iter().find(|(index, _)| *index == 0).expect("the body has ended").1.clone()
            }
            (Mode::Until(_), _) => {
                let indices: Vec<_> = came.iter().map(|(index, _)| *index).collect();
                Ok(format!("{indices:?} {}", list(places, |_| true)))
            }
        })
    }
}

/// What came of a child that was started or polled.
enum Step {
    /// The gather is over.
    Over(Poll),
    /// The child gave an output, and it goes on.
    Output,
    Nothing,
}

fn child_index(gathering: &Gathering, child: usize) -> usize {
    gathering.children.iter().position(|other| *other == child).expect("it is a child of this gather")
}
