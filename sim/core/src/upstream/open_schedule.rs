//! Schedules whose phase is open: what an enumeration knows of one from the picks it has seen.
//!
//! A schedule begins at an arbitrary phase (semantics: envoy-upstream 2.3). With weights of a common measure it repeats
//! after as many picks as they have measures in all, so there are only so many phases, all equally likely; every pick
//! leaves those that would have made it. Consecutive picks (asks of one attempt, attempts of one request) are therefore
//! exact together, not only each for itself.

use super::asking::Asking;
use super::edf::Edf;
use super::shares::gcd;
use crate::cx::Draws;

/// Phases beyond this are not told apart.
const MOST_PHASES: u64 = 10_000;
/// The same where every phase needs a schedule of its own, times its entries.
const MOST_WORK: u64 = 200_000;
/// Whole rounds before the phase: schedules differ in the order of equals until they have run for a while.
const ROUNDS_BEFORE: u64 = 1_000;

/// The phases that are still possible: equally likely residues of the number of picks made before.
#[derive(Debug, Clone)]
pub(super) struct OpenPhase {
    modulus: u64,
    residues: Vec<u64>,
}

impl Default for OpenPhase {
    fn default() -> Self {
        OpenPhase { modulus: 1, residues: vec![0] }
    }
}

impl OpenPhase {
    /// Tells residues modulo `period` apart from now on; false if that would be too many.
    fn refine(&mut self, period: u64) -> bool {
        let parts = period / gcd(self.modulus, period);
        if self.modulus * parts > MOST_PHASES {
            return false;
        }
        let refined = |r: &u64| (0..parts).map(|k| r + k * self.modulus).collect::<Vec<_>>();
        self.residues = self.residues.iter().flat_map(refined).collect();
        self.modulus *= parts;
        true
    }
}

/// A schedule of unknown phase since its last rebuild.
#[derive(Debug, Clone)]
pub(super) struct OpenSchedule {
    /// Weights at the rebuild.
    weights: Vec<f64>,
    /// Picks until it repeats; `None` if the weights have no common measure that is coarse enough.
    period: Option<u64>,
    /// Picks since the rebuild, with the weight for the next turn of each.
    taken: Vec<(u32, f64)>,
}

impl OpenSchedule {
    /// A schedule over entries with these positive weights.
    pub(super) fn new(weights: Vec<f64>) -> OpenSchedule {
        OpenSchedule { period: period(&weights), weights, taken: Vec::new() }
    }

    /// The next entry; `weight` is its weight for the next turn.
    pub(super) fn pick<D: Draws>(
        &mut self,
        phase: &mut OpenPhase,
        weight: impl Fn(u32) -> f64,
        draws: &mut Asking<'_, D>,
    ) -> u32 {
        let entry = match self.chosen(phase, draws) {
            Some(entry) => entry,
            None => {
                // A first pick has its share whatever the phase; what follows it would need the phase.
                if !self.taken.is_empty() {
                    draws.approximate();
                }
                draws.share(&self.weights) as u32
            }
        };
        self.taken.push((entry, weight(entry)));
        entry
    }

    fn chosen<D: Draws>(&self, phase: &mut OpenPhase, draws: &mut Asking<'_, D>) -> Option<u32> {
        let period = self.period?;
        let is_static = self.taken.iter().all(|(i, w)| self.weights.get(*i as usize) == Some(w));
        if !is_static && period * self.weights.len() as u64 > MOST_WORK {
            return None;
        }
        if !phase.refine(period) {
            return None;
        }
        let next = if is_static { self.static_turns(period) } else { self.replayed_turns(period) };
        let turn = |residue: &u64| next.get((residue % period) as usize).copied();
        let mut ends = vec![0_u64; self.weights.len()];
        for entry in phase.residues.iter().filter_map(turn) {
            if let Some(count) = ends.get_mut(entry as usize) {
                *count += 1;
            }
        }
        let mut end = 0;
        for count in &mut ends {
            end += *count;
            *count = end;
        }
        let entry = draws.choose(&ends) as u32;
        phase.residues.retain(|residue| turn(residue) == Some(entry));
        Some(entry)
    }

    /// The next entry by phase, when weights have not changed since the rebuild: one round, shifted.
    fn static_turns(&self, period: u64) -> Vec<u32> {
        let mut edf = Edf::with_picks(&self.weights, ROUNDS_BEFORE * period);
        let weight = |i: u32| self.weights.get(i as usize).copied().unwrap_or(1.0);
        let mut round: Vec<u32> = (0..period).filter_map(|_| edf.pick(weight)).collect();
        let made = self.taken.len() % round.len().max(1);
        round.rotate_left(made);
        round
    }

    /// The next entry by phase, with the weights that picks since the rebuild were given.
    fn replayed_turns(&self, period: u64) -> Vec<u32> {
        let replay = |phase: u64| -> Option<u32> {
            let mut edf = Edf::with_picks(&self.weights, ROUNDS_BEFORE * period + phase);
            for (_, weight) in &self.taken {
                edf.pick(|_| *weight)?;
            }
            edf.pick(|_| 1.0)
        };
        (0..period).map(|phase| replay(phase).unwrap_or(0)).collect()
    }
}

/// The sum of the weights in their largest common measure.
fn period(weights: &[f64]) -> Option<u64> {
    let smallest = weights.iter().copied().fold(f64::INFINITY, f64::min);
    let whole = |x: f64| (x - libm::round(x)).abs() < 1e-7;
    (1..=1_000_u32)
        .find(|n| weights.iter().all(|w| whole(w / smallest * f64::from(*n))))
        .map(|n| weights.iter().map(|w| libm::round(w / smallest * f64::from(n)) as u64).sum())
        .filter(|period| *period <= MOST_PHASES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_of_weights() {
        for (weights, expected) in [
            (&[1.0, 1.0, 1.0][..], Some(3)),
            (&[0.1, 0.1], Some(2)),
            (&[10.0, 20.0, 70.0], Some(10)),
            (&[1.0, 2.1], Some(31)),
            (&[80.0, 20.0], Some(5)),
            (&[1.0, core::f64::consts::PI], None),
            (&[1.0, 20_000.0], None),
        ] {
            assert_eq!(period(weights), expected, "{weights:?}");
        }
    }
}
