//! The two bridges to a tokio runtime, for libraries that need one. It runs beside gather's, on a
//! thread of its own.

use async_compat::CompatExt;
use gather::run;
use gather_tests::watchdog::finishes;
use tokio::runtime::{Builder, Runtime};

/// A tokio runtime with one worker thread, which runs tasks without a call of `block_on`.
///
/// # Panics
///
/// If the system gives it no thread.
pub fn one_worker() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a thread")
}

/// Runs a program on gather twice, each time on a new thread: with a tokio runtime entered, and
/// wrapped by async-compat.
///
/// # Panics
///
/// If the program does, or hangs.
#[track_caller]
pub fn over_each_bridge(program: impl AsyncFn() + Clone + Send + 'static) {
    let wrapped = program.clone();
    finishes(move || {
        let tokio = one_worker();
        let _entered = tokio.enter();
        run(program());
    });
    finishes(move || run(wrapped().compat()));
}
