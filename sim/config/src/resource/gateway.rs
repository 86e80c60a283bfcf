//! `Gateway` (networking.istio.io): the servers of gateway pods.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::tls::ServerTlsSettings;
use crate::decode::Spanned;
use crate::source::Span;

/// `spec` of a Gateway.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gateway {
    /// Servers.
    pub servers: Vec<Server>,
    /// Labels of the gateway pods, in any namespace; none is all of them.
    pub selector: BTreeMap<String, String>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// One server: a port, its hosts, its TLS.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Server {
    /// Port.
    pub port: Option<GatewayPort>,
    /// Address to listen on; empty is all.
    pub bind: String,
    /// `[namespace/]host`.
    pub hosts: Vec<Spanned<String>>,
    /// TLS.
    pub tls: Option<ServerTlsSettings>,
    /// Not implemented by Istio.
    pub default_endpoint: String,
    /// Names statistics only.
    pub name: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Port of a server.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayPort {
    /// Number.
    pub number: u32,
    /// `HTTP`, `HTTPS`, `GRPC`, `HTTP2`, `MONGO`, `TCP`, `TLS` …
    pub protocol: String,
    /// Name.
    pub name: String,
    /// Deprecated, without effect.
    pub target_port: u32,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}
