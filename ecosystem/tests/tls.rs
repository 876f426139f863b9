//! TLS by rustls, over both families of traits: tokio-rustls (feature `tokio-io`) and
//! futures-rustls (`futures-io`), each against the other, so that neither makes good what the
//! other does wrong.

use std::io;
use std::net::SocketAddr;

use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use gather::{TcpStream, gather, run};
use gather_ecosystem::{NAME, Tls, serve};
use gather_tests::watchdog::finishes;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The lengths of what is sent: around that of a record, and more than a socket takes at once.
const LENGTHS: [usize; 6] = [0, 1, 16_383, 16_384, 16_385, 1 << 20];

fn name() -> ServerName<'static> {
    ServerName::try_from(NAME).unwrap()
}

fn message(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 + seed) as u8).collect()
}

/// Sends back what comes, by tokio-rustls.
async fn tokio_echo(stream: TcpStream, tls: Tls) -> io::Result<()> {
    let stream = tokio_rustls::TlsAcceptor::from(tls.server).accept(stream).await?;
    let (mut reader, mut writer) = tokio::io::split(stream);
    tokio::io::copy(&mut reader, &mut writer).await?;
    writer.shutdown().await
}

/// Sends back what comes, by futures-rustls.
async fn futures_echo(stream: TcpStream, tls: Tls) -> io::Result<()> {
    let stream = futures_rustls::TlsAcceptor::from(tls.server).accept(stream).await?;
    let (reader, mut writer) = futures_lite::io::split(stream);
    futures_lite::io::copy(reader, &mut writer).await?;
    writer.close().await
}

async fn tokio_ask(server: SocketAddr, tls: &Tls, message: &[u8]) -> io::Result<Vec<u8>> {
    let stream = TcpStream::connect(server).await?;
    let stream = tokio_rustls::TlsConnector::from(tls.client.clone()).connect(name(), stream).await?;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut answer = Vec::new();
    gather::gather!(
        async {
            writer.write_all(message).await?;
            writer.shutdown().await
        },
        reader.read_to_end(&mut answer)
    )
    .await?;
    Ok(answer)
}

async fn futures_ask(server: SocketAddr, tls: &Tls, message: &[u8]) -> io::Result<Vec<u8>> {
    let stream = TcpStream::connect(server).await?;
    let stream = futures_rustls::TlsConnector::from(tls.client.clone()).connect(name(), stream).await?;
    let (mut reader, mut writer) = futures_lite::io::split(stream);
    let mut answer = Vec::new();
    gather::gather!(
        async {
            writer.write_all(message).await?;
            writer.close().await
        },
        reader.read_to_end(&mut answer)
    )
    .await?;
    Ok(answer)
}

/// Sends messages of all lengths at once, over a connection each, and expects them back to the end
/// of the stream.
async fn check(ask: impl AsyncFn(&[u8]) -> io::Result<Vec<u8>>) {
    let messages: Vec<_> = LENGTHS.into_iter().enumerate().map(|(seed, l)| message(l, seed)).collect();
    let answers = gather(messages.iter().map(|message| ask(message))).await.unwrap();
    assert!(answers == messages);
}

#[test]
fn a_client_by_futures_and_a_server_by_tokios_traits_exchange_messages_and_close_in_order() {
    finishes(|| {
        run(async {
            let tls = Tls::new(&[]);
            let there = tls.clone();
            let (address, _server) = serve(move |stream| tokio_echo(stream, there.clone())).await;
            check(async |message: &[u8]| futures_ask(address, &tls, message).await).await;
        });
    });
}

#[test]
fn a_client_by_tokios_and_a_server_by_futures_traits_exchange_messages_and_close_in_order() {
    finishes(|| {
        run(async {
            let tls = Tls::new(&[]);
            let there = tls.clone();
            let (address, _server) = serve(move |stream| futures_echo(stream, there.clone())).await;
            check(async |message: &[u8]| tokio_ask(address, &tls, message).await).await;
        });
    });
}

#[test]
fn a_certificate_that_the_client_does_not_trust_fails_both_ends() {
    finishes(|| {
        run(async {
            let (shown, trusted) = (Tls::new(&[]), Tls::new(&[]));
            let (ended, result) = async_channel::unbounded();
            let (address, _server) = serve(move |stream| {
                let (shown, ended) = (shown.clone(), ended.clone());
                async move { ended.send(tokio_echo(stream, shown).await).await }
            })
            .await;
            let error = futures_ask(address, &trusted, b"secret").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
            result.recv().await.unwrap().unwrap_err();
        });
    });
}

// The server has one half of a handshake when it learns that no more comes.
#[test]
fn a_handshake_that_is_dropped_half_way_closes_the_connection() {
    finishes(|| {
        run(async {
            let tls = Tls::new(&[]);
            let (came, first_bytes) = async_channel::unbounded();
            let (address, _server) = serve(move |stream| {
                let came = came.clone();
                async move {
                    let mut hello = [0; 1];
                    stream.read_exact(&mut hello).await.unwrap();
                    came.send(()).await.unwrap();
                    // To the end, or to an error if the client has gone before it read all.
                    while !matches!(stream.read(&mut [0; 1000]).await, Ok(0) | Err(_)) {}
                    came.send(()).await.unwrap();
                }
            })
            .await;
            let shakes_hands = tokio_ask(address, &tls, b"");
            let gives_up = async {
                first_bytes.recv().await.unwrap();
                Err::<(), _>(io::Error::other("given up"))
            };
            let error = gather::gather!(shakes_hands, gives_up).await.unwrap_err();
            assert_eq!(error.to_string(), "given up");
            first_bytes.recv().await.unwrap(); // the end
        });
    });
}
