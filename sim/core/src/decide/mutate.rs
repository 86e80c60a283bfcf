//! Request and response headers that routes add, set and remove (semantics: envoy-routing 3.7).
//!
//! Envoy: source/common/router/header_parser.cc, `evaluateHeaders`. Per level: lines are removed, then all values are
//! made of what is left, then headers are overwritten, then added.

use crate::decide::formatter::{Values, expand};
use crate::decide::{Downstream, ForwardPlan, HttpDecision, HttpOutcome, inline};
use crate::ids::Str;
use crate::ir::{
    AppendAction, ClusterSpecifier, Forward, HeaderAdd, HeaderMutations, Route, RouteAction, Snapshot,
    WeightedCluster,
};
use crate::request::{Headers, RequestHead};

/// The entry of a weighted route that was drawn.
pub(super) fn weighted_entry<'s>(forward: &'s Forward, plan: &ForwardPlan) -> Option<&'s WeightedCluster> {
    match &forward.cluster {
        ClusterSpecifier::Weighted(entries) => entries.get(plan.weighted? as usize),
        ClusterSpecifier::Cluster(_) => None,
    }
}

/// Mutations in Envoy's order: weighted entry, route, virtual host, route configuration.
pub(super) fn levels<'s>(
    snapshot: &'s Snapshot,
    decision: &HttpDecision,
    route: &'s Route,
    entry: Option<&'s WeightedCluster>,
) -> impl Iterator<Item = &'s HeaderMutations> {
    let config = decision.route_config.and_then(|at| snapshot.route_config(at));
    let virtual_host = decision.virtual_host(snapshot);
    let outer = virtual_host.map(|v| &v.headers).into_iter().chain(config.map(|c| &c.headers));
    entry.map(|e| &e.headers).into_iter().chain([&route.headers]).chain(outer)
}

/// One level of a request on its way upstream.
pub(super) fn request(
    level: &HeaderMutations,
    downstream: &Downstream,
    cluster: &str,
    route: &Route,
    out: &mut RequestHead,
) {
    for name in &level.request_remove {
        out.headers.remove(name);
    }
    if level.request_add.is_empty() {
        return;
    }
    let values = Values { downstream, request: out, response: None, status: 0, cluster, route: &route.name };
    let made = made(&level.request_add, &values);
    apply(&made, &mut out.headers);
    inline::join(&mut out.headers);
}

/// All levels of a response on its way downstream. `status` is what `%RESPONSE_CODE%` says: the answer's, 0 while a local
/// reply is made (run 1.40).
pub(super) fn response(
    snapshot: &Snapshot,
    decision: &HttpDecision,
    request: &RequestHead,
    status: u16,
    response: &mut Headers,
) {
    let Some(route) = decision.route(snapshot) else { return };
    let plan = match &decision.outcome {
        HttpOutcome::Forward(plan) => Some(plan),
        HttpOutcome::Reply(_) => None,
    };
    let forward = match &route.action {
        RouteAction::Forward(forward) => Some(forward.as_ref()),
        _ => None,
    };
    let entry = plan.zip(forward).and_then(|(plan, forward)| weighted_entry(forward, plan));
    let cluster = plan.and_then(|p| snapshot.clusters.get(p.cluster.index())).map_or("", |c| c.name.as_ref());
    for level in levels(snapshot, decision, route, entry) {
        for name in &level.response_remove {
            response.remove(name);
        }
        if level.response_add.is_empty() {
            continue;
        }
        let values = Values {
            downstream: &decision.downstream,
            request,
            response: Some(response),
            status,
            cluster,
            route: &route.name,
        };
        let made = made(&level.response_add, &values);
        apply(&made, response);
    }
}

/// What is added, with its values; what formats to empty is skipped.
fn made<'a>(adds: &'a [HeaderAdd], values: &Values<'_>) -> Vec<(&'a HeaderAdd, Str)> {
    let all = adds.iter().map(|add| (add, Str::from(expand(&add.value, values))));
    all.filter(|(_, value)| !value.is_empty()).collect()
}

fn apply(made: &[(&HeaderAdd, Str)], headers: &mut Headers) {
    let there: Vec<bool> = made.iter().map(|(add, _)| headers.has(&add.name)).collect();
    let lines = || made.iter().zip(&there);
    for ((add, value), there) in lines() {
        match add.action {
            AppendAction::OverwriteIfExistsOrAdd => headers.set(&add.name, value),
            AppendAction::OverwriteIfExists if *there => headers.set(&add.name, value),
            _ => {}
        }
    }
    for ((add, value), there) in lines() {
        match add.action {
            AppendAction::AppendIfExistsOrAdd => headers.append(&add.name, value),
            AppendAction::AddIfAbsent if !there => headers.append(&add.name, value),
            _ => {}
        }
    }
}
