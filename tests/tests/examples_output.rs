//! The examples when nobody reads what they write, or the disk is full; and when a thread of
//! theirs panics.
//!
//! `https` and `websocket_chat`, which need features that take long to build, are run by
//! `.ci/run`.

#![cfg(unix)]

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use gather_tests::alone::{command, is_alone};
use gather_tests::example::{Running, closed_pipe, program};
use gather_tests::watchdog::finishes;

#[allow(dead_code, unreachable_pub, reason = "it is a part of the library of the examples")]
#[path = "../../examples/output.rs"]
mod output;

/// A stream to which nothing can be written: that of a reader who has gone, or of a full disk.
fn unwritable() -> [(&'static str, Stdio); 2] {
    // Linux has a file for that.
    let full = OpenOptions::new().write(true).open("/dev/full").map_or_else(|_| closed_pipe(), Stdio::from);
    [("a closed pipe", closed_pipe()), ("a full disk", full)]
}

/// Sends a request for `path`, whose connection is then closed by the server.
fn ask(server: &Running, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// The body of an answer, which must be whole.
#[track_caller]
fn body(mut answer: impl Read) -> String {
    let mut text = String::new();
    answer.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("an answer was {text:?}"));
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    body.to_owned()
}

/// Programs that are run for what they print, and such that print something beside their work.
const RUNS: [(&str, &[&str]); 11] = [
    ("hello", &[]),
    ("policy", &[]),
    ("http_server", &["--help"]),
    ("shutdown", &["--self-test"]),
    ("echo_server", &["--self-test", "1"]),
    ("udp_echo", &["--self-test", "1"]),
    ("many_cores", &["--cores", "1", "--clients", "2"]),
    ("timeouts_and_retries", &["--requests", "2", "--attempts", "100"]),
    ("files", &[env!("CARGO_MANIFEST_DIR")]),
    ("load_test", &["--help"]),
    ("load_test", &["-n", "20"]),
];

/// Runs a program with this stdout. Returns its exit code, and what it has complained of.
fn run(name: &str, options: &[&str], stdout: Stdio) -> (Option<i32>, String) {
    let mut command = Command::new(program(name));
    command.args(options).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
    let ended = command.spawn().unwrap().wait_with_output().unwrap();
    (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
}

#[test]
fn a_program_whose_output_nobody_reads_ends_as_it_would_have_and_complains_of_nothing() {
    for (name, options) in RUNS {
        assert_eq!(run(name, options, closed_pipe()), (Some(0), String::new()), "{name} {options:?}");
    }
}

#[test]
fn a_report_that_does_not_fit_on_the_disk_is_an_error() {
    for (name, options) in [("files", &[env!("CARGO_MANIFEST_DIR")][..]), ("load_test", &["-n", "20"])] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (code, complained) = run(name, options, full.into());
        assert_eq!(code, Some(1), "{name}: {complained}");
        assert!(complained.contains("No space left"), "{name}: {complained}");
    }
}

#[test]
fn a_load_test_whose_complaints_nobody_reads_reports_all_the_same() {
    let program = program("load_test");
    finishes(move || {
        for (what, stderr) in unwritable() {
            let mut command = Command::new(&program);
            // Nobody listens there.
            command.args(["--url", "http://127.0.0.1:1/", "-n", "20"]).stderr(stderr).stdout(Stdio::piped());
            let ended = command.spawn().unwrap().wait_with_output().unwrap();
            let printed = String::from_utf8_lossy(&ended.stdout);
            assert_eq!(ended.status.code(), Some(1), "{what}: {printed}");
            assert!(printed.contains("connection refused"), "{what}: {printed}");
        }
    });
}

/// Fails unless the server lives on when it has no descriptors left and cannot say so.
#[track_caller]
fn survives_without_descriptors(name: &'static str, request: &'static [u8], answer: &'static [u8]) {
    let program = program(name);
    finishes(move || {
        for (what, stderr) in unwritable() {
            let mut limited = Command::new("sh");
            limited.args(["-c", r#"ulimit -n 24 && exec "$0""#]).arg(&program).stderr(stderr);
            let server = Running::start(&mut limited);
            // More than it can have at once. The system connects them all; most wait for the
            // server to take them.
            let clients = (0..64).map(|_| {
                let mut client = TcpStream::connect(&server.address).unwrap();
                client.write_all(request).unwrap();
                client
            });
            let mut clients: Vec<TcpStream> = clients.collect();
            let check = |mut client: &TcpStream| {
                let mut answered = vec![0; answer.len()];
                client.read_exact(&mut answered).unwrap_or_else(|error| panic!("{name}, {what}: {error}"));
                assert_eq!(answered, answer, "{name}, {what}");
            };
            // These keep their connections when they have been answered.
            let first: Vec<TcpStream> = clients.drain(..4).collect();
            first.iter().for_each(check);
            // Each of these makes room for another.
            clients.into_iter().for_each(|client| check(&client));
        }
    });
}

#[test]
fn http_server_lives_on_when_it_has_no_descriptors_left_and_cannot_say_so() {
    survives_without_descriptors(
        "http_server",
        b"GET / HTTP/1.1\r\nhost: here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
    );
}

#[test]
fn echo_server_lives_on_when_it_has_no_descriptors_left_and_cannot_say_so() {
    survives_without_descriptors("echo_server", b"hello", b"hello");
}

#[test]
fn an_answer_that_is_on_its_way_is_not_cut_off_when_nobody_reads_what_the_server_says_of_its_end() {
    let program = program("http_server");
    finishes(move || {
        let mut server = Running::start(Command::new(program).arg("--cores=2"));
        server.printed = None;
        let mut answer = ask(&server, "/slow");
        // When its head is there, it has begun.
        let mut head = [0; 15];
        answer.read_exact(&mut head).unwrap();
        server.signal("INT");
        // The body comes in a chunk.
        assert_eq!(body((&head[..]).chain(answer)), "8\r\nat last\n\r\n0\r\n\r\n");
        assert_eq!(server.wait().code(), Some(0));
    });
}

#[test]
fn a_thread_that_panics_ends_the_process() {
    let test = "a_thread_that_panics_ends_the_process";
    if is_alone(test) {
        let thread = output::start_thread("broken".into(), || panic!("as it is wanted")).unwrap();
        let _ = thread.join();
        return println!("the process lives on");
    }
    let ended = command(test).output().unwrap();
    assert_eq!(ended.status.code(), Some(101));
    assert!(!String::from_utf8_lossy(&ended.stdout).contains("lives on"));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("as it is wanted"));
}
