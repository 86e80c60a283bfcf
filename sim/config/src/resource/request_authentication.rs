//! `RequestAuthentication` (security.istio.io): which tokens are verified.

use serde::Deserialize;

use super::scalar::Duration;
use super::selector::{MatchLabels, PolicyTargetReference};
use crate::source::Span;

/// `spec` of a RequestAuthentication.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestAuthentication {
    /// Pods it is for; absent is all of the namespace.
    pub selector: Option<MatchLabels>,
    /// Target instead of pods.
    pub target_ref: Option<PolicyTargetReference>,
    /// Targets instead of pods.
    pub target_refs: Vec<PolicyTargetReference>,
    /// Issuers.
    pub jwt_rules: Vec<JwtRule>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// One issuer and where its tokens are.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JwtRule {
    /// `iss`.
    pub issuer: String,
    /// Accepted `aud`; none accepts all.
    pub audiences: Vec<String>,
    /// Where its keys are.
    #[serde(alias = "jwks_uri")]
    pub jwks_uri: String,
    /// Its keys.
    pub jwks: String,
    /// Headers with tokens.
    pub from_headers: Vec<JwtHeader>,
    /// Query parameters with tokens.
    pub from_params: Vec<String>,
    /// Header that gets the payload.
    pub output_payload_to_header: String,
    /// Cookies with tokens.
    pub from_cookies: Vec<String>,
    /// Keep the token in the request.
    pub forward_original_token: bool,
    /// Headers that get claims.
    pub output_claim_to_headers: Vec<ClaimToHeader>,
    /// Of fetching keys.
    pub timeout: Option<Duration>,
    /// Claims that are lists separated by spaces.
    pub space_delimited_claims: Vec<String>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A header with a token.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JwtHeader {
    /// Name.
    pub name: String,
    /// Text before the token.
    pub prefix: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A header that gets a claim.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimToHeader {
    /// Header.
    pub header: String,
    /// Claim.
    pub claim: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}
