//! A Redis of the tests' own: on a free port of the loopback interface, with nothing on disk.
//!
//! If we are root it runs as the user `redis` that Debian's package makes.

use std::fs;
use std::path::{Path, PathBuf};

use gather_tests::server::{Server, folder, free_port, unprivileged};

const MISSING: &str =
    "Redis is not installed. `apt-get install --no-install-recommends redis-server` installs it";

/// Where Debian puts it.
const PROGRAM: &str = "/usr/bin/redis-server";

/// A server that runs until this is dropped.
pub struct Redis {
    _server: Server,
    folder: PathBuf,
    port: u16,
}

impl Redis {
    /// Starts it. It takes connections when this returns.
    ///
    /// # Panics
    ///
    /// If it is not installed, or does not start.
    #[track_caller]
    pub fn start() -> Redis {
        assert!(Path::new(PROGRAM).is_file(), "{MISSING}");
        let (folder, port) = (folder("redis", "redis"), free_port());
        let mut command = unprivileged(Path::new(PROGRAM), "redis", "KILL");
        command.current_dir(&folder).args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--save", "", "--appendonly", "no"]);
        let server = Server::start(command);
        server.wait_until_it_says("Ready to accept connections");
        Redis { _server: server, folder, port }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Nothing is written there.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
