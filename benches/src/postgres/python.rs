//! A Python that has asyncpg: in a virtual environment below `target`, which is made when it is
//! not there.

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// The program.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres_pool.py");

pub(crate) struct Python {
    program: PathBuf,
    /// Those of Python and of asyncpg.
    pub(crate) versions: String,
}

impl Python {
    /// Starts the script.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(SCRIPT);
        command
    }
}

/// Finds it, or makes it. If that fails, says why.
pub(crate) fn with_asyncpg() -> Result<Python, String> {
    let bench = env::current_exe().map_err(|error| error.to_string())?;
    let target = bench.ancestors().nth(3).ok_or("cargo did not build this program")?;
    let folder = target.join("postgres_pool.venv");
    let program = folder.join("bin").join("python3");
    let versions = || printed_by(Command::new(&program).arg(SCRIPT).arg("--versions"));
    let versions = versions().or_else(|_| {
        eprintln!("installing asyncpg in {}", folder.display());
        printed_by(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        printed_by(Command::new(&program).args(["-m", "pip", "install", "--quiet", "asyncpg"]))?;
        versions()
    })?;
    Ok(Python { program, versions: versions.trim().to_owned() })
}

fn printed_by(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?} does not start: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
}
