//! Istio and Kubernetes YAML, read with byte spans, checked, and lowered to per-proxy snapshots.
//!
//! The life of a document: `source` (file table) -> `yaml` (tree with spans, typed as in a cluster) ->
//! `document` (objects) -> `decode` (typed fields). Knows no time and no load.

pub mod analysis;
pub mod check;
pub mod decode;
pub mod diagnostic;
pub mod document;
pub mod input;
pub mod inventory;
pub mod load;
pub mod lower;
pub mod mesh;
pub mod resource;
pub mod schema;
pub mod source;
pub mod webhook;
pub mod yaml;
