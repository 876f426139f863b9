//! The examples as processes: what they do at a small size, and how they end when something is
//! wrong.
//!
//! `load_test` has tests of its own, in `load_test.rs`, and `shutdown` in `signal.rs`; `https` and
//! `websocket_chat` need features that take long to build, and are run by `.ci/run`.

#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use gather_tests::addresses::closed_address;
use gather_tests::example::{Running, program};

const EXAMPLES: [&str; 9] = [
    "hello",
    "policy",
    "echo_server",
    "udp_echo",
    "shutdown",
    "timeouts_and_retries",
    "files",
    "many_cores",
    "http_server",
];

/// How an example ended, which was started with these options.
struct Ended {
    code: Option<i32>,
    printed: String,
    complained: String,
}

#[track_caller]
fn run(name: &str, options: &[&str]) -> Ended {
    let Output { status, stdout, stderr } =
        Command::new(program(name)).args(options).stdin(Stdio::null()).output().unwrap();
    let [printed, complained] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    Ended { code: status.code(), printed, complained }
}

/// What an example printed that did what it should.
#[track_caller]
fn printed_by(name: &str, options: &[&str]) -> String {
    let ended = run(name, options);
    assert_eq!(ended.code, Some(0), "{}", ended.complained);
    ended.printed
}

#[test]
fn every_example_has_help_and_refuses_what_it_does_not_know() {
    for name in EXAMPLES {
        let help = printed_by(name, &["--help"]);
        assert!(help.contains(&format!("Usage: {name} [OPTIONS]")), "{help}");
        let refused = run(name, &["--no-such-option"]);
        assert_eq!((refused.code, &*refused.printed), (Some(2), ""), "{name}");
        let complaint = format!("{name}: invalid option '--no-such-option' (see --help)\n");
        assert_eq!(refused.complained, complaint);
    }
}

#[test]
fn a_value_that_makes_no_sense_is_refused() {
    for (name, option, value) in [
        ("timeouts_and_retries", "--requests", "0"),
        ("timeouts_and_retries", "--timeout", "-1"),
        ("timeouts_and_retries", "--deadline", "0"),
        ("timeouts_and_retries", "--server", "somewhere"),
        ("files", "--limit", "0"),
        ("many_cores", "--cores", "0"),
        ("many_cores", "--cores", "513"),
        ("http_server", "--cores", "513"),
        ("echo_server", "--self-test", "0"),
        ("http_server", "--grace", "soon"),
        ("http_server", "--listen", "8080"),
    ] {
        assert_eq!(run(name, &[option, value]).code, Some(2), "{name} {option} {value}");
    }
    assert_eq!(run("files", &[]).code, Some(2), "a folder is wanted");
}

#[test]
fn timeouts_and_retries_asks_until_all_are_answered() {
    let printed = printed_by("timeouts_and_retries", &["--requests", "20", "--attempts", "100"]);
    assert!(printed.contains("20 of 20 answered"), "{printed}");
}

#[test]
fn timeouts_and_retries_does_not_try_again_where_nobody_is() {
    let ended = run("timeouts_and_retries", &["--server", &closed_address().to_string(), "--requests", "3"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.printed.contains("failed attempts: 3 refused"), "{}", ended.printed);
    assert!(ended.complained.contains("3 were given up"), "{}", ended.complained);
}

#[test]
fn files_gives_one_digest_whatever_the_order_and_another_when_a_file_changes() {
    let folder = std::env::temp_dir().join(format!("gather-files-{}", std::process::id()));
    let digest = |options: &[&str]| {
        let printed = printed_by("files", &[options, &[folder.to_str().unwrap()]].concat());
        assert!(printed.starts_with("20 files, "), "{printed}");
        printed.lines().find(|line| line.starts_with("digest ")).unwrap().to_owned()
    };
    for number in 0..20 {
        let inner = folder.join(format!("{}", number % 3));
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join(format!("{number}")), vec![number; 10_000 * usize::from(number)]).unwrap();
    }
    let first = digest(&[]);
    assert_eq!([digest(&["--limit", "1"]), digest(&["--on-the-loop"])], [first.clone(), first.clone()]);
    fs::write(folder.join("0").join("0"), "changed").unwrap();
    assert_ne!(digest(&[]), first);
    fs::remove_dir_all(&folder).unwrap();
    let gone = run("files", &[folder.to_str().unwrap()]);
    assert_eq!(gone.code, Some(1));
    assert!(gone.complained.contains("No such file"), "{}", gone.complained);
}

#[test]
fn many_cores_deals_its_clients_out() {
    let printed = printed_by("many_cores", &["--cores", "3", "--clients", "30"]);
    assert!(printed.contains("10 by core 0, 10 by core 1, 10 by core 2\n"), "{printed}");
}

#[test]
fn http_server_tests_itself_on_one_core_and_on_two() {
    let printed = printed_by("http_server", &["--self-test", "50"]);
    assert!(printed.contains("51 requests: 51 by core 0\n"), "{printed}");
    let printed = printed_by("http_server", &["--self-test", "50", "--cores", "2"]);
    assert!(printed.contains("51 requests: "), "{printed}");
}

#[test]
fn http_server_says_that_it_cannot_have_an_address() {
    // Nobody has this one: it is for documentation.
    let ended = run("http_server", &["--listen", "192.0.2.1:80"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.complained.contains("cannot listen on 192.0.2.1:80"), "{}", ended.complained);
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ended = run("http_server", &["--listen", &other.local_addr().unwrap().to_string()]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.complained.contains("in use"), "{}", ended.complained);
}

#[test]
fn http_server_does_not_share_its_port_with_another_process() {
    let program = program("http_server");
    let server = Running::start(Command::new(&program).arg("--cores=2"));
    for cores in ["--cores=1", "--cores=2"] {
        let mut other = Command::new(&program);
        other.args(["--listen", &server.address, cores]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut other = other.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(other.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let _ = other.kill(); // it has ended, or it serves
        let ended = other.wait_with_output().unwrap();
        assert_eq!((line.as_str(), ended.status.code()), ("", Some(1)), "{cores}");
        let complained = String::from_utf8(ended.stderr).unwrap();
        assert!(complained.contains("in use"), "{cores}: {complained}");
    }
}

/// Else a server would wait for ever for a signal that nobody sends.
#[test]
fn a_self_test_that_cannot_interrupt_itself_says_so() {
    use std::os::unix::fs::PermissionsExt;
    let folder = std::env::temp_dir().join(format!("gather-sh-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("sh"), "#!/bin/sh\nexit 3\n").unwrap();
    fs::set_permissions(folder.join("sh"), fs::Permissions::from_mode(0o755)).unwrap();
    for (name, options) in [("http_server", &["--self-test", "5"][..]), ("shutdown", &["--self-test"])] {
        let ended = Command::new(program(name)).args(options).env("PATH", &folder).output().unwrap();
        let complained = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{name}: {complained}");
        let said = format!("{name}: it could not interrupt itself: kill: exit status: 3\n");
        assert_eq!(complained, said);
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn udp_echo_tests_itself_on_one_address_and_on_all_of_both_families() {
    for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
        if std::net::UdpSocket::bind(address).is_err() {
            assert!(address.starts_with('['), "a machine may have no IPv6");
            continue;
        }
        let printed = printed_by("udp_echo", &["--listen", address, "--self-test", "20"]);
        assert!(printed.ends_with("20 clients had 4 datagrams each echoed\n"), "{printed}");
    }
}

#[test]
fn http_server_closes_what_has_not_finished_when_the_time_is_up() {
    let mut command = Command::new(program("http_server"));
    let mut server = Running::start(command.args(["--grace", "0.1", "--cores", "2"]).stderr(Stdio::piped()));
    // The answer to this takes longer: when its head is there, it has begun.
    let mut client = std::net::TcpStream::connect(&server.address).unwrap();
    client.write_all(b"GET /slow HTTP/1.1\r\nhost: here\r\n\r\n").unwrap();
    client.read_exact(&mut [0; 15]).unwrap();
    server.signal("INT");
    assert_eq!(server.wait().code(), Some(1));
    let mut complained = String::new();
    server.process.stderr.take().unwrap().read_to_string(&mut complained).unwrap();
    assert_eq!(complained, "http_server: connections that had not finished in time: 1\n");
    assert!(
        server
            .printed
            .take()
            .unwrap()
            .any(|line| line.unwrap().starts_with("Interrupt: connections may finish"))
    );
}

#[test]
fn every_file_of_an_example_is_short_enough_to_be_read() {
    let folder = Path::new(gather_tests::programs::WORKSPACE).join("examples");
    for example in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        for file in fs::read_dir(&example).into_iter().flatten().map(|entry| entry.unwrap().path()) {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            assert!(lines < 250, "{}: {lines} lines", file.display());
        }
    }
}
