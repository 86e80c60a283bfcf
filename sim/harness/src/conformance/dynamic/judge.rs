//! Holds a recorded run against simulated ones.

use std::collections::{BTreeMap, BTreeSet};

use mesh_reports::conformance::{Difference, Verdict};
use serde_json::Value;

use super::recording::Recording;
use super::row::{Row, Run};
use super::timing;

/// Keys that are compared whenever both sides have them.
const ALWAYS: [&str; 7] = ["status", "connection", "flags", "details", "attempts", "cluster", "workload"];
/// Keys that are compared only where both recorded runs agree on every request: they depend on the recorder's own
/// scheduling otherwise.
const IF_STABLE: [&str; 5] = ["tries", "connections", "copies", "first timeout", "server"];
/// Keys whose values are numbers of things, no categories.
const NUMBERING: [&str; 1] = ["connections"];
/// Standard deviations that a count may be off.
const SIGMAS: f64 = 5.0;

/// What came of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Keys that decided against it.
    pub differences: Vec<Difference>,
}

/// Judges a recording by simulated runs of its scenario (one per seed, any number of them but not none).
#[must_use]
pub fn judge(recording: &Recording, simulated: &[Run]) -> Judged {
    let keys = keys(recording);
    let mut differences = Vec::new();
    let mut failed = 0;
    for (i, observed) in recording.runs.iter().enumerate() {
        let found = against(recording, observed, simulated, &keys);
        failed += usize::from(!found.is_empty());
        differences
            .extend(found.into_iter().map(|d| Difference { key: format!("run {}: {}", i + 1, d.key), ..d }));
    }
    // Runs that contradict each other went through a race in Envoy; then one of them has to be met.
    let raced = !timing::within_accuracy(recording);
    let agree = failed == 0 || (raced && failed < recording.runs.len());
    if agree {
        differences.clear();
    }
    Judged { verdict: if agree { Verdict::Agree } else { Verdict::Disagree }, differences }
}

fn keys(recording: &Recording) -> Vec<&'static str> {
    let stable = |key: &&str| {
        recording.runs.windows(2).all(|pair| match pair {
            [a, b] => a.rows.iter().zip(&b.rows).all(|(x, y)| x.values.get(*key) == y.values.get(*key)),
            _ => true,
        })
    };
    ALWAYS.into_iter().chain(IF_STABLE.into_iter().filter(stable)).collect()
}

fn against(
    recording: &Recording,
    observed: &Run,
    simulated: &[Run],
    keys: &[&'static str],
) -> Vec<Difference> {
    let wrong_number = simulated.iter().find(|s| s.rows.len() != observed.rows.len());
    if let Some(run) = wrong_number {
        return vec![difference("requests", [run.rows.len().to_string()], observed.rows.len().to_string())];
    }
    let mut found = Vec::new();
    // A request that meets a change may fall on either side of it.
    let slack = 2 * (observed.ejections.len() * 2).max(1);
    let certain: Vec<&'static str> =
        keys.iter().copied().filter(|k| is_in_classes(simulated, &[k])).collect();
    found.extend(certainty(observed, simulated, &certain, slack));
    found.extend(possibility(observed, simulated, keys));
    found.extend(sequence(observed, simulated, keys, slack));
    found.extend(counts(observed, simulated, keys, slack));
    found.extend(timing::ejections(recording, observed, simulated));
    found.extend(timing::durations(observed, simulated));
    found
}

/// Whether the simulated runs fall into few classes in these keys: nothing but a start is random then.
fn is_in_classes(simulated: &[Run], keys: &[&'static str]) -> bool {
    let text = |run: &Run| -> Vec<String> {
        run.rows.iter().map(|r| keys.iter().map(|k| r.values.get(k).map_or("", |v| v)).collect()).collect()
    };
    let classes: BTreeSet<Vec<String>> = simulated.iter().map(text).collect();
    classes.len() * 2 <= simulated.len()
}

pub(super) fn difference(
    key: &str,
    predicted: impl IntoIterator<Item = String>,
    observed: String,
) -> Difference {
    Difference {
        key: key.to_owned(),
        predicted: predicted.into_iter().map(Value::from).collect(),
        observed: Value::from(observed),
    }
}

fn name(row: &Row) -> String {
    format!("{}#{}", row.id.0, row.id.1)
}

/// What all simulated runs say of a request must be so; keys that are random beyond a start are left to the counts.
fn certainty(observed: &Run, simulated: &[Run], keys: &[&'static str], slack: usize) -> Vec<Difference> {
    let mut found = Vec::new();
    for key in keys {
        let wrong: Vec<Difference> = observed
            .rows
            .iter()
            .enumerate()
            .filter_map(|(i, row)| {
                let seen = row.values.get(key)?;
                let mut all = simulated.iter().map(|s| s.rows.get(i).and_then(|r| r.values.get(key)));
                let first = all.next()??;
                let certain = all.all(|v| v == Some(first));
                (certain && first != seen)
                    .then(|| difference(&format!("{key} of {}", name(row)), [first.clone()], seen.clone()))
            })
            .collect();
        if wrong.len() > slack.min(observed.rows.len() / 20) {
            let more = wrong.len() - 1;
            found.extend(wrong.into_iter().take(3));
            if more > 2 {
                found.push(difference(
                    &format!("{key}: certain but wrong"),
                    [],
                    format!("{} requests", more + 1),
                ));
            }
        }
    }
    found
}

/// A value that no simulated run has anywhere in that traffic cannot happen.
fn possibility(observed: &Run, simulated: &[Run], keys: &[&'static str]) -> Vec<Difference> {
    let of = |row: &Row, key: &'static str| Some((row.id.0.clone(), key, row.values.get(key)?.clone()));
    let rows = simulated.iter().flat_map(|run| &run.rows);
    let possible: BTreeSet<_> = rows.flat_map(|row| keys.iter().filter_map(|k| of(row, k))).collect();
    let mut found: BTreeMap<&'static str, Difference> = BTreeMap::new();
    for row in &observed.rows {
        for key in keys.iter().filter(|k| !NUMBERING.contains(k)) {
            let Some(value) = of(row, key).filter(|v| !possible.contains(v)) else { continue };
            let name = format!("{key} of {} never happens", name(row));
            found.entry(key).or_insert_with(|| difference(&name, [], value.2));
        }
    }
    found.into_values().collect()
}

/// Where simulated runs fall into few classes, the recorded run is one of them, from change to change: a request that
/// meets a change shifts the rotation behind it.
fn sequence(observed: &Run, simulated: &[Run], keys: &[&'static str], slack: usize) -> Option<Difference> {
    if !is_in_classes(simulated, keys) {
        return None;
    }
    let differs = |a: &Row, b: &Row| {
        keys.iter().any(|k| matches!((a.values.get(k), b.values.get(k)), (Some(x), Some(y)) if x != y))
    };
    let periods = timing::periods(observed);
    let mut wrong = 0;
    for period in &periods {
        let mismatches = |run: &Run| {
            period
                .iter()
                .filter(|i| matches!((observed.rows.get(**i), run.rows.get(**i)), (Some(a), Some(b)) if differs(a, b)))
                .count()
        };
        wrong += simulated.iter().map(mismatches).min().unwrap_or(0);
    }
    (wrong > slack).then(|| {
        let predicted = format!("{} periods", periods.len());
        difference("sequence", [predicted], format!("nearest differs in {wrong} requests"))
    })
}

type Counts = BTreeMap<(String, &'static str, String), usize>;

fn count(run: &Run, keys: &[&'static str]) -> Counts {
    let mut counts = Counts::new();
    for row in &run.rows {
        for key in keys {
            if let Some(value) = row.values.get(key) {
                *counts.entry((row.id.0.clone(), key, value.clone())).or_default() += 1;
            }
        }
    }
    counts
}

/// Counts of values fit the simulated ones.
fn counts(observed: &Run, simulated: &[Run], keys: &[&'static str], slack: usize) -> Vec<Difference> {
    let keys: Vec<&'static str> = keys.iter().copied().filter(|k| !NUMBERING.contains(k)).collect();
    let seen = count(observed, &keys);
    let all: Vec<Counts> = simulated.iter().map(|s| count(s, &keys)).collect();
    let categories: BTreeSet<_> = seen.keys().chain(all.iter().flat_map(BTreeMap::keys)).collect();
    let n = all.len() as f64;
    categories
        .into_iter()
        .filter(|(_, key, _)| observed.rows.iter().any(|r| r.values.contains_key(key)))
        .filter_map(|category| {
            let of = |c: &Counts| c.get(category).copied().unwrap_or(0) as f64;
            let mean = all.iter().map(of).sum::<f64>() / n;
            let variance = all.iter().map(|c| (of(c) - mean) * (of(c) - mean)).sum::<f64>() / n;
            let got = of(&seen);
            let off = (got - mean).abs();
            let (traffic, key, value) = category;
            (off > SIGMAS * libm::sqrt(variance) + slack as f64).then(|| {
                let key = format!("{key} `{value}` of {traffic}");
                difference(&key, [format!("{mean:.1} ± {:.1}", libm::sqrt(variance))], format!("{got}"))
            })
        })
        .collect()
}
