//! The mesh of a simulation directory as one proxy sees it.
//!
//! The proxies of these cases are nobody's pods: address, labels and namespace are given. A Pod document with exactly
//! these stands for them, unless the mesh has one at the address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use mesh_config::decode::{DecodeCx, Spanned, from_node};
use mesh_config::input::InputFile;
use mesh_config::inventory::Inventory;
use mesh_config::load::read_into;
use mesh_config::lower::Lowering;
use mesh_config::mesh::{Mesh, MeshOptions};
use mesh_config::source::{Sources, Span};
use mesh_core::ir::Snapshot;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::conformance::predictor;
use crate::loaded::DEFAULT_NAMESPACE;

/// The proxy of a case.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct ProxyWords {
    #[serde(rename = "type")]
    kind: String,
    namespace: String,
    ips: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

impl ProxyWords {
    /// The pods of a gateway live where the case says it is called (`ns/name`): the tests give their routers' namespace
    /// to configuration alone, which no real proxy has apart.
    pub(super) fn at_gateway(&mut self, gateway: &str) {
        if let Some((namespace, _)) = gateway.split_once('/') {
            namespace.clone_into(&mut self.namespace);
        }
    }
}

/// The parts of a Pod document that say which address it has.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PodAddress {
    kind: String,
    metadata: Named,
    status: PodStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
    namespace: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PodStatus {
    #[serde(rename = "podIP")]
    pod_ip: String,
}

/// Feature flags of the cases and istiod's variables for them.
const FLAGS: [(&str, &str); 1] = [("EnableTLSOnSidecarIngress", "ENABLE_TLS_ON_SIDECAR_INGRESS")];

/// What istiod would send to the proxy.
pub(super) struct Setting {
    pub(super) snapshot: Arc<Snapshot>,
}

/// Name of the pod that stands for a given proxy.
const STAND_IN: &str = "given-proxy";

impl Setting {
    /// Reads the manifests of a directory and lowers them for one proxy, by an istiod with these flags.
    pub(super) fn load(
        dir: &Path,
        proxy: &ProxyWords,
        features: &BTreeMap<String, bool>,
    ) -> Result<Setting, String> {
        let first = proxy.ips.first().ok_or("the proxy has no address")?;
        let ip: IpAddr = first.parse().map_err(|_| format!("`{first}` is no address"))?;
        let mut sources = Sources::default();
        let mut files = Vec::new();
        for name in ["mesh.yaml", "kube.yaml"] {
            let path = dir.join(name);
            if path.is_file() {
                let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
                files.push(InputFile { display_name: path.to_string_lossy().into_owned(), bytes });
            }
        }
        files.extend(istiod(features)?);
        let config = dir.join("meshconfig.yaml");
        let config =
            if config.is_file() { Some(predictor::mesh_config(&mut sources, &config)?) } else { None };
        let (objects, _) = read_into(&mut sources, files.clone());
        let options = |pod_addresses| MeshOptions {
            config: config.iter().cloned().collect(),
            pod_addresses,
            ..MeshOptions::default()
        };
        let mut addresses = pod_addresses(&mut sources, &files);
        let mut mesh = build(&objects, &options(addresses.clone()));
        if mesh.pod_by_ip(ip).is_none_or(|id| mesh.proxy_of(id).is_none()) {
            files.push(stand_in(proxy));
            let (objects, _) = read_into(&mut sources, files);
            let key = format!("{}/{STAND_IN}", proxy.namespace);
            let address = Spanned { value: ip.to_string(), span: Span::NONE };
            addresses.insert(key, address);
            mesh = build(&objects, &options(addresses));
        }
        let id = mesh.pod_by_ip(ip).and_then(|pod| mesh.proxy_of(pod)).ok_or("the mesh has no such proxy")?;
        let snapshot = Lowering::new(Arc::new(mesh)).snapshot(id).ok_or("the proxy has no configuration")?;
        Ok(Setting { snapshot })
    }
}

/// Istio's simulation applies no admission: what istiod cannot use, it passes over itself.
fn build(objects: &[mesh_config::document::RawObject], options: &MeshOptions) -> Mesh {
    let (inventory, _) = Inventory::new(objects, DEFAULT_NAMESPACE);
    Mesh::new(inventory, options).0
}

/// Addresses that the Pods of a dump have.
fn pod_addresses(sources: &mut Sources, files: &[InputFile]) -> BTreeMap<String, Spanned<String>> {
    let mut out = BTreeMap::new();
    for file in files {
        let text = String::from_utf8_lossy(&file.bytes).into_owned();
        let id = sources.add(file.display_name.clone(), text.clone());
        for document in mesh_config::yaml::parse_stream(id, &text).0 {
            let mut cx = DecodeCx::default();
            let pod: PodAddress = from_node(&document.node, &mut cx).unwrap_or_default();
            if pod.kind == "Pod" && !pod.status.pod_ip.is_empty() {
                let key = format!("{}/{}", pod.metadata.namespace, pod.metadata.name);
                out.insert(key, Spanned { value: pod.status.pod_ip, span: Span::NONE });
            }
        }
    }
    out
}

/// An istiod with feature flags, as its Deployment sets them.
fn istiod(features: &BTreeMap<String, bool>) -> Result<Option<InputFile>, String> {
    if features.is_empty() {
        return Ok(None);
    }
    let mut variables = Vec::new();
    for (flag, on) in features {
        let known = FLAGS.iter().find(|(name, _)| name == flag);
        let (_, variable) =
            known.ok_or_else(|| format!("istiod's feature flag {flag}={on} is not modelled"))?;
        variables.push(json!({"name": variable, "value": on.to_string()}));
    }
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "istiod", "namespace": "istio-system"},
        "spec": {"template": {"spec": {"containers": [
            {"name": "discovery", "image": "pilot", "env": variables},
        ]}}},
    });
    Ok(Some(InputFile { display_name: "<istiod>".to_owned(), bytes: deployment.to_string().into_bytes() }))
}

fn stand_in(proxy: &ProxyWords) -> InputFile {
    let role = if proxy.kind == "router" { "router" } else { "sidecar" };
    let variables: BTreeMap<String, &String> =
        proxy.metadata.iter().map(|(key, value)| (format!("ISTIO_META_{key}"), value)).collect();
    let config: Value = json!({ "proxyMetadata": variables });
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": STAND_IN,
            "namespace": proxy.namespace,
            "labels": proxy.labels,
            "annotations": {"proxy.istio.io/config": config.to_string()},
        },
        "spec": {"containers": [
            {"name": "app", "image": "app"},
            {"name": "istio-proxy", "image": "proxyv2", "args": ["proxy", role]},
        ]},
    });
    InputFile { display_name: format!("<{STAND_IN}>"), bytes: pod.to_string().into_bytes() }
}
