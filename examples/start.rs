//! How the programs of several files start and end: their options, `--help`, and the exit code.

use std::error::Error;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use gather_examples::{complain, say};
use lexopt::{Arg, Parser, ValueExt};

/// Runs the program `name`. `read` reads the options, and gives None if help was asked for.
///
/// Exit codes: 0 it did what it should, 1 it did not, 2 the options cannot be used.
#[allow(dead_code, reason = "a program that ends in other ways takes only `chosen`")]
pub(crate) fn start<O>(
    name: &str,
    help: &str,
    read: impl FnOnce(&mut Parser) -> Result<Option<O>, lexopt::Error>,
    program: impl FnOnce(O) -> Result<(), Box<dyn Error>>,
) -> ExitCode {
    let options = match chosen(name, help, read(&mut Parser::from_env())) {
        Ok(options) => options,
        Err(code) => return code,
    };
    match program(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the program `name`, which has no options but `--help`. `does` says in a line what it does.
#[allow(dead_code, reason = "most programs have options")]
pub(crate) fn start_without_options(
    name: &str,
    does: &str,
    program: impl FnOnce() -> Result<(), Box<dyn Error>>,
) -> ExitCode {
    let help = format!("{does}\n\nUsage: {name} [OPTIONS]\n\nOptions:\n  -h, --help  show this");
    let read = |parser: &mut Parser| match parser.next()? {
        None => Ok(Some(())),
        Some(Arg::Short('h') | Arg::Long("help")) => Ok(None),
        Some(other) => Err(other.unexpected()),
    };
    start(name, &help, read, |()| program())
}

/// The options of the program `name`; or its exit code, if they cannot be used, or help was asked
/// for.
pub(crate) fn chosen<O>(
    name: &str,
    help: &str,
    read: Result<Option<O>, lexopt::Error>,
) -> Result<O, ExitCode> {
    match read {
        Ok(Some(options)) => Ok(options),
        Ok(None) => {
            say!("{help}");
            Err(ExitCode::SUCCESS)
        }
        Err(error) => {
            complain!("{name}: {error} (see --help)");
            Err(ExitCode::from(2))
        }
    }
}

/// The value of the option that was just read.
#[allow(dead_code, reason = "not each program has such an option")]
pub(crate) fn value<T: FromStr<Err: Into<Box<dyn Error + Send + Sync>>>>(
    parser: &mut Parser,
) -> Result<T, lexopt::Error> {
    parser.value()?.parse()
}

/// Likewise: how many of something there are to be, at most `max`.
#[allow(dead_code, reason = "likewise")]
pub(crate) fn count(parser: &mut Parser, max: usize) -> Result<NonZeroUsize, lexopt::Error> {
    let parse = |text: &str| match text.parse::<NonZeroUsize>() {
        Ok(number) if number.get() <= max => Ok(number),
        _ if max == usize::MAX => Err("a whole number of at least 1 is wanted".to_owned()),
        _ => Err(format!("a whole number from 1 to {max} is wanted")),
    };
    parser.value()?.parse_with(parse)
}

/// More threads with a runtime each than any machine has cores for, and fewer than there are
/// runtimes to have.
#[allow(dead_code, reason = "likewise")]
pub(crate) const MAX_CORES: usize = 512;

/// Likewise: a time above nothing.
#[allow(dead_code, reason = "likewise")]
pub(crate) fn seconds(parser: &mut Parser) -> Result<Duration, lexopt::Error> {
    let parse = |text: &str| match text.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok()) {
        Some(time) if !time.is_zero() => Ok(time),
        _ => Err("a number of seconds above 0 is wanted"),
    };
    parser.value()?.parse_with(parse)
}
