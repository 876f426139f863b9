//! The command line: what may be asked for, and what is refused before anything runs.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use hyper::http::uri::Authority;
use lexopt::{Arg, Parser, ValueExt};

pub(crate) const HELP: &str = "\
Sends many GET requests over HTTP/1.1, a limited number at a time, and reports how they went.

Usage: load_test [OPTIONS]

Options:
      --url URL          where to send the requests (http only);
                         without it the program starts a server of its own on the loopback interface
  -n, --requests N       how many requests to send [default: 10000]
  -c, --concurrency N    how many at once, and so over how many connections at most [default: 64]
  -t, --timeout SECONDS  how long one request may take, to the end of its body [default: 10]
      --capture          go on after a failure, and count the failures by kind;
                         without it the first failure ends the run at once
      --retry-closed     send a request once more if the server closes the kept connection over
                         which it was sent before it answers: it may not have seen the request;
                         without it the request has failed, and is counted in a kind of its own
                         (wrk does not send it again either)
      --chart FILE.svg   write a chart of the run, unless it is interrupted
      --progress         show how far the run is where stderr is no terminal, too:
                         a line for each tenth
      --dump SECONDS     show what the client is doing after so long: its tasks, the gather and its children
  -h, --help             show this

A request fails when it gets no whole answer: refused, reset, timed out. An answer is an answer whatever its
status: one that is neither 2xx nor 3xx does not end the run, is counted apart, and makes the exit code 1.
Redirections are not followed.

Ctrl-C ends the run with a report of what was done; again, at once.

Exit codes: 0 every request was answered with 2xx or 3xx; 1 some were not; 2 the options cannot be used;
130 the run was interrupted.";

#[derive(Debug)]
pub(crate) struct Options {
    /// None: the program's own server.
    pub(crate) url: Option<Uri>,
    pub(crate) requests: usize,
    pub(crate) concurrency: usize,
    pub(crate) timeout: Duration,
    pub(crate) capture: bool,
    pub(crate) retry_closed: bool,
    pub(crate) chart: Option<PathBuf>,
    pub(crate) progress: bool,
    pub(crate) dump: Option<Duration>,
}

impl Options {
    /// Gives None if help was asked for.
    pub(crate) fn parse(
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Result<Option<Options>, lexopt::Error> {
        let mut options = Options {
            url: None,
            requests: 10_000,
            concurrency: 64,
            timeout: Duration::from_secs(10),
            capture: false,
            retry_closed: false,
            chart: None,
            progress: false,
            dump: None,
        };
        let mut parser = Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("url") => options.url = Some(parser.value()?.parse_with(url)?),
                Arg::Short('n') | Arg::Long("requests") => {
                    options.requests = count(&mut parser, "--requests")?
                }
                Arg::Short('c') | Arg::Long("concurrency") => {
                    options.concurrency = count(&mut parser, "--concurrency")?
                }
                Arg::Short('t') | Arg::Long("timeout") => {
                    options.timeout = seconds(&mut parser, "--timeout")?
                }
                Arg::Long("capture") => options.capture = true,
                Arg::Long("retry-closed") => options.retry_closed = true,
                Arg::Long("chart") => options.chart = Some(parser.value()?.into()),
                Arg::Long("progress") => options.progress = true,
                Arg::Long("dump") => options.dump = Some(seconds(&mut parser, "--dump")?),
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                unknown => return Err(unknown.unexpected()),
            }
        }
        Ok(Some(options))
    }
}

/// A whole number of at least 1.
fn count(parser: &mut Parser, option: &str) -> Result<usize, lexopt::Error> {
    let value = parser.value()?;
    let number = value.to_str().and_then(|text| text.parse::<NonZeroUsize>().ok());
    number.map(NonZeroUsize::get).ok_or_else(|| refuse(option, "a whole number of at least 1", &value))
}

/// A time of more than nothing.
fn seconds(parser: &mut Parser, option: &str) -> Result<Duration, lexopt::Error> {
    let value = parser.value()?;
    let number = value.to_str().and_then(|text| text.parse::<f64>().ok());
    number
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| refuse(option, "a number of seconds above 0", &value))
}

/// An absolute URL that this program can fetch.
fn url(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("https"), _) => Err("only http is spoken here, not https".into()),
        (Some("http"), Some(server)) if server.as_str().contains('@') => {
            Err("credentials in a URL are not sent".into())
        }
        (Some("http"), Some(server)) if is_complete(server) => Ok(uri),
        _ => Err("a URL looks like http://host:port/path".into()),
    }
}

/// Whether there is a host, and a port that is one, if any. (`Uri` reads "host:99999" as a host
/// without a port.)
fn is_complete(server: &Authority) -> bool {
    let host = server.host();
    !host.is_empty() && (server.port().is_some() || server.as_str().ends_with(host))
}

fn refuse(option: &str, expected: &str, value: &OsString) -> lexopt::Error {
    format!("{option} takes {expected}, not {value:?}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(arguments: &[&str]) -> String {
        Options::parse(arguments).expect_err("these must be refused").to_string()
    }

    #[test]
    fn every_option_is_read() {
        let line = [
            "--url",
            "http://[::1]:8080/a?b",
            "-n",
            "5",
            "-c=2",
            "--timeout",
            "0.25",
            "--capture",
            "--chart=x.svg",
            "--progress",
            "--retry-closed",
            "--dump=1.5",
        ];
        let options = Options::parse(line).expect("valid").expect("not help");
        assert_eq!(options.url, Some(Uri::from_static("http://[::1]:8080/a?b")));
        assert_eq!((options.requests, options.concurrency), (5, 2));
        assert_eq!(options.timeout, Duration::from_millis(250));
        assert!(options.capture && options.progress && options.retry_closed);
        assert_eq!(options.chart, Some("x.svg".into()));
        assert_eq!(options.dump, Some(Duration::from_millis(1500)));
    }

    #[test]
    fn zero_is_refused() {
        assert_eq!(refusal(&["--requests", "0"]), "--requests takes a whole number of at least 1, not \"0\"");
        assert_eq!(
            refusal(&["--concurrency=0"]),
            "--concurrency takes a whole number of at least 1, not \"0\""
        );
        assert_eq!(refusal(&["--timeout", "0"]), "--timeout takes a number of seconds above 0, not \"0\"");
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for value in ["", "x", "-1", "1.5", "1e3", "99999999999999999999999"] {
            assert!(refusal(&["--requests", value]).starts_with("--requests takes"), "{value}");
        }
        for value in ["", "x", "-1", "nan", "inf", "1e300"] {
            assert!(refusal(&["--timeout", value]).starts_with("--timeout takes"), "{value}");
        }
    }

    #[test]
    fn a_url_that_cannot_be_fetched_is_refused() {
        assert!(refusal(&["--url", "https://localhost/"]).contains("only http"));
        for url in [
            "localhost:80",
            "/path",
            "ftp://host/",
            "http://",
            "http:///path",
            "http://host:99999/",
            "a b",
            "",
        ] {
            refusal(&["--url", url]);
        }
    }

    #[test]
    fn credentials_in_a_url_are_refused() {
        for url in ["http://user:secret@host/", "http://user@host:80/"] {
            assert!(refusal(&["--url", url]).contains("credentials in a URL are not sent"), "{url}");
        }
    }

    #[test]
    fn an_unknown_option_is_refused() {
        assert_eq!(refusal(&["--conc", "3"]), "invalid option '--conc'");
        assert!(refusal(&["http://localhost/"]).contains("unexpected argument"));
        assert!(refusal(&["--url"]).contains("missing argument"));
    }
}
