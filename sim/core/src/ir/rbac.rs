//! RBAC filters, HTTP and network (semantics: istio-security 4, 5).

use ipnet::IpNet;

use super::matcher::{HeaderMatcher, MetadataMatcher, StringMatch};
use crate::ids::{OriginId, Str, Taint};

/// One RBAC filter: enforced and shadow rules of one action.
#[derive(Debug, Clone, PartialEq)]
pub struct Rbac {
    /// Enforced rules; `None` when only dry-run policies exist.
    pub rules: Option<RbacRules>,
    /// Dry-run rules.
    pub shadow_rules: Option<RbacRules>,
    /// `istio_dry_run_allow_` and relatives.
    pub shadow_stat_prefix: Str,
}

/// What the rules do on a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RbacAction {
    /// Only matching requests pass.
    Allow,
    /// Matching requests are denied.
    Deny,
    /// Matching requests are marked.
    Log,
}

/// A rule set.
#[derive(Debug, Clone, PartialEq)]
pub struct RbacRules {
    /// The action.
    pub action: RbacAction,
    /// Policies in byte order of their names, as Envoy walks them: the first match is the one named.
    pub policies: Vec<RbacPolicy>,
}

/// One policy: any permission and any principal.
#[derive(Debug, Clone, PartialEq)]
pub struct RbacPolicy {
    /// `ns[foo]-policy[bar]-rule[0]`
    pub name: Str,
    /// ORed.
    pub permissions: Vec<Permission>,
    /// ORed.
    pub principals: Vec<Principal>,
    /// Not modelled conditions: if the outcome depends on them it is unknown.
    pub taints: Vec<Taint>,
    /// The AuthorizationPolicy rule.
    pub origin: OriginId,
}

/// What is accessed.
#[derive(Debug, Clone, PartialEq)]
pub enum Permission {
    /// Always.
    Any,
    /// All of them (empty = true).
    And(Vec<Permission>),
    /// Any of them.
    Or(Vec<Permission>),
    /// Negation.
    Not(Box<Permission>),
    /// A header.
    Header(HeaderMatcher),
    /// The path without query.
    UrlPath(StringMatch),
    /// `{*}`/`{**}` template on the path (semantics: istio-security 4.5).
    UriTemplate(Str),
    /// Local destination port.
    DestinationPort(u16),
    /// Local destination address.
    DestinationIp(IpNet),
    /// SNI.
    RequestedServerName(StringMatch),
    /// Dynamic metadata.
    Metadata(MetadataMatcher),
}

/// Who accesses.
#[derive(Debug, Clone, PartialEq)]
pub enum Principal {
    /// Everybody.
    Any,
    /// All of them (empty = true).
    And(Vec<Principal>),
    /// Any of them.
    Or(Vec<Principal>),
    /// Negation.
    Not(Box<Principal>),
    /// The verified peer certificate's identity (`spiffe://…`).
    Authenticated(StringMatch),
    /// TCP peer address.
    DirectRemoteIp(IpNet),
    /// Original client address (XFF, PROXY protocol).
    RemoteIp(IpNet),
    /// A header.
    Header(HeaderMatcher),
    /// Dynamic metadata (JWT claims).
    Metadata(MetadataMatcher),
}
