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

use crate::peers::Contender;

/// Where every server listens: a free port.
pub(super) const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Whether it does this work in Rust.
pub(super) fn has_sockets(contender: Contender) -> bool {
    use Contender::*;
    matches!(
        contender,
        Hand | Mio | Ours | TokioLocalRuntime | Smol | MonoioUring | MonoioEpoll | Compio | Glommio
    )
}

/// Serves echo in this process, without end.
pub(super) fn serve_echo(contender: Contender) {
    match contender {
        Contender::Hand => hand::serve(&[]),
        Contender::Mio => by_mio::serve_echo(),
        Contender::Ours => ours::serve_echo(),
        Contender::TokioLocalRuntime => tokio::serve_echo(),
        Contender::Smol => smol::serve_echo(),
        Contender::MonoioUring => monoio::serve_echo(monoio::on_uring()),
        Contender::MonoioEpoll => monoio::serve_echo(monoio::on_epoll()),
        Contender::Compio => compio::serve_echo(),
        Contender::Glommio => glommio::serve_echo(),
        other => unreachable!("{other:?} has no sockets"),
    }
}

/// The function that makes so many connections to `server`, its runtime made.
pub(super) fn fan_out(contender: Contender, server: SocketAddr) -> Box<dyn FnMut(usize)> {
    match contender {
        Contender::Hand => Box::new(hand::fan_out(server)),
        Contender::Mio => Box::new(by_mio::fan_out(server)),
        Contender::Ours => Box::new(ours::fan_out(server)),
        Contender::TokioLocalRuntime => Box::new(tokio::fan_out(server)),
        Contender::Smol => Box::new(smol::fan_out(server)),
        Contender::MonoioUring => Box::new(monoio::fan_out(monoio::on_uring(), server)),
        Contender::MonoioEpoll => Box::new(monoio::fan_out(monoio::on_epoll(), server)),
        Contender::Compio => Box::new(compio::fan_out(server)),
        Contender::Glommio => Box::new(glommio::fan_out(server)),
        other => unreachable!("{other:?} has no sockets"),
    }
}
