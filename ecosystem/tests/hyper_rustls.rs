//! HTTPS: hyper over rustls over our streams, with the version that the two ends agree on in the
//! handshake (ALPN). `TokioIo` of hyper-util turns the traits of tokio-rustls into hyper's.

use std::net::SocketAddr;

use gather::hyper::{Executor, Timer};
use gather::{TcpStream, gather, run, spawn};
use gather_ecosystem::{NAME, Tls, ask, echo, read, serve};
use gather_tests::watchdog::finishes;
use http_body_util::Full;
use hyper::Version;
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use rustls::pki_types::ServerName;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The body of each request: more than a record of TLS, and than a window of HTTP/2.
const LENGTH: usize = 100_000;

async fn start(tls: &Tls) -> (SocketAddr, gather::Task<()>) {
    let acceptor = TlsAcceptor::from(tls.server.clone());
    serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let stream = TokioIo::new(acceptor.accept(stream).await.unwrap());
            let mut server = auto::Builder::new(Executor);
            server.http2().timer(Timer);
            drop(server.serve_connection(stream, service_fn(echo)).await);
        }
    })
    .await
}

async fn connect(server: SocketAddr, tls: &Tls) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(server).await.unwrap();
    let name = ServerName::try_from(NAME).unwrap();
    TlsConnector::from(tls.client.clone()).connect(name, stream).await.unwrap()
}

#[test]
fn http2_goes_over_one_connection_of_tls() {
    finishes(|| {
        run(async {
            let tls = Tls::new(&[b"h2"]);
            let (address, _server) = start(&tls).await;
            let stream = connect(address, &tls).await;
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let (sender, connection) = http2::handshake(Executor, TokioIo::new(stream)).await.unwrap();
            spawn(async { drop(connection.await) }).detach();
            let answers = gather((0..50).map(async |number| {
                let body = vec![b'x'; LENGTH];
                let response =
                    sender.clone().send_request(ask(&format!("https://{NAME}/{number}"), body)).await?;
                assert_eq!(response.version(), Version::HTTP_2);
                Ok::<_, hyper::Error>(read(response.into_body()).await?.len())
            }));
            let lengths = answers.await.unwrap();
            let head = |number: usize| format!("/{number} ").len();
            assert!(lengths.into_iter().eq((0..50).map(|number| head(number) + LENGTH)));
        });
    });
}

#[test]
fn http1_goes_over_a_connection_of_tls_for_each_request() {
    finishes(|| {
        run(async {
            let tls = Tls::new(&[b"http/1.1"]);
            let (address, _server) = start(&tls).await;
            let answers = gather((0..30).map(async |number| {
                let stream = TokioIo::new(connect(address, &tls).await);
                let (mut sender, connection) = http1::handshake::<_, Full<Bytes>>(stream).await?;
                let _connection = spawn(connection);
                let response = sender.send_request(ask(&format!("/{number}"), "hello")).await?;
                assert_eq!(response.version(), Version::HTTP_11);
                read(response.into_body()).await
            }));
            let answers = answers.limit(10).await.unwrap();
            assert!(answers.into_iter().eq((0..30).map(|number| format!("/{number} hello"))));
        });
    });
}
