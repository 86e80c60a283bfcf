//! From what the engine recorded to the words of the corpus: one `RequestRecord` becomes one `Outcome`.
//!
//! Volatile headers (dates, request ids, sizes) are left out on both sides, as the recorder did.

use std::collections::BTreeMap;

use mesh_core::Str;
use mesh_core::request::Headers;
use mesh_engine::record::{Fate, Hop, LogKind, RequestRecord, Side, Try, TryAction};
use mesh_engine::world::World;
use mesh_reports::outcome::{
    ClientTls, Connection, HeaderMap, Outcome, ProxyLog, Received, Response, Unknown, Upstream, header_map,
};

/// Request headers that no recording keeps.
const VOLATILE_REQUEST: [&str; 17] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "transfer-encoding",
    "user-agent",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-spanid",
    "x-b3-traceid",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-internal",
    "x-envoy-peer-metadata",
    "x-envoy-peer-metadata-id",
    "x-request-id",
];

/// Response headers that no recording keeps.
const VOLATILE_RESPONSE: [&str; 7] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "transfer-encoding",
    "vary",
    "x-envoy-upstream-service-time",
];

/// What only the loaded mesh knows: places of unknown parts, names of deciding resources.
pub trait Places {
    /// The unknown part in the user's words, with its place.
    fn unknown(&self, unknown: &mesh_engine::record::Unknown) -> Unknown;
    /// `Kind/namespace/name` of what decided at a hop.
    fn decided_by(&self, hop: &Hop) -> Option<String>;
}

/// Turns a record into an outcome of probability `p`.
#[must_use]
pub fn outcome(p: f64, record: &RequestRecord, world: &World, places: &dyn Places) -> Outcome {
    let (client, server) = (record.client_hop(), record.server_hop());
    let seen = client.or(server);
    let own: Vec<&Try> = record.tries.iter().filter(|t| t.call == 0).collect();
    let answered = own.iter().rev().find(|t| !t.shadow && matches!(t.action, TryAction::Status(_)));
    let upstream = answered.filter(|_| record.workload.is_some()).map(|t| upstream(t, record));
    let mut by: Vec<String> = record.hops.iter().filter_map(|h| places.decided_by(h)).collect();
    by.dedup();
    Outcome {
        p,
        status: record.status(),
        connection: connection(record.fate),
        flags: seen.map(|h| h.flags.text()),
        // A TCP line has no response details; what ended the connection is told instead.
        details: seen.and_then(|h| text(&h.details).or_else(|| text(&h.connection_details))),
        cluster: client.and_then(|h| text(&h.cluster_name)),
        route: client.and_then(|h| text(&h.route)),
        workload: text(&record.workload),
        answer: text(&record.answer),
        response: record
            .response
            .as_ref()
            .map(|r| Response { headers: kept(&r.headers, &VOLATILE_RESPONSE) }),
        body: record.response.as_ref().map(|r| r.body.to_string()).filter(|b| !b.is_empty()),
        mtls: match server {
            Some(hop) => Some(hop.peer.is_some()),
            None => record.workload.is_some().then_some(false),
        },
        tls: client_tls(record),
        received: received(&own, answered.copied()),
        upstream,
        client_log: client.map(|h| proxy_log(h, world)),
        server_log: server.map(|h| proxy_log(h, world)),
        hops: if record.hops.len() > 2 {
            record.hops.iter().map(|h| proxy_log(h, world)).collect()
        } else {
            Vec::new()
        },
        by,
        unknown: record.unknown.iter().map(|u| places.unknown(u)).collect(),
    }
}

/// The word for an end of a connection.
#[must_use]
pub fn connection(fate: Fate) -> Connection {
    match fate {
        Fate::Ok => Connection::Ok,
        Fate::Reset => Connection::Reset,
        Fate::Refused => Connection::Refused,
        Fate::Closed | Fate::ClientClosed => Connection::Closed,
        Fate::Timeout => Connection::Timeout,
    }
}

fn text(value: &Option<Str>) -> Option<String> {
    value.as_ref().map(ToString::to_string)
}

fn kept(headers: &Headers, volatile: &[&str]) -> HeaderMap {
    header_map(
        headers
            .0
            .iter()
            .filter(|(n, _)| !volatile.contains(&n.as_ref()))
            .map(|(n, v)| (n.as_ref(), v.as_ref())),
    )
}

fn upstream(t: &Try, record: &RequestRecord) -> Upstream {
    let head = t.head.as_deref();
    Upstream {
        method: head.map(|h| h.method.to_string()).unwrap_or_default(),
        path: head.map(|h| h.path.to_string()).unwrap_or_default(),
        authority: head.and_then(|h| text(&h.authority)),
        protocol: head.map(|h| h.protocol.text().to_owned()).unwrap_or_default(),
        headers: head.map(|h| kept(&h.headers, &VOLATILE_REQUEST)).unwrap_or_default(),
        // An application that terminated the client's TLS saw its server name.
        sni: record
            .tls
            .as_ref()
            .filter(|_| record.server_hop().is_none_or(|h| h.kind == LogKind::Tcp))
            .and_then(|_| record.hops.last().and_then(|h| text(&h.sni))),
    }
}

fn client_tls(record: &RequestRecord) -> Option<ClientTls> {
    let sans = record.tls.as_ref()?.as_ref().ok()?;
    Some(ClientTls {
        cert: sans.first().map(ToString::to_string).unwrap_or_default(),
        alpn: text(&record.tls_alpn),
    })
}

/// All requests applications got, unless it is just the answered one.
fn received(own: &[&Try], answered: Option<&Try>) -> Vec<Received> {
    if let ([only], Some(answered)) = (own, answered)
        && std::ptr::eq(*only, answered)
    {
        return Vec::new();
    }
    let mut all: Vec<Received> = Vec::new();
    for (t, head) in own.iter().filter_map(|t| Some((t, t.head.as_ref()?))) {
        let one = Received {
            workload: t.workload.to_string(),
            method: head.method.to_string(),
            authority: text(&head.authority),
            path: head.path.to_string(),
            times: 1,
        };
        match all.iter_mut().find(|r| Received { times: 1, ..(*r).clone() } == one) {
            Some(known) => known.times += 1,
            None => all.push(one),
        }
    }
    all
}

/// A log line in the corpus' words.
#[must_use]
pub fn proxy_log(hop: &Hop, world: &World) -> ProxyLog {
    let pod = world.proxy(hop.proxy).and_then(|p| world.pod(p.pod));
    let mut rbac = BTreeMap::new();
    if let Some((policy, allowed)) = &hop.rbac {
        if !policy.is_empty() && policy.as_ref() != "none" {
            rbac.insert("enforced_effective_policy_id".to_owned(), policy.to_string());
        }
        let verdict = if *allowed { "allowed" } else { "denied" };
        rbac.insert("enforced_engine_result".to_owned(), verdict.to_owned());
    }
    ProxyLog {
        pod: pod.map(|p| format!("{}/{}", p.namespace, p.pod_name)).unwrap_or_default(),
        dir: match hop.side {
            Side::Outbound => "outbound",
            Side::Inbound => "inbound",
            Side::Gateway => "gateway",
        }
        .to_owned(),
        log: if hop.kind == LogKind::Http { "http" } else { "tcp" }.to_owned(),
        code: hop.code,
        flags: hop.flags.text(),
        details: text(&hop.details),
        conn_details: text(&hop.connection_details),
        cluster: text(&hop.cluster_name),
        route: text(&hop.route),
        upstream_host: hop.upstream_host.map(|a| a.to_string()),
        authority: text(&hop.authority),
        path: text(&hop.path),
        attempts: hop.attempts,
        listener: (!hop.listener.is_empty()).then(|| hop.listener.to_string()),
        filter_chain: text(&hop.filter_chain),
        peer: text(&hop.peer),
        method: text(&hop.method),
        protocol: hop.protocol.map(|p| p.text().to_owned()),
        upstream_protocol: hop.upstream_protocol.map(|p| p.text().to_owned()),
        sni: text(&hop.sni),
        upstream_peer: text(&hop.upstream_peer),
        local: Some(hop.local.to_string()),
        remote: Some(hop.remote.ip().to_string()),
        direct_remote: Some(hop.remote.ip().to_string()),
        virtual_host: text(&hop.virtual_host),
        route_index: hop.route_index,
        upstream_failure: text(&hop.upstream_failure),
        downstream_failure: text(&hop.downstream_failure),
        grpc_status: hop.grpc_status,
        original_path: text(&hop.original_path),
        rbac_shadow: rbac,
    }
}
