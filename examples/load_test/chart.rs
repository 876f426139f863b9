//! The latency over the run, as an SVG picture.
//!
//! A small run is drawn as it was, with a dot for each answer. Of a large one the picture shows slices of
//! time and the percentiles of each, so that a million answers are drawn as fast, and read as easily, as a
//! thousand. The axis of the latency is logarithmic: on a linear one, a single slow answer would press all
//! the others flat.

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use plotters::prelude::*;

use crate::client::Answer;
use crate::latency::Latencies;

const SIZE: (u32, u32) = (960, 540);
/// As many as can be told apart at this size.
const SLICES: usize = 120;
/// In a slice with fewer answers, percentiles say little.
const ANSWERS_FOR_A_SLICE: usize = 25;
/// What is drawn of a slice: the percentile of each line.
const LINES: [(&str, f64, RGBColor); 3] = [
    ("max", 100.0, RGBColor(200, 60, 60)),
    ("p99", 99.0, RGBColor(225, 150, 40)),
    ("p50", 50.0, RGBColor(40, 100, 190)),
];

/// A file that will hold a chart.
pub(crate) struct Chart(File);

/// When an answer came, in seconds since the start, and its latency in milliseconds.
type Point = (f64, f64);

impl Chart {
    pub(crate) fn create(path: &Path) -> Result<Chart, String> {
        let file = File::create(path);
        file.map(Chart).map_err(|error| format!("--chart cannot be written to {}: {error}", path.display()))
    }

    /// Draws what came from `started` on.
    pub(crate) fn write(mut self, answers: &[Answer], started: Instant) -> Result<(), Box<dyn Error>> {
        let point = |answer: &Answer| {
            ((answer.finished - started).as_secs_f64(), answer.latency.as_secs_f64() * 1000.0)
        };
        let points: Vec<Point> = answers.iter().map(point).collect();
        Ok(self.0.write_all(draw(&points)?.as_bytes())?)
    }
}

/// Gives the text of the picture.
fn draw(points: &[Point]) -> Result<String, Box<dyn Error>> {
    let end = points.iter().map(|(at, _)| *at).fold(0.0, f64::max);
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("latency over the run", ("sans-serif", 22))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..end, decades(points).log_scale())?;
    let mut mesh = chart.configure_mesh();
    mesh.x_desc("seconds since the start").y_desc("latency in ms").x_max_light_lines(5);
    mesh.y_label_formatter(&|millis| millis.to_string()).draw()?;
    if points.len() < SLICES * ANSWERS_FOR_A_SLICE {
        let color = LINES[2].2;
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 2, color.filled())))?;
    } else {
        let slices = slices(points, end);
        for (name, percentile, color) in LINES {
            let style = color.stroke_width(2);
            let line = slices.iter().map(|(at, latencies)| (*at, latencies.percentile(percentile)));
            let line = line.map(|(at, latency)| (at, latency.as_secs_f64() * 1000.0));
            let series = chart.draw_series(LineSeries::new(line, style))?;
            series.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE)
            .border_style(BLACK)
            .draw()?;
    }
    root.present()?;
    drop((chart, root)); // They borrow the text that they write.
    Ok(svg)
}

/// The range of the latencies, from a power of ten to a power of ten, because only these are labelled.
fn decades(points: &[Point]) -> Range<f64> {
    if points.is_empty() {
        return 0.1..10.0;
    }
    let latencies = || points.iter().map(|(_, latency)| latency.log10());
    let low = latencies().fold(f64::INFINITY, f64::min).floor();
    let high = latencies().fold(low + 1.0, f64::max).ceil();
    10f64.powf(low)..10f64.powf(high)
}

/// Cuts the run into slices of the same duration. Gives the middle of each in which answers came, and their
/// latencies.
fn slices(points: &[Point], end: f64) -> Vec<(f64, Latencies)> {
    let mut slices = vec![Vec::new(); SLICES];
    for (at, latency) in points {
        let slice = (at / end * SLICES as f64) as usize;
        slices[slice.min(SLICES - 1)].push(Duration::from_secs_f64(latency / 1000.0));
    }
    let middle = |index: usize| (index as f64 + 0.5) * end / SLICES as f64;
    let slices = slices.into_iter().enumerate().filter(|(_, latencies)| !latencies.is_empty());
    slices.map(|(index, latencies)| (middle(index), latencies.into_iter().collect())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers that came every millisecond and took longer and longer.
    fn points(number: u32) -> Vec<Point> {
        (1..=number).map(f64::from).map(|millis| (millis / 1000.0, millis)).collect()
    }

    #[test]
    fn a_slice_holds_the_answers_of_its_time() {
        let slices = slices(&points(12_000), 12.0);
        assert_eq!(slices.len(), SLICES);
        for (at, latencies) in slices {
            let median = latencies.percentile(50.0).as_secs_f64();
            assert!((median / at - 1.0).abs() < 0.02, "{median} s at {at} s");
        }
    }

    #[test]
    fn the_axis_reaches_from_power_to_power() {
        assert_eq!(decades(&[(0.0, 0.3), (0.0, 20.0)]), 0.1..100.0);
        assert_eq!(decades(&[(0.0, 3.0)]), 1.0..10.0);
        assert_eq!(decades(&[(0.0, 1000.0)]), 1000.0..10_000.0);
    }

    #[test]
    fn any_number_of_answers_can_be_drawn() {
        for number in [0, 1, 2, 30, 100_000] {
            let svg = draw(&points(number)).expect("a drawing");
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{number} answers");
        }
    }
}
