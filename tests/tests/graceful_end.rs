//! Servers that end while clients come and go: no client that was let in is left without its
//! answer.
//!
//! `nginx.rs` has the same load on nginx.

#![cfg(unix)]

#[cfg(target_os = "linux")]
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use gather_tests::example::{Running, end_under_load, program};
use gather_tests::watchdog::finishes;

#[test]
fn a_server_that_ends_under_load_answers_every_client_that_it_has_let_in() {
    // A machine may have no IPv6.
    let addresses =
        ["127.0.0.1:0", "[::1]:0"].into_iter().filter(|address| TcpListener::bind(address).is_ok());
    let ends = addresses.flat_map(|address| {
        ["--cores=1", "--cores=2"]
            .map(|cores| thread::spawn(move || end_under_load(&[cores, "--listen", address])))
    });
    let ends: Vec<_> = ends.collect();
    ends.into_iter().for_each(|end| end.join().unwrap());
}

/// Reads the head of an answer.
#[track_caller]
fn head(mut stream: &TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap_or_else(|error| panic!("after {} bytes: {error}", head.len()));
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn a_connection_that_waits_for_a_request_when_the_server_ends_has_one_more_answered_and_is_told_of_the_end() {
    let program = program("http_server");
    finishes(move || {
        let server = Running::start(Command::new(program).args(["--linger=60", "--grace=60"]));
        let mut stream = TcpStream::connect(&server.address).unwrap();
        let mut ask = || {
            stream.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n").unwrap();
            let head = head(&stream);
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            let mut body = [0; 6];
            stream.read_exact(&mut body).unwrap();
            assert_eq!(&body, b"hello\n");
            head.contains("connection: close\r\n")
        };
        assert!(!ask(), "the server goes on");
        server.signal("TERM");
        while !ask() {}
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the connection is closed");
    });
}

#[test]
fn a_client_that_closes_its_direction_after_its_request_gets_its_answer() {
    let program = program("http_server");
    finishes(move || {
        let server = Running::start(&mut Command::new(program));
        let mut stream = TcpStream::connect(&server.address).unwrap();
        stream.write_all(b"GET /slow HTTP/1.1\r\nhost: here\r\n\r\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("at last\n") && answer.ends_with("\r\n0\r\n\r\n"), "{answer:?}");
    });
}

#[cfg(target_os = "linux")]
/// Stops a process, and returns when it no longer runs.
fn pause(server: &Running) {
    server.signal("STOP");
    let stat = format!("/proc/{}/stat", server.process.id());
    // The state stands behind the name, which is in parentheses.
    while !fs::read_to_string(&stat).unwrap().contains(") T ") {
        thread::yield_now();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn clients_that_the_server_has_not_accepted_when_it_is_asked_to_end_are_answered_too() {
    for (name, options, question, first) in [
        ("shutdown", &[][..], "question\n", "> "),
        ("http_server", &["--grace=60"], "GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n"),
    ] {
        let program = program(name);
        finishes(move || {
            let mut server = Running::start(Command::new(program).args(options));
            pause(&server);
            let clients = [(); 20].map(|()| {
                let mut client = TcpStream::connect(&server.address).unwrap();
                client.write_all(question.as_bytes()).unwrap();
                client
            });
            server.signal("TERM");
            server.signal("CONT");
            for mut client in clients {
                let mut answer = String::new();
                client.read_to_string(&mut answer).unwrap();
                assert!(answer.starts_with(first) && answer.len() > first.len(), "{name}: {answer:?}");
            }
            assert!(server.wait().success());
        });
    }
}

#[test]
fn a_connection_that_asks_for_nothing_does_not_hold_up_the_end() {
    for (name, options) in [("shutdown", &[][..]), ("http_server", &["--linger=0.1", "--grace=60"])] {
        let program = program(name);
        finishes(move || {
            let mut server = Running::start(Command::new(program).args(options));
            let mut silent = TcpStream::connect(&server.address).unwrap();
            server.signal("TERM");
            let mut said = String::new();
            silent.read_to_string(&mut said).unwrap();
            assert!(server.wait().success());
            let mut printed = server.printed.take().unwrap().map(Result::unwrap);
            let ended = "all have finished";
            assert!(name != "shutdown" || printed.any(|line| line == ended), "{name} has given up");
        });
    }
}
