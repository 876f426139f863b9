//! reqwest, which needs a tokio runtime, over each bridge to one.

use std::error::Error;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use async_compat::CompatExt;
use gather::{gather, run, timeout};
use gather_ecosystem::bridge::over_each_bridge;
use gather_ecosystem::{echo, serve};
use gather_tests::gate::Gate;
use gather_tests::watchdog::finishes;
use gather_tests::witness::on_drop;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use reqwest::Client;

// ---- the programs of the guide

async fn pages(client: &Client, urls: &[String]) -> reqwest::Result<Vec<String>> {
    gather(urls.iter().map(async |url| client.get(url).send().await?.text().await)).limit(16).await
}

fn fetch_with_tokio_entered(client: &Client, urls: &[String]) -> Result<Vec<String>, Box<dyn Error>> {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let _entered = tokio.enter(); // on this thread, until it is dropped
    Ok(run(pages(client, urls))?)
}

fn fetch_with_async_compat(client: &Client, urls: &[String]) -> reqwest::Result<Vec<String>> {
    run(pages(client, urls).compat())
}

// ---- the tests

/// A client that asks the tests' server, whatever the settings of the machine say.
fn client() -> Client {
    Client::builder().no_proxy().build().expect("without TLS there is nothing that could be missing")
}

/// A server on gather, in the runtime that asks for it.
async fn server() -> (SocketAddr, impl Sized) {
    serve(|stream| http1::Builder::new().serve_connection(stream, service_fn(echo))).await
}

#[test]
fn reqwest_gathers_200_pages_in_order_over_each_bridge() {
    finishes(|| {
        let (ask, asked) = mpsc::channel();
        let done = Gate::new();
        let ends = done.clone();
        let thread = thread::spawn(move || {
            run(async {
                let (address, _server) = server().await;
                ask.send(address).expect("the test waits for it");
                ends.pass().await;
            });
        });
        let address = asked.recv().expect("it listens");
        let urls: Vec<_> = (0..200).map(|number| format!("http://{address}/{number}")).collect();
        let expected: Vec<_> = (0..200).map(|number| format!("/{number} ")).collect();
        assert_eq!(fetch_with_tokio_entered(&client(), &urls).expect("all succeed"), expected);
        assert_eq!(fetch_with_async_compat(&client(), &urls).expect("all succeed"), expected);
        done.open();
        thread.join().expect("the server does not panic");
    });
}

#[test]
fn pages_can_be_gathered_in_the_runtime_that_serves_them() {
    over_each_bridge(async || {
        let (address, _server) = server().await;
        let urls: Vec<_> = (0..50).map(|number| format!("http://{address}/{number}")).collect();
        assert_eq!(pages(&client(), &urls).await.expect("all succeed").len(), 50);
    });
}

/// A server that never answers. It opens `came` for a request, and `closed` when a connection is
/// gone.
async fn silent_server(came: Gate, closed: Gate) -> (SocketAddr, impl Sized) {
    serve(move |stream| {
        let (came, closed) = (came.clone(), closed.clone());
        async move {
            let _end = on_drop(move || closed.open());
            let never = service_fn(move |request| {
                came.open();
                async {
                    pending::<()>().await;
                    echo(request).await
                }
            });
            drop(http1::Builder::new().serve_connection(stream, never).await);
        }
    })
    .await
}

#[test]
fn timeouts_of_reqwest_and_of_gather_end_a_request_that_is_never_answered() {
    over_each_bridge(async || {
        let (address, _server) = silent_server(Gate::new(), Gate::new()).await;
        let request = || client().get(format!("http://{address}/"));
        let brief = Duration::from_millis(20);
        let error = request().timeout(brief).send().await.expect_err("there is no answer");
        assert!(error.is_timeout(), "{error:?}");
        timeout(brief, request().send()).await.expect_err("there is no answer");
    });
}

#[test]
fn a_request_that_is_dropped_when_another_future_fails_closes_its_connection() {
    over_each_bridge(async || {
        let (came, closed) = (Gate::new(), Gate::new());
        let (address, _server) = silent_server(came.clone(), closed.clone()).await;
        let client = client(); // whose pool would keep a connection
        let request = client.get(format!("http://{address}/")).send();
        let request = async { request.await.map(drop).map_err(|error| error.to_string()) };
        let fails = async {
            came.pass().await;
            Err::<(), _>("enough".to_owned())
        };
        assert_eq!(gather::gather!(request, fails).await.expect_err("one fails"), "enough");
        closed.pass().await;
    });
}
