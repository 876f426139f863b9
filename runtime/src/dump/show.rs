//! A dump for people.
//!
//! Next: [`stall`](crate::stall), who asks for a dump.

use std::fmt;
use std::time::Duration;

use super::{Dump, Node, NodeKind, State, Status};

/// Deeper nodes are not indented more.
const MOST_INDENTED: usize = 40;

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Status::Taken => {}
            Status::NoRuntime => return f.write_str("run: there is no runtime"),
            Status::NoAnswer => return f.write_str("run: its loop has not come round for a second"),
        }
        let metrics = &self.metrics;
        let counts = [
            (metrics.tasks_alive(), "task"),
            (metrics.groups_alive(), "gather"),
            (metrics.timers_pending(), "timer"),
            (metrics.sockets_registered(), "socket"),
        ];
        f.write_str("run:")?;
        for (position, (count, what)) in counts.into_iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            write!(f, "{comma} {count} {what}{}", if count == 1 { "" } else { "s" })?;
        }
        self.nodes.iter().try_for_each(|node| write!(f, "\n{node}"))
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let idle = Time(self.idle);
        write!(f, "{:width$}", "", width = 2 * (1 + self.depth.min(MOST_INDENTED)))?;
        match &self.kind {
            NodeKind::Main => f.write_str("main")?,
            NodeKind::Task { id, name: None, spawned_at } => write!(f, "task {id} ({spawned_at})")?,
            NodeKind::Task { name: Some(name), spawned_at, .. } => write!(f, "task {name:?} ({spawned_at})")?,
            NodeKind::Group { kind, name, made_at, waiting, ready, done } => {
                match name {
                    Some(name) => write!(f, "{kind} {name:?}")?,
                    None => write!(f, "{kind} ({made_at})")?,
                }
                let polls = Times(self.polls.unwrap_or(0));
                return write!(
                    f,
                    ": {waiting} waiting, {ready} ready, {done} done, polled {polls}, last {idle} ago"
                );
            }
            NodeKind::Child { index } => write!(f, "#{index}")?,
            NodeKind::More { count } => return write!(f, "… and {count} more"),
        }
        match self.state {
            State::Waiting => write!(f, ": waiting for {idle}")?,
            State::Ready => write!(f, ": ready, not polled for {idle}")?,
            State::Running => f.write_str(": running")?,
            State::Finished => f.write_str(": finished, its output not taken")?,
        }
        match self.polls {
            Some(polls) => write!(f, ", polled {}", Times(polls)),
            None => Ok(()),
        }
    }
}

/// How often.
struct Times(u64);

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("never"),
            1 => f.write_str("once"),
            times => write!(f, "{times} times"),
        }
    }
}

/// A time, with two or three digits that matter.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0 => write!(f, "{} ms", self.0.as_millis()),
            1..60 => write!(f, "{:.1} s", self.0.as_secs_f64()),
            60..3600 => write!(f, "{} min {} s", seconds / 60, seconds % 60),
            3600..86_400 => write!(f, "{} h {} min", seconds / 3600, seconds / 60 % 60),
            _ => write!(f, "{} d {} h", seconds / 86_400, seconds / 3600 % 24),
        }
    }
}
