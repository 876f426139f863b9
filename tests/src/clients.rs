//! Clients that ask an HTTP server over and over, each time over a new connection, until no more
//! are let in.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

/// How many there are.
const CLIENTS: usize = 48;

/// Longer than any answer takes, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// What became of the connections that were let in.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// How many had a whole answer.
    pub answered: usize,
    /// What the others had instead, and how many had it.
    pub lost: BTreeMap<String, usize>,
}

/// Lets the clients ask a server, whose answers must have this body, and makes the server `end`
/// when they have done so a thousand times. Returns when no more are let in.
///
/// # Panics
///
/// If the answers do not come, or the system starts no more threads.
#[track_caller]
pub fn ask_until_the_end(server: SocketAddr, path: &str, body: &'static [u8], end: impl FnOnce()) -> Asked {
    let (answer, answers) = channel();
    let clients = (0..CLIENTS).map(|number| {
        // Some leave it to the server to close the connection, others close it themselves.
        let close = if number % 2 == 0 { "connection: close\r\n" } else { "" };
        let request = format!("GET {path} HTTP/1.1\r\nhost: here\r\n{close}\r\n");
        let answer = answer.clone();
        thread::spawn(move || ask_until_refused(server, &request, body, &answer))
    });
    let clients: Vec<_> = clients.collect();
    for _ in 0..1000 {
        answers.recv_timeout(LIMIT).expect("the server answers");
    }
    end();
    let mut all = Asked::default();
    for client in clients {
        let asked = client.join().expect("a client counts and does not panic");
        all.answered += asked.answered;
        asked.lost.into_iter().for_each(|(what, times)| *all.lost.entry(what).or_default() += times);
    }
    all
}

fn ask_until_refused(server: SocketAddr, request: &str, body: &[u8], answer: &Sender<()>) -> Asked {
    let mut asked = Asked::default();
    while let Ok(stream) = TcpStream::connect_timeout(&server, LIMIT) {
        match ask(stream, request, body) {
            Ok(()) => asked.answered += 1,
            Err(error) => *asked.lost.entry(error.to_string()).or_default() += 1,
        }
        // Nobody may wait for it any more.
        let _ = answer.send(());
    }
    asked
}

/// Sends a request and reads its answer, which has to end with the body.
fn ask(mut stream: TcpStream, request: &str, body: &[u8]) -> io::Result<()> {
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(request.as_bytes())?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    while !answer.ends_with(body) {
        match stream.read(&mut buffer)? {
            0 => return Err(io::Error::other(format!("the end after {} bytes", answer.len()))),
            length => answer.extend_from_slice(&buffer[..length]),
        }
    }
    if answer.starts_with(b"HTTP/1.1 200 OK\r\n") {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&answer).into_owned()))
}
