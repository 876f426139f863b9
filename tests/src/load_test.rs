//! The example `load_test` as a process: what it says while it runs, how it ends, and its report.
//! Other examples whose reports look the same run in it, too.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

use crate::programs::{self, build_example};
use crate::watchdog::LIMIT;

/// A `load_test` that runs. It is killed when this is dropped.
pub struct LoadTest {
    process: Child,
    /// The lines of its stderr, which a thread reads.
    complaints: Receiver<String>,
    /// The lines that were already taken from there.
    complained: Vec<String>,
    /// All of its stdout, from another thread.
    printed: Receiver<String>,
    /// When it must have ended.
    deadline: Instant,
}

/// How a `load_test` ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code, if no signal killed it.
    pub code: Option<i32>,
    /// What it printed on stdout.
    pub printed: String,
    /// What it printed on stderr.
    pub complained: String,
}

impl LoadTest {
    /// Starts it, built from the sources beside this test, with neither stdin nor a terminal.
    #[track_caller]
    pub fn start(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> LoadTest {
        static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
        LoadTest::start_program(PROGRAM.get_or_init(|| build_example("load_test")), arguments)
    }

    /// Starts another program in the same way.
    #[track_caller]
    pub fn start_program(program: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> LoadTest {
        let mut process = programs::command(program.to_owned())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stderr = process.stderr.take().expect("a pipe");
        let stdout = process.stdout.take().expect("a pipe");
        let (line, complaints) = channel();
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        thread::spawn(move || lines.try_for_each(|text| line.send(text)));
        let (text, printed) = channel();
        thread::spawn(move || text.send(read_all(stdout)));
        let deadline = Instant::now() + LIMIT;
        LoadTest { process, complaints, complained: Vec::new(), printed, deadline }
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ended {
        LoadTest::start(arguments).ended()
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits for the next line on stderr, and gives it; `None` if there will be no more.
    ///
    /// # Panics
    ///
    /// If the program has run for [`LIMIT`].
    #[track_caller]
    pub fn next_complaint(&mut self) -> Option<&str> {
        match self.complaints.recv_timeout(self.deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                self.complained.push(line);
                self.complained.last().map(String::as_str)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("it hangs. It has said so far: {:#?}", self.complained),
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// If the program has run for [`LIMIT`].
    #[track_caller]
    pub fn ended(mut self) -> Ended {
        while self.next_complaint().is_some() {}
        // Both pipes are closed when the process ends.
        let left = self.deadline.saturating_duration_since(Instant::now());
        let printed = self.printed.recv_timeout(left).expect("it prints its report and ends");
        let status = self.process.wait().expect("it was not waited for before");
        let complained = self.complained.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        Ended { code: status.code(), printed, complained }
    }
}

impl Drop for LoadTest {
    fn drop(&mut self) {
        // Both say so if it has ended, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn read_all(mut stdout: ChildStdout) -> String {
    let mut bytes = Vec::new();
    // What was read before an error is there all the same.
    let _ = stdout.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Ended {
    /// A figure of the report by its name, if it is there.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.printed.lines().find_map(|line| number(line.trim().strip_prefix(name)?))
    }

    /// A figure of the report by its name.
    ///
    /// # Panics
    ///
    /// If it is not there.
    #[track_caller]
    pub fn figure(&self, name: &str) -> usize {
        self.find(name).unwrap_or_else(|| panic!("no {name:?} in the report of {self:#?}"))
    }

    /// The failures by kind, with how many there were of each.
    pub fn kinds(&self) -> BTreeMap<&str, usize> {
        let kinds = self.printed.split_once("\nfailures by kind\n").map_or("", |(_, kinds)| kinds);
        // Beneath each kind stands an example, further to the right.
        let kinds = kinds.lines().filter(|line| !line.starts_with("   "));
        let kinds = kinds.filter_map(|line| line.trim().rsplit_once(' '));
        kinds.filter_map(|(kind, failures)| Some((kind.trim(), number(failures)?))).collect()
    }

    /// The number of the request that ended the run, by the last line of stderr, and the reason
    /// that stands there.
    ///
    /// # Panics
    ///
    /// If no request is named there.
    #[track_caller]
    pub fn failing_request(&self) -> (usize, &str) {
        let line = self.complained.lines().last().unwrap_or_default();
        let named = line.strip_prefix("load_test: request ").and_then(|line| line.split_once(" failed: "));
        let named = named.and_then(|(request, reason)| Some((number(request)?, reason)));
        named.unwrap_or_else(|| panic!("the failing request is not named by {self:#?}"))
    }
}

/// Reads a number as the report writes it: 10,000.
fn number(text: &str) -> Option<usize> {
    text.trim().replace(',', "").parse().ok()
}
