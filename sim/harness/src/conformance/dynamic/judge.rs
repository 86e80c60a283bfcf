//! Holds recorded runs against simulated ones.
//!
//! Two kinds of things are random: in Envoy (rotation starts, picks, back-off), and in the recorder (when exactly a
//! request meets a change). The first are in the simulated runs; how far two *simulated* runs are from each other is
//! the measure of how far a recorded one may be. Where nothing is random, that is nothing at all. The second kind is
//! left out of the comparison request by request: requests that may meet a change (`timing::meets_change`) are
//! judged by counts and by the laws of ejections only.

use std::collections::{BTreeMap, BTreeSet};

use mesh_reports::conformance::{Difference, Verdict};
use serde_json::Value;

use super::laws;
use super::recording::Recording;
use super::row::{Row, Run};
use super::spread::Spread;
use super::table::Table;
use super::timing;

/// Keys that are compared whenever both sides have them.
const ALWAYS: [&str; 7] = ["status", "connection", "flags", "details", "attempts", "cluster", "workload"];
/// Keys that are compared only where both recorded runs agree on every request: they depend on the recorder's own
/// scheduling otherwise.
const IF_STABLE: [&str; 5] = ["tries", "connections", "copies", "first timeout", "server"];
/// Keys whose values are numbers of things, no categories.
const NUMBERING: [&str; 1] = ["connections"];

/// What came of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Keys that decided against it.
    pub differences: Vec<Difference>,
    /// More simulated runs may yet contain what was recorded: nothing but its absence speaks against it.
    pub open: bool,
}

/// The pods that send each traffic; traffic from outside is not there.
pub type Clients = BTreeMap<String, Vec<String>>;

/// Judges a recording by simulated runs of its scenario (one per seed, any number of them but not none). `clients`
/// names the pod of each traffic (`ns/workload#ordinal`).
#[must_use]
pub fn judge(recording: &Recording, clients: &Clients, simulated: &[Run]) -> Judged {
    let sizes = |runs: &[Run]| -> BTreeSet<usize> { runs.iter().map(|r| r.rows.len()).collect() };
    let (seen, predicted) = (sizes(&recording.runs), sizes(simulated));
    if seen != predicted || seen.len() > 1 {
        let text = |sizes: BTreeSet<usize>| sizes.into_iter().map(|n| n.to_string()).collect::<Vec<_>>();
        let wrong = difference("requests", text(predicted), text(seen).join(", "));
        return Judged { verdict: Verdict::Disagree, differences: vec![wrong], open: false };
    }
    let table = Table::new(&recording.runs, simulated, &keys(recording));
    let mut differences = Vec::new();
    let mut open = true;
    for (i, observed) in recording.runs.iter().enumerate() {
        let named = |d: Difference| Difference { key: format!("run {}: {}", i + 1, d.key), ..d };
        let wrong = off(i, observed, simulated, &table);
        open &= wrong.is_empty();
        differences.extend(wrong.into_iter().map(named));
        differences.extend(absent(i, observed, simulated, &table, clients).into_iter().map(named));
    }
    if differences.is_empty() {
        differences.extend(together(recording, &table));
        open &= differences.is_empty();
    }
    let verdict = if differences.is_empty() { Verdict::Agree } else { Verdict::Disagree };
    Judged { verdict, differences, open }
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

/// What one recorded run has and no simulated run does.
fn absent(
    run: usize,
    observed: &Run,
    simulated: &[Run],
    table: &Table,
    clients: &Clients,
) -> Vec<Difference> {
    let calm = timing::calm(observed);
    let mut found = Vec::new();
    found.extend(novelty(run, observed, table, &calm));
    found.extend(possibility(run, observed, table));
    found.extend(sequence(run, observed, table, &calm));
    found.extend(laws::ejections(observed, simulated, clients));
    found.extend(timing::ejections(observed, simulated));
    found.extend(timing::durations(observed, simulated));
    found
}

/// Where one recorded run is off the mean of the simulated ones.
fn off(run: usize, observed: &Run, simulated: &[Run], table: &Table) -> Vec<Difference> {
    let mut found = counts(&[(run, observed)], table);
    found.extend(statistics(observed, simulated));
    found.extend(timing::shifts(observed, simulated));
    found
}

/// The recorded runs taken together.
fn together(recording: &Recording, table: &Table) -> Vec<Difference> {
    let observed: Vec<(usize, &Run)> = recording.runs.iter().enumerate().collect();
    let mut found = counts(&observed, table);
    if let [(_, one), (_, two)] = &observed[..] {
        found.extend(agreement(table, &timing::calm_in_both(one, two)));
    }
    found
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

/// Requests with a value that no simulated run has for that very request: as many as there are in a simulated run
/// when it is held against the others.
fn novelty(run: usize, observed: &Run, table: &Table, calm: &[bool]) -> Vec<Difference> {
    let mut found = Vec::new();
    for (k, key) in table.keys.iter().enumerate() {
        let mut of_simulated = vec![0.0; table.simulated.len()];
        let mut new: Vec<usize> = Vec::new();
        for i in (0..observed.rows.len()).filter(|i| calm.get(*i) == Some(&true)) {
            let seen = table.observed_value(run, k, i);
            if seen.is_some_and(|seen| table.simulated_values(k, i).all(|v| v != seen)) {
                new.push(i);
            }
            for (s, only) in table.singles(k, i) {
                if let Some(n) = of_simulated.get_mut(s) {
                    *n += f64::from(u8::from(only));
                }
            }
        }
        if new.len() as f64 <= Spread::of(&of_simulated).most() {
            continue;
        }
        for i in new.iter().take(3) {
            let Some(row) = observed.rows.get(*i) else { continue };
            let predicted: BTreeSet<u32> = table.simulated_values(k, *i).collect();
            let predicted = predicted.into_iter().map(|v| table.text(v));
            let seen = row.values.get(key).cloned().unwrap_or_default();
            found.push(difference(&format!("{key} of {}", name(row)), predicted, seen));
        }
        if new.len() > 3 {
            found.push(difference(&format!("{key}: never so"), [], format!("{} requests", new.len())));
        }
    }
    found
}

/// A value that no simulated run has anywhere in that traffic cannot happen.
fn possibility(run: usize, observed: &Run, table: &Table) -> Vec<Difference> {
    let mut found = Vec::new();
    for (k, key) in table.keys.iter().enumerate().filter(|(_, key)| !NUMBERING.contains(key)) {
        let possible: BTreeSet<(u32, u32)> = table.all_simulated(k).collect();
        let never = (0..observed.rows.len()).find_map(|i| {
            let value = table.observed_value(run, k, i)?;
            (!possible.contains(&(table.traffic(i), value))).then_some((i, value))
        });
        if let Some((row, value)) = never.and_then(|(i, value)| Some((observed.rows.get(i)?, value))) {
            found.push(difference(&format!("{key} of {} never happens", name(row)), [], table.text(value)));
        }
    }
    found
}

/// From change to change, the recorded run is as near to some simulated run as simulated runs are to each other.
/// Changes shift a rotation, hence the nearest run may be another one behind them.
fn sequence(run: usize, observed: &Run, table: &Table, calm: &[bool]) -> Option<Difference> {
    let periods = timing::periods(observed, calm);
    let mut wrong = Vec::new();
    for (p, period) in periods.iter().enumerate() {
        let nearest = table.nearest_to_observed(run, period);
        let most = Spread::of(&table.nearest_to_each_other(period)).most();
        if nearest as f64 > most {
            wrong.push(format!(
                "period {p}: nearest differs in {nearest} of {}, allowed {most:.1}",
                period.len()
            ));
        }
    }
    (!wrong.is_empty())
        .then(|| difference("sequence", [format!("{} periods", periods.len())], wrong.join("; ")))
}

/// Two recorded runs are not more alike than simulated ones: what is certain must not be predicted as random.
fn agreement(table: &Table, calm: &[bool]) -> Vec<Difference> {
    let mut found = Vec::new();
    for (k, key) in table.keys.iter().enumerate() {
        let observed = table.alike_observed(k, calm);
        // There are many pairs: the greatest of their numbers is far out already.
        let most = Spread::of(&table.alike_simulated(k, calm)).most_of_many();
        if observed as f64 > most {
            let key = format!("{key}: the same in both runs");
            found.push(difference(&key, [format!("at most {most:.1}")], format!("{observed} requests")));
        }
    }
    found
}

/// Counts of values, over one or more recorded runs, fit the simulated ones; one request more or less per ejection.
fn counts(observed: &[(usize, &Run)], table: &Table) -> Vec<Difference> {
    let slack: usize = observed.iter().map(|(_, run)| run.ejections.len()).sum();
    let mut found = Vec::new();
    for (k, key) in table.keys.iter().enumerate().filter(|(_, key)| !NUMBERING.contains(key)) {
        let seen: Vec<_> = observed.iter().map(|(run, _)| table.count_observed(*run, k)).collect();
        // A key that the recorder never wrote was not observed.
        if seen.iter().any(BTreeMap::is_empty) {
            continue;
        }
        let all = table.count_simulated(k);
        let of = |c: &BTreeMap<(u32, u32), u32>, at: &(u32, u32)| f64::from(c.get(at).copied().unwrap_or(0));
        let categories: BTreeSet<_> = seen.iter().chain(&all).flat_map(BTreeMap::keys).copied().collect();
        for category in categories {
            let spread = Spread::of(&all.iter().map(|c| of(c, &category)).collect::<Vec<_>>());
            let got: f64 = seen.iter().map(|c| of(c, &category)).sum();
            if spread.fits_sum(got, observed.len(), slack as f64) {
                continue;
            }
            let (traffic, value) = category;
            let key = format!("{key} `{}` of {}", table.text(value), table.traffic_name(traffic));
            found.push(difference(&key, [spread.text(observed.len())], format!("{got}")));
        }
    }
    found
}

/// What the client proxies counted.
fn statistics(observed: &Run, simulated: &[Run]) -> Vec<Difference> {
    if observed.statistics.is_empty() && simulated.iter().all(|s| s.statistics.is_empty()) {
        return Vec::new();
    }
    let slack = observed.ejections.len() as f64;
    let pod = |name: &str| name.split(' ').next().unwrap_or_default().to_owned();
    let names: BTreeSet<&String> =
        observed.statistics.keys().chain(simulated.iter().flat_map(|s| s.statistics.keys())).collect();
    let names = names.into_iter().filter(|name| observed.counting.contains(&pod(name)));
    let of = |run: &Run, name: &String| run.statistics.get(name).copied().unwrap_or(0) as f64;
    let mut found = Vec::new();
    for name in names {
        let spread = Spread::of(&simulated.iter().map(|s| of(s, name)).collect::<Vec<_>>());
        let got = of(observed, name);
        if !spread.fits_sum(got, 1, slack) {
            found.push(difference(name, [spread.text(1)], format!("{got}")));
        }
    }
    found
}
