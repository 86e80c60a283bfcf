//! The match half of an HTTP route: `HTTPMatchRequest` and `StringMatch`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::source::Span;

/// Matches by name. Boxed, because a map's smallest node has room for eleven.
pub type NamedMatches = BTreeMap<String, Box<StringMatch>>;

/// What an HTTP route may look at; everything given must hold (semantics: istio-networking 3.6).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpMatchRequest {
    /// Joined to the route name.
    pub name: String,
    /// Path without query.
    pub uri: Option<StringMatch>,
    /// `:scheme`.
    pub scheme: Option<Box<StringMatch>>,
    /// `:method`.
    pub method: Option<Box<StringMatch>>,
    /// `:authority`, port included.
    pub authority: Option<Box<StringMatch>>,
    /// Headers by name; an empty match asks for presence.
    pub headers: NamedMatches,
    /// Service port (gateways: server port); 0 is any.
    pub port: u32,
    /// Labels of the client; ignored when `gateways` is given.
    pub source_labels: BTreeMap<String, String>,
    /// Replaces the gateways of the resource.
    pub gateways: Vec<String>,
    /// Query parameters by name.
    pub query_params: NamedMatches,
    /// Case-insensitive `uri` (exact and prefix only).
    pub ignore_uri_case: bool,
    /// As `headers`, inverted.
    pub without_headers: NamedMatches,
    /// Namespace of the client; ignored when `gateways` is given.
    pub source_namespace: String,
    /// Names statistics only.
    pub stat_prefix: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// One of three ways to match text; none of them asks for presence.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StringMatch {
    /// The whole text.
    pub exact: Option<String>,
    /// The beginning.
    pub prefix: Option<String>,
    /// RE2, the whole text.
    pub regex: Option<String>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}
