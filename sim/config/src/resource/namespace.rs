//! `Namespace` and `ServiceAccount`: only their metadata matters.

use serde::Deserialize;

use crate::source::Span;
use serde::de::IgnoredAny;

/// `spec` of a Namespace.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Namespace {
    /// Not looked at.
    pub finalizers: Option<IgnoredAny>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A ServiceAccount.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceAccount {
    /// Not looked at.
    pub secrets: Option<IgnoredAny>,
    /// Not looked at.
    pub image_pull_secrets: Option<IgnoredAny>,
    /// Not looked at.
    pub automount_service_account_token: Option<bool>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}
