//! A run as an SVG picture: above, the latencies; below, how many requests ended, and how.
//!
//! A small run is drawn as it was, with a dot for each request. Of a large one the picture shows
//! slices of time and the percentiles of each, so that a million requests are drawn as fast, and
//! read as easily, as a thousand. The axis of the latency is logarithmic: on a linear one, a
//! single slow answer would press all the others flat.

use std::error::Error;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::combinators::{BindKeyPoints, IntoLogRange};
use plotters::prelude::*;

use crate::slices::{SLICES, Slice, outcome, slices};
use crate::tally::Point;

const SIZE: (u32, u32) = (960, 680);
/// The height of the latencies, with the title.
const LATENCIES: u32 = 450;
/// The width of the legends, beside what they explain.
const LEGEND: i32 = 120;
/// What is drawn of a slice: the percentile of each line. The maximum comes last, and so on top.
const LINES: [(&str, f64, RGBColor); 3] = [
    ("p50", 50.0, RGBColor(40, 100, 190)),
    ("p99", 99.0, RGBColor(150, 90, 180)),
    ("max", 100.0, RGBColor(70, 70, 70)),
];
/// How requests ended.
const OUTCOMES: [(&str, RGBColor); 3] = [
    ("2xx or 3xx", RGBColor(110, 160, 220)),
    ("another status", RGBColor(240, 160, 30)),
    ("failed", RGBColor(210, 40, 40)),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Returns the text of the picture.
pub(crate) fn draw(title: &[String; 2], points: &[Point]) -> Result<String, Box<dyn Error>> {
    let end = points.iter().map(|point| point.at.as_secs_f64()).fold(0.0, f64::max);
    let seconds = 0.0..if points.is_empty() { 1.0 } else { end * 1.01 };
    let slices = slices(points, end);
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let area = root.titled(&title[0], ("sans-serif", 18))?.titled(&title[1], ("sans-serif", 14))?;
    let (above, below) = area.split_vertically(LATENCIES);
    draw_latencies(&above, seconds.clone(), points, &slices)?;
    draw_outcomes(&below, seconds, &slices)?;
    root.present()?;
    drop((above, below, area, root)); // They borrow the text that they write.
    Ok(svg)
}

fn draw_latencies(
    area: &Area<'_>,
    seconds: Range<f64>,
    points: &[Point],
    slices: &[Slice],
) -> Result<(), Box<dyn Error>> {
    let dots = points.iter().map(|point| {
        let color = OUTCOMES[outcome(point)].1;
        ((point.at.as_secs_f64(), point.latency.as_secs_f64() * 1000.0), color)
    });
    let lines = LINES.map(|(_, percentile, color)| {
        let slices = slices.iter().filter(|slice| !slice.latencies.is_empty());
        let line = slices.map(|Slice { seconds, latencies, .. }| {
            let latency = latencies.percentile(percentile).as_secs_f64() * 1000.0;
            ((seconds.start + seconds.end) / 2.0, latency)
        });
        (line.collect::<Vec<_>>(), color)
    });
    let are_lines = slices.len() == SLICES;
    let millis = if are_lines {
        decades(lines.iter().flat_map(|(line, _)| line).map(|(_, millis)| *millis))
    } else {
        decades(dots.clone().map(|((_, millis), _)| millis))
    };
    let labels = labels(&millis);
    let millis = millis.log_scale().with_key_points(labels.clone()).with_light_points(labels);
    let mut chart = panel(area).build_cartesian_2d(seconds, millis)?;
    let mut mesh = chart.configure_mesh();
    mesh.y_desc("latency in ms").y_label_formatter(&f64::to_string);
    mesh.x_label_formatter(&rounded).x_max_light_lines(5).draw()?;
    if !are_lines {
        chart.draw_series(dots.map(|(point, color)| Circle::new(point, 2, color.filled())))?;
        return Ok(());
    }
    for (line, color) in lines {
        chart.draw_series(LineSeries::new(line, color.stroke_width(2)))?;
    }
    draw_legend(area, LINES.map(|(name, _, color)| (name, color)))
}

/// The requests that ended in each slice, above each other by how they ended.
fn draw_outcomes(area: &Area<'_>, seconds: Range<f64>, slices: &[Slice]) -> Result<(), Box<dyn Error>> {
    let rate = |slice: &Slice, count: usize| count as f64 / (slice.seconds.end - slice.seconds.start);
    let rates = slices.iter().map(|slice| rate(slice, slice.outcomes.iter().sum()));
    let most = rates.fold(0.0, f64::max).max(1.0) * 1.05;
    let mut chart = panel(area).build_cartesian_2d(seconds, 0.0..most)?;
    let mut mesh = chart.configure_mesh();
    mesh.x_desc("seconds since the start").y_desc("requests/s").y_labels(5).max_light_lines(1);
    mesh.x_label_formatter(&rounded).y_label_formatter(&rounded).draw()?;
    for (index, (_, color)) in OUTCOMES.into_iter().enumerate() {
        let slices = slices.iter().filter(|slice| slice.outcomes[index] > 0);
        chart.draw_series(slices.map(|slice| {
            let below = slice.outcomes[..index].iter().sum::<usize>();
            let [low, high] = [below, below + slice.outcomes[index]].map(|count| rate(slice, count));
            // A single one, among thousands, has to be seen.
            let (low, high) = (low.min(most * 0.97), high.max(low + most * 0.03));
            Rectangle::new([(slice.seconds.start, low), (slice.seconds.end, high)], color.filled())
        }))?;
    }
    draw_legend(area, OUTCOMES)
}

/// Beside the panel, where it hides nothing.
fn draw_legend(area: &Area<'_>, entries: [(&str, RGBColor); 3]) -> Result<(), Box<dyn Error>> {
    for (y, (name, color)) in (20..).step_by(20).zip(entries) {
        let x = SIZE.0 as i32 - LEGEND;
        area.draw(&Rectangle::new([(x, y), (x + 16, y + 8)], color.filled()))?;
        area.draw(&Text::new(name, (x + 24, y), ("sans-serif", 12)))?;
    }
    Ok(())
}

/// Both parts of the picture begin and end at the same places, so that their times are the same.
fn panel<'a, 'b>(area: &'a Area<'b>) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut builder = ChartBuilder::on(area);
    builder.margin(12).margin_right(LEGEND + 12).x_label_area_size(40).y_label_area_size(80);
    builder
}

fn rounded(number: &f64) -> String {
    ((number * 1e6).round() / 1e6).to_string()
}

/// The range of the latencies, from a power of ten to a power of ten.
fn decades(latencies: impl Iterator<Item = f64>) -> Range<f64> {
    let powers = latencies.map(|millis| millis.max(1e-6).log10());
    let (low, high) = powers.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), power| {
        (f64::min(low, power.floor()), f64::max(high, power.ceil()))
    });
    match low.is_finite() {
        true => 10f64.powf(low)..10f64.powf(high.max(low + 1.0)),
        false => 0.1..10.0,
    }
}

/// What is labelled on the axis of the latency: each power of ten, and if these are few, 2 and 5
/// times each, too.
fn labels(decades: &Range<f64>) -> Vec<f64> {
    let (low, high) = (decades.start.log10().round() as i32, decades.end.log10().round() as i32);
    let factors: &[f64] = if high - low > 2 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let labels = (low..=high).flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)));
    labels.filter(|label| *label <= decades.end * 1.001).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Outcome;
    use std::time::Duration;

    /// Answers that came every millisecond and took longer and longer.
    fn points(number: u64) -> Vec<Point> {
        let point = |millis| {
            let latency = Duration::from_millis(millis);
            Point { at: latency, latency, outcome: Outcome::Succeeded }
        };
        (1..=number).map(point).collect()
    }

    #[test]
    fn the_axis_reaches_from_power_to_power_and_has_at_least_four_labels() {
        let axis = |millis: &[f64]| {
            let decades = decades(millis.iter().copied());
            (decades.clone(), labels(&decades))
        };
        assert_eq!(axis(&[3.0]), (1.0..10.0, vec![1.0, 2.0, 5.0, 10.0]));
        assert_eq!(axis(&[1000.0]).0, 1000.0..10_000.0);
        assert_eq!(axis(&[2.0, 2000.0]), (1.0..10_000.0, vec![1.0, 10.0, 100.0, 1000.0, 10_000.0]));
        assert_eq!(axis(&[]).0, 0.1..10.0);
    }

    #[test]
    fn the_line_of_the_maximum_lies_on_top() {
        let svg = draw(&["a".into(), "b".into()], &points(12_000)).expect("a drawing");
        let last = svg.lines().rfind(|line| line.contains("<polyline") && line.contains("width=\"2\""));
        assert!(last.expect("a line").contains("#464646"), "the color of the maximum: {last:?}");
    }

    #[test]
    fn any_number_of_requests_can_be_drawn() {
        for number in [0, 1, 2, 30, 100_000] {
            let svg = draw(&["a & b".into(), "c < d".into()], &points(number)).expect("a drawing");
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{number} answers");
            assert!(svg.contains("a &amp; b") && svg.contains("c &lt; d"), "{number} answers");
        }
    }
}
