//! Where mesh configuration is written: IstioOperator, the ConfigMap `istio`, a file, or inline in a scenario.
//!
//! Turns each into a `MeshConfig` as written; `meshconfig` lays them over each other in this order.

use crate::decode::{DecodeCx, from_node};
use crate::diagnostic::{Diagnostic, ObjectRef, Stage, codes};
use crate::document::RawObject;
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
        out.extend(installation_values(&other.raw));
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

/// Installation values that change what istiod or the injector does, beside the mesh configuration.
const UNREAD_VALUES: [&str; 9] = [
    "spec/values/pilot/env",
    "spec/values/global/proxy/includeIPRanges",
    "spec/values/global/proxy/excludeIPRanges",
    "spec/values/global/proxy/includeInboundPorts",
    "spec/values/global/proxy/excludeInboundPorts",
    "spec/values/global/proxy/includeOutboundPorts",
    "spec/values/global/proxy/excludeOutboundPorts",
    "spec/values/global/proxy/autoInject",
    "spec/values/sidecarInjectorWebhook",
];

/// Says which of them are given.
fn installation_values(raw: &RawObject) -> Vec<Diagnostic> {
    let given = |path: &&&str| raw.node.path(path).is_some_and(|n| !n.is_null());
    UNREAD_VALUES
        .iter()
        .filter(given)
        .map(|path| {
            let at = raw.node.path(path).map_or(raw.span, Node::site);
            let message =
                format!("{}: not simulated; the defaults of the profile are used", path.replace('/', "."));
            Diagnostic::warning(codes::NOT_MODELLED, Stage::Support, at, message).object(raw.reference())
        })
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::read_text;
    use crate::mesh::meshconfig::MeshSettings;

    #[test]
    fn manifests_hold_layers_and_unread_values() {
        let text = "
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {name: i, namespace: istio-system}
spec:
  meshConfig: {trustDomain: low, rootNamespace: low}
  values: {pilot: {env: {PILOT_HTTP10: '1'}}, meshConfig: {trustDomain: lowest}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    rootNamespace: high
    trustDomian: typo
";
        let (objects, _) = read_text(FileId(0), text);
        let (inventory, _) = Inventory::new(&objects, "default");
        let mut problems = Vec::new();
        let settings = MeshSettings::new(of_manifests(&inventory, &mut problems));
        assert_eq!((settings.trust_domain.as_str(), settings.root_namespace.as_str()), ("low", "high"));
        let found: Vec<_> = problems.iter().map(|p| (p.code.0, p.span().is_none())).collect();
        assert_eq!(found, [("MS0401", false), ("MS0102", false)], "{problems:?}");
    }

    #[test]
    fn files_are_one_document() {
        let (config, problems) = of_text(FileId(0), "enableAutoMtls: false\n---\nx: 1\n");
        assert_eq!(config.and_then(|c| c.enable_auto_mtls), Some(false));
        assert_eq!(problems.iter().map(|p| p.code.0).collect::<Vec<_>>(), ["MS0204"]);
        assert!(of_text(FileId(0), "# nothing\n").0.is_none());
        assert!(proxy_config("proxyMetadata: {ISTIO_META_DNS_CAPTURE: true}").is_err());
        let good = proxy_config("proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}").expect("reads");
        assert_eq!(good.proxy_metadata.len(), 1);
    }
}
