//! Kubernetes `Node`: its labels are the locality of its pods.

use serde::Deserialize;

use crate::source::Span;
use serde::de::IgnoredAny;

/// `spec` of a Node.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Node {
    /// Not looked at.
    #[serde(rename = "podCIDR")]
    pub pod_cidr: String,
    /// Not looked at.
    #[serde(rename = "providerID")]
    pub provider_id: String,
    /// Not looked at.
    pub taints: Option<IgnoredAny>,
    /// Not looked at.
    pub unschedulable: bool,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}
