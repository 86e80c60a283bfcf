//! The HTTP connection manager and its filters, in Envoy's order.

use super::matcher::{HeaderMatcher, StringMatch};
use super::rbac::Rbac;
use super::route::RouteConfiguration;
use crate::ids::{Nanos, OriginId, Str, Taint};

/// `envoy.filters.network.http_connection_manager`.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpConnectionManager {
    /// `outbound_0.0.0.0_9080;`, `inbound_0.0.0.0_9080;` …
    pub stat_prefix: Str,
    /// RDS name or inlined configuration.
    pub route_specifier: RouteSpecifier,
    /// HTTP filters in order; the router is implied at the end.
    pub http_filters: Vec<HttpFilter>,
    /// Path normalization before matching.
    pub path_normalization: PathNormalization,
    /// Edge behaviour: trust the peer address, append to XFF (gateways).
    pub use_remote_address: bool,
    /// `xff_num_trusted_hops`.
    pub xff_num_trusted_hops: u32,
    /// `x-forwarded-client-cert` handling.
    pub forward_client_cert: ForwardClientCert,
    /// `set_current_client_cert_details`: what an element of that header tells.
    pub client_cert_details: ClientCertDetails,
    /// `server` response header: `istio-envoy`, or `envoy` where istiod leaves Envoy's default.
    pub server_name: Str,
    /// HTTP/1.0 accepted (`PILOT_HTTP10`).
    pub accept_http_10: bool,
    /// Stream idle timeout, ns; 0 = off (Istio's default).
    pub stream_idle_timeout_ns: Nanos,
    /// Upgrade types accepted (`websocket`).
    pub upgrades: Vec<Str>,
    /// `strip_any_host_port` and relatives are never set by istiod and therefore absent here.
    pub origin: OriginId,
}

/// Where routes come from.
#[derive(Debug, Clone, PartialEq)]
pub enum RouteSpecifier {
    /// Name in [`super::Snapshot::routes`]. A missing name answers 404 `route_configuration_not_found`.
    Rds(Str),
    /// Inbound chains inline theirs.
    Inline(Box<RouteConfiguration>),
}

/// Steps of path normalization (semantics: envoy-routing 9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PathNormalization {
    /// RFC 3986 normalization.
    pub normalize_path: bool,
    /// `//` to `/`.
    pub merge_slashes: bool,
    /// What `%2F`, `%5C` become.
    pub escaped_slashes: EscapedSlashes,
}

/// `path_with_escaped_slashes_action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EscapedSlashes {
    /// Kept.
    #[default]
    KeepUnchanged,
    /// 400.
    RejectRequest,
    /// 307 to the unescaped path.
    UnescapeAndRedirect,
    /// Unescaped in place.
    UnescapeAndForward,
}

/// `set_current_client_cert_details`: the parts of an `x-forwarded-client-cert` element besides `By`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientCertDetails {
    /// The certificate itself, in PEM.
    pub cert: bool,
    /// Its subject.
    pub subject: bool,
    /// Its URI SANs.
    pub uri: bool,
    /// Its DNS SANs.
    pub dns: bool,
}

/// `forward_client_cert_details`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardClientCert {
    /// Removed (outbound sidecar listeners).
    #[default]
    Sanitize,
    /// Appended to what the peer sent (inbound sidecar listeners).
    AppendForward,
    /// Replaced by the peer's (gateways).
    SanitizeSet,
    /// Left as received.
    ForwardOnly,
    /// Left as received, whatever the connection.
    AlwaysForwardOnly,
}

/// One HTTP filter.
#[derive(Debug, Clone, PartialEq)]
pub enum HttpFilter {
    /// `envoy.filters.http.rbac`
    Rbac(Rbac),
    /// `envoy.filters.http.jwt_authn`
    JwtAuthn(JwtAuthn),
    /// Reads per-route fault configuration.
    Fault,
    /// Reads per-route CORS configuration.
    Cors,
    /// `istio.alpn`: HTTP requests override the cluster's ALPN (outbound sidecar listeners and gateways).
    IstioAlpn,
    /// `envoy.filters.http.ext_authz`
    ExtAuthz(ExtAuthz),
    /// A filter whose effect is not modelled (Wasm, …). `when` restricts the taint to the requests for which the filter
    /// would act.
    Unmodelled {
        /// What and where.
        taint: Taint,
        /// Rules of which one must match; `None` = always.
        when: Option<Rbac>,
    },
}

/// An external authorizer, HTTP or network: requests that match a rule are sent to it (semantics: istio-security 4.13).
#[derive(Debug, Clone, PartialEq)]
pub struct ExtAuthz {
    /// The shadow rules of the RBAC filter before it, which mark the requests to ask about.
    pub when: Rbac,
    /// What the authorizer answers.
    pub answer: AuthorizerAnswer,
    /// The policy's provider.
    pub origin: OriginId,
}

/// What an external authorizer answers, as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub enum AuthorizerAnswer {
    /// Yes.
    Allows,
    /// No, with this status.
    Denies(u16),
    /// It cannot be asked, or does not speak the protocol; the status the client gets, `None` where that allows (`failOpen`).
    Fails(Option<u16>),
    /// Not known.
    Unknown(Taint),
}

/// `envoy.filters.http.jwt_authn` as istiod generates it (semantics: istio-security 3, 5.8).
#[derive(Debug, Clone, PartialEq)]
pub struct JwtAuthn {
    /// Providers sorted by issuer (`origins-0` …).
    pub providers: Vec<JwtProvider>,
    /// Requests that are CORS preflights skip the filter.
    pub bypass_cors_preflight: bool,
    /// After success the route is chosen again (gateways).
    pub clear_route_cache: bool,
}

/// One `jwtRules` entry.
#[derive(Debug, Clone, PartialEq)]
pub struct JwtProvider {
    /// `origins-<i>`
    pub name: Str,
    /// Expected `iss`; empty = any.
    pub issuer: Str,
    /// Accepted audiences; empty = any.
    pub audiences: Vec<Str>,
    /// The keys.
    pub jwks: Jwks,
    /// Header locations with value prefix (may be empty). Defaults are resolved: `authorization` + `Bearer `.
    pub from_headers: Vec<(Str, Str)>,
    /// Query parameter locations. Default resolved: `access_token`.
    pub from_params: Vec<Str>,
    /// Cookie locations.
    pub from_cookies: Vec<Str>,
    /// The token stays in the request after success.
    pub forward: bool,
    /// Header that gets the base64url payload.
    pub forward_payload_header: Option<Str>,
    /// (header, claim path) pairs of `outputClaimToHeaders`.
    pub claim_to_headers: Vec<(Str, Str)>,
    /// Claims split on spaces besides `scope` and `permission`.
    pub space_delimited_claims: Vec<Str>,
    /// Not modelled parts.
    pub taints: Vec<Taint>,
    /// The rule.
    pub origin: OriginId,
}

/// Where a provider's keys come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Jwks {
    /// The JWKS document itself; the caller's [`crate::cx::Tokens`] checks signatures against it.
    Inline(Str),
    /// Not fetched (no network): every decision on a token of this issuer is `unknown` unless a local copy was given.
    Remote(Str),
    /// istiod could not fetch them and put a key in their place that nobody signs with.
    Unreachable,
}

/// Per-route fault injection (`envoy.filters.http.fault`).
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// Fixed delay.
    pub delay: Option<FaultDelay>,
    /// Abort.
    pub abort: Option<FaultAbort>,
    /// What caused it.
    pub origin: OriginId,
}

/// `fault.delay`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultDelay {
    /// Duration, ns.
    pub fixed_delay_ns: Nanos,
    /// Parts per million of requests.
    pub per_million: u32,
}

/// `fault.abort`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultAbort {
    /// HTTP status or gRPC status.
    pub status: AbortStatus,
    /// Parts per million of requests.
    pub per_million: u32,
}

/// What an aborted request is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbortStatus {
    /// HTTP status.
    Http(u16),
    /// gRPC status code.
    Grpc(u32),
}

/// Per-route CORS policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Cors {
    /// Matchers of the Origin header.
    pub allow_origins: Vec<StringMatch>,
    /// `access-control-allow-methods`, joined; empty = header absent.
    pub allow_methods: Str,
    /// `access-control-allow-headers`, joined.
    pub allow_headers: Str,
    /// `access-control-expose-headers`, joined.
    pub expose_headers: Str,
    /// `access-control-max-age`, text; empty = absent.
    pub max_age: Str,
    /// `access-control-allow-credentials`: unset, true or false.
    pub allow_credentials: Option<bool>,
    /// Preflights of other origins go upstream (default true).
    pub forward_not_matching_preflights: bool,
    /// What caused it.
    pub origin: OriginId,
}

/// Header conditions kept for filters that need them.
pub type HeaderConditions = Vec<HeaderMatcher>;
