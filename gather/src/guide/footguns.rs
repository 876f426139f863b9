//! What goes wrong, why, and what to write instead.
//!
//! # A gather that is held and not polled
//!
//! A gather polls its children, and whoever awaits the gather polls that. If you stop awaiting it
//! and keep it, its children stand still: they keep the locks, permits and connections that they
//! have. Whoever waits for one of those waits for ever. (It is known as
//! [futurelock](https://github.com/oxidecomputer/omicron/issues/9259).) It takes a reference to
//! the gather: what awaits it by value drops it in the end.
//!
//! ```
//! use gather::{Builder, gather, sleep, timeout};
//! use std::{pin::pin, time::Duration};
//!
//! let second = Duration::from_secs(1);
//! let runtime = Builder::new().virtual_clock(true).build()?;
//! runtime.block_on(async {
//!     // This gives up after a second, and the children stand still from then on:
//!     let mut pages = pin!(gather([second; 3].map(|time| sleep(2 * time))).capture());
//!     assert!(timeout(second, pages.as_mut()).await.is_err());
//!
//!     // This gives up, too, and then there are no children any more:
//!     let pages = gather([second; 3].map(|time| sleep(2 * time))).capture();
//!     assert!(timeout(second, pages).await.is_err());
//!
//!     // This goes on, whoever waits for it, until the handle is dropped:
//!     let mut pages = gather::spawn(gather([second; 3].map(sleep)).capture());
//!     assert!(timeout(second / 2, &mut pages).await.is_err());
//!     assert_eq!(pages.await.unwrap().len(), 3);
//! });
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! The runtime can tell: see
//! [the stall warning](super::looking_inside#the-warning-of-a-gather-that-nobody-polls).
//!
//! The same happens in code that chooses among futures by hand and passes `&mut gather` to each
//! round, as tokio's `select!` in a loop does: in the branch that won, nothing polls the gather.
//! Let the gather do the choosing ([`race`](crate::Gather::race),
//! [`within`](crate::Gather::within), [`for_each`](crate::Gather::for_each)), or spawn it.
//!
//! # A loop over a stream whose body waits
//!
//! It is the same: while the body of the loop waits, nobody polls the stream, and so no child.
//! [`for_each`](crate::Gather::for_each) runs its body beside the children.
//!
//! ```
//! use gather::{Builder, gather, now, sleep};
//! use std::time::Duration;
//!
//! let second = Duration::from_secs(1);
//! let two_seconds_of_work = || [second; 3].map(async |time| { sleep(time).await; sleep(time).await });
//! let runtime = Builder::new().virtual_clock(true).build()?;
//! runtime.block_on(async {
//!     let start = now();
//!     let mut stream = gather(two_seconds_of_work()).limit(1).stream();
//!     while let Some(_) = stream.next().await {
//!         sleep(2 * second).await; // the children stand still
//!     }
//!     assert_eq!(now() - start, 12 * second);
//!
//!     let start = now();
//!     gather(two_seconds_of_work()).limit(1).for_each(async |_, _| sleep(2 * second).await).await;
//!     assert_eq!(now() - start, 8 * second); // the last body, after three children
//! });
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Children that compute, or block
//!
//! It is one thread. While a child computes, or calls something that blocks (`std::fs`,
//! `std::thread::sleep`, a driver that is not async), no other child, task, timer or socket has
//! its turn. Two children that compute take as long as one after the other.
//!
//! Give that to [`spawn_blocking`](crate::spawn_blocking), which runs it on a thread of a pool;
//! or, if it must stay, call [`yield_now`](crate::yield_now) now and then.
//! [`Metrics::longest_poll`](crate::Metrics::longest_poll) shows what the worst was.
//!
//! ```
//! use gather::{gather, run, spawn_blocking, yield_now};
//!
//! /// Stands for something that takes long.
//! fn checksum(text: &str) -> u32 {
//!     text.bytes().map(u32::from).sum()
//! }
//!
//! run(async {
//!     let sums = gather(["one", "two"].map(|text| spawn_blocking(move || checksum(text)))).await?;
//!     assert_eq!(sums, [322, 346]);
//!
//!     let mut sum = 0;
//!     for text in ["one", "two"] {
//!         sum += checksum(text);
//!         yield_now().await; // others have their turn
//!     }
//!     assert_eq!(sum, 668);
//!     Ok::<_, gather::TaskError>(())
//! })
//! # .unwrap();
//! ```
//!
//! A task of `spawn_blocking` that has begun cannot be cancelled: the thread goes on, and its
//! output is dropped.
//!
//! # A capture does not capture a panic
//!
//! [`capture`](crate::Gather::capture) keeps every output, also an `Err`. A panic is no output: it
//! ends the gather, and the caller gets the panic. If one child's panic shall not touch the
//! others, let each be a task: its handle gives an error then.
//!
//! ```
//! use gather::{Outcomes, gather, run, spawn};
//! use std::panic::catch_unwind;
//!
//! async fn parse(text: &str) -> i32 {
//!     text.parse().expect("a number")
//! }
//!
//! # std::panic::set_hook(Box::new(|_| {})); // it is silent about what is expected here
//! assert!(catch_unwind(|| run(gather(["1", "x", "3"].map(parse)).capture())).is_err());
//!
//! let results = run(async { gather(["1", "x", "3"].map(|text| spawn(parse(text)))).capture().await });
//! assert_eq!(results.success_count(), 2);
//! assert!(results[1].as_ref().unwrap_err().is_panic());
//! ```
//!
//! # Dropping a `Task` cancels it
//!
//! A [`Task`](crate::Task) is the only thing that keeps its future alive, as all futures are kept
//! by who has them. A gather of handles that ends with an error drops the others, and so cancels
//! these tasks. What shall go on without you is [`detach`](crate::Task::detach)ed; what shall
//! outlive a wait goes through [`wait()`](crate::wait()), which hands it back.
//!
//! ```
//! use gather::{run, spawn, yield_now};
//! use std::{cell::Cell, rc::Rc};
//!
//! run(async {
//!     let (count, counts) = (Rc::new(Cell::new(0)), |count: &Rc<Cell<u32>>| {
//!         let count = count.clone();
//!         async move { count.set(count.get() + 1) }
//!     });
//!     let _ = spawn(counts(&count)); // dropped in this line: it never runs
//!     yield_now().await;
//!     assert_eq!(count.get(), 0);
//!     spawn(counts(&count)).detach();
//!     yield_now().await;
//!     assert_eq!(count.get(), 1);
//! });
//! ```
//!
//! # A future that nobody awaits does nothing
//!
//! A gather starts its children at its first poll, not before. `gather(pages);` on a line of its
//! own does nothing at all, and the compiler warns of it. `let pages = gather(pages);` starts
//! nothing either, until `pages.await`: for work that begins at once, spawn it.
//!
//! ```
//! use gather::{gather, run};
//! use std::cell::Cell;
//!
//! let started = Cell::new(0);
//! run(async {
//!     let all = gather([(); 3].map(async |()| started.set(started.get() + 1))).capture();
//!     assert_eq!(started.get(), 0);
//!     all.await;
//!     assert_eq!(started.get(), 3);
//! });
//! ```
//!
//! # What is lost when something is dropped
//!
//! Cancelling is dropping, so a child ends where it waits, at once. What it holds in its variables
//! is dropped; what it has done stays done. For each operation its documentation says what is
//! lost. Most lose nothing (`read`, `recv`, `accept`, `next` of a stream); those that take several
//! steps may have made some of them (`read_exact`, `write_all`). There is no clean-up that waits:
//! a destructor cannot await. Let it spawn a task that does, and detach it.
//!
//! # Depth
//!
//! A child is polled inside the poll of its gather, and dropped inside its drop. So gathers in
//! gathers cost stack: about 600 bytes for a level in a release build, and 5 kB in a debug build.
//! In release 14,000 levels fit the 8 MiB of a main thread, and 3,500 the 2 MiB of other threads.
//! A wake goes up any number of levels in a loop. A task between two levels ends the recursion,
//! because the loop polls and drops it: for what is nested as deep as its input says, such as a
//! walk through folders, spawn each level, or use one [`scope`](crate::scope()) into which all of
//! them are spawned.
//!
//! # Size
//!
//! A future is as large as all that it holds while it waits. That a child is an `async` block with
//! an array of 64 kB in it means 64 kB for each child that runs: a limit bounds that, and a `Vec`
//! holds it elsewhere. The gather itself is small, whatever its children: they are on the heap, in
//! chunks that never move. But `gather!` keeps its children inside, and so is as large as they are
//! together.
//!
//! ```
//! use gather::gather;
//!
//! async fn child() {
//!     let buffer = [0_u8; 65_536];
//!     gather::yield_now().await;
//!     assert_eq!(buffer[0], 0);
//! }
//!
//! assert!(size_of_val(&child()) > 65_536);
//! assert!(size_of_val(&gather((0..100).map(|_| child())).capture()) < 512);
//! assert!(size_of_val(&gather!(capture; child(), child())) > 131_072);
//! ```
//!
//! # A poll too many
//!
//! A waker is a number, and numbers are used again. The slot of a child that has ended is used
//! for the next, with a generation that tells the two apart; it has 8 bits. So a waker that was
//! kept while 255 children ended in its slot, and is used then, wakes the one that is there. And
//! if two late wakes come for one slot while its new child is polled for the first time, that
//! child is polled once more. In both cases there is one poll that finds nothing to do, which
//! every future has to expect. No wake is ever lost for it.
//!
//! Next: [`looking_inside`](super::looking_inside), to see what a program is doing.
