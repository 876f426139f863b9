//! gRPC by tonic, client and server, over hyper's HTTP/2 on our streams. tonic's own transport
//! needs tokio; its `client::Grpc` takes any service that sends requests, and its `server::Grpc`
//! answers them. The messages are plain text here: what protoc would generate is no matter of the
//! runtime.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut};
use futures_util::StreamExt;
use futures_util::stream::{self, Stream};
use gather::hyper::{Executor, Timer};
use gather::{TcpStream, gather, run, sleep, spawn};
use gather_ecosystem::serve;
use gather_tests::watchdog::finishes;
use gather_tests::witness::Witness;
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::http::uri::PathAndQuery;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Status};
use tower_service::Service;

/// A message is a text.
#[derive(Clone, Copy, Default)]
struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Text;
    type Decoder = Text;

    fn encoder(&mut self) -> Text {
        Text
    }

    fn decoder(&mut self) -> Text {
        Text
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining()).to_vec();
        String::from_utf8(bytes).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

// ---- the client

/// One connection of HTTP/2, as tonic's client wants it.
#[derive(Clone)]
struct Channel(SendRequest<Body>);

impl Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

type Client = tonic::client::Grpc<Channel>;

async fn connect(server: SocketAddr) -> Client {
    let stream = TcpStream::connect(server).await.unwrap();
    let (sender, connection) = handshake(Executor, stream).await.unwrap();
    spawn(async { drop(connection.await) }).detach();
    tonic::client::Grpc::with_origin(Channel(sender), format!("http://{server}").parse().unwrap())
}

/// Asks for one text.
async fn greet(client: &Client, name: &str) -> Result<String, Status> {
    let mut client = client.clone();
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/test.Greeter/Greet");
    Ok(client.unary(tonic::Request::new(name.to_owned()), path, Text).await?.into_inner())
}

/// Asks for a stream of texts.
async fn count(client: &Client, to: &str) -> Result<tonic::Streaming<String>, Status> {
    let mut client = client.clone();
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/test.Greeter/Count");
    Ok(client.server_streaming(tonic::Request::new(to.to_owned()), path, Text).await?.into_inner())
}

// ---- the server

/// Both methods. `seen` witnesses the end of a stream.
#[derive(Clone)]
struct Greeter {
    seen: Witness,
}

type Texts = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;

impl Service<tonic::Request<String>> for Greeter {
    type Response = tonic::Response<String>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<String>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: tonic::Request<String>) -> Self::Future {
        Box::pin(async move {
            sleep(std::time::Duration::from_millis(1)).await;
            match request.into_inner().as_str() {
                "" => Err(Status::invalid_argument("nobody is to be greeted")),
                name => Ok(tonic::Response::new(format!("hello, {name}"))),
            }
        })
    }
}

/// The method that gives a stream, which is another service of tonic's.
struct Counter(Greeter);

impl Service<tonic::Request<String>> for Counter {
    type Response = tonic::Response<Texts>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Texts>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: tonic::Request<String>) -> Self::Future {
        let guard = self.0.seen.guard();
        Box::pin(async move {
            let to: u64 = request.into_inner().parse().map_err(|_| Status::invalid_argument("a number"))?;
            let texts = stream::iter(0..to).map(move |number| {
                let _guard = &guard;
                Ok(number.to_string())
            });
            Ok(tonic::Response::new(Box::pin(texts) as Texts))
        })
    }
}

async fn start(seen: &Witness) -> (SocketAddr, gather::Task<()>) {
    let greeter = Greeter { seen: seen.clone() };
    serve(move |stream| {
        let greeter = greeter.clone();
        let answers = service_fn(move |request: Request<Incoming>| {
            let greeter = greeter.clone();
            async move {
                let mut grpc = tonic::server::Grpc::new(Text);
                Ok::<_, Infallible>(match request.uri().path() {
                    "/test.Greeter/Greet" => grpc.unary(greeter, request).await,
                    "/test.Greeter/Count" => grpc.server_streaming(Counter(greeter), request).await,
                    _ => Status::unimplemented("no such method").into_http(),
                })
            }
        });
        http2::Builder::new(Executor).timer(Timer).serve_connection(stream, answers)
    })
    .await
}

#[test]
fn gathered_calls_over_one_connection_get_their_own_answers_and_errors() {
    finishes(|| {
        run(async {
            let (address, _server) = start(&Witness::new()).await;
            let client = connect(address).await;
            let names = ["ann", "", "bob", "cay"].repeat(25);
            let answers = gather(names.iter().map(|name| greet(&client, name))).capture().await;
            let answers = answers.into_iter().map(|answer| answer.map_err(|status| status.code()));
            let expected = names.iter().map(|name| match *name {
                "" => Err(Code::InvalidArgument),
                name => Ok(format!("hello, {name}")),
            });
            assert!(answers.eq(expected));
        });
    });
}

#[test]
fn a_stream_of_messages_comes_in_order_and_ends() {
    finishes(|| {
        run(async {
            let (address, _server) = start(&Witness::new()).await;
            let client = connect(address).await;
            let sums = gather([0_u64, 1, 20_000].map(async |to| {
                let mut texts = count(&client, &to.to_string()).await?;
                let mut expected = 0;
                while let Some(text) = texts.message().await? {
                    assert_eq!(text, expected.to_string());
                    expected += 1;
                }
                Ok::<_, Status>(expected)
            }));
            assert_eq!(sums.await.unwrap(), [0, 1, 20_000]);
        });
    });
}

#[test]
fn the_server_stops_a_stream_that_its_client_drops() {
    finishes(|| {
        run(async {
            let seen = Witness::new();
            let (address, _server) = start(&seen).await;
            let client = connect(address).await;
            let mut texts = count(&client, &u64::MAX.to_string()).await.unwrap();
            assert_eq!(texts.message().await.unwrap().as_deref(), Some("0"));
            assert_eq!(seen.drops(), 0);
            drop(texts);
            while seen.drops() == 0 {
                greet(&client, "ann").await.unwrap(); // the connection goes on
            }
        });
    });
}
