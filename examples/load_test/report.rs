//! What the user learns in the end.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hyper::{StatusCode, Uri};
use indicatif::{HumanBytes, HumanCount};

use crate::client::Answer;
use crate::failure::{Chain, Failure, Kind};
use crate::latency::{Latencies, Rounded};
use crate::options::Options;

/// What the requests came to. Those that the first failure ended are in neither list.
pub(crate) struct Outcome {
    pub(crate) answers: Vec<Answer>,
    /// With the index of the request.
    pub(crate) failures: Vec<(usize, Failure)>,
}

/// Displays the outcome, with what was asked for and what it took.
pub(crate) struct Report<'a> {
    pub(crate) options: &'a Options,
    pub(crate) url: &'a Uri,
    pub(crate) outcome: &'a Outcome,
    pub(crate) connections: usize,
    pub(crate) elapsed: Duration,
}

impl Report<'_> {
    pub(crate) fn all_succeeded(&self) -> bool {
        self.succeeded() == self.options.requests
    }

    fn succeeded(&self) -> usize {
        self.outcome.answers.iter().filter(|answer| is_success(answer.status)).count()
    }

    fn write_question(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server =
            if self.options.url.is_none() { " (this program's own server, on another thread)" } else { "" };
        writeln!(f, "GET {}{server}", self.url)?;
        line(f, "requests", count(self.options.requests))?;
        line(f, "at a time", count(self.options.concurrency))
    }

    fn write_counts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { answers, failures } = self.outcome;
        let unfinished = self.options.requests - answers.len() - failures.len();
        let bytes = answers.iter().map(|answer| answer.bytes).sum();
        let rate = answers.len() as f64 / self.elapsed.as_secs_f64();
        line(f, "succeeded", count(self.succeeded()))?;
        line(f, "not 2xx or 3xx", count(answers.len() - self.succeeded()))?;
        line(f, "failed", count(failures.len()))?;
        if unfinished > 0 {
            line(f, "given up", count(unfinished))?;
        }
        line(f, "connections opened", count(self.connections))?;
        line(f, "body bytes received", HumanBytes(bytes))?;
        line(f, "time", Rounded(self.elapsed))?;
        line(f, "requests/s", count(rate as usize))
    }

    fn write_statuses(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut statuses = BTreeMap::<StatusCode, usize>::new();
        self.outcome.answers.iter().for_each(|answer| *statuses.entry(answer.status).or_default() += 1);
        writeln!(f, "\nresponses by status")?;
        statuses
            .iter()
            .try_for_each(|(status, times)| line(f, format!("  {}", status.as_str()), count(*times)))
    }

    fn write_latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let latencies: Latencies = self.outcome.answers.iter().map(|answer| answer.latency).collect();
        writeln!(f, "\nlatency")?;
        line(f, "  p50", Rounded(latencies.percentile(50.0)))?;
        line(f, "  p90", Rounded(latencies.percentile(90.0)))?;
        line(f, "  p99", Rounded(latencies.percentile(99.0)))?;
        line(f, "  max", Rounded(latencies.percentile(100.0)))?;
        write!(f, "\n{latencies}")
    }

    /// Each kind with its count, and the first request that failed so, with all its causes.
    fn write_failures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds = BTreeMap::<Kind, Vec<&(usize, Failure)>>::new();
        for failed in &self.outcome.failures {
            kinds.entry(failed.1.kind()).or_default().push(failed);
        }
        writeln!(f, "\nfailures by kind")?;
        for (kind, failed) in kinds {
            let (index, first) = failed[0];
            line(f, format!("  {kind}"), count(failed.len()))?;
            writeln!(f, "    request {}: {}", count(index + 1), Chain(first))?;
        }
        Ok(())
    }
}

/// A name and its figure, in two columns.
fn line(f: &mut fmt::Formatter<'_>, name: impl fmt::Display, figure: impl fmt::Display) -> fmt::Result {
    writeln!(f, "{:<28} {:>10}", name.to_string(), figure.to_string())
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_question(f)?;
        writeln!(f)?;
        self.write_counts(f)?;
        if !self.outcome.answers.is_empty() {
            self.write_statuses(f)?;
            self.write_latencies(f)?;
        }
        if !self.outcome.failures.is_empty() {
            self.write_failures(f)?;
        }
        Ok(())
    }
}

fn is_success(status: StatusCode) -> bool {
    status.is_success() || status.is_redirection()
}

pub(crate) fn count(number: usize) -> String {
    HumanCount(number as u64).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn answer(status: u16) -> Answer {
        let status = StatusCode::from_u16(status).expect("a status");
        Answer { status, bytes: 512, latency: Duration::from_millis(2), finished: Instant::now() }
    }

    fn timeout(index: usize) -> (usize, Failure) {
        (index, Failure::TimedOut(Duration::from_secs(1)))
    }

    fn report(requests: usize, answers: Vec<Answer>, failures: Vec<(usize, Failure)>) -> (String, bool) {
        let options =
            Options::parse(["--requests", &requests.to_string()]).expect("valid").expect("not help");
        let outcome = Outcome { answers, failures };
        let (url, elapsed) = (&Uri::from_static("http://localhost/"), Duration::from_secs(2));
        let report = Report { options: &options, url, outcome: &outcome, connections: 3, elapsed };
        (report.to_string(), report.all_succeeded())
    }

    #[test]
    fn every_request_is_in_one_line() {
        let answers = [200, 301, 500].map(answer).into();
        let (text, all_succeeded) = report(2000, answers, vec![timeout(2)]);
        let figure = |name: &str| {
            let line = text.lines().find(|line| line.trim_start().starts_with(name)).expect(name);
            line.split_whitespace().last().expect("a figure").to_owned()
        };
        let names = ["succeeded", "not 2xx or 3xx", "failed", "given up", "200", "301", "500", "timeout"];
        assert_eq!(names.map(figure), ["2", "1", "1", "1,996", "1", "1", "1", "1"]);
        assert!(text.contains("request 3: no whole answer within 1s"));
        assert!(!all_succeeded);
    }

    #[test]
    fn all_succeeded_means_every_request_with_2xx_or_3xx() {
        assert!(report(2, vec![answer(200), answer(302)], vec![]).1);
        assert!(!report(2, vec![answer(200)], vec![]).1);
        assert!(!report(2, vec![answer(200)], vec![timeout(1)]).1);
        assert!(!report(2, vec![answer(200), answer(404)], vec![]).1);
    }

    #[test]
    fn without_answers_there_is_no_latency() {
        let (text, _) = report(1, vec![], vec![timeout(0)]);
        assert!(!text.contains("latency"));
    }
}
