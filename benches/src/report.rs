//! `--report`: what a run measured, written to `benches/REPORT.md`, with charts beside it in `benches/charts/`.
//!
//! After a run that is to be kept, `README.md` gets three things from `REPORT.md`, in "Beside its peers": its first table (the table
//! "gathering" under "Every figure", as it is), the machine's line, and the ratios that stand in the list below the table (from "At a
//! glance": the row's name stands in each). Nothing else in the README is measured by this program.

use std::error::Error;
use std::fs;
use std::path::Path;

use crate::charts;
use crate::measure::{Figures, Ratio};
use crate::peers::Contender;
use crate::table::{digits, groups, markdown_of, times};

/// Writes the report of `figures` and of the growth of our costs. `machine` is what it was measured on.
pub(crate) fn write(figures: &Figures, flat: &Figures, machine: &str) -> Result<(), Box<dyn Error>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::create_dir_all(directory.join("charts"))?;
    let mut pictures = Vec::new();
    for (name, svg) in charts::bars(figures)?.into_iter().chain(charts::growth(flat)?) {
        fs::write(directory.join("charts").join(&name), svg)?;
        pictures.push(name);
    }
    fs::write(directory.join("REPORT.md"), text(figures, flat, machine, &pictures))?;
    Ok(())
}

/// The report.
fn text(figures: &Figures, flat: &Figures, machine: &str, pictures: &[String]) -> String {
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
    text += "`rounds within` says how far to trust a figure: half of its rounds lie so close to it. Each round has its own ratio, of the two \
             figures that were measured in it; the table has their median, and in brackets what the middle half of them lies between. \
             Where that holds 1, nobody is ahead. A server's process has one of two figures for a message, by whether it sleeps before \
             it: there, look at the ratios and not at the figures.\n\n";
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
    text += &growth(flat);
    text
}

/// A line for each row: ours, who comes next, and how far it is.
fn glance(figures: &Figures) -> String {
    let mut text = "| row | unit | gather | rounds within | best peer | its figure | rounds within | best peer / gather | best tokio / gather | gather / floor |\n\
                    |---|---|--:|--:|---|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for &row in &figures.rows {
        let Some(ours) = figures.get(row, Contender::Ours) else { continue };
        let within = |contender| {
            figures
                .spread_of(row, contender)
                .map_or("–".to_owned(), |part| format!("±{:.0} %", part * 100.0))
        };
        let best = figures.best(row, Contender::is_peer);
        let tokio = figures.best(row, Contender::is_tokio);
        let floor = figures.ratio(row, Contender::Ours, Contender::Hand);
        let theirs = best.and_then(|(peer, _)| figures.get(row, peer));
        text += &format!(
            "| {row} | {} | **{}** | {} | {} | {} | {} | {} | {} | {} |\n",
            row.unit().name(),
            digits(ours, row),
            within(Contender::Ours),
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

/// A line for each kind of work, a column for each size.
fn growth(flat: &Figures) -> String {
    let series = charts::series(flat);
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
        text +=
            &format!("| {} | {} | {} |\n", line.row.heading().0, line.row.unit().name(), cells.join(" | "));
    }
    text
}

/// With a capital letter.
fn capitalised(sentence: &str) -> String {
    let (first, rest) = sentence.split_at(1);
    first.to_uppercase() + rest
}
