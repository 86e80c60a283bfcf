//! The field schema of every kind that is read, and what a cluster's admission says of an object.
//!
//! The schemas are data (`schema/*/*.schema`, notation in `notation`): names, types, limits and the names
//! of the CRDs' validation rules. A field that mesh-sim does not simulate is marked `~` there.
//! Stages: `strict` (unknown fields), `meta`, `openapi` (types and limits), `rules` (CEL).

mod admission;
mod go_time;
mod go_url;
mod meta;
mod notation;
mod openapi;
mod path;
mod rules;
mod strict;
mod support;

use std::collections::BTreeMap;
use std::sync::OnceLock;

pub use admission::{Webhook, admit};
pub use rules::Rule;
pub use support::{Unmodelled, not_modelled, unmodelled};

/// A kind and its versions.
#[derive(Debug)]
pub struct Kind {
    /// `VirtualService`.
    pub name: &'static str,
    /// `networking.istio.io`; empty for the core group.
    pub group: &'static str,
    /// Versions that a cluster serves; their schemas are the same.
    pub versions: Vec<&'static str>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Whether Kubernetes itself defines the kind (Go types) or a CRD does.
    pub built_in: bool,
    /// Whether mesh-sim simulates the kind at all.
    pub class: Class,
    /// Fields beside `apiVersion`, `kind`, `metadata` and `status`.
    pub fields: Vec<Field>,
}

/// Whether mesh-sim simulates a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Simulated, or without influence on traffic.
    Simulated,
    /// Exists, but is not modelled.
    Known,
}

/// A field of an object.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Whether it must be given.
    pub required: bool,
    /// Whether it is simulated.
    pub class: Class,
    /// What it holds.
    pub schema: Schema,
}

/// What a value may be.
#[derive(Debug, Default)]
pub struct Schema {
    /// Its type.
    pub shape: Shape,
    /// Whether null is a value of its own.
    pub nullable: bool,
    /// Smallest and largest number.
    pub range: (Option<f64>, Option<f64>),
    /// Shortest and longest string, list or map.
    pub length: (Option<usize>, Option<usize>),
    /// The words allowed.
    pub words: Vec<&'static str>,
    /// A pattern, by the name of what it describes.
    pub pattern: Option<&'static str>,
    /// Groups of fields of which at most one may be given.
    pub at_most_one: Vec<Vec<&'static str>>,
    /// The fields that identify a list element.
    pub list_keys: Vec<&'static str>,
    /// The CRD's validation rules here.
    pub rules: Vec<Rule>,
}

/// Types of values.
#[derive(Debug, Default)]
pub enum Shape {
    /// Anything at all, not looked into.
    #[default]
    Any,
    /// A string.
    String,
    /// Base64 text.
    Bytes,
    /// An RFC 3339 time.
    Time,
    /// True or false.
    Bool,
    /// An integer of 64 bits.
    Integer,
    /// An integer of 32 bits.
    Int32,
    /// Any number.
    Number,
    /// An integer or a string (ports, quantities).
    IntOrString,
    /// A list.
    List(Box<Schema>),
    /// A map with free keys.
    Map(Box<Schema>),
    /// A mapping with these fields.
    Object(Vec<Field>),
    /// The shared schema of that name.
    Shared(&'static str),
}

impl Schema {
    /// The schema behind a shared name, or this one.
    pub fn resolve(&'static self) -> &'static Schema {
        match self.shape {
            Shape::Shared(name) => registry().shared.get(name).unwrap_or(&ANYTHING),
            _ => self,
        }
    }

    /// The fields, if this is an object.
    pub fn fields(&'static self) -> &'static [Field] {
        match &self.resolve().shape {
            Shape::Object(fields) => fields,
            _ => &[],
        }
    }
}

static ANYTHING: Schema = Schema {
    shape: Shape::Any,
    nullable: true,
    range: (None, None),
    length: (None, None),
    words: Vec::new(),
    pattern: None,
    at_most_one: Vec::new(),
    list_keys: Vec::new(),
    rules: Vec::new(),
};

/// By group, then by kind.
type ByGroup<T> = BTreeMap<&'static str, BTreeMap<&'static str, T>>;

/// All kinds and shared schemas.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    kinds: ByGroup<Kind>,
    shared: BTreeMap<&'static str, Schema>,
    /// Kinds that exist in a cluster but are not read.
    unread: ByGroup<Vec<&'static str>>,
    errors: Vec<String>,
}

const FILES: &[(&str, &str)] = &[
    ("istio/traffic", include_str!("schema/istio/traffic.schema")),
    ("istio/destination", include_str!("schema/istio/destination.schema")),
    ("istio/exposure", include_str!("schema/istio/exposure.schema")),
    ("istio/security", include_str!("schema/istio/security.schema")),
    ("istio/extension", include_str!("schema/istio/extension.schema")),
    ("gateway/kinds", include_str!("schema/gateway/kinds.schema")),
    ("gateway/shared", include_str!("schema/gateway/shared.schema")),
    ("kubernetes/meta", include_str!("schema/kubernetes/meta.schema")),
    ("kubernetes/core", include_str!("schema/kubernetes/core.schema")),
    ("kubernetes/workloads", include_str!("schema/kubernetes/workloads.schema")),
    ("kubernetes/pod", include_str!("schema/kubernetes/pod.schema")),
    ("kubernetes/unread", include_str!("schema/kubernetes/unread.schema")),
];

fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let mut registry = Registry::default();
        for (name, text) in FILES {
            if let Err(error) = notation::parse(text, &mut registry) {
                registry.errors.push(format!("{name}.schema:{error}"));
            }
        }
        registry
    })
}

/// The kind of that name in a group, whatever its versions.
pub fn kind(group: &str, name: &str) -> Option<&'static Kind> {
    registry().kinds.get(group)?.get(name)
}

/// All kinds that are read, by group and name.
pub fn kinds() -> impl Iterator<Item = &'static Kind> {
    registry().kinds.values().flat_map(BTreeMap::values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemas_are_well_formed() {
        assert_eq!(registry().errors, Vec::<String>::new());
        for kind in kinds() {
            assert!(!kind.versions.is_empty(), "{}", kind.name);
            check_fields(kind.name, &kind.fields);
        }
        for (name, schema) in &registry().shared {
            check(name, schema);
        }
    }

    fn check_fields(path: &str, fields: &'static [Field]) {
        for field in fields {
            check(&format!("{path}.{}", field.name), &field.schema);
        }
    }

    fn check(path: &str, schema: &'static Schema) {
        match &schema.shape {
            Shape::Shared(name) => {
                assert!(registry().shared.contains_key(name), "{path}: no shared `{name}`")
            }
            Shape::List(inner) | Shape::Map(inner) => check(path, inner),
            Shape::Object(fields) => {
                check_fields(path, fields);
                for name in schema.at_most_one.iter().flatten().chain(&schema.list_keys) {
                    assert!(fields.iter().any(|f| f.name == *name), "{path}: no field `{name}`");
                }
            }
            _ => {}
        }
    }
}
