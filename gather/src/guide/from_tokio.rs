//! For people coming from tokio.
//!
//! | tokio | here | what differs |
//! |---|---|---|
//! | `#[tokio::main(flavor = "current_thread")]`, `Runtime::block_on` | [`run(future)`](crate::run()), [`Runtime`](crate::Runtime) | always one thread; a runtime for each thread that wants one |
//! | `tokio::join!(a, b)` | [`gather!(capture; a, b)`](crate::gather!) | a child is polled when it was woken, not because another was |
//! | `tokio::try_join!(a, b)` | [`gather!(a, b)`](crate::gather!) | likewise; and the others are dropped before the error is seen |
//! | `JoinSet` of what is known | [`gather(futures)`](crate::gather()) | in order, borrows, no allocation for each, one limit; it is a future, not a set |
//! | `JoinSet` that grows | [`scope(async \|s\| ..)`](crate::scope()) | children borrow |
//! | `JoinSet::join_next` | [`.stream()`](crate::Gather::stream), [`.for_each(..)`](crate::Gather::for_each) | with the index of the child |
//! | `select!` | [`.race()`](crate::Gather::race), [`.first_ok()`](crate::Gather::first_ok), [`timeout`](crate::timeout) | of one type; tokio's `select!` runs here too |
//! | `tokio::spawn(f)` | [`spawn(f)`](crate::spawn) | no `Send`; **dropping the handle cancels**: [`detach`](crate::Task::detach) what shall go on |
//! | `LocalSet`, `spawn_local` | [`spawn(f)`](crate::spawn) | every task is local |
//! | `task.abort()`, `AbortHandle` | [`task.cancel()`](crate::Task::cancel), [`Canceller`](crate::Canceller) | the future is dropped before it returns |
//! | `spawn_blocking(f)` | [`spawn_blocking(f)`](crate::spawn_blocking) | |
//! | `Handle::spawn` from another thread | [`Handle::spawn`](crate::Handle::spawn) | it takes a closure that makes the future, which need not be `Send` |
//! | `time::{sleep, sleep_until, timeout, interval}` | [`sleep`](crate::sleep()), [`sleep_until`](crate::sleep_until), [`timeout`](crate::timeout), [`interval`](crate::interval()) | instants are those of `std` |
//! | `time::pause()` | [`Builder::virtual_clock`](crate::Builder::virtual_clock) | it also notices when nothing can ever happen again |
//! | `task::yield_now()`, `coop` | [`yield_now()`](crate::yield_now()) | sockets, timers, tasks and gathers have a budget, too |
//! | `net::*` | [`net`](crate::net) | the methods take `&self`: there is no `split` |
//! | `io::{AsyncRead, AsyncWrite}` | the same traits, with the feature `tokio-io` | `AsyncReadExt` and the codecs work on our sockets |
//! | `sync::*` | `tokio::sync::*` | it needs no tokio runtime |
//! | `signal::ctrl_c()` | [`gather::signal::ctrl_c()`](crate#the-runtime) | feature `signal`; when it has ended, Ctrl-C kills again |
//! | `fs::*` | [`spawn_blocking`](crate::spawn_blocking) and `std::fs` | tokio does the same within |
//! | tokio-console | [`dump()`](crate::dump()), [`Metrics`](crate::Metrics) | in the process, at any time |
//!
//! # JoinSet
//!
//! ```text
//! let mut set = JoinSet::new();
//! for name in names.clone() {                            // 'static: each task needs its own
//!     let client = client.clone();
//!     set.spawn(async move { client.fetch(&name).await });
//! }
//! let mut pages = Vec::new();
//! while let Some(joined) = set.join_next().await {
//!     pages.push(joined??);                              // in the order in which they finish
//! }
//! ```
//!
//! ```
//! # use gather::{gather, run, sleep};
//! # struct Client;
//! # impl Client {
//! #     async fn fetch(&self, name: &str) -> Result<String, String> {
//! #         sleep(std::time::Duration::from_millis(name.len() as u64)).await;
//! #         Ok(name.to_uppercase())
//! #     }
//! # }
//! # let (client, names) = (Client, ["contact", "news"]);
//! # run(async {
//! let pages = gather(names.iter().map(|name| client.fetch(name))).limit(10).await?;
//! assert_eq!(pages, ["CONTACT", "NEWS"]); // in the order of the names
//! # Ok::<(), String>(())
//! # }).unwrap();
//! ```
//!
//! The tasks of a `JoinSet` must be `'static`, so they cannot borrow `client`; they run on all
//! threads of the runtime, and a child of a gather runs on the gather's. When `join_next` has
//! given an error, the other tasks run on until the set is dropped, and dropping it only asks them
//! to end: on another thread one may still be at work then. A gather's children have been dropped.
//!
//! # join! and try_join!
//!
//! ```text
//! let (user, posts) = tokio::try_join!(user(), posts())?;
//! ```
//!
//! ```
//! # use gather::{gather, run};
//! # async fn user() -> Result<String, String> { Ok("ann".into()) }
//! # async fn posts() -> Result<Vec<u32>, String> { Ok(vec![1, 2]) }
//! # run(async {
//! let (user, posts) = gather!(user(), posts()).await?;
//! # assert_eq!((user.as_str(), posts.len()), ("ann", 2));
//! # Ok::<(), String>(())
//! # }).unwrap();
//! ```
//!
//! `try_join!` polls all its futures whenever one of them was woken. `gather!` polls the one.
//!
//! # select!
//!
//! ```text
//! let answer = tokio::select! {
//!     answer = primary() => answer,
//!     answer = replica() => answer,
//!     () = tokio::time::sleep(second) => return Err("too late".into()),
//! };
//! ```
//!
//! ```
//! # use gather::{gather, run, timeout};
//! # use std::{pin::Pin, time::Duration};
//! # async fn primary() -> Result<u32, String> { std::future::pending().await }
//! # async fn replica() -> Result<u32, String> { Ok(42) }
//! # let second = Duration::from_secs(1);
//! # run(async {
//! let both: [Pin<Box<dyn Future<Output = _>>>; 2] = [Box::pin(primary()), Box::pin(replica())];
//! let answer = match timeout(second, gather(both).race()).await {
//!     Ok((_index, answer)) => answer?,
//!     Err(_) => return Err("too late".into()),
//! };
//! # assert_eq!(answer, 42);
//! # Ok::<(), String>(())
//! # }).unwrap();
//! ```
//!
//! A `select!` in a loop that polls `&mut future` in one branch, and awaits something in the body
//! of another, has the future stand still meanwhile: that is the shape of a
//! [futurelock](super::footguns). `select!` polls in random order; a race polls in the order of
//! the input.
//!
//! # spawn
//!
//! ```text
//! tokio::spawn(serve(stream));                           // goes on though the handle is dropped
//! ```
//!
//! ```
//! # use gather::{run, spawn};
//! # async fn serve(_: ()) {}
//! # run(async {
//! # let stream = ();
//! spawn(serve(stream)).detach();
//! # });
//! ```
//!
//! # What needs tokio's runtime
//!
//! Libraries that ask only for tokio's traits run on gather with the feature `tokio-io`:
//! tokio-rustls, tokio-postgres. hyper and hyper-util run with the feature `hyper`,
//! async-tungstenite with `futures-io`.
//!
//! Libraries that call `tokio::spawn`, or tokio's timers and sockets (sqlx, reqwest, redis), run
//! if a tokio runtime works beside gather's. Entering one takes two lines.
//!
//! Next: [`libraries_that_want_tokio`](super::libraries_that_want_tokio), which shows them.
