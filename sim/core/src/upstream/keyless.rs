//! Consistent hashing without a hash, enumerated: one random number for priority and table, whatever the number of asks
//! (semantics: envoy-upstream 4.2).

use super::hash_table::{HashTable, HashTables, hash_table};
use super::loads;
use super::scene::Scene;
use super::table::Candidate;
use crate::ids::HostId;

/// The distribution of a pick that asks up to `extra` more times while the answer is one of `tried`.
pub(super) fn distribution(
    tables: &HashTables,
    scene: &Scene<'_>,
    tried: &[HostId],
    extra: u32,
) -> Vec<(HostId, f64)> {
    let percent = scene.percent();
    let mut result = Vec::new();
    for (priority, part) in percent.iter().enumerate().filter(|(_, part)| **part > 0) {
        let table = hash_table(tables, scene, priority);
        let asks_again = extra > 0 && table.hosts.iter().any(|id| tried.contains(id));
        let shares = if asks_again {
            settled(&table, &low_bits(percent, priority), tried, extra)
        } else {
            table.table.shares(table.hosts.len())
        };
        let sum: f64 = shares.iter().sum();
        let part = f64::from(*part) / 100.0;
        result.extend(table.hosts.iter().copied().zip(shares.into_iter().map(|share| share / sum * part)));
    }
    result
}

/// Shares of the hosts that the asks end at.
fn settled(table: &HashTable, low: &[f64; 8], tried: &[HostId], extra: u32) -> Vec<f64> {
    let mut shares = vec![0.0; table.hosts.len()];
    let refused: Vec<bool> = table.hosts.iter().map(|id| tried.contains(id)).collect();
    for candidate in table.table.candidates(low) {
        if let Some(share) = answer(table, &candidate, &refused, extra).and_then(|i| shares.get_mut(i)) {
            *share += candidate.weight;
        }
    }
    shares
}

fn answer(table: &HashTable, candidate: &Candidate, refused: &[bool], extra: u32) -> Option<usize> {
    let mut last = None;
    for ask in 0..=extra {
        let index = table.table.lookup_candidate(candidate, ask)? as usize;
        last = Some(index);
        if !refused.get(index).copied().unwrap_or(false) {
            break;
        }
    }
    last
}

/// How often the hashes of a priority end in each of eight bit patterns: the priority is `hash % 100`, and 100 is not
/// prime to 8.
fn low_bits(percent: &[u32], priority: usize) -> [f64; 8] {
    let mut counts = [0.0; 8];
    for residue in (0..200_u64).filter(|r| loads::choose(percent, *r) == priority) {
        if let Some(count) = counts.get_mut((residue % 8) as usize) {
            *count += 1.0;
        }
    }
    counts
}
