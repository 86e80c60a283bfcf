//! `Pod` and pod templates, as far as the mesh looks at them.

use std::collections::BTreeMap;

use serde::Deserialize;

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
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
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
