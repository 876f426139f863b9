//! A loop by hand on mio, as its documentation shows it: what ours and tokio stand on, without a
//! runtime on top.
//!
//! It does what the floor does, but reads until the system says that nothing is left only where
//! mio asks for that: after a read that fills its buffer. Its sockets are deregistered before they
//! are closed.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::ANY_PORT;
use crate::net::fan_out::AT_ONCE;
use crate::net::{BUFFER_SIZE, MESSAGE, announce};

/// How many events are taken at once.
const EVENTS: usize = 1024;

/// The listener's; those of connections have their place in the table.
const LISTENER: Token = Token(usize::MAX);

/// Serves echo without end.
pub(super) fn serve_echo() {
    let mut poll = Poll::new().expect("epoll is there");
    let mut listener = TcpListener::bind(ANY_PORT).expect("a port is free");
    announce(listener.local_addr().expect("it has one"));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).expect("there is room for it");
    let mut connections: Vec<Option<TcpStream>> = Vec::new();
    let mut buffer = [0; BUFFER_SIZE];
    let mut events = Events::with_capacity(EVENTS);
    loop {
        poll.poll(&mut events, None).expect("no signal comes");
        for event in &events {
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut connections);
                continue;
            }
            let slot = &mut connections[event.token().0];
            let goes_on = slot.as_ref().is_none_or(|stream| echo_one(stream, &mut buffer));
            if let (false, Some(mut stream)) = (goes_on, slot.take_if(|_| !goes_on)) {
                poll.registry().deregister(&mut stream).expect("it was registered");
            }
        }
    }
}

/// Accepts all who wait.
fn accept(listener: &TcpListener, poll: &Poll, connections: &mut Vec<Option<TcpStream>>) {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("a server serves: {error}"),
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry()
            .register(&mut stream, Token(connections.len()), interest)
            .expect("there is room for it");
        connections.push(Some(stream));
    }
}

/// Reads once, and sends it back. Says whether the connection goes on.
fn echo_one(mut stream: &TcpStream, buffer: &mut [u8]) -> bool {
    match stream.read(buffer) {
        Ok(0) => false,
        // The system has room for a short one.
        Ok(length) => stream.write(&buffer[..length]).is_ok_and(|written| written == length),
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

/// One of the connections that are made at a time.
struct Client {
    stream: TcpStream,
    /// Whether it has connected, and sent its message.
    has_sent: bool,
}

/// Makes so many connections.
pub(super) fn fan_out(server: SocketAddr) -> impl FnMut(usize) {
    let mut poll = Poll::new().expect("epoll is there");
    let mut buffer = [0; BUFFER_SIZE];
    let mut events = Events::with_capacity(EVENTS);
    move |connections| {
        let mut left = connections;
        let mut clients: Vec<Option<Client>> =
            (0..AT_ONCE).map(|place| start_one(&poll, server, place, &mut left)).collect();
        let mut running = clients.iter().flatten().count();
        while running > 0 {
            poll.poll(&mut events, None).expect("no signal comes");
            for event in &events {
                let slot = &mut clients[event.token().0];
                let Some(client) = slot else { continue };
                if !client.go_on(&mut buffer) {
                    continue;
                }
                poll.registry().deregister(&mut client.stream).expect("it was registered");
                *slot = None; // closed before the next is made
                *slot = start_one(&poll, server, event.token().0, &mut left);
                running -= usize::from(slot.is_none());
            }
        }
    }
}

/// Begins the next connection, if one is left.
fn start_one(poll: &Poll, server: SocketAddr, place: usize, left: &mut usize) -> Option<Client> {
    *left = left.checked_sub(1)?;
    let mut stream = TcpStream::connect(server).expect("there are descriptors");
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut stream, Token(place), interest).expect("there is room for it");
    Some(Client { stream, has_sent: false })
}

impl Client {
    /// Does what an event allows, and says whether the answer is there.
    fn go_on(&mut self, buffer: &mut [u8]) -> bool {
        if !self.has_sent {
            // What mio's documentation asks for before a new connection is used.
            assert!(self.stream.take_error().expect("the system says").is_none(), "the server listens");
            if self.stream.peer_addr().is_err() {
                return false;
            }
            assert_eq!(self.stream.write(&MESSAGE).expect("the server reads"), MESSAGE.len());
            self.has_sent = true;
            return false;
        }
        match self.stream.read(buffer) {
            Ok(length) => {
                assert_eq!(length, MESSAGE.len());
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => panic!("the server answers: {error}"),
        }
    }
}
