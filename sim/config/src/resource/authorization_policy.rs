//! `AuthorizationPolicy` (security.istio.io): who may do what.

use serde::Deserialize;

use super::selector::{MatchLabels, PolicyTargetReference};
use crate::decode::Spanned;
use crate::source::Span;

/// `spec` of an AuthorizationPolicy.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuthorizationPolicy {
    /// Pods it is for; absent is all of the namespace.
    pub selector: Option<MatchLabels>,
    /// Target instead of pods.
    pub target_ref: Option<PolicyTargetReference>,
    /// Targets instead of pods.
    pub target_refs: Vec<PolicyTargetReference>,
    /// Alternatives; none matches nothing, `{}` matches everything.
    pub rules: Vec<Rule>,
    /// What a match means.
    pub action: Action,
    /// Who decides for `CUSTOM`.
    pub provider: Option<ExtensionProviderRef>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// What a match means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum Action {
    /// Allowed.
    #[default]
    #[serde(rename = "ALLOW")]
    Allow,
    /// Denied.
    #[serde(rename = "DENY")]
    Deny,
    /// Logged.
    #[serde(rename = "AUDIT")]
    Audit,
    /// An extension decides.
    #[serde(rename = "CUSTOM")]
    Custom,
}

/// Reference to a provider of the mesh config.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtensionProviderRef {
    /// Name.
    pub name: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// All given parts must hold.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    /// Alternatives for the source.
    pub from: Vec<RuleFrom>,
    /// Alternatives for the operation.
    pub to: Vec<RuleTo>,
    /// Conditions, all of which must hold.
    pub when: Vec<Condition>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// One alternative for the source.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RuleFrom {
    /// Source.
    pub source: Option<Source>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// One alternative for the operation.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RuleTo {
    /// Operation.
    pub operation: Option<Operation>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Who sends; all given fields must hold.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Source {
    /// Peer identities.
    pub principals: Vec<Spanned<String>>,
    /// Other than these.
    pub not_principals: Vec<Spanned<String>>,
    /// `iss/sub` of the token.
    pub request_principals: Vec<Spanned<String>>,
    /// Other than these.
    pub not_request_principals: Vec<Spanned<String>>,
    /// Peer namespaces.
    pub namespaces: Vec<Spanned<String>>,
    /// Other than these.
    pub not_namespaces: Vec<Spanned<String>>,
    /// Peer service accounts.
    pub service_accounts: Vec<Spanned<String>>,
    /// Other than these.
    pub not_service_accounts: Vec<Spanned<String>>,
    /// Peer addresses.
    pub ip_blocks: Vec<Spanned<String>>,
    /// Other than these.
    pub not_ip_blocks: Vec<Spanned<String>>,
    /// Client addresses (X-Forwarded-For).
    pub remote_ip_blocks: Vec<Spanned<String>>,
    /// Other than these.
    pub not_remote_ip_blocks: Vec<Spanned<String>>,
    /// Peer trust domains.
    pub trust_domains: Vec<Spanned<String>>,
    /// Other than these.
    pub not_trust_domains: Vec<Spanned<String>>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

impl Source {
    /// Whether it looks at anything of the connection: peers and addresses, not tokens. Trust domains are left out, as in
    /// istiod's own validation.
    #[must_use]
    pub fn looks_at_connection(&self) -> bool {
        let lists = [
            &self.principals,
            &self.not_principals,
            &self.namespaces,
            &self.not_namespaces,
            &self.service_accounts,
            &self.not_service_accounts,
            &self.ip_blocks,
            &self.not_ip_blocks,
            &self.remote_ip_blocks,
            &self.not_remote_ip_blocks,
        ];
        lists.iter().any(|list| !list.is_empty())
    }
}

/// What is asked; all given fields must hold.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Operation {
    /// Hosts.
    pub hosts: Vec<Spanned<String>>,
    /// Other than these.
    pub not_hosts: Vec<Spanned<String>>,
    /// Workload ports.
    pub ports: Vec<Spanned<String>>,
    /// Other than these.
    pub not_ports: Vec<Spanned<String>>,
    /// Methods.
    pub methods: Vec<Spanned<String>>,
    /// Other than these.
    pub not_methods: Vec<Spanned<String>>,
    /// Paths.
    pub paths: Vec<Spanned<String>>,
    /// Other than these.
    pub not_paths: Vec<Spanned<String>>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// One condition on an attribute.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// Attribute.
    pub key: String,
    /// Any of these.
    pub values: Vec<Spanned<String>>,
    /// None of these.
    pub not_values: Vec<Spanned<String>>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}
