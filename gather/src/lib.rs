//! `asyncio.run` and `asyncio.gather` for Rust.
//!
//! To be written.

mod children;
mod gather;
mod ordered;
mod outcomes;
mod policy;

pub use crate::gather::{Gather, Siblings, SiblingsOf, gather};
pub use gather_runtime::*;
pub use outcomes::{GatherError, Outcomes};
pub use policy::{Capture, FailFast, Kept, Policy};
