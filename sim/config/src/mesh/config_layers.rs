//! Where mesh configuration is written: IstioOperator, the ConfigMap `istio`, a file, or inline in a scenario.
//!
//! Turns each into a `MeshConfig` as written; `meshconfig` lays them over each other in this order.

use crate::decode::{DecodeCx, from_node};
use crate::diagnostic::{Diagnostic, ObjectRef, Stage, codes};
use crate::inventory::{Effect, Inventory};
use crate::resource::mesh_config::MeshConfig;
use crate::resource::proxy_config::ProxyConfig;
use crate::source::{FileId, Span};
use crate::yaml::{self, Node};

/// A `MeshConfig` from a node of a file or scenario; every problem is reported.
pub fn decode(node: &Node, object: Option<ObjectRef>, path: &str) -> (Option<MeshConfig>, Vec<Diagnostic>) {
    let mut cx = DecodeCx::new(object, path);
    let config = from_node(node, &mut cx);
    (config, cx.diagnostics)
}

/// The layers that the manifests hold, lowest first.
pub(super) fn of_manifests(inventory: &Inventory, out: &mut Vec<Diagnostic>) -> Vec<MeshConfig> {
    let mut layers = Vec::new();
    for other in inventory.others.iter().filter(|o| o.effect == Effect::MeshSettings) {
        for path in ["spec/values/meshConfig", "spec/meshConfig"] {
            let Some(node) = other.raw.node.path(path).filter(|n| !n.is_null()) else { continue };
            let (config, problems) = decode(node, Some(other.raw.reference()), &path.replace('/', "."));
            layers.extend(config);
            out.extend(problems);
        }
    }
    let named =
        inventory.config_maps.iter().filter(|c| c.meta.name == "istio" && c.spec.data.contains_key("mesh"));
    // istiod reads its own namespace; a mesh of manifests has one istiod.
    let found = named.clone().find(|c| c.meta.namespace == "istio-system").or_else(|| named.clone().next());
    if let Some(map) = found {
        let object = ObjectRef {
            kind: "ConfigMap".into(),
            namespace: map.meta.namespace.clone(),
            name: map.meta.name.clone(),
        };
        let text = map.spec.data.get("mesh").map(String::as_str).unwrap_or_default();
        let (config, problems) = embedded(text, &object, map.meta.origin);
        layers.extend(config);
        out.extend(problems);
    }
    layers
}

/// YAML inside a string: places are those of the object that holds it.
fn embedded(text: &str, object: &ObjectRef, origin: Span) -> (Option<MeshConfig>, Vec<Diagnostic>) {
    let (documents, mut problems) = yaml::parse_stream(FileId::NONE, text);
    let mut config = None;
    if let Some(document) = documents.first().filter(|d| !d.node.is_null()) {
        let (found, more) = decode(&document.node, Some(object.clone()), "data.mesh");
        config = found;
        problems.extend(more);
    }
    let problems = problems.into_iter().map(|problem| {
        let mut moved = Diagnostic { labels: Vec::new(), ..problem };
        moved.object.get_or_insert_with(|| object.clone());
        moved.label(origin, "")
    });
    (config.map(|c| MeshConfig { origin, ..c }), problems.collect())
}

/// The annotation `proxy.istio.io/config`. The error is one sentence.
pub(super) fn proxy_config(text: &str) -> Result<ProxyConfig, String> {
    let (documents, problems) = yaml::parse_stream(FileId::NONE, text);
    if let Some(problem) = problems.iter().find(|p| p.is_error()) {
        return Err(problem.message.clone());
    }
    let Some(document) = documents.first().filter(|d| !d.node.is_null()) else {
        return Ok(ProxyConfig::default());
    };
    let mut cx = DecodeCx::new(None, "");
    let config = from_node(&document.node, &mut cx);
    match cx.diagnostics.into_iter().find(Diagnostic::is_error) {
        Some(problem) => Err(problem.message),
        None => config.ok_or_else(|| "not a mapping".to_owned()),
    }
}

/// Reading a `meshconfig.yaml`: one document of MeshConfig fields.
pub fn of_text(file: FileId, text: &str) -> (Option<MeshConfig>, Vec<Diagnostic>) {
    let (documents, mut problems) = yaml::parse_stream(file, text);
    let mut documents = documents.into_iter().filter(|d| !d.node.is_null());
    let Some(first) = documents.next() else { return (None, problems) };
    let (config, more) = decode(&first.node, None, "");
    problems.extend(more);
    if let Some(second) = documents.next() {
        let message = "a mesh configuration is one document";
        problems.push(Diagnostic::error(
            codes::BAD_MESH_CONFIG,
            Stage::Analysis,
            second.node.site(),
            message,
        ));
    }
    (config, problems)
}
