//! Earliest-deadline-first schedules: weighted round robin over hosts or localities (semantics: envoy-upstream 2.2, 2.3).

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A schedule over the entries `0..n` of some vector.
#[derive(Debug, Clone, Default)]
pub(super) struct Edf {
    queue: BinaryHeap<Entry>,
    now: f64,
    order: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    deadline: f64,
    order: u64,
    item: u32,
}

impl Ord for Entry {
    /// Reversed: the greatest entry of the heap has the earliest deadline, first in first out among equals.
    fn cmp(&self, other: &Self) -> Ordering {
        other.deadline.total_cmp(&self.deadline).then(other.order.cmp(&self.order))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

/// Envoy: EdfScheduler::createWithPicks bounds the pre-picks.
const PRE_PICK_LIMIT: u64 = 429_496_729;

impl Edf {
    /// A schedule in the state it has after `seed` picks (reduced), computed without making them. Weights must be
    /// positive. Envoy: EdfScheduler::createWithPicks.
    pub(super) fn with_picks(weights: &[f64], seed: u64) -> Edf {
        const EPSILON: f64 = 1e-13;
        let picks = (seed & 0xffff_ffff) % PRE_PICK_LIMIT;
        let rounds = picks as f64;
        let sum: f64 = weights.iter().map(|w| w + EPSILON).sum();
        let mut edf = Edf { queue: BinaryHeap::with_capacity(weights.len()), now: 0.0, order: 0 };
        let mut done: u64 = 0;
        for weight in weights {
            let augmented = weight + EPSILON;
            let mut floor = (augmented * rounds / sum) as u32;
            if floor > 0 && f64::from(floor) / augmented >= rounds / sum {
                floor -= 1;
            }
            done += u64::from(floor);
            let at = f64::from(floor) / augmented;
            if at > edf.now {
                edf.now = at;
            }
            let item = edf.order as u32;
            edf.push((f64::from(floor) + 1.0) / augmented, item);
        }
        for _ in done..picks {
            edf.pick(|item| weights.get(item as usize).copied().unwrap_or(1.0));
        }
        edf
    }

    /// The next entry; `weight` is its weight for the next turn.
    pub(super) fn pick(&mut self, weight: impl Fn(u32) -> f64) -> Option<u32> {
        let entry = self.queue.pop()?;
        self.now = entry.deadline;
        self.push(self.now + 1.0 / weight(entry.item), entry.item);
        Some(entry.item)
    }

    fn push(&mut self, deadline: f64, item: u32) {
        self.queue.push(Entry { deadline, order: self.order, item });
        self.order += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(weights: &[f64], seed: u64, n: usize) -> Vec<u32> {
        let mut edf = Edf::with_picks(weights, seed);
        (0..n).filter_map(|_| edf.pick(|i| weights[i as usize])).collect()
    }

    #[test]
    fn patterns_of_integer_weights() {
        for (weights, pattern) in [
            (&[1.0, 2.0, 3.0][..], &[2, 1, 2, 0, 1, 2][..]),
            (&[3.0, 1.0], &[0, 0, 0, 1]),
            (&[5.0, 1.0, 1.0], &[0, 0, 0, 0, 0, 1, 2]),
        ] {
            for seed in [0, 3, 4_000_000_000] {
                let picks = sequence(weights, seed, pattern.len() * 2);
                // The pattern repeats; where it begins is the phase.
                assert!(picks.windows(pattern.len()).any(|w| w == pattern), "{weights:?} {seed}: {picks:?}");
            }
        }
    }

    #[test]
    fn every_window_of_the_weight_sum_is_exact() {
        for seed in [0, 1, 7, 12_345, 429_496_728, u64::MAX] {
            let weights = [1.0, 2.0, 3.0, 4.0, 7.0];
            let picks = sequence(&weights, seed, 17 * 5);
            for window in picks.chunks(17) {
                for (i, w) in weights.iter().enumerate() {
                    assert_eq!(
                        window.iter().filter(|p| **p as usize == i).count(),
                        *w as usize,
                        "seed {seed}"
                    );
                }
            }
        }
    }

    #[test]
    fn pre_picks_equal_made_picks() {
        let weights = [128.0, 64.0, 64.0, 3.0];
        for picks in [1_u64, 5, 100, 1_000] {
            let made = sequence(&weights, 0, picks as usize + 50);
            let skipped = sequence(&weights, picks, 50);
            // Equal deadlines may be taken in another order after the jump; counts over the window agree within one.
            for item in 0..weights.len() as u32 {
                let count = |s: &[u32]| s.iter().filter(|i| **i == item).count() as i64;
                assert!((count(&made[picks as usize..]) - count(&skipped)).abs() <= 1);
            }
        }
    }
}
