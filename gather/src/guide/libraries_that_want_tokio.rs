//! Libraries that want a tokio runtime: reqwest, sqlx, redis and others.
//!
//! They call `tokio::spawn`, or tokio's timers and sockets, and panic without that runtime:
//! `there is no reactor running, must be called from the context of a Tokio 1.x runtime`, or `this
//! functionality requires a Tokio context`. They run here if a tokio runtime works beside
//! gather's, on a thread of its own. gather polls their futures as it polls others: every mode,
//! limit and timeout applies. The tokio thread drives their sockets, timers and tasks, and wakes
//! gather.
//!
//! There are two bridges to such a runtime:
//!
//! | | an entered runtime | async-compat |
//! |---|---|---|
//! | depends on | tokio with `rt-multi-thread` | the crate async-compat |
//! | reaches | all tasks and destructors on the thread | the wrapped future, not its tasks |
//! | the tokio runtime ends | when you drop it | never |
//!
//! # An entered runtime
//!
//! ```text
//! fn fetch_with_tokio_entered(client: &Client, urls: &[String]) -> Result<Vec<String>, Box<dyn Error>> {
//!     let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
//!     let _entered = tokio.enter(); // on this thread, until it is dropped
//!     Ok(run(pages(client, urls))?)
//! }
//! ```
//!
//! Nothing else in the program changes:
//!
//! ```text
//! async fn pages(client: &Client, urls: &[String]) -> reqwest::Result<Vec<String>> {
//!     gather(urls.iter().map(async |url| client.get(url).send().await?.text().await)).limit(16).await
//! }
//! ```
//!
//! **Enter a multi-thread runtime**; one worker thread is enough. A current-thread runtime works
//! only inside its own `block_on`. If it is entered, it accepts tasks, timers and sockets and
//! never drives them: the program hangs without a message.
//!
//! # async-compat
//!
//! With the trait `async_compat::CompatExt`:
//!
//! ```text
//! fn fetch_with_async_compat(client: &Client, urls: &[String]) -> reqwest::Result<Vec<String>> {
//!     run(pages(client, urls).compat())
//! }
//! ```
//!
//! The wrapper enters a runtime of async-compat's whenever the future is polled or dropped. A
//! task is polled elsewhere, so wrap its future too: `spawn(request.compat())`.
//!
//! # Timeouts and cancelling
//!
//! Both work. A library's own timeouts run on tokio's timers, [`timeout`](crate::timeout) and
//! [`within`](crate::Gather::within) on gather's. When a future of the library is dropped:
//!
//! | | |
//! |---|---|
//! | a request of reqwest | its connection is closed |
//! | a query of sqlx | its answer is discarded, and its place in the pool is free once the server is done |
//! | a transaction of sqlx | it is rolled back |
//! | a command of redis | its answer is discarded |
//!
//! A task that the library itself spawned is tokio's, and goes on.
//!
//! [`Builder::virtual_clock`](crate::Builder::virtual_clock) does not reach tokio's timers.
//!
//! # What it costs
//!
//! A thread, and a wake from that thread for each event that a future waits for. Libraries that
//! accept any stream, timer or executor need neither: hyper, tokio-postgres, tonic, quinn and
//! rustls use gather's own.
//!
//! Next: [`from_futures`](super::from_futures).
