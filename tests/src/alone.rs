//! Tests in a process of their own: those that count what the whole process has (descriptors),
//! that set its limits, or that would kill it if they failed (a stack overflow, a panic in a
//! panic).

use std::env;
use std::process::{Command, Output, Stdio};

use crate::programs;
use crate::watchdog::finishes;

/// Set in the process of its own, to the name of the test.
const ALONE: &str = "GATHER_TESTS_ALONE";

/// Runs `body` in a process of its own. `test` is the name of the test that calls this.
///
/// # Panics
///
/// If the body panics, kills its process or hangs.
#[track_caller]
pub fn alone(test: &str, body: impl FnOnce() + Send + 'static) {
    run(command(test), test, body);
}

/// As [`alone`], in a process in which the shell has run `setup` before, such as `ulimit -n 64`.
/// Systems without such limits run nothing.
#[track_caller]
pub fn alone_after(setup: &str, test: &str, body: impl FnOnce() + Send + 'static) {
    if cfg!(unix) {
        run(command_after(setup, test), test, body);
    }
}

#[track_caller]
fn run(mut command: Command, test: &str, body: impl FnOnce() + Send + 'static) {
    if is_alone(test) {
        return finishes(body);
    }
    check(test, &command.output().expect("the process starts"));
}

/// The command that runs a test's body in a process of its own, for tests that do something to
/// that process.
pub fn command(test: &str) -> Command {
    with_arguments(programs::command(program()), test)
}

/// As [`command`], after the shell has run `setup`.
pub fn command_after(setup: &str, test: &str) -> Command {
    with_arguments(programs::command_after(setup, program()), test)
}

fn program() -> std::path::PathBuf {
    env::current_exe().expect("a test knows its program")
}

fn with_arguments(mut command: Command, test: &str) -> Command {
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(ALONE, test)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null());
    command
}

/// Whether this is the process of its own of that test.
pub fn is_alone(test: &str) -> bool {
    env::var(ALONE).as_deref() == Ok(test)
}

/// Fails if the process that [`command`] started did.
#[track_caller]
pub fn check(test: &str, output: &Output) {
    let [printed, complained] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    // A name that is misspelt would run no test, and that would succeed.
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{test}, in a process of its own: {}\n{printed}\n{complained}",
        output.status
    );
}
