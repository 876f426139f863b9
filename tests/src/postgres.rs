//! A PostgreSQL of the tests' own: a private cluster in a temporary folder, on the loopback interface and on a Unix socket
//! in that folder.
//!
//! The tests of a process share one ([`Postgres::shared`]), each with a database of its own. It is stopped, and its folder
//! removed, when the last one drops it. If the process is killed, the system stops the server: it gets the signal that
//! Linux sends when the parent is gone.
//!
//! PostgreSQL refuses to run as root; there it runs as the user `postgres` that Debian's package makes.

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
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use crate::programs::printed_by;

const MISSING: &str =
    "PostgreSQL is not installed. `apt-get install --no-install-recommends postgresql` installs it";

/// Who may do anything, over TCP with this password, over the Unix socket without.
const SUPERUSER: &str = "postgres";
const PASSWORD: &str = "secret";

/// More than it takes to start, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A cluster that runs, unless it was [stopped](Postgres::stop).
pub struct Postgres {
    folder: PathBuf,
    port: u16,
    server: Mutex<Option<Server>>,
    databases: AtomicUsize,
}

/// The process, and the end of its log: there is no more when it has ended.
struct Server {
    process: Child,
    log: Receiver<String>,
}

impl Postgres {
    /// The cluster of this process. It is started if no test has one now.
    #[track_caller]
    pub fn shared() -> Arc<Postgres> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let postgres = Arc::new(Postgres::start());
            *shared = Arc::downgrade(&postgres);
            postgres
        })
    }

    /// Makes a cluster, for a test that stops it, or that must have it alone, and starts it.
    #[track_caller]
    pub fn start() -> Postgres {
        static CLUSTERS: AtomicUsize = AtomicUsize::new(0);
        let number = CLUSTERS.fetch_add(1, Ordering::Relaxed);
        // Where every user may go; and short, for the path of a Unix socket.
        let folder = env::temp_dir().join(format!("gather-postgres-{}-{number}", process::id()));
        fs::create_dir(&folder).expect("the temporary folder can be written to");
        let password = folder.join("password");
        fs::write(&password, PASSWORD).expect("so can ours");
        if is_root() {
            printed_by(Command::new("chown").args(["-R", SUPERUSER]).arg(&folder));
        }
        printed_by(
            unprivileged(&program("initdb"))
                .args(["--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync", "--encoding=UTF8"])
                .args(["--locale=C", "--username", SUPERUSER, "--pwfile"])
                .arg(&password)
                .arg("--pgdata")
                .arg(folder.join("data"))
                .current_dir(&folder),
        );
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = address.expect("a free port").port();
        let databases = AtomicUsize::new(0);
        let postgres = Postgres { folder, port, server: Mutex::new(None), databases };
        postgres.start_again();
        postgres
    }

    /// Starts it again after a [`stop`](Postgres::stop), on the same port. It takes connections when this returns.
    #[track_caller]
    pub fn start_again(&self) {
        let mut command = unprivileged(&program("postgres"));
        command.arg("-D").arg(self.folder.join("data")).current_dir(&self.folder);
        for setting in [
            "listen_addresses=127.0.0.1",
            &format!("port={}", self.port),
            &format!("unix_socket_directories={}", self.folder.display()),
            "fsync=off", // nothing here needs to outlive the machine
            "max_connections=100",
        ] {
            command.args(["-c", setting]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let server = start(command);
        let mut said = String::new();
        while !said.contains("ready to accept connections") {
            let line = server.log.recv_timeout(LIMIT);
            said += &line.unwrap_or_else(|_| panic!("PostgreSQL does not start:\n{said}"));
            said += "\n";
        }
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
    }

    /// Stops it: every connection is ended, every transaction rolled back. Returns when it is gone.
    pub fn stop(&self) {
        if let Some(mut server) = self.server.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // "Fast", in the words of PostgreSQL.
            let interrupt = format!("kill -INT {}", server.process.id());
            let _ = Command::new("sh").args(["-c", &interrupt]).status();
            let _ = server.process.wait();
        }
    }

    /// Makes a database, and gives its URL, over TCP with a password.
    #[track_caller]
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("create database {name}"));
        format!("postgres://{SUPERUSER}:{PASSWORD}@127.0.0.1:{}/{name}", self.port)
    }

    /// The URL of the same database over the Unix socket, which asks for no password.
    pub fn over_unix(&self, url: &str) -> String {
        let (_, database) = url.rsplit_once('/').expect("a URL of ours");
        let folder = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://{SUPERUSER}@{folder}:{}/{database}", self.port)
    }

    /// Has PostgreSQL's own client run SQL, on the database of a URL of ours or of this name, and gives what it prints: the
    /// columns of a row with | between them.
    ///
    /// # Panics
    ///
    /// If the SQL fails.
    #[track_caller]
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let (_, database) = database.rsplit_once('/').unwrap_or(("", database));
        let mut psql = Command::new(program("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"])
            .args(["--username", SUPERUSER, "--dbname", database, "--port", &self.port.to_string(), "--host"])
            .arg(&self.folder)
            .args(["--command", sql]);
        printed_by(&mut psql).trim_end().to_owned()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Starts the server from the thread that reads its log. That thread lives as long as the server, which matters: Linux takes
/// the end of the thread that has started a process for the end of its parent.
#[track_caller]
fn start(mut command: Command) -> Server {
    let (to_us, process) = channel();
    let (line, log) = channel();
    let reads = move || {
        let mut process = command.spawn().expect("PostgreSQL starts");
        let stderr = process.stderr.take().expect("a pipe");
        let _ = to_us.send(process);
        // It must be able to say things, also when nobody listens any more.
        BufReader::new(stderr).lines().map_while(Result::ok).for_each(|text| drop(line.send(text)));
    };
    thread::Builder::new().name("postgres".into()).spawn(reads).expect("the system starts a thread");
    Server { process: process.recv().expect("it starts"), log }
}

/// A program of PostgreSQL. Debian puts those of the server where no PATH leads.
#[track_caller]
fn program(name: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    let folders = folders.into_iter().rev().chain(env::split_paths(&path));
    folders.map(|folder| folder.join(name)).find(|program| program.is_file()).expect(MISSING)
}

/// A command that runs as nobody special, and is interrupted when its parent is gone.
fn unprivileged(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if is_root() {
        command.args(["--reuid", SUPERUSER, "--regid", SUPERUSER, "--init-groups"]);
    }
    command.arg("--").arg(program);
    // The user's own settings of PostgreSQL are not ours.
    let variables = env::vars_os().map(|(name, _)| name);
    for name in variables.filter(|name| OsStr::to_string_lossy(name).starts_with("PG")) {
        command.env_remove(name);
    }
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
