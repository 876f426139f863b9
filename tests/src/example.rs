//! The examples as processes: built once, with an address that they print and streams that nobody
//! reads.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::clients::ask_until_the_end;
use crate::programs::build_example;

/// The program of an example, built once.
pub fn program(name: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    built.entry(name.to_owned()).or_insert_with(|| build_example(name)).clone()
}

/// A stream whose reader has gone: every write fails with `EPIPE`, as to a closed pipe.
///
/// # Panics
///
/// If the process has no descriptors left.
pub fn closed_pipe() -> Stdio {
    let (writer, reader) = UnixStream::pair().expect("two descriptors");
    drop(reader);
    OwnedFd::from(writer).into()
}

/// A server that runs. It is killed when this is dropped.
pub struct Running {
    /// The process.
    pub process: Child,
    /// The address that it has printed.
    pub address: String,
    /// The lines that it prints after that. Without them, its stdout has no reader.
    pub printed: Option<Lines<BufReader<ChildStdout>>>,
}

impl Running {
    /// Starts a server, and returns when it listens.
    ///
    /// # Panics
    ///
    /// If the first line that it prints contains no address.
    #[track_caller]
    pub fn start(command: &mut Command) -> Running {
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut printed = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let line = printed.next().and_then(Result::ok);
        let address = line.as_deref().and_then(|line| line.strip_prefix("listening on "));
        // Such as `http://127.0.0.1:40123/, cores: 2`.
        let address = address.and_then(|rest| rest.rsplit("//").next()?.split('/').next());
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}")).to_owned();
        Running { process, address, printed: Some(printed) }
    }

    /// Sends it a signal, by the name that `kill` gives it.
    ///
    /// # Panics
    ///
    /// If it has ended and was waited for.
    #[track_caller]
    pub fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.process.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success(), "{kill}");
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// If the system does not say how it ended.
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait().expect("a process can be waited for")
    }
}

/// Ends `http_server` with these options under the load of [`ask_until_the_end`].
///
/// # Panics
///
/// If it loses a client that was let in, or counts other requests than the clients do.
#[track_caller]
pub fn end_under_load(options: &[&str]) {
    let mut command = Command::new(program("http_server"));
    // Time enough for any client on a busy machine to send what it has to say.
    let mut server = Running::start(command.args(["--linger=2", "--grace=60"]).args(options));
    let address = server.address.parse().expect("an address");
    let asked = ask_until_the_end(address, "/", b"hello\n", || server.signal("TERM"));
    assert!(asked.lost.is_empty(), "{options:?}: {asked:?}");
    assert!(server.wait().success(), "{options:?}");
    let printed = server.printed.take().expect("nobody has taken it");
    let last = printed.map_while(Result::ok).last().unwrap_or_default();
    let requests = format!("{} requests: ", asked.answered);
    assert!(last.starts_with(&requests), "{options:?}: {asked:?}, but it says: {last}");
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both say so if it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
