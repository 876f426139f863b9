//! A load tester for HTTP servers: `gather` with a limit, over hyper.
//!
//!     cargo run --release --example load_test
//!     cargo run --release --example load_test -- --url http://127.0.0.1:8080/ --requests 20000 --capture
//!
//! Without `--url` it tests a server of its own, on another thread. The client is one thread. It
//! is a closed loop: a request starts when another ends, so a server that gets slower is also
//! asked less often.
//!
//! In the end it prints what became of the requests, for example:
//!
//!     GET http://127.0.0.1:42891/ (this program's own server, on another thread)
//!     requests                         10,000
//!     at a time                            64
//!
//!     succeeded                        10,000
//!     not 2xx or 3xx                        0
//!     failed                                0
//!     connections opened                   64
//!     body bytes received            9.77 MiB
//!     time                            49.85ms
//!     requests/s                      200,616
//!
//! and then the statuses, the latencies with a histogram, and the failures by kind.
//!
//! This file is the whole flow; the others hold one part each: `options` (the command line),
//! `client` (one request), `server`, `failure` (kinds of failure), `tally` (what became of all),
//! `progress`, `report`, `latency` (percentiles), `chart` (its file), `drawing` and `slices`
//! (parts of the run).

mod chart;
mod client;
mod drawing;
mod failure;
mod latency;
mod options;
mod progress;
mod report;
mod server;
mod slices;
mod tally;

use std::cell::RefCell;
use std::error::Error;
use std::fmt::Display;
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::pin;
use std::process::ExitCode;
use std::task::Poll;

use gather::signal::{Signal, Signals};
use gather::{Kept, Policy, dump, gather, sleep, spawn};
use gather_examples::output::print;
use gather_examples::{complain, say};

use crate::chart::Chart;
use crate::client::Client;
use crate::failure::Chain;
use crate::options::Options;
use crate::progress::Progress;
use crate::report::{Report, count};
use crate::tally::{Failures, Tally};

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            say!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => return refuse(error),
    };
    // Before the run: nobody wants to learn after it that the chart cannot be written.
    let chart = match options.chart.as_deref().map(Chart::create).transpose() {
        Ok(chart) => chart,
        Err(error) => return refuse(error),
    };
    gather::run(load_test(&options, chart)).unwrap_or_else(|error| {
        complain!("load_test: {}", Chain(&*error));
        ExitCode::FAILURE
    })
}

/// The options cannot be used.
fn refuse(error: impl Display) -> ExitCode {
    complain!("load_test: {error} (see --help)");
    ExitCode::from(2)
}

/// Sends the requests, reports, and says whether all succeeded.
async fn load_test(options: &Options, chart: Option<Chart>) -> Result<ExitCode, Box<dyn Error>> {
    let mut signals = Signals::new([Signal::Interrupt])?;
    let url = match &options.url {
        Some(url) => url.clone(),
        None => server::start()?,
    };
    let client = Client::new(url.clone(), options);
    let progress = Progress::new(options.requests, options.progress);

    if let Some(after) = options.dump {
        let shows = async move {
            sleep(after).await;
            complain!("{}", dump());
        };
        spawn(shows).named("dump").detach();
    }
    let tally = RefCell::new(Tally::new(chart.is_some()));
    let sends = async {
        send_all(options, &client, &progress, &tally).await;
        Ok(false)
    };
    let is_interrupted = first(sends, async { signals.recv().await.map(|_| true) }).await?;
    drop(signals); // the next one ends the process
    let tally = tally.into_inner();
    let elapsed = tally.elapsed();
    progress.finish();

    if is_interrupted {
        complain!("load_test: interrupted");
    } else if let (false, Some(Failures { first: (index, failure), .. })) =
        (options.capture, tally.failures.values().next())
    {
        complain!("load_test: request {} failed: {}", count(index + 1), Chain(failure));
    }
    let report = Report { options, url: &url, tally: &tally, client: &client, elapsed };
    let printed = print(&report);
    if let (false, Some(chart)) = (is_interrupted, chart) {
        let points = tally.points.as_deref().unwrap_or_default();
        chart.write(&drawing::draw(&report.title(), points)?)?;
    }
    printed.map_err(|error| format!("the report cannot be written: {error}"))?;
    Ok(match report.all_succeeded() {
        _ if is_interrupted => ExitCode::from(130),
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The heart of it. Every request borrows what it uses: the client, the progress, the tally. No
/// more than `concurrency` of them exist at any moment, and the first failure ends all the
/// others, unless failures are to be captured.
async fn send_all(options: &Options, client: &Client, progress: &Progress, tally: &RefCell<Tally>) {
    let requests = (0..options.requests).map(async |index| {
        let ended = progress.count(client.get()).await;
        let goes_on = ended.is_ok() || options.capture;
        tally.borrow_mut().add(index, ended);
        if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    gather(requests).limit(options.concurrency).policy(UntilOneBreaks).named("requests").await;
}

/// As the default mode and `capture`, but keeps nothing for each request: they are counted
/// already.
struct UntilOneBreaks;

impl Policy<ControlFlow<()>> for UntilOneBreaks {
    type Output = ();

    fn judge(&mut self, _: usize, ended: ControlFlow<()>, _: &mut Kept<ControlFlow<()>>) -> ControlFlow<()> {
        ended
    }

    fn finish(&mut self, _: Kept<ControlFlow<()>>) {}
}

/// Whichever is ready first. The other is dropped.
async fn first<T>(one: impl Future<Output = T>, other: impl Future<Output = T>) -> T {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|cx| match one.as_mut().poll(cx) {
        Poll::Pending => other.as_mut().poll(cx),
        ready => ready,
    })
    .await
}
