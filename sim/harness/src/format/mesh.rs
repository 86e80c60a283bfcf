//! The mesh under test (`mesh:`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use mesh_config::mesh::meshconfig::Authorizer;
use mesh_config::resource::mesh_config::MeshConfig;
use serde::Deserialize;

/// `mesh:` of a scenario or policy test.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshWords {
    /// Files, directories (recursive) and globs, relative to the file they stand in.
    pub manifests: Vec<String>,
    /// Further manifests, in place: what stands for parts that live elsewhere.
    pub inline: Option<String>,
    /// MeshConfig in Istio's own field names.
    pub config: Option<MeshConfig>,
    /// Semantics profile.
    pub profile: Option<String>,
    /// Injection of namespaces that are not in the manifests.
    pub injection: Option<InjectionDefault>,
    /// Addresses that override the assigned ones.
    pub addresses: AddressWords,
    /// What external authorizers answer, by the name of their provider: `allow`, `deny` or `error`.
    pub authorizers: BTreeMap<String, Authorizer>,
    /// JWKS documents, or files with them relative to this one, by the URI istiod fetches them from; `unreachable` where it cannot, `*` for every other URI.
    pub jwks: BTreeMap<String, String>,
}

/// Whether namespaces that no manifest declares inject sidecars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum InjectionDefault {
    /// They do (default).
    Enabled,
    /// They do not.
    Disabled,
}

/// `mesh.addresses`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AddressWords {
    /// `ns/pod` -> address.
    pub pods: BTreeMap<String, IpAddr>,
    /// `ns/service` -> address.
    pub services: BTreeMap<String, IpAddr>,
}
