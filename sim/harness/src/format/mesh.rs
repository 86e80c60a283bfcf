//! The mesh under test (`mesh:`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use mesh_config::input::InputFile;
use mesh_config::mesh::meshconfig::Authorizer;
use mesh_config::resource::mesh_config::MeshConfig;
use serde::Deserialize;

use crate::document::Override;

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
    /// What the command line adds.
    #[serde(skip)]
    pub given: Given,
}

/// What the command line adds to a mesh: `-f`, `-n`, `--set Kind/namespace/name:path=value`.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Further manifests, after those of the file; the last one of a name wins.
    pub files: Vec<InputFile>,
    /// Changes of objects, before a cluster would admit them.
    pub overrides: Vec<Override>,
    /// Namespace of objects that state none; empty = `default`.
    pub namespace: String,
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
