//! A program from a seed.
//!
//! Most programs have few durations, so that much happens at the same instant; some are calm
//! ([`Program::is_calm`]), and may be wide. How often children fail, panic or do something in
//! their destructors differs from program to program: in some the first failure ends all, others
//! run long.
//!
//! Next: [`trace`](super::trace).

use std::collections::HashMap;

use super::{End, Gathering, Hint, Host, Kind, Leaf, Mode, Node, OnDrop, Program, Step};
use crate::random::Random;

/// A millisecond, in nanoseconds.
const MILLISECOND: u64 = 1_000_000;

/// The program of this seed.
pub fn program(seed: u64) -> Program {
    let mut random = Random::new(seed);
    let is_calm = random.below(8) == 0;
    let one_in = |random: &mut Random, choices: [u64; 4]| choices[random.below(4) as usize];
    let mut generator = Generator {
        nodes: Vec::new(),
        is_calm,
        room: 4 + random.below(37) as usize,
        failures: one_in(&mut random, [0, 30, 10, 3]),
        panics: one_in(&mut random, [0, 0, 60, 15]),
        destructors: if is_calm { 0 } else { one_in(&mut random, [0, 20, 5, 2]) },
        threads: one_in(&mut random, [0, 0, 0, 8]),
        woken_late: HashMap::new(),
        random,
    };
    generator.gather(None, 0);
    let host = generator.host();
    Program { nodes: generator.nodes, host, is_calm }
}

struct Generator {
    random: Random,
    nodes: Vec<Node>,
    is_calm: bool,
    /// How many nodes there may be.
    room: usize,
    /// One in so many leaves fails; 0 for none.
    failures: u64,
    /// One in so many panics.
    panics: u64,
    /// One in so many has a destructor that does something.
    destructors: u64,
    /// One in so many steps is an answer of another thread.
    threads: u64,
    /// For a gather, the child that may be woken by a destructor in its own last poll.
    woken_late: HashMap<usize, usize>,
}

impl Generator {
    /// Whether something happens that happens one in so many times.
    fn happens(&mut self, one_in: u64) -> bool {
        one_in > 0 && self.random.below(one_in) == 0
    }

    fn host(&mut self) -> Host {
        let is_foreign = self.happens(4);
        let moves = if self.happens(3) { 1 + self.random.below(3) } else { 0 };
        let moves = (0..moves).map(|_| self.duration().max(1)).collect();
        let cancel = self.happens(8).then(|| self.duration().max(1));
        Host { is_foreign, moves, cancel }
    }

    /// In a calm program no two are equal, and none is 0.
    fn duration(&mut self) -> u64 {
        if self.is_calm { 1 + self.random.below(1 << 40) } else { self.random.below(6) * MILLISECOND }
    }

    fn gather(&mut self, parent: Option<usize>, depth: usize) {
        let node = self.nodes.len();
        let mode = self.mode();
        let mut count = self.random.below(if depth == 0 { 10 } else { 7 }) as usize;
        if mode.is_list() {
            count = count.clamp(1, 4);
        } else if mode == Mode::Scope {
            count = count.max(1);
        } else if depth == 0 && self.happens(if self.is_calm { 4 } else { 60 }) {
            count += self.random.below(250) as usize; // too many for one turn
            self.room += count;
        } else if self.is_calm {
            count = count.max(1); // an empty gather is ready when the others begin
        }
        let limit = (mode.has_input() && self.happens(2)).then(|| 1 + self.random.below(5) as usize);
        let input_panics_at = (!self.is_calm && self.panics > 0 && mode.has_input() && self.happens(40))
            .then(|| self.random.below(5) as usize);
        let hints = [Hint::Exact, Hint::Exact, Hint::None, Hint::TooSmall, Hint::TooLarge, Hint::Huge];
        let hint = hints[self.random.below(6) as usize];
        let gathering = Gathering { mode, limit, hint, children: Vec::new(), input_panics_at };
        self.nodes.push(Node { parent, sibling: None, kind: Kind::Gather(gathering) });
        let mut children = Vec::new();
        let must_have_one = !mode.has_input() || self.is_calm;
        while children.len() < count && (self.nodes.len() < self.room || must_have_one && children.is_empty())
        {
            children.push(self.nodes.len());
            let is_body = mode == Mode::Scope && children.len() == 1;
            if depth < 4 && !is_body && self.happens(if count < 20 { 3 } else { 30 }) {
                self.gather(Some(node), depth + 1);
            } else {
                self.leaf(node, is_body);
            }
        }
        for pair in children.windows(2) {
            self.nodes[pair[0]].sibling = Some(pair[1]);
        }
        if let Kind::Gather(gathering) = &mut self.nodes[node].kind {
            gathering.children = children;
        }
    }

    fn mode(&mut self) -> Mode {
        match self.random.below(17) {
            0..3 => Mode::FailFast,
            3..5 => Mode::Capture,
            5 | 6 => Mode::Within(self.duration() * 2),
            7 => Mode::Detailed,
            8 => Mode::FirstOk,
            9 if self.is_calm => Mode::FirstOkN(1), // a quorum of too few is known when the others begin
            9 => Mode::FirstOkN(self.random.below(4) as usize),
            10 => Mode::Race,
            11 => Mode::Until(1 + self.random.below(4) as usize),
            12 => Mode::Stream,
            13 => Mode::Scope,
            14 if self.is_calm => Mode::ForEach(self.duration()),
            14 | 15 => Mode::List,
            _ => Mode::ListCapture,
        }
    }

    fn leaf(&mut self, parent: usize, is_plain: bool) {
        let end = match () {
            _ if self.happens(self.panics) => End::Panic,
            _ if self.happens(self.failures) => End::Err,
            _ => End::Ok,
        };
        let on_drop = match self.random.below(5) {
            _ if is_plain || !self.happens(self.destructors) => OnDrop::Plain,
            0 if self.panics > 0 => OnDrop::Panics,
            0 | 1 if self.may_be_woken_late(self.nodes.len(), Some(parent)) => OnDrop::WakesSelf,
            2 => OnDrop::WakesSibling,
            3 if self.may_be_woken_late(parent, self.nodes[parent].parent) => OnDrop::WakesParent,
            _ => OnDrop::Spawns,
        };
        let steps = if self.is_calm { 1 + self.random.below(2) } else { self.random.below(4) };
        let steps = (0..steps).map(|_| self.step()).collect();
        self.nodes.push(Node {
            parent: Some(parent),
            sibling: None,
            kind: Kind::Leaf(Leaf { steps, end, on_drop }),
        });
    }

    /// Whether this node may be woken by a destructor in its own last poll. That is a late wake,
    /// and one child of a gather may have such: two late wakes for one slot count as a wake for
    /// whoever is there (`runtime/src/group/table.rs`), which the model does not know.
    fn may_be_woken_late(&mut self, node: usize, gather: Option<usize>) -> bool {
        let Some(gather) = gather else { return true };
        *self.woken_late.entry(gather).or_insert(node) == node
    }

    fn step(&mut self) -> Step {
        if self.is_calm {
            return Step::Sleep(self.duration());
        }
        match self.random.below(6) {
            _ if self.happens(self.threads) => Step::Thread,
            0 => Step::Yield,
            1 => Step::WakeSelf,
            _ => Step::Sleep(self.duration()),
        }
    }
}
