//! A chat over WebSockets: what one says, all hear.
//!
//!     cargo run --release --features websocket --example websocket_chat -- --listen 127.0.0.1:7000
//!
//! prints `listening on ws://127.0.0.1:7000/` and serves until it is killed. To talk, from other
//! terminals:
//!
//!     cargo run --release --features websocket --example websocket_chat -- --connect 127.0.0.1:7000
//!
//! sends each line of its input, and prints what all say.
//!
//!     cargo run --release --features websocket --example websocket_chat -- --self-test 100
//!
//! gathers that many clients against the server in the same runtime, and prints:
//!
//!     listening on ws://127.0.0.1:40123/
//!     100 clients have each heard all 100
//!     4 that broke the protocol were told so
//!
//! async-tungstenite works over the traits of futures, which `TcpStream` has by default;
//! `tokio::sync`'s broadcast channel runs anywhere. A connection is two children of one gather,
//! one for each direction: when one ends, the other is dropped. A client that reads too slowly
//! misses messages, and is told so; the others do not wait for it. A message has at most 64 KiB
//! (tungstenite itself would take 64 MiB from anybody). A client that sends a longer one, or
//! breaks the protocol, is cut off with the close code that says why.
//!
//! This file is the command and the client; `server` is the server, and `self_test` has them talk.

mod self_test;
mod server;
#[path = "../start.rs"]
mod start;

use std::error::Error;
use std::io::{self, BufRead};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use async_tungstenite::tungstenite::{self, Message};
use async_tungstenite::{WebSocketStream, client_async_with_config};
use futures_util::{Stream, StreamExt};
use gather::{TcpListener, TcpStream, run, spawn, timeout};
use gather_examples::output::start_thread;
use gather_examples::say;
use lexopt::{Arg, Parser};
use tokio::sync::mpsc;

use crate::server::serve;

const HELP: &str = "\
A chat over WebSockets: a server, a client, or both to test itself.

Usage: websocket_chat [OPTIONS]

Options:
      --listen IP:PORT   serve there; port 0 takes a free one [default: 127.0.0.1:0]
      --connect IP:PORT  talk to the server there, instead of serving
      --self-test N      let N clients talk to the server, at most 500 and within a minute, instead of serving until killed
  -h, --help             show this

A message has at most 65536 bytes.

Exit codes: 0 the talk has ended or the self-test passed, 1 something failed, 2 the options cannot be used.";

/// How long a message may be, in bytes.
const LONGEST: usize = 64 * 1024;

/// How long two may take to agree that they speak WebSocket.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// What the server says first.
const WELCOME: &str = "welcome";

struct Options {
    listen: SocketAddr,
    connect: Option<SocketAddr>,
    self_test: Option<NonZeroUsize>,
}

fn options(parser: &mut Parser) -> Result<Option<Options>, lexopt::Error> {
    let mut options =
        Options { listen: SocketAddr::from(([127, 0, 0, 1], 0)), connect: None, self_test: None };
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("listen") => options.listen = start::value(parser)?,
            Arg::Long("connect") => options.connect = Some(start::value(parser)?),
            Arg::Long("self-test") => options.self_test = Some(start::count(parser, self_test::CLIENTS)?),
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            unknown => return Err(unknown.unexpected()),
        }
    }
    Ok(Some(options))
}

type AnyError = Box<dyn Error>;

fn main() -> ExitCode {
    start::start("websocket_chat", HELP, options, |options| run(chat(options)))
}

async fn chat(options: Options) -> Result<(), AnyError> {
    if let Some(server) = options.connect {
        return talk(server).await.map_err(|error| format!("{server}: {error}").into());
    }
    let listener = TcpListener::bind(options.listen).await;
    let listener = listener.map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    let address = listener.local_addr()?;
    say!("listening on ws://{address}/");
    match options.self_test {
        None => serve(listener).await,
        Some(clients) => {
            let server = spawn(serve(listener));
            let tested = timeout(self_test::LIMIT, self_test::run(address, clients.get())).await;
            tested.map_err(|_| format!("the clients took longer than {:?}", self_test::LIMIT))??;
            server.cancel();
            say!("{clients} clients have each heard all {clients}");
            say!("{} that broke the protocol were told so", self_test::BROKEN.len());
            Ok(())
        }
    }
}

/// What both ends take.
fn config() -> WebSocketConfig {
    WebSocketConfig::default().max_message_size(Some(LONGEST)).max_frame_size(Some(LONGEST))
}

/// The next text, or None when the other side has closed.
async fn next_text(
    receiver: &mut (impl Stream<Item = Result<Message, tungstenite::Error>> + Unpin),
) -> Result<Option<String>, AnyError> {
    while let Some(message) = receiver.next().await {
        if let Message::Text(text) = message? {
            return Ok(Some(text.as_str().to_owned()));
        }
    }
    Ok(None)
}

async fn connect(server: SocketAddr) -> Result<WebSocketStream<TcpStream>, AnyError> {
    let shake_hands = async {
        let stream = TcpStream::connect(server).await?;
        Ok(client_async_with_config(format!("ws://{server}/"), stream, Some(config())).await?.0)
    };
    let connected = timeout(HANDSHAKE, shake_hands).await;
    connected.unwrap_or_else(|_| Err(format!("it has not answered within {HANDSHAKE:?}").into()))
}

/// The client: its input is read by a thread, for that blocks, and cannot be given up.
async fn talk(server: SocketAddr) -> Result<(), AnyError> {
    let (mut sender, mut receiver) = connect(server).await?.split();
    let (line, mut lines) = mpsc::channel(1);
    start_thread("input".into(), move || {
        io::stdin().lock().lines().map_while(Result::ok).try_for_each(|l| line.blocking_send(l))
    })?;
    let says = async {
        while let Some(line) = lines.recv().await {
            if line.len() > LONGEST {
                return Err(format!("a line of {} bytes, and {LONGEST} is the most", line.len()).into());
            }
            sender.send(Message::text(line)).await?;
        }
        sender.send(Message::Close(None)).await?;
        Ok::<(), AnyError>(())
    };
    let hears = async {
        while let Some(text) = next_text(&mut receiver).await? {
            say!("{text}");
        }
        Ok(())
    };
    gather::gather!(says, hears).await.map(drop)
}
