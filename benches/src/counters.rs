//! `--explain "chain 1e6"`: what the processor counts while a row's work is done with gather, for
//! each operation: instructions, cycles, misses of its caches and of the table of pages, and the
//! page faults of the system. It says why a cost grows with the number of children where the
//! instructions do not.
//!
//! Only what happens in this program counts, not what the system does for it (but the page
//! faults). A system that does not let a program count, as many containers do, gets no figures.
//!
//! An operation is what the row's figure is for: there were as many as that figure fits into the
//! time that was counted.

use std::cell::RefCell;
use std::error::Error;
use std::time::{Duration, Instant};

use perf_event::events::{Cache, CacheId, CacheOp, CacheResult, Event, Hardware, Software};
use perf_event::{Builder, Counter, ReadFormat};

use crate::measure::{Cores, Effort, run_job};
use crate::peers::Peer;
use crate::rows::{Row, Unit};

/// What is counted.
const NAMES: [&str; 6] = ["instructions", "cycles", "L1 misses", "cache misses", "TLB misses", "page faults"];

/// Counts for each operation, with what they count.
pub(crate) type Counts = Vec<(String, f64)>;

/// Counters of this thread.
struct Counters {
    /// In the order of [`NAMES`].
    all: Vec<Counter>,
    /// When they were started, if they run.
    since: Option<Instant>,
    /// How long they have run.
    time: Duration,
}

thread_local! {
    /// The counters, if something is to be counted.
    static COUNTERS: RefCell<Option<Counters>> = const { RefCell::new(None) };
}

impl Counters {
    /// All of them, standing still.
    fn open() -> std::io::Result<Self> {
        let misses = |which| Cache { which, operation: CacheOp::READ, result: CacheResult::MISS };
        let all = vec![
            counter(Hardware::INSTRUCTIONS)?,
            counter(Hardware::CPU_CYCLES)?,
            counter(misses(CacheId::L1D))?,
            counter(Hardware::CACHE_MISSES)?,
            counter(misses(CacheId::DTLB))?,
            counter(Software::PAGE_FAULTS)?,
        ];
        Ok(Self { all, since: None, time: Duration::ZERO })
    }
}

/// A counter of this thread, standing still.
fn counter(event: impl Event) -> std::io::Result<Counter> {
    Builder::new(event).read_format(ReadFormat::TOTAL_TIME_ENABLED | ReadFormat::TOTAL_TIME_RUNNING).build()
}

/// Here begins what the row's figure is for. (A row that measures all of its sample need not call
/// it.)
pub(crate) fn start() {
    COUNTERS.with_borrow_mut(|counters| {
        let Some(counters) = counters else { return };
        counters.all.iter_mut().for_each(|counter| counter.enable().expect("it counts"));
        counters.since = Some(Instant::now()); // to start a counter takes longer than some samples
    });
}

/// Here it ends.
pub(crate) fn stop() {
    COUNTERS.with_borrow_mut(|counters| {
        let Some(counters) = counters else { return };
        counters.time += counters.since.take().expect("it was started").elapsed();
        counters.all.iter_mut().for_each(|counter| counter.disable().expect("it counts"));
    });
}

/// Does `row`'s work with gather in this process, as it is done when it is measured, and gives
/// what was counted for each operation.
///
/// # Errors
///
/// If the row's figure is not nanoseconds, or the system does not let this program count.
pub(crate) fn explain(row: Row, effort: Effort) -> Result<Counts, Box<dyn Error>> {
    if row.unit() != Unit::Nanoseconds {
        return Err(format!(
            "{row} is not measured in nanoseconds, so nobody knows how many operations it has"
        )
        .into());
    }
    let refused = |error| format!("the system does not let this program count: {error}");
    let counters = Counters::open().map_err(refused)?;
    let mut sample = row.sampler(Peer::Ours);
    if !row.once() {
        sample(); // the first one is a warm-up
    }
    COUNTERS.set(Some(counters));
    let begin = Instant::now();
    let mut operations = 0.0;
    loop {
        let before = time();
        if !row.times_itself() {
            start();
        }
        let figure = sample();
        if !row.times_itself() {
            stop();
        }
        operations += (time() - before).as_nanos() as f64 / figure;
        if row.once() || begin.elapsed() > effort.sampling_time(row) {
            break;
        }
    }
    let counters = COUNTERS.take().expect("they were opened above");
    let mut counts = Counts::new();
    for (name, mut counter) in NAMES.into_iter().zip(counters.all) {
        let count = counter.read_full()?;
        let part = count.time_running().zip(count.time_enabled()); // less than all, if there are too few counters
        let part = part.map_or(1.0, |(ran, all)| ran.as_secs_f64() / all.as_secs_f64());
        counts.push((name.to_owned(), count.count() as f64 / part / operations));
    }
    Ok(counts)
}

/// Does the work of each of `rows` that is measured in nanoseconds in a process of its own, until
/// one cannot count.
pub(crate) fn explain_all(
    rows: &[Row],
    effort: Effort,
    cores: Cores,
) -> Result<Vec<(Row, Counts)>, Box<dyn Error>> {
    let mut all = Vec::new();
    for &row in rows.iter().filter(|row| row.unit() == Unit::Nanoseconds) {
        let printed = run_job(&["--explain", &row.to_string()], effort, cores)?;
        let Some((printed, status)) = printed else { continue }; // it hung
        if !status.success() {
            break; // and has said why
        }
        all.push((row, printed.lines().filter_map(parsed).collect()));
    }
    Ok(all)
}

/// A line of `--explain`.
fn parsed(line: &str) -> Option<(String, f64)> {
    let (count, name) = line.split_once(' ')?;
    Some((name.to_owned(), count.parse().ok()?))
}

/// How long was counted.
fn time() -> Duration {
    COUNTERS.with_borrow(|counters| counters.as_ref().map_or(Duration::ZERO, |counters| counters.time))
}
