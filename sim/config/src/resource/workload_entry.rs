//! `WorkloadEntry` and `WorkloadGroup` (networking.istio.io): workloads that are not pods.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::source::Span;

/// `spec` of a WorkloadEntry, and an inline endpoint of a ServiceEntry.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadEntry {
    /// IP, host name, or `unix:///path`.
    pub address: String,
    /// Port name to number.
    pub ports: BTreeMap<String, u32>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Network.
    pub network: String,
    /// `region/zone/subzone`.
    pub locality: String,
    /// Share; 0 is 1.
    pub weight: u32,
    /// Identity; with it the workload speaks mutual TLS.
    pub service_account: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// `spec` of a WorkloadGroup.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadGroup {
    /// Of the entries made from it.
    pub metadata: Option<WorkloadGroupMetadata>,
    /// Of the entries made from it.
    pub template: Option<WorkloadEntry>,
    /// Health check.
    pub probe: Option<ReadinessProbe>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Metadata of generated entries.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadGroupMetadata {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Health check of generated entries.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReadinessProbe {
    /// Before the first probe.
    pub initial_delay_seconds: i32,
    /// Of a probe.
    pub timeout_seconds: i32,
    /// Between probes.
    pub period_seconds: i32,
    /// Successes until ready.
    pub success_threshold: i32,
    /// Failures until unready.
    pub failure_threshold: i32,
    /// By HTTP.
    pub http_get: Option<HttpHealthCheckConfig>,
    /// By connecting.
    pub tcp_socket: Option<TcpHealthCheckConfig>,
    /// By a command.
    pub exec: Option<ExecHealthCheckConfig>,
    /// By gRPC.
    pub grpc: Option<GrpcHealthCheckConfig>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Health check by HTTP.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpHealthCheckConfig {
    /// Path.
    pub path: String,
    /// Port.
    pub port: u32,
    /// Host.
    pub host: String,
    /// Scheme.
    pub scheme: String,
    /// Headers.
    pub http_headers: Vec<HttpHeader>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A header.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpHeader {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Health check by connecting.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpHealthCheckConfig {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u32,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Health check by a command.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExecHealthCheckConfig {
    /// Command.
    pub command: Vec<String>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Health check by gRPC.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcHealthCheckConfig {
    /// Port.
    pub port: u32,
    /// Service name.
    pub service: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}
