//! Lookup structures over a snapshot, built once by [`Snapshot::seal`](crate::ir::Snapshot::seal).
//!
//! An index only narrows candidates: whether a route matches is decided by [`crate::matching`] alone, and a snapshot
//! without an index (never sealed) gives the same answers by scanning.

mod hosts;
mod overlap;
mod paths;
mod table;

use std::sync::Arc;

use crate::decide::RouteConfigRef;
use crate::ids::{ChainId, ClusterId, RouteConfigId};
use crate::index::hosts::HostIndex;
use crate::index::overlap::has_overlapping_chains;
use crate::index::paths::PathIndex;
use crate::ir::{
    ClusterSpecifier, Listener, Route, RouteAction, RouteConfiguration, RouteSpecifier, Snapshot, Terminal,
    VirtualHost,
};
use crate::matching::{RouteInput, route_matches};

/// The compiled lookups of one snapshot. Derived data: two indexes always compare equal.
#[derive(Debug, Clone, Default)]
pub struct SnapshotIndex {
    tables: Option<Arc<Tables>>,
}

impl PartialEq for SnapshotIndex {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Tables {
    routes: Vec<RouteTable>,
    /// Per listener: refused by Envoy.
    refused: Vec<bool>,
    /// Port and position of every listener, sorted.
    ports: Vec<(u16, u32)>,
    /// Per listener: the route configuration of each chain, the default chain last.
    chain_routes: Vec<Vec<Option<RouteConfigId>>>,
}

/// The lookups of one route configuration.
#[derive(Debug)]
pub struct RouteTable {
    hosts: HostIndex,
    /// Per virtual host; none where scanning is as good.
    paths: Vec<Option<PathIndex>>,
    /// Per virtual host and route: where its clusters start in `targets`.
    target_starts: Vec<Vec<u32>>,
    targets: Vec<Option<ClusterId>>,
}

impl SnapshotIndex {
    /// Builds the lookups of a snapshot whose clusters and route configurations are sorted by name.
    #[must_use]
    pub fn build(snapshot: &Snapshot) -> SnapshotIndex {
        let tables = Tables {
            routes: snapshot.routes.iter().map(|config| RouteTable::new(config, snapshot)).collect(),
            refused: snapshot.listeners.iter().map(has_overlapping_chains).collect(),
            ports: listener_ports(&snapshot.listeners),
            chain_routes: snapshot.listeners.iter().map(|l| chain_routes(l, snapshot)).collect(),
        };
        SnapshotIndex { tables: Some(Arc::new(tables)) }
    }

    /// The table of a route configuration; inlined ones are small and have none.
    #[must_use]
    pub fn route_table(&self, at: RouteConfigRef) -> Option<&RouteTable> {
        match at {
            RouteConfigRef::Rds(id) => self.tables.as_ref()?.routes.get(id.index()),
            RouteConfigRef::Inline(_) => None,
        }
    }

    /// The RDS configuration of a chain, as known to the index; `None` when it must be looked up by name.
    #[must_use]
    pub fn chain_route(&self, chain: ChainId) -> Option<RouteConfigId> {
        let chains = self.tables.as_ref()?.chain_routes.get(chain.listener.index())?;
        match chain.chain {
            Some(i) => *chains.get(i as usize)?,
            None => *chains.last()?,
        }
    }

    /// Positions of the listeners on a port, ascending; `None` when all have to be looked at.
    #[must_use]
    pub fn listeners_on(&self, port: u16) -> Option<impl Iterator<Item = usize> + '_> {
        let ports = &self.tables.as_ref()?.ports;
        let start = ports.partition_point(|(p, _)| *p < port);
        let on_port = ports.get(start..).unwrap_or(&[]).iter().take_while(move |(p, _)| *p == port);
        Some(on_port.map(|(_, i)| *i as usize))
    }

    /// Whether Envoy refuses a listener for overlapping filter chains; the others work on.
    #[must_use]
    pub fn is_refused(&self, listener: usize, listeners: &[Listener]) -> bool {
        match &self.tables {
            Some(tables) => tables.refused.get(listener).copied().unwrap_or(false),
            None => listeners.get(listener).is_some_and(has_overlapping_chains),
        }
    }
}

fn listener_ports(listeners: &[Listener]) -> Vec<(u16, u32)> {
    let mut ports: Vec<(u16, u32)> = listeners.iter().zip(0u32..).map(|(l, i)| (l.port, i)).collect();
    ports.sort_unstable();
    ports
}

fn chain_routes(listener: &Listener, snapshot: &Snapshot) -> Vec<Option<RouteConfigId>> {
    let of = |terminal: &Terminal| match terminal {
        Terminal::Http(hcm) => match &hcm.route_specifier {
            RouteSpecifier::Rds(name) => snapshot.route_config_by_name(name),
            RouteSpecifier::Inline(_) => None,
        },
        Terminal::Tcp(_) => None,
    };
    let default = listener.default_filter_chain.as_ref().and_then(|c| of(&c.terminal));
    listener.filter_chains.iter().map(|c| of(&c.terminal)).chain([default]).collect()
}

impl RouteTable {
    fn new(config: &RouteConfiguration, snapshot: &Snapshot) -> RouteTable {
        let mut targets = vec![];
        let starts = |host: &VirtualHost| {
            let start = |route: &Route| {
                let start = targets.len() as u32;
                targets.extend(cluster_names(route).map(|name| snapshot.cluster_by_name(name)));
                start
            };
            host.routes.iter().map(start).collect()
        };
        let target_starts = config.virtual_hosts.iter().map(starts).collect();
        RouteTable {
            hosts: HostIndex::new(config),
            paths: config.virtual_hosts.iter().map(|v| PathIndex::new(&v.routes)).collect(),
            target_starts,
            targets,
        }
    }

    /// Positions of the virtual host for an authority and of the domain that chose it.
    #[must_use]
    pub fn find_virtual_host(&self, config: &RouteConfiguration, authority: &str) -> Option<(u32, u32)> {
        self.hosts.find(config, authority)
    }

    /// Position of the first route that matches.
    #[must_use]
    pub fn find_route(&self, position: u32, host: &VirtualHost, input: &RouteInput<'_>) -> Option<u32> {
        match self.paths.get(position as usize) {
            Some(Some(index)) => index.find(&host.routes, input),
            _ => {
                let matches = |r: &Route| route_matches(&r.matcher, input).is_ok();
                host.routes.iter().position(matches).map(|i| i as u32)
            }
        }
    }

    /// The cluster of a route's plain or `entry`-th weighted destination; `None` when it does not exist.
    #[must_use]
    pub fn target(&self, virtual_host: u32, route: u32, entry: u32) -> Option<ClusterId> {
        let start = self.target_starts.get(virtual_host as usize)?.get(route as usize)?;
        *self.targets.get((start + entry) as usize)?
    }
}

fn cluster_names(route: &Route) -> impl Iterator<Item = &str> {
    let forward = match &route.action {
        RouteAction::Forward(forward) => Some(&forward.cluster),
        _ => None,
    };
    let (one, many) = match forward {
        Some(ClusterSpecifier::Cluster(name)) => (Some(name), &[][..]),
        Some(ClusterSpecifier::Weighted(entries)) => (None, entries.as_slice()),
        None => (None, &[][..]),
    };
    one.into_iter().map(AsRef::as_ref).chain(many.iter().map(|entry| entry.name.as_ref()))
}
