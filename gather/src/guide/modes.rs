//! All ways to run futures side by side. What they promise is in
//! [the contract](crate#the-contract); here is what there is.
//!
//! | | children give | ends at | gives | what happens to the others |
//! |---|---|---|---|---|
//! | [`gather(..)`](crate::gather()) | `Result<T, E>` | the first `Err`, or the last child | `Result<Vec<T>, E>` | dropped before the error is seen |
//! | [`.detailed()`](crate::Gather::detailed) | `Result<T, E>` | the same | `Result<Vec<T>, Failure<T, E>>`: the index of the error, and what had finished | the same |
//! | [`.capture()`](crate::Gather::capture) | anything | the last child | `Vec<O>` | each runs to its end |
//! | [`.capture().within(d)`](crate::Gather::within) | anything | the last child, or after `d` | `Vec<Option<O>>` | dropped when the time is over; `None` stands for them |
//! | [`.first_ok()`](crate::Gather::first_ok) | `Result<T, E>` | the first `Ok`, or the last child | `Result<(usize, T), GatherError<E>>` | dropped before the value is seen |
//! | [`.first_ok_n(k)`](crate::Gather::first_ok_n) | `Result<T, E>` | `k` times `Ok`, or when so many cannot come any more | `Result<Vec<(usize, T)>, GatherError<E>>` | dropped before the result is seen |
//! | [`.race()`](crate::Gather::race) | anything | the first child | `(usize, O)` | dropped before the output is seen |
//! | [`.policy(p)`](crate::Gather::policy) | what `p` judges | as `p` says | [`Policy::Output`](crate::Policy::Output) | dropped before it is seen |
//! | [`.stream()`](crate::Gather::stream) | anything | the last child | `(usize, O)`, one after the other, as they come | they go on while the stream is polled |
//! | [`.for_each(body)`](crate::Gather::for_each) | anything | the last body | `()` | each runs to its end, beside the body |
//! | [`gather!(a, b)`](crate::gather!) | `Result<_, E>`, of several types | the first `Err`, or the last child | `Result<(A, B), E>` | dropped before the error is seen |
//! | [`gather!(capture; a, b)`](crate::gather!) | anything, of several types | the last child | `(A, B)` | each runs to its end |
//! | [`wait(tasks)`](crate::wait()) | they are [`Task`](crate::Task)s | the last task; or the first that ends, or fails, or after some time | [`Waited`](crate::Waited): `done` and `pending` | handed back, and they go on |
//! | [`scope(async \|s\| ..)`](crate::scope()) | `Result<_, E>`, of several types, spawned while it runs | the first `Err`, or when the body and all children have ended | `Result<T, E>` of the body | dropped before the error is seen |
//!
//! What all of them share:
//!
//! * A panic in a child ends the whole with that panic, when the others have been dropped. No mode
//!   captures it. (For [`wait()`](crate::wait()) a task that panicked has a result that says so:
//!   the panic was the task's.)
//! * Dropping the whole drops every child, at once. Nothing goes on in the background. (A `wait`
//!   drops the handles of its tasks, which cancels them.)
//! * A child is polled when it was woken, and not because another was.
//!
//! # The results are in the order of the input
//!
//! ```
//! use gather::{gather, run, sleep};
//! use std::time::Duration;
//!
//! let slowest_first = [30, 20, 10].map(async |milliseconds| {
//!     sleep(Duration::from_millis(milliseconds)).await;
//!     milliseconds
//! });
//! assert_eq!(run(gather(slowest_first).capture()), [30, 20, 10]);
//! ```
//!
//! # The first error wins, and the others are gone before it is seen
//!
//! ```
//! use gather::{gather, run, sleep};
//! use std::{cell::Cell, time::Duration};
//!
//! /// Says when it is dropped.
//! struct Connection<'a>(&'a Cell<u32>);
//!
//! impl Drop for Connection<'_> {
//!     fn drop(&mut self) {
//!         self.0.set(self.0.get() - 1);
//!     }
//! }
//!
//! let open = Cell::new(0);
//! let result: Result<Vec<()>, String> = run(gather((0..100).map(async |index| {
//!     open.set(open.get() + 1);
//!     let _connection = Connection(&open);
//!     sleep(Duration::from_millis(1)).await;
//!     if index == 50 {
//!         return Err("no such page".to_owned());
//!     }
//!     sleep(Duration::from_secs(3600)).await;
//!     Ok(())
//! })));
//! assert_eq!(result.unwrap_err(), "no such page");
//! assert_eq!(open.get(), 0); // not in an hour: now
//! ```
//!
//! # The input is lazy, and may be endless
//!
//! With [`limit(n)`](crate::Gather::limit) at most n children exist at once, and the iterator is
//! asked for the next only when that may start. So what it does to make a child, such as opening a
//! file, is limited, too.
//!
//! ```
//! use gather::{gather, run, yield_now};
//! use std::cell::Cell;
//!
//! let (made, ended) = (Cell::new(0), Cell::new(0));
//! let numbers = (1..).map(|number: u32| {
//!     made.set(made.get() + 1);
//!     assert!(made.get() - ended.get() <= 3); // as the limit says
//!     let ended = &ended;
//!     async move {
//!         yield_now().await;
//!         ended.set(ended.get() + 1);
//!         if number < 100 { Ok(()) } else { Err(number) }
//!     }
//! });
//! assert_eq!(run(gather(numbers).limit(3)), Err(100));
//! assert!(made.get() <= 103);
//! ```
//!
//! Without a limit every child is started in the first poll, or in the first few: after about a
//! hundred the gather lets others have their turn.
//!
//! # Any iterator will do
//!
//! What it says of its length (`size_hint`) is used to reserve memory, and for nothing else, so it
//! may be unknown, or wrong. Only two results show it: `within` and `detailed` have a place for
//! each child if the length is known exactly, and else for each that was started.
//!
//! ```
//! use gather::{gather, run};
//!
//! let odd = (0..10).filter(|number| number % 2 == 1).map(async |number| Ok::<_, ()>(number));
//! assert_eq!(run(gather(odd)), Ok(vec![1, 3, 5, 7, 9]));
//! let none: [std::future::Ready<Result<(), ()>>; 0] = [];
//! assert_eq!(run(gather(none)), Ok(vec![])); // at its first poll
//! ```
//!
//! # Children borrow
//!
//! A gather owns its children and polls them in its own poll; none is sent anywhere. So they may
//! borrow what is around, and share what is not `Send`, and a `&mut` goes to one of them, or to
//! the body of a `for_each`.
//!
//! ```
//! use gather::{gather, run, sleep};
//! use std::time::Duration;
//!
//! struct Site { name: String }
//!
//! impl Site {
//!     async fn fetch(&self, page: &str) -> String {
//!         sleep(Duration::from_millis(1)).await;
//!         format!("{}/{page}", self.name)
//!     }
//! }
//!
//! let site = Site { name: "example.org".to_owned() };
//! let mut longest = String::new();
//! run(async {
//!     gather(["news", "about"].map(|page| site.fetch(page)))
//!         .for_each(async |_, page| {
//!             if page.len() > longest.len() {
//!                 longest = page; // no other body runs
//!             }
//!         })
//!         .await;
//! });
//! assert_eq!(longest, "example.org/about");
//! ```
//!
//! # Children of several types
//!
//! ```
//! use gather::{gather, run, scope};
//!
//! async fn name() -> Result<String, std::num::ParseIntError> { Ok("ann".to_owned()) }
//! async fn age() -> Result<u8, std::num::ParseIntError> { "42".parse() }
//!
//! run(async {
//!     // As many as stand here:
//!     let (name_is, age_is) = gather!(name(), age()).await?;
//!     assert_eq!((name_is.as_str(), age_is), ("ann", 42));
//!
//!     // As many as it turns out:
//!     let age_is = scope(async |s| {
//!         s.spawn(name());
//!         let age = s.spawn(age());
//!         Ok(age.await.expect("nobody cancels it"))
//!     })
//!     .await?;
//!     assert_eq!(age_is, 42);
//!     Ok::<_, std::num::ParseIntError>(())
//! })
//! # .unwrap();
//! ```
//!
//! # The first, the first few, and what comes in time
//!
//! ```
//! use gather::{Builder, gather, sleep};
//! use std::time::Duration;
//!
//! /// A replica that answers after so many seconds; number 1 only says that it cannot.
//! async fn replica(number: usize, seconds: u64) -> Result<usize, String> {
//!     sleep(Duration::from_secs(seconds)).await;
//!     if number == 1 { Err("out of order".to_owned()) } else { Ok(number * 10) }
//! }
//!
//! let replicas = || [5, 1, 3, 9].into_iter().enumerate().map(|(number, seconds)| replica(number, seconds));
//! let runtime = Builder::new().virtual_clock(true).build()?; // nobody has to wait for these seconds
//! runtime.block_on(async {
//!     assert_eq!(gather(replicas()).race().await, (1, Err("out of order".to_owned())));
//!     assert_eq!(gather(replicas()).first_ok().await, Ok((2, 20)));
//!     assert_eq!(gather(replicas()).first_ok_n(2).await, Ok(vec![(2, 20), (0, 0)]));
//!     let in_time = gather(replicas()).capture().within(Duration::from_secs(4)).await;
//!     assert_eq!(in_time, [None, Some(Err("out of order".to_owned())), Some(Ok(20)), None]);
//!     let failure = gather(replicas()).detailed().await.unwrap_err();
//!     assert_eq!(failure.to_string(), "#1 failed: out of order (0 of 4 had finished)");
//! });
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Next: [`footguns`](super::footguns), what to watch out for.
