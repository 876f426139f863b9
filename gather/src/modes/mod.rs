//! The modes beside fail-fast and capture: each a small [`Policy`](crate::Policy) on the one
//! engine.
//!
//! Next: [`within`].

mod detailed;
mod first_ok;
mod race;
mod within;

pub use detailed::{Detailed, Failure};
pub use first_ok::{FirstOk, FirstOkN};
pub use race::Race;
pub use within::Within;
