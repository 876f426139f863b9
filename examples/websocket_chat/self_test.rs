//! Many clients that talk to the server in the same runtime.

use std::net::SocketAddr;
use std::time::Duration;

use async_tungstenite::tungstenite::Message;
use futures_util::StreamExt;
use gather::gather;

use crate::{AnyError, WELCOME, connect, next_text};

/// How many clients may test the server. Each takes two descriptors of this process, of which many
/// systems give 1024; and a server keeps `KEPT` messages, which all of them have to hear.
pub(crate) const CLIENTS: usize = 500;

/// How long they may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Frames that the protocol forbids, each with the close code that it must have.
pub(crate) const BROKEN: [(&[u8], u16); 4] = [
    (b"\x83\x80mask", 1002),                            // there is no such kind of frame
    (b"\x81\x05hello", 1002),                           // a client must mask what it sends
    (b"\x81\x82\0\0\0\0\xff\xfe", 1007),                // a text that is not UTF-8
    (b"\x81\xff\0\0\0\0\0\x10\0\0mask and more", 1009), // the length: a megabyte
];

/// All clients come, each says something, and each has to hear all; and those that break the
/// protocol are told so.
pub(crate) async fn run(server: SocketAddr, clients: usize) -> Result<(), AnyError> {
    let sockets = gather((0..clients).map(async |_| {
        let (sender, mut receiver) = connect(server).await?.split();
        match next_text(&mut receiver).await? {
            Some(text) if text == WELCOME => Ok::<_, AnyError>((sender, receiver)),
            other => Err(format!("instead of a welcome came {other:?}").into()),
        }
    }));
    let sockets = sockets.await?;
    let talks = sockets.into_iter().enumerate().map(async |(number, (mut sender, mut receiver))| {
        sender.send(Message::text(format!("I am {number}"))).await?;
        let mut heard = Vec::new();
        while heard.len() < clients {
            heard.push(next_text(&mut receiver).await?.ok_or("the server has closed")?);
        }
        heard.sort();
        heard.dedup();
        if heard.len() < clients || heard.iter().any(|text| !text.starts_with("I am ")) {
            return Err(AnyError::from(format!("client {number} heard {heard:?}")));
        }
        sender.send(Message::Close(None)).await?;
        while next_text(&mut receiver).await?.is_some() {}
        Ok(())
    });
    gather(talks).await?;
    gather(BROKEN.map(|(frame, code)| break_protocol(server, frame, code))).await?;
    Ok(())
}

async fn break_protocol(server: SocketAddr, frame: &[u8], code: u16) -> Result<(), AnyError> {
    let mut socket = connect(server).await?;
    socket.get_ref().write_all(frame).await?;
    while let Some(message) = socket.next().await {
        if let Message::Close(Some(close)) = message? {
            return match u16::from(close.code) {
                came if came == code => Ok(()),
                came => Err(format!("{frame:?} was closed with {came} instead of {code}").into()),
            };
        }
    }
    Err(format!("{frame:?} was closed without a code").into())
}
