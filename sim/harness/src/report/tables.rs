//! Traffic, ejections, denials, flags, retries and overflows of a run.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use mesh_engine::record::{Fate, Hop, Side};
use mesh_engine::stats::{EdgeRecord, EjectionKind, TrafficRecord};
use mesh_reports::run::{Count, Denial, Ejection, Latency, Overflow, RetrySummary, TrafficRow};

use super::{Material, histogram_latency, latency, ms, requests, workload_of};

pub(super) fn traffic(material: &Material<'_>) -> Vec<TrafficRow> {
    let Some(first) = material.runs.first() else { return Vec::new() };
    let seconds: f64 =
        material.runs.iter().map(|r| (r.duration_ns - r.warmup_ns.min(r.duration_ns)) as f64 / 1e9).sum();
    (0..first.traffic.len())
        .map(|i| {
            let parts: Vec<&TrafficRecord> = material.runs.iter().filter_map(|r| r.traffic.get(i)).collect();
            let (from, request) = material.traffic_words.get(i).cloned().unwrap_or_default();
            row(&parts, i, from, request, seconds, material)
        })
        .collect()
}

fn row(
    parts: &[&TrafficRecord],
    index: usize,
    from: String,
    request: String,
    seconds: f64,
    material: &Material<'_>,
) -> TrafficRow {
    let requests: u64 = parts.iter().map(|t| t.requests).sum();
    let success: u64 = parts.iter().map(|t| succeeded(t)).sum();
    let mut merged: Option<Histogram<u64>> = None;
    let mut attempts: BTreeMap<u32, u64> = BTreeMap::new();
    for t in parts {
        match &mut merged {
            None => merged = Some(t.latency.clone()),
            Some(all) => {
                let _ = all.add(&t.latency);
            }
        }
        for (n, count) in &t.attempts {
            *attempts.entry(*n).or_default() += count;
        }
    }
    let tried: u64 = attempts.iter().filter(|(n, _)| **n > 0).map(|(_, c)| c).sum();
    let sum: u64 = attempts.iter().map(|(n, c)| u64::from(*n) * c).sum();
    let exact = material
        .exact
        .traffic
        .get(index)
        .filter(|e| !e.legs.is_empty() && material.exact.incomplete.is_none());
    TrafficRow {
        name: parts.first().map(|t| t.name.to_string()).unwrap_or_default(),
        from,
        request,
        requests,
        in_flight: 0,
        rps: if seconds > 0.0 { requests as f64 / seconds } else { 0.0 },
        success: success as f64 / requests.max(1) as f64,
        success_exact: exact.map(|e| e.success),
        outcomes: outcomes(parts),
        latency: exact_latency(material, index).or(merged.map(|h| histogram_latency(&h))).unwrap_or_default(),
        attempts_mean: if tried > 0 { sum as f64 / tried as f64 } else { 0.0 },
        attempts_max: attempts.keys().next_back().copied().unwrap_or(0),
    }
}

/// Percentiles of the kept requests; the histogram's are only good to three digits.
fn exact_latency(material: &Material<'_>, index: usize) -> Option<Latency> {
    let mut times: Vec<u64> = requests(material.runs)
        .filter(|r| r.traffic as usize == index)
        .map(|r| r.end_ns.saturating_sub(r.start_ns))
        .collect();
    (!times.is_empty()).then(|| latency(&mut times))
}

/// Answers below 500, and line clients that got their answer.
pub(crate) fn succeeded(t: &TrafficRecord) -> u64 {
    let http: u64 = t.status.iter().filter(|(s, _)| (100..500).contains(*s)).map(|(_, c)| c).sum();
    let answered = t.fates.get(&Fate::Ok).copied().unwrap_or(0);
    let with_status: u64 = t.status.iter().filter(|(s, _)| **s != 0).map(|(_, c)| c).sum();
    http + answered.saturating_sub(with_status)
}

fn outcomes(parts: &[&TrafficRecord]) -> Vec<Count> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for t in parts {
        let with_status: u64 = t.status.iter().filter(|(s, _)| **s != 0).map(|(_, n)| n).sum();
        let lines = t.fates.get(&Fate::Ok).copied().unwrap_or(0).saturating_sub(with_status);
        if lines > 0 {
            *counts.entry("answered".to_owned()).or_default() += lines;
        }
        for (status, n) in t.status.iter().filter(|(s, _)| **s != 0) {
            *counts.entry(status.to_string()).or_default() += n;
        }
        for (fate, n) in &t.fates {
            let word = match fate {
                Fate::Ok => continue,
                Fate::Reset => "reset",
                Fate::Refused => "refused",
                Fate::Closed => "closed",
                Fate::Timeout => "timeout",
                Fate::ClientClosed => "client closed",
            };
            *counts.entry(word.to_owned()).or_default() += n;
        }
    }
    sorted(counts)
}

fn sorted(counts: BTreeMap<String, u64>) -> Vec<Count> {
    let mut list: Vec<Count> = counts.into_iter().map(|(what, count)| Count { what, count }).collect();
    list.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.what.cmp(&b.what)));
    list
}

pub(super) fn flags(material: &Material<'_>) -> Vec<Count> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for t in material.runs.iter().flat_map(|r| &r.traffic) {
        for (flags, n) in &t.flags {
            *counts.entry(flags.to_string()).or_default() += n;
        }
    }
    sorted(counts)
}

pub(super) fn ejections(material: &Material<'_>) -> Vec<Ejection> {
    let mut all: Vec<Ejection> = Vec::new();
    for run in material.runs {
        for event in &run.ejections {
            let by = pod_of(material, &event.proxy_name);
            match &event.kind {
                EjectionKind::Eject { cause, enforced: true, count } => all.push(Ejection {
                    host: event.host.to_string(),
                    by,
                    cluster: event.cluster.to_string(),
                    kind: cause.to_lowercase(),
                    at_ms: ms(event.at_ns),
                    visible_ms: ms(event.visible_ns),
                    until_ms: None,
                    number: *count,
                    replication: run.replication,
                }),
                EjectionKind::Eject { enforced: false, .. } => {}
                EjectionKind::Return => {
                    let open = all.iter_mut().rev().find(|e| {
                        e.until_ms.is_none()
                            && e.host == event.host.as_ref()
                            && e.by == by
                            && e.cluster == event.cluster.as_ref()
                            && e.replication == run.replication
                    });
                    if let Some(open) = open {
                        open.until_ms = Some(ms(event.at_ns));
                    }
                }
            }
        }
    }
    all
}

/// `ns/workload#ordinal` of a proxy name `ns/pod`.
fn pod_of(material: &Material<'_>, proxy: &str) -> String {
    material
        .mesh
        .directory
        .pods
        .iter()
        .find(|p| format!("{}/{}", p.namespace, p.name) == proxy)
        .map_or_else(|| proxy.to_owned(), |p| p.reference.to_string())
}

/// A proxy that refused: RBAC, JWT, or no filter chain for a plaintext peer.
pub(crate) fn denied(hop: &Hop) -> bool {
    let says = |text: &Option<mesh_core::Str>| {
        text.as_deref().is_some_and(|d| {
            d.starts_with("rbac_access_denied")
                || d.starts_with("jwt_authn_access_denied")
                || d == "filter_chain_not_found"
        })
    };
    says(&hop.details) || says(&hop.connection_details)
}

pub(super) fn denials(material: &Material<'_>) -> Vec<Denial> {
    let mut rows: BTreeMap<(String, String, String, String, u16), u64> = BTreeMap::new();
    let mut served: BTreeMap<String, u64> = BTreeMap::new();
    for hop in requests(material.runs).flat_map(|r| &r.hops).filter(|h| !h.shadow && h.side != Side::Outbound)
    {
        let workload = material
            .mesh
            .world
            .proxy(hop.proxy)
            .and_then(|p| material.mesh.world.pod(p.pod))
            .map_or_else(String::new, |p| workload_of(&p.reference).to_owned());
        *served.entry(workload.clone()).or_default() += 1;
        if denied(hop) {
            let (by, place) = match material.mesh.decision(hop) {
                Some((object, place)) => (object.to_string(), place.unwrap_or_default()),
                None => ("no policy".to_owned(), String::new()),
            };
            let details = super::words(hop.details.as_ref().or(hop.connection_details.as_ref()));
            *rows.entry((workload, by, place, details, hop.code.unwrap_or(0))).or_default() += 1;
        }
    }
    rows.into_iter()
        .map(|((workload, by, place, details, status), count)| {
            let all = served.get(&workload).copied().unwrap_or(count).max(1);
            Denial { share: count as f64 / all as f64, workload, by, place, details, status, count }
        })
        .collect()
}

pub(super) fn retries(material: &Material<'_>) -> RetrySummary {
    let edges = || material.runs.iter().flat_map(|r| &r.edges);
    let sent: u64 = edges().map(|e| e.requests).sum();
    let retries: u64 = edges().map(|e| e.retries).sum();
    let mut recovered = 0;
    for record in requests(material.runs) {
        for hop in super::client_hops(record) {
            recovered += u64::from(hop.attempts > 1 && !super::failed(hop));
        }
    }
    let storm = material.amplification.storm.as_ref();
    RetrySummary {
        retries,
        recovered,
        amplification: if sent > 0 { (sent + retries) as f64 / sent as f64 } else { 1.0 },
        worst_case_attempts: material.amplification.worst_case_attempts,
        storm_rps: storm.map(|(_, rps, _)| *rps),
        storm_at: storm.map(|(at, _, _)| at.clone()).unwrap_or_default(),
        capacity_rps: storm.map_or(0.0, |(_, _, capacity)| *capacity),
    }
}

pub(super) fn overflows(material: &Material<'_>) -> Vec<Overflow> {
    let mut rows: BTreeMap<(String, String, &'static str), (u64, String)> = BTreeMap::new();
    for run in material.runs {
        for edge in &run.edges {
            for (what, n) in ["connections", "pending", "requests", "retries"].into_iter().zip(edge.overflow)
            {
                if n > 0 {
                    let key = (pod_of(material, &edge.proxy_name), edge.cluster.to_string(), what);
                    let row = rows.entry(key).or_insert_with(|| (0, limits_of(material, edge)));
                    row.0 += n;
                }
            }
        }
        for pod in run.pods.iter().filter(|p| p.rejected > 0) {
            rows.entry((pod.reference.to_string(), String::new(), "queue")).or_default().0 += pod.rejected;
        }
    }
    rows.into_iter()
        .map(|((at, cluster, what), (count, place))| Overflow {
            at,
            cluster,
            what: what.to_owned(),
            count,
            place,
        })
        .collect()
}

/// The DestinationRule that sets the limits of a cluster, with its place; empty where nobody does.
fn limits_of(material: &Material<'_>, edge: &EdgeRecord) -> String {
    let proxy = material.mesh.world.proxy(edge.proxy);
    let cluster = proxy.and_then(|p| {
        let snapshot = p.snapshot();
        snapshot.clusters.get(snapshot.cluster_by_name(&edge.cluster)?.index())
    });
    match cluster.and_then(|c| material.mesh.named(c.origin)) {
        Some((object, Some(place))) if object.kind == "DestinationRule" => format!("{object}, {place}"),
        _ => String::new(),
    }
}
