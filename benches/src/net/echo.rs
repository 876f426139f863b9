//! `echo n`: n connections, each of which sends 64 bytes and waits for them to come back, over and
//! over; nanoseconds of the server's CPU time for one message.
//!
//! The work: an event, a read, a write. Nearly all of it is the system's; the row shows what the
//! runtime adds to it, and whether it asks the system for more than that. With one connection the
//! server sleeps before each message, with 512 it seldom does.
//!
//! Why it is fair: see the header of `net/mod.rs`. The connections are made before the clock
//! starts, and the same generator of load keeps them all busy; if a faster server makes it wait,
//! its wait is not in the figure.
//!
//! How to read it: a server that keeps up with the generator sleeps before most messages, and
//! waking costs the system more than the message does. So the same server may have one of two
//! figures, a factor of three apart, by what else the two cores do: compare what was measured in
//! the same minute, round by round.

use super::MESSAGE;
use super::load::Load;
use super::process::{Measured, Process, Service};
use crate::peers::Peer;
use crate::scripts;

/// How many messages a sample has.
const MESSAGES: usize = 4096;

/// The closure that takes one sample of this row.
pub(super) fn sampler(peer: Peer, connections: usize) -> Box<dyn FnMut() -> f64> {
    let (server, address) = if peer.is_script() {
        Process::start_server(scripts::command(peer, "echo", &["echo"]), Measured::Other)
    } else {
        Process::serve(Service::Echo, peer, Measured::Other)
    };
    let mut load = Load::connect(address, connections, &MESSAGE);
    Box::new(move || {
        let before = server.cpu_time();
        load.exchange(MESSAGES);
        (server.cpu_time() - before) / MESSAGES as f64
    })
}
