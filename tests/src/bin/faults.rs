//! What other runtimes and earlier versions of this one got wrong, as programs: a line for each, with its figure.
//!
//! `cargo run -p gather-tests --bin faults`

fn main() {
    #[cfg(unix)]
    signals();
}

/// One kind of signal that comes all the time, and another that comes once.
#[cfg(unix)]
fn signals() {
    use gather::run;
    use gather::signal::{Signal, Signals};
    use gather_tests::signals::raise;

    /// Where it gives up.
    const MOST: u32 = 10_000;

    let before = run(async {
        let mut signals = Signals::new([Signal::User1, Signal::Terminate])?;
        raise(Signal::User1);
        raise(Signal::Terminate);
        let mut before = 0;
        while signals.recv().await? == Signal::User1 && before < MOST {
            before += 1;
            raise(Signal::User1); // the next one is there before this one is handled
        }
        Ok::<_, std::io::Error>(before)
    });
    let twice = run(async {
        let mut signals = Signals::new([Signal::User1, Signal::User1, Signal::User2])?;
        raise(Signal::User1);
        let mut heard = 0;
        while signals.recv().await? == Signal::User1 {
            heard += 1;
            raise(Signal::User2); // heard when no more of the first kind is left
        }
        Ok::<_, std::io::Error>(heard)
    });
    match (before, twice) {
        (Ok(before), Ok(heard)) => println!(
            "signals: SIGTERM heard after {before} SIGUSR1 of a storm (at most 1 is fair, {MOST} is never); \
             listed twice, heard {heard} times; {}",
            forked_child()
        ),
        (Err(error), _) | (_, Err(error)) => println!("signals: {error}"),
    }
}

/// A child process that was forked receives a signal before it executes its program.
#[cfg(target_os = "linux")]
fn forked_child() -> String {
    use gather::signal::{Signal, Signals};
    use gather::{run, timeout};
    use gather_tests::signals::Forked;
    use std::time::Duration;

    let heard = run(async {
        let mut signals = Signals::new([Signal::Interrupt])?;
        let child = Forked::start();
        child.receives(Signal::Interrupt);
        Ok::<_, std::io::Error>(timeout(Duration::from_millis(10), signals.recv()).await.is_ok())
    });
    match heard {
        Ok(heard) => format!("that of a forked child is taken for the parent's: {heard}"),
        Err(error) => error.to_string(),
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
fn forked_child() -> String {
    "a forked child cannot be watched here".to_owned()
}
