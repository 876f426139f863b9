//! What is measured: the rows of the comparison, by name.
//!
//! A row is a variant of [`Row`], a place in [`Row::all`], a kind (its table and its unit), who
//! suits it, its sampler and its heading: a line each. The work stands in a file of its own, which
//! says what it is and why it is fair.

use std::fmt;
use std::process::Command;
use std::time::Instant;

#[cfg(target_os = "linux")]
use crate::net;
use crate::peers::Peer;
#[cfg(target_os = "linux")]
use crate::scripts;
use crate::{
    chain, failing, joins, limit, memory, mutexes, nested, ready, remote, sleeps, spawning, timeouts, yields,
};

/// One kind of work at one size.
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
    /// Gathers in gathers, so deep: `nested.rs`.
    Nested(u32),
    /// This many children pass through one mutex: `mutexes.rs`.
    Mutex(usize),
    /// One of this many children fails: `failing.rs`.
    Failing(usize),
    /// Ready children under a limit: `limit.rs`.
    Limit,
    /// The same, and how often it allocates.
    Allocations,
    /// From here, spawn one task and await it: `spawning.rs`.
    Spawn(Origin),
    /// Spawn this many tasks and await them: `spawning.rs`.
    SpawnMany(usize),
    /// Another thread and the loop wake each other in turn: `remote.rs`.
    RoundTrip,
    /// Another thread wakes each of this many children over and over: `remote.rs`.
    Wake(usize),
    /// Gather this many time limits that do not run out, or one after another: `timeouts.rs`.
    Timeout(usize),
    /// Gather this many sleeps: `sleeps.rs`.
    Sleep(usize),
    /// How late they end.
    Late(usize),
    /// The memory of this many sleeping children: `memory.rs`.
    Asleep(usize),
    /// The memory of this many tasks that wait for ever: `memory.rs`.
    IdleTask(usize),
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

/// What a figure counts.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Unit {
    /// Of time: the clock's, or the processor's where the row says so.
    Nanoseconds,
    /// Of time.
    Microseconds,
    /// Of resident memory.
    Bytes,
    /// Of allocations.
    Count,
}

impl Unit {
    /// Every unit.
    pub(crate) const ALL: [Self; 4] = [Self::Nanoseconds, Self::Microseconds, Self::Bytes, Self::Count];

    /// As it stands behind a figure.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Microseconds => "µs",
            Self::Bytes => "bytes",
            Self::Count => "allocations",
        }
    }

    /// What the chart of its growth shows.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Nanoseconds => "nanoseconds for one operation",
            Self::Microseconds => "lateness of a sleep, p99, in microseconds",
            Self::Bytes => "bytes of memory for each that waits",
            Self::Count => "allocations",
        }
    }
}

/// Rows that stand in one table: a kind of work, in one unit.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// Wakes and polls of one gather.
    Gathering,
    /// What a gather does beside.
    Shapes,
    /// How often it allocates.
    Allocations,
    /// Tasks, and wakes from other threads.
    Tasks,
    /// What timers cost.
    Timers,
    /// How late they are.
    Lateness,
    /// What waits in memory.
    Memory,
    /// TCP.
    Network,
    /// HTTP.
    Http,
    /// What HTTP takes in memory.
    HttpMemory,
}

impl Kind {
    /// Every kind, in the order of the tables.
    pub(crate) const ALL: [Self; 10] = [
        Self::Gathering,
        Self::Shapes,
        Self::Allocations,
        Self::Tasks,
        Self::Timers,
        Self::Lateness,
        Self::Memory,
        Self::Network,
        Self::Http,
        Self::HttpMemory,
    ];

    /// What stands in the table's first corner.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Gathering => "gathering, ns each",
            Self::Shapes => "shapes, ns each",
            Self::Allocations => "allocations in all",
            Self::Tasks => "tasks and threads, ns",
            Self::Timers => "timers, cpu ns each",
            Self::Lateness => "lateness p99, µs",
            Self::Memory => "memory, bytes each",
            Self::Network => "network, cpu ns each",
            Self::Http => "HTTP, ns each request",
            Self::HttpMemory => "HTTP, bytes in all",
        }
    }

    /// What the file of its chart is called.
    pub(crate) fn file_name(self) -> &'static str {
        match self {
            Self::Gathering => "gathering",
            Self::Shapes => "shapes",
            Self::Allocations => "allocations",
            Self::Tasks => "tasks",
            Self::Timers => "timers",
            Self::Lateness => "lateness",
            Self::Memory => "memory",
            Self::Network => "network",
            Self::Http => "http",
            Self::HttpMemory => "http_memory",
        }
    }
}

impl Row {
    /// Every row of the comparison, in the order of the tables.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let rows: [&'static [Self]; 14] = [
            &[Self::Ready(100), Self::Ready(10_000), Self::Ready(1_000_000)],
            &[Self::Yield(1), Self::Yield(100), Self::Yield(10_000)],
            &[Self::Chain(10), Self::Chain(1_000), Self::Chain(100_000)],
            &[Self::Join(0), Self::Join(1), Self::Join(10)],
            &[Self::Nested(5)],
            &[Self::Mutex(1_000), Self::Mutex(10_000)],
            &[Self::Failing(100)],
            &[Self::Limit, Self::Allocations],
            &[Self::Spawn(Origin::Root), Self::Spawn(Origin::Task)],
            &[Self::RoundTrip, Self::Wake(1_000)],
            &[Self::Timeout(1), Self::Timeout(1_000_000)],
            &[Self::Sleep(100_000), Self::Sleep(1_000_000)],
            &[Self::Late(100_000), Self::Late(1_000_000)],
            &[Self::Asleep(1_000_000), Self::IdleTask(100_000)],
        ];
        let rows = rows.into_iter().flatten().copied();
        #[cfg(target_os = "linux")]
        let rows = rows.chain(net::Work::all().map(Self::Net));
        rows
    }

    /// The rows that show how a cost grows with the number of children, from 10 to ten million:
    /// ours only, run with `--flat`. The kernel counts memory too coarsely for few children, so
    /// that begins with 1e4.
    pub(crate) fn flat() -> impl Iterator<Item = Self> {
        let sizes = (1..=7).map(|exponent| 10_usize.pow(exponent));
        sizes.flat_map(|size| {
            let asleep = (size >= 10_000).then_some(Self::Asleep(size));
            [Self::Ready, Self::Yield, Self::Chain, Self::SpawnMany, Self::Timeout]
                .map(|row| row(size))
                .into_iter()
                .chain(asleep)
        })
    }

    /// The row with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::all().chain(Self::flat()).find(|row| row.to_string() == name)
    }

    /// Whether `peer` can do this work. What is only a future cannot spawn, and few have a
    /// macro that joins.
    pub(crate) fn suits(self, peer: Peer) -> bool {
        match self {
            #[cfg(target_os = "linux")]
            Self::Net(work) => work.suits(peer),
            #[cfg(target_os = "linux")]
            _ if peer.is_script() => self.script(peer).is_some() && scripts::is_there(peer),
            Self::Ready(_) | Self::Yield(_) | Self::Chain(_) => peer.gathers(),
            Self::Join(_) => peer.joins().is_some(),
            Self::Nested(_) | Self::Mutex(_) | Self::RoundTrip | Self::Wake(_) => peer.gathers_any(),
            Self::Failing(_) => peer.fails_fast(),
            Self::Limit | Self::Allocations => limit::runner(peer.name()).is_some(),
            Self::Spawn(_) => peer.spawns(),
            Self::Timeout(_) => peer.times_out(),
            Self::Sleep(_) | Self::Late(_) => peer.sleeps(),
            Self::Asleep(_) => peer.times_out() && cfg!(target_os = "linux"),
            Self::IdleTask(_) => peer.has_local_tasks() && cfg!(target_os = "linux"),
            Self::SpawnMany(_) => peer == Peer::Ours,
        }
    }

    /// What `scripts/gather.py` and `gather.js` call this work, and its size. Node has no tasks: a
    /// promise runs by itself.
    #[cfg(target_os = "linux")]
    fn script(self, peer: Peer) -> Option<(&'static str, usize)> {
        match self {
            Self::Ready(children) if children < 1_000_000 => Some(("ready", children)),
            Self::Yield(children) => Some(("yield", children)),
            Self::Spawn(Origin::Task) if peer != Peer::Node => Some(("spawn", 1)),
            Self::Timeout(1) => Some(("timeout", 1)),
            _ => None,
        }
    }

    /// The closure that takes one sample with `peer`: a figure in the row's unit. What it
    /// makes first is not measured.
    pub(crate) fn sampler(self, peer: Peer) -> Box<dyn FnMut() -> f64> {
        #[cfg(target_os = "linux")]
        if peer.is_script() {
            if let Some((work, size)) = self.script(peer) {
                return scripts::sampler(peer, work, size);
            }
        }
        match self {
            Self::Ready(children) => ready::sampler(peer, children),
            Self::Yield(children) => yields::sampler(peer, children),
            Self::Chain(children) => chain::sampler(peer, children),
            Self::Join(yields) => joins::sampler(peer, yields),
            Self::Nested(depth) => nested::sampler(peer, depth),
            Self::Mutex(children) => mutexes::sampler(peer, children),
            Self::Failing(children) => failing::sampler(peer, children),
            Self::Limit => limit_sampler(peer),
            Self::Allocations => allocation_sampler(peer),
            Self::Spawn(origin) => spawning::sampler(peer, origin),
            Self::SpawnMany(tasks) => spawning::many_sampler(peer, tasks),
            Self::RoundTrip => remote::round_trip_sampler(peer),
            Self::Wake(children) => remote::wake_sampler(peer, children),
            Self::Timeout(children) => timeouts::sampler(peer, children),
            Self::Sleep(children) => sleeps::cost_sampler(peer, children),
            Self::Late(children) => sleeps::lateness_sampler(peer, children),
            Self::Asleep(children) => memory::asleep_sampler(peer, children),
            Self::IdleTask(tasks) => memory::idle_sampler(peer, tasks),
            #[cfg(target_os = "linux")]
            Self::Net(work) => work.sampler(peer),
        }
    }

    /// Which table it stands in.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Ready(_) | Self::Yield(_) | Self::Chain(_) => Kind::Gathering,
            Self::Join(_) | Self::Nested(_) | Self::Mutex(_) | Self::Failing(_) | Self::Limit => Kind::Shapes,
            Self::Allocations => Kind::Allocations,
            Self::Spawn(_) | Self::SpawnMany(_) | Self::RoundTrip | Self::Wake(_) => Kind::Tasks,
            Self::Timeout(_) | Self::Sleep(_) => Kind::Timers,
            Self::Late(_) => Kind::Lateness,
            Self::Asleep(_) | Self::IdleTask(_) => Kind::Memory,
            #[cfg(target_os = "linux")]
            Self::Net(work) => work.kind(),
        }
    }

    /// What its figures count.
    pub(crate) fn unit(self) -> Unit {
        match self.kind() {
            Kind::Memory | Kind::HttpMemory => Unit::Bytes,
            Kind::Allocations => Unit::Count,
            Kind::Lateness => Unit::Microseconds,
            _ => Unit::Nanoseconds,
        }
    }

    /// Whether a process takes one sample of it, without a warm-up: the peak of memory has no
    /// second time, and counts are the same each time. A million timers take seconds; there the
    /// first touch of the memory is in the figure, for everybody.
    pub(crate) fn once(self) -> bool {
        matches!(self.kind(), Kind::Memory | Kind::Allocations) || self.is_long()
    }

    /// Whether its figure is for a part of its sample, which it times by itself.
    #[cfg(target_os = "linux")]
    pub(crate) fn times_itself(self) -> bool {
        matches!(self, Self::Chain(_))
    }

    /// Whether it takes a second or more with some peer. `--quick` leaves it out unless it is
    /// named.
    pub(crate) fn is_long(self) -> bool {
        let timers = match self {
            Self::Timeout(n) | Self::Sleep(n) | Self::Late(n) | Self::Asleep(n) => n,
            Self::Ready(n) | Self::Yield(n) | Self::Chain(n) | Self::SpawnMany(n) if n > 1_000_000 => n,
            _ => 0,
        };
        timers >= 1_000_000
    }

    /// How many children or tasks there are, where it is one work at growing sizes.
    pub(crate) fn size(self) -> Option<usize> {
        match self {
            Self::Ready(n) | Self::Yield(n) | Self::Chain(n) | Self::SpawnMany(n) => Some(n),
            Self::Timeout(n) | Self::Sleep(n) | Self::Late(n) | Self::Asleep(n) => Some(n),
            _ => None,
        }
    }

    /// How many times longer than others it is sampled: another process has its part in a row of
    /// the network, and in its noise.
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
            Self::Nested(depth) => ("nested", depth.to_string()),
            Self::Mutex(children) => ("mutex", power_of_ten(children)),
            Self::Failing(children) => ("failing", power_of_ten(children)),
            Self::Limit => ("limit", "256".to_owned()),
            Self::Allocations => ("allocs", "256".to_owned()),
            Self::Spawn(Origin::Root) => ("spawn", "root".to_owned()),
            Self::Spawn(Origin::Task) => ("spawn", "task".to_owned()),
            Self::SpawnMany(tasks) => ("tasks", power_of_ten(tasks)),
            Self::RoundTrip => ("round", "trip".to_owned()),
            Self::Wake(children) => ("wake", power_of_ten(children)),
            Self::Timeout(children) => ("timeout", power_of_ten(children)),
            Self::Sleep(children) => ("sleep", power_of_ten(children)),
            Self::Late(children) => ("late", power_of_ten(children)),
            Self::Asleep(children) => ("asleep", power_of_ten(children)),
            Self::IdleTask(tasks) => ("idle task", power_of_ten(tasks)),
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

/// Takes the time of `limit.rs`.
fn limit_sampler(peer: Peer) -> Box<dyn FnMut() -> f64> {
    let mut run = limit::runner(peer.name()).expect("it has a limit");
    Box::new(move || {
        let start = Instant::now();
        run();
        start.elapsed().as_nanos() as f64 / limit::CHILDREN as f64
    })
}

/// Starts the program that counts the allocations of `limit.rs`.
fn allocation_sampler(peer: Peer) -> Box<dyn FnMut() -> f64> {
    Box::new(move || {
        let output = Command::new(env!("CARGO_BIN_EXE_counting")).arg(peer.name()).output();
        let printed = output.expect("cargo has built it").stdout;
        String::from_utf8_lossy(&printed).trim().parse().expect("it prints a number")
    })
}

/// 1, 10, 100, and then 1e3, 1e4, … Every size here is a power of ten.
fn power_of_ten(size: usize) -> String {
    if size <= 100 { size.to_string() } else { format!("1e{}", size.ilog10()) }
}
