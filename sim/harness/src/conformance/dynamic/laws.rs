//! The laws of ejections, which hold whatever the rotation start: which failure ejects, and how much a host still gets.

use std::collections::{BTreeMap, BTreeSet};

use mesh_reports::conformance::Difference;

use super::judge::{Clients, difference};
use super::row::{EjectionRow, Run, TryRow};

/// A failure is on record at its server this long before or after it ejects, ms.
const SAME_MS: f64 = 5.0;

/// What led to one ejection and what followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Law {
    /// Failures of the host in a row, for this client, since it last returned.
    failures: usize,
    /// Tries that no server saw (refused, not connected) since then.
    unseen: usize,
    /// Tries of the host between the ejection and its end.
    after: usize,
}

/// Every recorded ejection has the history of a simulated one of the same host, detector and number.
pub(super) fn ejections(observed: &Run, simulated: &[Run], clients: &Clients) -> Vec<Difference> {
    let mut known: BTreeMap<(&str, &str, u32), BTreeSet<Law>> = BTreeMap::new();
    for run in simulated {
        for e in &run.ejections {
            known.entry((&e.workload, &e.by, e.num)).or_default().insert(law(run, e, clients));
        }
    }
    let mut found = Vec::new();
    for e in &observed.ejections {
        let seen = law(observed, e, clients);
        // Ejections that no simulated run has are missed elsewhere.
        let Some(laws) = known.get(&(&e.workload[..], &e.by[..], e.num)) else { continue };
        let fits = |l: &Law| {
            l.failures == seen.failures && l.unseen == seen.unseen && l.after.abs_diff(seen.after) <= 1
        };
        if !laws.iter().any(fits) {
            let key = format!("ejection #{} of {} at {:.0}", e.num, e.workload, e.from_ms);
            found.push(difference(&key, laws.iter().map(Law::text), seen.text()));
        }
    }
    found
}

fn law(run: &Run, e: &EjectionRow, clients: &Clients) -> Law {
    let is_client = |traffic: &str| clients.get(traffic).is_none_or(|pods| pods.contains(&e.by));
    let before = run.ejections.iter().filter(|o| o.workload == e.workload && o.by == e.by);
    let returned = before.filter_map(|o| o.until_ms).filter(|t| *t < e.from_ms).fold(f64::MIN, f64::max);
    let rows: Vec<_> = run.rows.iter().filter(|r| is_client(&r.id.0)).collect();
    let mut ended: Vec<(&TryRow, f64)> = rows
        .iter()
        .flat_map(|r| &r.tries)
        .filter(|t| t.workload == e.workload)
        .filter_map(|t| Some((t, t.end_ms?)))
        .filter(|(_, end)| *end > returned && *end <= e.from_ms + SAME_MS)
        .collect();
    ended.sort_by(|a, b| a.1.total_cmp(&b.1));
    let failures = ended.iter().rev().take_while(|(t, _)| t.failed).count();
    let attempts = |r: &super::row::Row| -> usize {
        let text = r.values.get("attempts").map_or("", |v| v);
        text.parse::<usize>().unwrap_or(0).saturating_sub(r.tries.len())
    };
    let begun = |r: &super::row::Row| r.planned_ms + r.late_ms;
    let since = rows.iter().filter(|r| begun(r) > returned && begun(r) <= e.from_ms);
    // Where servers see every failure, what they do not see has nothing to do with this host.
    let unseen = if failures == 0 { since.map(|r| attempts(r)).sum() } else { 0 };
    let until = e.until_ms.unwrap_or(f64::MAX);
    let after = rows
        .iter()
        .flat_map(|r| &r.tries)
        .filter(|t| t.workload == e.workload && t.at_ms > e.from_ms + SAME_MS / 2.0 && t.at_ms < until);
    Law { failures, unseen, after: after.count() }
}

impl Law {
    fn text(&self) -> String {
        format!("{} failures in a row, {} tries unseen, {} after", self.failures, self.unseen, self.after)
    }
}
