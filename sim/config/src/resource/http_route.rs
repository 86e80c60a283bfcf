//! The action half of an HTTP route: where requests go and what is done to them on the way.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::http_match::{HttpMatchRequest, StringMatch};
use super::scalar::{Duration, Percent};
use crate::decode::Spanned;
use crate::source::Span;

/// One HTTP route of a VirtualService.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRoute {
    /// Shown in access logs.
    pub name: String,
    /// Alternatives; none matches everything and ends the list.
    #[serde(rename = "match")]
    pub match_: Vec<HttpMatchRequest>,
    /// Weighted destinations.
    pub route: Vec<HttpRouteDestination>,
    /// Answer with a redirect; wins over everything.
    pub redirect: Option<Box<HttpRedirect>>,
    /// Answer at once; wins over `route`.
    pub direct_response: Option<Box<HttpDirectResponse>>,
    /// Continue in another VirtualService.
    pub delegate: Option<Box<Delegate>>,
    /// Changes to path and authority.
    pub rewrite: Option<Box<HttpRewrite>>,
    /// Of the whole request with its retries; absent disables it.
    pub timeout: Option<Spanned<Duration>>,
    /// Absent means the mesh default; `{}` disables retries.
    pub retries: Option<Box<HttpRetry>>,
    /// Injected delay and abort.
    pub fault: Option<Box<HttpFaultInjection>>,
    /// Copy of requests, fire and forget.
    pub mirror: Option<Box<Destination>>,
    /// Several copies; excludes `mirror`.
    pub mirrors: Vec<HttpMirrorPolicy>,
    /// Deprecated form of `mirrorPercentage`.
    #[serde(alias = "mirror_percent")]
    pub mirror_percent: Option<u32>,
    /// Share mirrored; absent is all.
    pub mirror_percentage: Option<Percent>,
    /// Cross-origin rules.
    pub cors_policy: Option<Box<CorsPolicy>>,
    /// Header changes.
    pub headers: Option<Box<Headers>>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A service, subset and port.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Destination {
    /// Service name as written, to be resolved.
    pub host: String,
    /// Subset of a DestinationRule; empty is none.
    pub subset: String,
    /// Port; needed when it is not the obvious one.
    pub port: Option<PortSelector>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A port by number.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PortSelector {
    /// Number.
    pub number: u32,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// One weighted destination of an HTTP route.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteDestination {
    /// Where to.
    pub destination: Option<Destination>,
    /// Share; absent is 0, and ignored for a single destination.
    pub weight: i32,
    /// Header changes for this destination.
    pub headers: Option<Box<Headers>>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Reference to the VirtualService that continues.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Delegate {
    /// Name.
    pub name: String,
    /// Namespace; empty is that of the referring resource.
    pub namespace: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Header changes on the way there and back.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Headers {
    /// Towards the destination.
    pub request: Option<HeaderOperations>,
    /// Towards the client.
    pub response: Option<HeaderOperations>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Changes to one set of headers.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderOperations {
    /// Overwrite or add.
    pub set: BTreeMap<String, String>,
    /// Append.
    pub add: BTreeMap<String, String>,
    /// Remove; happens first.
    pub remove: Vec<String>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A redirect answer.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRedirect {
    /// New path.
    pub uri: String,
    /// New authority.
    pub authority: String,
    /// New port.
    pub port: Option<u32>,
    /// Where the port comes from instead.
    pub derive_port: Option<RedirectPortSelection>,
    /// `http` or `https`.
    pub scheme: String,
    /// Status; 0 is 301.
    pub redirect_code: u32,
    /// New prefix of the path.
    pub prefix_rewrite: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Where the port of a redirect comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum RedirectPortSelection {
    /// 80 for http, 443 for https.
    #[default]
    #[serde(rename = "FROM_PROTOCOL_DEFAULT")]
    FromProtocolDefault,
    /// The port the request came to.
    #[serde(rename = "FROM_REQUEST_PORT")]
    FromRequestPort,
}

/// An answer without upstream.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpDirectResponse {
    /// Status.
    pub status: u32,
    /// Body.
    pub body: Option<HttpBody>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A body, as text or base64.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpBody {
    /// Text.
    pub string: Option<String>,
    /// Bytes in base64.
    pub bytes: Option<String>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Changes to path and authority.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRewrite {
    /// Replaces the matched prefix, or the whole path for other matches.
    pub uri: String,
    /// Replaces the Host.
    pub authority: String,
    /// Replaces parts of the path.
    pub uri_regex_rewrite: Option<RegexRewrite>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A regex substitution.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RegexRewrite {
    /// RE2.
    #[serde(rename = "match")]
    pub match_: String,
    /// Replacement with `\\1` groups.
    pub rewrite: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Retry policy (semantics: istio-networking 3.9).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRetry {
    /// Retries after the first try; 0 or less disables.
    pub attempts: i32,
    /// Of each try.
    pub per_try_timeout: Option<Duration>,
    /// Comma-separated conditions; empty is the default list.
    pub retry_on: String,
    /// Prefer other priorities on retries.
    pub retry_remote_localities: Option<bool>,
    /// Avoid hosts already tried; default true.
    pub retry_ignore_previous_hosts: Option<bool>,
    /// Base interval; absent is Envoy's 25 ms.
    pub backoff: Option<Duration>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Cross-origin rules.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CorsPolicy {
    /// Deprecated exact origins.
    pub allow_origin: Vec<String>,
    /// Origins.
    pub allow_origins: Vec<StringMatch>,
    /// Methods.
    pub allow_methods: Vec<String>,
    /// Request headers.
    pub allow_headers: Vec<String>,
    /// Response headers.
    pub expose_headers: Vec<String>,
    /// Of preflight answers.
    pub max_age: Option<Duration>,
    /// Credentials allowed.
    pub allow_credentials: Option<bool>,
    /// What happens to preflights of other origins.
    pub unmatched_preflights: UnmatchedPreflights,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// What happens to preflights of other origins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum UnmatchedPreflights {
    /// As `FORWARD`.
    #[default]
    #[serde(rename = "UNSPECIFIED")]
    Unspecified,
    /// Sent on.
    #[serde(rename = "FORWARD")]
    Forward,
    /// Answered without headers.
    #[serde(rename = "IGNORE")]
    Ignore,
}

/// Injected faults.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpFaultInjection {
    /// Delay before forwarding.
    pub delay: Option<FaultDelay>,
    /// Answer instead of forwarding.
    pub abort: Option<FaultAbort>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Injected delay.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FaultDelay {
    /// Deprecated integer share.
    pub percent: i32,
    /// How long.
    pub fixed_delay: Option<Duration>,
    /// Not implemented by Istio.
    pub exponential_delay: Option<Duration>,
    /// Share; absent is 0.
    pub percentage: Option<Percent>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Injected answer.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FaultAbort {
    /// HTTP status.
    pub http_status: Option<i32>,
    /// gRPC status name or number.
    pub grpc_status: Option<String>,
    /// Not implemented by Istio.
    pub http2_error: Option<String>,
    /// Share; absent is 0.
    pub percentage: Option<Percent>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// One mirror.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpMirrorPolicy {
    /// Where to.
    pub destination: Option<Destination>,
    /// Share; absent is all.
    pub percentage: Option<Percent>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}
