//! The tables: one for each kind of work, a line for each peer, a column for each row, and
//! below it what the figures come to.

use crate::measure::Figures;
use crate::peers::Peer;
use crate::rows::{Kind, Row, Unit};

/// How many columns fit a terminal beside the names.
const COLUMNS: usize = 9;

/// One line: a name, and a text for each column.
type Line = (String, Vec<String>);

/// The tables for a terminal.
pub(crate) fn plain(figures: &Figures) -> String {
    let mut text = String::new();
    for rows in groups(figures) {
        let (works, sizes) =
            rows.iter().map(|row| row.heading()).map(|(work, size)| (work.to_owned(), size)).unzip();
        let rule = "─".repeat(24 + 10 * rows.len());
        text += &aligned(&(String::new(), works));
        text += &aligned(&(rows[0].kind().title().to_owned(), sizes));
        for lines in [peers(figures, &rows), ratios(figures, &rows)] {
            text += &format!("{rule}\n{}", lines.iter().map(aligned).collect::<String>());
        }
        text.push('\n');
    }
    text
}

/// The tables for a README.
pub(crate) fn markdown(figures: &Figures) -> String {
    groups(figures).iter().map(|rows| markdown_of(figures, rows) + "\n").collect()
}

/// The table of these rows for a README.
pub(crate) fn markdown_of(figures: &Figures, rows: &[Row]) -> String {
    let headings = rows.iter().map(|row| row.to_string()).collect();
    let mut text = piped(&(rows[0].kind().title().to_owned(), headings));
    text += &format!("|---|{}\n", "--:|".repeat(rows.len()));
    for (name, texts) in peers(figures, rows).into_iter().chain(ratios(figures, rows)) {
        let ours = name == Peer::Ours.name();
        let bold = |text: String| if ours { format!("**{text}**") } else { text };
        text += &piped(&(bold(name), texts.into_iter().map(bold).collect()));
    }
    text
}

/// The rows of each table: of one kind, so in one unit, and no more than fit.
pub(crate) fn groups(figures: &Figures) -> Vec<Vec<Row>> {
    let mut groups = Vec::new();
    for kind in Kind::ALL {
        let rows: Vec<Row> = figures.rows.iter().copied().filter(|row| row.kind() == kind).collect();
        groups.extend(rows.chunks(COLUMNS).map(<[Row]>::to_vec));
    }
    groups
}

/// A line for each peer that has a figure.
fn peers(figures: &Figures, rows: &[Row]) -> Vec<Line> {
    let line = |peer: Peer| {
        let measured = rows.iter().any(|&row| figures.get(row, peer).is_some());
        let cell = |&row| figures.get(row, peer).map_or("–".to_owned(), |figure| digits(figure, row));
        measured.then(|| (peer.name().to_owned(), rows.iter().map(cell).collect()))
    };
    Peer::ALL.iter().copied().filter_map(line).collect()
}

/// What the figures come to.
fn ratios(figures: &Figures, rows: &[Row]) -> Vec<Line> {
    let line = |name: &str, ratio: &dyn Fn(Row) -> Option<f64>| {
        (name.to_owned(), rows.iter().map(|&row| times(ratio(row))).collect())
    };
    let best = |row, among: fn(Peer) -> bool| Some(figures.best(row, among)?.1.median);
    let lines: [Line; 3] = [
        line("best peer / gather", &|row| best(row, Peer::is_peer)),
        line("best tokio / gather", &|row| best(row, Peer::is_tokio)),
        line("gather / floor", &|row| Some(figures.ratio(row, Peer::Ours, Peer::Hand)?.median)),
    ];
    lines.into_iter().filter(|(_, texts)| texts.iter().any(|text| text != "–")).collect()
}

/// A figure with as many digits as mean something.
pub(crate) fn digits(figure: f64, row: Row) -> String {
    match row.unit() {
        Unit::Nanoseconds if figure < 99.95 => format!("{figure:.1}"),
        _ if figure < 99_999.5 => format!("{figure:.0}"),
        _ => grouped(figure),
    }
}

/// A figure, with a comma after each three digits.
pub(crate) fn grouped(figure: f64) -> String {
    if figure < 1.0 {
        return figure.to_string();
    }
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A ratio.
pub(crate) fn times(ratio: Option<f64>) -> String {
    match ratio {
        None => "–".to_owned(),
        Some(ratio) if ratio >= 99.95 => format!("{ratio:.0}×"),
        Some(ratio) if ratio >= 9.95 => format!("{ratio:.1}×"),
        Some(ratio) => format!("{ratio:.2}×"),
    }
}

/// A line for a terminal.
fn aligned((name, texts): &Line) -> String {
    let cells: String = texts.iter().map(|text| format!("{text:>10}")).collect();
    format!("{name:<24}{cells}\n")
}

/// A line for a README.
fn piped((name, texts): &Line) -> String {
    format!("| {name} | {} |\n", texts.join(" | "))
}
