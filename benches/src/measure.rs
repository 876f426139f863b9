//! How it is measured: a process for each figure, the processes in interleaved rounds, medians of
//! medians; and ratios, each formed within a round.

use std::error::Error;
use std::io::Read as _;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::peers::Peer;
use crate::rows::Row;

/// How long a process may take. It takes seconds at most; one that still runs after this long has
/// lost a wake.
const PATIENCE: Duration = Duration::from_secs(20);

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

    /// How many of them ask for `row`. Three are enough where each takes seconds, nine where one
    /// figure may be another level's.
    fn rounds_of(self, row: Row) -> usize {
        match self {
            Self::Quick => 1,
            Self::Full if row.is_long() => 3,
            Self::Full if row.patience() > 1 => 9,
            Self::Full => 5,
        }
    }

    /// How long one process goes on taking samples. Fairly arbitrary: dozens of samples of most
    /// rows.
    pub(crate) fn sampling_time(self, row: Row) -> Duration {
        let once = Duration::from_millis(if self == Self::Full { 60 } else { 20 });
        if self == Self::Full { once * row.patience() } else { once }
    }
}

/// Does `row`'s work with `peer` in this process: one warm-up, then samples until the time is
/// up, at least one. Gives their median, in the row's unit. Rows that are measured
/// [`once`](Row::once) have one sample and no warm-up.
pub(crate) fn median_sample(row: Row, peer: Peer, effort: Effort) -> f64 {
    let mut sample = row.sampler(peer);
    if row.once() {
        return sample();
    }
    sample();
    let start = Instant::now();
    let mut samples = vec![sample()];
    while start.elapsed() < effort.sampling_time(row) {
        samples.push(sample());
    }
    median(samples)
}

/// Where the measuring processes run.
#[derive(Clone, Copy)]
pub(crate) struct Cores {
    /// The core of the loops; `None` if nothing can be pinned.
    pub(crate) loops: Option<usize>,
    /// The core of the threads that wake them; `None` if there is no other.
    pub(crate) helpers: Option<usize>,
}

/// Every figure of the tables.
pub(crate) struct Figures {
    /// The rows that were asked for.
    pub(crate) rows: Vec<Row>,
    /// For each row and peer that suit each other, what each round measured.
    cells: Vec<Cell>,
    /// Who cannot start on this machine, and why.
    absent: Vec<(Peer, String)>,
}

/// One row with one peer.
struct Cell {
    /// What is done.
    row: Row,
    /// By whom.
    peer: Peer,
    /// What each round measured, in the row's unit; `None` if the process hung.
    rounds: Vec<Option<f64>>,
}

/// How many times one peer's figure another's is.
#[derive(Clone, Copy)]
pub(crate) struct Ratio {
    /// The median of the rounds, of each round's own ratio.
    pub(crate) median: f64,
    /// Between these lies the middle half of the rounds' ratios.
    pub(crate) quartiles: (f64, f64),
}

impl Figures {
    /// Asks every one of `peers` for every row, round after round, each time in a new
    /// process.
    pub(crate) fn collect(
        rows: &[Row],
        peers: &[Peer],
        effort: Effort,
        cores: Cores,
    ) -> Result<Self, Box<dyn Error>> {
        let mut absent = Vec::new();
        let mut present = Vec::new();
        for &peer in peers {
            match peer.needs_io_uring().then(|| try_start(peer)).transpose()?.flatten() {
                Some(reason) => absent.push((peer, reason)),
                None => present.push(peer),
            }
        }
        let mut cells = Vec::new();
        for &row in rows {
            let suited = present.iter().filter(|&&peer| row.suits(peer));
            cells.extend(suited.map(|&peer| Cell { row, peer, rounds: Vec::new() }));
        }
        let rounds = rows.iter().map(|&row| effort.rounds_of(row)).max().unwrap_or(0);
        for round in 1..=rounds {
            eprintln!("round {round} of {rounds}");
            for cell in cells.iter_mut().filter(|cell| round <= effort.rounds_of(cell.row)) {
                cell.rounds.push(sample_in_a_process(cell.row, cell.peer, effort, cores)?);
            }
        }
        Ok(Self { rows: rows.to_vec(), cells, absent })
    }

    /// The figure of `peer` in `row`, if it has one.
    pub(crate) fn get(&self, row: Row, peer: Peer) -> Option<f64> {
        Some(median(self.cell(row, peer)?.figures()))
    }

    /// How far the rounds of `peer` in `row` lie from their median, as a part of it, if there
    /// was more than one.
    pub(crate) fn spread_of(&self, row: Row, peer: Peer) -> Option<f64> {
        self.cell(row, peer).filter(|cell| cell.figures().len() > 1).map(Cell::spread)
    }

    /// What the rounds measured, if there is something.
    fn cell(&self, row: Row, peer: Peer) -> Option<&Cell> {
        let measured = |cell: &&Cell| !cell.figures().is_empty();
        self.cells.iter().filter(measured).find(|cell| cell.row == row && cell.peer == peer)
    }

    /// A sentence for each peer that is left out, and for each process that hung.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let absent = self.absent.iter();
        let absent = absent.map(|(peer, reason)| format!("{} is left out: {reason}", peer.name()));
        let hung = self.cells.iter().filter(|cell| cell.rounds.contains(&None)).map(|cell| {
            let (name, rounds) = (cell.peer.name(), cell.rounds.len());
            let hangs = rounds - cell.figures().len();
            format!("{name} hung in `{}`, in {hangs} of {rounds} rounds, and was ended", cell.row)
        });
        absent.chain(hung).collect()
    }

    /// How many times `other`'s figure in `row` that of `peer` is. Each round has its own
    /// ratio, of what was measured within a minute: what the machine does meanwhile falls on both,
    /// and a figure that has two levels is mostly at one of them then.
    pub(crate) fn ratio(&self, row: Row, peer: Peer, other: Peer) -> Option<Ratio> {
        let (ones, others) = (&self.cell(row, peer)?.rounds, &self.cell(row, other)?.rounds);
        let pairs = ones.iter().zip(others).filter_map(|(one, other)| one.zip(*other));
        let mut ratios: Vec<f64> = pairs.map(|(one, other)| one / other).collect();
        ratios.sort_by(f64::total_cmp);
        let last = ratios.len().checked_sub(1)?;
        Some(Ratio {
            median: ratios[ratios.len() / 2],
            quartiles: (ratios[last / 4], ratios[last - last / 4]),
        })
    }

    /// Of those that `among` chooses, who is best in `row`: least beside ours. With the ratio to
    /// ours.
    pub(crate) fn best(&self, row: Row, among: impl Fn(Peer) -> bool) -> Option<(Peer, Ratio)> {
        let chosen = Peer::ALL.iter().copied().filter(|&peer| among(peer));
        chosen
            .filter_map(|peer| Some((peer, self.ratio(row, peer, Peer::Ours)?)))
            .min_by(|a, b| a.1.median.total_cmp(&b.1.median))
    }

    /// A sentence on how far to trust a figure: how far the rounds lie from their median.
    pub(crate) fn spread(&self) -> String {
        if self.cells.iter().all(|cell| cell.rounds.len() <= 1) {
            return "one round: nothing here says how far to trust a figure".to_owned();
        }
        let measured = self.cells.iter().filter(|cell| !cell.figures().is_empty());
        let mut spreads: Vec<(f64, &Cell)> = measured.map(|cell| (cell.spread(), cell)).collect();
        spreads.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (usual, _) = spreads[spreads.len() / 2];
        let (worst, cell) = spreads[spreads.len() - 1];
        format!(
            "half of the rounds lie within ±{:.0} % of their median; worst: {}, {}, ±{:.0} %",
            usual * 100.0,
            cell.row,
            cell.peer.name(),
            worst * 100.0
        )
    }
}

impl Cell {
    /// What was measured.
    fn figures(&self) -> Vec<f64> {
        self.rounds.iter().copied().flatten().collect()
    }

    /// The median distance of a round from the median, as a part of it.
    fn spread(&self) -> f64 {
        let middle = median(self.figures());
        let distance = |figure: f64| (figure - middle).abs() / middle.max(f64::MIN_POSITIVE);
        median(self.figures().into_iter().map(distance).collect())
    }
}

/// Starts this program again, to start `peer` and no more. Gives the reason if that cannot
/// start here.
fn try_start(peer: Peer) -> Result<Option<String>, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.args(["--start", peer.name()]).output()?;
    if output.status.success() {
        return Ok(None);
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    let reason = printed.lines().find(|line| line.contains("a runtime starts")).unwrap_or("it did not start");
    Ok(Some(reason.to_owned()))
}

/// Starts this program again, to do one row's work with one peer, and reads the figure that
/// it prints. `None` if it hangs.
fn sample_in_a_process(
    row: Row,
    peer: Peer,
    effort: Effort,
    cores: Cores,
) -> Result<Option<f64>, Box<dyn Error>> {
    let printed = run_job(&["--sample", &row.to_string(), peer.name()], effort, cores)?;
    let Some((printed, status)) = printed else { return Ok(None) };
    let figure = printed.trim().parse();
    figure.map(Some).map_err(|_| format!("{} did not finish {row}: {status}", peer.name()).into())
}

/// Starts this program again with these arguments, on its core, and gives what it prints, and how
/// it ends. `None` if it hangs.
pub(crate) fn run_job(
    arguments: &[&str],
    effort: Effort,
    cores: Cores,
) -> Result<Option<(String, ExitStatus)>, Box<dyn Error>> {
    let program = std::env::current_exe()?;
    let mut command = match cores.loops {
        Some(core) => {
            let mut taskset = Command::new("taskset");
            taskset.arg("--cpu-list").arg(core.to_string()).arg(program);
            taskset
        }
        None => Command::new(program),
    };
    command.arg(effort.argument());
    if let Some(core) = cores.helpers {
        command.args(["--helpers-on", &core.to_string()]);
    }
    command.args(arguments);
    let mut process = command.stdout(Stdio::piped()).spawn()?;
    let mut stdout = process.stdout.take().expect("it is piped");
    let (sender, printed) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.read_to_string(&mut text).map(|_| text);
        drop(sender.send(read)); // nobody listens if the time was up
    });
    let Ok(printed) = printed.recv_timeout(PATIENCE) else {
        process.kill()?;
        process.wait()?;
        return Ok(None);
    };
    let status = process.wait()?;
    Ok(Some((printed?, status)))
}

/// The middle one. Of an even number, the upper of the two.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
