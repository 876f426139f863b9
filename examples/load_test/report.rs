//! What the user learns in the end.

use std::fmt;
use std::time::Duration;

use hyper::Uri;
use indicatif::{HumanBytes, HumanCount};

use crate::client::Client;
use crate::failure::{Chain, Kind};
use crate::latency::Rounded;
use crate::options::Options;
use crate::tally::{Failures, Tally};

/// Displays what became of the requests, with what was asked for and what it took.
pub(crate) struct Report<'a> {
    pub(crate) options: &'a Options,
    pub(crate) url: &'a Uri,
    pub(crate) tally: &'a Tally,
    pub(crate) client: &'a Client,
    pub(crate) elapsed: Duration,
}

impl Report<'_> {
    pub(crate) fn all_succeeded(&self) -> bool {
        self.tally.succeeded() == self.options.requests
    }

    /// What the chart is of, in two lines.
    pub(crate) fn title(&self) -> [String; 2] {
        let Options { requests, concurrency, .. } = self.options;
        let url = self.url.to_string();
        let cut = if url.chars().count() > 100 { "…" } else { "" };
        let of = format!("{} requests, {} at a time", count(*requests), count(*concurrency));
        let (succeeded, failed) = (self.tally.succeeded(), self.tally.failed());
        let others = count(self.tally.answered() - succeeded);
        let ends = format!(
            "{} with 2xx or 3xx, {others} with another status, {} failed",
            count(succeeded),
            count(failed)
        );
        [format!("GET {url:.100}{cut}"), format!("{of}: {ends}")]
    }

    fn write_question(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server =
            if self.options.url.is_none() { " (this program's own server, on another thread)" } else { "" };
        writeln!(f, "GET {}{server}", self.url)?;
        line(f, "requests", count(self.options.requests))?;
        line(f, "at a time", count(self.options.concurrency))
    }

    fn write_counts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (answered, failed) = (self.tally.answered(), self.tally.failed());
        let unfinished = self.options.requests - answered - failed;
        let rate = answered as f64 / self.elapsed.as_secs_f64();
        line(f, "succeeded", count(self.tally.succeeded()))?;
        line(f, "not 2xx or 3xx", count(answered - self.tally.succeeded()))?;
        line(f, "failed", count(failed))?;
        if unfinished > 0 {
            line(f, "given up", count(unfinished))?;
        }
        if self.options.retry_closed {
            line(f, "sent once more", count(self.client.retried()))?;
        }
        line(f, "connections opened", count(self.client.connections_opened()))?;
        line(f, "body bytes received", HumanBytes(self.client.bytes_received()))?;
        line(f, "time", Rounded(self.elapsed))?;
        line(f, "requests/s", count(rate as usize))
    }

    fn write_statuses(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nresponses by status")?;
        let mut statuses = self.tally.statuses.iter();
        statuses.try_for_each(|(status, times)| line(f, format!("  {}", status.as_str()), count(*times)))
    }

    fn write_latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let latencies = &self.tally.latencies;
        let of = match (self.tally.answered(), self.tally.timed_out()) {
            (answers, 0) => format!("{} answers", count(answers)),
            (answers, timeouts) => {
                format!("{} answers and {} timeouts, at the time they took", count(answers), count(timeouts))
            }
        };
        writeln!(f, "\nlatency of {of}")?;
        line(f, "  p50", Rounded(latencies.percentile(50.0)))?;
        line(f, "  p90", Rounded(latencies.percentile(90.0)))?;
        line(f, "  p99", Rounded(latencies.percentile(99.0)))?;
        line(f, "  max", Rounded(latencies.percentile(100.0)))?;
        write!(f, "\n{latencies}")
    }

    /// Each kind with its count, and the first request that failed so, with all its causes.
    fn write_failures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nfailures by kind")?;
        for (kind, Failures { count: times, first: (index, failure) }) in &self.tally.failures {
            line(f, format!("  {:.26}", kind.to_string()), count(*times))?;
            writeln!(f, "    request {}: {}", count(index + 1), Chain(failure))?;
            if *kind == Kind::NoDescriptors {
                writeln!(f, "    `ulimit -n` allows more of them; -c takes fewer")?;
            }
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
        if self.tally.answered() > 0 {
            self.write_statuses(f)?;
        }
        if self.tally.answered() + self.tally.timed_out() > 0 {
            self.write_latencies(f)?;
        }
        if self.tally.failed() > 0 {
            self.write_failures(f)?;
        }
        Ok(())
    }
}

pub(crate) fn count(number: usize) -> String {
    HumanCount(number as u64).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Answer;
    use crate::failure::{Cause, Failure};
    use hyper::StatusCode;

    fn answer(status: u16) -> Result<Answer, Failure> {
        let status = StatusCode::from_u16(status).expect("a status");
        Ok(Answer { status, latency: Duration::from_millis(2) })
    }

    fn timeout() -> Result<Answer, Failure> {
        let second = Duration::from_secs(1);
        Err(Failure { cause: Cause::TimedOut(second), latency: second })
    }

    fn report(requests: usize, ended: impl IntoIterator<Item = Result<Answer, Failure>>) -> (String, bool) {
        let options =
            Options::parse(["--requests", &requests.to_string()]).expect("valid").expect("not help");
        let mut tally = Tally::new(false);
        ended.into_iter().enumerate().for_each(|(index, ended)| tally.add(index, ended));
        let url = Uri::from_static("http://localhost/");
        let client = Client::new(url.clone(), &options);
        let elapsed = Duration::from_secs(2);
        let report = Report { options: &options, url: &url, tally: &tally, client: &client, elapsed };
        (report.to_string(), report.all_succeeded())
    }

    #[test]
    fn every_request_is_in_one_line() {
        let (text, all_succeeded) = report(2000, [answer(200), answer(301), answer(500), timeout()]);
        let figure = |name: &str| {
            let line = text.lines().find(|line| line.trim_start().starts_with(name)).expect(name);
            line.split_whitespace().last().expect("a figure").to_owned()
        };
        let names = ["succeeded", "not 2xx or 3xx", "failed", "given up", "200", "301", "500", "timeout"];
        assert_eq!(names.map(figure), ["2", "1", "1", "1,996", "1", "1", "1", "1"]);
        assert!(text.contains("request 4: no whole answer within 1s"));
        assert!(!all_succeeded);
    }

    #[test]
    fn all_succeeded_means_every_request_with_2xx_or_3xx() {
        assert!(report(2, [answer(200), answer(302)]).1);
        assert!(!report(2, [answer(200)]).1);
        assert!(!report(2, [answer(200), timeout()]).1);
        assert!(!report(2, [answer(200), answer(404)]).1);
    }

    #[test]
    fn without_answers_and_timeouts_there_is_no_latency() {
        assert!(!report(1, []).0.contains("latency"));
        assert!(report(1, [timeout()]).0.contains("latency of 0 answers and 1 timeouts"));
    }
}
