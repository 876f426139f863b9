//! The server: a task for each client.

use std::net::Shutdown;
use std::time::Duration;

use async_tungstenite::tungstenite::error::ProtocolError;
use async_tungstenite::tungstenite::protocol::CloseFrame;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::{self, Message};
use async_tungstenite::{WebSocketSender, accept_async_with_config};
use gather::{TcpListener, TcpStream, sleep, spawn, timeout};
use gather_examples::complain;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::{AnyError, HANDSHAKE, WELCOME, config, next_text};

/// How many messages are kept for who is slow.
const KEPT: usize = 1024;

/// How long a client that is cut off may take to hear that.
const GOODBYE: Duration = Duration::from_secs(5);

/// Accepts connections for as long as it is polled.
pub(crate) async fn serve(listener: TcpListener) -> ! {
    let said = broadcast::Sender::new(KEPT);
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                let said = said.clone();
                spawn(async move {
                    if let Err(error) = converse(stream, said).await {
                        complain!("websocket_chat: {address}: {error}");
                    }
                })
                .detach();
            }
            Err(error) => {
                // Most likely the process has no file descriptor left: some connections must end
                // first.
                complain!("websocket_chat: cannot accept: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One direction has come to its end, or failed.
enum End {
    Closed,
    Failed(AnyError),
}

impl<E: Into<AnyError>> From<E> for End {
    fn from(error: E) -> End {
        End::Failed(error.into())
    }
}

/// One client: what it says goes to all, and what all say to it, until it closes.
async fn converse(stream: TcpStream, said: broadcast::Sender<String>) -> Result<(), AnyError> {
    let mut hears = said.subscribe();
    let shake_hands = timeout(HANDSHAKE, accept_async_with_config(&stream, Some(config())));
    let (mut sender, mut receiver) = shake_hands.await??.split();
    sender.send(Message::text(WELCOME)).await?;
    let listens = async {
        while let Some(text) = next_text(&mut receiver).await? {
            let _ = said.send(text); // at least this client hears it
        }
        Err::<(), _>(End::Closed)
    };
    let tells = async {
        loop {
            let text = match hears.recv().await {
                Ok(text) => text,
                Err(RecvError::Lagged(count)) => format!("(you have missed {count} messages)"),
                Err(RecvError::Closed) => return Err::<(), _>(End::Closed),
            };
            sender.send(Message::text(text)).await?;
        }
    };
    let error = match gather::gather!(listens, tells).await {
        Ok(_) | Err(End::Closed) => return Ok(()),
        Err(End::Failed(error)) => error,
    };
    if let Some(code) = error.downcast_ref().and_then(close_code) {
        // The first error is the one to report.
        let _ = timeout(GOODBYE, cut_off(&stream, sender, code)).await;
    }
    Err(error)
}

/// Why a client is cut off, if it is to blame.
fn close_code(error: &tungstenite::Error) -> Option<CloseCode> {
    match error {
        tungstenite::Error::Capacity(_) => Some(CloseCode::Size),
        tungstenite::Error::Utf8(_) => Some(CloseCode::Invalid),
        // It is gone.
        tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        tungstenite::Error::Protocol(_) => Some(CloseCode::Protocol),
        _ => None,
    }
}

/// Tells a client why it is cut off, and reads what it still sends: closing a socket that has
/// something to read resets the connection, and then the client may not see the reason.
async fn cut_off(
    stream: &TcpStream,
    mut sender: WebSocketSender<&TcpStream>,
    code: CloseCode,
) -> Result<(), AnyError> {
    sender.close(Some(CloseFrame { code, reason: "".into() })).await?;
    stream.shutdown(Shutdown::Write)?;
    let mut rest = [0; 4096];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}
