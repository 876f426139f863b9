//! A way to a server that can fall silent, as a network does that swallows everything: connections
//! are accepted and stay open, and nothing goes through.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

/// A port of the loopback interface that leads to another one, as long as the process lives.
pub struct Way {
    port: u16,
    silent: Arc<Silent>,
}

/// The connections through which nothing goes, numbered from 0 as they came.
#[derive(Default)]
struct Silent(Mutex<Range<usize>>, Condvar);

impl Way {
    /// A way to this port.
    ///
    /// # Panics
    ///
    /// If there is no port.
    #[track_caller]
    pub fn to(port: u16) -> Way {
        let there = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let silent: Arc<Silent> = Arc::default();
        let way = Way { port, silent: silent.clone() };
        thread::spawn(move || {
            for (number, here) in listener.incoming().enumerate() {
                let connected = here.and_then(|here| {
                    let there = TcpStream::connect(there)?;
                    Ok([(here.try_clone()?, there.try_clone()?), (there, here)])
                });
                // Who has come finds the connection closed if there is no server.
                for (from, to) in connected.into_iter().flatten() {
                    let silent = silent.clone();
                    thread::spawn(move || silent.copy(number, from, to));
                }
            }
        });
        way
    }

    /// The URL of a database of this server over TCP, by this way. Connecting may take long, as on
    /// a busy machine.
    pub fn by(&self, url: &str) -> String {
        let (server, database) = url.rsplit_once('/').expect("a database");
        let (server, _) = server.rsplit_once(':').expect("a port");
        format!("{server}:{}/{database}?connect_timeout=60", self.port)
    }

    /// From now on nothing goes through these connections, in either direction. What is sent
    /// meanwhile arrives if they are let speak again.
    pub fn silence(&self, connections: Range<usize>) {
        *self.silent.0.lock().unwrap_or_else(PoisonError::into_inner) = connections;
        self.silent.1.notify_all();
    }
}

impl Silent {
    /// Moves what comes in one direction of a connection, until it ends.
    fn copy(&self, number: usize, mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            let length = from.read(&mut buffer).unwrap_or(0); // an error is an end, too
            let silent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            drop(self.1.wait_while(silent, |silent| silent.contains(&number)));
            if length == 0 {
                return to.shutdown(Shutdown::Write);
            }
            to.write_all(&buffer[..length])?;
        }
    }
}
