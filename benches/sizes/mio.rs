//! An echo server on mio alone, by hand: no tasks, and an answer that does not go out at once ends
//! its connection.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(0);

fn main() -> std::io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut listener = TcpListener::bind(([127, 0, 0, 1], 7000).into())?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut streams = HashMap::new();
    let mut last = LISTENER;
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() != LISTENER {
                if !streams.get_mut(&event.token()).is_some_and(echo) {
                    streams.remove(&event.token());
                }
                continue;
            }
            while let Ok((mut stream, _)) = listener.accept() {
                last = Token(last.0 + 1);
                poll.registry().register(&mut stream, last, Interest::READABLE)?;
                streams.insert(last, stream);
            }
        }
    }
}

/// Sends back what has come; says whether the connection is still good.
fn echo(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(length) if stream.write_all(&buffer[..length]).is_err() => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}
