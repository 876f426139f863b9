//! WebSockets by async-tungstenite, over the traits of futures (feature `futures-io`).

use std::net::SocketAddr;

use async_tungstenite::tungstenite::{Error, Message};
use async_tungstenite::{WebSocketStream, accept_async, client_async};
use futures_util::StreamExt;
use gather::{TcpStream, gather, run};
use gather_ecosystem::serve;
use gather_tests::watchdog::finishes;

async fn connect(server: SocketAddr) -> Result<WebSocketStream<TcpStream>, Error> {
    let stream = TcpStream::connect(server).await.expect("the server listens");
    Ok(client_async(format!("ws://{server}/"), stream).await?.0)
}

/// Sends back texts and bytes, until the client closes.
async fn echo(stream: TcpStream) -> Result<(), Error> {
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

#[test]
fn gathered_clients_exchange_messages_of_any_length_and_close_in_order() {
    finishes(|| {
        run(async {
            let (address, _server) = serve(echo).await;
            let lengths = [0, 125, 126, 65_535, 65_536, 1 << 20]; // where the frame's head changes, and much
            let clients = gather((0..30).map(async |number: usize| {
                let mut socket = connect(address).await?;
                let length = lengths[number % lengths.len()];
                for message in
                    [Message::text("x".repeat(length)), Message::binary(vec![number as u8; length])]
                {
                    socket.send(message.clone()).await?;
                    assert!(socket.next().await.expect("open")? == message);
                }
                socket.send(Message::Ping("alive?".into())).await?;
                assert_eq!(socket.next().await.expect("open")?, Message::Pong("alive?".into()));
                socket.close(None).await?;
                assert!(socket.next().await.expect("the answer to the close")?.is_close());
                assert!(socket.next().await.is_none());
                Ok::<_, Error>(number)
            }))
            .limit(10)
            .await
            .unwrap();
            assert!(clients.into_iter().eq(0..30));
        });
    });
}

#[test]
fn the_two_halves_of_a_socket_work_in_two_children_of_a_gather() {
    const MESSAGES: usize = 1000;
    finishes(|| {
        run(async {
            let (address, _server) = serve(echo).await;
            let (mut sender, mut receiver) = connect(address).await.unwrap().split();
            let sends = async {
                for number in 0..MESSAGES {
                    sender.send(Message::text(number.to_string())).await?;
                }
                Ok(())
            };
            let receives = async {
                for number in 0..MESSAGES {
                    let message = receiver.next().await.expect("open")?;
                    assert_eq!(message, Message::text(number.to_string()));
                }
                Ok::<_, Error>(())
            };
            gather::gather!(sends, receives).await.unwrap();
        });
    });
}

#[test]
fn a_client_that_goes_without_a_word_ends_the_server_with_an_error() {
    finishes(|| {
        run(async {
            let (ended, result) = async_channel::unbounded();
            let (address, _server) = serve(move |stream| {
                let ended = ended.clone();
                async move { ended.send(echo(stream).await).await }
            })
            .await;
            drop(connect(address).await.unwrap());
            let error = result.recv().await.unwrap().unwrap_err();
            assert!(matches!(error, Error::Protocol(_) | Error::Io(_)), "{error:?}");
        });
    });
}
