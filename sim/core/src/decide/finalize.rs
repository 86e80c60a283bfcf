//! Heads as they leave the proxy: upstream and downstream (semantics: envoy-routing 3.7, 3.8).

use crate::decide::view::Hop;
use crate::decide::{ForwardPlan, HttpDecision, HttpOutcome, codec, cors, mutate, rewrite};
use crate::ids::{ChainId, Nanos, Str};
use crate::ir::{Forward, HashPolicy, HostRewrite, Route, RouteAction, Snapshot, TrafficDirection};
use crate::request::{Connection, Headers, Peer, RequestHead};
use crate::tls::Certificate;

/// The request head of attempt `attempt` (from 1) as the upstream gets it.
///
/// `head` is the head that [`super::decide_http`] left, `local_identity` this proxy's workload certificate. Headers
/// that Envoy makes up and nobody can predict (`x-request-id`) are not added. `auto_host_rewrite` is the caller's: it
/// knows the host picked.
#[must_use]
#[expect(clippy::too_many_arguments, reason = "the surroundings of a request; a struct would be used once")]
pub fn finalize_request(
    snapshot: &Snapshot,
    chain: ChainId,
    conn: &Connection,
    peer: &Peer,
    local_identity: &Certificate,
    decision: &HttpDecision,
    attempt: u32,
    head: &RequestHead,
) -> RequestHead {
    let mut out = head.clone();
    let Some(hcm) = snapshot.connection_manager(chain) else { return out };
    let tls = snapshot.filter_chain(chain).is_some_and(|c| c.tls.is_some());
    let hop = Hop { hcm, conn, peer, tls };
    prepare(&hop, local_identity, &mut out);
    decorate_request(snapshot, chain, decision, &mut out);
    let (Some(route), HttpOutcome::Forward(plan)) = (decision.route(snapshot), &decision.outcome) else {
        return out;
    };
    let RouteAction::Forward(forward) = &route.action else { return out };
    if decision.virtual_host(snapshot).is_some_and(|v| v.include_request_attempt_count) {
        out.headers.set("x-envoy-attempt-count", &attempt.to_string());
    }
    announce_timeout(forward, plan, &mut out);
    let entry = mutate::weighted_entry(forward, plan);
    let cluster = snapshot.clusters.get(plan.cluster.index()).map_or("", |c| c.name.as_ref());
    for level in mutate::levels(snapshot, decision, route, entry) {
        mutate::request(level, &decision.downstream, cluster, route, &mut out);
        // the weighted entry's host rewrite belongs to its level and leaves no trace of the old host
        if let Some(entry) = entry.filter(|e| std::ptr::eq(level, &e.headers) && !e.host_rewrite.is_empty()) {
            out.authority = Some(entry.host_rewrite.clone());
        }
    }
    if let HostRewrite::Literal(host) = &forward.host_rewrite {
        let old = out.authority.replace(host.clone());
        out.headers.set("x-envoy-original-host", old.as_deref().unwrap_or(""));
    }
    if let Some(path) = rewrite::rewrite(&route.matcher, &forward.path_rewrite, &out.path) {
        let old = std::mem::replace(&mut out.path, path.into());
        out.headers.set("x-envoy-original-path", &old);
    }
    out
}

/// What the connection manager does to every head (semantics: envoy-routing 3.8, 9.3).
fn prepare(hop: &Hop<'_>, local_identity: &Certificate, out: &mut RequestHead) {
    let client_cert = hop.client_cert_header(&out.headers, Some(local_identity));
    let proto: Str = hop.forwarded_proto(out).into();
    let edge = hop.hcm.use_remote_address;
    let remote = hop.remote_address(&out.headers);
    let forwarded_for = edge.then(|| hop.forwarded_for(&out.headers));
    let upgrade = codec::upgrade_of(out).is_some();
    let named = connection_named(&out.headers, upgrade);
    let trailers = out.headers.all("te").flat_map(|line| line.split(',')).any(|t| t.trim() == "trailers");
    out.headers.0.retain(|(name, _)| match name.as_ref() {
        "connection" | "upgrade" => upgrade,
        "te" => false,
        name => !hop.strips(name) && !named.iter().any(|n| n == name),
    });
    if trailers {
        out.headers.append("te", "trailers");
    }
    out.headers.set("x-forwarded-proto", &proto);
    if let Some(value) = forwarded_for {
        out.headers.set("x-forwarded-for", &value);
        out.headers.set("x-envoy-external-address", &remote.to_string());
        out.headers.remove("x-request-id");
    }
    out.headers.remove("x-forwarded-client-cert");
    if let Some(value) = client_cert {
        out.headers.append("x-forwarded-client-cert", &value);
    }
}

/// Headers that `connection` names; they are hop-by-hop.
fn connection_named(headers: &Headers, upgrade: bool) -> Vec<String> {
    if upgrade {
        return Vec::new();
    }
    let tokens = headers.all("connection").flat_map(|line| line.split(','));
    let named = tokens.map(|t| t.trim().to_ascii_lowercase());
    named.filter(|t| !t.is_empty() && !matches!(t.as_str(), "close" | "keep-alive" | "te")).collect()
}

/// Tracing: outbound hops tell the route's operation to the next hop, inbound hops take it in.
/// Envoy: source/common/http/conn_manager_impl.cc, `traceRequest`.
fn decorate_request(snapshot: &Snapshot, chain: ChainId, decision: &HttpDecision, out: &mut RequestHead) {
    match direction(snapshot, chain) {
        TrafficDirection::Inbound => out.headers.remove(DECORATOR),
        TrafficDirection::Outbound => {
            if let Some(route) = decision.route(snapshot).filter(|route| !route.decorator.is_empty()) {
                out.headers.set(DECORATOR, &route.decorator);
            }
        }
    }
}

const DECORATOR: &str = "x-envoy-decorator-operation";

fn direction(snapshot: &Snapshot, chain: ChainId) -> TrafficDirection {
    snapshot.listeners.get(chain.listener.index()).map_or(TrafficDirection::Outbound, |l| l.direction)
}

/// `x-envoy-expected-rq-timeout-ms` of the first attempt, and the rewritten `grpc-timeout`
/// (semantics: envoy-routing 4.4). What is left of it on retries depends on time and is the caller's.
fn announce_timeout(forward: &Forward, plan: &ForwardPlan, out: &mut RequestHead) {
    let expected: Nanos = if plan.per_try_timeout_ns > 0 { plan.per_try_timeout_ns } else { plan.timeout_ns };
    if expected == 0 {
        return;
    }
    let milliseconds = (expected / 1_000_000).max(1);
    out.headers.set("x-envoy-expected-rq-timeout-ms", &milliseconds.to_string());
    if out.is_grpc() && forward.max_grpc_timeout_ns.is_some() {
        out.headers.set("grpc-timeout", &format!("{milliseconds}m"));
    }
}

/// Response header mutations, `set-cookie`, CORS headers and `server` of an answer that leaves downstream.
///
/// `request` is the head that [`super::decide_http`] left, `sent` the one that went upstream: operators in response
/// headers see the request as it was rewritten (run 1.40). `upstream` is the status of an answer from there; `None`: a
/// local reply, made by [`super::local_reply_for`], which has applied the route's mutations.
pub fn finalize_response(
    snapshot: &Snapshot,
    chain: ChainId,
    decision: &HttpDecision,
    request: &RequestHead,
    sent: Option<&RequestHead>,
    response: &mut Headers,
    upstream: Option<u16>,
) {
    let Some(hcm) = snapshot.connection_manager(chain) else { return };
    let route = decision.route(snapshot);
    if let Some(status) = upstream {
        for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding"] {
            response.remove(name);
        }
        if let Some(route) = route {
            add_cookie(route, decision, response);
            mutate::response(snapshot, decision, sent.unwrap_or(request), status, response);
        }
    }
    if let Some(policy) = route.and_then(|r| r.cors.as_deref()).filter(|_| decision.cors_origin_allowed) {
        cors::answer(policy, request, response);
    }
    response.set("server", &hcm.server_name);
    match direction(snapshot, chain) {
        TrafficDirection::Outbound => response.remove(DECORATOR),
        // only when the request brought no operation of its own
        TrafficDirection::Inbound if request.headers.has(DECORATOR) => {}
        TrafficDirection::Inbound => {
            if let Some(route) = route.filter(|route| !route.decorator.is_empty()) {
                response.set(DECORATOR, &route.decorator);
            }
        }
    }
}

/// `name="<16 hex digits>"; Max-Age=60; Path=/; HttpOnly` (semantics: envoy-routing 3.11).
fn add_cookie(route: &Route, decision: &HttpDecision, response: &mut Headers) {
    let (RouteAction::Forward(forward), HttpOutcome::Forward(plan)) = (&route.action, &decision.outcome)
    else {
        return;
    };
    let Some(made) = plan.set_cookie else { return };
    let Some(HashPolicy::Cookie { name, ttl_ns, path, attributes }) =
        forward.hash_policy.get(made.policy as usize)
    else {
        return;
    };
    let mut text = format!("{name}=\"{:016x}\"", made.value);
    match ttl_ns.unwrap_or(0) / 1_000_000_000 {
        0 => {}
        seconds => text.push_str(&format!("; Max-Age={seconds}")),
    }
    if !path.is_empty() {
        text.push_str(&format!("; Path={path}"));
    }
    for (name, value) in attributes {
        let attribute = if value.is_empty() { format!("; {name}") } else { format!("; {name}={value}") };
        text.push_str(&attribute);
    }
    text.push_str("; HttpOnly");
    response.append("set-cookie", &text);
}
