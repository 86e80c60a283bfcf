//! Runs against formulas, by the way users take: scenario file, run, report (research/performance.md section 6).
//!
//! `scenarios/theory` holds the scenarios and `expected.tsv` the formulas' values. Here they are met within the 99.9 %
//! interval of ten short runs; `cargo run -p mesh-harness --example theory` takes longer ones and prints how near.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
    /// The widest interval that still says something: half width over value.
    pub(crate) widest: f64,
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
        let mut number = |otherwise| next().map_or(Some(otherwise), |n| n.parse::<f64>().ok());
        let (uncertainty, widest) = (number(0.0)?, number(0.25)?);
        let (scenario, statistic, value) = (scenario.to_owned(), statistic.to_owned(), value.parse().ok()?);
        Some(Expected { scenario, statistic, value, uncertainty, widest })
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
    let of_seeds = |seeds: Vec<u64>| -> Vec<Vec<Vec<f64>>> {
        seeds.into_iter().map(|seed| samples(&file, statistics, seed, factor)).collect()
    };
    // Two halves at once, joined in the order of the seeds.
    let runs = std::thread::scope(|scope| {
        let second = scope.spawn(|| of_seeds((seeds / 2 + 1..=seeds).collect()));
        let mut runs = of_seeds((1..=seeds / 2).collect());
        runs.extend(second.join().expect("the second half"));
        runs
    });
    let of_statistic = |at: usize| -> Vec<f64> { runs.iter().flat_map(|run| run[at].clone()).collect() };
    statistics
        .iter()
        .enumerate()
        .map(|(at, name)| ((*name).to_owned(), interval(&of_statistic(at))))
        .collect()
}

/// One run: the samples of each statistic.
fn samples(file: &Path, statistics: &[&str], seed: u64, factor: f64) -> Vec<Vec<f64>> {
    let read = read_file(file, &[]);
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
    match run(document, read.sources, &options) {
        Ok(ran) => statistics.iter().map(|name| statistic(&ran, name)).collect(),
        Err(problems) => panic!("{}: {:?}", file.display(), problems.1),
    }
}

fn interval(values: &[f64]) -> Measured {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
    // Student's t at 99.95 %: 4.781 for 10 values, 4.073 for 16, 3.633 for 32, 3.3 for 1,000 and less beyond.
    let t = match values.len() {
        0..=9 => 8.61,
        10..=15 => 4.781,
        16..=31 => 4.073,
        32..=999 => 3.633,
        _ => 3.3,
    };
    Measured { mean, half: t * (variance / n).sqrt() }
}

/// Independent samples of a statistic: one of a run, or one of every event where a run has many.
fn statistic(ran: &Ran, name: &str) -> Vec<f64> {
    let row = ran.report.traffic.first().expect("a traffic");
    match name {
        "latency.mean" => vec![mean_latency(ran)],
        "error_rate" => vec![1.0 - row.success],
        "success_rate" => vec![row.success],
        "attempts" => vec![row.attempts_mean],
        "ejection_run" => ejection_runs(ran),
        other => panic!("there is no statistic `{other}`"),
    }
}

/// Over the requests of all traffics, in milliseconds.
fn mean_latency(ran: &Ran) -> f64 {
    let rows = || ran.report.traffic.iter();
    let requests: u64 = rows().map(|row| row.requests).sum();
    rows().map(|row| row.latency.mean_ms * row.requests as f64).sum::<f64>() / requests as f64
}

/// How many requests a host answered from its return (or the beginning) to its next ejection, for every ejection of
/// every host. What it answers while ejected, until the balancer hears of it, belongs to no run. A run counts if it
/// began long enough before the end, so that none is left out for being long.
fn ejection_runs(ran: &Ran) -> Vec<f64> {
    let run = ran.runs.first().expect("a run");
    let mut answered: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for one in run.requests.iter().flat_map(|r| &r.tries) {
        let done = one.done_ns.expect("an answer") as f64 / 1e6;
        answered.entry(&one.workload).or_default().push(done);
    }
    // Room for 80 more requests of every host: a run is longer once in 10^10.
    let share = 1.0 - 80.0 * answered.len() as f64 / run.requests.len() as f64;
    let last_start = share * run.requests.last().expect("requests").start_ns as f64 / 1e6;
    let mut lengths = Vec::new();
    for (host, times) in answered {
        let mut start = Some(f64::NEG_INFINITY);
        for ejection in ran.report.ejections.iter().filter(|e| e.host == host) {
            let Some(from) = start.filter(|from| *from < last_start) else { break };
            let within = |t: &&f64| **t > from && **t <= ejection.at_ms;
            lengths.push(times.iter().filter(within).count() as f64);
            start = ejection.until_ms;
        }
        assert!(start.is_none_or(|from| from >= last_start), "a run of {host} was cut short");
    }
    lengths
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
                assert!(m.half <= one.widest * one.value, "too wide to say anything: {text}");
            }
        }
    }
}
