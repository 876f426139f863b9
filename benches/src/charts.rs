//! The charts of the report, as SVG: bars of ours beside the best peer, and lines of how our costs
//! grow. All axes of figures are logarithmic, or a peer that is a hundred times slower would press
//! the others flat.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::measure::Figures;
use crate::peers::Peer;
use crate::rows::{Kind, Row, Unit};
use crate::table::{digits, grouped, times};

/// A picture's file name and its text.
type Picture = (String, String);

/// What is drawn on.
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// How wide a picture is, in pixels.
const WIDTH: u32 = 900;

/// Where the bars begin: the rows' names are left of it.
const LEFT: i32 = 110;

/// How much is kept free for the text behind the longest bar.
const RIGHT: i32 = 200;

/// How high the title is.
const TOP: i32 = 76;

/// How high a row is, with two bars.
const ROW: i32 = 36;

/// How high a power of ten is.
const DECADE: i32 = 120;

/// How high the axis is.
const BOTTOM: i32 = 34;

/// Ours.
const OURS: RGBColor = RGBColor(24, 110, 190);

/// The best peer's.
const PEERS: RGBColor = RGBColor(176, 176, 176);

/// The lines of a grid.
const GRID: RGBColor = RGBColor(226, 226, 226);

/// Text beside the figures.
const TEXT: RGBColor = RGBColor(70, 70, 70);

/// The lines' colours: told apart by those who see few colours too.
const LINES: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 140, 105),
    RGBColor(190, 90, 150),
    RGBColor(110, 110, 110),
];

/// One chart of bars for each table.
pub(crate) fn bars(figures: &Figures) -> Result<Vec<Picture>, Box<dyn Error>> {
    let mut pictures = Vec::new();
    for kind in Kind::ALL {
        let mut bars = Vec::new();
        for &row in figures.rows.iter().filter(|row| row.kind() == kind) {
            let best = figures.best(row, Peer::is_peer).map(|(peer, ratio)| (peer, ratio.median));
            bars.extend(figures.get(row, Peer::Ours).zip(best).map(|(ours, best)| (row, ours, best)));
        }
        if !bars.is_empty() {
            pictures.push((format!("{}.svg", kind.file_name()), draw_bars(kind, &bars)?));
        }
    }
    Ok(pictures)
}

/// Draws ours and the best peer's bar for each row. The peer's has the length that the median of
/// the rounds' ratios gives it.
fn draw_bars(kind: Kind, bars: &[(Row, f64, (Peer, f64))]) -> Result<String, Box<dyn Error>> {
    let height = TOP + ROW * bars.len() as i32 + BOTTOM;
    let figures = || bars.iter().flat_map(|(_, ours, best)| [*ours, *ours * best.1]).map(f64::log10);
    let (low, high) = decades(figures());
    let x = |figure: f64| {
        let part = (figure.log10() - low) / (high - low);
        LEFT + (part * f64::from(WIDTH as i32 - LEFT - RIGHT)).max(2.0) as i32
    };
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height as u32)).into_drawing_area();
        area.fill(&WHITE)?;
        write(
            &area,
            &format!("{}: gather beside the best peer", kind.title()),
            (16, 24),
            20,
            HPos::Left,
            BLACK,
        )?;
        legend(&area, 16, OURS, "gather")?;
        legend(
            &area,
            100,
            PEERS,
            "the best peer of the row, and how many times our figure its own is; less is better; the axis is logarithmic",
        )?;
        for decade in low as i32..=high as i32 {
            let at = x(10_f64.powi(decade));
            area.draw(&PathElement::new([(at, TOP - 4), (at, height - BOTTOM)], GRID))?;
            write(&area, &grouped(10_f64.powi(decade)), (at, height - BOTTOM + 14), 12, HPos::Center, TEXT)?;
        }
        for (index, &(row, ours, (peer, ratio))) in bars.iter().enumerate() {
            let top = TOP + ROW * index as i32 + 3;
            write(&area, &row.to_string(), (LEFT - 8, top + 15), 14, HPos::Right, BLACK)?;
            let theirs = format!("{} {}", times(Some(ratio)), peer.name());
            let two = [(ours, OURS, digits(ours, row), top), (ours * ratio, PEERS, theirs, top + 15)];
            for (figure, color, label, top) in two {
                area.draw(&Rectangle::new([(LEFT, top), (x(figure), top + 13)], color.filled()))?;
                write(&area, &label, (x(figure) + 6, top + 7), 12, HPos::Left, TEXT)?;
            }
        }
        area.present()?;
    }
    Ok(svg)
}

/// One kind of work at growing sizes.
pub(crate) struct Series {
    /// The work, at its first size.
    pub(crate) row: Row,
    /// Sizes and figures.
    pub(crate) points: Vec<(usize, f64)>,
}

/// The rows of `flat` by their work.
pub(crate) fn series(flat: &Figures) -> Vec<Series> {
    let mut series: Vec<Series> = Vec::new();
    for &row in &flat.rows {
        let Some(point) = row.size().zip(flat.get(row, Peer::Ours)) else { continue };
        match series.iter_mut().find(|line| line.row.heading().0 == row.heading().0) {
            Some(line) => line.points.push(point),
            None => series.push(Series { row, points: vec![point] }),
        }
    }
    series
}

/// One chart of lines for each unit that has rows.
pub(crate) fn growth(flat: &Figures) -> Result<Vec<Picture>, Box<dyn Error>> {
    let all = series(flat);
    let mut pictures = Vec::new();
    for unit in Unit::ALL {
        let lines: Vec<&Series> = all.iter().filter(|line| line.row.unit() == unit).collect();
        if !lines.is_empty() {
            pictures.push((format!("growth_{}.svg", unit.name()), draw_lines(unit, &lines)?));
        }
    }
    Ok(pictures)
}

/// Draws a line for each series, with its name at its end.
fn draw_lines(unit: Unit, lines: &[&Series]) -> Result<String, Box<dyn Error>> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let (low, high) = decades(points().map(|point| point.1.log10()));
    let (first, last) = decades(points().map(|point| (point.0 as f64).log10()));
    let (width, height) = (WIDTH as i32 - LEFT - 110, DECADE * (high - low) as i32);
    let x = |size: f64| LEFT + ((size.log10() - first) / (last - first) * f64::from(width)) as i32;
    let y = |figure: f64| TOP + ((high - figure.log10()) / (high - low) * f64::from(height)) as i32;
    let mut svg = String::new();
    {
        let size = (WIDTH, (TOP + height + 60) as u32);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE)?;
        write(&area, &format!("gather: {} as n grows", unit.title()), (16, 24), 20, HPos::Left, BLACK)?;
        write(&area, "both axes are logarithmic", (16, 48), 13, HPos::Left, TEXT)?;
        for decade in low as i32..=high as i32 {
            let figure = 10_f64.powi(decade);
            area.draw(&PathElement::new([(LEFT, y(figure)), (LEFT + width, y(figure))], GRID))?;
            let label = format!("{} {}", grouped(figure), unit.name());
            write(&area, &label, (LEFT - 10, y(figure)), 13, HPos::Right, TEXT)?;
        }
        for decade in first as i32..=last as i32 {
            let size = 10_f64.powi(decade);
            area.draw(&PathElement::new([(x(size), TOP), (x(size), TOP + height)], GRID))?;
            write(&area, &grouped(size), (x(size), TOP + height + 16), 13, HPos::Center, TEXT)?;
        }
        let middle = (LEFT + width / 2, TOP + height + 40);
        write(&area, "children at once", middle, 13, HPos::Center, TEXT)?;
        let mut ends = Vec::new();
        for (line, color) in lines.iter().zip(LINES.iter().cycle()) {
            let points: Vec<_> =
                line.points.iter().map(|&(size, figure)| (x(size as f64), y(figure))).collect();
            area.draw(&PathElement::new(points.clone(), color.stroke_width(2)))?;
            for &point in &points {
                area.draw(&Circle::new(point, 3, color.filled()))?;
            }
            ends.extend(points.last().map(|&end| (end, line.row.heading().0, color)));
        }
        // The names stand at the lines' ends, pushed apart where they would overlap.
        ends.sort_by_key(|((_, y), ..)| *y);
        let mut least = 0;
        for ((_, y), name, color) in ends {
            let y = y.max(least);
            write(&area, name, (LEFT + width + 12, y), 14, HPos::Left, *color)?;
            least = y + 17;
        }
        area.present()?;
    }
    Ok(svg)
}

/// The powers of ten around these logarithms.
fn decades(logarithms: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let low = logarithms.clone().fold(f64::INFINITY, f64::min).floor();
    (low, logarithms.fold(low + 1.0, f64::max).ceil())
}

/// A coloured square and what it stands for.
fn legend(area: &Area<'_>, x: i32, color: RGBColor, text: &str) -> Result<(), Box<dyn Error>> {
    area.draw(&Rectangle::new([(x, 42), (x + 12, 54)], color.filled()))?;
    write(area, text, (x + 18, 48), 13, HPos::Left, TEXT)
}

/// Writes `text`, vertically centred on the point.
fn write(
    area: &Area<'_>,
    text: &str,
    at: (i32, i32),
    size: i32,
    side: HPos,
    color: RGBColor,
) -> Result<(), Box<dyn Error>> {
    let style = TextStyle::from(("sans-serif", size)).pos(Pos::new(side, VPos::Center)).color(&color);
    area.draw_text(text, &style, at)?;
    Ok(())
}
