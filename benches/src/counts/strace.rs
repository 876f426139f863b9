//! System calls, counted by strace: for the guide's page.

use std::error::Error;
use std::process::{Command, Stdio};

use crate::count::one_of;
use crate::operations::Operation;

/// The variable of the environment that asks for the real clock: the virtual one looks at the
/// sockets once more before it leaps.
pub(crate) const REAL_CLOCK: &str = "COUNTS_REAL_CLOCK";

/// How many system calls one operation makes.
pub(crate) fn calls(operation: &Operation) -> Result<f64, Box<dyn Error>> {
    let shorter = in_a_run(operation, operation.times)?;
    Ok(one_of(operation, shorter, in_a_run(operation, 2 * operation.times)?))
}

/// The system calls of a process that does `operation` so often, on all its threads.
fn in_a_run(operation: &Operation, times: u64) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("strace")
        .args(["--follow-forks", "--summary-only", "--summary-columns=calls,name", "--"])
        .arg(std::env::current_exe()?)
        .args(["--run", operation.name, &times.to_string()])
        .env(REAL_CLOCK, "1")
        .stdout(Stdio::null())
        .output()
        .map_err(|error| {
            format!("strace does not start ({error}); it is in Debian's package of that name")
        })?;
    let printed = String::from_utf8(output.stderr)?;
    let total = printed.lines().rev().find_map(|line| line.trim().strip_suffix("total")?.trim().parse().ok());
    total.ok_or_else(|| format!("strace said: {printed}").into())
}
