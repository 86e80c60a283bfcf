//! `PeerAuthentication` (security.istio.io): which inbound connections need mutual TLS.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::selector::MatchLabels;
use crate::source::Span;

/// `spec` of a PeerAuthentication.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PeerAuthentication {
    /// Pods it is for; absent is all of the namespace (root namespace: of the mesh).
    pub selector: Option<MatchLabels>,
    /// Mode of all ports.
    pub mtls: Option<MutualTls>,
    /// Mode by workload port, in decimal.
    pub port_level_mtls: BTreeMap<String, MutualTls>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A mode.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MutualTls {
    /// Mode; absent inherits.
    pub mode: MutualTlsMode,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Which inbound connections are accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum MutualTlsMode {
    /// Inherited.
    #[default]
    #[serde(rename = "UNSET")]
    Unset,
    /// Plaintext only.
    #[serde(rename = "DISABLE")]
    Disable,
    /// Both.
    #[serde(rename = "PERMISSIVE")]
    Permissive,
    /// Mutual TLS only.
    #[serde(rename = "STRICT")]
    Strict,
}
