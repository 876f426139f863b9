//! How the programs write, and how they end when a thread panics.
//!
//! `println!` and `eprintln!` panic when the reader of a pipe has gone, or when the disk is full.
//! The log of a server is worth less than its service, so these programs write with `say!` and
//! `complain!`.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process;
use std::thread::{self, JoinHandle};

/// Writes a line to stdout. A line that cannot be written is lost.
#[macro_export]
macro_rules! say {
    ($($line:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), $($line)*);
    }};
}

/// Writes a line to stderr. A line that cannot be written is lost.
#[macro_export]
macro_rules! complain {
    ($($line:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), $($line)*);
    }};
}

/// Writes the result of a program to stdout.
///
/// # Errors
///
/// If it cannot be written, as on a full disk. A reader that has gone is no error: it has read
/// what it wanted, as `head` does.
pub fn print(result: impl Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match write!(stdout, "{result}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Starts a thread that the program cannot do without: if it panics, the process ends, with the
/// exit code of a panic in the main thread.
///
/// Without one of its threads a process does only a part of its work, and nothing restarts it.
///
/// # Errors
///
/// If the system starts no more threads.
pub fn start_thread<T: Send + 'static>(
    name: String,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    struct EndsOnPanic;

    impl Drop for EndsOnPanic {
        fn drop(&mut self) {
            if thread::panicking() {
                process::exit(101);
            }
        }
    }

    thread::Builder::new().name(name).spawn(move || {
        let _ends_on_panic = EndsOnPanic;
        body()
    })
}
