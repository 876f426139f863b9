//! `--report`: what a run measured, written to `benches/REPORT.md`, with charts beside it in
//! `benches/charts/`.
//!
//! A full run of all rows also writes the part of `README.md` between the two comments [`BEGIN`]
//! and [`END`]: a line for each of [`README_ROWS`]. So nothing is
//! pasted by hand. What stands below [`END`] (where it is not ahead, real queries, sizes) is
//! written by a person, who reads the new tables first.

use std::error::Error;
use std::fs;
use std::path::Path;

use crate::charts;
use crate::measure::{Figures, Ratio};
use crate::peers::Peer;
use crate::rows::Row;
use crate::table::{digits, groups, markdown_of, times};

/// What stands before the table in `README.md`.
const BEGIN: &str = "<!-- written by `cargo compare -- --report` -->\n";

/// What stands behind them.
const END: &str = "<!-- until here -->\n";

/// The rows with a line of their own in `README.md`, and what they are.
const README_ROWS: [(&str, &str); 20] = [
    ("ready 1e4", "a child that is ready at once, of a gather of 10,000"),
    ("yield 100", "a child wakes itself and is polled: 100 children"),
    ("chain 1e3", "a child wakes the next of a ring of 1,000"),
    ("failing 100", "gather 100, of which one fails and the others are dropped"),
    ("limit 256", "a ready child, 256 at once, out of 512,000"),
    ("allocs 256", "allocations of that"),
    ("join 10", "`gather!(a, b, c)` whose futures yield 10 times"),
    ("spawn task", "spawn a task in a task and await it"),
    ("wake 1e3", "wake one of 1,000 children from another thread"),
    ("timeout 1e6", "a time limit that does not run out, a million gathered"),
    ("sleep 1e6", "a sleep of 1 to 100 ms, a million gathered"),
    ("late 1e6", "how late those end, the 99th percentile"),
    ("asleep 1e6", "memory of a child that sleeps, out of a million"),
    ("idle task 1e5", "memory of a task that waits"),
    ("echo 1", "TCP server, one connection: a message of 64 bytes"),
    ("echo 64", "TCP server, 64 connections: likewise"),
    ("fan-out 256", "TCP client: connect, send, receive, close, 256 at once"),
    ("server cpu", "HTTP server (hyper), 64 connections: a request"),
    ("client cpu", "HTTP client (hyper), 64 connections: a request"),
    ("server memory", "memory of that server in all"),
];

/// How our costs grow with the number of children.
pub(crate) struct Growth {
    /// What was measured.
    pub(crate) flat: Figures,
    /// What the processor counted for an operation, where it could.
    pub(crate) counts: Vec<(Row, Vec<(String, f64)>)>,
}

/// Writes the report of `figures` and of the growth of our costs, and if they are `complete` the
/// README's part. `machine` is what it was measured on.
pub(crate) fn write(
    figures: &Figures,
    growth: &Growth,
    machine: &str,
    complete: bool,
) -> Result<(), Box<dyn Error>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::create_dir_all(directory.join("charts"))?;
    let mut pictures = Vec::new();
    for (name, svg) in charts::bars(figures)?.into_iter().chain(charts::growth(&growth.flat)?) {
        fs::write(directory.join("charts").join(&name), svg)?;
        pictures.push(name);
    }
    fs::write(directory.join("REPORT.md"), text(figures, growth, machine, &pictures))?;
    if complete {
        let path = directory.join("../README.md");
        let readme = fs::read_to_string(&path)?;
        let (before, rest) =
            readme.split_once(BEGIN).ok_or("README.md has lost the comment before its table")?;
        let (_, after) = rest.split_once(END).ok_or("README.md has lost the comment behind its table")?;
        fs::write(path, format!("{before}{BEGIN}{}{END}{after}", readme_part(figures, machine)))?;
    }
    Ok(())
}

/// The README's part.
fn readme_part(figures: &Figures, machine: &str) -> String {
    let machine = machine.lines().next().unwrap_or_default();
    let mut text = format!("{machine}.\n\n");
    text += "| row | one operation | unit | gather | best peer | its figure | best peer / gather | best tokio / gather |\n\
             |---|---|---|--:|---|--:|--:|--:|\n";
    for (name, what) in README_ROWS {
        let Some(row) = Row::named(name) else { continue };
        let Some(ours) = figures.get(row, Peer::Ours) else { continue };
        let best = figures.best(row, Peer::is_peer);
        let theirs = best.and_then(|(peer, _)| figures.get(row, peer));
        let tokio = figures.best(row, Peer::is_tokio);
        text += &format!(
            "| `{name}` | {what} | {} | **{}** | {} | {} | {} | {} |\n",
            row.unit().name(),
            digits(ours, row),
            best.map_or("–", |(peer, _)| peer.name()),
            theirs.map_or("–".to_owned(), |figure| digits(figure, row)),
            times_within(best.map(|(_, ratio)| ratio)),
            times(tokio.map(|(_, ratio)| ratio.median)),
        );
    }
    text
}

/// The report.
fn text(figures: &Figures, growth: &Growth, machine: &str, pictures: &[String]) -> String {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let mut text = format!(
        "# gather beside its peers, as measured\n\n\
         Written by `cargo compare -- {}`. What each row is, and why it is fair, stands at the top of the file in `src/` that is \
         named after it. The rules that all rows share stand in `src/compare.rs`. Less is better in every row.\n\n{}\n\n",
        arguments.join(" "),
        machine.trim_end().replace('\n', "\n\n"),
    );
    for remark in figures.remarks() {
        text += &format!("{remark}.\n\n");
    }
    text += &format!("{}.\n\n## At a glance\n\n", capitalised(&figures.spread()));
    text += "`spread`: half of the rounds are this close to the figure. Ratios are formed within a round; the \
             table has their median. In brackets: the interquartile range; if it includes 1, it is a tie. A \
             server's process has one of two figures for a message, depending on whether it sleeps before it, \
             so read its ratios and not its figures.\n\n";
    text += &glance(figures);
    for picture in pictures {
        text += &format!("\n![{picture}](charts/{picture})\n");
    }
    text += "\n## Every figure\n";
    for rows in groups(figures) {
        text += &format!("\n{}", markdown_of(figures, &rows));
    }
    text +=
        "\n## How our costs grow\n\nOne gather, or as many tasks, of this many children: gather only.\n\n";
    text += "Below each work stands what the processor counted for one operation, where the system lets a program count: from 1e3 on the instructions \
             stay what they are, and what rises is what has to come from memory. Children and tasks that are polled again are in no cache any more, the \
             ring of `chain` visits them in an order that nothing foresees, and of those that are ready at once the outputs are left to be written. Of \
             `timeout` few children are there at a time, so it stays. With 10 children a gather's own beginning and end are shared by few. With 1e7 there is \
             one sample without a warm-up: the first touch of all memory is in it. Bytes are counted by the kernel, in pages, and too coarsely below 1e5. More \
             in [PROFILES.md](PROFILES.md), which says why some rows are not better.\n\n";
    text += &growth_table(growth);
    text
}

/// A line for each row: ours, who comes next, and how far it is.
fn glance(figures: &Figures) -> String {
    let mut text = "| row | unit | gather | spread | best peer | its figure | spread | best peer / gather | best tokio / gather | gather / floor |\n\
                    |---|---|--:|--:|---|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for &row in &figures.rows {
        let Some(ours) = figures.get(row, Peer::Ours) else { continue };
        let within = |peer| {
            figures.spread_of(row, peer).map_or("–".to_owned(), |part| format!("±{:.0} %", part * 100.0))
        };
        let best = figures.best(row, Peer::is_peer);
        let tokio = figures.best(row, Peer::is_tokio);
        let floor = figures.ratio(row, Peer::Ours, Peer::Hand);
        let theirs = best.and_then(|(peer, _)| figures.get(row, peer));
        text += &format!(
            "| {row} | {} | **{}** | {} | {} | {} | {} | {} | {} | {} |\n",
            row.unit().name(),
            digits(ours, row),
            within(Peer::Ours),
            best.map_or("–", |(peer, _)| peer.name()),
            theirs.map_or("–".to_owned(), |figure| digits(figure, row)),
            best.map_or("–".to_owned(), |(peer, _)| within(peer)),
            times_within(best.map(|(_, ratio)| ratio)),
            times_within(tokio.map(|(_, ratio)| ratio)),
            times_within(floor),
        );
    }
    text
}

/// A ratio, and what half of the rounds lie between if there was more than one.
fn times_within(ratio: Option<Ratio>) -> String {
    let Some(Ratio { median, quartiles: (low, high) }) = ratio else { return "–".to_owned() };
    let median = times(Some(median));
    if low < high {
        format!("**{median}** ({} – {})", times(Some(low)), times(Some(high)))
    } else {
        format!("**{median}**")
    }
}

/// A line for each kind of work, and for what was counted in it; a column for each size.
fn growth_table(growth: &Growth) -> String {
    let series = charts::series(&growth.flat);
    let mut sizes: Vec<usize> =
        series.iter().flat_map(|line| line.points.iter().map(|point| point.0)).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let heading: Vec<String> = sizes.iter().map(|size| format!("1e{}", size.ilog10())).collect();
    let mut text = format!("| | unit | {} |\n|---|---|{}\n", heading.join(" | "), "--:|".repeat(sizes.len()));
    for line in series {
        let cell = |size: &usize| {
            let point = line.points.iter().find(|point| point.0 == *size);
            point.map_or("–".to_owned(), |point| digits(point.1, line.row))
        };
        let cells: Vec<String> = sizes.iter().map(cell).collect();
        text += &format!(
            "| **{}** | {} | {} |\n",
            line.row.heading().0,
            line.row.unit().name(),
            cells.join(" | ")
        );
        let counted: Vec<_> =
            growth.counts.iter().filter(|(row, _)| row.heading().0 == line.row.heading().0).collect();
        for (name, _) in counted.first().map_or(&[][..], |(_, counts)| counts) {
            let cell = |size: &usize| {
                let (_, counts) = counted.iter().find(|(row, _)| row.size() == Some(*size))?;
                let (_, count) = counts.iter().find(|(other, _)| other == name)?;
                Some(if *count < 10.0 { format!("{count:.2}") } else { format!("{count:.0}") })
            };
            let cells: Vec<String> =
                sizes.iter().map(|size| cell(size).unwrap_or_else(|| "–".to_owned())).collect();
            text += &format!("| | {name} | {} |\n", cells.join(" | "));
        }
    }
    text
}

/// With a capital letter.
fn capitalised(sentence: &str) -> String {
    let (first, rest) = sentence.split_at(1);
    first.to_uppercase() + rest
}
