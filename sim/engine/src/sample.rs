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
        assert!((mean(&Law::Exponential(1_000_000)) / 1e6 - 1.0).abs() < 0.02);
        assert!((mean(&Law::Uniform(100, 300)) - 200.0).abs() < 2.0);
        let law = Law::LogNormal { p50_ns: 5_000_000, p99_ns: 40_000_000 };
        let mut all: Vec<Nanos> = (0..100_000).map(|i| sample(&law, mix(3, i))).collect();
        all.sort_unstable();
        assert!((all[50_000] as f64 / 5e6 - 1.0).abs() < 0.02, "{}", all[50_000]);
        assert!((all[99_000] as f64 / 40e6 - 1.0).abs() < 0.05, "{}", all[99_000]);
    }
}
