//! Latencies, in nanoseconds and to three digits: percentiles, and a picture of the whole
//! distribution in text.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use indicatif::HumanCount;

/// More rows would not show more.
const ROWS: i32 = 12;
/// The length of the longest bar.
const WIDTH: u64 = 50;

pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn record(&mut self, latency: Duration) {
        self.0.record(latency.as_nanos() as u64).expect("a histogram without a maximum grows");
    }

    #[allow(dead_code, reason = "for those who draw them")]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn percentile(&self, percentile: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_percentile(percentile))
    }

    /// The upper end of each row, and how many latencies are in it. Each row is wider than the one
    /// above by the same factor, because latencies spread over orders of magnitude.
    fn rows(&self) -> Vec<(Duration, u64)> {
        let (min, max) = (self.0.min().max(1), self.0.max());
        let factor = (max as f64 / min as f64).powf(1.0 / f64::from(ROWS));
        let mut rows = Vec::new();
        let mut low = 0;
        for row in 1..=ROWS {
            // The last row ends with the greatest latency, however the factor was rounded.
            let high = if row == ROWS { max } else { (min as f64 * factor.powi(row)) as u64 };
            // Latencies that differ in the fourth digit are one to the histogram: no two rows may
            // share them.
            let high = self.0.highest_equivalent(high);
            if high >= low {
                rows.push((Duration::from_nanos(high), self.0.count_between(low, high)));
                low = high + 1;
            }
        }
        rows
    }
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies(Histogram::new(3).expect("three digits are allowed"))
    }
}

impl FromIterator<Duration> for Latencies {
    fn from_iter<I: IntoIterator<Item = Duration>>(latencies: I) -> Latencies {
        let mut all = Latencies::default();
        latencies.into_iter().for_each(|latency| all.record(latency));
        all
    }
}

/// A row for each range of latencies, with a bar as long as its share.
impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows();
        let most = rows.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
        for (high, count) in rows {
            let bar = "█".repeat((count * WIDTH).div_ceil(most) as usize);
            let line =
                format!("  to {:>9} {:>11} {bar}", Rounded(high).to_string(), HumanCount(count).to_string());
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Displays a duration with three digits or so: 312µs, 4.57ms, 1.20s.
pub(crate) struct Rounded(pub(crate) Duration);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < Duration::from_millis(1) {
            write!(f, "{:.0?}", self.0)
        } else {
            write!(f, "{:.2?}", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentiles_are_right_to_three_digits() {
        let latencies: Latencies = (1..=1000).map(Duration::from_millis).collect();
        for (percentile, millis) in [(50.0, 500), (90.0, 900), (99.0, 990), (100.0, 1000)] {
            let error = latencies.percentile(percentile).as_secs_f64() * 1000.0 / f64::from(millis) - 1.0;
            assert!(error.abs() < 0.001, "p{percentile} is off by {error}");
        }
    }

    #[test]
    fn every_latency_is_in_one_row() {
        for spread in [1, 2, 13, 999, 1_000_000] {
            let latencies: Latencies = (0..2000).map(|i| Duration::from_nanos(50_000 + i * spread)).collect();
            assert_eq!(latencies.rows().iter().map(|(_, count)| count).sum::<u64>(), 2000, "spread {spread}");
        }
    }

    #[test]
    fn latencies_that_are_all_the_same_take_one_row() {
        let latencies: Latencies = [Duration::from_micros(300); 4].into_iter().collect();
        assert_eq!(latencies.to_string(), format!("  to     300µs           4 {}\n", "█".repeat(50)));
    }
}
