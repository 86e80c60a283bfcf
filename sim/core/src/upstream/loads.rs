//! How load is spread over priorities, and which of them are in panic (semantics: envoy-upstream 1.3–1.5).
//!
//! Pure arithmetic on host counts. Degraded hosts do not exist here: they come from active health checks and from the
//! EDS status DEGRADED, and istiod sends neither.

/// Hosts of one priority by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    /// All of them.
    pub(super) total: u32,
    /// Draining: not in any denominator.
    pub(super) excluded: u32,
    /// Healthy.
    pub(super) healthy: u32,
}

impl Counts {
    /// Availability in percent, overprovisioned and capped at 100 (Envoy: recalculatePerPriorityState).
    pub(super) fn availability(self, overprovisioning_factor: u32) -> u32 {
        let considered = u64::from(self.total - self.excluded);
        if considered == 0 {
            return 0;
        }
        let percent = u64::from(overprovisioning_factor) * u64::from(self.healthy) / considered;
        percent.min(100) as u32
    }

    /// Envoy: isHostSetInPanic, floating point and strictly below.
    fn below_panic_threshold(self, threshold: u32) -> bool {
        let considered = self.total - self.excluded;
        let percent =
            if considered == 0 { 0.0 } else { 100.0 * f64::from(self.healthy) / f64::from(considered) };
        percent < f64::from(threshold)
    }
}

/// Load and panic of every priority.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Loads {
    /// Percent of picks, summing to 100.
    pub(super) percent: Vec<u32>,
    /// All hosts are used, whatever their health.
    pub(super) panic: Vec<bool>,
}

/// Loads of all priorities for a panic threshold in percent.
pub(super) fn loads(counts: &[Counts], overprovisioning_factor: u32, panic_threshold: u32) -> Loads {
    let threshold = panic_threshold.min(100);
    let availability: Vec<u32> = counts.iter().map(|c| c.availability(overprovisioning_factor)).collect();
    let total: u32 = availability.iter().sum::<u32>().min(100);
    let mut percent = distribute(&availability);
    if threshold == 0 && total == 0 {
        if let Some(first) = percent.first_mut() {
            *first = 100;
        }
        return Loads { panic: vec![false; counts.len()], percent };
    }
    let panic: Vec<bool> =
        counts.iter().map(|c| total != 100 && c.below_panic_threshold(threshold)).collect();
    if panic.iter().all(|p| *p) {
        percent = by_host_count(counts);
    }
    Loads { percent, panic }
}

/// Fills priorities in order up to their normalised availability; what rounding leaves goes to the first available
/// one. All zero when nothing is available.
pub(super) fn distribute(availability: &[u32]) -> Vec<u32> {
    let total: u32 = availability.iter().sum::<u32>().min(100);
    let mut percent = vec![0; availability.len()];
    if total == 0 {
        return percent;
    }
    let mut left = 100;
    for (load, available) in percent.iter_mut().zip(availability) {
        *load = (available * 100 / total).min(left);
        left -= *load;
    }
    give_rest(&mut percent, left, |i| availability.get(i).is_some_and(|a| *a > 0));
    percent
}

/// Total panic: by number of hosts, unhealthy and excluded ones included (Envoy: recalculateLoadInTotalPanic).
fn by_host_count(counts: &[Counts]) -> Vec<u32> {
    let all: u64 = counts.iter().map(|c| u64::from(c.total)).sum();
    let mut percent = vec![0; counts.len()];
    if all == 0 {
        give_rest(&mut percent, 100, |i| i == 0);
        return percent;
    }
    let mut left = 100;
    for (load, count) in percent.iter_mut().zip(counts) {
        *load = (u64::from(count.total) * 100 / all) as u32;
        left -= *load;
    }
    give_rest(&mut percent, left, |i| counts.get(i).is_some_and(|c| c.total > 0));
    percent
}

fn give_rest(percent: &mut [u32], rest: u32, eligible: impl Fn(usize) -> bool) {
    if let Some((_, load)) = percent.iter_mut().enumerate().find(|(i, _)| eligible(*i)) {
        *load += rest;
    }
}

/// The priority that `h` falls into (Envoy: choosePriority): the first whose cumulated load reaches `h % 100 + 1`.
pub(super) fn choose(percent: &[u32], h: u64) -> usize {
    let x = (h % 100) as u32;
    let mut end = 0;
    for (i, load) in percent.iter().enumerate() {
        end += load;
        if x < end {
            return i;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (healthy, total) per priority, threshold, loads, panic: the table of semantics: envoy-upstream 1.5.
    type Row<'a> = (&'a [(u32, u32)], u32, &'a [u32], &'a [bool]);

    const TABLE: &[Row<'_>] = &[
        (&[(8, 10), (10, 10)], 50, &[100, 0], &[false, false]),
        (&[(7, 10), (10, 10)], 50, &[98, 2], &[false, false]),
        (&[(2, 3), (3, 3)], 50, &[93, 7], &[false, false]),
        (&[(1, 3), (3, 3)], 50, &[46, 54], &[false, false]),
        (&[(5, 10), (10, 10)], 50, &[70, 30], &[false, false]),
        (&[(0, 10), (10, 10)], 50, &[0, 100], &[false, false]),
        (&[(2, 10), (7, 10)], 50, &[28, 72], &[false, false]),
        (&[(2, 10), (5, 10)], 50, &[29, 71], &[true, false]),
        (&[(2, 10), (4, 10)], 50, &[50, 50], &[true, true]),
        (&[(1, 4), (2, 8)], 50, &[34, 66], &[true, true]),
        (&[(0, 3), (1, 2)], 50, &[0, 100], &[true, false]),
        (&[(0, 2), (1, 4)], 50, &[34, 66], &[true, true]),
        (&[(0, 2), (1, 4)], 0, &[0, 100], &[false, false]),
        (&[(2, 4)], 50, &[100], &[false]),
        (&[(1, 3)], 50, &[100], &[true]),
        (&[(0, 3)], 50, &[100], &[true]),
        (&[(0, 3)], 0, &[100], &[false]),
        (&[(0, 0)], 50, &[100], &[true]),
    ];

    fn counts(rows: &[(u32, u32)]) -> Vec<Counts> {
        rows.iter().map(|(healthy, total)| Counts { total: *total, excluded: 0, healthy: *healthy }).collect()
    }

    #[test]
    fn the_worked_table_holds() {
        for (hosts, threshold, percent, panic) in TABLE {
            let got = loads(&counts(hosts), 140, *threshold);
            assert_eq!((got.percent.as_slice(), got.panic.as_slice()), (*percent, *panic), "{hosts:?}");
            assert_eq!(got.percent.iter().sum::<u32>(), 100, "{hosts:?}");
        }
    }

    #[test]
    fn other_overprovisioning_factors() {
        assert_eq!(loads(&counts(&[(9, 10), (10, 10)]), 100, 50).percent, [90, 10]);
        assert_eq!(loads(&counts(&[(4, 10), (10, 10)]), 200, 50).percent, [80, 20]);
    }

    #[test]
    fn draining_hosts_leave_the_denominator() {
        let nine_drain = Counts { total: 10, excluded: 9, healthy: 1 };
        let got = loads(&[nine_drain], 140, 50);
        assert_eq!((got.percent, got.panic), (vec![100], vec![false]));
        let all_drain = Counts { total: 2, excluded: 2, healthy: 0 };
        assert_eq!(loads(&[all_drain], 140, 50).panic, [true]);
    }

    #[test]
    fn residues_map_to_priorities() {
        assert_eq!((choose(&[70, 30], 69), choose(&[70, 30], 70), choose(&[0, 100], 0)), (0, 1, 1));
    }
}
