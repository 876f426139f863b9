//! How far the run is, on stderr: a bar on a terminal; elsewhere a plain line for each tenth, if
//! it is asked for.

use std::cell::Cell;
use std::fmt;
use std::io::{IsTerminal, stderr};
use std::time::Duration;

use gather_examples::complain;
use indicatif::{HumanCount, ProgressBar, ProgressState, ProgressStyle};

pub(crate) struct Progress {
    total: u64,
    done: Cell<u64>,
    failed: Cell<u64>,
    shown: Shown,
}

enum Shown {
    Bar(ProgressBar),
    Lines,
    Nothing,
}

impl Progress {
    /// Where stderr is a file or a pipe, nothing is shown without `lines`.
    pub(crate) fn new(total: usize, lines: bool) -> Progress {
        let total = total as u64;
        let shown = match lines {
            _ if stderr().is_terminal() => Shown::Bar(bar(total)),
            true => Shown::Lines,
            false => Shown::Nothing,
        };
        Progress { total, done: Cell::new(0), failed: Cell::new(0), shown }
    }

    /// Counts a request when it ends, and hands on what it came to.
    pub(crate) async fn count<T, E>(&self, request: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let result = request.await;
        self.add(result.is_err());
        result
    }

    fn add(&self, failed: bool) {
        self.done.set(self.done.get() + 1);
        self.failed.set(self.failed.get() + u64::from(failed));
        match &self.shown {
            Shown::Bar(bar) => {
                bar.inc(1);
                if failed {
                    bar.set_message(format!(", {} failed", HumanCount(self.failed.get())));
                }
            }
            Shown::Lines if self.is_a_new_tenth() => complain!("{self}"),
            Shown::Lines | Shown::Nothing => {}
        }
    }

    /// Takes the bar away, so that what is printed next begins on a clean line.
    pub(crate) fn finish(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }

    fn is_a_new_tenth(&self) -> bool {
        let tenths = |done: u64| u128::from(done) * 10 / u128::from(self.total);
        tenths(self.done.get()) > tenths(self.done.get() - 1)
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (done, failed) = (self.done.get(), self.failed.get());
        let percent = u128::from(done) * 100 / u128::from(self.total);
        write!(
            f,
            "{percent:>3} %: {} of {} done, {} failed",
            HumanCount(done),
            HumanCount(self.total),
            HumanCount(failed)
        )
    }
}

fn bar(total: u64) -> ProgressBar {
    let template = "{elapsed_precise} {wide_bar} {human_pos} of {human_len}, {rate}, {eta} left{msg}";
    let style = ProgressStyle::with_template(template).expect("a valid template");
    let bar = ProgressBar::new(total);
    bar.set_style(style.with_key("rate", |state: &ProgressState, text: &mut dyn fmt::Write| {
        let _ = write!(text, "{}/s", HumanCount(state.per_sec() as u64));
    }));
    // A thread of indicatif's draws, so that drawing takes no time from the requests and the clock
    // goes on while no answer comes.
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tenth_is_said_once() {
        for total in [1, 3, 10, 25, 10_000] {
            let progress = Progress { total, done: Cell::new(0), failed: Cell::new(0), shown: Shown::Lines };
            let mut said = 0;
            for _ in 0..total {
                progress.done.set(progress.done.get() + 1);
                said += u64::from(progress.is_a_new_tenth());
            }
            assert_eq!(said, total.min(10));
        }
    }
}
