//! How it is counted: this program again, under callgrind, and what callgrind wrote.

use std::collections::HashMap;
use std::error::Error;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, thread};

use crate::count::{Count, Totals, one_of};
use crate::operations::Operation;

/// The functions of the C library in which every allocation of a Rust program begins.
const ALLOCATORS: [&str; 6] = ["malloc", "calloc", "realloc", "memalign", "posix_memalign", "aligned_alloc"];

/// Counts operations, as many at once as there are cores: a count does not depend on what else the
/// machine does.
pub(crate) fn counts(operations: &[&Operation]) -> Result<Vec<Count>, Box<dyn Error>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let work = || {
        while let Some(operation) = operations.get(next.fetch_add(1, Ordering::Relaxed)) {
            let count = count(operation).map_err(|error| format!("{}: {error}", operation.name));
            done.lock().expect("nobody panics with it").push(count);
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    let mut counts = done.into_inner()?.into_iter().collect::<Result<Vec<Count>, String>>()?;
    counts.sort_by_key(|count| operations.iter().position(|operation| operation.name == count.name));
    Ok(counts)
}

/// Counts one.
fn count(operation: &Operation) -> Result<Count, Box<dyn Error>> {
    let totals = |times| Ok::<_, Box<dyn Error>>(Profile::of(operation, times)?.totals());
    Ok(Count::of(operation, totals(operation.times)?, totals(2 * operation.times)?))
}

/// In which functions one operation executes how many instructions, most first.
pub(crate) fn functions(operation: &Operation) -> Result<Vec<(String, f64)>, Box<dyn Error>> {
    let shorter = Profile::of(operation, operation.times)?.instructions;
    let longer = Profile::of(operation, 2 * operation.times)?.instructions;
    let one = |(name, &longer): (&String, &u64)| {
        let shorter = shorter.get(name).copied().unwrap_or(0);
        (name.clone(), one_of(operation, shorter, longer))
    };
    let mut functions: Vec<_> = longer.iter().map(one).collect();
    functions.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(functions)
}

/// What callgrind saw of a process.
#[derive(Default)]
struct Profile {
    /// Instructions by function, without those that it calls.
    instructions: HashMap<String, u64>,
    /// How often each was called.
    calls: HashMap<String, u64>,
}

impl Profile {
    /// Starts this program again, under callgrind, to do `operation` so often.
    fn of(operation: &Operation, times: u64) -> Result<Profile, Box<dyn Error>> {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!(
            "callgrind.{}.{}",
            operation.name.replace([' ', ','], "-"),
            times
        ));
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--compress-strings=no", "--compress-pos=no"])
            .arg(format!("--callgrind-out-file={}", file.display()))
            .arg(std::env::current_exe()?)
            .args(["--run", operation.name, &times.to_string()])
            .env_clear() // it lies on the stack, and what lies behind it moves
            .stdout(Stdio::null())
            .output()
            .map_err(|error| {
                format!("valgrind does not start ({error}); it is in Debian's package of that name")
            })?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        let written = fs::read_to_string(&file)?;
        fs::remove_file(&file)?;
        Ok(Profile::read(&written))
    }

    /// Reads callgrind's format. `fn=` begins a function; `cfn=` and `calls=` tell of a call, and
    /// the line after `calls=` what the call cost, which is the called function's own affair; any
    /// other line that begins with a digit is a position and the instructions there.
    fn read(text: &str) -> Profile {
        let mut profile = Profile::default();
        let (mut function, mut called) = ("", "");
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(name) = line.strip_prefix("fn=") {
                function = name;
            } else if let Some(name) = line.strip_prefix("cfn=") {
                called = name;
            } else if let Some(calls) = line.strip_prefix("calls=") {
                *profile.calls.entry(called.to_owned()).or_default() += first_number(calls);
                lines.next();
            } else if line.starts_with(|first: char| first.is_ascii_digit()) {
                let instructions = line.split_once(' ').map_or(0, |(_, cost)| first_number(cost));
                *profile.instructions.entry(function.to_owned()).or_default() += instructions;
            }
        }
        profile
    }

    fn totals(&self) -> Totals {
        let is_allocator = |(name, _): &(&String, &u64)| {
            // A function that calls itself has its depth behind a quotation mark.
            ALLOCATORS.contains(&name.split('\'').next().unwrap_or(name))
        };
        Totals {
            instructions: self.instructions.values().sum(),
            allocations: self.calls.iter().filter(is_allocator).map(|(_, calls)| calls).sum(),
        }
    }
}

/// The number at the beginning of a line of numbers.
fn first_number(numbers: &str) -> u64 {
    numbers.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
