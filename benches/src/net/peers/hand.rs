//! The floor of the network's rows, on epoll itself; and the servers by hand for all clients.
//!
//! Edge-triggered where that spares a call, one registration for a connection's life, a read for
//! an event: a short message comes in one piece, and what fills less than the buffer has emptied
//! the socket. A closed socket leaves epoll by itself.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with, sockopt};

use super::ANY_PORT;
use crate::net::fan_out::AT_ONCE;
use crate::net::{BUFFER_SIZE, MESSAGE, announce};

/// How many events are taken at once.
const EVENTS: usize = 1024;

/// What the listener's events say; those of connections have their place in the table.
const LISTENER: u64 = u64::MAX;

/// Serves without end: `answer` to everything that comes, or what came if it is empty.
pub(in crate::net) fn serve(answer: &[u8]) {
    let listener = TcpListener::bind(ANY_PORT).expect("a port is free");
    listener.set_nonblocking(true).expect("a socket can be");
    // What is accepted has it, too: a client's end that was closed first is gone at once, and its
    // port free.
    sockopt::set_socket_linger(&listener, Some(Duration::ZERO)).expect("a socket can");
    announce(listener.local_addr().expect("it has one"));
    let mut connections: Vec<Option<TcpStream>> = Vec::new();
    let mut free = Vec::new();
    let mut buffer = [0; BUFFER_SIZE];
    let mut events = Vec::with_capacity(EVENTS);
    let epoll = new_epoll();
    add(&epoll, &listener, LISTENER, EventFlags::IN);
    loop {
        epoll::wait(&epoll, spare_capacity(&mut events), None).expect("no signal comes");
        for event in events.drain(..) {
            let place = event.data.u64();
            if place == LISTENER {
                accept(&listener, &epoll, &mut connections, &mut free);
            } else if !answer_one(connections[place as usize].as_ref(), answer, &mut buffer) {
                connections[place as usize] = None;
                free.push(place as usize);
            }
        }
    }
}

/// Accepts all who wait.
fn accept(
    listener: &TcpListener,
    epoll: &OwnedFd,
    connections: &mut Vec<Option<TcpStream>>,
    free: &mut Vec<usize>,
) {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("a server serves: {error}"),
        };
        stream.set_nonblocking(true).expect("a socket can be");
        let place = free.pop().unwrap_or_else(|| {
            connections.push(None);
            connections.len() - 1
        });
        add(epoll, &stream, place as u64, EventFlags::IN | EventFlags::ET);
        connections[place] = Some(stream);
    }
}

/// Reads once, and answers. Says whether the connection goes on.
fn answer_one(stream: Option<&TcpStream>, answer: &[u8], buffer: &mut [u8]) -> bool {
    let Some(mut stream) = stream else { return true };
    let length = match stream.read(buffer) {
        Ok(0) => return false,
        Ok(length) => length,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
        Err(_) => return false,
    };
    let answer = if answer.is_empty() { &buffer[..length] } else { answer };
    // The system has room for a short one.
    stream.write(answer).is_ok_and(|written| written == answer.len())
}

/// One of the connections that are made at a time.
struct Client {
    stream: TcpStream,
    /// Whether it has connected, and sent its message.
    has_sent: bool,
}

/// Makes so many connections.
pub(super) fn fan_out(server: SocketAddr) -> impl FnMut(usize) {
    let epoll = new_epoll();
    let mut buffer = [0; BUFFER_SIZE];
    let mut events = Vec::with_capacity(EVENTS);
    move |connections| {
        let mut left = connections;
        let mut clients: Vec<Option<Client>> =
            (0..AT_ONCE as u64).map(|place| start_one(&epoll, server, place, &mut left)).collect();
        let mut running = clients.iter().flatten().count();
        while running > 0 {
            epoll::wait(&epoll, spare_capacity(&mut events), None).expect("no signal comes");
            for event in events.drain(..) {
                let place = event.data.u64();
                let slot = &mut clients[place as usize];
                let Some(client) = slot else { continue };
                if !client.go_on(&mut buffer) {
                    continue;
                }
                *slot = None; // closed before the next is made
                *slot = start_one(&epoll, server, place, &mut left);
                running -= usize::from(slot.is_none());
            }
        }
    }
}

/// Begins the next connection, if one is left.
fn start_one(epoll: &OwnedFd, server: SocketAddr, place: u64, left: &mut usize) -> Option<Client> {
    *left = left.checked_sub(1)?;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, Some(ipproto::TCP))
        .expect("there are descriptors");
    match connect(&socket, &server) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => panic!("the server listens: {error}"),
    }
    add(epoll, &socket, place, EventFlags::IN | EventFlags::OUT | EventFlags::ET);
    Some(Client { stream: socket.into(), has_sent: false })
}

impl Client {
    /// Does what an event allows, and says whether the answer is there.
    fn go_on(&mut self, buffer: &mut [u8]) -> bool {
        if !self.has_sent {
            // An error of the connection comes out here.
            assert_eq!(self.stream.write(&MESSAGE).expect("the server listens"), MESSAGE.len());
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

fn new_epoll() -> OwnedFd {
    epoll::create(epoll::CreateFlags::CLOEXEC).expect("epoll is there")
}

fn add(epoll: &OwnedFd, socket: impl AsFd, place: u64, flags: EventFlags) {
    epoll::add(epoll, socket, EventData::new_u64(place), flags).expect("there is room for it");
}
