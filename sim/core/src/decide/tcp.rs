//! One TCP connection through the network filters to a cluster.

use crate::cx::{Cx, Draws, Purpose, Step, TraceSink};
use crate::decide::authz::{Subject, any_match, authorizer_words, denial_details, run_rbac};
use crate::decide::hash::ip_hash;
use crate::decide::outcome::standing_taint;
use crate::decide::router::choose_weighted;
use crate::decide::{RbacLog, TcpDecision, TcpOutcome};
use crate::ids::{ChainId, OriginId, Str, Taint};
use crate::ir::{AuthorizerAnswer, FilterChain, NetworkFilter, Snapshot, TcpProxy, Terminal};
use crate::request::{Connection, Headers, Peer};

/// Network RBAC and the choice of the TCP proxy's cluster. On a chain that does not end in a TCP proxy there is no
/// cluster.
///
/// RBAC is judged at the client's first bytes (semantics: istio-security 4.10): a denial closes the connection then,
/// not at connect; a silent connection is never denied.
pub fn decide_tcp<D: Draws, S: TraceSink>(
    snapshot: &Snapshot,
    chain: ChainId,
    conn: &Connection,
    peer: &Peer,
    cx: &mut Cx<'_, D, S>,
) -> TcpDecision {
    let mut rbac_log = RbacLog::default();
    let Some(filter_chain) = snapshot.filter_chain(chain) else {
        return TcpDecision { outcome: TcpOutcome::NoCluster("".into()), rbac: rbac_log, taint: None };
    };
    let standing = standing_taint(snapshot, chain);
    let mut taint: Option<&Taint> = standing.as_ref();
    // the TCP proxy sees the connection before RBAC sees bytes
    let mut outcome = match &filter_chain.terminal {
        Terminal::Tcp(proxy) => pick(snapshot, proxy, conn, cx),
        Terminal::Http(_) => TcpOutcome::NoCluster("".into()),
    };
    if let TcpOutcome::Forward { cluster, weighted, hash } = outcome {
        taint = taint.or_else(|| snapshot.clusters.get(cluster.index())?.taints.first());
        let (denied, unmodelled) = filter(filter_chain, conn, peer, &mut rbac_log, cx.trace);
        taint = taint.or(unmodelled);
        if let Some((details, origin)) = denied {
            outcome = TcpOutcome::Denied { cluster, weighted, hash, details, origin };
        }
    }
    if let Some(taint) = taint {
        cx.trace.step(|| Step::Taint(taint.what.clone(), taint.origin));
    }
    TcpDecision { outcome, rbac: rbac_log, taint: taint.cloned() }
}

/// The network filters before the TCP proxy: the first denial with its details, and what is not modelled.
fn filter<'s, S: TraceSink>(
    filter_chain: &'s FilterChain,
    conn: &Connection,
    peer: &Peer,
    log: &mut RbacLog,
    trace: &mut S,
) -> (Option<(Str, OriginId)>, Option<&'s Taint>) {
    let no_headers = Headers::default();
    let remote = conn.source.ip();
    let subject = Subject { conn, peer, remote, headers: &no_headers, path_only: None, payload: None };
    let mut taint = None;
    for (position, filter) in filter_chain.network_filters.iter().enumerate() {
        match filter {
            NetworkFilter::Rbac(rbac) => {
                let result = run_rbac(rbac, position, &subject, log, trace);
                taint = taint.or(result.taint);
                if let Some(policy) = result.denied {
                    let origin = policy.map_or(OriginId::NONE, |policy| policy.origin);
                    return (Some((denial_details(policy).into(), origin)), taint);
                }
            }
            NetworkFilter::ExtAuthz(filter) => {
                if !any_match(&filter.when, &subject) {
                    continue;
                }
                let words = authorizer_words(&filter.answer);
                trace.step(|| Step::Filter("ext_authz".into(), words.into(), filter.origin));
                match &filter.answer {
                    AuthorizerAnswer::Allows | AuthorizerAnswer::Fails(None) => {}
                    AuthorizerAnswer::Denies(_) => {
                        return (Some(("ext_authz_denied".into(), filter.origin)), taint);
                    }
                    AuthorizerAnswer::Fails(Some(_)) => {
                        return (Some(("ext_authz_error".into(), filter.origin)), taint);
                    }
                    AuthorizerAnswer::Unknown(unknown) => taint = taint.or(Some(unknown)),
                }
            }
            NetworkFilter::Observer(_) => {}
            NetworkFilter::Unmodelled(unmodelled) => taint = taint.or(Some(unmodelled)),
        }
    }
    (None, taint)
}

fn pick<D: Draws, S: TraceSink>(
    snapshot: &Snapshot,
    proxy: &TcpProxy,
    conn: &Connection,
    cx: &mut Cx<'_, D, S>,
) -> TcpOutcome {
    let weight = |i: usize| proxy.clusters.get(i).map_or(0, |(_, weight)| *weight);
    let chosen = choose_weighted(proxy.clusters.len(), weight, |ends| {
        cx.draws.choose(Purpose::TcpWeightedCluster, ends)
    });
    let Some((name, own)) = proxy.clusters.get(chosen) else { return TcpOutcome::NoCluster("".into()) };
    let several = proxy.clusters.len() > 1;
    cx.trace.step(|| {
        let total = proxy.clusters.iter().map(|(_, weight)| u64::from(*weight)).sum();
        Step::Cluster(name.clone(), several.then_some((u64::from(*own), total)), proxy.origin)
    });
    match snapshot.cluster_by_name(name) {
        Some(cluster) => TcpOutcome::Forward {
            cluster,
            weighted: several.then_some(chosen as u32),
            hash: proxy.hash_source_ip.then(|| ip_hash(conn.source.ip())),
        },
        None => TcpOutcome::NoCluster(name.clone()),
    }
}
