//! `VirtualService` (networking.istio.io): the resource, and its TLS and TCP routes. HTTP routes are in `http_route`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::http_route::{Destination, HttpRoute};
use crate::decode::Spanned;
use crate::source::Span;

/// `spec` of a VirtualService.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualService {
    /// Hosts the routes are for; empty for a delegate.
    pub hosts: Vec<Spanned<String>>,
    /// Gateways and `mesh`; absent means `mesh`.
    pub gateways: Vec<Spanned<String>>,
    /// HTTP routes, in order of precedence.
    pub http: Vec<HttpRoute>,
    /// Routes of TLS connections that are not terminated.
    pub tls: Vec<TlsRoute>,
    /// Routes of opaque connections.
    pub tcp: Vec<TcpRoute>,
    /// Namespaces that see it; absent means the mesh default.
    pub export_to: Vec<String>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Routes of TLS connections by SNI.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsRoute {
    /// Alternatives; at least one.
    #[serde(rename = "match")]
    pub match_: Vec<TlsMatchAttributes>,
    /// Weighted destinations.
    pub route: Vec<RouteDestination>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Routes of TCP connections.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpRoute {
    /// Alternatives; none matches everything.
    #[serde(rename = "match")]
    pub match_: Vec<L4MatchAttributes>,
    /// Weighted destinations.
    pub route: Vec<RouteDestination>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// One weighted destination of a TLS or TCP route.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteDestination {
    /// Where to.
    pub destination: Option<Destination>,
    /// Share; absent is 0.
    pub weight: i32,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// What a TCP route may look at; all of it must hold.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct L4MatchAttributes {
    /// Addresses or CIDRs dialled.
    pub destination_subnets: Vec<String>,
    /// Service port; 0 is any.
    pub port: u32,
    /// Not implemented by Istio.
    pub source_subnet: String,
    /// Labels of the client.
    pub source_labels: BTreeMap<String, String>,
    /// Replaces the gateways of the resource.
    pub gateways: Vec<String>,
    /// Namespace of the client.
    pub source_namespace: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// What a TLS route may look at; all of it must hold.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsMatchAttributes {
    /// Server names, wildcards allowed; required.
    pub sni_hosts: Vec<String>,
    /// Addresses or CIDRs dialled.
    pub destination_subnets: Vec<String>,
    /// Service port; 0 is any.
    pub port: u32,
    /// Labels of the client.
    pub source_labels: BTreeMap<String, String>,
    /// Replaces the gateways of the resource.
    pub gateways: Vec<String>,
    /// Namespace of the client.
    pub source_namespace: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}
