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

use std::env;
use std::panic;
use std::rc::Rc;

use gather_tests::model::{Answer, Model};
use gather_tests::program::generate::program;
use gather_tests::program::real::{NO_WINNER, Report, run};
use gather_tests::program::trace::Trace;
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
fn story(seed: u64, program: &Program, answer: &Answer, first: &Report, second: &Report) -> String {
    let Answer { outcome, ended_at, trace, certain } = answer;
    let mut story = format!("seed {seed}\n{program}\nthe model: {outcome:?} at {ended_at} ns");
    if let Some(certain) = certain {
        story += &format!(", promised up to event {certain}");
    }
    story += &format!("\n{trace}\ngather:    {:?} at {} ns\n{}", first.outcome, first.ended_at, first.trace);
    if second != first {
        story += &format!("\nagain:     {:?} at {} ns\n{}", second.outcome, second.ended_at, second.trace);
    }
    story
}

#[test]
fn random_programs_do_what_the_model_says_and_the_same_each_time() {
    silence_the_panic_on_purpose();
    let single = number_in("GATHER_SEED");
    let seeds = match single {
        Some(seed) => seed..seed + 1,
        None => 0..number_in("GATHER_SEEDS").unwrap_or(SEEDS),
    };
    let mut uncertain = 0;
    for seed in seeds.clone() {
        let program = Rc::new(program(seed));
        let answer = Model::answer(&program);
        let [first, second] = [real::run(&program), run(&program)];
        if single.is_some() {
            println!("{}", story(seed, &program, &answer, &first, &second));
        }
        if let Some(difference) = difference(&program, &answer, &first, &second) {
            let story = story(seed, &program, &answer, &first, &second);
            panic!(
                "{difference}: {story}\nto replay: GATHER_SEED={seed} cargo test -p gather-tests --test random_programs -- --nocapture"
            );
        }
        uncertain += u64::from(answer.certain.is_some() && !program.is_calm);
    }
    println!("uncertain: {uncertain}");
}
