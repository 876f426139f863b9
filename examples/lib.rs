//! Programs that run on `gather`, from the shortest to the longest:
//!
//! * `hello`: ordered results, a limit, borrowed data, prompt failure.
//! * `echo_server`: a TCP server with one task for each connection, which can test itself.
//! * `load_test`: ten thousand HTTP requests over hyper, sixty-four at a time.
//!
//! Run one with `cargo run --release --example load_test -- --help`.
