//! The command line: what may be asked for, and what is refused before anything runs.

use std::ffi::OsString;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};
use tokio_postgres::Config;

use crate::postgres;

pub(crate) const HELP: &str = "\
Gathers many queries over a pool of a few connections to PostgreSQL, and reports how they went.

Usage: postgres_pool [OPTIONS]

Options:
      --url URL           the database: postgres://user:password@host:port/database, without TLS; a host that is the path
                          of a folder, with %2F for /, is a Unix socket there [default: postgres://postgres@localhost]
  -n, --queries N         how many queries to gather [default: 500]
  -c, --connections N     how many connections the pool may have [default: 16]
      --pause MILLIS      how long the server waits in each query [default: 5]
      --limit SECONDS     how long an answer may take, besides the pause [default: 5]
      --patience SECONDS  how long to go on while the server answers no query, besides the pause [default: 10]
      --watch             ask the server meanwhile how many backends work for the pool
  -h, --help              show this

Exit codes: 0 every query succeeded; 1 some did not, or there is no server; 2 the options cannot be used.";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) config: Config,
    pub(crate) queries: usize,
    pub(crate) connections: usize,
    pub(crate) pause: Duration,
    /// How long an answer may take.
    pub(crate) limit: Duration,
    /// How long the run goes on without an answer.
    pub(crate) patience: Duration,
    pub(crate) watch: bool,
}

impl Options {
    /// Gives None if help was asked for.
    pub(crate) fn parse(
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Result<Option<Options>, lexopt::Error> {
        let mut options = Options {
            config: "postgres://postgres@localhost".parse().expect("a valid URL"),
            queries: 500,
            connections: 16,
            pause: Duration::from_millis(5),
            limit: Duration::from_secs(5),
            patience: Duration::from_secs(10),
            watch: false,
        };
        let mut parser = Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("url") => options.config = parser.value()?.parse_with(postgres::url)?,
                Arg::Short('n') | Arg::Long("queries") => options.queries = count(&mut parser)?,
                Arg::Short('c') | Arg::Long("connections") => options.connections = count(&mut parser)?,
                Arg::Long("pause") => options.pause = seconds(&mut parser, 0.001)?,
                Arg::Long("limit") => options.limit = seconds(&mut parser, 1.0)?,
                Arg::Long("patience") => options.patience = seconds(&mut parser, 1.0)?,
                Arg::Long("watch") => options.watch = true,
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                unknown => return Err(unknown.unexpected()),
            }
        }
        options.limit = options.limit.saturating_add(options.pause);
        options.patience = options.patience.saturating_add(options.pause);
        Ok(Some(options))
    }
}

/// A whole number from 1 to a million.
fn count(parser: &mut Parser) -> Result<usize, lexopt::Error> {
    parser.value()?.parse_with(|text| match text.parse() {
        Ok(number @ 1..=1_000_000) => Ok(number),
        _ => Err("a whole number from 1 to 1000000 is needed"),
    })
}

/// A number of so many seconds each, not below 0.
fn seconds(parser: &mut Parser, unit: f64) -> Result<Duration, lexopt::Error> {
    parser.value()?.parse_with(|text| {
        let number = text.parse::<f64>().ok().map(|number| number * unit);
        number
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .ok_or("a number from 0 is needed")
    })
}
