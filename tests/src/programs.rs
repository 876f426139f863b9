//! The project's programs as processes: cargo in this workspace, and an example as cargo builds
//! it.
//!
//! A test must run the example of the sources that it stands beside, never an older one that lies
//! in `target`. So it has cargo build it, which is over at once if nothing changed, and cargo says
//! where the program is. (The lock of a build is free while tests run.)

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The folder of the workspace.
pub const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// What this program was built for, and what it was built on, in Rust's words.
const TARGET: &str = env!("TARGET");
const HOST: &str = env!("HOST");

/// The cargo that runs this test, in the folder of the workspace.
pub fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
    cargo.current_dir(WORKSPACE);
    cargo
}

/// A command that runs a program of this target as cargo does: through the target's runner, if it
/// has one, such as qemu.
pub fn command(program: PathBuf) -> Command {
    let words = as_cargo_runs(program);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

/// As [`command`], in a process in which the shell has run `setup` before.
pub fn command_after(setup: &str, program: PathBuf) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!(r#"{setup} && exec "$0" "$@""#)).args(as_cargo_runs(program));
    command
}

/// The words of the command. Only a runner that is set in the environment is known here, and none
/// in cargo's files.
fn as_cargo_runs(program: PathBuf) -> Vec<OsString> {
    let variable = format!("CARGO_TARGET_{}_RUNNER", TARGET.to_uppercase().replace(['-', '.'], "_"));
    let runner = env::var(variable).unwrap_or_default();
    runner.split_whitespace().map(OsString::from).chain([program.into()]).collect()
}

/// Sends a signal to a process, by the shell's own `kill`, which every system has, and says
/// whether that went well.
pub fn send_signal(signal: impl std::fmt::Display, process: u32) -> bool {
    let kill = format!("kill -{signal} {process}");
    let sent = Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status();
    sent.is_ok_and(|status| status.success())
}

/// Runs a command to its end, and gives what it prints.
///
/// # Panics
///
/// If the command cannot be started, or fails, with what it said about it.
#[track_caller]
pub fn printed_by(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let [printed, complained] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{command:?}: {}\n{complained}", output.status);
    printed.into_owned()
}

/// Builds an example, in the profile of this test, and gives the path of its program.
///
/// # Panics
///
/// If it does not build, with the compiler's messages.
#[track_caller]
pub fn build_example(name: &str) -> PathBuf {
    let what = ["--example", name, "--profile", &profile()];
    let features: &[&str] = match name {
        "postgres_pool" | "work_queue" => &["--features", "gather-examples/postgres"],
        _ => &[],
    };
    let target = if TARGET == HOST { vec![] } else { vec!["--target", TARGET] };
    let mut build = cargo();
    build.args(["build", "--message-format=json-render-diagnostics"]).args(what).args(features).args(target);
    let messages = printed_by(&mut build);
    // A line of JSON for each artifact. Only one of them has this name and a program.
    let named = format!(r#""name":"{name}""#);
    let mut programs = messages.lines().filter(|line| line.contains(&named)).filter_map(|line| {
        let (path, _) = line.split_once(r#""executable":""#)?.1.split_once('"')?;
        Some(PathBuf::from(path.replace(r"\\", r"\")))
    });
    programs.next().unwrap_or_else(|| panic!("cargo does not say where {name} is:\n{messages}"))
}

/// The profile that this program was built in: cargo put it into `target/<profile>/deps`.
fn profile() -> String {
    let program = env::current_exe().expect("a test knows its program");
    let folder = program.ancestors().nth(2).and_then(|folder| folder.file_name());
    match folder.and_then(|name| name.to_str()).expect("a folder of cargo's") {
        "debug" => "dev".into(),
        profile => profile.into(),
    }
}
