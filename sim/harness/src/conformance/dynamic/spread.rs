//! How far apart numbers of simulated runs are, and what a recorded one may be.

/// Standard deviations allowed where a sample stands for a law: false alarms at 1e-6.
const SIGMAS: f64 = 4.9;
/// Standard deviations beyond the greatest number seen.
const BEYOND: f64 = 3.0;

/// Mean, deviation and range of one number over simulated runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spread {
    mean: f64,
    deviation: f64,
    max: f64,
    n: f64,
}

impl Spread {
    /// Of any numbers.
    pub(super) fn of(values: &[f64]) -> Spread {
        let n = (values.len() as f64).max(1.0);
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
        let max = values.iter().copied().fold(0.0, f64::max);
        Spread { mean, deviation: libm::sqrt(variance), max, n }
    }

    /// The most that another of the same kind may be; exactly the maximum where all are equal.
    pub(super) fn most(&self) -> f64 {
        self.max + BEYOND * self.deviation
    }

    /// The same where hundreds of numbers were seen.
    pub(super) fn most_of_many(&self) -> f64 {
        self.max + self.deviation
    }

    /// Whether `sum` may be the sum of `runs` others of the same kind, give or take `slack`.
    pub(super) fn fits_sum(&self, sum: f64, runs: usize, slack: f64) -> bool {
        let runs = runs as f64;
        // The mean is itself a sample of n.
        let deviation = self.deviation * libm::sqrt(runs + runs * runs / self.n);
        (sum - runs * self.mean).abs() <= SIGMAS * deviation + slack + 1e-9
    }

    /// `mean ± deviation` of the sum of `runs`.
    pub(super) fn text(&self, runs: usize) -> String {
        let runs = runs as f64;
        format!("{:.1} ± {:.1}", runs * self.mean, libm::sqrt(runs) * self.deviation)
    }
}
