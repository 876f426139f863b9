//! What the user learns in the end.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use indicatif::HumanCount;

use crate::latency::{Latencies, Rounded};
use crate::postgres::failure::{Failure, io_error};

pub(crate) struct Report {
    /// Of the server.
    pub(crate) version: String,
    pub(crate) connections: usize,
    pub(crate) queries: usize,
    /// One for each query that succeeded, in input order.
    pub(crate) latencies: Vec<Duration>,
    pub(crate) opened: usize,
    /// How many connections fewer than it asked for the server has allowed.
    pub(crate) refused: usize,
    /// None if nobody has watched.
    pub(crate) backends: Option<i64>,
    pub(crate) elapsed: Duration,
    /// What went wrong and was tried again.
    pub(crate) tried_again: Kinds,
    /// What became of the queries that did not succeed.
    pub(crate) failures: Kinds,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let succeeded = self.latencies.len();
        let Report { queries, connections, version, .. } = self;
        writeln!(f, "{} queries over {connections} connections to PostgreSQL {version}\n", count(*queries))?;
        line(f, "succeeded", count(succeeded))?;
        line(f, "failed", count(queries - succeeded))?;
        line(f, "connections opened", count(self.opened))?;
        if self.refused > 0 {
            line(f, "connections refused", count(self.refused))?;
        }
        if let Some(backends) = self.backends {
            line(f, "backends at most", backends)?;
        }
        line(f, "time", Rounded(self.elapsed))?;
        line(f, "queries/s", count((succeeded as f64 / self.elapsed.as_secs_f64()) as usize))?;
        if succeeded > 0 {
            let latencies: Latencies = self.latencies.iter().copied().collect();
            writeln!(f, "\nlatency of a query")?;
            line(f, "  p50", Rounded(latencies.percentile(50.0)))?;
            line(f, "  p99", Rounded(latencies.percentile(99.0)))?;
            line(f, "  max", Rounded(latencies.percentile(100.0)))?;
            write!(f, "\n{latencies}")?;
        }
        write!(f, "{}", self.tried_again.under("tried again, by kind of failure"))?;
        write!(f, "{}", self.failures.under("failures by kind"))
    }
}

/// Failures, counted by kind.
#[derive(Default)]
pub(crate) struct Kinds(BTreeMap<String, usize>);

impl Kinds {
    pub(crate) fn add(&mut self, failure: &Failure) {
        *self.0.entry(kind(failure)).or_default() += 1;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A table under a title; nothing if there are none.
    fn under(&self, title: &str) -> String {
        let rows = self.0.iter().map(|(kind, times)| format!("  {kind} {}\n", count(*times)));
        if self.is_empty() { String::new() } else { format!("\n{title}\n{}", rows.collect::<String>()) }
    }
}

/// What failures are counted by: the words of the server with their code, or those of the system.
fn kind(failure: &Failure) -> String {
    match failure {
        Failure::Connect(_, error) => format!("cannot connect: {}", error.kind()),
        Failure::Postgres(error) => match (error.as_db_error(), io_error(error)) {
            (Some(said), _) => format!("{} ({})", said.message(), said.code().code()),
            (None, Some(error)) => format!("connection lost: {}", error.kind()),
            (None, None) => error.to_string(),
        },
        Failure::Silent(_) => failure.to_string(),
    }
}

/// A name and its figure, in two columns.
fn line(f: &mut fmt::Formatter<'_>, name: &str, figure: impl fmt::Display) -> fmt::Result {
    writeln!(f, "{name:<28} {:>10}", figure.to_string())
}

fn count(number: usize) -> String {
    HumanCount(number as u64).to_string()
}
