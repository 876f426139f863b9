//! The example `load_test` against nginx, a server that nobody here wrote, and the end of
//! `http_server` beside that of nginx. `cargo servers` runs these tests.
//!
//! Each starts an nginx of its own: on a free port of the loopback interface, with all its files
//! in a folder of the test, in the foreground, and as a single process, so that killing it leaves
//! nothing behind.

#![cfg(feature = "servers")]

use std::collections::HashSet;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use gather_tests::clients::ask_until_the_end;
use gather_tests::example::end_under_load;
use gather_tests::load_test::{Ended, LoadTest};
use gather_tests::programs::printed_by;

const MISSING: &str =
    "nginx is not installed. `apt-get install --no-install-recommends nginx-light` installs it";

/// Larger than what a socket gives at once. A connection is then back in the pool only some time
/// after the answer, and a pool that nobody bounds opens twice as many connections.
static PAGE: [u8; 50_000] = [b'g'; 50_000];

/// An nginx that runs, and alone: these tests need the whole machine, one because it measures
/// time.
struct Nginx {
    process: Child,
    /// What it says, which is nothing unless something is wrong. Kept because it must be able to
    /// say it.
    complaints: BufReader<ChildStderr>,
    folder: PathBuf,
    url: String,
    _alone: MutexGuard<'static, ()>,
}

impl Nginx {
    /// Starts it. `name` is that of the test.
    #[track_caller]
    fn start(name: &str) -> Nginx {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("nginx-{name}"));
        let _ = fs::remove_dir_all(&folder); // of a run that was killed
        fs::create_dir_all(&folder).expect("the folder of cargo's can be written to");
        fs::write(folder.join("page"), PAGE).expect("so can ours");
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = address.expect("a free port").to_string();
        fs::write(folder.join("nginx.conf"), configuration(&address)).expect("so can ours");

        let started =
            nginx(&folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut process = started.expect("nginx starts");
        let complaints = BufReader::new(process.stderr.take().expect("a pipe"));
        let mut nginx =
            Nginx { process, complaints, folder, url: format!("http://{address}/page"), _alone: alone };
        nginx.wait_until_it_listens();
        nginx
    }

    /// Reads what it says until it names the way in which it waits for events. By then it listens.
    #[track_caller]
    fn wait_until_it_listens(&mut self) {
        let mut said = String::new();
        while !said.contains("event method") {
            let length = self.complaints.read_line(&mut said).expect("a pipe can be read");
            assert!(length > 0, "nginx does not start:\n{said}");
        }
    }

    /// Starts `load_test` against it.
    #[track_caller]
    fn load_test(&self, options: &[&str]) -> LoadTest {
        LoadTest::start(["--url", &self.url].iter().chain(options))
    }

    /// Kills it when `load_test` has said that the first tenth is done. It has nothing else to say
    /// before.
    #[track_caller]
    fn kill_after_a_tenth(&mut self, load_test: &mut LoadTest) {
        let tenth = load_test.next_complaint().expect("it goes on for longer than this");
        assert!(tenth.starts_with(" 10 %: ") && tenth.ends_with(" 0 failed"), "{tenth}");
        self.process.kill().expect("it runs");
    }

    /// Has it end when its connections have finished.
    #[track_caller]
    fn quit(&self) {
        printed_by(nginx(&self.folder).args(["-s", "quit"]));
    }

    /// Has it end in order, so that its log is whole, and gives the log: a line for each request.
    #[track_caller]
    fn stopped(mut self) -> Vec<String> {
        printed_by(nginx(&self.folder).args(["-s", "stop"]));
        let status = self.process.wait().expect("it was not waited for before");
        assert!(status.success(), "{status}");
        self.log()
    }

    #[track_caller]
    fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder.join("access.log")).expect("nginx writes a log");
        log.lines().map(str::to_owned).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Both say so if it has ended, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// The program, with our configuration.
#[track_caller]
fn nginx(folder: &Path) -> Command {
    let path = env::var_os("PATH").unwrap_or_default();
    // Where systems put it is not in everybody's PATH.
    let mut programs = env::split_paths(&path).chain(["/usr/sbin".into()]).map(|folder| folder.join("nginx"));
    let mut nginx = Command::new(programs.find(|program| program.is_file()).expect(MISSING));
    nginx.arg("-p").arg(folder).args(["-c", "nginx.conf"]);
    nginx
}

/// The paths in it are relative to the folder.
fn configuration(address: &str) -> String {
    format!(
        "
        daemon off;
        master_process off;
        pid nginx.pid;
        error_log stderr notice;
        events {{ worker_connections 512; }}
        http {{
            log_format each '$connection $request';
            access_log access.log each;
            client_body_temp_path body;
            proxy_temp_path proxy;
            fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi;
            scgi_temp_path scgi;
            keepalive_requests 1000000;
            server {{
                listen {address};
                location / {{ root .; }}
            }}
        }}
        "
    )
}

/// Succeeded, failed and given up must be all there is. The log must agree: it has a line for each
/// answer that was sent, and at most those 64 that were under way did not arrive, or were not
/// logged any more.
#[track_caller]
fn check_that_all_are_accounted_for(ended: &Ended, requests: usize, log: &[String]) {
    let succeeded = ended.figure("succeeded");
    let given_up = ended.find("given up").unwrap_or(0);
    assert_eq!(succeeded + ended.figure("failed") + given_up, requests, "{ended:#?}");
    assert!(succeeded >= requests / 10, "the server was killed after a tenth: {ended:#?}");
    assert_eq!(ended.kinds().values().sum::<usize>(), ended.figure("failed"), "{ended:#?}");
    assert!(succeeded.abs_diff(log.len()) <= 64, "{} lines in the log: {ended:#?}", log.len());
}

#[test]
fn twenty_thousand_requests_are_twenty_thousand_lines_in_its_log_from_at_most_64_connections() {
    let nginx = Nginx::start("log");
    let ended = nginx.load_test(&["--requests", "20000", "--concurrency", "64"]).ended();
    let log = nginx.stopped();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(["requests", "succeeded", "200"].map(|name| ended.figure(name)), [20_000; 3]);
    assert_eq!(["not 2xx or 3xx", "failed"].map(|name| ended.figure(name)), [0; 2]);

    assert_eq!(log.len(), 20_000);
    let lines: Vec<_> = log.iter().filter_map(|line| line.split_once(' ')).collect();
    assert!(lines.iter().all(|(_, request)| *request == "GET /page HTTP/1.1"), "{lines:?}");
    let connections = lines.iter().map(|(connection, _)| connection).collect::<HashSet<_>>().len();
    assert!(connections <= 64, "{connections} connections");
    // One may be opened and not be needed any more.
    assert!((connections..=64).contains(&ended.figure("connections opened")), "{connections}, {ended:#?}");
}

#[test]
fn when_it_is_killed_the_run_ends_at_once_and_names_the_failing_request() {
    let mut nginx = Nginx::start("failing");
    // If one of them waited for its answer, the run would be taken for one that hangs.
    let options = ["--requests", "200000", "--concurrency", "64", "--timeout", "3600", "--progress"];
    let mut load_test = nginx.load_test(&options);
    nginx.kill_after_a_tenth(&mut load_test);
    let ended = load_test.ended();
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let (request, reason) = ended.failing_request();
    assert!((1..=200_000).contains(&request), "{request}");
    assert!(reason.contains("refused") || reason.contains("reset") || reason.contains("closed"), "{reason}");
    assert_eq!(ended.figure("failed"), 1);
    check_that_all_are_accounted_for(&ended, 200_000, &nginx.log());
}

#[test]
fn when_it_is_killed_a_capturing_run_accounts_for_every_request() {
    let mut nginx = Nginx::start("capture");
    let mut load_test =
        nginx.load_test(&["--requests", "50000", "--concurrency", "64", "--capture", "--progress"]);
    nginx.kill_after_a_tenth(&mut load_test);
    let ended = load_test.ended();
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert_eq!(ended.find("given up"), None, "{ended:#?}");
    check_that_all_are_accounted_for(&ended, 50_000, &nginx.log());
}

/// `cargo servers --test nginx twenty_ends -- --nocapture` shows how nginx does: it closes its
/// listener at once, which resets the connections in the queue.
#[test]
fn twenty_ends_under_load_lose_no_client_that_was_let_in() {
    let mut lost = 0;
    for _ in 0..20 {
        let nginx = Nginx::start("ends");
        let address = nginx.url.split('/').nth(2).expect("an address").parse().expect("an address");
        let asked = ask_until_the_end(address, "/page", &PAGE, || nginx.quit());
        lost += asked.lost.values().sum::<usize>();
    }
    println!("nginx has lost {lost} clients in twenty ends");
    for cores in ["--cores=1", "--cores=2"] {
        // Most of an end is waiting: four at a time are as good as one.
        for _ in 0..5 {
            let ends = [(); 4].map(|()| thread::spawn(move || end_under_load(&[cores])));
            ends.into_iter().for_each(|end| end.join().expect("it loses nobody"));
        }
    }
}
