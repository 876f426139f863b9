//! The rows of the network, on Linux: TCP echo, many short connections, and HTTP, over the
//! loopback interface.
//!
//! | row | work | figure | file |
//! |---|---|---|---|
//! | `echo n` | n connections, each of which sends 64 bytes and waits for them to come back, over and over | the server's CPU time for one message | `echo.rs` |
//! | `fan-out 256` | connect, send 64 bytes, receive them, close; 256 at once | the client's CPU time for one connection | `fan_out.rs` |
//! | `server …` | an HTTP server with 64 connections that are kept alive, and a small body | see below | `http.rs` |
//! | `client …` | an HTTP client, likewise | see below | `http.rs` |
//!
//! `wall` is the time for one request, with 64 under way; `cpu` the CPU time of the measured side
//! for one; `memory` what its process has of its own, in bytes.
//!
//! # Why it is fair
//!
//! * **The other side is the same for all**, and written by hand on epoll: one generator of load
//!   (`load.rs`) for all servers, one server (`peers/hand.rs`) for all clients. Each side is a
//!   process of its own; what is measured runs on the core that all other rows run on, the other
//!   side on another.
//! * **CPU time, not wall time**, where the kernel does most of the work: it does not depend on
//!   how fast the other side is. It is that of all threads of the process, in user's and in
//!   system's mode, and what the system does for it there.
//! * **Idiomatic code**, as the peer's documentation shows it: a task for each connection, one
//!   buffer of 4 KiB for its life, read what there is, write all of it. The buffer is larger than
//!   any message, for everybody: one that is exactly full costs most of them a second read, to see
//!   that nothing is left.
//! * **The floors** are two loops by hand, one on epoll itself and one on mio, on which ours and
//!   tokio stand: they allocate nothing, have no tasks, and know that a message is short. They are
//!   what the system alone costs.
//! * **Timers are on** where a peer can do without: a real server has them.
//! * The peers on io_uring let the kernel do in its own time what others do in theirs. It is in
//!   their process's CPU time.
//! * asyncio, uvloop and Node (`scripts.rs`) run `scripts/echo.py` and `scripts/echo.js`, with
//!   their usual streams and sockets, if they are there.

mod echo;
mod fan_out;
mod http;
mod load;
mod peers;
pub(crate) mod process;

use std::io::Write as _;
use std::net::SocketAddr;

use crate::peers::Peer;
use crate::rows::Kind;
use crate::scripts;
pub(crate) use process::Service;

/// What every message is.
const MESSAGE: [u8; 64] = [b'g'; 64];

/// How large everybody's buffer is.
const BUFFER_SIZE: usize = 4096;

/// One kind of work of these rows.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Work {
    /// Echo messages to so many connections.
    Echo(usize),
    /// Make many short connections.
    FanOut,
    /// Serve or fetch over HTTP.
    Http(Side, Figure),
}

/// Which side is measured.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Side {
    /// Who answers.
    Server,
    /// Who asks.
    Client,
}

/// What is measured of it.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Figure {
    /// How long a request takes, with others beside it.
    Wall,
    /// How much CPU time.
    Cpu,
    /// How much memory the process has.
    Memory,
}

impl Work {
    /// All of it, in the order of the table.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let figures = [Figure::Wall, Figure::Cpu, Figure::Memory];
        let http = [Side::Server, Side::Client]
            .into_iter()
            .flat_map(move |side| figures.map(|figure| Self::Http(side, figure)));
        [1, 64, 512].map(Self::Echo).into_iter().chain([Self::FanOut]).chain(http)
    }

    /// Whether `peer` can do this work here.
    pub(crate) fn suits(self, peer: Peer) -> bool {
        match self {
            Self::Echo(64) | Self::FanOut if peer.is_script() => scripts::is_there(peer),
            Self::Echo(_) | Self::FanOut => peers::has_sockets(peer),
            Self::Http(..) => matches!(peer, Peer::Ours | Peer::TokioLocalRuntime),
        }
    }

    /// The closure that takes one sample with `peer`.
    pub(crate) fn sampler(self, peer: Peer) -> Box<dyn FnMut() -> f64> {
        match self {
            Self::Echo(connections) => echo::sampler(peer, connections),
            Self::FanOut => fan_out::sampler(peer),
            Self::Http(Side::Server, figure) => http::server_sampler(peer, figure),
            Self::Http(Side::Client, figure) => http::client_sampler(peer, figure),
        }
    }

    /// Which table it stands in.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Echo(_) | Self::FanOut => Kind::Network,
            Self::Http(_, Figure::Wall | Figure::Cpu) => Kind::Http,
            Self::Http(_, Figure::Memory) => Kind::HttpMemory,
        }
    }

    /// The two lines of the row's heading.
    pub(crate) fn heading(self) -> (&'static str, String) {
        match self {
            Self::Echo(connections) => ("echo", connections.to_string()),
            Self::FanOut => ("fan-out", fan_out::AT_ONCE.to_string()),
            Self::Http(side, figure) => {
                let side = if side == Side::Server { "server" } else { "client" };
                let figure = match figure {
                    Figure::Wall => "wall",
                    Figure::Cpu => "cpu",
                    Figure::Memory => "memory",
                };
                (side, figure.to_owned())
            }
        }
    }
}

/// Serves in this process until it is killed: what a sampling process has started it for.
pub(crate) fn serve(service: Service, peer: Peer) {
    process::end_with_parent();
    match service {
        Service::Echo => peers::serve_echo(peer),
        Service::Answers => peers::hand::serve(http::ANSWER),
        Service::Http => http::serve(peer),
    }
}

/// Tells the process that started this one where to connect.
fn announce(address: SocketAddr) {
    println!("{}", address.port());
    std::io::stdout().flush().expect("the other process reads");
}
