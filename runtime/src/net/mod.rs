//! Sockets.
//!
//! They are `Send + Sync`, as the ecosystem's protocol libraries ask, and their methods take `&self`, so reading and
//! writing can go on at once, from two children of one gather. One task or child of a gather at a
//! time may wait in each direction: the one that was polled last is woken, and one before it waits for ever.
//!
//! Names are looked up on the blocking pool; an address that needs no look-up starts no thread.
//!
//! Next: [`resolve`].

mod listener;
mod resolve;
mod stream;

pub use listener::TcpListener;
pub use resolve::{Lookup, ToSocketAddrs};
pub use stream::TcpStream;
