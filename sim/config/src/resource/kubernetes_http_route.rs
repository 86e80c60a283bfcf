//! `HTTPRoute` of the Gateway API (gateway.networking.k8s.io), with the defaults of its CRD.

use serde::Deserialize;

use super::scalar::Duration;
use crate::source::Span;

/// `spec` of an HTTPRoute.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KubernetesHttpRoute {
    /// What the route is attached to.
    pub parent_refs: Vec<ParentReference>,
    /// Hosts, for parents that are Gateways.
    pub hostnames: Vec<String>,
    /// Rules.
    pub rules: Vec<Rule>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A parent of a route.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ParentReference {
    /// API group; absent is the Gateway API's own.
    pub group: Option<String>,
    /// Kind; absent is `Gateway`.
    pub kind: Option<String>,
    /// Namespace; absent is the route's.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// Only this port of the parent.
    pub port: Option<u32>,
    /// Only this section of the parent.
    pub section_name: Option<String>,
}

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    /// Shown in access logs.
    pub name: Option<String>,
    /// Alternatives; absent is every path.
    pub matches: Vec<Match>,
    /// What is done to requests and responses.
    pub filters: Vec<Filter>,
    /// Weighted destinations.
    pub backend_refs: Vec<BackendReference>,
    /// Timeouts.
    pub timeouts: Option<Timeouts>,
    /// Retries.
    pub retry: Option<Retry>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Conditions, all of them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Match {
    /// Path; absent is the prefix `/`.
    pub path: Option<PathMatch>,
    /// Headers.
    pub headers: Vec<NamedMatch>,
    /// Query parameters.
    pub query_params: Vec<NamedMatch>,
    /// Method.
    pub method: Option<String>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A path condition.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PathMatch {
    /// `PathPrefix` (default), `Exact`, `RegularExpression`.
    #[serde(rename = "type")]
    pub type_: Option<String>,
    /// Absent is `/`.
    pub value: Option<String>,
}

/// A condition on a header or query parameter.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NamedMatch {
    /// `Exact` (default), `RegularExpression`.
    #[serde(rename = "type")]
    pub type_: Option<String>,
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

/// Something done to requests or responses.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Filter {
    /// Which of the fields below.
    #[serde(rename = "type")]
    pub type_: String,
    /// Header changes towards the destination.
    pub request_header_modifier: Option<HeaderChanges>,
    /// Header changes towards the client.
    pub response_header_modifier: Option<HeaderChanges>,
    /// A copy of requests.
    pub request_mirror: Option<RequestMirror>,
    /// An answer instead of forwarding.
    pub request_redirect: Option<RequestRedirect>,
    /// Changes to path and authority.
    pub url_rewrite: Option<UrlRewrite>,
    /// Cross-origin rules.
    pub cors: Option<Cors>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Changes to one set of headers.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderChanges {
    /// Overwrite or add.
    pub set: Vec<Header>,
    /// Append.
    pub add: Vec<Header>,
    /// Remove.
    pub remove: Vec<String>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A header line.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Header {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

/// A mirror.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestMirror {
    /// Where to.
    pub backend_ref: BackendReference,
    /// Share in percent.
    pub percent: Option<u32>,
    /// Share as a fraction; wins over `percent`.
    pub fraction: Option<Fraction>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A fraction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Fraction {
    /// Above.
    pub numerator: i32,
    /// Below; absent is 100.
    pub denominator: Option<i32>,
}

/// A redirect.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestRedirect {
    /// `http` or `https`; absent keeps it.
    pub scheme: Option<String>,
    /// Absent keeps it.
    pub hostname: Option<String>,
    /// Absent keeps it.
    pub path: Option<PathModifier>,
    /// Absent: that of the scheme, or of the request without one.
    pub port: Option<u32>,
    /// 302 by default.
    pub status_code: Option<u32>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Changes to path and authority.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UrlRewrite {
    /// New authority.
    pub hostname: Option<String>,
    /// New path.
    pub path: Option<PathModifier>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A new path.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PathModifier {
    /// `ReplaceFullPath` or `ReplacePrefixMatch`.
    #[serde(rename = "type")]
    pub type_: String,
    /// The whole path.
    pub replace_full_path: Option<String>,
    /// The matched prefix.
    pub replace_prefix_match: Option<String>,
}

/// Cross-origin rules.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cors {
    /// Origins, with `*`.
    pub allow_origins: Vec<String>,
    /// Credentials allowed.
    pub allow_credentials: Option<bool>,
    /// Methods.
    pub allow_methods: Vec<String>,
    /// Request headers.
    pub allow_headers: Vec<String>,
    /// Response headers.
    pub expose_headers: Vec<String>,
    /// Seconds; 5 by default.
    pub max_age: Option<i64>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A weighted destination.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendReference {
    /// API group; absent or empty is the core's.
    pub group: Option<String>,
    /// Kind; absent is `Service`.
    pub kind: Option<String>,
    /// Namespace; absent is the route's.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// Port.
    pub port: Option<u32>,
    /// 1 by default.
    pub weight: Option<i32>,
    /// What is done to requests and responses of this destination.
    pub filters: Vec<Filter>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Timeouts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Timeouts {
    /// Of the whole request; 0 is none.
    pub request: Option<Duration>,
    /// Of each try; 0 is none.
    pub backend_request: Option<Duration>,
}

/// Retries.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Retry {
    /// Status codes that are retried.
    pub codes: Vec<u32>,
    /// 2 by default.
    pub attempts: Option<i32>,
    /// Base interval.
    pub backoff: Option<Duration>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}
