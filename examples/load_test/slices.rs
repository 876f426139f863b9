//! The parts of a run, for its picture.

use std::ops::Range;

use crate::latency::Latencies;
use crate::tally::{Outcome, Point};

/// As many as can be told apart in a picture.
pub(crate) const SLICES: usize = 120;
/// In a slice with fewer requests, percentiles say little.
const REQUESTS_FOR_A_SLICE: usize = 25;

/// The requests that ended in a part of the run.
#[derive(Default)]
pub(crate) struct Slice {
    pub(crate) outcomes: [usize; 3],
    /// Without the failures, but with those that timed out.
    pub(crate) latencies: Latencies,
    pub(crate) seconds: Range<f64>,
}

/// Cuts the run into slices of the same duration.
pub(crate) fn slices(points: &[Point], end: f64) -> Vec<Slice> {
    let number = (points.len() / REQUESTS_FOR_A_SLICE).clamp(1, SLICES);
    let width = end.max(1e-9) / number as f64;
    let slice =
        |index| Slice { seconds: index as f64 * width..(index + 1) as f64 * width, ..Slice::default() };
    let mut slices: Vec<Slice> = (0..number).map(slice).collect();
    for point in points {
        let slice = (point.at.as_secs_f64() / width) as usize;
        let slice = &mut slices[slice.min(number - 1)];
        slice.outcomes[outcome(point)] += 1;
        if point.outcome != Outcome::Failed {
            slice.latencies.record(point.latency);
        }
    }
    slices
}

/// How it ended, as an index.
pub(crate) fn outcome(point: &Point) -> usize {
    match point.outcome {
        Outcome::Succeeded => 0,
        Outcome::OtherStatus => 1,
        Outcome::TimedOut | Outcome::Failed => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn a_slice_holds_the_requests_of_its_time() {
        let slices = slices(&points(12_000), 12.0);
        assert_eq!(slices.len(), SLICES);
        for Slice { seconds, latencies, outcomes } in slices {
            let (median, middle) =
                (latencies.percentile(50.0).as_secs_f64(), (seconds.start + seconds.end) / 2.0);
            assert!((median / middle - 1.0).abs() < 0.02, "{median} s at {middle} s");
            assert!((99..=101).contains(&outcomes[0]) && outcomes[1..] == [0, 0], "{outcomes:?}");
        }
    }
}
