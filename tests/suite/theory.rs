//! Runs against formulas, by the way users take: scenario file, run, report (research/performance.md section 6).
//!
//! `scenarios/theory` holds the scenarios and `expected.tsv` the formulas' values. Here they are met within the 99.9 %
//! interval of ten short runs; `cargo run -p mesh-harness --example theory` takes longer ones and prints how near.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mesh_harness::document::{TestDocument, read_file};
use mesh_harness::scenario::{Ran, RunOptions, run};

/// One value of a formula.
pub(crate) struct Expected {
    /// Scenario in `scenarios/theory`.
    pub(crate) scenario: String,
    /// What is measured.
    pub(crate) statistic: String,
    /// By the formula.
    pub(crate) value: f64,
    /// How well the value itself is known; 0 = exactly.
    pub(crate) uncertainty: f64,
}

/// A mean over runs with the half width of its 99.9 % interval.
pub(crate) struct Measured {
    /// Mean.
    pub(crate) mean: f64,
    /// Half width.
    pub(crate) half: f64,
}

/// The table.
pub(crate) fn expected() -> Vec<Expected> {
    let lines = include_str!("../../scenarios/theory/expected.tsv").lines().filter(|l| !l.starts_with('#'));
    let case = |line: &str| {
        let mut parts = line.split('\t');
        let mut next = || parts.next();
        let (scenario, statistic, value) = (next()?, next()?, next()?);
        let uncertainty = next().and_then(|u| u.parse().ok()).unwrap_or(0.0);
        let value = value.parse().ok()?;
        Some(Expected { scenario: scenario.to_owned(), statistic: statistic.to_owned(), value, uncertainty })
    };
    lines.map(|line| case(line).expect("scenario, statistic, value")).collect()
}

/// Runs a scenario under the seeds 1 to `seeds`, its duration multiplied, and takes every statistic wanted.
pub(crate) fn measure(
    scenario: &str,
    statistics: &[&str],
    seeds: u64,
    factor: f64,
) -> BTreeMap<String, Measured> {
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/"))
        .ancestors()
        .map(|dir| dir.join("scenarios/theory").join(format!("{scenario}.yaml")))
        .find(|file| file.is_file())
        .expect("the scenario");
    let mut samples: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for seed in 1..=seeds {
        let read = read_file(&file, &[]);
        let Some(TestDocument::Scenario(document)) = read.documents.first() else {
            panic!("{} is no scenario", file.display());
        };
        let written = document.spec.duration.as_ref().expect("a duration").value.0;
        let options = RunOptions {
            seed: Some(seed),
            duration_ns: Some((written as f64 * factor) as u64),
            threads: 1,
            ..RunOptions::default()
        };
        let ran = match run(document, read.sources, &options) {
            Ok(ran) => ran,
            Err(problems) => panic!("{scenario}: {:?}", problems.1),
        };
        for name in statistics {
            samples.entry((*name).to_owned()).or_default().push(statistic(&ran, name));
        }
    }
    samples.into_iter().map(|(name, values)| (name, interval(&values))).collect()
}

fn interval(values: &[f64]) -> Measured {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
    // Student's t at 99.95 %: 4.781 for 10 runs, 4.073 for 16, 3.6 for 32 and less beyond.
    let t = match values.len() {
        0..=9 => 8.61,
        10..=15 => 4.781,
        16..=31 => 4.073,
        _ => 3.633,
    };
    Measured { mean, half: t * (variance / n).sqrt() }
}

fn statistic(ran: &Ran, name: &str) -> f64 {
    let row = ran.report.traffic.first().expect("a traffic");
    match name {
        "latency.mean" => mean_latency(ran),
        "error_rate" => 1.0 - row.success,
        "success_rate" => row.success,
        "attempts" => row.attempts_mean,
        "first_ejection" => first_ejection(ran),
        other => panic!("there is no statistic `{other}`"),
    }
}

/// Over the requests of all traffics, in milliseconds.
fn mean_latency(ran: &Ran) -> f64 {
    let rows = || ran.report.traffic.iter();
    let requests: u64 = rows().map(|row| row.requests).sum();
    rows().map(|row| row.latency.mean_ms * row.requests as f64).sum::<f64>() / requests as f64
}

/// Mean number of requests that a host got until its first ejection.
fn first_ejection(ran: &Ran) -> f64 {
    let run = ran.runs.first().expect("a run");
    let mut counts = Vec::new();
    for e in ran.report.ejections.iter().filter(|e| e.number == 1) {
        let tries = run.requests.iter().flat_map(|r| &r.tries).filter(|t| t.workload.as_ref() == e.host);
        let before = tries.filter(|t| t.done_ns.is_some_and(|done| done as f64 / 1e6 <= e.at_ms));
        counts.push(before.count() as f64);
    }
    counts.iter().sum::<f64>() / counts.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_met_by_the_way_users_take() {
        let table = expected();
        let mut by_scenario: BTreeMap<&str, Vec<&Expected>> = BTreeMap::new();
        for one in &table {
            by_scenario.entry(&one.scenario).or_default().push(one);
        }
        assert!(by_scenario.len() >= 10, "{} scenarios", by_scenario.len());
        for (scenario, wanted) in by_scenario {
            let names: Vec<&str> = wanted.iter().map(|w| w.statistic.as_str()).collect();
            let measured = measure(scenario, &names, 10, 1.0);
            for one in wanted {
                let m = &measured[&one.statistic];
                let text = format!(
                    "{scenario} {}: {:.5} ± {:.5} for {:.5}",
                    one.statistic, m.mean, m.half, one.value
                );
                assert!((m.mean - one.value).abs() <= m.half + one.uncertainty, "{text}");
                assert!(m.half <= 0.25 * one.value, "too wide to say anything: {text}");
            }
        }
    }
}
