//! Log lines: one per stream, session or refused connection, put into the request's record and into the counts.

use std::net::SocketAddr;

use mesh_core::Str;
use mesh_core::cx::TraceSink;
use mesh_core::decide::{RbacLog, RbacVerdict};
use mesh_core::ids::{ChainId, Nanos, OriginId};
use mesh_core::ir::{HttpFilter, NetworkFilter, RbacRules, Snapshot, Terminal};
use mesh_core::response::Flags;

use super::Sim;
use super::state::{ClusterIx, FirstHop, Lineage};
use crate::draws::Chance;
use crate::record::{Hop, LogKind, Side};
use crate::world::ProxyId;

/// A line with nothing known but its place.
pub(super) fn blank_hop(
    proxy: ProxyId,
    side: Side,
    kind: LogKind,
    line: Lineage,
    start_ns: Nanos,
    local: SocketAddr,
    remote: SocketAddr,
) -> Hop {
    Hop {
        proxy,
        side,
        kind,
        call: line.call,
        shadow: line.shadow,
        start_ns,
        duration_ns: 0,
        code: None,
        flags: Flags::NONE,
        details: None,
        connection_details: None,
        upstream_failure: None,
        downstream_failure: None,
        cluster: None,
        cluster_name: None,
        route: None,
        virtual_host: None,
        route_index: None,
        upstream_host: None,
        upstream_workload: None,
        method: None,
        authority: None,
        path: None,
        original_path: None,
        protocol: None,
        upstream_protocol: None,
        attempts: 0,
        bytes_received: 0,
        bytes_sent: 0,
        sni: None,
        tls: false,
        peer: None,
        upstream_tls: false,
        upstream_peer: None,
        listener: Str::default(),
        filter_chain: None,
        grpc_status: None,
        local,
        remote,
        rbac: None,
        rbac_shadow: None,
        origin: OriginId::NONE,
        timeout_ns: 0,
        retries: 0,
    }
}

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
    /// Reserves the place of a line that will be written later, so that lines stand in the order of their start.
    pub(super) fn reserve_hop(&mut self, line: Lineage) -> Option<u32> {
        if !self.keep_hops {
            return None;
        }
        let root = self.roots.get_mut(line.root)?;
        root.hops.push(None);
        Some(root.hops.len() as u32 - 1)
    }

    /// Fills a reserved place.
    pub(super) fn fill_hop(&mut self, line: Lineage, at: Option<u32>, hop: Hop) {
        let Some(at) = at else { return };
        if let Some(slot) = self.roots.get_mut(line.root).and_then(|r| r.hops.get_mut(at as usize)) {
            *slot = Some(hop);
        }
    }

    /// Writes a line that starts now.
    pub(super) fn write_hop(&mut self, line: Lineage, hop: Hop) {
        self.note_first(line, hop.side, hop.flags, None, hop.attempts);
        let at = self.reserve_hop(line);
        self.fill_hop(line, at, hop);
    }

    /// Notes what aggregates count of the client's first proxy; server lines count only when there is no other.
    pub(super) fn note_first(
        &mut self,
        line: Lineage,
        side: Side,
        flags: Flags,
        cluster: Option<ClusterIx>,
        attempts: u32,
    ) {
        if line.call != 0 || line.shadow {
            return;
        }
        let Some(root) = self.roots.get_mut(line.root) else { return };
        // The outermost line is written last (it waits for the inner ones), so later lines of the client's side win.
        if root.summary.first.is_none() || side != Side::Inbound {
            let cluster = if side == Side::Inbound { None } else { cluster };
            root.summary.first = Some(FirstHop { flags, cluster, attempts });
        }
    }
}

/// The policy behind a verdict of an HTTP or network RBAC filter.
fn policy_name(snapshot: &Snapshot, chain: ChainId, verdict: RbacVerdict) -> Option<Str> {
    let chain = snapshot.filter_chain(chain)?;
    let rules = |enforced: &Option<RbacRules>, shadow: &Option<RbacRules>| {
        let rules = if verdict.shadow { shadow.as_ref() } else { enforced.as_ref() }?;
        Some(rules.policies.get(verdict.policy? as usize)?.name.clone())
    };
    match &chain.terminal {
        Terminal::Http(hcm) => match hcm.http_filters.get(verdict.filter as usize)? {
            HttpFilter::Rbac(r) => rules(&r.rules, &r.shadow_rules),
            _ => None,
        },
        Terminal::Tcp(_) => match chain.network_filters.get(verdict.filter as usize)? {
            NetworkFilter::Rbac(r) => rules(&r.rules, &r.shadow_rules),
            _ => None,
        },
    }
}

/// Enforced and dry-run verdicts with policy names (`none` where no policy matched).
pub(super) fn rbac_names(snapshot: &Snapshot, chain: ChainId, log: &RbacLog) -> [Option<(Str, bool)>; 2] {
    let named = |verdict: Option<RbacVerdict>| {
        verdict.map(|v| (policy_name(snapshot, chain, v).unwrap_or_else(|| "none".into()), v.allowed))
    };
    [named(log.enforced), named(log.shadow_deny.or(log.shadow_allow))]
}
