//! The server that is there when no `--url` names another: hyper's HTTP/1.1 on this runtime.
//!
//! It has a thread and a runtime of its own. In the runtime of the client its work would stand in
//! the middle of the client's latencies, and every figure would be that of two programs. It still
//! shares the machine with the client.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use gather::{TcpListener, sleep, spawn};
use gather_examples::output::start_thread;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, Uri};

/// What every request is answered with.
const BODY: Bytes = Bytes::from_static(&[b'g'; 1024]);

/// Starts the server on a free port of the loopback interface, and gives its URL. It ends with the
/// process.
pub(crate) fn start() -> io::Result<Uri> {
    let (sender, receiver) = mpsc::channel();
    let server = async move {
        match listen().await {
            Ok((listener, address)) => {
                sender.send(Ok(address)).expect("the client waits for the address");
                serve(&listener).await
            }
            Err(error) => sender.send(Err(error)).expect("the client waits for the error"),
        }
    };
    start_thread("server".into(), || gather::run(server))?;
    let address = receiver.recv().expect("the server sends one of the two")?;
    Ok(format!("http://{address}/").parse().expect("an address makes a URL"))
}

async fn listen() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn serve(listener: &TcpListener) -> ! {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let answer = service_fn(async |_| Ok::<_, Infallible>(Response::new(Full::new(BODY))));
                let connection =
                    http1::Builder::new().timer(gather::hyper::Timer).serve_connection(stream, answer);
                // A client that goes away in the middle is its own affair.
                spawn(async { drop(connection.await) }).detach();
            }
            // Most likely the process has no file descriptor left: some connections must end
            // first.
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}
