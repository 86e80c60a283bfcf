//! One HTTP request through the connection manager and its filters, up to the choice of the cluster.

use crate::cx::{Cx, Draws, TraceSink};
use crate::decide::{ForwardPlan, HttpDecision, HttpOutcome, RbacLog};
use crate::ids::{ChainId, OriginId, RouteId};
use crate::ir::{ClusterSpecifier, RouteAction, Snapshot};
use crate::request::{Connection, Peer, RequestHead};
use crate::response::{Flags, LocalReply, ResponseFlag};

/// Everything the connection manager and its filters do, up to (and including) the choice of the cluster.
///
/// `head` may be changed: path normalization, headers that the JWT filter adds or removes. Every random choice is
/// drawn through `cx`.
pub fn decide_http<D: Draws, S: TraceSink>(
    snapshot: &Snapshot,
    chain: ChainId,
    conn: &Connection,
    peer: &Peer,
    head: &mut RequestHead,
    cx: &mut Cx<'_, D, S>,
) -> HttpDecision {
    let _ = (conn, peer, head, cx);
    let mut decision = HttpDecision {
        route_config: snapshot.route_config_of(chain),
        virtual_host: None,
        route: None,
        delay_ns: 0,
        outcome: HttpOutcome::Reply(LocalReply::new(
            404,
            "route_not_found",
            "",
            Some(ResponseFlag::NR),
            OriginId::NONE,
        )),
        rbac: RbacLog::default(),
        taint: None,
        flags: Flags::NONE,
        cors_origin_allowed: false,
    };
    let Some(config) = decision.route_config.and_then(|at| snapshot.route_config(at)) else {
        return decision;
    };
    let Some(route) = config.virtual_hosts.first().and_then(|v| v.routes.first()) else { return decision };
    decision.virtual_host = Some(0);
    decision.route = Some(RouteId { virtual_host: 0, route: 0 });
    if let RouteAction::Forward(forward) = &route.action
        && let ClusterSpecifier::Cluster(name) = &forward.cluster
        && let Some(cluster) = snapshot.cluster_by_name(name)
    {
        decision.outcome = HttpOutcome::Forward(ForwardPlan {
            cluster,
            weighted: None,
            timeout_ns: forward.timeout_ns,
            per_try_timeout_ns: 0,
            hash: None,
            mirrors: 0,
            set_cookie: None,
        });
    }
    decision
}

/// The answer to bytes that are no HTTP on a chain whose terminal filter is the connection manager
/// (semantics: envoy-routing 9.4).
#[must_use]
pub fn not_http() -> LocalReply {
    let mut reply =
        LocalReply::new(400, "http1.codec_error", "Bad Request", Some(ResponseFlag::DPE), OriginId::NONE);
    reply.close = true;
    reply
}
