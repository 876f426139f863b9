//! What the tests of this package share.
//!
//! [`children`]: futures for gathers, which a test finishes, wakes and watches. [`every_mode`]: one promise, all modes. [`scopes`]: for
//! tests of scopes.
//!
//! For the runtime: [`alone`] (a process of its own), [`asleep`] (other threads), [`cores`] (a
//! runtime on each), [`watchdog`] (what might hang), [`probe`] and [`gate`] (futures to look into
//! and to wait for), [`foreign`] (wakers of other libraries), [`witness`] (what was dropped, and
//! where), [`wake_storm`], [`random`], [`descriptors`], [`limits`] (what the system refuses),
//! [`signals`], [`addresses`] (where to listen).
//!
//! For random programs: [`program`] (what they are, how they are generated and run) and [`model`]
//! (what should come of them).
//!
//! For programs: [`programs`] (cargo, and the examples that it builds), [`example`] (they run as
//! processes), [`clients`] (they ask a server), [`load_test`] (that one, and others that report
//! in its way). [`server`] (one of others, as a process), [`postgres`], [`rabbitmq`] (such
//! servers), [`silence`] (a way to one that can fall silent).
//!
//! For the documentation: [`guide`] (what it shows).

pub mod addresses;
pub mod alone;
pub mod asleep;
pub mod children;
pub mod clients;
pub mod cores;
pub mod descriptors;
pub mod every_mode;
#[cfg(unix)]
pub mod example;
pub mod foreign;
pub mod gate;
pub mod guide;
#[cfg(target_os = "linux")]
pub mod limits;
pub mod load_test;
pub mod model;
#[cfg(unix)]
pub mod postgres;
pub mod probe;
pub mod program;
pub mod programs;
#[cfg(unix)]
pub mod rabbitmq;
pub mod random;
pub mod refused;
pub mod scopes;
#[cfg(unix)]
pub mod server;
#[cfg(unix)]
pub mod signals;
#[cfg(unix)]
pub mod silence;
pub mod wake_storm;
pub mod watchdog;
pub mod witness;

/// The README's example is compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
