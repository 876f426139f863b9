//! hyper's HTTP/1.1: our streams have its traits (feature `hyper`), and its timeouts run on our
//! timers.

use std::time::Duration;

use gather::hyper::Timer;
use gather::{TcpStream, gather, run, spawn};
use gather_ecosystem::{ask, echo, read, serve};
use gather_tests::watchdog::finishes;
use gather_tests::witness::Witness;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};

/// A connection, and the task that drives it: dropping that closes it.
async fn connect(
    server: std::net::SocketAddr,
) -> hyper::Result<(SendRequest<Full<Bytes>>, gather::Task<hyper::Result<()>>)> {
    let stream = TcpStream::connect(server).await.expect("the server listens");
    let (sender, connection) = handshake(stream).await?;
    Ok((sender, spawn(connection)))
}

#[test]
fn gathered_requests_get_their_own_answers_in_order() {
    finishes(|| {
        run(async {
            let (address, _server) =
                serve(|stream| http1::Builder::new().serve_connection(stream, service_fn(echo))).await;
            let answers = gather((0..100).map(async |number: usize| {
                let (mut sender, _connection) = connect(address).await?;
                // From nothing to more than a socket takes at once, and twice over one connection.
                let body = vec![number as u8; number * number * 50];
                for path in ["/first", "/second"] {
                    let response = sender.send_request(ask(path, body.clone())).await?;
                    assert_eq!(response.status(), StatusCode::OK);
                    let answer = read(response.into_body()).await?;
                    assert_eq!(answer, [format!("{path} ").as_bytes(), &body].concat());
                    sender.ready().await?;
                }
                Ok::<_, hyper::Error>(number)
            }))
            .limit(16)
            .await
            .unwrap();
            assert!(answers.into_iter().eq(0..100));
        });
    });
}

#[cfg(unix)]
#[test]
fn a_unix_socket_will_do_and_a_reference_to_a_stream() {
    finishes(|| {
        run(async {
            let (client, server) = gather::UnixStream::pair().unwrap();
            let serves = http1::Builder::new().serve_connection(&server, service_fn(echo));
            let asks = async {
                let (mut sender, connection) = handshake::<_, Full<Bytes>>(client).await?;
                let _connection = spawn(connection); // it is closed when this is dropped, and then the server ends
                let response = sender.send_request(ask("/here", "hello")).await?;
                read(response.into_body()).await
            };
            let (answer, ()) = gather::gather!(asks, serves).await.unwrap();
            assert_eq!(answer, "/here hello");
        });
    });
}

#[test]
fn the_first_failure_closes_the_connections_of_the_other_requests() {
    const OTHERS: usize = 9;
    finishes(|| {
        run(async {
            let (began, all_began) = async_channel::unbounded();
            let (ended, all_ended) = async_channel::unbounded();
            let witness = Witness::new();
            let seen = witness.clone();
            let (address, _server) = serve(move |stream| {
                let (began, ended, all_began, seen) =
                    (began.clone(), ended.clone(), all_began.clone(), seen.clone());
                let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let (began, all_began, guard) = (began.clone(), all_began.clone(), seen.guard());
                    async move {
                        if request.uri() == "/fails" {
                            for _ in 0..OTHERS {
                                all_began.recv().await.unwrap();
                            }
                            return Ok(Response::new(Full::new(Bytes::new())));
                        }
                        began.send(()).await.unwrap();
                        let answer = std::future::pending::<hyper::Result<_>>().await;
                        drop(guard);
                        answer
                    }
                });
                async move {
                    let result = http1::Builder::new().serve_connection(stream, service).await;
                    ended.send(result.is_ok()).await.unwrap();
                }
            })
            .await;
            let error = gather((0..=OTHERS).map(async |number| {
                let (mut sender, _connection) = connect(address).await.map_err(|_| "no connection")?;
                let path = if number == 3 { "/fails" } else { "/waits" };
                sender.send_request(ask(path, "")).await.map_err(|_| "no answer")?;
                Err::<(), _>("it is answered, which is the failure")
            }))
            .await
            .unwrap_err();
            assert_eq!(error, "it is answered, which is the failure");
            for _ in 0..=OTHERS {
                all_ended.recv().await.unwrap();
            }
            assert_eq!(witness.drops(), OTHERS + 1, "the server has given up every request");
        });
    });
}

#[test]
fn a_client_that_does_not_finish_its_head_is_closed_after_the_time_for_that() {
    finishes(|| {
        run(async {
            let (ended, result) = async_channel::unbounded();
            let (address, _server) = serve(move |stream| {
                let ended = ended.clone();
                async move {
                    let result = http1::Builder::new()
                        .timer(Timer)
                        .header_read_timeout(Duration::from_millis(20))
                        .serve_connection(stream, service_fn(echo))
                        .await;
                    ended.send(result).await.unwrap();
                }
            })
            .await;
            let stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
            let error = result.recv().await.unwrap().unwrap_err();
            assert!(error.is_timeout(), "{error:?}");
            let mut buffer = [0; 100];
            while stream.read(&mut buffer).await.unwrap() > 0 {} // what it says before it closes
        });
    });
}
