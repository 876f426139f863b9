//! A RabbitMQ of the tests' own: a node in a temporary folder, on free ports of the loopback
//! interface, with the small name server (epmd) that Erlang's nodes want beside them. Both are
//! killed when it is dropped: nothing in it is to be kept.
//!
//! If we are root it runs as the user `rabbitmq` that Debian's package makes.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::server::{Server, folder, free_port, unprivileged};

const MISSING: &str =
    "RabbitMQ is not installed. `apt-get install --no-install-recommends rabbitmq-server` installs it";

/// The program itself. What stands in the PATH wants to be root.
const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// A node that runs.
pub struct RabbitMq {
    folder: PathBuf,
    port: u16,
    /// The node, and then epmd, which must not end before.
    processes: Vec<Server>,
}

impl RabbitMq {
    /// Starts it. It takes connections when this returns.
    #[track_caller]
    pub fn start() -> RabbitMq {
        assert!(Path::new(PROGRAM).is_file(), "{MISSING}");
        // It takes seconds until it uses the ports, and somebody else may get one of them
        // meanwhile.
        RabbitMq::try_to_start()
            .or_else(|_| RabbitMq::try_to_start())
            .unwrap_or_else(|said| panic!("RabbitMQ does not start:\n{said}"))
    }

    fn try_to_start() -> Result<RabbitMq, String> {
        let folder = folder("rabbitmq", "rabbitmq");
        let [port, distribution, names] = [free_port(), free_port(), free_port()];
        let command = |program: &str| {
            let mut command = unprivileged(Path::new(program), "rabbitmq", "KILL");
            command.current_dir(&folder).env("HOME", &folder);
            command.env("ERL_EPMD_ADDRESS", "127.0.0.1").env("ERL_EPMD_PORT", names.to_string());
            command
        };
        let epmd = Server::start(command("epmd"));
        // A node that finds none starts one, which would stay behind.
        let answers = || TcpStream::connect(("127.0.0.1", names)).is_ok();
        let pause = || thread::sleep(Duration::from_millis(10));
        if !(0..3000).any(|_| {
            answers() || {
                pause();
                false
            }
        }) {
            return Err("epmd does not answer".into());
        }
        let mut node: Command = command(PROGRAM);
        for (name, value) in [
            ("NODENAME", "gather@localhost"),
            ("NODE_IP_ADDRESS", "127.0.0.1"),
            ("NODE_PORT", &port.to_string()),
            ("DIST_PORT", &distribution.to_string()),
            ("SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}"),
            ("LOGS", "-"),
            ("CONF_ENV_FILE", "/dev/null"),
            ("MNESIA_BASE", &folder.join("mnesia").display().to_string()),
            ("LOG_BASE", &folder.join("log").display().to_string()),
            ("ENABLED_PLUGINS_FILE", &folder.join("plugins").display().to_string()),
        ] {
            node.env(format!("RABBITMQ_{name}"), value);
        }
        // Otherwise a shell would stand between us and it.
        node.env("RUNNING_UNDER_SYSTEMD", "true");
        let processes = vec![Server::start(node), epmd];
        let rabbitmq = RabbitMq { folder, port, processes };
        rabbitmq.processes[0].says("Server startup complete")?;
        Ok(rabbitmq)
    }

    /// Its URL, with the user that a new node has.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        self.processes.clear();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
