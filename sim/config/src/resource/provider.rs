//! Extension providers of the mesh config: the external authorizers in full, the others by kind only.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::scalar::Duration;
use crate::source::Span;
use serde::de::IgnoredAny;

/// One provider; exactly one kind is given.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtensionProvider {
    /// Name.
    pub name: String,
    /// Authorizer by HTTP.
    pub envoy_ext_authz_http: Option<ExtAuthzHttp>,
    /// Authorizer by gRPC.
    pub envoy_ext_authz_grpc: Option<ExtAuthzGrpc>,
    /// Tracing.
    pub zipkin: Option<IgnoredAny>,
    /// Tracing.
    pub lightstep: Option<IgnoredAny>,
    /// Tracing.
    pub datadog: Option<IgnoredAny>,
    /// Telemetry.
    pub stackdriver: Option<IgnoredAny>,
    /// Tracing.
    pub opencensus: Option<IgnoredAny>,
    /// Tracing.
    pub skywalking: Option<IgnoredAny>,
    /// Tracing.
    pub opentelemetry: Option<IgnoredAny>,
    /// Metrics.
    pub prometheus: Option<IgnoredAny>,
    /// Access logs.
    pub envoy_file_access_log: Option<IgnoredAny>,
    /// Access logs.
    pub envoy_http_als: Option<IgnoredAny>,
    /// Access logs.
    pub envoy_tcp_als: Option<IgnoredAny>,
    /// Access logs.
    pub envoy_otel_als: Option<IgnoredAny>,
    /// Certificates.
    pub sds: Option<IgnoredAny>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// External authorizer by HTTP.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtAuthzHttp {
    /// `[namespace/]host`.
    pub service: String,
    /// Service port.
    pub port: u32,
    /// Of a check.
    pub timeout: Option<Duration>,
    /// Prefix of the path.
    pub path_prefix: String,
    /// Allow when it is unavailable.
    pub fail_open: bool,
    /// Route again after a check.
    pub clear_route_cache: bool,
    /// Status when it is unavailable.
    pub status_on_error: String,
    /// Deprecated form of `includeRequestHeadersInCheck`.
    pub include_headers_in_check: Vec<String>,
    /// Request headers sent along.
    pub include_request_headers_in_check: Vec<String>,
    /// Further headers sent along.
    pub include_additional_headers_in_check: BTreeMap<String, String>,
    /// Body sent along.
    pub include_request_body_in_check: Option<RequestBody>,
    /// Headers handed on.
    pub headers_to_upstream_on_allow: Vec<String>,
    /// Headers handed back.
    pub headers_to_downstream_on_deny: Vec<String>,
    /// Headers handed back.
    pub headers_to_downstream_on_allow: Vec<String>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// External authorizer by gRPC.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtAuthzGrpc {
    /// `[namespace/]host`.
    pub service: String,
    /// Service port.
    pub port: u32,
    /// Of a check.
    pub timeout: Option<Duration>,
    /// Allow when it is unavailable.
    pub fail_open: bool,
    /// Route again after a check.
    pub clear_route_cache: bool,
    /// Status when it is unavailable.
    pub status_on_error: String,
    /// Body sent along.
    pub include_request_body_in_check: Option<RequestBody>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Body sent along with a check.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestBody {
    /// Most of it.
    pub max_request_bytes: u32,
    /// Cut off rather than refuse.
    pub allow_partial_message: bool,
    /// Sent as bytes.
    pub pack_as_bytes: bool,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}
