//! The table: a line for each contender, a column for each row of work, and below it what the figures come to.

use crate::measure::Figures;
use crate::peers::Contender;

/// One line: a name, and a text for each column.
type Line = (String, Vec<String>);

/// The table for a terminal.
pub(crate) fn plain(figures: &Figures) -> String {
    let headings: Vec<(&str, String)> = figures.rows.iter().map(|row| row.heading()).collect();
    let lines = [
        ("".to_owned(), headings.iter().map(|(work, _)| (*work).to_owned()).collect()),
        ("ns for one operation".to_owned(), headings.into_iter().map(|(_, size)| size).collect()),
    ];
    let rule = "─".repeat(24 + 9 * figures.rows.len());
    let mut text = lines.iter().map(aligned).collect::<String>();
    text += &format!("{rule}\n{}", contenders(figures).iter().map(aligned).collect::<String>());
    text += &format!("{rule}\n{}", ratios(figures).iter().map(aligned).collect::<String>());
    text
}

/// The table for a README.
pub(crate) fn markdown(figures: &Figures) -> String {
    let headings = figures.rows.iter().map(|row| row.to_string()).collect();
    let mut text = piped(&("ns for one operation".to_owned(), headings));
    text += &format!("|---|{}\n", "--:|".repeat(figures.rows.len()));
    for (name, texts) in contenders(figures).into_iter().chain(ratios(figures)) {
        let ours = name == Contender::Ours.name();
        let bold = |text: String| if ours { format!("**{text}**") } else { text };
        text += &piped(&(bold(name), texts.into_iter().map(bold).collect()));
    }
    text
}

/// A line for each contender that has a figure.
fn contenders(figures: &Figures) -> Vec<Line> {
    let line = |contender: Contender| {
        let cells: Vec<_> = figures.rows.iter().map(|&row| figures.get(row, contender)).collect();
        let measured = cells.iter().any(Option::is_some);
        measured.then(|| (contender.name().to_owned(), cells.into_iter().map(nanoseconds).collect()))
    };
    Contender::ALL.into_iter().filter_map(line).collect()
}

/// What the figures come to.
fn ratios(figures: &Figures) -> Vec<Line> {
    let ours = |row| figures.get(row, Contender::Ours);
    let line = |name: &str, ratio: &dyn Fn(_) -> Option<f64>| {
        (name.to_owned(), figures.rows.iter().map(|&row| times(ratio(row))).collect())
    };
    vec![
        line("best peer / gather", &|row| Some(figures.best(row, Contender::is_peer)? / ours(row)?)),
        line("best tokio / gather", &|row| Some(figures.best(row, Contender::is_tokio)? / ours(row)?)),
        line("gather / floor", &|row| Some(ours(row)? / figures.get(row, Contender::Hand)?)),
    ]
}

/// A figure with as many digits as mean something.
fn nanoseconds(figure: Option<f64>) -> String {
    match figure {
        Some(figure) if figure < 99.95 => format!("{figure:.1}"),
        Some(figure) => format!("{figure:.0}"),
        None => "–".to_owned(),
    }
}

/// A ratio.
fn times(ratio: Option<f64>) -> String {
    ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.1}×"))
}

/// A line for a terminal.
fn aligned((name, texts): &Line) -> String {
    let cells: String = texts.iter().map(|text| format!("{text:>9}")).collect();
    format!("{name:<24}{cells}\n")
}

/// A line for a README.
fn piped((name, texts): &Line) -> String {
    format!("| {name} | {} |\n", texts.join(" | "))
}
