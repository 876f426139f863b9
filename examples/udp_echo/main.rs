//! A UDP server that sends back each datagram, in one task for all clients, and clients that ask
//! again when one is lost.
//!
//!     cargo run --release --example udp_echo -- --listen 127.0.0.1:7000
//!
//! prints `listening on 127.0.0.1:7000` and serves until it is killed; try it with
//! `nc -u 127.0.0.1 7000`.
//!
//!     cargo run --release --example udp_echo -- --self-test 1000
//!
//! gathers that many clients against the server in the same runtime, and prints:
//!
//!     listening on 127.0.0.1:40123
//!     1000 clients had 4 datagrams each echoed

#[path = "../echo_server/options.rs"]
mod options;
#[path = "../start.rs"]
mod start;

use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use gather::{UdpSocket, gather, run, spawn, timeout};
use gather_examples::{complain, say};
use options::Options;

/// What a client of the self-test sends: from nothing to about what goes through any network in
/// one piece.
const DATAGRAM_SIZES: [usize; 4] = [0, 1, 100, 1200];

/// Each client has a socket, and many systems give a process no more than 256 descriptors.
const CLIENTS_AT_ONCE: usize = 100;

/// How often a client sends a datagram before it gives up, and how long it waits for each answer.
const ATTEMPTS: usize = 20;
const PATIENCE: Duration = Duration::from_millis(250);

fn main() -> ExitCode {
    options::start("udp_echo", "UDP", |options| run(udp_echo(options)))
}

async fn udp_echo(options: Options) -> Result<(), Box<dyn Error>> {
    let socket = UdpSocket::bind(options.listen).await;
    let socket = socket.map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    let address = socket.local_addr()?;
    say!("listening on {address}");
    match options.self_test {
        None => serve(socket).await,
        Some(clients) => {
            let server = spawn(serve(socket));
            gather((0..clients.get()).map(|client| check(address, client))).limit(CLIENTS_AT_ONCE).await?;
            server.cancel();
            say!("{clients} clients had {} datagrams each echoed", DATAGRAM_SIZES.len());
            Ok(())
        }
    }
}

/// Sends each datagram back to where it came from, for as long as it is polled. There are no
/// connections, so one task serves all.
async fn serve(socket: UdpSocket) -> ! {
    let mut buffer = vec![0; 65_536]; // the longest there is: what does not fit would be lost
    loop {
        let answered = match socket.recv_from(&mut buffer).await {
            Ok((length, client)) => socket.send_to(&buffer[..length], client).await.map(drop),
            Err(error) => Err(error),
        };
        // Such as that a client has gone, which concerns nobody else.
        if let Err(error) = answered {
            complain!("udp_echo: {error}");
        }
    }
}

/// One client of the self-test: sends datagrams of its own and expects each of them back.
async fn check(server: SocketAddr, client: usize) -> io::Result<()> {
    // In the server's family, and on the loopback if that is where it listens: so no other machine
    // reaches this socket.
    let (any, loopback): (IpAddr, IpAddr) = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into()),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into()),
    };
    // A server on all addresses is on the loopback, too.
    let host = if server.ip().is_unspecified() { loopback } else { server.ip() };
    let socket = UdpSocket::bind((if host.is_loopback() { loopback } else { any }, 0)).await?;
    socket.connect((host, server.port())).await?;
    for size in DATAGRAM_SIZES {
        let datagram: Vec<u8> = (0..size).map(|index| (index + client) as u8).collect();
        ask(&socket, &datagram).await?;
    }
    Ok(())
}

/// Sends a datagram until it comes back: each may be lost on either way, and one that was only
/// late comes twice.
async fn ask(socket: &UdpSocket, datagram: &[u8]) -> io::Result<()> {
    let mut echoed = [0; 2000];
    for _ in 0..ATTEMPTS {
        socket.send(datagram).await?;
        let answer = timeout(PATIENCE, async {
            loop {
                let length = socket.recv(&mut echoed).await?;
                if echoed[..length] == *datagram {
                    return Ok(());
                }
            }
        });
        // Time is up, or the answer is there.
        if let Ok(result) = answer.await {
            return result;
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, format!("{ATTEMPTS} datagrams in a row got no answer")))
}
