//! The server of one core: hyper's HTTP/1.1 on this runtime, until it is told to stop, and then
//! until its connections have finished.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use gather::{Sleep, TcpListener, TcpStream, sleep, spawn, timeout};
use gather_examples::{accept_queue, complain};
use http_body_util::{Either, Full};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::server::graceful::GracefulShutdown;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::sync::watch;

/// What a core has done.
pub(crate) struct Served {
    pub(crate) requests: u64,
    /// Connections that were closed because they had not finished in time.
    pub(crate) cut_off: usize,
}

/// A listener. At an address that is shared others may listen, too: the system deals the
/// connections out among them.
pub(crate) fn listen(address: SocketAddr, is_shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(is_shared)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// How much time the end may take.
#[derive(Clone, Copy)]
pub(crate) struct End {
    /// For connections whose handshake is under way, and then for those that have not sent a
    /// request.
    pub(crate) linger: Duration,
    /// For all.
    pub(crate) grace: Duration,
}

/// What the connections of a core share.
#[derive(Default)]
struct Core {
    requests: Cell<u64>,
    /// Whether each answer is to be the last of its connection.
    is_ending: Cell<bool>,
}

/// Serves until `stop` says so, and then for as long as the connections need.
///
/// The end loses no client that was let in:
///
/// 1. No more connections are begun. Those that were are accepted, and from now on each answer
///    says that its connection is closed after it.
/// 2. The listener is closed. Connections without a request have a moment to send one.
/// 3. Those that still have none are closed, the others when they are answered.
pub(crate) async fn serve(
    listener: std::net::TcpListener,
    mut stop: watch::Receiver<bool>,
    end: End,
) -> io::Result<Served> {
    let listener = TcpListener::from_std(listener)?;
    let (connections, core) = (GracefulShutdown::new(), Rc::new(Core::default()));
    let stops = async {
        // It is told, or nobody is left to tell it.
        let _ = stop.wait_for(|stop| *stop).await;
        Err::<Infallible, _>(Stop)
    };
    let Err(Stop) = gather::gather!(accept(&listener, &connections, &core), stops).await;
    core.is_ending.set(true);
    // Where the system cannot do that, clients are let in for a moment longer.
    let _ = accept_queue::close(&SockRef::from(&listener));
    let ends = async {
        let _ = timeout(end.linger, accept(&listener, &connections, &core)).await;
        drop(listener);
        sleep(end.linger).await;
        connections.shutdown().await;
    };
    let _ = timeout(end.grace, ends).await;
    // The tasks of connections that are left end with the runtime. Each has a share of the core.
    Ok(Served { requests: core.requests.get(), cut_off: Rc::strong_count(&core) - 1 })
}

struct Stop;

/// Accepts connections for as long as it is polled.
async fn accept(
    listener: &TcpListener,
    connections: &GracefulShutdown,
    core: &Rc<Core>,
) -> Result<Infallible, Stop> {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = connection(stream, core.clone());
                // A client that goes away in the middle is its own affair.
                spawn(connections.watch(connection)).detach();
            }
            Err(error) => {
                // Most likely the process has no file descriptor left: some connections must end
                // first.
                complain!("http_server: cannot accept: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

type Answer = Response<Either<Full<Bytes>, Slow>>;

fn connection(
    stream: TcpStream,
    core: Rc<Core>,
) -> impl hyper_util::server::graceful::GracefulConnection<Output = hyper::Result<()>> {
    let service = service_fn(move |request| {
        core.requests.set(core.requests.get() + 1);
        let mut answer = answer(&request);
        if core.is_ending.get() {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    http1::Builder::new()
        .timer(gather::hyper::Timer)
        .header_read_timeout(Duration::from_secs(10))
        .half_close(true) // a client may close its direction after its request
        .serve_connection(stream, service)
}

fn answer(request: &Request<Incoming>) -> Answer {
    let text = |text: &'static str| Response::new(Either::Left(Full::new(text.into())));
    match request.uri().path() {
        "/" => text("hello\n"),
        "/slow" => Response::new(Either::Right(Slow(Some(sleep(Duration::from_secs(1)))))),
        _ => {
            let mut answer = text("no such page\n");
            *answer.status_mut() = StatusCode::NOT_FOUND;
            answer
        }
    }
}

/// A body that comes a while after its head.
pub(crate) struct Slow(Option<Sleep>);

impl Body for Slow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(sleep) = &mut self.0 else { return Poll::Ready(None) };
        ready!(Pin::new(sleep).poll(cx));
        self.0 = None;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"at last\n")))))
    }
}
