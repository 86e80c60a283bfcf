//! RDS: virtual hosts, routes, actions.

use super::filters::{Cors, Fault};
use super::matcher::{HeaderMatcher, MetadataMatcher, QueryMatcher};
use crate::ids::{Nanos, OriginId, Str, Taint};
use crate::re2::Regex;

/// A route configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteConfiguration {
    /// `9080`, `http.8080`, `inbound|9080||` …
    pub name: Str,
    /// Virtual hosts in istiod's order.
    pub virtual_hosts: Vec<VirtualHost>,
    /// Istio sets it on sidecar and gateway routes.
    pub ignore_port_in_host_matching: bool,
    /// Response headers etc. at this level.
    pub headers: HeaderMutations,
}

/// A virtual host.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualHost {
    /// `reviews.default.svc.cluster.local:9080`
    pub name: Str,
    /// In order.
    pub domains: Vec<Str>,
    /// First match wins.
    pub routes: Vec<Route>,
    /// `require_tls: ALL`
    pub require_tls: bool,
    /// `x-envoy-attempt-count` upstream.
    pub include_request_attempt_count: bool,
    /// Mutations at this level.
    pub headers: HeaderMutations,
    /// VirtualService or Service.
    pub origin: OriginId,
}

/// A route.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// `%ROUTE_NAME%`; empty if unnamed.
    pub name: Str,
    /// Conditions.
    pub matcher: RouteMatch,
    /// What to do.
    pub action: RouteAction,
    /// Request and response header mutations of the route.
    pub headers: HeaderMutations,
    /// `decorator.operation`: `reviews.default.svc.cluster.local:9080/*`; travels as `x-envoy-decorator-operation` and is
    /// seen by applications without sidecar. Empty = none.
    pub decorator: Str,
    /// `typed_per_filter_config` fault.
    pub fault: Option<Box<Fault>>,
    /// `typed_per_filter_config` cors.
    pub cors: Option<Box<Cors>>,
    /// Not modelled parts of the YAML behind this route.
    pub taints: Vec<Taint>,
    /// The match (or, without one, the http route) in the YAML.
    pub origin: OriginId,
    /// The http route's destination block or other action.
    pub action_origin: OriginId,
}

/// Conditions of a route, all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteMatch {
    /// The path condition.
    pub path: PathMatch,
    /// Honoured by all but regexes.
    pub case_sensitive: bool,
    /// Header conditions.
    pub headers: Vec<HeaderMatcher>,
    /// Query conditions.
    pub query: Vec<QueryMatcher>,
    /// JWT claims (gateways).
    pub metadata: Vec<MetadataMatcher>,
}

/// Path condition (semantics: envoy-routing 2.2).
#[derive(Debug, Clone, PartialEq)]
pub enum PathMatch {
    /// Textual prefix.
    Prefix(Str),
    /// Equal.
    Path(Str),
    /// Segment-wise prefix.
    PathSeparatedPrefix(Str),
    /// RE2, whole path.
    Regex(Regex),
}

/// What a route does.
#[derive(Debug, Clone, PartialEq)]
pub enum RouteAction {
    /// Forward to a cluster.
    Forward(Box<Forward>),
    /// 3xx.
    Redirect(Box<Redirect>),
    /// Local answer.
    DirectResponse(DirectResponse),
    /// No action (VirtualService redirect codes that Envoy lacks).
    None,
}

/// `direct_response`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectResponse {
    /// 200–599.
    pub status: u16,
    /// Body bytes.
    pub body: Str,
}

/// `redirect`.
#[derive(Debug, Clone, PartialEq)]
pub struct Redirect {
    /// 301, 302, 303, 307, 308.
    pub status: u16,
    /// `host_redirect`; empty = keep.
    pub host: Str,
    /// Path option.
    pub path: RedirectPath,
    /// `scheme_redirect`; empty = keep.
    pub scheme: Str,
    /// `https_redirect`
    pub https: bool,
    /// `port_redirect`; 0 = keep.
    pub port: u16,
    /// `strip_query`
    pub strip_query: bool,
}

/// Path option of a redirect.
#[derive(Debug, Clone, PartialEq)]
pub enum RedirectPath {
    /// Unchanged.
    Keep,
    /// Replaced.
    Full(Str),
    /// `prefix_rewrite`
    Prefix(Str),
    /// `regex_rewrite` with substitution.
    Regex(Regex, Str),
}

/// `route` action.
#[derive(Debug, Clone, PartialEq)]
pub struct Forward {
    /// Where to.
    pub cluster: ClusterSpecifier,
    /// Status when the cluster does not exist: 503 (VirtualService), 500 (Gateway API).
    pub cluster_not_found_status: u16,
    /// Route timeout, ns; 0 = off.
    pub timeout_ns: Nanos,
    /// `max_grpc_timeout`, ns; `None` = not set, 0 = the client's value without cap.
    pub max_grpc_timeout_ns: Option<Nanos>,
    /// `max_stream_duration`, ns; `None` = not set (inbound routes set 0: the route timeout is then ignored).
    pub max_stream_duration_ns: Option<Nanos>,
    /// Retries; `None` = no policy.
    pub retry: Option<RetryPolicy>,
    /// Path rewrite.
    pub path_rewrite: PathRewrite,
    /// Host rewrite.
    pub host_rewrite: HostRewrite,
    /// Mirrors.
    pub mirrors: Vec<Mirror>,
    /// Hash inputs in order.
    pub hash_policy: Vec<HashPolicy>,
}

/// Cluster choice of a route.
#[derive(Debug, Clone, PartialEq)]
pub enum ClusterSpecifier {
    /// One cluster.
    Cluster(Str),
    /// Weighted clusters; weights need not sum to 100.
    Weighted(Vec<WeightedCluster>),
}

/// One entry of `weighted_clusters`.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedCluster {
    /// Cluster name.
    pub name: Str,
    /// Relative weight.
    pub weight: u32,
    /// Mutations of this destination.
    pub headers: HeaderMutations,
    /// `host_rewrite_literal` of the entry; empty = none.
    pub host_rewrite: Str,
    /// The destination in the YAML.
    pub origin: OriginId,
}

/// Header mutations of one level. Removals run before additions (semantics: envoy-routing 3.7).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderMutations {
    /// Request headers to remove.
    pub request_remove: Vec<Str>,
    /// Request headers to add, in istiod's order.
    pub request_add: Vec<HeaderAdd>,
    /// Response headers to remove.
    pub response_remove: Vec<Str>,
    /// Response headers to add.
    pub response_add: Vec<HeaderAdd>,
}

/// One `HeaderValueOption`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderAdd {
    /// Lower-case name.
    pub name: Str,
    /// Value, with Envoy's `%…%` operators unexpanded.
    pub value: Str,
    /// What to do when the header exists.
    pub action: AppendAction,
}

/// `append_action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendAction {
    /// A further line.
    AppendIfExistsOrAdd,
    /// Only when absent.
    AddIfAbsent,
    /// Replace.
    OverwriteIfExistsOrAdd,
    /// Replace, only when present.
    OverwriteIfExists,
}

/// Path rewrite of a forward action.
#[derive(Debug, Clone, PartialEq)]
pub enum PathRewrite {
    /// None.
    Keep,
    /// `prefix_rewrite`
    Prefix(Str),
    /// `regex_rewrite` with substitution (`\1` groups).
    Regex(Regex, Str),
}

/// Host rewrite of a forward action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostRewrite {
    /// None.
    Keep,
    /// `host_rewrite_literal`
    Literal(Str),
    /// `auto_host_rewrite`: the selected host's hostname.
    Auto,
}

/// `request_mirror_policies` entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Shadow cluster.
    pub cluster: Str,
    /// Parts per million of requests.
    pub per_million: u32,
    /// The mirror block.
    pub origin: OriginId,
}

/// `hash_policy` entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashPolicy {
    /// A header.
    Header(Str),
    /// A cookie; `ttl_ns: Some` makes Envoy generate one.
    Cookie {
        /// Name.
        name: Str,
        /// Lifetime, ns; `Some(0)` = session cookie.
        ttl_ns: Option<Nanos>,
        /// Path attribute.
        path: Str,
        /// Further attributes (name, value).
        attributes: Vec<(Str, Str)>,
    },
    /// Downstream IP.
    SourceIp,
    /// A query parameter.
    QueryParameter(Str),
}

/// `retry_policy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Conditions.
    pub retry_on: RetryOn,
    /// The condition text as istiod sends it (for dumps).
    pub retry_on_text: Str,
    /// Retries beyond the first attempt.
    pub num_retries: u32,
    /// `retriable_status_codes`
    pub retriable_status_codes: Vec<u16>,
    /// Per-try timeout, ns; 0 = off.
    pub per_try_timeout_ns: Nanos,
    /// Back-off base, ns (default 25 ms).
    pub base_interval_ns: Nanos,
    /// Back-off cap, ns (default ten times the base).
    pub max_interval_ns: Nanos,
    /// `previous_hosts` predicate.
    pub previous_hosts: bool,
    /// `previous_priorities` update frequency; 0 = off.
    pub previous_priorities: u32,
    /// `host_selection_retry_max_attempts`
    pub host_selection_max_attempts: u32,
    /// What caused it; NONE for istiod's default.
    pub origin: OriginId,
}

/// Retry conditions as a set of bits (semantics: envoy-routing 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetryOn(pub u32);

impl RetryOn {
    /// `5xx`
    pub const FIVE_XX: RetryOn = RetryOn(1);
    /// `gateway-error`
    pub const GATEWAY_ERROR: RetryOn = RetryOn(1 << 1);
    /// `reset`
    pub const RESET: RetryOn = RetryOn(1 << 2);
    /// `reset-before-request`
    pub const RESET_BEFORE_REQUEST: RetryOn = RetryOn(1 << 3);
    /// `connect-failure`
    pub const CONNECT_FAILURE: RetryOn = RetryOn(1 << 4);
    /// `refused-stream`
    pub const REFUSED_STREAM: RetryOn = RetryOn(1 << 5);
    /// `retriable-4xx`
    pub const RETRIABLE_4XX: RetryOn = RetryOn(1 << 6);
    /// `retriable-status-codes`
    pub const RETRIABLE_STATUS_CODES: RetryOn = RetryOn(1 << 7);
    /// `retriable-headers`
    pub const RETRIABLE_HEADERS: RetryOn = RetryOn(1 << 8);
    /// `envoy-ratelimited`
    pub const ENVOY_RATELIMITED: RetryOn = RetryOn(1 << 9);
    /// gRPC `cancelled`
    pub const GRPC_CANCELLED: RetryOn = RetryOn(1 << 10);
    /// gRPC `deadline-exceeded`
    pub const GRPC_DEADLINE_EXCEEDED: RetryOn = RetryOn(1 << 11);
    /// gRPC `resource-exhausted`
    pub const GRPC_RESOURCE_EXHAUSTED: RetryOn = RetryOn(1 << 12);
    /// gRPC `internal`
    pub const GRPC_INTERNAL: RetryOn = RetryOn(1 << 13);
    /// gRPC `unavailable`
    pub const GRPC_UNAVAILABLE: RetryOn = RetryOn(1 << 14);
    /// `http3-post-connect-failure`
    pub const HTTP3_POST_CONNECT_FAILURE: RetryOn = RetryOn(1 << 15);

    /// Whether all bits of `other` are set.
    #[must_use]
    pub fn has(self, other: RetryOn) -> bool {
        self.0 & other.0 == other.0
    }

    /// Union.
    #[must_use]
    pub fn with(self, other: RetryOn) -> RetryOn {
        RetryOn(self.0 | other.0)
    }

    /// One word of a `retry_on` list; unknown words are ignored by Envoy.
    #[must_use]
    pub fn word(word: &str) -> Option<RetryOn> {
        Some(match word {
            "5xx" => Self::FIVE_XX,
            "gateway-error" => Self::GATEWAY_ERROR,
            "reset" => Self::RESET,
            "reset-before-request" => Self::RESET_BEFORE_REQUEST,
            "connect-failure" => Self::CONNECT_FAILURE,
            "refused-stream" => Self::REFUSED_STREAM,
            "retriable-4xx" => Self::RETRIABLE_4XX,
            "retriable-status-codes" => Self::RETRIABLE_STATUS_CODES,
            "retriable-headers" => Self::RETRIABLE_HEADERS,
            "envoy-ratelimited" => Self::ENVOY_RATELIMITED,
            "cancelled" => Self::GRPC_CANCELLED,
            "deadline-exceeded" => Self::GRPC_DEADLINE_EXCEEDED,
            "resource-exhausted" => Self::GRPC_RESOURCE_EXHAUSTED,
            "internal" => Self::GRPC_INTERNAL,
            "unavailable" => Self::GRPC_UNAVAILABLE,
            "http3-post-connect-failure" => Self::HTTP3_POST_CONNECT_FAILURE,
            _ => return None,
        })
    }

    /// A comma list; blanks are trimmed, unknown words ignored.
    #[must_use]
    pub fn parse(list: &str) -> RetryOn {
        list.split(',').filter_map(|w| Self::word(w.trim())).fold(RetryOn::default(), RetryOn::with)
    }
}
