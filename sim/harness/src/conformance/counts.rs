//! Do the counts of a repeated request fit the predicted probabilities?
//!
//! Every category gets an exact two-sided binomial test; the false-alarm rate is shared among them (Bonferroni), so
//! the whole comparison raises a false alarm with probability below `alpha`. Rotating balancers are more regular than
//! independent draws, never less, and pass all the more easily.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// One `split…` object of a repeated observation.
pub(super) struct Splits {
    /// `split`, `split_workload` …
    pub(super) key: &'static str,
    /// The key of an outcome that falls into the categories.
    field: &'static str,
    /// Observed counts.
    pub(super) counts: BTreeMap<String, u32>,
}

const FIELDS: [(&str, &str); 8] = [
    ("split", "cluster"),
    ("split_workload", "workload"),
    ("split_status", "status"),
    ("split_flags", "flags"),
    ("split_details", "details"),
    ("split_connection", "connection"),
    ("split_route", "route"),
    ("split_mtls", "mtls"),
];

impl Splits {
    /// All counts of an observation.
    pub(super) fn observed(observed: &Map<String, Value>) -> Vec<Splits> {
        let mut all = Vec::new();
        for (key, field) in FIELDS {
            let Some(Value::Object(object)) = observed.get(key) else { continue };
            let count = |v: &Value| v.as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
            let counts: BTreeMap<String, u32> = object.iter().map(|(k, v)| (k.clone(), count(v))).collect();
            // `split` counts workloads where no client-side proxy chose a cluster.
            let by_workload = key == "split" && observed.get("cluster") == Some(&Value::Null);
            all.push(Splits { key, field: if by_workload { "workload" } else { field }, counts });
        }
        all
    }

    /// The category of a predicted outcome; `None` = counted nowhere.
    pub(super) fn category(&self, outcome: &Value) -> Option<String> {
        match outcome.get(self.field) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(other) => Some(other.to_string()),
        }
    }

    /// Expected counts, for the report.
    pub(super) fn expected<'a>(&self, outcomes: impl Iterator<Item = (&'a Value, f64)>, n: u32) -> Value {
        let mut sums: BTreeMap<String, f64> = BTreeMap::new();
        for (outcome, p) in outcomes {
            if let Some(category) = self.category(outcome) {
                *sums.entry(category).or_default() += p * f64::from(n);
            }
        }
        sums.into_iter().map(|(k, v)| (k, Value::from(libm::round(v * 100.0) / 100.0))).collect()
    }
}

/// Whether the counts are too unlikely under the predicted (category, probability) pairs.
pub(super) fn improbable(
    predicted: impl Iterator<Item = (Option<String>, f64)>,
    counts: &BTreeMap<String, u32>,
    n: u32,
    alpha: f64,
) -> bool {
    let mut shares: BTreeMap<String, f64> = counts.keys().map(|k| (k.clone(), 0.0)).collect();
    for (category, p) in predicted {
        if let Some(category) = category {
            *shares.entry(category).or_default() += p;
        }
    }
    let each = alpha / shares.len().max(1) as f64;
    shares.iter().any(|(category, &p)| {
        let k = counts.get(category).copied().unwrap_or(0);
        two_sided(k, n, p) < each
    })
}

/// Two-sided exact binomial p-value (twice the smaller tail, at most 1).
fn two_sided(k: u32, n: u32, p: f64) -> f64 {
    if k > n {
        return 0.0;
    }
    if p <= 1e-15 {
        return if k == 0 { 1.0 } else { 0.0 };
    }
    if p >= 1.0 - 1e-12 {
        return if k == n { 1.0 } else { 0.0 };
    }
    let lower: f64 = (0..=k).map(|i| point(i, n, p)).sum();
    let upper: f64 = (k..=n).map(|i| point(i, n, p)).sum();
    (2.0 * lower.min(upper)).min(1.0)
}

fn point(k: u32, n: u32, p: f64) -> f64 {
    let ln_factorial = |x: u32| libm::lgamma(f64::from(x) + 1.0);
    let choose = ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k);
    libm::exp(choose + f64::from(k) * libm::log(p) + f64::from(n - k) * libm::log1p(-p))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_tails() {
        // Binomial(10, 1/2): P(X <= 1) = 11/1024.
        assert!((two_sided(1, 10, 0.5) - 22.0 / 1024.0).abs() < 1e-12);
        assert!((two_sided(5, 10, 0.5) - 1.0).abs() < 1e-12);
        assert!(
            two_sided(10, 10, 1.0) > 0.99 && two_sided(9, 10, 1.0) < 1e-12 && two_sided(1, 10, 0.0) < 1e-12
        );
    }

    #[test]
    fn counts_that_fit_and_counts_that_do_not() {
        let counts = |a, b| BTreeMap::from([("a".to_owned(), a), ("b".to_owned(), b)]);
        let predicted = || [(Some("a".to_owned()), 0.9), (Some("b".to_owned()), 0.1)].into_iter();
        assert!(!improbable(predicted(), &counts(355, 45), 400, 1e-6));
        assert!(improbable(predicted(), &counts(300, 100), 400, 1e-6));
        // A category that the prediction excludes.
        assert!(improbable([(Some("a".to_owned()), 1.0)].into_iter(), &counts(399, 1), 400, 1e-6));
    }
}
