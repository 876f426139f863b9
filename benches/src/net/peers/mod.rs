//! What the network's rows ask of each peer: an echo server, and many short connections. A file
//! for each, because all that is in them is how that peer is used.

mod by_mio;
mod compio;
mod glommio;
pub(super) mod hand;
mod monoio;
mod ours;
mod smol;
pub(super) mod tokio;

use std::net::{Ipv4Addr, SocketAddr};

use crate::peers::Peer;

/// Where every server listens: a free port.
pub(super) const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Whether it does this work in Rust.
pub(super) fn has_sockets(peer: Peer) -> bool {
    use Peer::*;
    matches!(
        peer,
        Hand | Mio | Ours | TokioLocalRuntime | Smol | MonoioUring | MonoioEpoll | Compio | Glommio
    )
}

/// Serves echo in this process, without end.
pub(super) fn serve_echo(peer: Peer) {
    match peer {
        Peer::Hand => hand::serve(&[]),
        Peer::Mio => by_mio::serve_echo(),
        Peer::Ours => ours::serve_echo(),
        Peer::TokioLocalRuntime => tokio::serve_echo(),
        Peer::Smol => smol::serve_echo(),
        Peer::MonoioUring => monoio::serve_echo(monoio::on_uring()),
        Peer::MonoioEpoll => monoio::serve_echo(monoio::on_epoll()),
        Peer::Compio => compio::serve_echo(),
        Peer::Glommio => glommio::serve_echo(),
        other => unreachable!("{other:?} has no sockets"),
    }
}

/// The function that makes so many connections to `server`, its runtime made.
pub(super) fn fan_out(peer: Peer, server: SocketAddr) -> Box<dyn FnMut(usize)> {
    match peer {
        Peer::Hand => Box::new(hand::fan_out(server)),
        Peer::Mio => Box::new(by_mio::fan_out(server)),
        Peer::Ours => Box::new(ours::fan_out(server)),
        Peer::TokioLocalRuntime => Box::new(tokio::fan_out(server)),
        Peer::Smol => Box::new(smol::fan_out(server)),
        Peer::MonoioUring => Box::new(monoio::fan_out(monoio::on_uring(), server)),
        Peer::MonoioEpoll => Box::new(monoio::fan_out(monoio::on_epoll(), server)),
        Peer::Compio => Box::new(compio::fan_out(server)),
        Peer::Glommio => Box::new(glommio::fan_out(server)),
        other => unreachable!("{other:?} has no sockets"),
    }
}
