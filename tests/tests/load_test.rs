//! The example `load_test` as a process, against its own server and against servers of these tests
//! that misbehave.
//!
//! `nginx.rs` has the tests against a real server.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::iter;
use std::net::{TcpListener, TcpStream};
#[cfg(unix)]
use std::path::Path;
use std::path::PathBuf;
#[cfg(unix)]
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
#[cfg(target_os = "linux")]
use std::sync::{OnceLock, mpsc::channel};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(unix)]
use gather_tests::example::{closed_pipe, program};
use gather_tests::guide;
use gather_tests::load_test::{Ended, LoadTest};

/// Nobody listens on port 1 of this machine, and the system gives it to nobody. A port that it
/// does give out may be another program's by now, or the client's own: of the connections to one
/// that is free, one in some thousands can meet itself.
const REFUSING: &str = "http://127.0.0.1:1/";

/// A timeout that only what hangs could reach.
const AN_HOUR: &str = "3600";

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const OK_BYTES: usize = 2;

// ---- servers

/// What a server does when it has read a request.
enum Reply {
    /// Sends this, and waits for the next request.
    Send(&'static str),
    /// Sends this, and closes the connection.
    SendAndClose(&'static str),
    /// Sends this, and no more until the client is gone.
    SendAndStall(&'static str),
    /// Closes the connection and stops listening, as a server that is killed.
    Die,
}

/// A server with a thread for each connection, and what it has seen.
struct Server {
    url: String,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: AtomicUsize,
    dead: AtomicBool,
}

/// Starts a server that asks `reply` what to do with each request, which it numbers from 1 on in
/// the order of their arrival. It ends with the test's process, or by [`Reply::Die`].
fn server(reply: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let server = Server { url, seen: Arc::default() };
    let (reply, seen) = (Arc::new(reply), Arc::clone(&server.seen));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if seen.dead.load(Ordering::SeqCst) {
                return;
            }
            seen.connections.fetch_add(1, Ordering::SeqCst);
            let (reply, seen) = (Arc::clone(&reply), Arc::clone(&seen));
            // A client that goes away in the middle is expected.
            thread::spawn(move || drop(converse(&stream, &seen, &*reply)));
        }
    });
    server
}

fn converse(mut stream: &TcpStream, seen: &Seen, reply: &dyn Fn(usize) -> Reply) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    // The requests have no body: each ends with an empty line.
    while let Some(line) = lines.next().transpose()? {
        if !line.is_empty() {
            continue;
        }
        match reply(seen.requests.fetch_add(1, Ordering::SeqCst) + 1) {
            Reply::Send(answer) => stream.write_all(answer.as_bytes())?,
            Reply::SendAndClose(answer) => return stream.write_all(answer.as_bytes()),
            Reply::SendAndStall(start) => {
                stream.write_all(start.as_bytes())?;
                lines.by_ref().try_for_each(|line| line.map(drop))?;
            }
            Reply::Die => {
                seen.dead.store(true, Ordering::SeqCst);
                return Ok(());
            }
        }
    }
    Ok(())
}

impl Server {
    /// Runs `load_test` against this server.
    #[track_caller]
    fn tested(&self, options: &[&str]) -> Ended {
        LoadTest::run(["--url", &self.url].iter().chain(options))
    }

    fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }
}

/// The four figures into which the requests are divided: succeeded, another status, failed, given
/// up.
#[track_caller]
fn divided(ended: &Ended) -> [usize; 4] {
    let given_up = ended.find("given up").unwrap_or(0);
    [ended.figure("succeeded"), ended.figure("not 2xx or 3xx"), ended.figure("failed"), given_up]
}

/// A path for a file of a test, beside the programs of cargo.
fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

// ---- runs that succeed

#[test]
fn without_options_ten_thousand_requests_succeed() {
    let ended = LoadTest::run([""; 0]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.figure("requests"), 10_000);
    assert_eq!(divided(&ended), [10_000, 0, 0, 0]);
    assert_eq!(ended.figure("200"), 10_000);
    assert!((1..=64).contains(&ended.figure("connections opened")), "{ended:#?}");
}

#[test]
fn the_report_counts_what_the_server_saw() {
    let server = server(|_| Reply::Send(OK));
    for (requests, concurrency) in [(500, 7), (3, 64), (1, 1)] {
        let before = (server.requests(), server.connections());
        let options = ["--requests", &requests.to_string(), "--concurrency", &concurrency.to_string()];
        let ended = server.tested(&options);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert_eq!(divided(&ended), [requests, 0, 0, 0]);
        assert_eq!(ended.figure("200"), requests);
        assert_eq!(server.requests() - before.0, requests);
        assert_eq!(server.connections() - before.1, ended.figure("connections opened"));
        assert!(ended.figure("connections opened") <= concurrency.min(requests), "{ended:#?}");
        let bytes = ended.printed.lines().find_map(|line| line.strip_prefix("body bytes received"));
        assert_eq!(bytes.map(str::trim), Some(&*format!("{} B", OK_BYTES * requests)));
    }
}

#[test]
fn large_answers_take_no_more_connections() {
    // Larger than what a socket gives at once: then a connection is back in the pool only after
    // the answer is complete.
    static LARGE: LazyLock<String> =
        LazyLock::new(|| format!("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n{}", "g".repeat(200_000)));
    let server = server(|_| Reply::Send(&LARGE));
    let ended = server.tested(&["--requests", "1000", "--concurrency", "16"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(server.requests(), 1000);
    assert!(server.connections() <= 16, "{} connections", server.connections());
}

#[test]
fn progress_on_a_pipe_is_nothing_or_a_plain_line_for_each_tenth() {
    let options = ["--requests", "500", "--concurrency", "8"];
    assert_eq!(LoadTest::run(options).complained, "");
    let ended = LoadTest::run(options.iter().chain(&["--progress"]));
    let tenths = (1..=10).map(|tenth| format!("{:>3} %: {} of 500 done, 0 failed\n", tenth * 10, tenth * 50));
    assert_eq!(ended.complained, tenths.collect::<String>());
    for text in [&ended.printed, &ended.complained] {
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "an escape code in {text:?}");
    }
}

#[test]
fn a_chart_is_an_svg_of_all_answers() {
    for (requests, curves) in [(500, 0), (4000, 3)] {
        let chart = path(&format!("{requests}.svg"));
        let options =
            ["--requests".into(), requests.to_string().into(), "--chart".into(), OsString::from(&chart)];
        let ended = LoadTest::run(options);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        let svg = fs::read_to_string(&chart).expect("the chart was written");
        check_svg(&svg);
        // Few answers are drawn as dots, many as the curves of some percentiles (with a stroke
        // each in the legend).
        assert_eq!(svg.matches("<circle").count(), if curves == 0 { requests } else { 0 });
        assert_eq!(["p50", "p99", "max"].iter().filter(|name| svg.contains(**name)).count(), curves);
    }
}

#[test]
fn a_chart_says_what_was_asked_for_and_how_the_requests_ended() {
    const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let server = server(|request| match request % 4 {
        0 => Reply::SendAndClose("good evening\r\n\r\n"),
        1 => Reply::Send(NOT_FOUND),
        _ => Reply::Send(OK),
    });
    let chart = path("ends.svg");
    let options = ["--url", &server.url, "-n=20", "-c=1", "--capture", "--chart"].map(OsString::from);
    LoadTest::run(options.into_iter().chain([chart.clone().into()]));
    let svg = fs::read_to_string(&chart).expect("the chart was written");
    assert!(svg.contains(&format!("GET {}", server.url)), "{svg}");
    let ends = "20 requests, 1 at a time: 10 with 2xx or 3xx, 5 with another status, 5 failed";
    assert!(svg.contains(ends), "{svg}");
    // A dot for each, in the color of its end.
    let dots = svg.split("<circle").skip(1).filter_map(|dot| dot.split("fill=\"").nth(1)?.split('"').next());
    let mut colors = BTreeMap::<_, usize>::new();
    dots.for_each(|color| *colors.entry(color).or_default() += 1);
    assert_eq!(colors.into_values().collect::<Vec<_>>(), [10, 5, 5]);
}

#[test]
#[cfg(unix)]
fn a_chart_is_written_though_nobody_reads_the_report() {
    let chart = path("unread.svg");
    let mut command = Command::new(program("load_test"));
    let ended = command.args(["-n=20", "--chart"]).arg(&chart).stdout(closed_pipe()).output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    check_svg(&fs::read_to_string(&chart).expect("the chart was written"));
}

/// Starts a run of a thousand requests, with a chart in place of one that is there. Returns when a
/// tenth is done, and no more will be.
#[cfg(unix)]
fn run_to_a_tenth(chart: &Path) -> LoadTest {
    fs::write(chart, "the chart of the run before").expect("the folder of cargo can be written to");
    let server = server(|request| if request <= 100 { Reply::Send(OK) } else { Reply::SendAndStall("") });
    let options = ["--url", &server.url, "-n=1000", "-c=1", "-t=3600", "--progress", "--chart"];
    let options = options.map(OsString::from).into_iter().chain([chart.into()]);
    let mut load_test = LoadTest::start(options);
    assert_eq!(load_test.next_complaint(), Some(" 10 %: 100 of 1,000 done, 0 failed"));
    load_test
}

#[cfg(unix)]
fn send(signal: &str, load_test: &LoadTest) {
    let kill = format!("kill -{signal} {}", load_test.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success());
}

#[test]
#[cfg(unix)]
fn an_interrupted_run_reports_what_was_done_and_leaves_the_chart_of_the_run_before() {
    let chart = path("interrupted.svg");
    let load_test = run_to_a_tenth(&chart);
    send("INT", &load_test);
    let ended = load_test.ended();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    assert_eq!(divided(&ended), [100, 0, 0, 900]);
    assert!(ended.printed.contains("\nlatency of 100 answers\n"), "{ended:#?}");
    assert!(ended.complained.ends_with("load_test: interrupted\n"), "{ended:#?}");
    assert_eq!(fs::read_to_string(&chart).unwrap(), "the chart of the run before");
    assert!(!path("interrupted.svg.part").exists());
}

#[test]
#[cfg(unix)]
fn a_run_that_is_killed_leaves_the_chart_of_the_run_before() {
    let chart = path("killed.svg");
    let load_test = run_to_a_tenth(&chart);
    send("KILL", &load_test);
    assert_eq!(load_test.ended().code, None);
    assert_eq!(fs::read_to_string(&chart).unwrap(), "the chart of the run before");
}

#[test]
fn a_chart_of_no_answers_is_an_svg_too() {
    let chart = path("none.svg");
    let options = ["--url", REFUSING, "--requests", "5", "--capture", "--chart"];
    let ended = LoadTest::run(options.into_iter().map(OsString::from).chain([chart.clone().into()]));
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    check_svg(&fs::read_to_string(&chart).expect("the chart was written"));
}

/// Fails if this does not look like an SVG whose elements are all closed.
#[track_caller]
fn check_svg(svg: &str) {
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
    let opened = svg.matches('<').count() - svg.matches("</").count();
    assert_eq!(opened, svg.matches("</").count() + svg.matches("/>").count(), "{svg}");
}

// ---- options

#[test]
fn the_help_lists_every_option() {
    const OPTIONS: &str = include_str!("../../examples/load_test/options.rs");
    let help = LoadTest::run(["--help"]);
    assert_eq!((help.code, help.complained.as_str()), (Some(0), ""));
    assert_eq!(help.printed, LoadTest::run(["-h"]).printed);
    let names = |start: &str, end: &str, dashes: &str| {
        let names = OPTIONS.split(start).skip(1).filter_map(|rest| Some(rest.split_once(end)?.0));
        names.map(|name| format!("{dashes}{name}")).collect::<Vec<_>>()
    };
    let (long, short) = (names("Long(\"", "\")", "--"), names("Short('", "')", "-"));
    assert!(long.len() >= 7 && short.len() >= 4, "the options are found in its source: {long:?} {short:?}");
    let listed: Vec<_> = help.printed.split([' ', ',', '\n']).collect();
    for option in long.iter().chain(&short) {
        assert!(listed.contains(&option.as_str()), "{option} is not in the help");
    }
}

#[test]
fn options_that_cannot_be_used_exit_with_2_and_one_line_that_names_the_culprit() {
    let folder = env::temp_dir();
    let folder = folder.to_str().expect("a plain path");
    let nowhere = path("no such folder/chart.svg");
    let nowhere = nowhere.to_str().expect("a plain path");
    let cases: &[(&[&str], &str)] = &[
        (&["--bogus"], "--bogus"),
        (&["-x"], "-x"),
        (&["--capture=yes"], "--capture"),
        (&["extra"], "extra"),
        (&["--url"], "--url"),
        (&["--requests"], "--requests"),
        (&["-n"], "-n"),
        (&["--concurrency"], "--concurrency"),
        (&["--timeout"], "--timeout"),
        (&["--chart"], "--chart"),
        (&["--requests", "many"], "many"),
        (&["--requests", "many"], "--requests"),
        (&["--requests", "-5"], "-5"),
        (&["--requests", "1.5"], "1.5"),
        (&["--concurrency", "x"], "--concurrency"),
        (&["--timeout", "soon"], "--timeout"),
        (&["--timeout", "-1"], "--timeout"),
        (&["--requests", "0"], "--requests"),
        (&["--concurrency", "0"], "--concurrency"),
        (&["--timeout", "0"], "--timeout"),
        (&["--url", "localhost"], "localhost"),
        (&["--url", "http://"], "http://"),
        (&["--url", "https://localhost/"], "https"),
        (&["--url", "http://user:secret@localhost/"], "credentials"),
        (&["--chart", nowhere], nowhere),
        (&["--chart", folder], folder),
        // The rest is fine, and still nothing is run.
        (&["--requests", "5", "--bogus"], "--bogus"),
    ];
    for (options, culprit) in cases {
        let ended = LoadTest::run(*options);
        assert_eq!(ended.code, Some(2), "{options:?}: {ended:#?}");
        assert_eq!(ended.printed, "", "{options:?}: nothing is run");
        assert_eq!(ended.complained.lines().count(), 1, "{options:?}: {}", ended.complained);
        assert!(ended.complained.starts_with("load_test: "), "{options:?}: {}", ended.complained);
        assert!(ended.complained.contains(culprit), "{options:?}: {}", ended.complained);
    }
}

// ---- the first failure ends the run

#[test]
fn a_refused_connection_ends_the_run_at_once_and_is_named() {
    // To try all of them would take hours.
    let ended = LoadTest::run(["--url", REFUSING, "--requests", "1000000000"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let (request, reason) = ended.failing_request();
    assert!((1..=64).contains(&request), "one of the first: {ended:#?}");
    assert!(reason.contains("refused"), "{reason}");
    assert_eq!(divided(&ended), [0, 0, 1, 999_999_999]);
    assert_eq!(ended.complained.lines().count(), 1, "{ended:#?}");
}

#[test]
fn the_first_failure_does_not_wait_for_the_other_requests() {
    // Each of the others would wait an hour for its answer.
    let server = server(|request| match request {
        10 => Reply::SendAndClose("good evening\r\n\r\n"),
        _ => Reply::SendAndStall(""),
    });
    let ended = server.tested(&["--requests", "10", "--concurrency", "10", "--timeout", AN_HOUR]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert_eq!(divided(&ended), [0, 0, 1, 9]);
    assert!((1..=10).contains(&ended.failing_request().0));
    assert_eq!(ended.kinds(), BTreeMap::from([("answer is not HTTP", 1)]));
}

#[test]
fn a_server_that_dies_ends_the_run_with_the_failing_request_named() {
    let server = server(|request| if request <= 100 { Reply::Send(OK) } else { Reply::Die });
    let ended = server.tested(&["--requests", "1000000000", "--concurrency", "1"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let (request, reason) = ended.failing_request();
    assert_eq!(request, 101);
    assert!(reason.contains("connection closed"), "{reason}");
    assert_eq!(divided(&ended), [100, 0, 1, 999_999_899]);
    assert_eq!(server.requests(), 101, "the failed request is not sent again");
}

// ---- with --capture, every request is accounted for

#[test]
fn captured_refusals_are_all_counted_by_kind() {
    let ended = LoadTest::run(["--url", REFUSING, "--requests", "300", "--capture", "--progress"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert_eq!(divided(&ended), [0, 0, 300, 0]);
    assert_eq!(ended.figure("connections opened"), 0);
    assert_eq!(ended.kinds(), BTreeMap::from([("connection refused", 300)]));
    // The example of a kind is its first failure, which is any of those that are sent together.
    let example = ended.printed.split_once("    request ").and_then(|(_, rest)| rest.split_once(": "));
    let request: Option<u32> = example.and_then(|(request, _)| request.parse().ok());
    assert!(matches!(request, Some(1..=64)), "each kind has an example: {}", ended.printed);
    assert!(ended.complained.ends_with("100 %: 300 of 300 done, 300 failed\n"), "{}", ended.complained);
}

#[test]
fn every_request_is_accounted_for_when_the_server_dies_half_way() {
    let server = server(|request| if request <= 100 { Reply::Send(OK) } else { Reply::Die });
    let ended = server.tested(&["--requests", "300", "--concurrency", "8", "--capture"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert_eq!(divided(&ended), [100, 0, 200, 0]);
    let kinds = ended.kinds();
    assert_eq!(kinds.values().sum::<usize>(), 200, "{kinds:?}");
    assert!(kinds["connection reset or closed"] >= 1 && kinds["connection refused"] >= 1, "{kinds:?}");
}

/// Runs ten requests, of which every other one meets this fault.
#[track_caller]
fn every_other_fails(fault: fn() -> Reply, timeout: &str, kind: &str, reason: &str) -> Ended {
    let server = server(move |request| if request % 2 == 0 { fault() } else { Reply::Send(OK) });
    let options = ["--requests", "10", "--concurrency", "1", "--timeout", timeout, "--capture"];
    let ended = server.tested(&options);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert_eq!(divided(&ended), [5, 0, 5, 0], "{ended:#?}");
    assert_eq!(ended.kinds(), BTreeMap::from([(kind, 5)]));
    let example = ended.printed.lines().find(|line| line.starts_with("    request 2: ")).expect("an example");
    assert!(example.contains(reason), "{example}");
    assert_eq!(server.requests(), 10, "none is sent again");
    ended
}

#[test]
fn connections_that_are_closed_without_an_answer_are_counted() {
    let server = server(|_| Reply::SendAndClose(""));
    let ended = server.tested(&["--requests", "10", "--capture"]);
    assert_eq!(divided(&ended), [0, 0, 10, 0], "{ended:#?}");
    assert_eq!(ended.kinds(), BTreeMap::from([("connection reset or closed", 10)]));
}

#[test]
fn kept_connections_that_are_closed_when_they_are_used_again_are_a_kind_of_their_own() {
    every_other_fails(|| Reply::SendAndClose(""), AN_HOUR, "kept connection closed", "was not answered");
}

#[test]
fn a_request_over_a_kept_connection_that_was_closed_is_sent_once_more_if_that_is_asked_for() {
    let server = server(|request| if request % 2 == 0 { Reply::SendAndClose("") } else { Reply::Send(OK) });
    let ended = server.tested(&["--requests", "10", "--concurrency", "1", "--retry-closed"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(divided(&ended), [10, 0, 0, 0], "{ended:#?}");
    assert_eq!((ended.figure("sent once more"), server.requests()), (9, 19));
}

#[test]
fn a_kept_connection_that_is_closed_in_the_head_of_an_answer_is_not_tried_again() {
    let server = server(|request| match request % 2 {
        0 => Reply::SendAndClose("HTTP/1.1 200 OK\r\nContent-"),
        _ => Reply::Send(OK),
    });
    let ended = server.tested(&["-n=10", "-c=1", "--capture", "--retry-closed"]);
    assert_eq!(divided(&ended), [5, 0, 5, 0], "{ended:#?}");
    assert_eq!(ended.kinds(), BTreeMap::from([("connection reset or closed", 5)]));
}

#[test]
fn answers_that_are_not_http_are_counted() {
    every_other_fails(
        || Reply::SendAndClose("good evening\r\n\r\n"),
        AN_HOUR,
        "answer is not HTTP",
        "was not answered",
    );
}

#[test]
fn answers_that_break_off_are_counted() {
    let half = || Reply::SendAndClose("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    let ended = every_other_fails(half, AN_HOUR, "connection reset or closed", "broke off in its body");
    let bytes = ended.printed.lines().find_map(|line| line.strip_prefix("body bytes received"));
    assert_eq!(bytes.map(str::trim), Some("30 B"), "five times what is whole, and five times what is half");
}

#[test]
fn answers_that_do_not_come_in_time_are_counted() {
    let started = Instant::now();
    every_other_fails(|| Reply::SendAndStall(""), "1", "timeout", "no whole answer within 1s");
    assert!(started.elapsed() >= Duration::from_secs(5), "five times one second");
}

#[test]
fn answers_that_do_not_end_in_time_are_counted() {
    let half = || Reply::SendAndStall("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    every_other_fails(half, "1", "timeout", "no whole answer within 1s");
}

#[test]
fn requests_that_timed_out_are_in_the_latencies_at_the_time_they_took() {
    let server = server(|request| if request % 50 == 0 { Reply::SendAndStall("") } else { Reply::Send(OK) });
    let ended = server.tested(&["-n=100", "-c=8", "-t=2", "--capture"]);
    assert_eq!(divided(&ended), [98, 0, 2, 0], "{ended:#?}");
    assert!(ended.printed.contains("\nlatency of 98 answers and 2 timeouts, at the time they took\n"));
    let latency = |name: &str| {
        let line = ended.printed.lines().find_map(|line| line.strip_prefix(name)).expect("it is reported");
        let line = line.trim();
        match line.strip_suffix("ms") {
            Some(millis) => millis.parse::<f64>().unwrap(),
            None => line.strip_suffix('s').unwrap().parse::<f64>().unwrap_or(0.0) * 1000.0,
        }
    };
    assert!(latency("  p99") >= 1990.0 && latency("  max") >= 1990.0, "{ended:#?}");
}

#[test]
fn an_answer_may_have_hundreds_of_headers_and_one_that_has_too_many_is_a_kind_of_its_own() {
    static ANSWERS: LazyLock<[String; 2]> = LazyLock::new(|| {
        [150, 1500].map(|count| {
            let headers: String = (0..count).map(|number| format!("x-{number}: y\r\n")).collect();
            format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: 2\r\n\r\nok")
        })
    });
    let server = server(|request| Reply::Send(&ANSWERS[(request + 1) % 2]));
    let ended = server.tested(&["-n=2", "-c=1", "--capture"]);
    assert_eq!(divided(&ended), [1, 0, 1, 0], "{ended:#?}");
    assert_eq!(ended.kinds(), BTreeMap::from([("head of answer too large", 1)]));
}

#[test]
#[cfg(target_os = "linux")]
fn memory_does_not_grow_with_the_requests() {
    /// The client, when it has started.
    static CLIENT: OnceLock<u32> = OnceLock::new();
    let (sizes, size) = channel();
    let server = server(move |request| {
        if matches!(request, 2_000 | 40_000) {
            while CLIENT.get().is_none() {
                thread::yield_now();
            }
            let status = fs::read_to_string(format!("/proc/{}/status", CLIENT.get().unwrap())).unwrap();
            let size = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
            sizes.send(size.trim_end_matches("kB").trim().parse::<usize>().unwrap()).unwrap();
        }
        Reply::Send(OK)
    });
    let load_test = LoadTest::start(["--url", &server.url, "-n=40000", "-c=4"]);
    CLIENT.set(load_test.id()).unwrap();
    assert_eq!(load_test.ended().code, Some(0));
    let (early, late) = (size.recv().unwrap(), size.recv().unwrap());
    // A hundred bytes for each request would be 3,700 kB.
    assert!(late < early + 1000, "{early} kB after 2,000 requests, {late} kB after 40,000");
}

#[test]
#[cfg(unix)]
fn a_client_without_descriptors_says_what_helps_in_lines_that_are_aligned() {
    let server = server(|_| Reply::Send(OK));
    let mut limited = Command::new("sh");
    limited.args(["-c", r#"ulimit -n 20 && exec "$0" "$@""#]).arg(program("load_test"));
    let ended = limited.args(["--url", &server.url, "-n=100", "-c=50", "--capture"]).output().unwrap();
    let printed = String::from_utf8(ended.stdout).unwrap();
    let failures: Vec<&str> =
        printed.lines().skip_while(|line| *line != "failures by kind").skip(1).collect();
    let [kind, example, advice] = failures[..] else { panic!("one kind, an example and advice: {printed}") };
    assert!(kind.starts_with("  out of descriptors ") && kind.len() == 39, "{printed}");
    assert!(example.contains("Too many open files"), "{printed}");
    assert!(advice.contains("`ulimit -n`"), "{printed}");
}

// ---- a look into it

/// The dump that `load_test` prints with these options, which has so many lines.
#[track_caller]
fn dump_of<const N: usize>(options: [&str; N], lines: usize) -> Vec<String> {
    let mut load_test = LoadTest::start(options);
    let mut complaints = iter::from_fn(|| load_test.next_complaint().map(str::to_owned));
    let first = complaints.find(|line| line.starts_with("run: ")).expect("it prints a dump");
    iter::once(first).chain(complaints.take(lines - 1)).collect()
}

#[test]
fn a_dump_shows_the_requests_that_wait_while_the_test_runs() {
    let server = server(|_| Reply::SendAndStall(""));
    let tree = dump_of(["--url", &server.url, "-n=9", "-c=3", "-t", AN_HOUR, "--capture", "--dump=1"], 10);
    let shown = tree.join("\n");
    assert!(
        tree[0].starts_with("run: 4 tasks, 1 gather, ") && tree[0].ends_with(" timers, 4 sockets"),
        "{shown}"
    );
    assert!(tree[1].starts_with("  main: waiting for "), "{shown}");
    assert!(tree[2].starts_with("    gather \"requests\": 3 waiting, 0 ready, 0 done, polled "), "{shown}");
    for (line, index) in tree[3..6].iter().zip(0..) {
        assert!(line.starts_with(&format!("      #{index}: waiting for ")), "{shown}");
    }
    let tasks: Vec<_> = tree.iter().filter(|line| line.starts_with("  task ")).collect();
    assert!(
        tasks[0].contains("task \"dump\" (") && tasks[0].ends_with("): running, polled 2 times"),
        "{shown}"
    );
    assert_eq!(tasks.len(), 4, "and a task of hyper for each connection: {shown}");
}

#[test]
fn the_dump_of_a_load_test_has_the_shape_that_the_guide_shows() {
    let server = server(|_| Reply::SendAndStall(""));
    let shown = guide::printed_under("The dump of a load test");
    let options = ["--url", &server.url, "-n=99", "-c=10", "-t", AN_HOUR, "--dump=1"];
    let tree = dump_of(options, shown.lines().count());
    assert_eq!(guide::shape(&tree.join("\n")), guide::shape(&shown), "{tree:#?}");
}

// ---- statuses

#[test]
fn an_error_status_does_not_end_the_run_and_makes_it_fail() {
    let server = server(|request| {
        Reply::Send(match request % 4 {
            0 => OK,
            1 => "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
            2 => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            _ => "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
        })
    });
    let ended = server.tested(&["--requests", "400", "--concurrency", "8"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert_eq!(divided(&ended), [200, 200, 0, 0]);
    assert_eq!(["200", "302", "404", "500"].map(|status| ended.figure(status)), [100; 4]);
    assert_eq!(server.requests(), 400, "redirections are not followed");
}

#[test]
fn a_server_that_answers_only_errors_fails_every_request() {
    let server = server(|_| Reply::Send("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"));
    let ended = server.tested(&["--requests", "50", "--capture"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert_eq!((divided(&ended), ended.figure("500")), ([0, 50, 0, 0], 50));
}
