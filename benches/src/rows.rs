//! What is measured: the rows of the comparison, by name.

use std::fmt;

#[cfg(target_os = "linux")]
use crate::net;
use crate::peers::Contender;
use crate::{chain, joins, ready, spawning, yields};

/// One kind of work at one size. Each has its figure in nanoseconds for one operation.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Row {
    /// Gather this many futures that are ready at once: `ready.rs`.
    Ready(usize),
    /// Gather this many futures that wake themselves over and over: `yields.rs`.
    Yield(usize),
    /// Gather this many futures of which one wakes the next: `chain.rs`.
    Chain(usize),
    /// Join three futures of different types, each of which yields so often: `joins.rs`.
    Join(usize),
    /// From here, spawn one task and await it: `spawning.rs`.
    Spawn(Origin),
    /// On sockets: `net/`.
    #[cfg(target_os = "linux")]
    Net(net::Work),
}

/// Who spawns.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Origin {
    /// The future that the runtime was started with.
    Root,
    /// A task.
    Task,
}

impl Row {
    /// Every row, in the order of the table.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let ready = [100, 10_000, 1_000_000].map(Self::Ready);
        let yields = [1, 100, 10_000].map(Self::Yield);
        let chain = [10, 1_000, 100_000].map(Self::Chain);
        let join = [0, 1, 10].map(Self::Join);
        let spawn = [Origin::Root, Origin::Task].map(Self::Spawn);
        let rows = ready.into_iter().chain(yields).chain(chain).chain(join).chain(spawn);
        #[cfg(target_os = "linux")]
        let rows = rows.chain(net::Work::all().map(Self::Net));
        rows
    }

    /// The row with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::all().find(|row| row.to_string() == name)
    }

    /// Whether `contender` can do this work. What is only a future cannot spawn, and few have a macro that joins.
    pub(crate) fn suits(self, contender: Contender) -> bool {
        match self {
            Self::Spawn(_) => contender.spawns(),
            Self::Join(_) => contender.joins().is_some(),
            #[cfg(target_os = "linux")]
            Self::Net(work) => work.suits(contender),
            _ => contender.gathers(),
        }
    }

    /// The closure that takes one sample with `contender`: nanoseconds for one operation. What it makes first is not measured.
    pub(crate) fn sampler(self, contender: Contender) -> Box<dyn FnMut() -> f64> {
        match self {
            Self::Ready(children) => ready::sampler(contender, children),
            Self::Yield(children) => yields::sampler(contender, children),
            Self::Chain(children) => chain::sampler(contender, children),
            Self::Join(yields) => joins::sampler(contender, yields),
            Self::Spawn(origin) => spawning::sampler(contender, origin),
            #[cfg(target_os = "linux")]
            Self::Net(work) => work.sampler(contender),
        }
    }

    /// How many times longer than others it is sampled: another process has its part in a row of the network, and in its noise.
    pub(crate) fn patience(self) -> u32 {
        match self {
            #[cfg(target_os = "linux")]
            Self::Net(_) => 4,
            _ => 1,
        }
    }

    /// The two lines of the row's heading.
    pub(crate) fn heading(self) -> (&'static str, String) {
        match self {
            Self::Ready(children) => ("ready", power_of_ten(children)),
            Self::Yield(children) => ("yield", power_of_ten(children)),
            Self::Chain(children) => ("chain", power_of_ten(children)),
            Self::Join(yields) => ("join", yields.to_string()),
            Self::Spawn(Origin::Root) => ("spawn", "root".to_owned()),
            Self::Spawn(Origin::Task) => ("spawn", "task".to_owned()),
            #[cfg(target_os = "linux")]
            Self::Net(work) => work.heading(),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (work, size) = self.heading();
        write!(formatter, "{work} {size}")
    }
}

/// 1, 10, 100, and then 1e3, 1e4, … Every size here is a power of ten.
fn power_of_ten(size: usize) -> String {
    if size <= 100 { size.to_string() } else { format!("1e{}", size.ilog10()) }
}
