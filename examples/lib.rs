//! Programs that run on `gather`, from the shortest to the longest:
//!
//! * `hello`: ordered results, a limit, borrowed data, prompt failure.
//! * `policy`: a mode of your own, in twenty lines.
//! * `echo_server`: a TCP server with one task for each connection, which can test itself.
//! * `udp_echo`: a UDP server in one task, and clients that ask again when a datagram is lost.
//! * `shutdown`: a server that lets its connections finish when Ctrl-C asks it to end.
//! * `timeouts_and_retries`: a policy of retries, with pauses that grow.
//! * `files`: a tree of files, hashed by threads under a limit.
//! * `many_cores`: connections that are accepted on one core and handed to others.
//! * `http_server`: hyper on one runtime for each core, and its end.
//! * `https`: gathered requests over rustls (`--features tls`).
//! * `websocket_chat`: what one says, all hear (`--features websocket`).
//! * `load_test`: ten thousand HTTP requests over hyper, sixty-four at a time.
//! * `postgres_pool`: five hundred queries over sixteen connections to PostgreSQL, which may
//!   restart in the middle.
//! * `work_queue`: jobs in PostgreSQL, for workers on any number of machines.
//!
//! Run one with `cargo run --release --example load_test -- --help`.
//!
//! The library holds [`output`], through which all of them write, and [`accept_queue`], for
//! servers that end.

pub mod accept_queue;
pub mod output;
