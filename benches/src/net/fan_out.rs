//! `fan-out 256`: many short connections: connect, send 64 bytes, receive them, close; 256 at
//! once; nanoseconds of the client's CPU time for one of them.
//!
//! The work: what a crawler or a gateway does. A socket is made, registered, and gone again, for
//! each exchange. Ours is `gather(..).limit(256)`, with a child for each connection.
//!
//! Why it is fair: see the header of `net/mod.rs`. The peers, which have no such call, get the
//! cheapest form that a person would write: 256 tasks that each make one connection after the
//! other, so they spawn a task for every tenth connection and collect nothing. Nobody looks up a
//! name. The server resets a connection when the client has closed it: else the system would keep
//! each for a minute, and the search for a free port would become the work.

use std::cell::Cell;
use std::rc::Rc;

use super::peers;
use super::process::{Measured, Process, Service, own_cpu_time};
use crate::peers::Peer;
use crate::scripts;

/// How many connections there are at any moment.
pub(super) const AT_ONCE: usize = 256;

/// How many a sample has.
const CONNECTIONS: usize = 10 * AT_ONCE;

/// The closure that takes one sample of this row.
pub(super) fn sampler(peer: Peer) -> Box<dyn FnMut() -> f64> {
    let (server, address) = Process::serve(Service::Echo, Peer::Hand, Measured::This);
    if peer.is_script() {
        let arguments = ["fan-out", &address.port().to_string(), &AT_ONCE.to_string()];
        let mut client = Process::start(scripts::command(peer, "echo", &arguments), Measured::Other);
        return Box::new(move || {
            let _serving = &server;
            let before = client.cpu_time();
            client.write_line(&CONNECTIONS.to_string());
            assert_eq!(client.read_line(), "done");
            (client.cpu_time() - before) / CONNECTIONS as f64
        });
    }
    let mut connect = peers::fan_out(peer, address);
    Box::new(move || {
        let _serving = &server;
        let before = own_cpu_time();
        connect(CONNECTIONS);
        (own_cpu_time() - before) / CONNECTIONS as f64
    })
}

/// How many connections are still to be made; shared by the tasks that make them.
#[derive(Clone)]
pub(super) struct Countdown(Rc<Cell<usize>>);

impl Countdown {
    /// So many.
    pub(super) fn from(connections: usize) -> Self {
        Self(Rc::new(Cell::new(connections)))
    }

    /// Takes one, if any is left.
    pub(super) fn take(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left > 0
    }

    /// What one of the tasks does: one exchange after the other, until none is left.
    pub(super) async fn each(self, exchange: impl AsyncFn()) {
        while self.take() {
            exchange().await;
        }
    }
}
