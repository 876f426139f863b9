//! asyncio, uvloop and Node, by script: `scripts/echo.py` and `scripts/echo.js`.
//!
//! uvloop is looked for in the environment `target/uvloop`, too: `python3 -m venv target/uvloop`, and
//! `target/uvloop/bin/pip install uvloop`, make it.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::peers::Contender;

/// Where that environment has its Python.
const PYTHON_WITH_UVLOOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/uvloop/bin/python3");

/// What runs a script of this contender, with these arguments.
pub(in crate::net) fn command(contender: Contender, arguments: &[&str]) -> Command {
    let mut command = Command::new(program(contender));
    if contender == Contender::Node {
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/echo.js"));
    } else {
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/echo.py")).arg(contender.name());
    }
    command.args(arguments);
    command
}

/// Whether what runs it is installed. If not, says so, once.
pub(in crate::net) fn is_there(contender: Contender) -> bool {
    static ASYNCIO: OnceLock<bool> = OnceLock::new();
    static UVLOOP: OnceLock<bool> = OnceLock::new();
    static NODE: OnceLock<bool> = OnceLock::new();
    let (is_there, test) = match contender {
        Contender::Asyncio => (&ASYNCIO, ["-c", "import asyncio"]),
        Contender::Uvloop => (&UVLOOP, ["-c", "import uvloop"]),
        _ => (&NODE, ["-e", "0"]),
    };
    *is_there.get_or_init(|| {
        let mut command = Command::new(program(contender));
        command.args(test).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let succeeds = command.status().is_ok_and(|status| status.success());
        if !succeeds {
            eprintln!("{} is not installed: its rows are left out", contender.name());
        }
        succeeds
    })
}

/// The interpreter.
fn program(contender: Contender) -> &'static str {
    match contender {
        Contender::Node => "node",
        Contender::Uvloop if std::path::Path::new(PYTHON_WITH_UVLOOP).exists() => PYTHON_WITH_UVLOOP,
        _ => "python3",
    }
}
