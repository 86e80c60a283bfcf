//! The values of all requests of all runs as small numbers, so that many runs can be held against each other.

use std::collections::{BTreeMap, BTreeSet};

use super::row::Run;

/// Values by run, key and request; 0 = not observed.
pub(super) struct Table {
    /// The compared keys.
    pub(super) keys: Vec<&'static str>,
    observed: Vec<Vec<Vec<u32>>>,
    /// Simulated runs.
    pub(super) simulated: Vec<Vec<Vec<u32>>>,
    /// One number for all keys of a request, observed runs first.
    whole: Vec<Vec<u32>>,
    texts: Vec<String>,
    /// Traffic of each request, and their names.
    traffic: Vec<u32>,
    traffic_names: Vec<String>,
}

/// Numbers texts by first appearance, from 1.
#[derive(Default)]
struct Numbers<K> {
    known: BTreeMap<K, u32>,
}

impl<K: Ord> Numbers<K> {
    fn of(&mut self, key: K) -> u32 {
        let next = self.known.len() as u32 + 1;
        *self.known.entry(key).or_insert(next)
    }
}

impl Table {
    /// All runs have the same number of requests.
    pub(super) fn new(observed: &[Run], simulated: &[Run], keys: &[&'static str]) -> Table {
        let mut numbers: Numbers<String> = Numbers::default();
        let mut of = |run: &Run| -> Vec<Vec<u32>> {
            let value = |numbers: &mut Numbers<String>, row: &super::row::Row, key: &str| {
                row.values.get(key).map_or(0, |text| numbers.of(text.clone()))
            };
            keys.iter().map(|k| run.rows.iter().map(|r| value(&mut numbers, r, k)).collect()).collect()
        };
        let first = observed.first().map_or(&[][..], |r| &r.rows[..]);
        let names: BTreeSet<&String> = first.iter().map(|r| &r.id.0).collect();
        let traffic_names: Vec<String> = names.into_iter().cloned().collect();
        let traffic =
            first.iter().map(|r| traffic_names.iter().position(|n| *n == r.id.0).unwrap_or(0) as u32);
        let traffic = traffic.collect();
        let observed: Vec<_> = observed.iter().map(&mut of).collect();
        let simulated: Vec<_> = simulated.iter().map(of).collect();
        let mut texts = vec![String::new(); numbers.known.len() + 1];
        for (text, number) in numbers.known {
            if let Some(slot) = texts.get_mut(number as usize) {
                *slot = text;
            }
        }
        let complete: Vec<usize> = (0..keys.len())
            .filter(|k| observed.iter().all(|run| run.get(*k).is_some_and(|v| !v.contains(&0))))
            .collect();
        let mut wholes: Numbers<Vec<u32>> = Numbers::default();
        let rows = observed.first().and_then(|r| r.first()).map_or(0, Vec::len);
        let whole = observed.iter().chain(&simulated).map(|run| {
            let at = |k: &usize, i: usize| run.get(*k).and_then(|v| v.get(i)).copied().unwrap_or(0);
            (0..rows).map(|i| wholes.of(complete.iter().map(|k| at(k, i)).collect())).collect()
        });
        let whole = whole.collect();
        Table { keys: keys.to_vec(), observed, simulated, whole, texts, traffic, traffic_names }
    }

    /// The text of a value.
    pub(super) fn text(&self, value: u32) -> String {
        self.texts.get(value as usize).cloned().unwrap_or_default()
    }

    /// The traffic of a request.
    pub(super) fn traffic(&self, request: usize) -> u32 {
        self.traffic.get(request).copied().unwrap_or(0)
    }

    /// The name of a traffic.
    pub(super) fn traffic_name(&self, traffic: u32) -> &str {
        self.traffic_names.get(traffic as usize).map_or("", |n| n)
    }

    /// Every simulated (traffic, value).
    pub(super) fn all_simulated(&self, key: usize) -> impl Iterator<Item = (u32, u32)> {
        let values = self.simulated.iter().filter_map(move |run| run.get(key));
        values.flat_map(|values| self.traffic.iter().copied().zip(values.iter().copied()))
    }

    /// How often a recorded run has each (traffic, value).
    pub(super) fn count_observed(&self, run: usize, key: usize) -> BTreeMap<(u32, u32), u32> {
        self.observed.get(run).and_then(|run| run.get(key)).map_or_else(BTreeMap::new, |v| self.count(v))
    }

    /// The same of each simulated run.
    pub(super) fn count_simulated(&self, key: usize) -> Vec<BTreeMap<(u32, u32), u32>> {
        self.simulated.iter().filter_map(|run| Some(self.count(run.get(key)?))).collect()
    }

    fn count(&self, values: &[u32]) -> BTreeMap<(u32, u32), u32> {
        let mut counts = BTreeMap::new();
        for at in self.traffic.iter().copied().zip(values.iter().copied()).filter(|(_, value)| *value != 0) {
            *counts.entry(at).or_default() += 1;
        }
        counts
    }

    /// The recorded value of a request, if observed.
    pub(super) fn observed_value(&self, run: usize, key: usize, request: usize) -> Option<u32> {
        let value = *self.observed.get(run)?.get(key)?.get(request)?;
        (value != 0).then_some(value)
    }

    /// The simulated values of a request.
    pub(super) fn simulated_values(&self, key: usize, request: usize) -> impl Iterator<Item = u32> {
        self.simulated.iter().filter_map(move |run| run.get(key)?.get(request).copied())
    }

    /// For each simulated run, whether no other has its value of this request.
    pub(super) fn singles(&self, key: usize, request: usize) -> impl Iterator<Item = (usize, bool)> {
        let mut often: BTreeMap<u32, u32> = BTreeMap::new();
        for value in self.simulated_values(key, request) {
            *often.entry(value).or_default() += 1;
        }
        let only = move |value| often.get(&value) == Some(&1);
        self.simulated_values(key, request).map(only).enumerate()
    }

    /// In how many of these requests a recorded run differs from the nearest simulated one.
    pub(super) fn nearest_to_observed(&self, run: usize, requests: &[usize]) -> usize {
        let (observed, simulated) = self.whole.split_at(self.observed.len());
        let Some(observed) = observed.get(run) else { return 0 };
        simulated.iter().map(|run| differing(observed, run, requests)).min().unwrap_or(0)
    }

    /// The same of each simulated run among the others.
    pub(super) fn nearest_to_each_other(&self, requests: &[usize]) -> Vec<f64> {
        let runs = self.whole.get(self.observed.len()..).unwrap_or_default();
        let mut nearest = vec![requests.len(); runs.len()];
        for (i, a) in runs.iter().enumerate() {
            for (j, b) in runs.iter().enumerate().skip(i + 1) {
                if nearest.get(i) == Some(&0) && nearest.get(j) == Some(&0) {
                    continue;
                }
                let apart = differing(a, b, requests);
                for at in [i, j] {
                    if let Some(least) = nearest.get_mut(at) {
                        *least = (*least).min(apart);
                    }
                }
            }
        }
        nearest.into_iter().map(|n| n as f64).collect()
    }

    /// Requests in which the two recorded runs have the same value.
    pub(super) fn alike_observed(&self, key: usize, calm: &[bool]) -> usize {
        match (self.observed.first().and_then(|r| r.get(key)), self.observed.get(1).and_then(|r| r.get(key)))
        {
            (Some(a), Some(b)) => alike(a, b, calm),
            _ => 0,
        }
    }

    /// The same of all pairs of simulated runs.
    pub(super) fn alike_simulated(&self, key: usize, calm: &[bool]) -> Vec<f64> {
        let runs: Vec<&Vec<u32>> = self.simulated.iter().filter_map(|r| r.get(key)).collect();
        let mut all = Vec::new();
        for (i, a) in runs.iter().enumerate() {
            all.extend(runs.iter().skip(i + 1).map(|b| alike(a, b, calm) as f64));
        }
        all
    }
}

fn differing(a: &[u32], b: &[u32], requests: &[usize]) -> usize {
    requests.iter().filter(|i| a.get(**i) != b.get(**i)).count()
}

fn alike(a: &[u32], b: &[u32], calm: &[bool]) -> usize {
    a.iter().zip(b).zip(calm).filter(|((x, y), calm)| **calm && x == y).count()
}
