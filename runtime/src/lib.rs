//! A single-threaded async runtime in which a waker is an id.
//!
//! It is the runtime beneath [`gather`](https://docs.rs/gather); use that crate, which re-exports
//! this one.
//!
//! ```
//! use gather_runtime::{run, sleep, spawn};
//! use std::time::Duration;
//!
//! let sum = run(async {
//!     let a = spawn(async { sleep(Duration::from_millis(1)).await; 1 });
//!     let b = spawn(async { 2 });
//!     a.await.unwrap() + b.await.unwrap()
//! });
//! assert_eq!(sum, 3);
//! ```
//!
//! # The one idea
//!
//! Everything that waits is a row in a table that its thread owns, and what leaves the table is a
//! number. A task is a row; a group of children (a gather) is a row. A waker is 64 bits that say
//! which runtime, which row, which child: it is never dereferenced, cloning and dropping it does
//! nothing, and waking looks the number up. So a wake at home costs a few loads and stores, a late
//! wake finds nobody, nothing can dangle, and everything that users hold is `Send` if its contents
//! are.
//!
//! # Implementation: the reading order
//!
//! | | file | what |
//! |---|---|---|
//! | 1 | `id.rs` | the number |
//! | 2 | `waker.rs` | the number as a waker: all of the unsafe code |
//! | 3 | `local.rs`, `agenda.rs` | the tables of a thread, and what it has to do beside its tasks |
//! | 4 | `wake.rs` | what a wake does |
//! | 5 | `group/` | children that share a parent |
//! | 6 | `occupied.rs`, `task/` | walks; tasks: the table, the box, polling, the handle |
//! | 7 | `clock.rs`, `wheel.rs`, `time/` | time |
//! | 8 | `reactor.rs`, `readiness.rs`, `waiters.rs`, `source.rs`, `net/` | sockets, of IP and of Unix |
//! | 9 | `oneshot.rs`, `blocking.rs` | threads for what blocks |
//! | 10 | `mailbox.rs`, `doorbell.rs`, `handle.rs` | other threads |
//! | 11 | `dump/`, `stall.rs`, `budget.rs`, `event_loop.rs`, `runtime.rs` | the loop, its start and end, and a look into it |
//! | 12 | `metrics.rs`, `contain.rs`, `signal.rs`, `trace.rs`, `compat/` | counters, panics, signals, spans, and the traits of other libraries |
//!
//! Next: [`id`](mod@id).
//!
//! # Limits
//!
//! On every machine there can be, at the same time,
//!
//! | runtimes in a process | tasks of a runtime | gathers of a runtime | children of a gather |
//! |--:|--:|--:|--:|
//! | 1,023 | 268,435,455 | 2,097,151 | 16,777,214 |
//!
//! (Scopes, streams and waits count as gathers.) Reaching a limit is an error or a panic that says
//! so, never a wrong wake.
//!
//! On machines with 32-bit pointers a waker has only 32 bits. Beyond 15 runtimes, 8,191 tasks,
//! 2,048 gathers or 128 children, a waker is a small allocation that holds the number. It is
//! slower, and does the same.
//!
//! # Features
//!
//! | feature | gives |
//! |---|---|
//! | `futures-io` (default) | `AsyncRead` and `AsyncWrite` of futures on the sockets |
//! | `tokio-io` | those of tokio (its traits only, no tokio runtime) |
//! | `hyper` | `hyper::rt::{Read, Write}` on the sockets, `hyper::Executor`, `hyper::Timer` |
//! | `signal` | `signal::ctrl_c`, `signal::terminate`, `signal::Signals`, on Unix |
//! | `tracing` | spans of tasks, gathers and children, with names and places; those of tasks as tokio-console reads them |

#![cfg_attr(docsrs, feature(doc_cfg))]
#![allow(rustdoc::private_intra_doc_links, reason = "the files lead a reader from one to the next")]

#[cfg(target_family = "wasm")]
compile_error!("gather does not run on WebAssembly: it needs threads, sockets and epoll, kqueue or IOCP");

mod agenda;
mod blocking;
mod budget;
mod clock;
mod compat;
mod contain;
mod doorbell;
pub mod dump;
mod event_loop;
pub mod group;
mod handle;
mod id;
mod local;
mod mailbox;
mod metrics;
pub mod net;
mod occupied;
mod oneshot;
mod reactor;
mod readiness;
mod runtime;
#[cfg(all(unix, feature = "signal"))]
pub mod signal;
mod source;
mod stall;
mod task;
mod time;
mod trace;
mod waiters;
mod wake;
mod waker;
mod wheel;

pub use blocking::{BlockingTask, spawn_blocking, try_spawn_blocking};
#[cfg(feature = "hyper")]
pub use compat::hyper;
pub use dump::{Dump, dump};
pub use handle::{Handle, RemoteTask};
pub use metrics::Metrics;
pub use net::{Interest, TcpListener, TcpStream, UdpSocket};
#[cfg(unix)]
pub use net::{UnixDatagram, UnixListener, UnixStream};
pub use runtime::{Builder, Runtime, run};
pub use task::{Canceller, SpawnError, Task, TaskError, TaskId, spawn, try_spawn};
pub use time::{
    Elapsed, Interval, Sleep, Timeout, YieldNow, interval, now, sleep, sleep_until, timeout, yield_now,
};
