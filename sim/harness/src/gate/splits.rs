//! `split:` gates: the configured split exactly, the observed one within a stated tolerance.

use std::collections::BTreeMap;

use mesh_reports::run::GateVerdict;

use super::{Evidence, Finding, inside};
use crate::format::gate::{GateWords, SplitBy, SplitWords};
use crate::predict::{outbound_parts, same_host};
use crate::report::{client_hops, host_of, ms, requests, workload_of};

/// z for a two-sided error of one in a million.
const Z: f64 = 4.891_638;

pub(super) fn judge(split: &SplitWords, words: &GateWords, evidence: &Evidence<'_>) -> Finding {
    match &split.within {
        None => configured(split, words, evidence),
        Some(tolerance) => observed(split, words, tolerance.value.0, evidence),
    }
}

fn expected_text(split: &SplitWords) -> String {
    split
        .shares
        .iter()
        .map(|(name, share)| format!("{name} {}", percent(share.0)))
        .collect::<Vec<_>>()
        .join(", ")
}

fn percent(share: f64) -> String {
    let text = format!("{:.3}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

fn shares_text(shares: &BTreeMap<String, f64>) -> String {
    if shares.is_empty() {
        return "no request went there".to_owned();
    }
    shares.iter().map(|(name, share)| format!("{name} {}", percent(*share))).collect::<Vec<_>>().join(", ")
}

/// The name of a leg under the wanted key.
fn name(by: SplitBy, cluster: &str, pod: &str, evidence: &Evidence<'_>) -> String {
    match by {
        SplitBy::Subset => {
            outbound_parts(cluster).map(|(_, subset, _)| subset).unwrap_or_default().to_owned()
        }
        SplitBy::Cluster => cluster.to_owned(),
        SplitBy::Workload => workload_of(pod).rsplit('/').next().unwrap_or_default().to_owned(),
        SplitBy::Pod => pod.rsplit('/').next().unwrap_or_default().to_owned(),
        SplitBy::Version => evidence
            .mesh
            .directory
            .pods
            .iter()
            .find(|p| p.reference.as_ref() == pod)
            .and_then(|p| p.labels.get("version").cloned())
            .unwrap_or_default(),
    }
}

/// A written name means a key: equal, or with its namespace.
fn means(written: &str, key: &str) -> bool {
    written == key || written.rsplit('/').next() == Some(key)
}

fn decided_by(split: &SplitWords, evidence: &Evidence<'_>) -> String {
    evidence
        .report
        .splits
        .iter()
        .find(|table| same_host(&split.host.value, &table.host))
        .map(|table| format!("{} {}", table.decided_by, table.place).trim().to_owned())
        .unwrap_or_default()
}

fn configured(split: &SplitWords, words: &GateWords, evidence: &Evidence<'_>) -> Finding {
    if let Some(why) = &evidence.exact.incomplete {
        return Finding::unknown(format!("the configured split cannot be enumerated: {why}"));
    }
    let mut shares: BTreeMap<String, f64> = BTreeMap::new();
    for (i, exact) in evidence.exact.traffic.iter().enumerate() {
        let row = evidence.report.traffic.get(i);
        if words.traffic.as_ref().is_some_and(|t| row.is_none_or(|r| r.name != t.value)) {
            continue;
        }
        for (leg, expected) in exact.legs.iter().filter(|(leg, _)| same_host(&split.host.value, &leg.host)) {
            *shares.entry(name(split.by, &leg.cluster, &leg.pod, evidence)).or_default() += expected;
        }
    }
    let total: f64 = shares.values().sum();
    if total > 0.0 {
        shares.values_mut().for_each(|share| *share /= total);
    }
    let fits = split.shares.iter().all(|(written, share)| {
        let got: f64 = shares.iter().filter(|(key, _)| means(written, key)).map(|(_, s)| s).sum();
        (got - share.0).abs() < 1e-9
    });
    let unnamed =
        shares.iter().any(|(key, share)| *share > 1e-12 && !split.shares.keys().any(|w| means(w, key)));
    let mut finding =
        Finding::of(fits && !unnamed && total > 0.0, shares_text(&shares), expected_text(split));
    finding.decided_by = decided_by(split, evidence);
    finding
}

fn observed(split: &SplitWords, words: &GateWords, tolerance: f64, evidence: &Evidence<'_>) -> Finding {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for record in requests(evidence.runs) {
        let row = evidence.report.traffic.get(record.traffic as usize);
        if words.traffic.as_ref().is_some_and(|t| row.is_none_or(|r| r.name != t.value)) {
            continue;
        }
        if words.window.is_some_and(|w| !inside(w, ms(record.start_ns))) {
            continue;
        }
        for hop in client_hops(record) {
            if host_of(hop).is_some_and(|host| same_host(&split.host.value, &host)) {
                let cluster = hop.cluster_name.as_deref().unwrap_or_default();
                let pod = hop.upstream_workload.as_deref().unwrap_or_default();
                *counts.entry(name(split.by, cluster, pod, evidence)).or_default() += 1;
            }
        }
    }
    let total: u64 = counts.values().sum();
    let shares: BTreeMap<String, f64> =
        counts.iter().map(|(key, n)| (key.clone(), *n as f64 / total.max(1) as f64)).collect();
    let expected = format!("{} within {}", expected_text(split), percent(tolerance));
    if total == 0 {
        return Finding::of(false, "no request went there", expected);
    }
    if tolerance > 0.0
        && let Some(needed) = too_sharp(split, tolerance, total)
    {
        let got = format!(
            "{} requests: the sampling error is wider than {}; {needed} requests would do",
            total,
            percent(tolerance)
        );
        return Finding { verdict: GateVerdict::Refused, got, expected, decided_by: String::new() };
    }
    let fits = split.shares.iter().all(|(written, share)| {
        let got: f64 = shares.iter().filter(|(key, _)| means(written, key)).map(|(_, s)| s).sum();
        (got - share.0).abs() <= tolerance + 1e-12
    });
    let named: f64 =
        shares.iter().filter(|(key, _)| split.shares.keys().any(|w| means(w, key))).map(|(_, s)| s).sum();
    let mut finding = Finding::of(fits && 1.0 - named <= tolerance + 1e-12, shares_text(&shares), expected);
    finding.decided_by = decided_by(split, evidence);
    finding
}

/// Requests needed so that the tolerance covers the sampling error; `None` when there are enough.
fn too_sharp(split: &SplitWords, tolerance: f64, total: u64) -> Option<u64> {
    let needed = split
        .shares
        .values()
        .map(|share| (Z * Z * share.0 * (1.0 - share.0) / (tolerance * tolerance)).ceil() as u64)
        .max()
        .unwrap_or(0);
    (total < needed).then_some(needed)
}
