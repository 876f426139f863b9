//! How it is measured: a process for each figure, the processes in interleaved rounds, medians of medians.

use std::error::Error;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::peers::Contender;
use crate::rows::Row;

/// How long to measure.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Effort {
    /// For figures that are printed somewhere.
    Full,
    /// For CI.
    Quick,
}

impl Effort {
    /// The argument that asks for it.
    fn argument(self) -> &'static str {
        if self == Self::Full { "--bench" } else { "--quick" }
    }

    /// How many times every contender is asked.
    fn rounds(self) -> usize {
        if self == Self::Full { 5 } else { 1 }
    }

    /// How long one process goes on taking samples. Fairly arbitrary: dozens of samples of most rows.
    fn sampling_time(self, row: Row) -> Duration {
        let once = Duration::from_millis(if self == Self::Full { 60 } else { 20 });
        if self == Self::Full { once * row.patience() } else { once }
    }
}

/// Does `row`'s work with `contender` in this process: one warm-up, then samples until the time is up, at least one. Gives their
/// median, in nanoseconds for one operation.
pub(crate) fn median_sample(row: Row, contender: Contender, effort: Effort) -> f64 {
    let mut sample = row.sampler(contender);
    sample();
    let start = Instant::now();
    let mut samples = vec![sample()];
    while start.elapsed() < effort.sampling_time(row) {
        samples.push(sample());
    }
    median(samples)
}

/// Every figure of the table.
pub(crate) struct Figures {
    /// The rows that were asked for.
    pub(crate) rows: Vec<Row>,
    /// For each row and contender that suit each other, what each round measured.
    cells: Vec<Cell>,
}

/// One row with one contender.
struct Cell {
    /// What is done.
    row: Row,
    /// By whom.
    contender: Contender,
    /// What each round measured: nanoseconds for one operation.
    rounds: Vec<f64>,
}

impl Figures {
    /// Asks every contender for every row, round after round, each time in a new process on `core`.
    pub(crate) fn collect(rows: &[Row], effort: Effort, core: Option<usize>) -> Result<Self, Box<dyn Error>> {
        let mut cells = Vec::new();
        for &row in rows {
            let suited = Contender::ALL.into_iter().filter(|&contender| row.suits(contender));
            cells.extend(suited.map(|contender| Cell { row, contender, rounds: Vec::new() }));
        }
        for round in 1..=effort.rounds() {
            eprintln!("round {round} of {}", effort.rounds());
            for cell in &mut cells {
                let figure = sample_in_a_process(cell.row, cell.contender, effort, core)?;
                cell.rounds.push(figure);
            }
        }
        Ok(Self { rows: rows.to_vec(), cells })
    }

    /// The figure of `contender` in `row`, if it has one: nanoseconds for one operation.
    pub(crate) fn get(&self, row: Row, contender: Contender) -> Option<f64> {
        let cell = self.cells.iter().find(|cell| cell.row == row && cell.contender == contender)?;
        Some(median(cell.rounds.clone()))
    }

    /// The least figure in `row` of the contenders that `among` chooses.
    pub(crate) fn best(&self, row: Row, among: impl Fn(Contender) -> bool) -> Option<f64> {
        let chosen = Contender::ALL.into_iter().filter(|&contender| among(contender));
        chosen.filter_map(|contender| self.get(row, contender)).min_by(f64::total_cmp)
    }

    /// A sentence on how far to trust a figure: how far the rounds lie from their median.
    pub(crate) fn spread(&self) -> String {
        if self.cells.iter().all(|cell| cell.rounds.len() == 1) {
            return "one round: nothing here says how far to trust a figure".to_owned();
        }
        let mut spreads: Vec<(f64, &Cell)> = self.cells.iter().map(|cell| (cell.spread(), cell)).collect();
        spreads.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (usual, _) = spreads[spreads.len() / 2];
        let (worst, cell) = spreads[spreads.len() - 1];
        format!(
            "half of the rounds lie within ±{:.0} % of their median; worst: {}, {}, ±{:.0} %",
            usual * 100.0,
            cell.row,
            cell.contender.name(),
            worst * 100.0
        )
    }
}

impl Cell {
    /// The median distance of a round from the median, as a part of it.
    fn spread(&self) -> f64 {
        let middle = median(self.rounds.clone());
        median(self.rounds.iter().map(|round| (round - middle).abs() / middle).collect())
    }
}

/// Starts this program again, to do one row's work with one contender, and reads the figure that it prints.
fn sample_in_a_process(
    row: Row,
    contender: Contender,
    effort: Effort,
    core: Option<usize>,
) -> Result<f64, Box<dyn Error>> {
    let program = std::env::current_exe()?;
    let mut command = match core {
        Some(core) => {
            let mut taskset = Command::new("taskset");
            taskset.arg("--cpu-list").arg(core.to_string()).arg(program);
            taskset
        }
        None => Command::new(program),
    };
    command.args([effort.argument(), "--sample", &row.to_string(), contender.name()]);
    let output = command.stderr(Stdio::inherit()).output()?;
    let printed = String::from_utf8(output.stdout)?;
    printed
        .trim()
        .parse()
        .map_err(|_| format!("{} did not finish {row}: {}", contender.name(), output.status).into())
}

/// The middle one. Of an even number, the upper of the two.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
