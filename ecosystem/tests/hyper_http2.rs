//! hyper's HTTP/2: it spawns tasks of its own by our `Executor`, and its keep-alive runs on our
//! `Timer`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gather::hyper::{Executor, Timer};
use gather::{TcpStream, gather, run, spawn};
use gather_ecosystem::{ask, echo, read, serve};
use gather_tests::watchdog::finishes;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use tokio::sync::Barrier;

async fn connect(server: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(server).await.unwrap();
    let (sender, connection) = Builder::new(Executor).timer(Timer).handshake(stream).await.unwrap();
    spawn(async { drop(connection.await) }).detach();
    sender
}

#[test]
fn gathered_requests_share_one_connection_and_are_served_side_by_side() {
    const REQUESTS: usize = 100;
    finishes(|| {
        run(async {
            let connections = Arc::new(AtomicUsize::new(0));
            let counted = connections.clone();
            // No request is answered before all have come.
            let all_are_here = Arc::new(Barrier::new(REQUESTS));
            let (address, _server) = serve(move |stream| {
                counted.fetch_add(1, Ordering::Relaxed);
                let all_are_here = all_are_here.clone();
                let service = service_fn(move |request| {
                    let all_are_here = all_are_here.clone();
                    async move {
                        all_are_here.wait().await;
                        echo(request).await
                    }
                });
                http2::Builder::new(Executor).timer(Timer).serve_connection(stream, service)
            })
            .await;
            let sender = connect(address).await;
            let answers = gather((0..REQUESTS).map(async |number| {
                let uri = format!("http://{address}/{number}");
                let response = sender.clone().send_request(ask(&uri, "hello")).await?;
                read(response.into_body()).await
            }))
            .await
            .unwrap();
            let expected = (0..REQUESTS).map(|number| format!("/{number} hello"));
            assert!(answers.into_iter().eq(expected));
            assert_eq!(connections.load(Ordering::Relaxed), 1);
        });
    });
}

#[test]
fn bodies_larger_than_the_window_of_the_connection_go_both_ways() {
    finishes(|| {
        run(async {
            let (address, _server) = serve(|stream| {
                http2::Builder::new(Executor).timer(Timer).serve_connection(stream, service_fn(echo))
            })
            .await;
            let sender = connect(address).await;
            let lengths = gather([1_usize, 70_000, 3 << 20].map(async |length| {
                let uri = format!("http://{address}/");
                let response = sender.clone().send_request(ask(&uri, vec![b'x'; length])).await?;
                Ok::<_, hyper::Error>(read(response.into_body()).await?.len() - "/ ".len())
            }))
            .await
            .unwrap();
            assert_eq!(lengths, [1, 70_000, 3 << 20]);
        });
    });
}

#[test]
fn a_peer_that_answers_no_ping_is_given_up_after_the_time_for_that() {
    finishes(|| {
        run(async {
            // It takes the connection and says nothing.
            let (address, _server) = serve(|stream| async move {
                let _stream = stream;
                std::future::pending::<()>().await
            })
            .await;
            let stream = TcpStream::connect(address).await.unwrap();
            let (_sender, connection) = Builder::new(Executor)
                .timer(Timer)
                .keep_alive_interval(Duration::from_millis(10))
                .keep_alive_timeout(Duration::from_millis(10))
                .keep_alive_while_idle(true)
                .handshake::<_, Full<Bytes>>(stream)
                .await
                .unwrap();
            let error = connection.await.unwrap_err();
            assert!(error.is_timeout(), "{error:?}");
        });
    });
}
