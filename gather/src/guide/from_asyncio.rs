//! For people coming from Python's asyncio.
//!
//! | asyncio | here | what differs |
//! |---|---|---|
//! | `asyncio.run(main())` | [`run(main())`](crate::run()) | it takes any future |
//! | `await gather(*coros)` | [`gather(futures).await?`](crate::gather()) | the first error drops the others, which Python lets run |
//! | `gather(*coros, return_exceptions=True)` | [`gather(futures).capture().await`](crate::Gather::capture) | a panic is not captured |
//! | `gather(a(), b())` of two types | [`gather!(a(), b()).await?`](crate::gather!) | |
//! | a `Semaphore` in each coroutine | [`.limit(n)`](crate::Gather::limit) | what is not running does not exist yet |
//! | `as_completed(coros)` | [`.stream()`](crate::Gather::stream), [`.for_each(..)`](crate::Gather::for_each) | each output comes with its index |
//! | `wait(tasks, return_when=.., timeout=..)` | [`wait(tasks)`](crate::wait()) with [`.first_completed()`](crate::Wait::first_completed), [`.first_failure()`](crate::Wait::first_failure), [`.within(d)`](crate::Wait::within) | a failure is a panic or a cancellation; for an `Err` there is [`.until(..)`](crate::Wait::until) |
//! | `async with TaskGroup() as tg` | [`scope(async \|s\| ..)`](crate::scope()) | children borrow; the first error is given, not a group of them |
//! | `async with timeout(s)`, `wait_for` | [`timeout(duration, future).await`](crate::timeout) | the output, or [`Elapsed`](crate::Elapsed) |
//! | `create_task(coro)` | [`spawn(future)`](crate::spawn) | dropping the handle cancels the task |
//! | `task.cancel()` | [`task.cancel()`](crate::Task::cancel), or drop it | it takes effect before it returns, and cannot be refused |
//! | `shield(task)` | [`spawn`](crate::spawn) and [`wait`](crate::wait()), or [`detach`](crate::Task::detach) | |
//! | `to_thread(f)` | [`spawn_blocking(f)`](crate::spawn_blocking) | |
//! | `call_soon_threadsafe`, `run_coroutine_threadsafe` | [`Handle::spawn`](crate::Handle::spawn) | |
//! | `sleep(s)`, `sleep(0)` | [`sleep(duration)`](crate::sleep()), [`yield_now()`](crate::yield_now()) | |
//! | `Queue`, `Lock`, `Event` | async-channel, async-lock, or tokio's `sync` | those of any crate run here |
//! | `open_connection`, `start_server` | [`TcpStream`](crate::TcpStream), [`TcpListener`](crate::TcpListener) | |
//! | `asyncio.print_call_graph` (3.14) | [`dump()`](crate::dump()) | of the whole runtime |
//! | `loop.set_debug(True)` and `slow_callback_duration` | [`Builder::stall_warning`](crate::Builder::stall_warning), [`Metrics::longest_poll`](crate::Metrics::longest_poll) | |
//!
//! # gather
//!
//! ```python
//! async def fetch(page):
//!     await asyncio.sleep(0.01)
//!     if not page:
//!         raise ValueError("no such page")
//!     return page.upper()
//!
//! async def main():
//!     assert await asyncio.gather(fetch("news"), fetch("about")) == ["NEWS", "ABOUT"]
//!     results = await asyncio.gather(fetch("news"), fetch(""), return_exceptions=True)
//!     assert results[0] == "NEWS" and str(results[1]) == "no such page"
//!
//! asyncio.run(main())
//! ```
//!
//! ```
//! use gather::{gather, run, sleep};
//! use std::time::Duration;
//!
//! async fn fetch(page: &str) -> Result<String, String> {
//!     sleep(Duration::from_millis(10)).await;
//!     if page.is_empty() {
//!         return Err("no such page".to_owned());
//!     }
//!     Ok(page.to_uppercase())
//! }
//!
//! async fn pages() -> Result<(), String> {
//!     assert_eq!(gather(["news", "about"].map(fetch)).await?, ["NEWS", "ABOUT"]);
//!     let results = gather(["news", ""].map(fetch)).capture().await;
//!     assert_eq!(results, [Ok("NEWS".to_owned()), Err("no such page".to_owned())]);
//!     Ok(())
//! }
//!
//! run(pages())?;
//! # Ok::<(), String>(())
//! ```
//!
//! **What becomes of the others.** When a child of Python's `gather` raises, the others go on in
//! the background; what they raise later is lost, and what they still do happens after the
//! `except`. (Python's own manual points to `TaskGroup` for that.) Here they are dropped before
//! the error is seen: their destructors have run, their connections are closed.
//!
//! **When a child starts.** Python makes a task of each coroutine at the call of `gather`, and
//! each starts at the next turn of the loop. Here the gather starts its children when it is
//! awaited, in the order of the input.
//!
//! # A limit
//!
//! ```python
//! semaphore = asyncio.Semaphore(10)
//!
//! async def limited(page):
//!     async with semaphore:
//!         return await fetch(page)
//!
//! pages = await asyncio.gather(*(limited(page) for page in names))   # all coroutines exist at once
//! ```
//!
//! ```
//! # use gather::{gather, run};
//! # async fn fetch(page: u32) -> Result<u32, String> { Ok(page) }
//! # run(async {
//! let names = 0..1000;
//! let pages = gather(names.map(fetch)).limit(10).await?; // ten exist at once
//! # assert_eq!(pages.len(), 1000);
//! # Ok::<(), String>(())
//! # }).unwrap();
//! ```
//!
//! # As they come
//!
//! ```python
//! for future in asyncio.as_completed([fetch("news"), fetch("about")]):
//!     print(await future)                        # which one it was, is not known before 3.13
//! ```
//!
//! ```
//! # use gather::{gather, run};
//! # async fn fetch(page: &str) -> Result<String, String> { Ok(page.to_uppercase()) }
//! # run(async {
//! let mut stream = gather(["news", "about"].map(fetch)).stream();
//! while let Some((index, page)) = stream.next().await {
//!     println!("{index}: {page:?}");
//! }
//! # });
//! ```
//!
//! In Python the tasks go on while the body of the loop waits. Here children are polled when the
//! stream is: if the body waits, use [`for_each`](crate::Gather::for_each), whose body runs beside
//! them.
//!
//! # wait
//!
//! ```python
//! done, pending = await asyncio.wait(tasks, timeout=1, return_when=asyncio.FIRST_COMPLETED)
//! ```
//!
//! ```
//! # use gather::{run, spawn, wait};
//! # use std::time::Duration;
//! # run(async {
//! # let tasks = [spawn(async { 1 }), spawn(std::future::pending())];
//! let waited = wait(tasks).first_completed().within(Duration::from_secs(1)).await;
//! # assert_eq!((waited.done.len(), waited.pending.len()), (1, 1));
//! # });
//! ```
//!
//! `waited.done` and `waited.pending` are lists, in the order of the input, with indices. Dropping
//! what is pending cancels it.
//!
//! # TaskGroup
//!
//! ```python
//! async with asyncio.TaskGroup() as group:
//!     task = group.create_task(fetch("news"))
//!     group.create_task(fetch("about"))
//! print(task.result())
//! ```
//!
//! ```
//! # use gather::{run, scope};
//! # async fn fetch(page: &str) -> Result<String, String> { Ok(page.to_uppercase()) }
//! # run(async {
//! let news = scope(async |s| {
//!     let task = s.spawn(fetch("news"));
//!     s.spawn(fetch("about"));
//!     Ok(task.await.expect("nobody cancels it"))
//! })
//! .await?;
//! # assert_eq!(news, "NEWS");
//! # Ok::<(), String>(())
//! # }).unwrap();
//! ```
//!
//! Both end when all children have, and at the first error drop the rest. `TaskGroup` waits for
//! those it has cancelled, and raises a group of all that they raised; here nothing can be raised
//! while a future is dropped, so there is one error.
//!
//! # Cancelling
//!
//! In Python it is an exception, which is raised where the task waits, at the next turn; a task
//! may catch it, do other things first, or go on. Here it is a drop: the future is gone, its
//! variables were dropped, and nothing of it runs again. So there is no `CancelledError` to forget
//! to raise again, and no clean-up that awaits.
//!
//! Next: [`from_tokio`](super::from_tokio).
