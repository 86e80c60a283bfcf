//! Objects as they would be applied: made, taken over from the manifests with a change, and applied to a mesh.

use mesh_config::document::RawObject;
use mesh_config::input::InputFile;
use mesh_config::load;
use mesh_config::source::Sources;
use mesh_reports::matrix::Manifest;
use mesh_reports::render::manifest;
use serde_json::{Map, Value, json};

use crate::loaded::LoadedMesh;

/// API version of what is made.
const SECURITY: &str = "security.istio.io/v1";

/// A document with what it is about.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Doc {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) value: Value,
    /// `file:line:column` of the object it replaces.
    pub(super) replaces: Option<String>,
}

impl Doc {
    /// A new object of Istio's security API.
    pub(super) fn security(kind: &str, namespace: &str, name: &str, spec: Value) -> Doc {
        let value = json!({
            "apiVersion": SECURITY,
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        });
        Doc {
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            value,
            replaces: None,
        }
    }

    /// An object of the mesh, to be changed.
    pub(super) fn existing(mesh: &LoadedMesh, kind: &str, namespace: &str, name: &str) -> Option<Doc> {
        let raw = mesh.objects.iter().rev().find(|o| is(o, mesh, kind, namespace, name))?;
        let mut value: Value = serde_json::from_str(&raw.node.to_json()).ok()?;
        let metadata = entry(&mut value, "metadata");
        if let Value::Object(map) = metadata {
            map.insert("namespace".to_owned(), json!(namespace));
            // What a server wrote is not applied.
            for key in ["uid", "resourceVersion", "generation", "selfLink"] {
                map.remove(key);
            }
        }
        Some(Doc {
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            value,
            replaces: mesh.place(raw.span),
        })
    }

    /// `Kind/namespace/name`
    pub(super) fn object(&self) -> String {
        format!("{}/{}/{}", self.kind, self.namespace, self.name)
    }

    /// As shown.
    pub(super) fn manifest(&self) -> Manifest {
        Manifest { object: self.object(), replaces: self.replaces.clone(), yaml: manifest::yaml(&self.value) }
    }

    /// The value under `spec`.
    pub(super) fn spec(&mut self) -> &mut Value {
        entry(&mut self.value, "spec")
    }
}

/// The value under a key, made a mapping if there is none.
pub(super) fn entry<'a>(value: &'a mut Value, key: &str) -> &'a mut Value {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let found = &mut value[key];
    if found.is_null() {
        *found = Value::Object(Map::new());
    }
    found
}

fn is(raw: &RawObject, mesh: &LoadedMesh, kind: &str, namespace: &str, name: &str) -> bool {
    let own = if raw.namespace.is_empty() { mesh.namespace.as_str() } else { &raw.namespace };
    raw.kind == kind && raw.name == name && own == namespace
}

/// A name that no object of the kind has.
pub(super) fn free_name(mesh: &LoadedMesh, kind: &str, namespace: &str, wanted: &str) -> String {
    let taken = |name: &str| mesh.objects.iter().any(|o| is(o, mesh, kind, namespace, name));
    let mut name = wanted.to_owned();
    let mut number = 2;
    while taken(&name) {
        name = format!("{wanted}-{number}");
        number += 1;
    }
    name
}

/// The mesh after `kubectl apply` of the documents' text.
pub(super) fn applied(mesh: &LoadedMesh, documents: &[Doc], file: &str) -> LoadedMesh {
    let mut sources: Sources = mesh.sources.clone();
    let text: Vec<String> = documents.iter().map(|d| manifest::yaml(&d.value)).collect();
    let input = InputFile { display_name: file.to_owned(), bytes: text.join("---\n").into_bytes() };
    let (read, problems) = load::read_into(&mut sources, vec![input]);
    let mut objects = mesh.objects.clone();
    for document in documents {
        objects.retain(|o| !is(o, mesh, &document.kind, &document.namespace, &document.name));
    }
    objects.extend(read);
    let mut changed = mesh.changed(sources, objects);
    changed.diagnostics.extend(problems);
    changed
}
