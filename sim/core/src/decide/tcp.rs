//! One TCP connection through the network filters to a cluster.

use crate::cx::{Cx, Draws, TraceSink};
use crate::decide::{RbacLog, TcpDecision, TcpOutcome};
use crate::ids::ChainId;
use crate::ir::{Snapshot, Terminal};
use crate::request::{Connection, Peer};

/// Network RBAC and the choice of the TCP proxy's cluster.
pub fn decide_tcp<D: Draws, S: TraceSink>(
    snapshot: &Snapshot,
    chain: ChainId,
    conn: &Connection,
    peer: &Peer,
    cx: &mut Cx<'_, D, S>,
) -> TcpDecision {
    let _ = (conn, peer, cx);
    let outcome = match snapshot.filter_chain(chain).map(|c| &c.terminal) {
        Some(Terminal::Tcp(proxy)) => match proxy.clusters.first() {
            Some((name, _)) => match snapshot.cluster_by_name(name) {
                Some(cluster) => TcpOutcome::Forward { cluster, weighted: None, hash: None },
                None => TcpOutcome::NoCluster(name.clone()),
            },
            None => TcpOutcome::NoCluster("".into()),
        },
        _ => TcpOutcome::NoCluster("".into()),
    };
    TcpDecision { outcome, rbac: RbacLog::default(), taint: None }
}
