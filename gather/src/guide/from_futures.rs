//! For people coming from the combinators of the crate futures.
//!
//! They run here as everywhere; what is here instead is faster, and has another contract.
//!
//! | futures | here | what differs |
//! |---|---|---|
//! | `join_all(futures)` | [`gather(futures).capture()`](crate::Gather::capture) | |
//! | `try_join_all(futures)` | [`gather(futures)`](crate::gather()) | prompt for any number of children |
//! | `join!(a, b)`, `try_join!(a, b)` | [`gather!(capture; a, b)`](crate::gather!), [`gather!(a, b)`](crate::gather!) | only what was woken is polled |
//! | `iter(futures).buffered(n).collect()` | [`gather(futures).limit(n).capture()`](crate::Gather::limit) | the limit counts what runs, not what waits for an earlier one |
//! | `.buffered(n).try_collect()` | [`gather(futures).limit(n)`](crate::Gather::limit) | prompt |
//! | `.buffer_unordered(n)` | [`gather(futures).limit(n).stream()`](crate::Gather::stream) | with the index of the child |
//! | `.for_each_concurrent(n, f)` | [`gather(items.map(f)).limit(n).capture()`](crate::Gather::limit) | |
//! | `.buffer_unordered(n).for_each(body)` | [`gather(futures).limit(n).for_each(body)`](crate::Gather::for_each) | children go on while the body waits |
//! | `FuturesUnordered`, all pushed at the start | [`gather(futures).stream()`](crate::Gather::stream) | no allocation for each |
//! | `FuturesUnordered`, pushed to while it runs | [`scope(async \|s\| ..)`](crate::scope()) | it ends when all have |
//! | `select_all(futures)` | [`gather(futures).race()`](crate::Gather::race) | the others are dropped, not given back |
//! | `select_ok(futures)` | [`gather(futures).first_ok()`](crate::Gather::first_ok) | the others are dropped; if none succeeds, every error is given, not the last |
//! | `AbortHandle`, `Abortable` | [`Canceller`](crate::Canceller) of a [`Task`](crate::Task) | |
//! | `LocalPool` | [`Runtime`](crate::Runtime) | with timers and sockets |
//!
//! # try_join_all
//!
//! ```text
//! let pages = try_join_all(names.iter().map(|name| fetch(name))).await?;
//! ```
//!
//! ```
//! # use gather::{gather, run};
//! # async fn fetch(name: &str) -> Result<String, String> { Ok(name.to_uppercase()) }
//! # let names = ["news"; 40];
//! # run(async {
//! let pages = gather(names.iter().map(|name| fetch(name))).await?;
//! # assert_eq!(pages.len(), 40);
//! # Ok::<(), String>(())
//! # }).unwrap();
//! ```
//!
//! With more than 30 children `try_join_all` collects an ordered stream, and sees the error of
//! child 31 only when all before it have given their outputs
//! ([futures-rs #2866](https://github.com/rust-lang/futures-rs/issues/2866)). With up to 30 it
//! polls all of them whenever one was woken. A gather does neither:
//!
//! ```
//! use gather::{Builder, gather, now, sleep};
//! use std::time::Duration;
//!
//! let second = Duration::from_secs(1);
//! let runtime = Builder::new().virtual_clock(true).build()?;
//! runtime.block_on(async {
//!     let start = now();
//!     let result: Result<Vec<()>, &str> = gather((0..40).map(async |index| {
//!         sleep(if index == 31 { second } else { 3600 * second }).await;
//!         if index == 31 { Err("refused") } else { Ok(()) }
//!     }))
//!     .await;
//!     assert_eq!((result, now() - start), (Err("refused"), second)); // and not after an hour
//! });
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # buffered
//!
//! ```text
//! let pages: Vec<_> = stream::iter(names).map(|name| fetch(name)).buffered(2).try_collect().await?;
//! ```
//!
//! ```
//! # use gather::{gather, run};
//! # async fn fetch(name: &str) -> Result<String, String> { Ok(name.to_uppercase()) }
//! # let names = ["news"; 40];
//! # run(async {
//! let pages = gather(names.into_iter().map(|name| fetch(name))).limit(2).await?;
//! # assert_eq!(pages.len(), 40);
//! # Ok::<(), String>(())
//! # }).unwrap();
//! ```
//!
//! `buffered(n)` counts outputs that wait for an earlier one against n: while the first is slow, n
//! - 1 of its places stand idle. In a gather what is done makes room for the next:
//!
//! ```
//! use gather::{Builder, gather, now, sleep};
//! use std::time::Duration;
//!
//! let runtime = Builder::new().virtual_clock(true).build()?;
//! runtime.block_on(async {
//!     let start = now();
//!     let seconds = [4, 1, 1, 1, 1].map(Duration::from_secs);
//!     gather(seconds.map(sleep)).limit(2).capture().await;
//!     assert_eq!(now() - start, Duration::from_secs(4)); // `buffered(2)` takes six
//! });
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # buffer_unordered
//!
//! ```text
//! let mut pages = stream::iter(names).map(|name| fetch(name)).buffer_unordered(10);
//! while let Some(page) = pages.next().await {
//!     save(page?).await?;                                // nothing is fetched meanwhile
//! }
//! ```
//!
//! ```
//! # use gather::{gather, run};
//! # async fn fetch(name: &str) -> Result<String, String> { Ok(name.to_uppercase()) }
//! # async fn save(_: usize, _: Result<String, String>) {}
//! # let names = ["news"; 40];
//! # run(async {
//! gather(names.into_iter().map(|name| fetch(name)))
//!     .limit(10)
//!     .for_each(async |index, page| save(index, page).await) // the children go on
//!     .await;
//! # });
//! ```
//!
//! Where the body shall be able to end it, loop over [`stream()`](crate::Gather::stream), which is
//! a `Stream`: the adapters of `StreamExt` work on it.
//!
//! # FuturesUnordered
//!
//! ```text
//! let mut visits = FuturesUnordered::new();
//! visits.push(visit(1));
//! while let Some(more) = visits.next().await {
//!     visits.extend(more.into_iter().map(visit));
//! }
//! ```
//!
//! ```
//! use gather::{Scope, run, scope};
//! use std::cell::Cell;
//!
//! async fn visit<'scope>(s: &'scope Scope<'scope, '_, ()>, node: u32, visited: &'scope Cell<u32>) -> Result<(), ()> {
//!     visited.set(visited.get() + 1);
//!     for child in [2 * node, 2 * node + 1] {
//!         if child < 100 {
//!             let child: std::pin::Pin<Box<dyn Future<Output = _>>> = Box::pin(visit(s, child, visited));
//!             s.spawn(child);
//!         }
//!     }
//!     Ok(())
//! }
//!
//! let visited = Cell::new(0);
//! run(scope(async |s| visit(s, 1, &visited).await))?;
//! assert_eq!(visited.get(), 99);
//! # Ok::<(), ()>(())
//! ```
//!
//! # select_ok
//!
//! ```text
//! let (answer, _rest) = select_ok(mirrors.iter().map(|mirror| Box::pin(ask(mirror)))).await?;
//! ```
//!
//! ```
//! # use gather::{gather, run};
//! # async fn ask(mirror: &str) -> Result<u32, std::num::ParseIntError> { mirror.parse() }
//! # let mirrors = ["x", "2"];
//! # run(async {
//! let (index, answer) = gather(mirrors.iter().map(|mirror| ask(mirror))).first_ok().await?;
//! # assert_eq!((index, answer), (1, 2));
//! # Ok::<(), gather::GatherError<std::num::ParseIntError>>(())
//! # }).unwrap();
//! ```
//!
//! This is the last page of the guide; the sources follow.
//!
//! Next: [`children`](crate::children), where the futures are.
