//! Closed-form shares and means beside the sampled ones, with the sampling error and what a tolerance would take.

use mesh_engine::stats::TrafficRecord;
use mesh_reports::run::{Compared, SplitTable};

use super::{Material, interval, tables::succeeded};

/// z for a two-sided error of one in a million.
const Z: f64 = 4.891_638;
/// z of the 95 % interval.
const Z95: f64 = 1.959_964;
/// Below this two numbers are the same.
const SAME: f64 = 1e-9;

/// Everything that chance has a part in, or that sampled otherwise than the closed form says.
pub(super) fn compared(material: &Material<'_>, splits: &[SplitTable], tolerance: f64) -> Vec<Compared> {
    let mut rows = Vec::new();
    if material.exact.incomplete.is_some() {
        return rows;
    }
    let runs = material.runs.len().max(1) as f64;
    let share = |what: String, exact: f64, hits: u64, all: u64| {
        let (low, high) = interval(hits, all);
        let sampled = hits as f64 / all.max(1) as f64;
        // Under load a certain outcome may be none: what was seen varies all the same.
        let variance = (exact * (1.0 - exact)).max(sampled * (1.0 - sampled));
        let needed = Z * Z * variance / (tolerance * tolerance);
        Compared {
            what,
            exact,
            sampled,
            error: (high - low) / 2.0,
            runs_needed: runs_for(needed, all as f64 / runs),
        }
    };
    for (i, exact) in material.exact.traffic.iter().enumerate().filter(|(_, e)| !e.legs.is_empty()) {
        let parts: Vec<&TrafficRecord> = material.runs.iter().filter_map(|r| r.traffic.get(i)).collect();
        let name = parts.first().map(|t| t.name.to_string()).unwrap_or_default();
        let all: u64 = parts.iter().map(|t| t.requests).sum();
        if all == 0 {
            continue;
        }
        let good: u64 = parts.iter().map(|t| succeeded(t)).sum();
        rows.push(share(format!("{name}: success"), exact.success, good, all));
        let denied: u64 = parts.iter().flat_map(|t| t.denials.values()).sum();
        rows.push(share(format!("{name}: denied"), exact.denied, denied.min(all), all));
        rows.extend(attempts(&name, exact.attempts, &parts, tolerance, runs));
    }
    for table in splits {
        let all: u64 = table.rows.iter().map(|r| r.requests).sum();
        for row in &table.rows {
            if let Some(exact) = row.configured.filter(|_| all > 0) {
                rows.push(share(format!("{}: {}", table.host, row.name), exact, row.requests, all));
            }
        }
    }
    rows.retain(|r| {
        let certain = (r.exact - libm::round(r.exact)).abs() < SAME;
        !certain || (r.exact - r.sampled).abs() > SAME
    });
    rows
}

fn attempts(name: &str, exact: f64, parts: &[&TrafficRecord], tolerance: f64, runs: f64) -> Option<Compared> {
    let counts = || parts.iter().flat_map(|t| &t.attempts).filter(|(n, _)| **n > 0);
    let n = counts().map(|(_, c)| *c as f64).sum::<f64>();
    if n == 0.0 || exact == 0.0 {
        return None;
    }
    let mean = counts().map(|(k, c)| f64::from(*k) * *c as f64).sum::<f64>() / n;
    let square = |k: u32| (f64::from(k) - mean) * (f64::from(k) - mean);
    let variance = counts().map(|(k, c)| square(*k) * *c as f64).sum::<f64>() / n;
    let allowed = tolerance * exact;
    Some(Compared {
        what: format!("{name}: attempts"),
        exact,
        sampled: mean,
        error: Z95 * libm::sqrt(variance / n),
        runs_needed: runs_for(Z * Z * variance / (allowed * allowed), n / runs),
    })
}

fn runs_for(requests: f64, per_run: f64) -> u64 {
    if per_run <= 0.0 {
        return 0;
    }
    (requests / per_run).ceil().max(1.0) as u64
}
