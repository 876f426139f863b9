//! hyper-util: the client that keeps connections in a pool, the server that speaks both versions
//! of HTTP, and the end of a server that lets its connections finish.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use gather::hyper::{Executor, Timer};
use gather::{TcpStream, gather, run, spawn, timeout};
use gather_ecosystem::{ask, echo, read, serve};
use gather_tests::gate::Gate;
use gather_tests::watchdog::finishes;
use gather_tests::witness::on_drop;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Uri, Version};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tower_service::Service;

/// Our stream, with the one trait of hyper-util: all that the pool needs.
struct Pooled(TcpStream);

impl Connection for Pooled {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Pooled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for Pooled {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Connects to the one server, whatever the URI says.
#[derive(Clone)]
struct Connector(SocketAddr);

impl Service<Uri> for Connector {
    type Response = Pooled;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Pooled>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let server = self.0;
        Box::pin(async move { TcpStream::connect(server).await.map(Pooled) })
    }
}

fn pool() -> Builder {
    let mut builder = Client::builder(Executor);
    builder.timer(Timer).pool_timer(Timer);
    builder
}

#[test]
fn the_pool_uses_a_connection_again() {
    const LIMIT: usize = 8;
    finishes(|| {
        run(async {
            let connections = Arc::new(AtomicUsize::new(0));
            let counted = connections.clone();
            let (address, _server) = serve(move |stream| {
                counted.fetch_add(1, Ordering::Relaxed);
                http1::Builder::new().serve_connection(stream, service_fn(echo))
            })
            .await;
            let client: Client<_, Full<Bytes>> = pool().build(Connector(address));
            let answers = gather((0..400).map(async |number| {
                let request = ask(&format!("http://localhost/{number}"), "");
                let response = client.request(request).await.unwrap();
                read(response.into_body()).await
            }))
            .limit(LIMIT)
            .await
            .unwrap();
            assert!(answers.into_iter().eq((0..400).map(|number| format!("/{number} "))));
            // It may open one that in the end is not needed for each that is: see
            // `examples/load_test/client.rs`.
            let connections = connections.load(Ordering::Relaxed);
            assert!(connections <= 2 * LIMIT, "{connections} connections");
        });
    });
}

#[test]
fn the_pool_closes_a_connection_that_was_idle_for_too_long() {
    finishes(|| {
        run(async {
            let closed = Gate::new();
            let ends = closed.clone();
            let (address, _server) = serve(move |stream| {
                let ends = ends.clone();
                async move {
                    let _end = on_drop(move || ends.open());
                    drop(http1::Builder::new().serve_connection(stream, service_fn(echo)).await);
                }
            })
            .await;
            let client: Client<_, Full<Bytes>> =
                pool().pool_idle_timeout(Duration::from_millis(20)).build(Connector(address));
            let response = client.request(ask("http://localhost/", "")).await.unwrap();
            assert_eq!(read(response.into_body()).await.unwrap(), "/ ");
            closed.pass().await; // while the client is alive
            drop(client);
        });
    });
}

#[test]
fn one_server_speaks_both_versions() {
    finishes(|| {
        run(async {
            let (address, _server) = serve(|stream| async {
                let server = auto::Builder::new(Executor);
                drop(server.serve_connection(stream, service_fn(echo)).await);
            })
            .await;
            let http1: Client<_, Full<Bytes>> = pool().build(Connector(address));
            let http2: Client<_, Full<Bytes>> = pool().http2_only(true).build(Connector(address));
            let versions = gather((0..50).map(async |number| {
                let client = if number % 2 == 0 { &http1 } else { &http2 };
                let response = client.request(ask("http://localhost/both", "")).await.unwrap();
                let version = response.version();
                assert_eq!(read(response.into_body()).await?, "/both ");
                Ok::<_, hyper::Error>(version)
            }))
            .await
            .unwrap();
            assert!(versions.chunks(2).all(|pair| pair == [Version::HTTP_11, Version::HTTP_2]));
        });
    });
}

#[test]
fn a_server_that_ends_lets_a_request_finish_and_closes_what_is_idle() {
    finishes(|| {
        run(async {
            let graceful = Rc::new(GracefulShutdown::new());
            let (watcher, came, goes_on) = (graceful.clone(), Gate::new(), Gate::new());
            let (comes, waits) = (came.clone(), goes_on.clone());
            let (address, server) = serve(move |stream| {
                let (comes, waits) = (comes.clone(), waits.clone());
                let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let (comes, waits) = (comes.clone(), waits.clone());
                    async move {
                        if request.uri() == "/slow" {
                            comes.open();
                            waits.pass().await;
                        }
                        echo(request).await
                    }
                });
                watcher.watch(http1::Builder::new().serve_connection(stream, service))
            })
            .await;
            let client: Client<_, Full<Bytes>> = pool().build(Connector(address));
            // One connection that stays in the pool, and one that is busy.
            let response = client.request(ask("http://localhost/", "")).await.unwrap();
            assert_eq!(read(response.into_body()).await.unwrap(), "/ ");
            let slow: Client<_, Full<Bytes>> = pool().build(Connector(address));
            let slow = spawn(async move {
                let response = slow.request(ask("http://localhost/slow", "")).await.unwrap();
                read(response.into_body()).await.unwrap()
            });
            came.pass().await;
            drop(server); // no new ones
            let graceful = Rc::into_inner(graceful).expect("the server is gone");
            let mut ends = Box::pin(graceful.shutdown());
            assert!(timeout(Duration::from_millis(20), &mut ends).await.is_err(), "one is not finished");
            goes_on.open();
            assert_eq!(slow.await.unwrap(), "/slow ");
            ends.await;
        });
    });
}
