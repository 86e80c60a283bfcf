//! Kubernetes `Service`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::scalar::IntOrString;
use crate::source::Span;

/// `spec` of a Service.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    /// `ClusterIP` (default), `NodePort`, `LoadBalancer`, `ExternalName`.
    #[serde(rename = "type")]
    pub type_: String,
    /// Address; `None` is headless, empty is assigned.
    #[serde(rename = "clusterIP")]
    pub cluster_ip: String,
    /// Addresses of both families.
    #[serde(rename = "clusterIPs")]
    pub cluster_ips: Vec<String>,
    /// Target of an `ExternalName` service.
    pub external_name: String,
    /// Further addresses that reach it.
    #[serde(rename = "externalIPs")]
    pub external_ips: Vec<String>,
    /// Address asked of the load balancer.
    #[serde(rename = "loadBalancerIP")]
    pub load_balancer_ip: String,
    /// Labels of its pods; none means endpoints are given apart.
    pub selector: Option<BTreeMap<String, String>>,
    /// Ports.
    pub ports: Vec<ServicePort>,
    /// Unready endpoints count as ready.
    pub publish_not_ready_addresses: bool,
    /// `Local` keeps traffic on the node.
    pub internal_traffic_policy: String,
    /// `Local` keeps outside traffic on the node.
    pub external_traffic_policy: String,
    /// `PreferClose`, `PreferSameZone`, `PreferSameNode`.
    pub traffic_distribution: String,
    /// `ClientIP` makes kube-proxy sticky.
    pub session_affinity: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// One port of a Service.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    /// Name.
    pub name: String,
    /// `TCP` (default), `UDP`, `SCTP`.
    pub protocol: String,
    /// Protocol, instead of the name.
    pub app_protocol: Option<String>,
    /// Number.
    pub port: u32,
    /// Port of the pods, by number or name; absent is `port`.
    pub target_port: Option<IntOrString>,
    /// Port of the nodes.
    pub node_port: u32,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}
