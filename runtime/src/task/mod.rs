//! Tasks: futures that the runtime owns and polls.
//!
//! ```text
//!              spawn                          poll: Ready, or a panic
//!   future ──────────► Idle ◄────► Running ──────────────────────────► Finished ──► (the handle takes the output)
//!                        │  poll:     │ 2                                  │ 3
//!                        │  Pending   ▼                                    ▼
//!                      1 └──────► Cancelled ──► (the handle reads it)    gone
//!
//!   1  cancelled while it waits: the future is dropped at once
//!   2  cancelled while it is polled (by itself, then): dropped as soon as that poll returns
//!   3  finished after the handle was dropped or detached: nothing is kept
//! ```
//!
//! [`row`] is what is known of a task, [`table`] has the rows, [`look`] is what a dump sees of
//! them, [`queue`] the order of those that are ready and [`shuffle`] another one for tests,
//! [`cell`] the box that holds first the future and then its output, [`run`] how it is polled,
//! [`reference`] how a task is found, [`handle`] what the user holds, [`error`] what can go wrong.
//!
//! Next: [`row`].

mod cell;
mod error;
mod handle;
mod look;
mod queue;
mod reference;
mod row;
mod run;
mod shuffle;
mod table;

pub(crate) use error::Refusal;
pub use error::{SpawnError, TaskError};
pub(crate) use handle::spawn_from;
pub use handle::{Canceller, Task, spawn, try_spawn};
pub use reference::TaskId;
pub(crate) use row::{Key, Row, Stage};
pub(crate) use run::Discarded;
pub(crate) use table::Tasks;
