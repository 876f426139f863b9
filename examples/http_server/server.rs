//! The server of one core: hyper's HTTP/1.1 on this runtime, until it is told to stop, and then until its connections have
//! finished.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use gather::{Sleep, TcpListener, TcpStream, sleep, spawn, timeout};
use gather_examples::complain;
use http_body_util::{Either, Full};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::server::graceful::GracefulShutdown;
use socket2::{Domain, Socket, Type};
use tokio::sync::watch;

/// What a core has done.
pub(crate) struct Served {
    pub(crate) requests: u64,
    /// Connections that were closed because they had not finished in time.
    pub(crate) cut_off: usize,
}

/// A listener. At an address that is shared others may listen, too: the system deals the connections out among them.
pub(crate) fn listen(address: SocketAddr, is_shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(is_shared)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// Serves until `stop` says so, and then for as long as the connections need, but no longer than `grace`.
pub(crate) async fn serve(
    listener: std::net::TcpListener,
    mut stop: watch::Receiver<bool>,
    grace: Duration,
) -> io::Result<Served> {
    let listener = TcpListener::from_std(listener)?;
    let (connections, requests) = (GracefulShutdown::new(), Rc::new(Cell::new(0)));
    let stops = async {
        // It is told, or nobody is left to tell it.
        let _ = stop.wait_for(|stop| *stop).await;
        Err::<Infallible, _>(Stop)
    };
    let Err(Stop) = gather::gather!(accept(&listener, &connections, &requests), stops).await;
    drop(listener); // who comes now is refused
    // Those that wait for a request are closed, those that have one answer it first.
    let _ = timeout(grace, connections.shutdown()).await;
    // The tasks of connections that are left end with the runtime. Each has a share of the count.
    Ok(Served { requests: requests.get(), cut_off: Rc::strong_count(&requests) - 1 })
}

struct Stop;

/// Accepts connections for as long as it is polled.
async fn accept(
    listener: &TcpListener,
    connections: &GracefulShutdown,
    requests: &Rc<Cell<u64>>,
) -> Result<Infallible, Stop> {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = connection(stream, requests.clone());
                // A client that goes away in the middle is its own affair.
                spawn(connections.watch(connection)).detach();
            }
            Err(error) => {
                // Most likely the process has no file descriptor left: some connections must end first.
                complain!("http_server: cannot accept: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

type Answer = Response<Either<Full<Bytes>, Slow>>;

fn connection(
    stream: TcpStream,
    requests: Rc<Cell<u64>>,
) -> impl hyper_util::server::graceful::GracefulConnection<Output = hyper::Result<()>> {
    let service = service_fn(move |request| {
        requests.set(requests.get() + 1);
        std::future::ready(Ok::<_, Infallible>(answer(&request)))
    });
    http1::Builder::new()
        .timer(gather::hyper::Timer)
        .header_read_timeout(Duration::from_secs(10))
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
