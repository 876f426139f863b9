//! `asyncio.run` and `asyncio.gather` for Rust.
//!
//! To be written.

mod children;
mod gather;
#[doc(hidden)]
#[allow(missing_docs, reason = "what the macro is made of")]
pub mod list;
mod ordered;
mod outcomes;
mod panics;
mod policy;

pub use crate::gather::{Gather, Siblings, SiblingsOf, gather};
pub use gather_runtime::*;
pub use outcomes::{GatherError, Outcomes};
pub use policy::{Capture, FailFast, Kept, Policy};
