//! A mode of your own: stop when the values seen sum to 100.
//!
//!     cargo run --example policy
//!
//! It prints:
//!
//!     asked 14 of endless sensors: 107, and the last that counted was #11
//!     asked 3 of 3 sensors: only 21
//!
//! A gather's mode is a `Policy`, and the library's own (fail-fast, capture, first success, race)
//! are no longer than this. The gather does the rest: the limit, the order of polls, dropping
//! whoever is not needed any more.

#[path = "../start.rs"]
mod start;

use std::cell::Cell;
use std::error::Error;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

use gather::{Builder, Kept, Policy, gather, sleep};
use gather_examples::say;

/// Ends the gather when the values seen sum to `goal` or more.
struct SumTo {
    goal: u32,
    sum: u32,
}

/// What was seen: the sum, and the child with which it was reached, if it was.
struct Seen {
    sum: u32,
    last: Option<usize>,
}

impl Policy<u32> for SumTo {
    type Output = Seen;

    /// A child has given its value. `Break` drops all that run.
    fn judge(&mut self, index: usize, value: u32, _kept: &mut Kept<u32>) -> ControlFlow<Seen> {
        self.sum += value;
        if self.sum < self.goal {
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(Seen { sum: self.sum, last: Some(index) })
    }

    /// All have given their values, and it was not enough.
    fn finish(&mut self, _kept: Kept<u32>) -> Seen {
        Seen { sum: self.sum, last: None }
    }
}

fn main() -> ExitCode {
    start::start_without_options("policy", "Asks sensors until their values sum to 100.", policy)
}

fn policy() -> Result<(), Box<dyn Error>> {
    let asked = Cell::new(0);
    // Stands for a sensor that takes a while to answer; every third one takes longer.
    let sensor = |number: u32| {
        asked.set(asked.get() + 1);
        async move {
            sleep(Duration::from_secs(if number % 3 == 0 { 5 } else { 1 })).await;
            5 + number % 7
        }
    };
    // Nobody has to wait for these seconds.
    Builder::new().virtual_clock(true).build()?.block_on(async {
        // The input is endless: only as many are asked as are needed, two at a time.
        let Seen { sum, last } = gather((1..).map(sensor)).limit(2).policy(SumTo { goal: 100, sum: 0 }).await;
        let last = last.expect("there is always one more");
        say!("asked {} of endless sensors: {sum}, and the last that counted was #{last}", asked.take());

        let Seen { sum, .. } = gather((1..=3).map(sensor)).policy(SumTo { goal: 100, sum: 0 }).await;
        say!("asked {} of 3 sensors: only {sum}", asked.take());
    });
    Ok(())
}
