//! Split tables: configured share beside the sampled one, per service host with more than one destination.

use std::collections::BTreeMap;

use mesh_engine::record::Hop;
use mesh_reports::run::{SplitRow, SplitTable};

use super::{Material, client_hops, failed, host_of, interval, latency, requests, workload_of};
use crate::predict::outbound_parts;

#[derive(Default)]
struct Row {
    requests: u64,
    failed: u64,
    durations: Vec<u64>,
}

#[derive(Default)]
struct Table {
    by_subset: BTreeMap<String, Row>,
    by_workload: BTreeMap<String, Row>,
    origin: Option<mesh_core::OriginId>,
    first: usize,
}

pub(super) fn splits(material: &Material<'_>) -> Vec<SplitTable> {
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    for record in requests(material.runs) {
        for hop in client_hops(record) {
            let Some(host) = host_of(hop) else { continue };
            let order = tables.len();
            let table = tables.entry(host).or_insert_with(|| Table { first: order, ..Table::default() });
            count(table, hop);
        }
    }
    let mut tables: Vec<(String, Table)> = tables.into_iter().collect();
    tables.sort_by_key(|(_, table)| table.first);
    tables.into_iter().filter_map(|(host, table)| show(material, host, table)).collect()
}

fn count(table: &mut Table, hop: &Hop) {
    let subset = hop.cluster_name.as_deref().and_then(outbound_parts).map(|(_, subset, _)| subset.to_owned());
    let workload = hop.upstream_workload.as_deref().map(|w| workload_of(w).to_owned());
    if subset.as_ref().is_some_and(|s| !s.is_empty()) && hop.origin.is_some() {
        table.origin.get_or_insert(hop.origin);
    }
    for (rows, name) in [(&mut table.by_subset, subset), (&mut table.by_workload, workload)] {
        let row = rows.entry(name.unwrap_or_default()).or_default();
        row.requests += 1;
        row.failed += u64::from(failed(hop));
        row.durations.push(hop.duration_ns);
    }
}

fn show(material: &Material<'_>, host: String, table: Table) -> Option<SplitTable> {
    let by_subset = table.by_subset.keys().any(|s| !s.is_empty());
    let rows = if by_subset { table.by_subset } else { table.by_workload };
    if rows.len() < 2 && !by_subset {
        return None;
    }
    let configured = configured(material, &host, by_subset);
    let total: u64 = rows.values().map(|r| r.requests).sum();
    let seconds: f64 =
        material.runs.iter().map(|r| (r.duration_ns - r.warmup_ns.min(r.duration_ns)) as f64 / 1e9).sum();
    let (decided_by, place) = match table.origin.and_then(|id| material.mesh.named(id)) {
        Some((object, place)) => (object.to_string(), place.unwrap_or_default()),
        None => (String::new(), String::new()),
    };
    let shown = rows.into_iter().map(|(name, mut row)| {
        let (low, high) = interval(row.requests, total);
        SplitRow {
            configured: configured.get(&name).copied(),
            observed: row.requests as f64 / total.max(1) as f64,
            low,
            high,
            requests: row.requests,
            rps: if seconds > 0.0 { row.requests as f64 / seconds } else { 0.0 },
            latency: latency(&mut row.durations),
            error_share: row.failed as f64 / row.requests.max(1) as f64,
            name: if name.is_empty() { "-".to_owned() } else { name },
        }
    });
    let mut shown: Vec<SplitRow> = shown.collect();
    // Destinations that the configuration names and no request met.
    for (name, share) in &configured {
        if !shown.iter().any(|row| row.name == *name) && !name.is_empty() {
            let (low, high) = interval(0, total);
            shown.push(SplitRow {
                name: name.clone(),
                configured: Some(*share),
                low,
                high,
                ..SplitRow::default()
            });
        }
    }
    let by = if by_subset { "subset" } else { "workload" };
    Some(SplitTable { host, decided_by, place, by: by.to_owned(), rows: shown })
}

/// Closed-form shares of a host, weighted by how much each traffic sends there.
fn configured(material: &Material<'_>, host: &str, by_subset: bool) -> BTreeMap<String, f64> {
    let mut shares: BTreeMap<String, f64> = BTreeMap::new();
    if material.exact.incomplete.is_some() {
        return shares;
    }
    for (i, exact) in material.exact.traffic.iter().enumerate() {
        let sent: u64 = material.runs.iter().filter_map(|r| r.traffic.get(i)).map(|t| t.requests).sum();
        for (leg, expected) in exact.legs.iter().filter(|(leg, _)| leg.host == host) {
            let name = if by_subset {
                outbound_parts(&leg.cluster).map(|(_, subset, _)| subset).unwrap_or_default()
            } else {
                workload_of(&leg.pod)
            };
            *shares.entry(name.to_owned()).or_default() += expected * sent as f64;
        }
    }
    let total: f64 = shares.values().sum();
    if total > 0.0 {
        shares.values_mut().for_each(|share| *share /= total);
    }
    shares
}
