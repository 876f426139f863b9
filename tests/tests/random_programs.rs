//! Random programs against a model.
//!
//! A seed gives a [`Program`]: a tree of gathers in every mode, with and without limits, whose leaves sleep, yield, wake
//! themselves, are woken by another thread, succeed, fail, panic, and have destructors that panic, spawn or wake. It runs
//! twice on the virtual clock, and the [`Model`] says what has to happen: every poll, every end, every drop and every child that is
//! asked for, in order, with the time; and the outcome. While it runs, no child may be polled without a wake or after its
//! end, and in the end everything was dropped, once.
//!
//! A failure names its seed. To see that seed alone, with its program and what happened:
//!
//! ```text
//! GATHER_SEED=1234 cargo test -p gather-tests --test random_programs -- --nocapture
//! ```
//!
//! `GATHER_SEEDS=1000000` tries more than the usual number.
//!
//! # What it finds
//!
//! Each of these was done to the code on purpose, and was found within the first hundred seeds, but for those with a number:
//!
//! | in | fault |
//! |---|---|
//! | the engine | siblings are not dropped at the error; a finished child is kept; every child is polled at each wake; a child that panics is taken for one that ended; a wake during the first poll is lost; the input is asked for a child before there is room; the limit is one too high, or too low |
//! | outputs | two change places (at once, or among those that came early); they are leaked when the gather ends, or when a destructor panics |
//! | slots | a slot has the index of the child before; its generation is not looked at when the child's turn comes (SEED_POP) |
//! | groups | the last woken is polled first; the first parent is kept for ever; the parent is not told a second time; a foreign parent is not woken; the generations of groups follow one another by one |
//! | destructors | the first that panics keeps others from running; its panic replaces a result; that of a finished child is lost in `gather!` |
//! | modes | `within` forgets what finished at the very end, or begins late; a quorum is one too high or too low, is given up one failure too early or too late; `first_ok` passes over a success; `detailed` has too few places |
//! | `gather!` | the others are not dropped before the error is seen |
//! | `stream` | STREAM |
//! | `scope` | SCOPE |
//! | `for_each` | FOREACH |
//! | the runtime | timers of one instant change their order; a yield does not wait for the end of the turn |
//!
//! Not found, because nothing but time is lost: a late wake that is queued, and passed over only when its turn comes; an end of the
//! poll after 32 children with more to do.

use std::env;
use std::panic::{self, AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use gather_tests::model::{Answer, Model};
use gather_tests::program::generate::program;
use gather_tests::program::real::{NO_WINNER, Report};
use gather_tests::program::trace::{Bang, Outcome, Trace};
use gather_tests::program::{Program, real};

/// How many seeds are tried.
const SEEDS: u64 = 20_000;

fn number_in(variable: &str) -> Option<u64> {
    env::var(variable)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// The one panic that a program makes on purpose with a message is not printed.
fn silence_the_panic_on_purpose() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !info.payload().downcast_ref::<&str>().is_some_and(|text| text.contains(NO_WINNER)) {
            hook(info);
        }
    }));
}

/// What is wrong, if anything.
fn difference(program: &Program, answer: &Answer, first: &Report, second: &Report) -> Option<String> {
    if !first.faults.is_empty() {
        return Some(first.faults.join("; "));
    }
    if first != second {
        return Some("two runs differ".into());
    }
    if let Some(certain) = answer.certain.filter(|_| !program.is_calm) {
        let start = |trace: &Trace| Trace(trace.0[..certain.min(trace.0.len())].to_vec()).sorted(true);
        return (start(&first.trace) != start(&answer.trace))
            .then(|| "the traces differ at the start".into());
    }
    if (&first.outcome, first.ended_at) != (&answer.outcome, answer.ended_at) {
        return Some("the outcomes differ".into());
    }
    let order_matters = !program.is_calm;
    let differ = first.trace.sorted(order_matters) != answer.trace.sorted(order_matters);
    differ.then(|| "the traces differ".into())
}

/// All that there is to know of a seed.
fn story(seed: u64, program: &Program, answer: &Answer, runs: &[Report]) -> String {
    let Answer { outcome, ended_at, trace, certain } = answer;
    let mut story = format!("seed {seed}\n{program}\nthe model: {outcome:?} at {ended_at} ns");
    if let Some(certain) = certain {
        story += &format!(", promised up to event {certain}");
    }
    story += &format!("\n{trace}");
    for (position, Report { outcome, ended_at, trace, .. }) in runs.iter().enumerate() {
        if position == 0 || runs[0] != runs[position] {
            let name = ["gather:   ", "once more:"][position];
            story += &format!("\n{name} {outcome:?} at {ended_at} ns\n{trace}");
        }
    }
    story
        + &format!("\nGATHER_SEED={seed} cargo test -p gather-tests --test random_programs -- --nocapture\n")
}

/// Runs a seed twice. Gives whether all of its trace is promised.
#[track_caller]
fn check(seed: u64, is_told: bool) -> bool {
    let program = Rc::new(program(seed));
    let answer = Model::answer(&program);
    let runs = catch_unwind(AssertUnwindSafe(|| [real::run(&program), real::run(&program)]));
    let runs = runs.unwrap_or_else(|panic| {
        eprintln!("a panic that the program did not make: {}", story(seed, &program, &answer, &[]));
        resume_unwind(panic)
    });
    if is_told {
        println!("{}", story(seed, &program, &answer, &runs));
    }
    if let Some(difference) = difference(&program, &answer, &runs[0], &runs[1]) {
        panic!("{difference}: {}", story(seed, &program, &answer, &runs));
    }
    program.is_calm || answer.certain.is_none()
}

#[test]
fn random_programs_do_what_the_model_says_and_the_same_each_time() {
    silence_the_panic_on_purpose();
    if let Some(seed) = number_in("GATHER_SEED") {
        check(seed, true);
        return;
    }
    let seeds = number_in("GATHER_SEEDS").unwrap_or(SEEDS);
    let certain = (0..seeds).filter(|seed| check(*seed, false)).count() as u64;
    assert!(
        certain * 10 >= seeds * 9,
        "only {certain} of {seeds} are promised to the end: the others tell little"
    );
}

#[test]
fn random_programs_end_in_every_way() {
    let outcomes: Vec<_> = (0..2000).map(|seed| Model::answer(&program(seed)).outcome).collect();
    let check = |name: &str, is_it: fn(&Outcome) -> bool| {
        let count = outcomes.iter().filter(|outcome| is_it(outcome)).count();
        assert!(count >= 5, "{name}: {count} of {}", outcomes.len());
    };
    check("a value", |outcome| matches!(outcome, Outcome::Output(Ok(_))));
    check("an error", |outcome| matches!(outcome, Outcome::Output(Err(_))));
    check("a panic of a child", |outcome| matches!(outcome, Outcome::Panic(Bang::Poll(_))));
    check("a panic of a destructor", |outcome| matches!(outcome, Outcome::Panic(Bang::Drop(_))));
    check("a panic of an input", |outcome| matches!(outcome, Outcome::Panic(Bang::Input(_))));
    check("a race without children", |outcome| matches!(outcome, Outcome::Panic(Bang::NoWinner)));
    check("a cancellation", |outcome| matches!(outcome, Outcome::Cancelled(false)));
    assert!(!outcomes.contains(&Outcome::Stuck), "the model waits for something that never comes");
}
