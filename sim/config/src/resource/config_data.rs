//! Kubernetes `ConfigMap` and `Secret`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::source::Span;

/// A ConfigMap.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigMap {
    /// Texts.
    pub data: BTreeMap<String, String>,
    /// Bytes in base64.
    pub binary_data: BTreeMap<String, String>,
    /// Not looked at.
    pub immutable: Option<bool>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// A Secret.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Secret {
    /// Type.
    #[serde(rename = "type")]
    pub type_: String,
    /// Values in base64.
    pub data: BTreeMap<String, String>,
    /// Values as text; win over `data`.
    pub string_data: BTreeMap<String, String>,
    /// Not looked at.
    pub immutable: Option<bool>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}
