//! The conditions of one route (semantics: envoy-routing 2.1). The index and the linear scan both end here.

use crate::cx::Claim;
use crate::ir::RouteMatch;
use crate::matching::{HeaderSource, header_matches, metadata_matches, path_matches, query_matches};

/// What route conditions look at.
pub struct RouteInput<'a> {
    /// `:path` with its query.
    pub path: &'a str,
    /// `path` up to the query.
    pub path_only: &'a str,
    /// Headers as the filters see them.
    pub headers: &'a dyn HeaderSource,
    /// The verified token's payload, if the JWT filter has run.
    pub payload: Option<&'a Claim>,
}

/// The first condition that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteMiss {
    /// The path.
    Path,
    /// Header condition `i`.
    Header(usize),
    /// Query condition `i`.
    Query(usize),
    /// Metadata condition `i`.
    Metadata(usize),
}

/// Whether all conditions hold.
///
/// # Errors
/// The first one that does not.
pub fn route_matches(route: &RouteMatch, input: &RouteInput<'_>) -> Result<(), RouteMiss> {
    if !path_matches(&route.path, route.case_sensitive, input.path_only) {
        return Err(RouteMiss::Path);
    }
    if let Some(i) = route.headers.iter().position(|m| !header_matches(m, input.headers)) {
        return Err(RouteMiss::Header(i));
    }
    if let Some(i) = route.query.iter().position(|m| !query_matches(m, input.path)) {
        return Err(RouteMiss::Query(i));
    }
    if let Some(i) = route.metadata.iter().position(|m| !metadata_matches(m, input.payload)) {
        return Err(RouteMiss::Metadata(i));
    }
    Ok(())
}
