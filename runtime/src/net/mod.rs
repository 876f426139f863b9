//! Sockets.
//!
//! They are `Send + Sync`, as the ecosystem's protocol libraries ask, and their methods take `&self`, so reading and
//! writing can go on at once, from two children of one gather. One task or child of a gather at a
//! time may wait in each direction: the one that was polled last is woken, and one before it waits for ever.
//!
//! | | listens | connects | datagrams |
//! |---|---|---|---|
//! | IP | [`TcpListener`] | [`TcpStream`] | [`UdpSocket`] |
//! | Unix | [`UnixListener`] | [`UnixStream`] | [`UnixDatagram`] |
//!
//! Those of Unix are there on Unix only. The streams, and references to them, have the traits of the features
//! `futures-io`, `tokio-io` and `hyper`.
//!
//! Names are looked up on threads of their own, and if none can be started, that is an error. An
//! address that needs no look-up starts no thread.
//!
//! Next: [`resolve`].

pub(crate) mod bytes;
mod connect;
mod listener;
mod methods;
mod resolve;
mod stream;
mod udp;
#[cfg(unix)]
mod unix;

pub use listener::TcpListener;
#[doc(hidden)]
pub use resolve::Names;
pub use resolve::{Lookup, ToSocketAddrs};
pub use stream::TcpStream;
pub use udp::UdpSocket;
#[cfg(unix)]
pub use unix::{UnixDatagram, UnixListener, UnixStream};
