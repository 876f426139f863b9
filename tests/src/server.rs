//! A server of others as a process of the tests: it runs as nobody special, it has a log that
//! somebody reads, and it is stopped when the test process is gone, however that ends.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use crate::programs::{printed_by, send_signal};
use crate::watchdog::LIMIT;

/// The process, and its log: there is no more when it has ended. It is killed when this is
/// dropped.
pub struct Server {
    process: Child,
    log: Receiver<String>,
}

impl Server {
    /// Starts it from the thread that reads its log. That thread lives as long as the server,
    /// which matters: Linux takes the end of the thread that has started a process for the end of
    /// its parent.
    #[track_caller]
    pub fn start(mut command: Command) -> Server {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let (to_us, process) = channel();
        let (line, log) = channel();
        let reads = move || {
            let mut process = command.spawn().expect("the server starts");
            let stdout = process.stdout.take().expect("a pipe");
            let _ = to_us.send(process);
            // It must be able to say things, also when nobody listens any more.
            BufReader::new(stdout).lines().map_while(Result::ok).for_each(|text| drop(line.send(text)));
        };
        thread::Builder::new().name("server".into()).spawn(reads).expect("the system starts a thread");
        Server { process: process.recv().expect("it starts"), log }
    }

    /// Reads its log until it says so.
    ///
    /// # Panics
    ///
    /// If it says nothing more, or takes more than [`LIMIT`], with all that it has said.
    #[track_caller]
    pub fn wait_until_it_says(&self, words: &str) {
        self.says(words).unwrap_or_else(|said| panic!("the server does not start:\n{said}"));
    }

    /// Reads its log until it says so. Gives what it has said instead if it says nothing more, or
    /// takes more than [`LIMIT`].
    pub fn says(&self, words: &str) -> Result<(), String> {
        let mut said = String::new();
        let deadline = Instant::now() + LIMIT;
        while !said.contains(words) {
            match self.log.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => said += &(line + "\n"),
                Err(_) => return Err(said),
            }
        }
        Ok(())
    }

    /// Sends it a signal, and waits for its end.
    pub fn stop(mut self, signal: &str) {
        send_signal(signal, self.process.id());
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both say so if it has ended, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A command that runs as `user` if we are root, and as ourselves otherwise. What it says on
/// stderr goes to stdout, and when the process that has started it is gone it gets the signal.
pub fn unprivileged(program: &Path, user: &str, signal_of_the_end: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal_of_the_end]);
    if is_root() {
        command.args(["--reuid", user, "--regid", user, "--init-groups"]);
    }
    command.args(["--", "sh", "-c", r#"exec "$0" "$@" 2>&1"#]).arg(program);
    forget_settings(&mut command);
    command
}

/// The settings of our own user, such as `PGHOST`, are not those of the tests' servers, nor of
/// what speaks with them.
pub fn forget_settings(command: &mut Command) {
    let variables = env::vars_os().map(|(name, _)| name);
    for name in variables.filter(|name| {
        let name = OsStr::to_string_lossy(name);
        name.starts_with("PG") || name.starts_with("RABBITMQ_")
    }) {
        command.env_remove(name);
    }
}

/// A new folder that belongs to `user` if we are root; where every user may go, and with a short
/// path, for Unix sockets.
#[track_caller]
pub fn folder(name: &str, user: &str) -> PathBuf {
    static FOLDERS: AtomicUsize = AtomicUsize::new(0);
    let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
    let folder = env::temp_dir().join(format!("gather-{name}-{}-{number}", process::id()));
    fs::create_dir(&folder).expect("the temporary folder can be written to");
    if is_root() {
        printed_by(Command::new("chown").arg(user).arg(&folder));
    }
    folder
}

/// A port of the loopback interface that nobody listens to.
#[track_caller]
pub fn free_port() -> u16 {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    address.expect("a free port").port()
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
