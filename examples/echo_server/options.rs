//! The options of the two servers that send back what they get, over TCP and over UDP.

use std::error::Error;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use lexopt::{Arg, Parser};

use crate::start;

pub(crate) struct Options {
    pub(crate) listen: SocketAddr,
    /// The number of clients, if it is to test itself.
    pub(crate) self_test: Option<NonZeroUsize>,
}

fn read(parser: &mut Parser) -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options { listen: SocketAddr::from(([127, 0, 0, 1], 0)), self_test: None };
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("listen") => options.listen = start::value(parser)?,
            Arg::Long("self-test") => options.self_test = Some(start::count(parser, usize::MAX)?),
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            unknown => return Err(unknown.unexpected()),
        }
    }
    Ok(Some(options))
}

fn help(name: &str, protocol: &str) -> String {
    format!(
        "\
Sends back what it gets over {protocol}.

Usage: {name} [OPTIONS]

Options:
      --listen ADDRESS  where to listen, as IP:PORT; port 0 takes a free one [default: 127.0.0.1:0]
      --self-test N     let N clients check the server, instead of serving until killed
  -h, --help            show this

Exit codes: 0 the self-test passed, 1 it did not or the address cannot be had, 2 the options cannot be used."
    )
}

/// Runs the program `name` with the options that it was started with.
pub(crate) fn start(
    name: &str,
    protocol: &str,
    program: impl FnOnce(Options) -> Result<(), Box<dyn Error>>,
) -> ExitCode {
    start::start(name, &help(name, protocol), read, program)
}
