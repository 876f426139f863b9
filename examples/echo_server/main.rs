//! A TCP server that sends back what it gets: one spawned task for each connection.
//!
//!     cargo run --release --example echo_server -- --listen 127.0.0.1:7000
//!
//! prints `listening on 127.0.0.1:7000` and serves until it is killed; try it with
//! `nc 127.0.0.1 7000`.
//!
//!     cargo run --release --example echo_server -- --self-test 1000
//!
//! gathers that many clients against the server in the same runtime, and prints:
//!
//!     listening on 127.0.0.1:40123
//!     1000 clients had 8 messages each echoed

mod options;
#[path = "../start.rs"]
mod start;

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use gather::{TcpListener, TcpStream, gather, run, sleep, spawn};
use gather_examples::{complain, say};
use options::Options;

/// What a client of the self-test sends: from one byte to more than the server reads at once.
const MESSAGE_SIZES: [usize; 8] = [1, 2, 3, 64, 1000, 4096, 16_384, 100_000];

/// Each client takes two file descriptors of this process, and many systems give no more than 256.
const CLIENTS_AT_ONCE: usize = 100;

fn main() -> ExitCode {
    options::start("echo_server", "TCP", |options| run(echo_server(options)))
}

async fn echo_server(options: Options) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(options.listen).await;
    let listener = listener.map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    let address = listener.local_addr()?;
    say!("listening on {address}");
    match options.self_test {
        None => serve(listener).await,
        Some(clients) => {
            let server = spawn(serve(listener));
            gather((0..clients.get()).map(|client| check(address, client))).limit(CLIENTS_AT_ONCE).await?;
            server.cancel();
            say!("{clients} clients had {} messages each echoed", MESSAGE_SIZES.len());
            Ok(())
        }
    }
}

/// Accepts connections for as long as it is polled.
async fn serve(listener: TcpListener) -> ! {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => spawn(echo(stream)).detach(),
            Err(error) => {
                // Most likely the process has no file descriptor left: some connections must end
                // first.
                complain!("echo_server: cannot accept: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Sends back what comes, until the client says that no more comes. A client that breaks off ends
/// only this task.
async fn echo(stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            length => stream.write_all(&buffer[..length]).await?,
        }
    }
}

/// One client of the self-test: sends messages of its own and expects each of them back.
async fn check(server: SocketAddr, client: usize) -> io::Result<()> {
    let stream = TcpStream::connect(server).await?;
    for size in MESSAGE_SIZES {
        let message: Vec<u8> = (0..size).map(|index| (index + client) as u8).collect();
        let mut echoed = vec![0; size];
        // Both at once: the server sends back the beginning of a long message before it has the
        // end.
        let (_, _) = gather!(stream.write_all(&message), stream.read_exact(&mut echoed)).await?;
        if echoed != message {
            return Err(io::Error::other(format!(
                "client {client} got another message of {size} bytes back"
            )));
        }
    }
    Ok(())
}
