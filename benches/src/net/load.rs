//! The generator of load, the same for every server: connections that each send a request, wait
//! for the whole answer, and send the next. A loop by hand on epoll.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::fd::OwnedFd;

/// Connections to one server.
pub(super) struct Load {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    /// What each of them sends.
    request: &'static [u8],
    /// How long an answer is: as long as the first.
    answer_length: usize,
    events: Vec<epoll::Event>,
}

/// One of them.
struct Connection {
    stream: TcpStream,
    /// How much of the answer is there.
    received: usize,
}

impl Load {
    /// Makes the connections. Each has had one answer when this is done, so the server has
    /// accepted all of them.
    pub(super) fn connect(server: SocketAddr, connections: usize, request: &'static [u8]) -> Self {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("epoll is there");
        let mut load = Self {
            epoll,
            connections: Vec::with_capacity(connections),
            request,
            answer_length: 0,
            events: Vec::with_capacity(1024),
        };
        for index in 0..connections {
            load.answer_length = load.add(server, index);
        }
        load
    }

    /// Makes one connection, and gives the length of its first answer.
    fn add(&mut self, server: SocketAddr, index: usize) -> usize {
        let mut stream = TcpStream::connect(server).expect("the server listens");
        stream.write_all(self.request).expect("the server reads");
        let length = stream.read(&mut [0; 8192]).expect("the server answers"); // in one piece: it is short
        assert!(length > 0, "the server answers");
        stream.set_nonblocking(true).expect("a socket can be");
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(&self.epoll, &stream, data, epoll::EventFlags::IN).expect("there is room for it");
        self.connections.push(Connection { stream, received: 0 });
        length
    }

    /// Sends so many requests, and waits for all their answers. Each connection has at most one
    /// under way.
    pub(super) fn exchange(&mut self, requests: usize) {
        let (mut sent, mut answered) = (0, 0);
        for connection in self.connections.iter_mut().take(requests) {
            connection.send(self.request);
            sent += 1;
        }
        while answered < requests {
            epoll::wait(&self.epoll, spare_capacity(&mut self.events), None).expect("no signal comes");
            for event in self.events.drain(..) {
                let connection = &mut self.connections[event.data.u64() as usize];
                if !connection.receive(self.answer_length) {
                    continue;
                }
                answered += 1;
                if sent < requests {
                    connection.send(self.request);
                    sent += 1;
                }
            }
        }
    }
}

impl Connection {
    fn send(&mut self, request: &[u8]) {
        let length = self.stream.write(request).expect("the server is there");
        assert_eq!(length, request.len(), "the system has room for a short request");
    }

    /// Reads what there is, and says whether the answer is complete.
    fn receive(&mut self, answer_length: usize) -> bool {
        let length = self.stream.read(&mut [0; 8192]).expect("the server is there");
        assert!(length > 0, "the server stays");
        self.received += length;
        assert!(self.received <= answer_length, "every answer is as long as the first");
        let is_complete = self.received == answer_length;
        if is_complete {
            self.received = 0;
        }
        is_complete
    }
}
