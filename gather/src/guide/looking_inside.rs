//! Seeing what a program is doing: the dump, and the warnings.
//!
//! # The dump
//!
//! [`dump()`](crate::dump()) gives the tree of what waits for what: the main future and the tasks,
//! the gathers that they poll, the children, and so on down. It polls nothing, wakes nobody and
//! needs no preparation: the runtime reads it off its tables. From another thread, as when the
//! loop does not answer to anything else, it is [`Handle::dump`](crate::Handle::dump). A dump can
//! be printed, and its [fields](crate::Dump) can be read by a program. Tasks and gathers can be
//! given names ([`Task::named`](crate::Task::named), [`Gather::named`](crate::Gather::named)).
//!
//! ```
//! use gather::{Builder, Dump, dump, gather, sleep, spawn};
//! use std::{pin::pin, time::Duration};
//!
//! const SECOND: Duration = Duration::from_secs(1);
//!
//! /// A page: its head, then two parts of it at the same time.
//! async fn page(name: &'static str, slow: u64) -> Result<(), ()> {
//!     sleep(SECOND).await;
//!     let parts = [slow, 1].map(async |seconds| {
//!         sleep(SECOND * seconds as u32).await;
//!         Ok(())
//!     });
//!     gather(parts).named(name).await.map(drop)
//! }
//!
//! /// Three pages for four seconds, and what was to be seen half a second before.
//! async fn site() -> Dump {
//!     let watcher = spawn(async {
//!         sleep(Duration::from_millis(3500)).await;
//!         dump()
//!     })
//!     .named("watcher");
//!     let clock = spawn(sleep(60 * SECOND)).named("clock");
//!     let pages = [page("front", 60), page("back", 5), page("index", 1)];
//!     let mut all = pin!(gather(pages).named("pages"));
//!     let early = gather::timeout(4 * SECOND, all.as_mut()).await;
//!     assert!(early.is_err());
//!     drop(clock);
//!     watcher.await.unwrap()
//! }
//!
//! let runtime = Builder::new().virtual_clock(true).build()?; // nobody has to wait for these seconds
//! println!("{}", runtime.block_on(site()));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! It prints:
//!
//! ```text
//! run: 2 tasks, 3 gathers, 4 timers, 0 sockets
//!   main: waiting for 1.5 s, polled 3 times
//!     gather "pages": 2 waiting, 0 ready, 1 done, polled 3 times, last 1.5 s ago
//!       #0: waiting for 1.5 s
//!         gather "front": 1 waiting, 0 ready, 1 done, polled 2 times, last 1.5 s ago
//!           #0: waiting for 2.5 s
//!       #1: waiting for 1.5 s
//!         gather "back": 1 waiting, 0 ready, 1 done, polled 2 times, last 1.5 s ago
//!           #0: waiting for 2.5 s
//!   task "watcher" (src/main.rs:20:19): running, polled 2 times
//!   task "clock" (src/main.rs:25:17): waiting for 3.5 s, polled once
//! ```
//!
//! From top to bottom: the page "index" is done, and "front" and "back" have been waiting since
//! their shorter parts were. `waiting for` is the time since something was last polled. Of many
//! children the eight that have waited longest are listed, since those are the ones to look at; of
//! many tasks the eight that were spawned first; and the others are counted.
//!
//! # The dump of a load test
//!
//! The example `load_test` with `--dump 0.3`, over ten connections to a server that answers some
//! requests at once and others after 400 ms:
//!
//! ```text
//! run: 22 tasks, 1 gather, 28 timers, 10 sockets
//!   main: waiting for 40 ms, polled 39 times
//!     gather "requests": 10 waiting, 0 ready, 14 done, polled 39 times, last 40 ms ago
//!       #2: waiting for 301 ms
//!       #3: waiting for 301 ms
//!       #13: waiting for 234 ms
//!       #15: waiting for 190 ms
//!       #16: waiting for 190 ms
//!       #20: waiting for 190 ms
//!       #21: waiting for 150 ms
//!       #22: waiting for 106 ms
//!       … and 2 more
//!   task "dump" (examples/load_test/main.rs:94:9): running, polled 2 times
//!   task 1.2 (runtime/src/compat/hyper.rs:41:9): waiting for 190 ms, polled 14 times
//!   task 1.3 (runtime/src/compat/hyper.rs:41:9): waiting for 234 ms, polled 8 times
//!   task 1.4 (runtime/src/compat/hyper.rs:41:9): waiting for 301 ms, polled 2 times
//!   task 1.5 (runtime/src/compat/hyper.rs:41:9): waiting for 301 ms, polled 2 times
//!   task 1.6 (runtime/src/compat/hyper.rs:41:9): waiting for 190 ms, polled 12 times
//!   task 1.7 (runtime/src/compat/hyper.rs:41:9): waiting for 40 ms, polled 25 times
//!   task 1.9 (runtime/src/compat/hyper.rs:41:9): waiting for 300 ms, polled once
//!   … and 14 more
//! ```
//!
//! So one can see that ten requests are under way and which are slow: those with the indices 2 and
//! 3, whose connections (the tasks 1.4 and 1.5) have not been polled since the requests were sent.
//! The tasks are hyper's, for each connection one; and some more, in which its pool waits for
//! connections that the limit does not let it open.
//!
//! # The warning of a gather that nobody polls
//!
//! With [`Builder::stall_warning`](crate::Builder::stall_warning) the runtime looks for gathers
//! whose children were woken so long ago and were not polled since: somebody holds the gather and
//! awaits something else (see [the footguns](super::footguns)). Here it is a lock that one of the
//! children has.
//!
//! ```
//! # mod async_lock {
//! #     use std::{cell::{Cell, RefCell}, future::poll_fn, task::{Poll, Waker}};
//! #     pub struct Mutex<T> { is_taken: Cell<bool>, waiting: RefCell<Vec<Waker>>, _value: T }
//! #     pub struct Guard<'a, T>(&'a Mutex<T>);
//! #     impl<T> Mutex<T> {
//! #         pub fn new(_value: T) -> Self {
//! #             Mutex { is_taken: Cell::new(false), waiting: RefCell::default(), _value }
//! #         }
//! #         pub async fn lock(&self) -> Guard<'_, T> {
//! #             poll_fn(|cx| {
//! #                 if !self.is_taken.replace(true) {
//! #                     return Poll::Ready(());
//! #                 }
//! #                 self.waiting.borrow_mut().push(cx.waker().clone());
//! #                 Poll::Pending
//! #             })
//! #             .await;
//! #             Guard(self)
//! #         }
//! #     }
//! #     impl<T> Drop for Guard<'_, T> {
//! #         fn drop(&mut self) {
//! #             self.0.is_taken.set(false);
//! #             self.0.waiting.take().into_iter().for_each(Waker::wake);
//! #         }
//! #     }
//! # }
//! use gather::{Builder, gather, sleep};
//! use std::{pin::pin, rc::Rc, time::Duration};
//!
//! const SECOND: Duration = Duration::from_secs(1);
//!
//! /// Holds a gather whose child has a lock, and waits for that lock: the shape of a futurelock. It is let go after ten seconds.
//! async fn futurelock() {
//!     let lock = Rc::new(async_lock::Mutex::new(()));
//!     let child = async |seconds: u32| {
//!         let _guard = lock.lock().await;
//!         sleep(SECOND * seconds).await;
//!     };
//!     let mut both = pin!(gather([1, 1].map(child)).named("lock holders").capture());
//!     assert!(gather::timeout(Duration::from_millis(100), both.as_mut()).await.is_err());
//!     // Nobody polls the gather now, and its first child has the lock.
//!     assert!(gather::timeout(10 * SECOND, lock.lock()).await.is_err());
//!     both.await;
//! }
//!
//! let runtime = Builder::new().virtual_clock(true).stall_warning(2 * SECOND).build()?;
//! runtime.block_on(futurelock());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! It prints on its standard error:
//!
//! ```text
//! gather: children of a gather were woken 2000 ms ago or more, and nobody has polled the gather since: gather "lock holders". Either a poll takes that long, or the gather is held without being awaited; then its children may hold what others wait for.
//! run: 0 tasks, 1 gather, 1 timer, 0 sockets
//!   main: waiting for 2.0 s, polled 3 times
//!     gather "lock holders": 1 waiting, 1 ready, 0 done, polled 2 times, last 2.9 s ago
//!       #0: ready, not polled for 3.0 s
//!       #1: waiting for 3.0 s
//! ```
//!
//! The child that is `ready` is the one to look at: it was woken, has something to do, and is not
//! polled. What is reported once is not reported again until the gather was polled. It costs
//! nothing but a look at the gathers before the loop sleeps.
//!
//! # All tasks are asleep
//!
//! On the [virtual clock](crate::Builder::virtual_clock), which is for tests, the runtime can tell
//! when nothing will ever happen again: nothing is ready, no timer is set, no socket is open, and
//! no thread is at work that could wake something. Then it does not hang, but panics:
//!
//! ```
//! use gather::{Builder, gather};
//! use std::future::pending;
//!
//! let runtime = Builder::new().virtual_clock(true).build()?;
//! let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
//!     runtime.block_on(async { gather([pending::<()>()]).named("stuck").capture().await })
//! }));
//! println!("{}", panic.unwrap_err().downcast_ref::<String>().expect("a message"));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! ```text
//! all tasks are asleep: nothing is ready, no timer is set, no socket is open, and no thread has woken anything for 1s. This would wait for ever.
//! run: 0 tasks, 1 gather, 0 timers, 0 sockets
//!   main: waiting for 0 ms, polled once
//!     gather "stuck": 1 waiting, 0 ready, 0 done, polled once, last 0 ms ago
//!       #0: waiting for 0 ms
//! ```
//!
//! # The counters
//!
//! [`Metrics`](crate::Metrics) has what the loop counts: polls, wakes, how often it slept, how
//! long the longest poll took, how many tasks, timers and sockets there are. A number that only
//! grows is a leak; a longest poll of more than some milliseconds is a child that computes or
//! blocks.
//!
//! Next: [`costs`](super::costs).
