//! The HTTP client: hyper-util's pool of connections on this runtime's sockets, executor and timer.
//!
//! The pool has no bound of its own. It opens a connection whenever none is idle, and if another becomes idle
//! first, it goes on opening it in the background. So a limit on the requests alone is no limit on the
//! connections: sixty-four requests at a time for a file of 50 kB opened 128. Two things here make it one:
//!
//! * A connection takes one of as many slots as requests may run at once, and keeps it until it is closed.
//! * A request is over only when hyper's own tasks have put its connection back into the pool, or closed it. So
//!   the next one finds it there, and none is begun that would have to wait for a slot.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use gather::{TcpStream, timeout, yield_now};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_service::Service;

use crate::failure::Failure;

/// Fetches one URL over and over.
pub(crate) struct Client {
    pool: legacy::Client<Connector, Empty<Bytes>>,
    connector: Connector,
    url: Uri,
}

/// What is kept of an answer whose body was read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) bytes: u64,
    pub(crate) latency: Duration,
    pub(crate) finished: Instant,
}

impl Client {
    pub(crate) fn new(url: Uri, connections: usize, timeout: Duration) -> Client {
        let connector = Connector {
            slots: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))),
            opened: Arc::default(),
            timeout,
        };
        let pool = legacy::Client::builder(gather::hyper::Executor)
            .timer(gather::hyper::Timer)
            .pool_timer(gather::hyper::Timer)
            .pool_max_idle_per_host(connections)
            .build(connector.clone());
        Client { pool, connector, url }
    }

    /// How many connections were made so far.
    pub(crate) fn connections_opened(&self) -> usize {
        self.connector.opened.load(Ordering::Relaxed)
    }

    /// One GET request, to the end of the body of its answer.
    pub(crate) async fn get(&self) -> Result<Answer, Failure> {
        let started = Instant::now();
        let limit = self.connector.timeout;
        let answered = timeout(limit, self.exchange()).await;
        let finished = Instant::now();
        // Hyper's tasks, which have the end of the body behind them, now put the connection back or close it.
        yield_now().await;
        let (status, bytes) = answered.unwrap_or(Err(Failure::TimedOut(limit)))?;
        Ok(Answer { status, bytes, latency: finished - started, finished })
    }

    async fn exchange(&self) -> Result<(StatusCode, u64), Failure> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.url.clone();
        let response = self.pool.request(request).await.map_err(Failure::Request)?;
        Ok((response.status(), read_body(response).await.map_err(Failure::Body)?))
    }
}

/// Reads a body to its end, because the connection can be used again only then, and gives its length.
async fn read_body(response: Response<Incoming>) -> hyper::Result<u64> {
    let mut body = response.into_body();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame?.data_ref().map_or(0, |data| data.len() as u64);
    }
    Ok(bytes)
}

/// Opens connections for the pool, which wants a connector that it can clone and keep.
#[derive(Clone)]
struct Connector {
    /// One permit for each connection that may be open.
    slots: Arc<Semaphore>,
    opened: Arc<AtomicUsize>,
    /// How long a request may take. So long may connecting take, too, when the pool goes on with it after the
    /// request that asked for it has got another connection.
    timeout: Duration,
}

impl Connector {
    async fn connect(&self, server: &Uri) -> io::Result<SlottedStream> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(io::Error::other)?;
        let host = server.host().unwrap_or_default();
        let stream = TcpStream::connect((host, server.port_u16().unwrap_or(80))).await?;
        stream.set_nodelay(true)?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(SlottedStream { stream, _slot: slot })
    }
}

impl Service<Uri> for Connector {
    type Response = SlottedStream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<SlottedStream>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let connected = timeout(connector.timeout, connector.connect(&server)).await;
            connected.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
        })
    }
}

/// A connection that gives its slot back when it is closed.
struct SlottedStream {
    stream: TcpStream,
    _slot: OwnedSemaphorePermit,
}

impl Connection for SlottedStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for SlottedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl Write for SlottedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
