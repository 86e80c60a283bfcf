//! The service graph of a run: nodes are workloads, edges what flowed between them.

use std::collections::{BTreeMap, BTreeSet};

use mesh_engine::record::{Hop, Side};
use mesh_reports::graph::{Edge, Node, NodeKind, ServiceGraph};

use super::{Material, client_hops, failed, host_of, latency, requests, workload_of};
use crate::loaded::LoadedMesh;

#[derive(Default)]
struct Flow {
    requests: u64,
    failed: u64,
    mtls: u64,
    durations: Vec<u64>,
    flags: BTreeSet<String>,
}

pub(super) fn graph(material: &Material<'_>) -> ServiceGraph {
    let mut flows: BTreeMap<(String, String, String), Flow> = BTreeMap::new();
    let mut sent: BTreeMap<(String, String), u64> = BTreeMap::new();
    for record in requests(material.runs) {
        entry(material, record, &mut flows);
        for hop in client_hops(record) {
            let Some((from, to, host)) = ends(material.mesh, hop) else { continue };
            *sent.entry((from.clone(), host.clone())).or_default() += 1;
            add(flows.entry((from, to, host)).or_default(), hop);
        }
    }
    let seconds: f64 =
        material.runs.iter().map(|r| (r.duration_ns - r.warmup_ns.min(r.duration_ns)) as f64 / 1e9).sum();
    let mut graph = ServiceGraph::default();
    for ((from, to, host), mut flow) in flows {
        let all = sent.get(&(from.clone(), host.clone())).copied().unwrap_or(flow.requests).max(1);
        let times = latency(&mut flow.durations);
        graph.edges.push(Edge {
            requests: flow.requests,
            rps: if seconds > 0.0 { flow.requests as f64 / seconds } else { 0.0 },
            share: flow.requests as f64 / all as f64,
            error_share: flow.failed as f64 / flow.requests.max(1) as f64,
            p50_ms: times.p50_ms,
            p95_ms: times.p95_ms,
            mtls_share: flow.mtls as f64 / flow.requests.max(1) as f64,
            flags: flow.flags.into_iter().collect(),
            from,
            to,
            host,
        });
    }
    add_nodes(material.mesh, &mut graph);
    graph.sort();
    graph
}

/// The way into the mesh of clients that have no proxy of their own.
fn entry(
    material: &Material<'_>,
    record: &mesh_engine::RequestRecord,
    flows: &mut BTreeMap<(String, String, String), Flow>,
) {
    let Some(first) = record.hops.first().filter(|h| h.call == 0 && h.side != Side::Outbound) else { return };
    let name = material
        .traffic_words
        .get(record.traffic as usize)
        .map_or_else(|| "client".to_owned(), |(from, _)| from.clone());
    let Some(to) = workload(material.mesh, first) else { return };
    let from = if name == to { "outside".to_owned() } else { name };
    add(flows.entry((from, to, String::new())).or_default(), first);
}

fn add(flow: &mut Flow, hop: &Hop) {
    flow.requests += 1;
    flow.failed += u64::from(failed(hop));
    flow.mtls += u64::from(if hop.side == Side::Inbound { hop.peer.is_some() } else { hop.upstream_tls });
    flow.durations.push(hop.duration_ns);
    let flags = hop.flags.text();
    if flags != "-" {
        flow.flags.insert(flags);
    }
}

fn workload(mesh: &LoadedMesh, hop: &Hop) -> Option<String> {
    let pod = mesh.world.pod(mesh.world.proxy(hop.proxy)?.pod)?;
    Some(workload_of(&pod.reference).to_owned())
}

fn ends(mesh: &LoadedMesh, hop: &Hop) -> Option<(String, String, String)> {
    let from = workload(mesh, hop)?;
    let host = host_of(hop).unwrap_or_default();
    let to = match (&hop.upstream_workload, &hop.upstream_host) {
        (Some(pod), _) => workload_of(pod).to_owned(),
        (None, Some(_)) if !host.is_empty() => host.clone(),
        (None, Some(address)) => address.to_string(),
        (None, None) => host.clone(),
    };
    (!to.is_empty()).then_some((from, to, host))
}

/// Workloads of the mesh first (idle ones too), then whatever the edges name.
fn add_nodes(mesh: &LoadedMesh, graph: &mut ServiceGraph) {
    let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
    for pod in &mesh.directory.pods {
        let name = format!("{}/{}", pod.namespace, pod.workload);
        let mut badges = Vec::new();
        if pod.gateway {
            badges.push("GW".to_owned());
        } else if !pod.sidecar {
            badges.push("MS".to_owned());
        }
        let kind = if pod.gateway { NodeKind::Gateway } else { NodeKind::Workload };
        let version = pod.labels.get("version").cloned().unwrap_or_default();
        nodes.entry(name.clone()).or_insert(Node {
            name,
            kind,
            namespace: pod.namespace.clone(),
            version,
            badges,
        });
    }
    for edge in &graph.edges {
        for (name, source) in [(&edge.from, true), (&edge.to, false)] {
            nodes.entry(name.clone()).or_insert_with(|| Node {
                name: name.clone(),
                kind: if source { NodeKind::Source } else { NodeKind::External },
                badges: vec![if source { "RO" } else { "SE" }.to_owned()],
                ..Node::default()
            });
        }
    }
    graph.nodes = nodes.into_values().collect();
}

/// The graph of a mesh without traffic: who exists, and which workloads its services select.
#[must_use]
pub fn static_graph(mesh: &LoadedMesh) -> ServiceGraph {
    let mut graph = ServiceGraph::default();
    add_nodes(mesh, &mut graph);
    graph.sort();
    graph
}
