//! A web server: hyper on one runtime for each core, which ends when Ctrl-C asks it to and its
//! connections have finished.
//!
//!     cargo run --release --example http_server -- --listen 127.0.0.1:8080 --cores 2
//!
//! prints `listening on http://127.0.0.1:8080/, cores: 2`, and answers at `/` and, slowly, at
//! `/slow`. After Ctrl-C no more clients are let in. Those that were have a moment to send a
//! request, and then connections without one are closed. The others may finish until `--grace` is
//! over. In the end it prints what it has done.
//!
//!     cargo run --release --example http_server -- --cores 2 --self-test 1000
//!
//! asks itself that many times, has itself interrupted while one answer is on its way, and prints,
//! for example:
//!
//!     listening on http://127.0.0.1:40123/, cores: 2
//!     each answer came, the one that was on its way, too, and then nobody was let in
//!     1001 requests: 489 by core 0, 512 by core 1
//!
//! Each core has a listener of its own at the same port, and the system deals out the connections
//! (`SO_REUSEPORT`, which our `TcpListener` does not set: socket2 does, and `from_std` takes what
//! it makes).

mod server;
#[path = "../start.rs"]
mod start;

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::{self, Command, ExitCode};
use std::thread::JoinHandle;
use std::time::Duration;

use gather::signal::{Signal, Signals};
use gather::{Task, TcpStream, gather, run, spawn, spawn_blocking};
use gather_examples::output::start_thread;
use gather_examples::{complain, say};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use lexopt::{Arg, Parser};
use tokio::sync::watch;

use crate::server::{End, Served, listen, serve};
use crate::start::MAX_CORES;

const HELP: &str = "\
Serves HTTP/1.1 until it is interrupted, and then lets connections finish.

Usage: http_server [OPTIONS]

Options:
      --listen IP:PORT  where; port 0 takes a free one [default: 127.0.0.1:0]
      --cores N         how many threads with a runtime of their own [default: 1]
      --linger SECONDS  at the end, how long clients may take to connect, and then to send
                        a request [default: 0.5]
      --grace SECONDS   how long the whole end may take [default: 10]
      --self-test N     ask itself N times and then interrupt itself
  -h, --help            show this

Exit codes: 0 it has ended as it should, 1 the address cannot be had or the self-test failed, 2 the options cannot be used.";

/// Each client takes two file descriptors of this process, and many systems give no more than 256.
const CLIENTS_AT_ONCE: usize = 64;

struct Options {
    listen: SocketAddr,
    cores: NonZeroUsize,
    end: End,
    self_test: Option<NonZeroUsize>,
}

fn options(parser: &mut Parser) -> Result<Option<Options>, lexopt::Error> {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let end = End { linger: Duration::from_millis(500), grace: Duration::from_secs(10) };
    let mut options = Options { listen, cores: NonZeroUsize::MIN, end, self_test: None };
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("listen") => options.listen = start::value(parser)?,
            Arg::Long("cores") => options.cores = start::count(parser, MAX_CORES)?,
            Arg::Long("linger") => options.end.linger = start::seconds(parser)?,
            Arg::Long("grace") => options.end.grace = start::seconds(parser)?,
            Arg::Long("self-test") => options.self_test = Some(start::count(parser, usize::MAX)?),
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            unknown => return Err(unknown.unexpected()),
        }
    }
    Ok(Some(options))
}

fn main() -> ExitCode {
    start::start("http_server", HELP, options, |options| run(http_server(options)))
}

/// The first runtime: it starts the others and waits for the signal.
async fn http_server(options: Options) -> Result<(), Box<dyn Error>> {
    let cannot = |error| format!("cannot listen on {}: {error}", options.listen);
    let is_shared = options.cores.get() > 1;
    if is_shared && options.listen.port() != 0 {
        // Another process could share it, too, and take some of our clients. Nobody may have it
        // yet.
        drop(listen(options.listen, false).map_err(cannot)?);
    }
    let first = listen(options.listen, is_shared).map_err(cannot)?;
    let address = first.local_addr()?; // with the port that the system chose
    let mut listeners = vec![first];
    for _ in 1..options.cores.get() {
        listeners.push(listen(address, is_shared).map_err(cannot)?);
    }
    let signals = Signals::new([Signal::Interrupt, Signal::Terminate])?;
    let (stop, stopped) = watch::channel(false);
    let mut cores = Vec::new();
    for (number, listener) in listeners.into_iter().enumerate() {
        let (stopped, end) = (stopped.clone(), options.end);
        // A server with fewer cores than it says would be worse than none.
        let main = move || {
            run(serve(listener, stopped, end)).unwrap_or_else(|error| {
                complain!("http_server: core {number}: {error}");
                process::exit(1)
            })
        };
        cores.push(start_thread(format!("core {number}"), main)?);
    }
    say!("listening on http://{address}/, cores: {}", options.cores);

    let tested = async {
        match options.self_test {
            Some(requests) => self_test(address, requests.get()).await,
            None => Ok(()),
        }
    };
    // A self-test that fails ends it at once: perhaps no signal will ever come.
    let (served, ()) = gather!(end_when_asked(&options, signals, stop, cores), tested).await?;

    if options.self_test.is_some() {
        if TcpStream::connect(address).await.is_ok() {
            return Err("somebody was let in after the end".into());
        }
        say!("each answer came, the one that was on its way, too, and then nobody was let in");
    }
    let total: u64 = served.iter().map(|core| core.requests).sum();
    let shares =
        served.iter().enumerate().map(|(core, served)| format!("{} by core {core}", served.requests));
    say!("{total} requests: {}", shares.collect::<Vec<_>>().join(", "));
    match served.iter().map(|core| core.cut_off).sum() {
        0 => Ok(()),
        cut_off => Err(format!("connections that had not finished in time: {cut_off}").into()),
    }
}

/// Waits for a signal, tells the cores to end, and waits until they have.
async fn end_when_asked(
    options: &Options,
    mut signals: Signals,
    stop: watch::Sender<bool>,
    cores: Vec<JoinHandle<Served>>,
) -> Result<Vec<Served>, Box<dyn Error>> {
    let signal = signals.recv().await?;
    drop(signals); // the next one ends the process
    if options.self_test.is_none() {
        say!("{signal:?}: connections may finish, within {:?}; again ends at once", options.end.grace);
    }
    stop.send_replace(true);
    let ended = spawn_blocking(move || cores.into_iter().map(|core| core.join()).collect::<Vec<_>>()).await?;
    let served = ended.into_iter().map(|core| core.map_err(|_| io::Error::other("a core panicked")));
    Ok(served.collect::<io::Result<_>>()?)
}

/// Asks many times, and once more, for an answer that is not complete when the interrupt comes.
async fn self_test(server: SocketAddr, requests: usize) -> Result<(), Box<dyn Error>> {
    let pages = (0..requests).map(async |_| {
        let (_connection, answer) = get(server, "/").await?;
        read(answer).await
    });
    let pages = gather(pages).limit(CLIENTS_AT_ONCE).await?;
    if let Some(page) = pages.iter().find(|page| *page != "hello\n") {
        return Err(format!("an answer was {page:?}").into());
    }
    let (_connection, answer) = get(server, "/slow").await?;
    let interrupt = format!("kill -{} {}", Signal::Interrupt.number(), process::id());
    let interrupts = spawn_blocking(move || Command::new("sh").args(["-c", &interrupt]).status());
    let status = interrupts.await??;
    if !status.success() {
        return Err(format!("it could not interrupt itself: kill: {status}").into());
    }
    match read(answer).await?.as_ref() {
        b"at last\n" => Ok(()),
        page => Err(format!("the last answer was {page:?}").into()),
    }
}

/// Asks for a page over a new connection, which is closed when the task that is returned with the
/// answer is dropped.
async fn get(
    server: SocketAddr,
    path: &str,
) -> Result<(Task<hyper::Result<()>>, Response<Incoming>), Box<dyn Error>> {
    let stream = TcpStream::connect(server).await?;
    let (mut sender, connection) = http1::handshake(stream).await?;
    let connection = spawn(connection);
    let request = Request::get(path).header("host", server.to_string()).body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    Ok((connection, answer))
}

async fn read(answer: Response<Incoming>) -> Result<Bytes, Box<dyn Error>> {
    Ok(answer.into_body().collect().await?.to_bytes())
}
