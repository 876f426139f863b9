//! The command line: what may be asked for, and what is refused before anything runs.

use std::ffi::OsString;
use std::str::FromStr;

use lexopt::{Arg, Parser, ValueExt};
use tokio_postgres::Config;

use crate::postgres;

pub(crate) const HELP: &str = "\
A queue of jobs in PostgreSQL, for workers on any number of machines.

Usage: work_queue --role ROLE [OPTIONS]

Roles:
  submit   add jobs
  work     take jobs and do them, until Ctrl-C
  status   say how many jobs are in which state

Options:
      --url URL         the database: postgres://user:password@host:port/database, without TLS
                        [default: postgres://postgres@localhost]
  submit:
  -n, --jobs N          how many jobs to add [default: 1000]
      --payload TEXT    what each of them is: \"sleep MILLIS\", \"flaky\" (fails once) or \"broken\" (fails always)
                        [default: sleep 5]
      --attempts N      how often each may be tried [default: 5]
  work:
  -c, --concurrency N   how many jobs at once [default: 16]
      --lease SECONDS   for how long a job is a worker's own, if it does not extend that [default: 30]
      --pause SECONDS   how long a job waits after its first failed attempt; then twice as long [default: 1]
      --until-empty     end when every job is done or dead
  -h, --help            show this

Exit codes: 0 it did what it should; 1 there is no server, or it refused; 2 the options cannot be used.";

#[derive(Debug, Clone, Copy)]
pub(crate) enum Role {
    Submit,
    Work,
    Status,
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) role: Role,
    pub(crate) config: Config,
    pub(crate) jobs: u32,
    pub(crate) payload: String,
    pub(crate) attempts: i32,
    pub(crate) concurrency: usize,
    /// In seconds, as the server wants it.
    pub(crate) lease: f64,
    /// In seconds.
    pub(crate) pause: f64,
    pub(crate) until_empty: bool,
}

impl Options {
    /// Gives None if help was asked for.
    pub(crate) fn parse(
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Result<Option<Options>, lexopt::Error> {
        let mut role = None;
        let mut options = Options {
            role: Role::Status,
            config: "postgres://postgres@localhost".parse().expect("a valid URL"),
            jobs: 1000,
            payload: "sleep 5".into(),
            attempts: 5,
            concurrency: 16,
            lease: 30.0,
            pause: 1.0,
            until_empty: false,
        };
        let mut parser = Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("role") => role = Some(parser.value()?.parse_with(self::role)?),
                Arg::Long("url") => options.config = parser.value()?.parse_with(postgres::url)?,
                Arg::Short('n') | Arg::Long("jobs") => options.jobs = number(&mut parser, 1, 10_000_000)?,
                Arg::Long("payload") => options.payload = parser.value()?.string()?,
                Arg::Long("attempts") => options.attempts = number(&mut parser, 1, 1_000_000)?,
                Arg::Short('c') | Arg::Long("concurrency") => {
                    options.concurrency = number(&mut parser, 1, 10_000)?
                }
                Arg::Long("lease") => options.lease = number(&mut parser, 0.1, 1e6)?,
                Arg::Long("pause") => options.pause = number(&mut parser, 0.0, 1e6)?,
                Arg::Long("until-empty") => options.until_empty = true,
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                unknown => return Err(unknown.unexpected()),
            }
        }
        options.role = role.ok_or("--role is needed")?;
        Ok(Some(options))
    }
}

fn role(text: &str) -> Result<Role, &'static str> {
    match text {
        "submit" => Ok(Role::Submit),
        "work" => Ok(Role::Work),
        "status" => Ok(Role::Status),
        _ => Err("a role is submit, work or status"),
    }
}

/// A number from `min` to `max`.
fn number<N: FromStr + PartialOrd + std::fmt::Display>(
    parser: &mut Parser,
    min: N,
    max: N,
) -> Result<N, lexopt::Error> {
    let number = |text: &str| match text.parse() {
        Ok(number) if min <= number && number <= max => Ok(number),
        _ => Err(format!("a number from {min} to {max} is needed")),
    };
    parser.value()?.parse_with(number)
}
