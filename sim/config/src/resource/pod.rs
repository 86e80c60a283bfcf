//! `Pod` and pod templates, as far as the mesh looks at them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::scalar::IntOrString;
use crate::source::Span;

/// `spec` of a Pod.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// Identity; empty is `default`.
    pub service_account_name: String,
    /// Deprecated form of `serviceAccountName`.
    pub service_account: String,
    /// Containers.
    pub containers: Vec<Container>,
    /// Init containers; with `restartPolicy: Always` they are native sidecars.
    pub init_containers: Vec<Container>,
    /// Uses the node's network: never injected.
    pub host_network: bool,
    /// Name below `subdomain`.
    pub hostname: String,
    /// Headless service that names the pod.
    pub subdomain: String,
    /// Node it runs on.
    pub node_name: String,
    /// Labels of the nodes it may run on.
    pub node_selector: BTreeMap<String, String>,
    /// How long it may go on once it is told to end, seconds; `None` = Kubernetes' 30.
    pub termination_grace_period_seconds: Option<i64>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// One container.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Name.
    pub name: String,
    /// Image.
    pub image: String,
    /// Declared ports.
    pub ports: Vec<ContainerPort>,
    /// `Always` makes an init container a native sidecar.
    pub restart_policy: String,
    /// Environment.
    pub env: Vec<EnvVar>,
    /// Arguments.
    pub args: Vec<String>,
    /// Whether the container must be restarted.
    pub liveness_probe: Option<Probe>,
    /// Whether the pod gets traffic.
    pub readiness_probe: Option<Probe>,
    /// Whether the container has started.
    pub startup_probe: Option<Probe>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// What the kubelet asks, of which one is given.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Probe {
    /// A GET.
    pub http_get: Option<HttpGet>,
    /// A call of the gRPC health service.
    pub grpc: Option<GrpcProbe>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// `httpGet` of a probe.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpGet {
    /// Path; empty is `/`.
    pub path: String,
    /// Port of the container, by number or name.
    pub port: Option<IntOrString>,
    /// `HTTP` (default) or `HTTPS`.
    pub scheme: String,
}

/// `grpc` of a probe.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcProbe {
    /// Port of the container.
    pub port: u32,
}

/// One declared port.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort {
    /// Name.
    pub name: String,
    /// Number.
    pub container_port: u32,
    /// `TCP` (default) or `UDP`.
    pub protocol: String,
    /// Port of the node.
    pub host_port: u32,
    /// Address of the node.
    #[serde(rename = "hostIP")]
    pub host_ip: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// One environment variable.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvVar {
    /// Name.
    pub name: String,
    /// Value; empty when it comes from elsewhere.
    pub value: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A pod template.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodTemplate {
    /// Metadata of the pods.
    pub metadata: TemplateMeta,
    /// Spec of the pods.
    pub spec: PodSpec,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Metadata of a pod template.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TemplateMeta {
    /// Not looked at.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}
