//! Durations drawn from laws. Transcendental functions come from `libm`, so that every platform draws the same.

use mesh_core::ids::Nanos;

use crate::draws::{mix, unit};
use crate::plan::Law;

/// The 99 % quantile of the standard normal distribution.
const Z99: f64 = 2.326_347_874_040_841;

/// A duration from a law and one 64-bit draw.
#[must_use]
pub(crate) fn sample(law: &Law, draw: u64) -> Nanos {
    match law {
        Law::Constant(ns) => *ns,
        Law::Exponential(mean) => round(exponential(draw) * *mean as f64),
        Law::Uniform(low, high) => {
            let span = high.saturating_sub(*low);
            if span == u64::MAX { draw } else { low + draw % (span + 1) }
        }
        Law::LogNormal { p50_ns, p99_ns } => {
            if *p50_ns == 0 {
                return 0;
            }
            let sigma = libm::log(*p99_ns as f64 / *p50_ns as f64) / Z99;
            round(*p50_ns as f64 * libm::exp(sigma * normal(draw)))
        }
        Law::Empirical(values) => {
            if values.is_empty() {
                return 0;
            }
            values.get((draw % values.len() as u64) as usize).copied().unwrap_or(0)
        }
    }
}

/// The least and the greatest duration of a law, of which one in a million is beyond.
#[must_use]
pub(crate) fn reach(law: &Law) -> (Nanos, Nanos) {
    /// ln 10^6.
    const EXPONENTIAL: f64 = 13.815_510_557_964_274;
    /// The quantile of the standard normal distribution.
    const NORMAL: f64 = 4.753_424_308_822_899;
    match law {
        Law::Constant(ns) => (*ns, *ns),
        Law::Exponential(mean) => (0, round(EXPONENTIAL * *mean as f64)),
        Law::Uniform(low, high) => (*low, *high),
        Law::LogNormal { p50_ns: 0, .. } => (0, 0),
        Law::LogNormal { p50_ns, p99_ns } => {
            let factor = libm::pow(*p99_ns as f64 / *p50_ns as f64, NORMAL / Z99);
            (round(*p50_ns as f64 / factor), round(*p50_ns as f64 * factor))
        }
        Law::Empirical(values) => {
            (values.iter().copied().min().unwrap_or(0), values.iter().copied().max().unwrap_or(0))
        }
    }
}

/// Standard exponential.
#[must_use]
pub(crate) fn exponential(draw: u64) -> f64 {
    -libm::log(unit(draw))
}

/// Standard normal by Box-Muller; the second uniform is derived from the draw.
fn normal(draw: u64) -> f64 {
    let radius = libm::sqrt(-2.0 * libm::log(unit(draw)));
    let angle = core::f64::consts::TAU * unit(mix(draw, 0x6e6f_726d));
    radius * libm::cos(angle)
}

fn round(ns: f64) -> Nanos {
    // Saturates: a law's tail beyond 500 years is the end of time.
    libm::round(ns.max(0.0)) as Nanos
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(law: &Law) -> f64 {
        let n = 100_000u64;
        (0..n).map(|i| sample(law, mix(9, i)) as f64).sum::<f64>() / n as f64
    }

    #[test]
    fn laws_have_their_means() {
        assert_eq!(sample(&Law::Constant(7), 1), 7);
        for law in [
            Law::Exponential(1_000_000),
            Law::Uniform(100, 300),
            Law::LogNormal { p50_ns: 5_000_000, p99_ns: 40_000_000 },
            Law::Empirical(vec![5, 3, 9]),
        ] {
            let (least, most) = reach(&law);
            let beyond = (0..100_000).map(|i| sample(&law, mix(5, i))).filter(|t| *t < least || *t > most);
            assert!(beyond.count() <= 2, "{law:?}");
        }
        assert!((mean(&Law::Exponential(1_000_000)) / 1e6 - 1.0).abs() < 0.02);
        assert!((mean(&Law::Uniform(100, 300)) - 200.0).abs() < 2.0);
        let law = Law::LogNormal { p50_ns: 5_000_000, p99_ns: 40_000_000 };
        let mut all: Vec<Nanos> = (0..100_000).map(|i| sample(&law, mix(3, i))).collect();
        all.sort_unstable();
        assert!((all[50_000] as f64 / 5e6 - 1.0).abs() < 0.02, "{}", all[50_000]);
        assert!((all[99_000] as f64 / 40e6 - 1.0).abs() < 0.05, "{}", all[99_000]);
    }
}
