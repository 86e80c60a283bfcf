//! The router filter up to the choice of the cluster (semantics: envoy-routing 3.1 to 3.6, 4.2).

use crate::cx::{Cx, Draws, Purpose, Step, TraceSink};
use crate::decide::ForwardPlan;
use crate::decide::hash::hash_of;
use crate::decide::redirect::{location, ssl_location};
use crate::decide::resolve::{Resolved, Target};
use crate::decide::view::Hop;
use crate::ids::{ClusterId, Nanos, OriginId, Str};
use crate::ir::{ClusterSpecifier, DirectResponse, Forward, Mirror, Route, RouteAction, Snapshot};
use crate::request::RequestHead;
use crate::response::{LocalReply, ResponseFlag};

/// The plan to forward, or the router's own reply.
pub(super) fn run<D: Draws, S: TraceSink>(
    snapshot: &Snapshot,
    hop: &Hop<'_>,
    head: &RequestHead,
    resolved: &Resolved<'_>,
    cx: &mut Cx<'_, D, S>,
) -> Result<ForwardPlan, LocalReply> {
    let not_found = |details| LocalReply::new(404, details, "", Some(ResponseFlag::NR), OriginId::NONE);
    let route = match resolved.target {
        Target::NoConfig => return Err(not_found("route_configuration_not_found")),
        Target::NoRoute => return Err(not_found("route_not_found")),
        Target::SslRedirect => {
            let origin = resolved.virtual_host.map_or(OriginId::NONE, |(_, v)| v.origin);
            return Err(redirect_reply(301, ssl_location(head), origin));
        }
        Target::Route(route) => route,
    };
    match &route.action {
        RouteAction::Forward(forward) => plan(snapshot, hop, head, resolved, route, forward, cx),
        RouteAction::Redirect(redirect) => {
            let to = location(route, redirect, hop.scheme(head), head);
            Err(redirect_reply(redirect.status, to, route.action_origin))
        }
        RouteAction::DirectResponse(direct) => {
            Err(direct_reply(direct, hop.scheme(head), head, route.action_origin))
        }
        RouteAction::None => Err(no_cluster(503, route.action_origin)),
    }
}

fn redirect_reply(status: u16, location: String, origin: OriginId) -> LocalReply {
    let mut reply = LocalReply::new(status, "direct_response", "", None, origin);
    reply.headers.push(("location".into(), location.into()));
    reply
}

/// 201 and 3xx also carry the request's own URL.
fn direct_reply(direct: &DirectResponse, scheme: &str, head: &RequestHead, origin: OriginId) -> LocalReply {
    let mut reply = LocalReply::new(direct.status, "direct_response", &direct.body, None, origin);
    if direct.status == 201 || (300..400).contains(&direct.status) {
        let host = head.authority.as_deref().unwrap_or("");
        reply.headers.push(("location".into(), format!("{scheme}://{host}{}", head.path).into()));
    }
    reply
}

fn no_cluster(status: u16, origin: OriginId) -> LocalReply {
    LocalReply::new(status, "cluster_not_found", "", Some(ResponseFlag::NC), origin)
}

fn plan<D: Draws, S: TraceSink>(
    snapshot: &Snapshot,
    hop: &Hop<'_>,
    head: &RequestHead,
    resolved: &Resolved<'_>,
    route: &Route,
    forward: &Forward,
    cx: &mut Cx<'_, D, S>,
) -> Result<ForwardPlan, LocalReply> {
    let (cluster, weighted) = pick_cluster(snapshot, resolved, route, forward, cx)?;
    let timeout_ns = global_timeout(forward, head);
    let per_try = forward.retry.as_ref().map_or(0, |retry| retry.per_try_timeout_ns);
    // a per-try timeout that cannot fire first is dropped
    let per_try_timeout_ns = if timeout_ns != 0 && per_try >= timeout_ns { 0 } else { per_try };
    let (hash, set_cookie) = hash_of(&forward.hash_policy, hop, head);
    let mirrors = draw_mirrors(&forward.mirrors, cx);
    Ok(ForwardPlan { cluster, weighted, timeout_ns, per_try_timeout_ns, hash, mirrors, set_cookie })
}

fn pick_cluster<D: Draws, S: TraceSink>(
    snapshot: &Snapshot,
    resolved: &Resolved<'_>,
    route: &Route,
    forward: &Forward,
    cx: &mut Cx<'_, D, S>,
) -> Result<(ClusterId, Option<u32>), LocalReply> {
    let (name, weighted, origin): (&Str, Option<u32>, OriginId) = match &forward.cluster {
        ClusterSpecifier::Cluster(name) => (name, None, route.action_origin),
        ClusterSpecifier::Weighted(entries) => {
            let chosen = choose_weighted(
                entries.len(),
                |i| entries.get(i).map_or(0, |e| e.weight),
                |ends| cx.draws.choose(Purpose::WeightedCluster, ends),
            );
            match entries.get(chosen) {
                Some(entry) => (&entry.name, Some(chosen as u32), entry.origin),
                None => return Err(no_cluster(forward.cluster_not_found_status, route.action_origin)),
            }
        }
    };
    let id = cluster_id(snapshot, resolved, weighted.unwrap_or(0), name);
    cx.trace.step(|| Step::Cluster(name.clone(), share(forward, weighted), origin));
    match id {
        Some(id) => Ok((id, weighted)),
        None => Err(no_cluster(forward.cluster_not_found_status, origin)),
    }
}

/// The cluster of a destination, from the index where there is one.
fn cluster_id(snapshot: &Snapshot, resolved: &Resolved<'_>, entry: u32, name: &str) -> Option<ClusterId> {
    let table = resolved.at.and_then(|at| snapshot.index.route_table(at));
    match (table, resolved.virtual_host, resolved.route) {
        (Some(table), Some((v, _)), Some(route)) => table.target(v, route, entry),
        _ => snapshot.cluster_by_name(name),
    }
}

/// Weight and total of a weighted entry.
fn share(forward: &Forward, weighted: Option<u32>) -> Option<(u64, u64)> {
    let ClusterSpecifier::Weighted(entries) = &forward.cluster else { return None };
    let weight = entries.get(weighted? as usize)?.weight;
    Some((u64::from(weight), entries.iter().map(|e| u64::from(e.weight)).sum()))
}

/// Entries that fit on the stack; a draw over more allocates.
const INLINE_ENTRIES: usize = 32;

/// Envoy walks cumulative intervals in configuration order; an entry of weight 0 has an empty one and is never
/// picked. Envoy: source/common/router/weighted_cluster_specifier.cc, `pickWeightedCluster`.
pub(super) fn choose_weighted(
    count: usize,
    weight: impl Fn(usize) -> u32,
    choose: impl FnOnce(&[u64]) -> usize,
) -> usize {
    if count == 1 {
        return 0;
    }
    let mut total = 0u64;
    let mut next_end = |i: usize| {
        total += u64::from(weight(i));
        total
    };
    if count <= INLINE_ENTRIES {
        let mut ends = [0u64; INLINE_ENTRIES];
        for (i, end) in ends.iter_mut().enumerate().take(count) {
            *end = next_end(i);
        }
        return choose(ends.get(..count).unwrap_or(&ends));
    }
    let ends: Vec<u64> = (0..count).map(next_end).collect();
    choose(&ends)
}

/// semantics: envoy-routing 4.2. No request is internal, so control headers never reach this point.
fn global_timeout(forward: &Forward, head: &RequestHead) -> Nanos {
    if forward.max_stream_duration_ns.is_some() {
        return 0;
    }
    match forward.max_grpc_timeout_ns {
        Some(cap) if head.is_grpc() => {
            let asked = head.headers.first("grpc-timeout").and_then(parse_grpc_timeout).unwrap_or(0);
            match (asked, cap) {
                (0, limit) | (limit, 0) => limit,
                (asked, cap) => asked.min(cap),
            }
        }
        _ => forward.timeout_ns,
    }
}

/// `100m`, `10S`: up to eight digits and a unit; Envoy keeps milliseconds, microseconds and nanoseconds round up.
/// Envoy: source/common/grpc/common.cc, `getGrpcTimeout`.
fn parse_grpc_timeout(text: &str) -> Option<Nanos> {
    let unit = text.chars().last()?;
    let digits = text.strip_suffix(unit)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    let milliseconds = match unit {
        'H' => amount * 3_600_000,
        'M' => amount * 60_000,
        'S' => amount * 1_000,
        'm' => amount,
        'u' => amount.div_ceil(1_000),
        'n' => amount.div_ceil(1_000_000),
        _ => return None,
    };
    Some(milliseconds * 1_000_000)
}

fn draw_mirrors<D: Draws, S: TraceSink>(mirrors: &[Mirror], cx: &mut Cx<'_, D, S>) -> u64 {
    let mut fired = 0;
    for (i, mirror) in mirrors.iter().enumerate().take(64) {
        if cx.draws.happens(Purpose::Mirror(i as u16), mirror.per_million) {
            fired |= 1 << i;
            cx.trace.step(|| Step::Note(format!("mirrored to {}", mirror.cluster).into()));
        }
    }
    fired
}
