//! Compared with what: the counts that stand in `benches/counts.txt`, and what is said where the
//! present ones differ.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::process::Command;

use crate::count::Count;

/// Where the baseline stands.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.txt");

/// How much the instructions of an operation may grow, as a part of them.
const TOLERANCE: f64 = 0.03;

/// How much an allocation may differ and be the same: what is written in the file has three
/// digits.
const SAME: f64 = 0.0015;

/// Counts, and the compiler that they belong to.
pub(crate) struct Baseline {
    /// What `rustc --version` says.
    rustc: String,
    /// The counts.
    counts: Vec<Count>,
}

/// What came out of a comparison.
pub(crate) struct Verdict {
    /// What there is to say.
    pub(crate) remarks: Vec<String>,
    /// Whether something grew that must not.
    pub(crate) failed: bool,
}

impl Baseline {
    /// These counts, and the present compiler.
    pub(crate) fn of(counts: Vec<Count>) -> Result<Baseline, Box<dyn Error>> {
        let output = Command::new("rustc").arg("--version").output()?;
        Ok(Baseline { rustc: String::from_utf8(output.stdout)?.trim().to_owned(), counts })
    }

    /// The one in the file.
    pub(crate) fn read() -> Result<Baseline, Box<dyn Error>> {
        let text = fs::read_to_string(FILE).map_err(|error| format!("{FILE}: {error}"))?;
        Baseline::parse(&text)
            .ok_or_else(|| format!("{FILE} cannot be read: take it anew with `{ACCEPT}`").into())
    }

    fn parse(text: &str) -> Option<Baseline> {
        let mut lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let rustc = lines.next()?.to_owned();
        let count = |line: &str| {
            let (name, figures) = line.split_once(':')?;
            let mut figures = figures.split_whitespace();
            let instructions = figures.next()?.parse().ok()?;
            let allocations = figures.nth(1)?.parse().ok()?;
            Some(Count { name: name.to_owned(), instructions, allocations })
        };
        Some(Baseline { rustc, counts: lines.map(count).collect::<Option<_>>()? })
    }

    /// The count of the operation with this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Count> {
        self.counts.iter().find(|count| count.name == name)
    }

    /// Writes it to the file. If these are not all operations, the others keep their lines.
    pub(crate) fn write(mut self, are_all: bool) -> Result<(), Box<dyn Error>> {
        if !are_all {
            let mut merged = Baseline::read()?.counts;
            merged.iter_mut().for_each(|old| {
                if let Some(new) = self.get(&old.name) {
                    old.clone_from(new);
                }
            });
            self.counts = merged;
        }
        fs::write(FILE, self.text())?;
        println!("these are the baseline now: {FILE}");
        Ok(())
    }

    fn text(&self) -> String {
        let mut text = format!(
            "# What the hot operations cost: `cargo counts` compares with this, and `{ACCEPT}` writes it.\n\n{}\n\n",
            self.rustc
        );
        for Count { name, instructions, allocations } in &self.counts {
            writeln!(text, "{name}: {instructions:.1} instructions, {allocations:.3} allocations")
                .expect("a string takes everything");
        }
        text
    }
}

/// How the baseline is taken anew.
const ACCEPT: &str = "cargo counts --accept";

/// Compares the present counts with the baseline. If these are all operations, none may be
/// missing.
pub(crate) fn compare(baseline: &Baseline, present: &Baseline, are_all: bool) -> Verdict {
    let (mut failures, mut notes) = (Vec::new(), Vec::new());
    let is_same_compiler = baseline.rustc == present.rustc;
    if !is_same_compiler {
        notes.push(format!(
            "The baseline is of {}, this is {}: instructions are reported and not judged.",
            baseline.rustc, present.rustc
        ));
    }
    for now in &present.counts {
        let name = &now.name;
        let Some(was) = baseline.get(name) else {
            failures.push(format!("{name}: has no baseline. `{ACCEPT}` takes one."));
            continue;
        };
        let growth = now.instructions / was.instructions - 1.0;
        let change = format!(
            "{name}: {:.1} instructions, was {:.1}: {:+.1} %.",
            now.instructions,
            was.instructions,
            growth * 100.0
        );
        if growth > TOLERANCE && is_same_compiler {
            failures
                .push(format!("{change} If that is meant, run `{ACCEPT}` to take it as the new baseline."));
        } else if growth > TOLERANCE {
            notes.push(change);
        } else if growth < -TOLERANCE {
            notes.push(format!("{change} Run `{ACCEPT}`, so that it stays so."));
        }
        let change = format!("{name}: {:.3} allocations, was {:.3}.", now.allocations, was.allocations);
        if now.allocations > was.allocations + SAME {
            failures
                .push(format!("{change} If that is meant, run `{ACCEPT}` to take it as the new baseline."));
        } else if now.allocations < was.allocations - SAME {
            notes.push(format!("{change} Run `{ACCEPT}`, so that it stays so."));
        }
    }
    if are_all {
        let gone = baseline.counts.iter().filter(|count| present.get(&count.name).is_none());
        notes.extend(gone.map(|count| format!("{}: is in the baseline and is not counted.", count.name)));
    }
    let failed = !failures.is_empty();
    if !failed {
        notes.push(format!("Nothing grew by more than {:.0} %.", TOLERANCE * 100.0));
    }
    Verdict { remarks: notes.into_iter().chain(failures).collect(), failed }
}
