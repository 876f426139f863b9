//! asyncio, uvloop and Node, by script: `scripts/gather.py` and `gather.js`, and for the network
//! `echo.py` and `echo.js`.
//!
//! The work: that of the Rust rows of the same names, as a user of `asyncio.gather` or
//! `Promise.all` writes it. A child is an async function; to yield is `asyncio.sleep(0)` or
//! `await null`. They do less of it in a sample, because they take longer for each: ten thousand
//! children yield 20 times. A million children, which would take Python minutes, they are not
//! asked for.
//!
//! Why it is fair: each is a process of its own on the core of all others, warmed up by one
//! sample, and says itself how much processor time its work took: starting an interpreter is not
//! in it.
//!
//! uvloop is installed from PyPI by a full run, in the environment `target/uvloop`.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::machine::first_line;
use crate::net::process::{Measured, Process};
use crate::peers::Peer;

/// Where that environment has its Python.
const PYTHON_WITH_UVLOOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/uvloop/bin/python3");

/// What runs a script of this peer, with these arguments. `script` is a name in `scripts/`,
/// without its end.
pub(crate) fn command(peer: Peer, script: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program(peer));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts");
    if peer == Peer::Node {
        command.arg(format!("{path}/{script}.js"));
    } else {
        command.arg(format!("{path}/{script}.py")).arg(peer.name());
    }
    command.args(arguments);
    command
}

/// The closure that takes one sample of a row without sockets.
pub(crate) fn sampler(peer: Peer, work: &str, size: usize) -> Box<dyn FnMut() -> f64> {
    let command = command(peer, "gather", &[work, &size.to_string()]);
    let mut script = Process::start(command, Measured::Other);
    Box::new(move || {
        script.write_line("");
        script.read_line().parse().expect("it prints a figure")
    })
}

/// Makes the environment that has uvloop, unless it is there. Where it cannot be made, uvloop is
/// left out.
pub(crate) fn install_uvloop() {
    let environment = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/uvloop");
    let succeeds = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let _ = succeeds(PYTHON_WITH_UVLOOP, &["-c", "import uvloop"])
        || succeeds("python3", &["-m", "venv", environment])
            && succeeds(PYTHON_WITH_UVLOOP, &["-m", "pip", "install", "uvloop"]);
}

/// Whether what runs it is installed. If not, says so, once.
pub(crate) fn is_there(peer: Peer) -> bool {
    static ASYNCIO: OnceLock<bool> = OnceLock::new();
    static UVLOOP: OnceLock<bool> = OnceLock::new();
    static NODE: OnceLock<bool> = OnceLock::new();
    let (is_there, test) = match peer {
        Peer::Asyncio => (&ASYNCIO, ["-c", "import asyncio"]),
        Peer::Uvloop => (&UVLOOP, ["-c", "import uvloop"]),
        _ => (&NODE, ["-e", "0"]),
    };
    *is_there.get_or_init(|| {
        let mut command = Command::new(program(peer));
        command.args(test).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let succeeds = command.status().is_ok_and(|status| status.success());
        if !succeeds {
            eprintln!("{} is not installed: its rows are left out", peer.name());
        }
        succeeds
    })
}

/// The versions of those that are installed.
pub(crate) fn versions() -> impl Iterator<Item = String> {
    let print = |program: &str, arguments: &[&str]| first_line(Command::new(program).args(arguments));
    let uvloop = "import uvloop; print('uvloop', uvloop.__version__)";
    [
        print(program(Peer::Asyncio), &["--version"]),
        print(program(Peer::Uvloop), &["-c", uvloop]),
        print(program(Peer::Node), &["-p", "'Node ' + process.version"]),
    ]
    .into_iter()
    .flatten()
}

/// The interpreter.
fn program(peer: Peer) -> &'static str {
    match peer {
        Peer::Node => "node",
        Peer::Uvloop if std::path::Path::new(PYTHON_WITH_UVLOOP).exists() => PYTHON_WITH_UVLOOP,
        _ => "python3",
    }
}
