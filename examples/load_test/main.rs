//! A load tester for HTTP servers: `gather` with a limit, over hyper.
//!
//!     cargo run --release --example load_test
//!     cargo run --release --example load_test -- --url http://127.0.0.1:8080/ --requests 20000 --capture
//!
//! Without `--url` it tests a server of its own, on another thread. The client is one thread. It is a closed
//! loop: a request starts when another ends, so a server that gets slower is also asked less often.
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
//! This file is the whole flow; the others hold one part each: `options` (the command line), `client` (one
//! request),
//! `server`, `failure` (kinds of failure), `progress`, `report`, `latency` (percentiles) and `chart`.

mod chart;
mod client;
mod failure;
mod latency;
mod options;
mod progress;
mod report;
mod server;

use std::cell::RefCell;
use std::error::Error;
use std::fmt::Display;
use std::process::ExitCode;
use std::time::Instant;

use gather::{dump, gather, sleep, spawn};
use gather_examples::output::print;
use gather_examples::{complain, say};

use crate::chart::Chart;
use crate::client::Client;
use crate::failure::Chain;
use crate::options::Options;
use crate::progress::Progress;
use crate::report::{Outcome, Report, count};

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
    let url = match &options.url {
        Some(url) => url.clone(),
        None => server::start()?,
    };
    let client = Client::new(url.clone(), options.concurrency, options.timeout);
    let progress = Progress::new(options.requests, options.progress);

    if let Some(after) = options.dump {
        let shows = async move {
            sleep(after).await;
            complain!("{}", dump());
        };
        spawn(shows).named("dump").detach();
    }
    let started = Instant::now();
    let outcome = send_all(options, &client, &progress).await;
    let elapsed = started.elapsed();
    progress.finish();

    if let (false, Some((index, failure))) = (options.capture, outcome.failures.first()) {
        complain!("load_test: request {} failed: {}", count(index + 1), Chain(failure));
    }
    let connections = client.connections_opened();
    let report = Report { options, url: &url, outcome: &outcome, connections, elapsed };
    let printed = print(&report);
    if let Some(chart) = chart {
        chart.write(&outcome.answers, started)?;
    }
    printed.map_err(|error| format!("the report cannot be written: {error}"))?;
    Ok(if report.all_succeeded() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The heart of it. Every request borrows what it uses: the client, the progress, the list of answers. No more than
/// `concurrency` of them exist at any moment, and the first failure ends all the others, unless failures are to be
/// captured.
async fn send_all(options: &Options, client: &Client, progress: &Progress) -> Outcome {
    let answers = RefCell::new(Vec::new());
    let requests = (0..options.requests).map(async |index| {
        let answer = progress.count(client.get()).await.map_err(|failure| (index, failure))?;
        answers.borrow_mut().push(answer);
        Ok(())
    });
    let requests = gather(requests).limit(options.concurrency).named("requests");
    let failures = if options.capture {
        requests.capture().await.into_iter().filter_map(Result::err).collect()
    } else {
        requests.await.err().into_iter().collect()
    };
    Outcome { answers: answers.into_inner(), failures }
}
