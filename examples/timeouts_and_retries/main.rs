//! Asking a server that often fails: each attempt has its time, a failed one is tried again after
//! a pause that grows, and the whole has a time, too.
//!
//!     cargo run --release --example timeouts_and_retries
//!
//! asks a server of its own, which closes some connections and lets others wait, and prints, for
//! example:
//!
//!     asking 127.0.0.1:40123, 100 requests, 16 at a time
//!     100 of 100 answered in 451.2ms, 52 at the first attempt, the last at attempt 6
//!     failed attempts: 48 closed, 44 too slow
//!
//! With `--server IP:PORT` it asks another one, which answers a line with a line, such as the
//! example `echo_server`.
//!
//! The policy is twenty lines, [`Policy::retry`]: `timeout` around an attempt, `sleep` between
//! two. Nothing has to be cleaned up when an attempt's time is up: its future is dropped, and with
//! it its connection.

#[path = "../start.rs"]
mod start;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use gather::{TcpListener, TcpStream, gather, run, sleep, spawn, timeout};
use gather_examples::say;
use lexopt::{Arg, Parser};

const HELP: &str = "\
Asks a server that often fails, until it answers.

Usage: timeouts_and_retries [OPTIONS]

Options:
      --server IP:PORT    whom to ask: it answers a line with a line [default: a server of its own, which often fails]
      --requests N        how many answers are wanted [default: 100]
      --limit N           how many requests at a time [default: 16]
      --attempts N        how often one is tried at most [default: 20]
      --timeout SECONDS   the time of an attempt [default: 0.05]
      --deadline SECONDS  the time for all [default: 30]
  -h, --help              show this

Exit codes: 0 all requests were answered, 1 some were not, 2 the options cannot be used.";

struct Options {
    server: Option<SocketAddr>,
    requests: NonZeroUsize,
    limit: NonZeroUsize,
    deadline: Duration,
    policy: Policy,
}

fn options(parser: &mut Parser) -> Result<Option<Options>, lexopt::Error> {
    let number = |n| NonZeroUsize::new(n).expect("not zero");
    let pauses = (Duration::from_millis(2), Duration::from_millis(100));
    let policy = Policy { attempts: number(20), timeout: Duration::from_millis(50), pauses };
    let deadline = Duration::from_secs(30);
    let mut options = Options { server: None, requests: number(100), limit: number(16), deadline, policy };
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("server") => options.server = Some(start::value(parser)?),
            Arg::Long("requests") => options.requests = start::count(parser, usize::MAX)?,
            Arg::Long("limit") => options.limit = start::count(parser, usize::MAX)?,
            Arg::Long("attempts") => options.policy.attempts = start::count(parser, usize::MAX)?,
            Arg::Long("timeout") => options.policy.timeout = start::seconds(parser)?,
            Arg::Long("deadline") => options.deadline = start::seconds(parser)?,
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            unknown => return Err(unknown.unexpected()),
        }
    }
    Ok(Some(options))
}

/// How often, how long, and with which pauses something is tried.
struct Policy {
    attempts: NonZeroUsize,
    /// The time of one attempt.
    timeout: Duration,
    /// The pause after the first attempt, and the longest. Each is twice the one before.
    pauses: (Duration, Duration),
}

impl Policy {
    /// Tries until it succeeds, or fails in a way that another attempt would not change, or was
    /// tried often enough. Gives the number of the attempt, too, and tells each failure to
    /// `failed`.
    async fn retry<T>(
        &self,
        attempt: impl AsyncFn() -> io::Result<T>,
        failed: impl Fn(&io::Error),
    ) -> io::Result<(usize, T)> {
        let (mut pause, longest) = self.pauses;
        for number in 1.. {
            let result = timeout(self.timeout, attempt()).await;
            let error = match result.unwrap_or(Err(ErrorKind::TimedOut.into())) {
                Ok(output) => return Ok((number, output)),
                Err(error) => error,
            };
            failed(&error);
            if number == self.attempts.get() || !is_passing(error.kind()) {
                return Err(error);
            }
            // Between half of the pause and all of it, so that those who failed together do not
            // come again together.
            sleep(pause.mul_f64(0.5 + random() / 2.0)).await;
            pause = longest.min(pause * 2);
        }
        unreachable!("the numbers do not end")
    }
}

/// Whether it may go better the next time. A refused connection means that nobody is there.
fn is_passing(kind: ErrorKind) -> bool {
    use ErrorKind::*;
    matches!(kind, TimedOut | UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

/// A number from 0 to 1, good enough for pauses.
fn random() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    // Each has other keys.
    RandomState::new().hash_one(()) as f64 / u64::MAX as f64
}

fn main() -> ExitCode {
    start::start("timeouts_and_retries", HELP, options, |options| run(ask_all(options)))
}

async fn ask_all(options: Options) -> Result<(), Box<dyn Error>> {
    let server = match options.server {
        Some(server) => server,
        None => flaky_server().await?,
    };
    let Options { requests, limit, policy, .. } = &options;
    say!("asking {server}, {requests} requests, {limit} at a time");
    let failures = RefCell::new(BTreeMap::new()); // of attempts, by their kinds
    let started = Instant::now();
    let outcomes = gather((0..requests.get()).map(async |request| {
        let question = format!("question {request}\n");
        let failed = |error: &io::Error| *failures.borrow_mut().entry(what(error.kind())).or_insert(0) += 1;
        policy.retry(async || ask(server, &question).await, failed).await.map(|(number, _)| number)
    }))
    .limit(limit.get())
    .capture()
    .within(options.deadline)
    .await;

    let (mut attempts, mut answered, mut last_error) = (BTreeMap::new(), 0, None);
    let unfinished = outcomes.iter().filter(|outcome| outcome.is_none()).count();
    for outcome in outcomes.into_iter().flatten() {
        match outcome {
            Ok(number) => {
                *attempts.entry(number).or_insert(0) += 1;
                answered += 1;
            }
            Err(error) => last_error = Some(error),
        }
    }
    let first: usize = attempts.get(&1).copied().unwrap_or(0);
    let most = attempts.keys().last().unwrap_or(&0);
    say!(
        "{answered} of {requests} answered in {:.1?}, {first} at the first attempt, the last at attempt {most}",
        started.elapsed()
    );
    let failures = failures.into_inner();
    let failures = failures.iter().map(|(what, count)| format!("{count} {what}"));
    say!("failed attempts: {}", failures.collect::<Vec<_>>().join(", "));
    match last_error {
        Some(error) => {
            Err(format!("{} were given up, the last because: {error}", requests.get() - answered).into())
        }
        None if unfinished > 0 => {
            Err(format!("{unfinished} were not finished when their time was up").into())
        }
        None => Ok(()),
    }
}

fn what(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ConnectionRefused => "refused",
        ErrorKind::TimedOut => "too slow",
        kind if is_passing(kind) => "closed",
        _ => "other",
    }
}

/// Sends a line and reads one.
async fn ask(server: SocketAddr, question: &str) -> io::Result<Vec<u8>> {
    let stream = TcpStream::connect(server).await?;
    stream.write_all(question.as_bytes()).await?;
    let mut answer = vec![0; 1000];
    let mut length = 0;
    while !answer[..length].ends_with(b"\n") {
        match stream.read(&mut answer[length..]).await? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => length += count,
        }
    }
    answer.truncate(length);
    Ok(answer)
}

/// Starts a server that answers half of its clients, closes the connection of a quarter, and lets
/// a quarter wait.
async fn flaky_server() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let serve = async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                sleep(Duration::from_millis(10)).await;
                continue;
            };
            spawn(async move {
                match (random() * 4.0) as u8 {
                    0 => Ok(()), // closes the connection
                    // Silent until the client goes.
                    1 => loop {
                        if stream.read(&mut [0; 100]).await? == 0 {
                            break Ok(());
                        }
                    },
                    _ => stream.write_all(b"answer\n").await,
                }
            })
            .detach();
        }
    };
    spawn(serve).detach();
    Ok(address)
}
