//! What became of the requests, counted as they end: so a million of them take no more memory than
//! a thousand.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hyper::StatusCode;

use crate::client::Answer;
use crate::failure::{Failure, Kind};
use crate::latency::Latencies;

/// Requests that the end of the run gave up are not in it.
pub(crate) struct Tally {
    started: Instant,
    pub(crate) statuses: BTreeMap<StatusCode, usize>,
    pub(crate) failures: BTreeMap<Kind, Failures>,
    /// Of answers and of requests that timed out.
    pub(crate) latencies: Latencies,
    /// For the chart, if there is to be one: this does grow with the requests.
    pub(crate) points: Option<Vec<Point>>,
}

/// The failures of one kind.
pub(crate) struct Failures {
    pub(crate) count: usize,
    /// With the index of its request.
    pub(crate) first: (usize, Failure),
}

/// A request in the chart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    /// When it ended, since the start of the run.
    pub(crate) at: Duration,
    pub(crate) latency: Duration,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Succeeded,
    OtherStatus,
    TimedOut,
    Failed,
}

impl Tally {
    /// The run starts now.
    pub(crate) fn new(has_chart: bool) -> Tally {
        Tally {
            started: Instant::now(),
            statuses: BTreeMap::new(),
            failures: BTreeMap::new(),
            latencies: Latencies::default(),
            points: has_chart.then(Vec::new),
        }
    }

    /// Counts a request that has ended.
    pub(crate) fn add(&mut self, index: usize, ended: Result<Answer, Failure>) {
        let (latency, outcome) = match ended {
            Ok(Answer { status, latency }) => {
                *self.statuses.entry(status).or_default() += 1;
                (latency, if is_success(status) { Outcome::Succeeded } else { Outcome::OtherStatus })
            }
            Err(failure) => {
                let (kind, latency) = (failure.kind(), failure.latency);
                let outcome = if kind == Kind::TimedOut { Outcome::TimedOut } else { Outcome::Failed };
                let failures = self.failures.entry(kind);
                failures.or_insert(Failures { count: 0, first: (index, failure) }).count += 1;
                (latency, outcome)
            }
        };
        // Without those that timed out, the slowest requests would be missing.
        if outcome != Outcome::Failed {
            self.latencies.record(latency);
        }
        if let Some(points) = &mut self.points {
            points.push(Point { at: self.started.elapsed(), latency, outcome });
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn answered(&self) -> usize {
        self.statuses.values().sum()
    }

    pub(crate) fn succeeded(&self) -> usize {
        self.statuses.iter().filter(|(status, _)| is_success(**status)).map(|(_, count)| count).sum()
    }

    pub(crate) fn failed(&self) -> usize {
        self.failures.values().map(|failures| failures.count).sum()
    }

    pub(crate) fn timed_out(&self) -> usize {
        self.failures.get(&Kind::TimedOut).map_or(0, |failures| failures.count)
    }
}

fn is_success(status: StatusCode) -> bool {
    status.is_success() || status.is_redirection()
}
