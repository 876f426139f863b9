//! A PostgreSQL of the tests' own: a private cluster in a temporary folder, on the loopback
//! interface and on a Unix socket in that folder.
//!
//! The tests of a process share one ([`Postgres::shared`]), each with a database of its own. It is
//! stopped, and its folder removed, when the last one drops it.
//!
//! PostgreSQL refuses to run as root; there it runs as the user `postgres` that Debian's package
//! makes.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::programs::printed_by;
use crate::server::{Server, folder, forget_settings, free_port, unprivileged};

const MISSING: &str =
    "PostgreSQL is not installed. `apt-get install --no-install-recommends postgresql` installs it";

/// Who may do anything, over TCP with this password, over the Unix socket without.
const SUPERUSER: &str = "postgres";
const PASSWORD: &str = "secret";

/// The signal for what PostgreSQL calls a fast stop: it ends every connection, and rolls back
/// every transaction.
const FAST: &str = "INT";

/// A cluster that runs, unless it was [stopped](Postgres::stop).
pub struct Postgres {
    folder: PathBuf,
    port: u16,
    server: Mutex<Option<Server>>,
    databases: AtomicUsize,
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
        let folder = folder("postgres", SUPERUSER);
        let password = folder.join("password");
        fs::write(&password, PASSWORD).expect("the folder is ours");
        printed_by(
            unprivileged(&program("initdb"), SUPERUSER, FAST)
                .args(["--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync", "--encoding=UTF8"])
                .args(["--locale=C", "--username", SUPERUSER, "--pwfile"])
                .arg(&password)
                .arg("--pgdata")
                .arg(folder.join("data"))
                .current_dir(&folder),
        );
        let (server, databases) = Default::default();
        let postgres = Postgres { folder, port: free_port(), server, databases };
        postgres.start_again();
        postgres
    }

    /// Starts it again after a [`stop`](Postgres::stop), on the same port. It takes connections
    /// when this returns.
    #[track_caller]
    pub fn start_again(&self) {
        let mut command = unprivileged(&program("postgres"), SUPERUSER, FAST);
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
        let server = Server::start(command);
        server.wait_until_it_says("ready to accept connections");
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
    }

    /// Stops it: every connection is ended, every transaction rolled back. Returns when it is
    /// gone.
    pub fn stop(&self) {
        if let Some(server) = self.server.lock().unwrap_or_else(PoisonError::into_inner).take() {
            server.stop(FAST);
        }
    }

    /// Where it listens, on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
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

    /// Has PostgreSQL's own client run SQL, on the database of a URL of ours or of this name, and
    /// gives what it prints: the columns of a row with | between them.
    ///
    /// # Panics
    ///
    /// If the SQL fails.
    #[track_caller]
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let (_, database) = database.rsplit_once('/').unwrap_or(("", database));
        let mut psql = Command::new(program("psql"));
        forget_settings(&mut psql);
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

/// Whether there is a PostgreSQL on this machine, for who can do without.
pub fn is_installed() -> bool {
    find("initdb").is_some()
}

#[track_caller]
fn program(name: &str) -> PathBuf {
    find(name).expect(MISSING)
}

/// A program of PostgreSQL. Debian puts those of the server where no PATH leads.
fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    let folders = folders.into_iter().rev().chain(env::split_paths(&path));
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}
