//! Where tests listen: free ports of this machine, and paths that nobody else has.

use std::env;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use socket2::{Domain, Socket, Type};

/// A port of this machine that the system chooses.
pub const HERE: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// An address at which nobody listens, and nobody else can: a port that is given back may be the
/// next test's, or the very port that the system chooses for who connects to it, and then it is
/// connected to itself.
pub fn closed_address() -> SocketAddr {
    static BOUND: OnceLock<Socket> = OnceLock::new();
    let socket = BOUND.get_or_init(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(HERE).into()).unwrap();
        socket
    });
    socket.local_addr().unwrap().as_socket().unwrap()
}

/// A path for a Unix socket. What is there is removed when this is dropped.
#[derive(Debug)]
pub struct SocketPath(PathBuf);

impl SocketPath {
    /// One that nobody has had.
    #[allow(clippy::new_without_default, reason = "no two are equal")]
    pub fn new() -> SocketPath {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Short: the system takes no more than about a hundred bytes.
        SocketPath(env::temp_dir().join(format!("gather-{}-{number}", std::process::id())))
    }
}

impl AsRef<Path> for SocketPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        // Not every test binds it.
        let _ = std::fs::remove_file(&self.0);
    }
}
