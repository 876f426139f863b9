//! The other process of a row: started and ended by the sampling process, on a core of its own;
//! and how much CPU time and memory a process has taken.
//!
//! A process's time is read from `/proc/<pid>/task/*/schedstat`, in nanoseconds, when it is idle:
//! the system brings it up to date when a thread goes to sleep. So the measured server needs no
//! second thread that waits for questions.

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use crate::peers::Peer;

/// What a process may serve.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Service {
    /// What comes goes back.
    Echo,
    /// Each request has the same answer, whatever it says: for the clients of HTTP, by hand.
    Answers,
    /// HTTP, by hyper.
    Http,
}

impl Service {
    /// Its name as an argument.
    fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Answers => "answers",
            Self::Http => "http",
        }
    }

    /// The service with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Echo, Self::Answers, Self::Http].into_iter().find(|service| service.name() == name)
    }
}

/// Which process is to have the core that all rows are measured on. The other has another core.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Measured {
    /// The one that is started.
    Other,
    /// The one that starts it.
    This,
}

/// A process that this one has started. It ends when this is dropped, and when this process ends.
pub(crate) struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Process {
    /// Starts this program as a server, and gives it with its address.
    pub(super) fn serve(service: Service, peer: Peer, measured: Measured) -> (Self, SocketAddr) {
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        command.args(["--serve", service.name(), peer.name()]);
        Self::start_server(command, measured)
    }

    /// Starts a command that prints the port where it listens.
    pub(super) fn start_server(command: Command, measured: Measured) -> (Self, SocketAddr) {
        let mut process = Self::start(command, measured);
        let port = process.read_line().parse().expect("a server prints its port");
        (process, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// Starts a command, on the core that it is to have, and lets this process go to its own.
    pub(crate) fn start(mut command: Command, measured: Measured) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let cores = cores();
        if let Some((core, other)) = cores {
            // The child has the affinity that this process has when it starts it.
            move_to(if measured == Measured::Other { core } else { other });
        }
        let mut child = command.spawn().expect("the other process starts");
        if let Some((core, other)) = cores {
            move_to(if measured == Measured::Other { other } else { core });
        }
        let stdin = child.stdin.take().expect("it is a pipe");
        let stdout = BufReader::new(child.stdout.take().expect("it is a pipe"));
        Self { child, stdin, stdout }
    }

    /// Sends it a line.
    pub(crate) fn write_line(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").expect("the other process reads");
    }

    /// Waits for a line.
    pub(crate) fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("the other process prints lines");
        line.trim().to_owned()
    }

    /// The CPU time that all its threads have taken, in nanoseconds; while it sleeps.
    pub(super) fn cpu_time(&self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("the process is there");
        let threads = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("schedstat")).ok());
        threads.filter_map(|text| text.split(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// The memory that it has of its own, in bytes.
    pub(super) fn memory(&self) -> f64 {
        memory_of(&self.child.id().to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets this process end when the one that started it does, however that ends.
pub(super) fn end_with_parent() {
    set_parent_process_death_signal(Some(Signal::KILL)).expect("the signal exists");
}

/// The CPU time that all threads of this process have taken, in nanoseconds.
pub(super) fn own_cpu_time() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32).as_nanos() as f64
}

/// The memory that this process has of its own, in bytes.
pub(super) fn own_memory() -> f64 {
    memory_of("self")
}

/// The memory that a process has of its own, in bytes: heap and stacks, without the pages of
/// files, which are this program with all its peers and depend on what the system reads ahead. It
/// is `RssAnon`, which is in KiB.
fn memory_of(process: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process is there");
    let memory = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.strip_suffix("kB"));
    memory.and_then(|memory| memory.trim().parse::<f64>().ok()).expect("Linux says it") * 1024.0
}

/// The core to measure on, and one for the other side; `None` if this machine has but one. If this
/// process is pinned, its core is the first of the two; it may leave it, because the pin is not a
/// boundary.
fn cores() -> Option<(usize, usize)> {
    let own = sched_getaffinity(None).ok()?;
    let measured = (0..CpuSet::MAX_CPU).rev().find(|&core| own.is_set(core))?;
    let other = (0..CpuSet::MAX_CPU).filter(|&core| core != measured).find(|&core| try_to_move_to(core))?;
    move_to(measured);
    Some((measured, other))
}

/// Pins this process to a core that it was seen to have.
fn move_to(core: usize) {
    assert!(try_to_move_to(core), "core {core} is gone");
}

/// Pins this process to a core, if it may have it.
fn try_to_move_to(core: usize) -> bool {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).is_ok()
}
