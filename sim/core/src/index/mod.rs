//! Lookup structures over a snapshot, built once by [`Snapshot::seal`](crate::ir::Snapshot::seal).
//!
//! An index only narrows candidates: whether a route matches is decided by [`crate::matching`] alone, and a snapshot
//! without an index (never sealed) gives the same answers by scanning.

mod overlap;

use std::sync::Arc;

use crate::decide::RouteConfigRef;
use crate::index::overlap::has_overlapping_chains;
use crate::ir::{Listener, RouteConfiguration, VirtualHost};
use crate::matching::{RouteInput, find_virtual_host, route_matches};

/// The compiled lookups of one snapshot. Derived data: two indexes always compare equal.
#[derive(Debug, Clone, Default)]
pub struct SnapshotIndex {
    tables: Option<Arc<[RouteTable]>>,
    refused: Option<Arc<[bool]>>,
}

impl PartialEq for SnapshotIndex {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

/// The lookups of one route configuration.
#[derive(Debug)]
pub struct RouteTable {}

impl SnapshotIndex {
    /// Builds one table per RDS route configuration.
    #[must_use]
    pub fn build(listeners: &[Listener], routes: &[RouteConfiguration]) -> SnapshotIndex {
        SnapshotIndex {
            tables: Some(routes.iter().map(|_| RouteTable {}).collect()),
            refused: Some(listeners.iter().map(has_overlapping_chains).collect()),
        }
    }

    /// Whether Envoy refuses a listener for overlapping filter chains; the others work on.
    #[must_use]
    pub fn is_refused(&self, listener: usize, listeners: &[Listener]) -> bool {
        match &self.refused {
            Some(refused) => refused.get(listener).copied().unwrap_or(false),
            None => listeners.get(listener).is_some_and(has_overlapping_chains),
        }
    }

    /// The table of a route configuration; inlined ones are small and have none.
    #[must_use]
    pub fn route_table(&self, at: RouteConfigRef) -> Option<&RouteTable> {
        match at {
            RouteConfigRef::Rds(id) => self.tables.as_ref()?.get(id.index()),
            RouteConfigRef::Inline(_) => None,
        }
    }
}

impl RouteTable {
    /// Positions of the virtual host for an authority and of the domain that chose it.
    #[must_use]
    pub fn find_virtual_host(&self, config: &RouteConfiguration, authority: &str) -> Option<(u32, u32)> {
        find_virtual_host(config, authority)
    }

    /// Position of the first route that matches.
    #[must_use]
    pub fn find_route(
        &self,
        _virtual_host: u32,
        routes: &VirtualHost,
        input: &RouteInput<'_>,
    ) -> Option<u32> {
        routes.routes.iter().position(|r| route_matches(&r.matcher, input).is_ok()).map(|i| i as u32)
    }
}
