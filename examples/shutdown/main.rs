//! A server that ends in good order: Ctrl-C, or `kill`, once asks it to take no more connections
//! and let those that it has finish; a second Ctrl-C ends it at once.
//!
//!     cargo run --release --example shutdown
//!
//! answers each line that comes over TCP a second later; try it with `nc` and the port that it
//! prints.
//!
//!     cargo run --release --example shutdown -- --self-test
//!
//! lets three clients in, sends itself the signal of Ctrl-C, has the three ask, and prints:
//!
//!     listening on 127.0.0.1:40123
//!     Interrupt: 3 connections may finish, within 10 s; again ends at once
//!     all have finished
//!     3 clients got their answers, and a fourth was not let in
//!
//! The pattern: one future waits for the signal, beside the one that accepts connections. After
//! the signal,
//!
//! 1. the system begins no more connections, and those that it has begun are accepted: closing the
//!    listener at once would reset them, and their clients may have asked already;
//! 2. the listener is closed, and connections that have not asked have a moment to do so;
//! 3. those that still have not are closed, and the others are waited for.
//!
//! All that together has a limit on its time. The second signal needs no code: nobody listens for
//! it any more, so it does what it does by default, though the program may hang.

#[path = "../start.rs"]
mod start;

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{self, Command, ExitCode};
use std::rc::Rc;
use std::time::Duration;

use gather::signal::{Signal, Signals};
use gather::{Task, TcpListener, TcpStream, gather, run, sleep, spawn, spawn_blocking, timeout};
use gather_examples::{accept_queue, complain, say};
use lexopt::{Arg, Parser};
use socket2::SockRef;

const HELP: &str = "\
Answers each line that comes over TCP a second later, until it is interrupted; then lets connections finish.

Usage: shutdown [OPTIONS]

Options:
      --self-test  have three clients ask it, and interrupt itself
  -h, --help       show this

Exit codes: 0 it has ended as it should, 1 something failed, 2 the options cannot be used.";

/// How long connections may take to finish.
const GRACE: Duration = Duration::from_secs(10);

/// How long a handshake may take that is under way when the end begins, and then how long a
/// connection may be without a question.
const LINGER: Duration = Duration::from_secs(1);

/// What the server says first.
const PROMPT: &[u8] = b"> ";

fn main() -> ExitCode {
    start::start("shutdown", HELP, options, |tests_itself| {
        Ok(if tests_itself { run(self_test()) } else { run(shutdown()) }?)
    })
}

/// Whether it is to test itself.
fn options(parser: &mut Parser) -> Result<Option<bool>, lexopt::Error> {
    let mut tests_itself = false;
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("self-test") => tests_itself = true,
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            unknown => return Err(unknown.unexpected()),
        }
    }
    Ok(Some(tests_itself))
}

async fn shutdown() -> io::Result<()> {
    serve(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?, Duration::from_secs(1)).await
}

/// Serves until it is asked to stop, and then until the connections have finished.
async fn serve(listener: TcpListener, work: Duration) -> io::Result<()> {
    // From here on, and until this is dropped, these signals do nothing but to wake who waits
    // here.
    let mut signals = Signals::new([Signal::Interrupt, Signal::Terminate])?;
    say!("listening on {}", listener.local_addr()?);
    let mut connections = Vec::new();
    let stops = async { Err::<Infallible, _>(signals.recv().await) };
    // The signal ends both. Dropping an `accept` loses no connection.
    let Err(signal) = gather::gather!(accept(&listener, &mut connections, work), stops).await;
    let signal = signal?;
    drop(signals); // the next one ends the process
    let (count, seconds) = (connections.len(), GRACE.as_secs());
    say!("{signal:?}: {count} connections may finish, within {seconds} s; again ends at once");
    let ends = async {
        // Where the system cannot do that, clients are let in for a moment longer.
        let _ = accept_queue::close(&SockRef::from(&listener));
        let _ = timeout(LINGER, accept::<()>(&listener, &mut connections, work)).await;
        drop(listener);
        sleep(LINGER).await;
        connections.retain(|connection| connection.has_asked.get()); // closes the others
        gather(connections.into_iter().map(|connection| connection.task)).capture().await
    };
    match timeout(GRACE, ends).await {
        Ok(_) => say!("all have finished"),
        Err(_) => say!("some have not finished, and are closed"),
    }
    Ok(())
}

/// A connection. It is closed when this is dropped.
struct Connection {
    task: Task<io::Result<()>>,
    has_asked: Rc<Cell<bool>>,
}

/// Accepts connections for as long as it is polled.
async fn accept<E>(
    listener: &TcpListener,
    connections: &mut Vec<Connection>,
    work: Duration,
) -> Result<Infallible, E> {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.retain(|connection| !connection.task.is_finished());
                let has_asked = Rc::new(Cell::new(false));
                connections
                    .push(Connection { task: spawn(answer(stream, work, has_asked.clone())), has_asked });
            }
            Err(error) => {
                complain!("shutdown: cannot accept: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Asks for a line, and answers it after some work.
async fn answer(stream: TcpStream, work: Duration, has_asked: Rc<Cell<bool>>) -> io::Result<()> {
    stream.write_all(PROMPT).await?;
    let mut byte = [0];
    while byte != *b"\n" {
        stream.read_exact(&mut byte).await?;
    }
    has_asked.set(true);
    sleep(work).await;
    stream.write_all(b"done\n").await
}

async fn self_test() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let server = spawn(serve(listener, Duration::from_millis(50)));
    let clients = gather((0..3).map(|_| connect(address))).await?;
    let interrupt = format!("kill -{} {}", Signal::Interrupt.number(), process::id());
    let interrupts = spawn_blocking(move || Command::new("sh").args(["-c", &interrupt]).status());
    let status = interrupts.await.map_err(io::Error::other)??;
    if !status.success() {
        return Err(io::Error::other(format!("it could not interrupt itself: kill: {status}")));
    }
    let answers = gather(clients.iter().map(ask)).await?;
    server.await.map_err(io::Error::other)??;
    if answers != ["done\n"; 3] {
        return Err(io::Error::other(format!("the answers are {answers:?}")));
    }
    if connect(address).await.is_ok() {
        return Err(io::Error::other("a fourth client was let in"));
    }
    say!("{} clients got their answers, and a fourth was not let in", answers.len());
    Ok(())
}

/// Connects, and returns when the server is there.
async fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server).await?;
    stream.read_exact(&mut [0; PROMPT.len()]).await?;
    Ok(stream)
}

/// Sends a line, and gives the answer.
async fn ask(stream: &TcpStream) -> io::Result<String> {
    stream.write_all(b"question\n").await?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
