//! Istio's standard metrics of a run: every proxy's requests under the labels that istio.stats gives them
//! (research/ecosystem 1f). One scrape at the end of every 15 simulated seconds.

use std::collections::BTreeMap;

use mesh_engine::record::{Hop, LogKind, Side};
use mesh_reports::metrics::{Scrape, Series};

use super::{host_of, ms};
use crate::directory::PodEntry;
use crate::scenario::Ran;

const INTERVAL_MS: f64 = 15_000.0;

type Labels = BTreeMap<String, String>;

/// Cumulative series, scrape by scrape.
#[must_use]
pub fn scrapes(ran: &Ran) -> Vec<Scrape> {
    let mut ends: Vec<(f64, Labels, f64, u64, u64)> = Vec::new();
    for hop in
        super::requests(&ran.runs).flat_map(|r| &r.hops).filter(|h| h.kind == LogKind::Http && !h.shadow)
    {
        let end = ms(hop.start_ns + hop.duration_ns);
        ends.push((end, labels(ran, hop), ms(hop.duration_ns), hop.bytes_received, hop.bytes_sent));
    }
    ends.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
    let mut series: BTreeMap<Labels, Series> = BTreeMap::new();
    let mut out: Vec<Scrape> = Vec::new();
    let mut next = INTERVAL_MS;
    for (end, labels, duration, received, sent) in ends {
        while end > next {
            out.push(Scrape { at_ms: next, series: series.values().cloned().collect() });
            next += INTERVAL_MS;
        }
        let one = series.entry(labels.clone()).or_insert_with(|| Series { labels, ..Series::default() });
        one.requests += 1;
        one.duration_ms.observe(duration);
        one.request_bytes.observe(received as f64);
        one.response_bytes.observe(sent as f64);
    }
    out.push(Scrape { at_ms: next, series: series.into_values().collect() });
    out
}

fn labels(ran: &Ran, hop: &Hop) -> Labels {
    let mut labels = Labels::new();
    let mut set = |key: &str, value: &str| {
        labels.insert(key.to_owned(), value.to_owned());
    };
    let own = ran.mesh.world.proxy(hop.proxy).and_then(|p| pod(ran, |e| e.id == p.pod));
    let destination_side = hop.side == Side::Inbound;
    let peer = hop.peer.as_deref().unwrap_or("unknown");
    let other = if destination_side {
        pod(ran, |e| e.ip == hop.remote.ip())
    } else {
        hop.upstream_workload.as_deref().and_then(|w| pod(ran, |e| e.reference.as_ref() == w))
    };
    let (source, destination) = if destination_side { (other, own) } else { (own, other) };
    set("reporter", if destination_side { "destination" } else { "source" });
    for (side, entry) in [("source", source), ("destination", destination)] {
        let label = |name: &str| entry.and_then(|e| e.labels.get(name)).map_or("unknown", String::as_str);
        let workload = entry.map_or("unknown", |e| e.workload.as_str());
        let app = label("app");
        set(&format!("{side}_workload"), workload);
        set(&format!("{side}_workload_namespace"), entry.map_or("unknown", |e| e.namespace.as_str()));
        set(&format!("{side}_app"), app);
        set(&format!("{side}_version"), label("version"));
        set(&format!("{side}_canonical_service"), if app == "unknown" { workload } else { app });
        let revision = label("version");
        set(&format!("{side}_canonical_revision"), if revision == "unknown" { "latest" } else { revision });
        set(&format!("{side}_cluster"), if entry.is_some() { "Kubernetes" } else { "unknown" });
    }
    let upstream = hop.upstream_peer.as_deref().unwrap_or("unknown");
    set("source_principal", if destination_side { peer } else { "unknown" });
    set("destination_principal", if destination_side { "unknown" } else { upstream });
    service(hop, &mut set);
    set("request_protocol", if hop.grpc_status.is_some() { "grpc" } else { "http" });
    set("response_code", &hop.code.unwrap_or(0).to_string());
    set("grpc_response_status", &hop.grpc_status.map(|s| s.to_string()).unwrap_or_default());
    set("response_flags", &hop.flags.text());
    let policy = match (destination_side, hop.peer.is_some()) {
        (false, _) => "unknown",
        (true, true) => "mutual_tls",
        (true, false) => "none",
    };
    set("connection_security_policy", policy);
    labels
}

/// `destination_service` and its parts; clusters without service are named themselves.
fn service(hop: &Hop, set: &mut impl FnMut(&str, &str)) {
    let cluster = hop.cluster_name.as_deref().unwrap_or_default();
    let host = match (host_of(hop), cluster) {
        (_, "PassthroughCluster" | "BlackHoleCluster" | "InboundPassthroughCluster") => String::new(),
        (Some(host), _) if hop.side != Side::Inbound => host,
        _ => {
            hop.authority.as_deref().map(|a| a.split(':').next().unwrap_or(a).to_owned()).unwrap_or_default()
        }
    };
    let mut parts = host.split('.');
    let name = parts.next().unwrap_or_default();
    let namespace = if host.contains(".svc.") { parts.next().unwrap_or_default() } else { "unknown" };
    if host.is_empty() {
        set("destination_service", "unknown");
        set("destination_service_name", if cluster.is_empty() { "unknown" } else { cluster });
        set("destination_service_namespace", "unknown");
    } else {
        set("destination_service", &host);
        set("destination_service_name", if host.contains(".svc.") { name } else { &host });
        set("destination_service_namespace", namespace);
    }
}

fn pod(ran: &Ran, fits: impl Fn(&PodEntry) -> bool) -> Option<&PodEntry> {
    ran.mesh.directory.pods.iter().find(|e| fits(e))
}
