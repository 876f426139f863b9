//! The HTTP client: hyper-util's pool of connections on this runtime's sockets, executor and
//! timer.
//!
//! The pool has no bound of its own. It opens a connection whenever none is idle, and if another
//! becomes idle first, it goes on opening it in the background. So a limit on the requests alone
//! is no limit on the connections: sixty-four requests at a time for a file of 50 kB opened 128.
//! Two things here make it one:
//!
//! * A connection takes one of as many slots as requests may run at once, and keeps it until it is
//!   closed.
//! * A request is over only when hyper's own tasks have put its connection back into the pool, or
//!   closed it. So the next one finds it there, and none is begun that would have to wait for a
//!   slot.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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

use crate::failure::{Cause, Failure, Kind};
use crate::options::Options;

/// How many headers an answer may have. Hyper's own limit is 100; another one costs 3 % of the
/// instructions.
const MAX_HEADERS: usize = 1000;

/// Fetches one URL over and over.
pub(crate) struct Client {
    pool: legacy::Client<Connector, Empty<Bytes>>,
    connector: Connector,
    url: Uri,
    retries_closed: bool,
    /// Of bodies, also of those that broke off.
    bytes: Cell<u64>,
    retried: Cell<usize>,
}

/// An answer whose body was read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) latency: Duration,
}

impl Client {
    pub(crate) fn new(url: Uri, options: &Options) -> Client {
        let (connections, timeout) = (options.concurrency, options.timeout);
        let connector = Connector {
            slots: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))),
            opened: Arc::default(),
            timeout,
        };
        let pool = legacy::Client::builder(gather::hyper::Executor)
            .timer(gather::hyper::Timer)
            .pool_timer(gather::hyper::Timer)
            .pool_max_idle_per_host(connections)
            .http1_max_headers(MAX_HEADERS)
            .build(connector.clone());
        let retries_closed = options.retry_closed;
        Client { pool, connector, url, retries_closed, bytes: Cell::default(), retried: Cell::default() }
    }

    pub(crate) fn bytes_received(&self) -> u64 {
        self.bytes.get()
    }

    /// How many requests were sent once more.
    pub(crate) fn retried(&self) -> usize {
        self.retried.get()
    }

    /// How many connections were made so far.
    pub(crate) fn connections_opened(&self) -> usize {
        self.connector.opened.load(Ordering::Relaxed)
    }

    /// One GET request, to the end of the body of its answer.
    pub(crate) async fn get(&self) -> Result<Answer, Failure> {
        let started = Instant::now();
        let limit = self.connector.timeout;
        let answered = timeout(limit, self.exchange_or_retry()).await;
        let latency = started.elapsed();
        // Hyper's tasks, which have the end of the body behind them, now put the connection back
        // or close it.
        yield_now().await;
        match answered.unwrap_or(Err(Cause::TimedOut(limit))) {
            Ok(status) => Ok(Answer { status, latency }),
            Err(cause) => Err(Failure { cause, latency }),
        }
    }

    /// The server may have closed a kept connection just before the request that was sent over it
    /// came. It has then not seen that request.
    async fn exchange_or_retry(&self) -> Result<StatusCode, Cause> {
        match self.exchange().await {
            Err(cause) if self.retries_closed && cause.kind() == Kind::KeptClosed => {
                self.retried.set(self.retried.get() + 1);
                self.exchange().await
            }
            result => result,
        }
    }

    async fn exchange(&self) -> Result<StatusCode, Cause> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.url.clone();
        let response = self.pool.request(request).await.map_err(Cause::Request)?;
        let status = response.status();
        self.read_body(response).await.map_err(Cause::Body)?;
        Ok(status)
    }

    /// Reads a body to its end, because the connection can be used again only then.
    async fn read_body(&self, response: Response<Incoming>) -> hyper::Result<()> {
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let bytes = frame?.data_ref().map_or(0, |data| data.len() as u64);
            self.bytes.set(self.bytes.get() + bytes);
        }
        Ok(())
    }
}

/// Opens connections for the pool, which wants a connector that it can clone and keep.
#[derive(Clone)]
struct Connector {
    /// One permit for each connection that may be open.
    slots: Arc<Semaphore>,
    opened: Arc<AtomicUsize>,
    /// How long a request may take. So long may connecting take, too, when the pool goes on with
    /// it after the request that asked for it has got another connection.
    timeout: Duration,
}

impl Connector {
    async fn connect(&self, server: &Uri) -> io::Result<SlottedStream> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(io::Error::other)?;
        let host = server.host().unwrap_or_default();
        let stream = TcpStream::connect((host, server.port_u16().unwrap_or(80))).await?;
        stream.set_nodelay(true)?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(SlottedStream { stream, usage: Use::default(), _slot: slot })
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

/// What has gone over a connection. The errors of hyper-util carry it.
#[derive(Clone, Default)]
pub(crate) struct Use(Arc<Reads>);

#[derive(Default)]
struct Reads {
    since_the_request: AtomicUsize,
    before_it: AtomicBool,
}

impl Use {
    /// Whether the connection was kept after an answer, and ended before the first byte of the
    /// next.
    pub(crate) fn ended_at_a_request(&self) -> bool {
        // The end itself may be a read.
        self.0.before_it.load(Ordering::Relaxed) && self.0.since_the_request.load(Ordering::Relaxed) <= 1
    }

    fn writes(&self) {
        if self.0.since_the_request.swap(0, Ordering::Relaxed) > 0 {
            self.0.before_it.store(true, Ordering::Relaxed);
        }
    }
}

/// A connection that gives its slot back when it is closed.
struct SlottedStream {
    stream: TcpStream,
    usage: Use,
    _slot: OwnedSemaphorePermit,
}

impl Connection for SlottedStream {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.usage.clone())
    }
}

impl Read for SlottedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.usage.0.since_the_request.fetch_add(usize::from(read.is_ready()), Ordering::Relaxed);
        read
    }
}

impl Write for SlottedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.usage.writes();
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
