//! `asyncio.run` and `asyncio.gather` for Rust: a small single-threaded runtime, and one call.
//!
//! ```
//! use gather::{gather, run, sleep};
//! use std::time::Duration;
//!
//! /// Stands for a request over the network.
//! async fn fetch(name: &str) -> Result<String, std::io::Error> {
//!     sleep(Duration::from_millis(1)).await;
//!     Ok(name.to_uppercase())
//! }
//!
//! let names = ["ann", "bob", "cay"]; // borrowed by the children: no Arc, no 'static
//! let pages = run(async { gather(names.iter().map(|name| fetch(name))).limit(64).await })?;
//! assert_eq!(pages, ["ANN", "BOB", "CAY"]);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! [`gather()`] runs futures side by side and gives their outputs **in input order**, with at most
//! **`limit`** at once, **pulled lazily** from any iterator, of **borrowed data** if you like; and
//! the **first failure** drops all siblings before you see the error. [`capture`](Gather::capture)
//! keeps every output instead. [`gather!`](gather!) takes futures of different types; [`scope()`]
//! is a group that grows while it runs.
//!
//! | | ends at | gives | what happens to the others |
//! |---|---|---|---|
//! | `gather(..)` | the first `Err` | `Result<Vec<T>, E>` | dropped before the error is seen |
//! | `gather(..).capture()` | the last child | `Vec<O>` | each runs to its end |
//! | `gather(..).stream()` | the last child | `(index, O)`, as they come | each goes on while the stream is polled |
//! | `gather(..).for_each(body)` | the last body | `()` | each runs to its end, beside the body |
//! | `gather!(a, b)` | the first `Err` | `Result<(A, B), E>` | dropped before the error is seen |
//! | `gather!(capture; a, b)` | the last child | `(A, B)` | each runs to its end |
//! | `wait(tasks)` | the last task, or as it is told | [`Waited`]: done, and pending | handed back |
//! | `scope(async \|s\| { s.spawn(..); .. })` | the first `Err`, or the last child | `Result<T, E>` of the body | dropped before the error is seen |
//!
//! There are more: [`detailed`](Gather::detailed), [`within`](Gather::within),
//! [`first_ok`](Gather::first_ok), [`first_ok_n`](Gather::first_ok_n), [`race`](Gather::race), and
//! [your own](Policy). The [`guide`] has all of them with a program for each, what goes wrong and
//! what to write instead, and pages for people coming from asyncio, tokio or futures.
//!
//! # The contract
//!
//! 1. Results come in input order, whatever the order of completion. An empty gather is ready at
//!    its first poll.
//! 2. The first child to fail ends a fail-fast gather in the same poll; every sibling's destructor
//!    has run, and its timers and sockets are gone, before the error is seen, for any number of
//!    children and any `size_hint`.
//! 3. Capture mode runs every child to its end and keeps every output. It never captures the
//!    cancellation of its parent.
//! 4. Dropping a gather, or cancelling its task, drops every child, at once, exactly once.
//! 5. Children are first polled in input order and then in the order in which they were woken. A
//!    finished child is dropped when it finishes and is never polled again. A child that was not
//!    woken is not polled.
//! 6. With a limit, at most n children exist at any moment, and the iterator is pulled only when
//!    one may start.
//! 7. If several children fail in one pass, the first in poll order wins.
//! 8. A panic in a child ends the gather at once with that panic; siblings are dropped. It is
//!    never folded into an error.
//! 9. A gather may be moved to another task, or polled with another waker, at any time before and
//!    between polls.
//! 10. This is gather's call shape with a task group's cancellation: Python's `asyncio.gather`
//!     leaves the siblings of a failed child running, and loses their errors.
//!
//! # The runtime
//!
//! It is the crate [`gather_runtime`](https://docs.rs/gather-runtime), re-exported here:
//! [`run()`], [`spawn`], [`sleep`], [`timeout`], [`net`], and the rest. A gather needs it: polled
//! where none runs, it panics and says so.
//!
//! # Implementation: the reading order
//!
//! | | file | what |
//! |---|---|---|
//! | 0 | `guide/` | how it is used; no code |
//! | 1 | `children.rs` | slots whose addresses never change: all of the unsafe code |
//! | 2 | `panics.rs` | destructors that panic |
//! | 3 | `policy.rs` | the modes |
//! | 4 | `engine.rs` | what every poll of a gather does |
//! | 5 | `gather.rs` | the call |
//! | 6 | `modes/` | what else ends it |
//! | 7 | `stream.rs`, `for_each.rs` | outputs as they come |
//! | 8 | `wait.rs` | tasks that are not cancelled |
//! | 9 | `outcomes.rs` | what became of a capture |
//! | 10 | `list.rs`, `nested.rs` | `gather!` |
//! | 11 | `scope/` | the group that grows while it runs |
//!
//! Next: [`guide`], and then the files of the table.
//!
//! The crates share their features: see [`gather_runtime`](https://docs.rs/gather-runtime).

#![cfg_attr(docsrs, feature(doc_cfg))]
#![allow(rustdoc::private_intra_doc_links, reason = "the files lead a reader from one to the next")]

mod children;
mod engine;
mod for_each;
mod gather;
pub mod guide;
#[doc(hidden)]
#[allow(missing_docs, reason = "what the macro is made of")]
pub mod list;
mod modes;
#[allow(missing_docs, unreachable_pub, reason = "likewise")]
mod nested;
mod outcomes;
mod panics;
mod policy;
mod scope;
mod stream;
mod wait;

pub use crate::gather::{Gather, IsResult, gather};
pub use engine::{Siblings, SiblingsOf};
pub use gather_runtime::*;
pub use modes::{Detailed, Failure, FirstOk, FirstOkN, Race, Within};
pub use outcomes::{GatherError, Outcomes};
pub use policy::{Capture, FailFast, Kept, Policy};
pub use scope::{Scope, ScopedTask, scope};
pub use stream::GatherStream;
pub use wait::{Wait, Waited, wait};
