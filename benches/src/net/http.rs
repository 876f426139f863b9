//! `server wall`, `server cpu`, `server memory`, and the same for `client`: hyper's HTTP/1.1 over
//! 64 connections that are kept alive, with a body of 64 bytes; on our runtime and on tokio's.
//!
//! The work is mostly hyper's own, the same code for both. The rows show what the runtime beneath
//! it adds: its sockets with hyper's traits, the tasks that hyper's connections are, and what both
//! take of memory.
//!
//! Why it is fair: see the header of `net/mod.rs`. hyper has tokio's sockets through hyper-util's
//! `TokioIo`, and ours through our own implementation of its traits, as their users would. Both
//! have their timers in it, which hyper arms for each request that a server waits for. The other
//! side is by hand and knows only how long a request and an answer are; it is several times faster
//! than hyper, so that `wall` is the measured side's.
//!
//! The memory is what the process has of its own when all requests are answered and the
//! connections are open: heap and stacks, and not the program's file. hyper's buffers, 8 KiB for
//! each connection, are most of it. It is taken after some ten thousand requests: before that the
//! allocator still grows, for each runtime in its own way.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self as client, SendRequest};
use hyper::rt::{Read, Timer, Write};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::spawn_local;

use super::load::Load;
use super::process::{Measured, Process, Service, own_cpu_time, own_memory};
use super::{Figure, MESSAGE, announce, peers};
use crate::peers::Peer;

/// How many connections there are, each with one request under way.
const CONNECTIONS: usize = 64;

/// How many requests each connection has in a sample.
const REQUESTS_EACH: usize = 40;

/// How many requests a sample has.
const REQUESTS: usize = CONNECTIONS * REQUESTS_EACH;

/// What the generator of load asks.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// What the server by hand answers: as long as hyper's answer.
pub(super) const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-length: 64\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n\
    gggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggg";

/// The closure that takes one sample of a server's figure.
pub(super) fn server_sampler(peer: Peer, figure: Figure) -> Box<dyn FnMut() -> f64> {
    let (server, address) = Process::serve(Service::Http, peer, Measured::Other);
    let mut load = Load::connect(address, CONNECTIONS, REQUEST);
    Box::new(move || {
        let (start, before) = (Instant::now(), server.cpu_time());
        load.exchange(REQUESTS);
        match figure {
            Figure::Wall => start.elapsed().as_nanos() as f64 / REQUESTS as f64,
            Figure::Cpu => (server.cpu_time() - before) / REQUESTS as f64,
            Figure::Memory => server.memory(),
        }
    })
}

/// The closure that takes one sample of a client's figure.
pub(super) fn client_sampler(peer: Peer, figure: Figure) -> Box<dyn FnMut() -> f64> {
    let (server, address) = Process::serve(Service::Answers, Peer::Hand, Measured::This);
    let mut fetch: Box<dyn FnMut()> = match peer {
        Peer::Ours => Box::new(fetch_on_ours(address)),
        Peer::TokioLocalRuntime => Box::new(fetch_on_tokio(address)),
        other => unreachable!("{other:?} is not in this row"),
    };
    Box::new(move || {
        let _serving = &server;
        let (start, before) = (Instant::now(), own_cpu_time());
        fetch();
        match figure {
            Figure::Wall => start.elapsed().as_nanos() as f64 / REQUESTS as f64,
            Figure::Cpu => (own_cpu_time() - before) / REQUESTS as f64,
            Figure::Memory => own_memory(),
        }
    })
}

/// Serves HTTP in this process, without end.
pub(super) fn serve(peer: Peer) {
    let served: io::Result<()> = match peer {
        Peer::Ours => gather::run(serve_on_ours()),
        Peer::TokioLocalRuntime => peers::tokio::runtime().block_on(serve_on_tokio()),
        other => unreachable!("{other:?} is not in this row"),
    };
    served.expect("a server serves");
}

async fn serve_on_ours() -> io::Result<()> {
    let listener = gather::TcpListener::bind(peers::ANY_PORT).await?;
    announce(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        gather::spawn(serve_connection(stream, gather::hyper::Timer)).detach();
    }
}

async fn serve_on_tokio() -> io::Result<()> {
    let listener = tokio::net::TcpListener::bind(peers::ANY_PORT).await?;
    announce(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        spawn_local(serve_connection(TokioIo::new(stream), TokioTimer::new()));
    }
}

/// Answers every request of a connection with the same body.
async fn serve_connection(
    stream: impl Read + Write + Unpin + 'static,
    timer: impl Timer + Send + Sync + 'static,
) -> hyper::Result<()> {
    let service =
        service_fn(async |_| Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(&MESSAGE)))));
    server::Builder::new().timer(timer).serve_connection(stream, service).await
}

/// What hyper's client sends requests with: one for each connection.
type Sender = SendRequest<Empty<Bytes>>;

/// Connects, and gives the function that makes the requests of one sample.
fn fetch_on_ours(server: SocketAddr) -> impl FnMut() {
    let runtime = gather::Runtime::new().expect("a runtime starts");
    let mut senders: Vec<Sender> = runtime.block_on(async {
        let mut senders = Vec::new();
        for _ in 0..CONNECTIONS {
            let stream = gather::TcpStream::connect(server).await.expect("the server listens");
            let (sender, connection) = client::handshake(stream).await.expect("nothing is sent yet");
            gather::spawn(connection).detach();
            senders.push(sender);
        }
        senders
    });
    move || {
        let fetching = gather::gather(senders.iter_mut().map(fetch_each));
        runtime.block_on(fetching).expect("the server answers");
    }
}

/// Connects, and gives the function that makes the requests of one sample.
fn fetch_on_tokio(server: SocketAddr) -> impl FnMut() {
    let runtime = peers::tokio::runtime();
    let mut senders: Vec<Sender> = runtime.block_on(async {
        let mut senders = Vec::new();
        for _ in 0..CONNECTIONS {
            let stream = tokio::net::TcpStream::connect(server).await.expect("the server listens");
            let (sender, connection) =
                client::handshake(TokioIo::new(stream)).await.expect("nothing is sent yet");
            spawn_local(connection);
            senders.push(sender);
        }
        senders
    });
    move || {
        let fetching = senders.drain(..).map(|mut sender| async {
            fetch_each(&mut sender).await.expect("the server answers");
            sender
        });
        senders = runtime.block_on(async { fetching.collect::<tokio::task::JoinSet<_>>().join_all().await });
    }
}

/// Makes the requests of one connection, one after the other.
async fn fetch_each(sender: &mut Sender) -> hyper::Result<()> {
    for _ in 0..REQUESTS_EACH {
        let request = Request::get("/").header("host", "localhost").body(Empty::new());
        sender.ready().await?;
        let response = sender.send_request(request.expect("it is a request")).await?;
        let body = response.into_body().collect().await?.to_bytes();
        assert_eq!(body.len(), MESSAGE.len());
    }
    Ok(())
}
