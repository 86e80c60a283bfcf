//! Documents to objects: `apiVersion`, `kind` and metadata, lists flattened, what is not Kubernetes diagnosed.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, ObjectRef, Stage, codes};
use crate::source::Span;
use crate::yaml::{Document, Node, Value};

/// A Kubernetes object as written, not yet typed.
#[derive(Debug, Clone, Default)]
pub struct RawObject {
    /// `networking.istio.io/v1`.
    pub api_version: String,
    /// `VirtualService`.
    pub kind: String,
    /// As written; empty if absent.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Labels; entries that are no strings are left out (the schema reports them).
    pub labels: BTreeMap<String, String>,
    /// Annotations, likewise.
    pub annotations: BTreeMap<String, String>,
    /// `metadata.creationTimestamp` as written.
    pub creation_timestamp: Option<String>,
    /// The whole object without `status` and `metadata.managedFields`.
    pub node: Node,
    /// All its bytes.
    pub span: Span,
}

impl RawObject {
    /// How diagnostics name this object.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef { kind: self.kind.clone(), namespace: self.namespace.clone(), name: self.name.clone() }
    }

    /// The API group: `networking.istio.io`, empty for core kinds.
    pub fn group(&self) -> &str {
        self.api_version.rsplit_once('/').map_or("", |(group, _)| group)
    }

    /// The API version without its group: `v1`.
    pub fn version(&self) -> &str {
        self.api_version.rsplit_once('/').map_or(self.api_version.as_str(), |(_, version)| version)
    }

    /// The `spec` node, if there is one that is not null.
    pub fn spec(&self) -> Option<&Node> {
        self.node.get("spec").filter(|n| !n.is_null())
    }

    /// Takes labels, annotations and the creation time over from the tree, after it was changed. Kind, name and namespace
    /// are what the object is and stay.
    pub fn refresh(&mut self) {
        let meta = self.node.get("metadata");
        self.labels = strings(meta.and_then(|m| m.get("labels")));
        self.annotations = strings(meta.and_then(|m| m.get("annotations")));
        self.creation_timestamp =
            meta.and_then(|m| m.get("creationTimestamp")).and_then(Node::as_str).map(str::to_owned);
    }

    /// The place of the name, or of the object: where diagnostics about the object as a whole point.
    pub fn name_span(&self) -> Span {
        self.node.path("metadata/name").map_or(self.span, Node::site)
    }
}

/// The objects of one document; lists are flattened.
pub fn objects(document: Document) -> (Vec<RawObject>, Vec<Diagnostic>) {
    let mut out = (Vec::new(), Vec::new());
    flatten(document.node, &mut out);
    out
}

/// Lists inside lists are taken apart too; the YAML depth limit bounds the recursion.
fn flatten(node: Node, out: &mut (Vec<RawObject>, Vec<Diagnostic>)) {
    // Comments and empty documents are nothing.
    if node.is_null() {
        return;
    }
    let Value::Mapping(_) = &node.value else {
        let message = format!("this is a {}, not a Kubernetes object", node.type_name());
        out.1.push(
            Diagnostic::error(codes::NOT_KUBERNETES, Stage::Parse, node.site(), message)
                .help("an object is a mapping with `apiVersion`, `kind` and `metadata`"),
        );
        return;
    };
    if is_list(&node) {
        if let Value::Mapping(entries) = node.value {
            let items = entries.into_iter().find(|(k, _)| k.text == "items").map(|(_, n)| n.value);
            if let Some(Value::Sequence(items)) = items {
                for item in items {
                    flatten(item, out);
                }
            }
        }
        return;
    }
    match object(node) {
        Ok(object) => out.0.push(object),
        Err(d) => out.1.push(*d),
    }
}

/// `kind: List`, and the typed lists that API servers return (`VirtualServiceList`).
fn is_list(node: &Node) -> bool {
    let kind = node.get("kind").and_then(Node::as_str).unwrap_or("");
    kind.ends_with("List")
        && matches!(node.get("items").map(|n| &n.value), Some(Value::Sequence(_) | Value::Null))
}

fn object(mut node: Node) -> Result<RawObject, Box<Diagnostic>> {
    let word = |key: &str| match node.get(key) {
        Some(n) => match n.as_str().filter(|s| !s.is_empty()) {
            Some(text) => Ok(text.to_owned()),
            None => Err(Box::new(Diagnostic::error(
                codes::NOT_KUBERNETES,
                Stage::Parse,
                n.site(),
                format!("`{key}` must be a string, found {}", n.type_name()),
            ))),
        },
        None => Err(Box::new(
            Diagnostic::error(
                codes::NOT_KUBERNETES,
                Stage::Parse,
                node.site(),
                format!("not a Kubernetes object: `{key}` is missing"),
            )
            .help("an object is a mapping with `apiVersion`, `kind` and `metadata`"),
        )),
    };
    let (api_version, kind) = (word("apiVersion")?, word("kind")?);
    drop_server_fields(&mut node);
    let meta = node.get("metadata");
    let text = |key: &str| meta.and_then(|m| m.get(key)).and_then(Node::as_str).map(str::to_owned);
    Ok(RawObject {
        api_version,
        kind,
        namespace: text("namespace").unwrap_or_default(),
        name: text("name").unwrap_or_default(),
        labels: strings(meta.and_then(|m| m.get("labels"))),
        annotations: strings(meta.and_then(|m| m.get("annotations"))),
        creation_timestamp: text("creationTimestamp"),
        span: node.span,
        node,
    })
}

/// What `kubectl get -o yaml` adds and an apply ignores.
fn drop_server_fields(node: &mut Node) {
    let Value::Mapping(entries) = &mut node.value else { return };
    entries.retain(|(key, _)| key.text != "status");
    for (key, value) in entries {
        if let ("metadata", Value::Mapping(meta)) = (key.text.as_str(), &mut value.value) {
            // Malformed ones stay, so that metadata validation refuses them.
            let well_formed = |n: &Node| n.sequence().iter().all(|f| matches!(f.value, Value::Mapping(_)));
            meta.retain(|(key, n)| {
                key.text != "managedFields" || !matches!(n.value, Value::Sequence(_)) || !well_formed(n)
            });
        }
    }
}

fn strings(node: Option<&Node>) -> BTreeMap<String, String> {
    node.map(Node::mapping)
        .unwrap_or_default()
        .iter()
        .filter_map(|(k, n)| n.as_str().map(|v| (k.text.clone(), v.to_owned())))
        .collect()
}
