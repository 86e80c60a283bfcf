//! Sends a recorded request through the proxies it passed and compares what they logged.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;

use mesh_core::cx::{Cx, NoTrace};
use mesh_core::decide::*;
use mesh_core::ids::ChainId;
use mesh_core::index::SnapshotIndex;
use mesh_core::ir::*;
use mesh_core::request::*;
use mesh_core::tls::{Certificate, ClientHello, TrustAnchor};
use serde_json::Value;

use crate::clusters::cluster;
use crate::json::*;
use crate::listeners::listener;
use crate::routes::route_configuration;
use crate::seams::Every;
use crate::sent::Sent;
use crate::tokens::ByKeyName;

/// One recorded mesh.
pub(crate) struct Corpus {
    proxies: BTreeMap<String, Snapshot>,
    identities: BTreeMap<String, String>,
    cases: Vec<Value>,
}

/// What a replay found.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) checked: usize,
    pub(crate) skipped: usize,
    pub(crate) differences: Vec<String>,
}

fn snapshot(value: &Value) -> Snapshot {
    let is_sidecar = list(value, "listeners").iter().any(|l| text(l, "name") == "virtualInbound");
    let mut s = Snapshot {
        kind: if is_sidecar { ProxyKind::Sidecar } else { ProxyKind::Gateway },
        listeners: list(value, "listeners").iter().map(listener).collect(),
        routes: list(value, "routes").iter().map(route_configuration).collect(),
        clusters: list(value, "clusters").iter().map(cluster).collect(),
        taints: vec![],
        index: SnapshotIndex::default(),
    };
    s.seal();
    s
}

impl Corpus {
    pub(crate) fn load(mesh: &str) -> Corpus {
        let dir = format!("{}/../../tests/conformance/{mesh}", env!("CARGO_MANIFEST_DIR"));
        let packed = std::fs::read(format!("{dir}/xds.json.gz")).expect("recorded configuration");
        let mut unpacked = String::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut unpacked).expect("gzip");
        let xds: Value = serde_json::from_str(&unpacked).expect("json");
        let lines = std::fs::read_to_string(format!("{dir}/cases.jsonl")).expect("cases");
        let cases: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).expect("json")).collect();
        let mut identities = BTreeMap::new();
        for case in &cases {
            let (client, server) = (at(case, "client_log"), at(case, "server_log"));
            for (pod, id) in [(client, text(server, "peer")), (server, text(client, "upstream_peer"))] {
                if !id.is_empty() && !text(pod, "pod").is_empty() {
                    identities.insert(text(pod, "pod").to_owned(), id.to_owned());
                }
            }
        }
        let proxies = xds.as_object().into_iter().flatten();
        let proxies = proxies.map(|(pod, v)| (pod.replacen('.', "/", 1), snapshot(v))).collect();
        Corpus { proxies, identities, cases }
    }

    pub(crate) fn replay(&self) -> Report {
        let mut report = Report::default();
        for case in &self.cases {
            match self.case(case) {
                None => report.skipped += 1,
                Some(differences) => {
                    report.checked += 1;
                    let id = text(case, "id");
                    report.differences.extend(differences.into_iter().map(|d| format!("{id}: {d}")));
                }
            }
        }
        report
    }

    fn identity(&self, pod: &str) -> Certificate {
        let namespace = pod.split('/').next().unwrap_or("");
        let fallback = || format!("spiffe://cluster.local/ns/{namespace}/sa/default");
        let san = self.identities.get(pod).cloned().unwrap_or_else(fallback);
        Certificate { issuer: TrustAnchor::Mesh, sans: vec![san.into()], subject: "".into() }
    }

    /// The differences of a case; `None` when it cannot be replayed here.
    fn case(&self, case: &Value) -> Option<Vec<String>> {
        let (client, server) = (at(case, "client_log"), at(case, "server_log"));
        // secrets are not part of the recorded configuration
        let no_secret = text(client, "downstream_failure").contains("Secret_is_not_supplied");
        if no_secret || case.get("repeat").is_some() || case.get("unstable").is_some() {
            return None;
        }
        let sent = Sent::read(at(case, "request"))?;
        let mut differences = vec![];
        let direct = at(case, "hops").is_null();
        let mut to_server;
        let tls;
        if !client.is_null() {
            let hop = self.hop(client, sent.hello.clone(), &sent)?;
            let heads: Vec<RequestHead> = sent.head.iter().cloned().collect();
            let out = hop.check("client", client, case, heads, &mut differences);
            tls = out.hello;
            to_server = out.heads;
        } else if !server.is_null() {
            to_server = sent.head.iter().cloned().collect();
            tls = sent.hello.clone();
        } else {
            return None;
        }
        if !server.is_null() && direct && differences.is_empty() {
            let through_tcp = text(client, "log") == "tcp";
            let plaintext = text(server, "tls").is_empty() && !client.is_null() && !through_tcp;
            let hop = self.hop(server, if plaintext { None } else { tls }, &sent)?;
            let out = hop.check("server", server, case, to_server, &mut differences);
            to_server = out.heads;
        }
        let upstream = at(case, "observed/upstream");
        if !upstream.is_null() && direct && differences.is_empty() && !to_server.is_empty() {
            compare_upstream(upstream, &to_server, &mut differences);
        }
        Some(differences)
    }

    fn hop(&self, log: &Value, hello: Option<ClientHello>, sent: &Sent) -> Option<Hop<'_>> {
        let pod = text(log, "pod");
        let direction = match text(log, "dir") {
            "inbound" => TrafficDirection::Inbound,
            _ => TrafficDirection::Outbound,
        };
        let source = format!("{}:40000", text(log, "direct_remote")).parse().ok()?;
        let destination: SocketAddr = text(log, "local").parse().ok()?;
        let conn = Connection { source, destination, tls: hello, bytes: sent.bytes };
        Some(Hop { snapshot: self.proxies.get(pod)?, identity: self.identity(pod), direction, conn })
    }
}

/// A proxy and the connection that reaches it.
struct Hop<'a> {
    snapshot: &'a Snapshot,
    identity: Certificate,
    direction: TrafficDirection,
    conn: Connection,
}

/// What leaves a hop.
#[derive(Default)]
struct Out {
    heads: Vec<RequestHead>,
    hello: Option<ClientHello>,
}

impl Hop<'_> {
    fn check(
        &self,
        side: &str,
        log: &Value,
        case: &Value,
        heads: Vec<RequestHead>,
        found: &mut Vec<String>,
    ) -> Out {
        let accepted = accept(self.snapshot, self.direction, &self.identity, &self.conn, &mut NoTrace);
        let kind = text(log, "log");
        match accepted {
            Accept::Chain { chain, peer, .. } => {
                self.check_chain(side, log, chain, found);
                let peer_san =
                    peer.certificate.as_ref().and_then(|c| c.sans.first()).map_or("", |s| s.as_ref());
                if side == "server" && peer_san != text(log, "peer") {
                    found.push(format!("{side}: peer {peer_san} recorded {}", text(log, "peer")));
                }
                match (self.snapshot.connection_manager(chain).is_some(), kind) {
                    (true, "http") => self.check_http(side, log, case, chain, &peer, heads, found),
                    (false, "tcp") => self.check_tcp(side, log, chain, &peer, heads, found),
                    (http, _) => {
                        found.push(format!("{side}: chain is http: {http}, recorded a {kind} log"));
                        Out::default()
                    }
                }
            }
            Accept::NoFilterChain { .. } if kind == "listener" => Out::default(),
            Accept::HandshakeFailed { .. } if !text(log, "downstream_failure").is_empty() => Out::default(),
            other => {
                found.push(format!("{side}: {other:?}, recorded {kind} {}", text(log, "filter_chain")));
                Out::default()
            }
        }
    }

    fn check_chain(&self, side: &str, log: &Value, chain: ChainId, found: &mut Vec<String>) {
        let listener = self.snapshot.listeners[chain.listener.index()].name.as_ref();
        let name = self.snapshot.filter_chain(chain).map_or("", |c| c.name.as_ref());
        if (listener, name) != (text(log, "listener"), text(log, "filter_chain")) {
            let recorded = format!("{} {}", text(log, "listener"), text(log, "filter_chain"));
            found.push(format!("{side}: chain {listener} {name}, recorded {recorded}"));
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a test's plumbing")]
    fn check_http(
        &self,
        side: &str,
        log: &Value,
        case: &Value,
        chain: ChainId,
        peer: &Peer,
        heads: Vec<RequestHead>,
        found: &mut Vec<String>,
    ) -> Out {
        let mut out = Out::default();
        let mut seen = vec![];
        for sent in heads {
            let mut every = Every::default();
            loop {
                let mut head = sent.clone();
                let mut cx = Cx { now_ns: 0, draws: &mut every, trace: &mut NoTrace, tokens: &ByKeyName };
                let decision = decide_http(self.snapshot, chain, &self.conn, peer, &mut head, &mut cx);
                let left = finalize_request(
                    self.snapshot,
                    chain,
                    &self.conn,
                    peer,
                    &self.identity,
                    &decision,
                    1,
                    &head,
                );
                let differences = self.http_differences(log, case, side, &decision, &head, &left);
                if differences.is_empty() {
                    if let HttpOutcome::Forward(plan) = &decision.outcome {
                        let cluster = &self.snapshot.clusters[plan.cluster.index()];
                        let mtls = !text(log, "upstream_tls").is_empty();
                        let has_alpn = true;
                        out.hello = client_hello(
                            cluster,
                            mtls,
                            has_alpn,
                            Some(left.protocol),
                            left.authority.as_deref(),
                            &self.identity,
                        );
                        out.heads.push(left);
                    }
                    seen.clear();
                } else {
                    seen.push(differences.join(", "));
                }
                if !every.next() {
                    break;
                }
                if seen.is_empty() && !out.heads.is_empty() {
                    break;
                }
            }
        }
        if let Some(first) = seen.first() {
            found.push(format!("{side}: {first}"));
        }
        out
    }

    fn http_differences(
        &self,
        log: &Value,
        case: &Value,
        side: &str,
        decision: &HttpDecision,
        head: &RequestHead,
        left: &RequestHead,
    ) -> Vec<String> {
        let mut d = vec![];
        let mut compare = |what: &str, ours: &str, key: &str| {
            let theirs = at(log, key);
            let theirs = theirs.as_str().map_or_else(
                || if theirs.is_null() { String::new() } else { theirs.to_string() },
                str::to_owned,
            );
            if ours != theirs {
                d.push(format!("{what} `{ours}` recorded `{theirs}`"));
            }
        };
        let vhost = decision.virtual_host(self.snapshot).map_or("", |v| v.name.as_ref());
        let route = decision.route(self.snapshot).map_or("", |r| r.name.as_ref());
        compare("route", route, "route");
        if log.get("virtual_host").is_some() {
            compare("virtual host", vhost, "virtual_host");
            let index = decision.route.map_or(String::new(), |r| r.route.to_string());
            compare("route index", &index, "route_index");
        }
        match &decision.outcome {
            HttpOutcome::Forward(plan) => {
                compare("cluster", &self.snapshot.clusters[plan.cluster.index()].name, "cluster");
                compare("path", &left.path, "path");
                compare("authority", left.authority.as_deref().unwrap_or(""), "authority");
                if text(log, "details") == "direct_response" || text(log, "flags").contains("NR") {
                    d.push(format!("forwards, recorded {}", text(log, "details")));
                }
                let flags = text(log, "flags");
                if decision.delay_ns > 0 && !flags.contains("DI") || flags.contains("FI") {
                    d.push(format!("flags {} recorded {flags}", decision.flags.text()));
                }
            }
            HttpOutcome::Reply(reply) => {
                let (status, mut headers, body) = local_reply_for(self.snapshot, decision, head, None, reply);
                finalize_response(
                    self.snapshot,
                    ChainId { listener: mesh_core::ids::ListenerId(u32::MAX), chain: None },
                    decision,
                    head,
                    None,
                    &mut headers,
                    None,
                );
                let code = if reply.close && status == 0 { 0 } else { status };
                compare("code", &code.to_string(), "code");
                compare("flags", &decision.flags.text(), "flags");
                compare("details", &reply.details, "details");
                let by_this = side == "client" || text(case, "client_log/log").is_empty();
                let observed = at(case, "observed");
                if by_this && text(observed, "body") != body.as_ref() && !reply.close {
                    d.push(format!("body `{body}` recorded `{}`", text(observed, "body")));
                }
                for (name, value) in at(observed, "response/headers").as_object().into_iter().flatten() {
                    if by_this && !matches!(name.as_str(), "server" | "content-type") {
                        let ours: Vec<&str> = headers.all(name).collect();
                        if Some(ours.join(",").as_str()) != value.as_str() && name != DECORATOR {
                            d.push(format!("response {name} {ours:?} recorded {value}"));
                        }
                    }
                }
            }
        }
        d
    }

    fn check_tcp(
        &self,
        side: &str,
        log: &Value,
        chain: ChainId,
        peer: &Peer,
        heads: Vec<RequestHead>,
        found: &mut Vec<String>,
    ) -> Out {
        let mut every = Every::default();
        let mut seen = vec![];
        loop {
            let mut cx = Cx { now_ns: 0, draws: &mut every, trace: &mut NoTrace, tokens: &ByKeyName };
            match decide_tcp(self.snapshot, chain, &self.conn, peer, &mut cx).outcome {
                TcpOutcome::Forward { cluster, .. } => {
                    let cluster = &self.snapshot.clusters[cluster.index()];
                    if cluster.name.as_ref() == text(log, "cluster") && text(log, "conn_details").is_empty() {
                        let mtls = !text(log, "upstream_tls").is_empty();
                        let hello = client_hello(cluster, mtls, false, None, None, &self.identity);
                        // TLS of the client travels through untouched
                        return Out { heads, hello: hello.or_else(|| self.conn.tls.clone()) };
                    }
                    seen.push(format!("{side}: cluster {} recorded {log}", cluster.name));
                }
                TcpOutcome::Denied { details, cluster, .. } => {
                    let same = self.snapshot.clusters[cluster.index()].name.as_ref() == text(log, "cluster");
                    if same && details.as_ref() == text(log, "conn_details") {
                        return Out::default();
                    }
                    seen.push(format!("{side}: denied {details} recorded {}", text(log, "conn_details")));
                }
                TcpOutcome::NoCluster(name) => {
                    if text(log, "cluster").is_empty() {
                        return Out::default();
                    }
                    seen.push(format!("{side}: no cluster {name}"));
                }
            }
            if !every.next() {
                break;
            }
        }
        found.extend(seen.into_iter().next());
        Out::default()
    }
}

const DECORATOR: &str = "x-envoy-decorator-operation";

fn compare_upstream(observed: &Value, heads: &[RequestHead], found: &mut Vec<String>) {
    let mut best: Option<Vec<String>> = None;
    for head in heads {
        let mut d = vec![];
        let mut compare = |what: &str, ours: &str, theirs: &str| {
            if ours != theirs {
                d.push(format!("upstream {what} `{ours}` recorded `{theirs}`"));
            }
        };
        compare("path", &head.path, text(observed, "path"));
        compare("authority", head.authority.as_deref().unwrap_or(""), text(observed, "authority"));
        compare("method", &head.method, text(observed, "method"));
        let recorded = at(observed, "headers");
        for (name, value) in recorded.as_object().into_iter().flatten() {
            let one = [value.clone()];
            let theirs = value.as_array().map_or(one.as_slice(), Vec::as_slice);
            let theirs: Vec<&str> = theirs.iter().filter_map(Value::as_str).collect();
            // the signature of a shorthand token is not ours
            if name == "authorization" && head.headers.has(name) {
                continue;
            }
            let ours: Vec<&str> = head.headers.all(name).collect();
            compare(name, &ours.join(" | "), &theirs.join(" | "));
        }
        for (name, value) in &head.headers.0 {
            if recorded.get(name.as_ref()).is_none()
                && !matches!(name.as_ref(), "content-length" | "user-agent")
            {
                compare(name, value, "");
            }
        }
        if best.as_ref().is_none_or(|b| d.len() < b.len()) {
            best = Some(d);
        }
    }
    found.extend(best.into_iter().flatten());
}
