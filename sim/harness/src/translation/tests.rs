//! Every recorded mesh: what every proxy is sent is what istiod sent it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mesh_config::inventory::Inventory;
use mesh_config::lower::Lowering;
use mesh_config::mesh::proxy::ProxyId;
use mesh_config::mesh::workload::ClientPod;
use mesh_config::mesh::{Mesh, MeshOptions, config_layers};
use mesh_config::source::FileId;
use serde_json::Value;

use super::{Kind, Recording};

fn corpus() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance");
    let mut meshes: Vec<PathBuf> = std::fs::read_dir(root)
        .expect("the corpus is there")
        .map(|entry| entry.expect("entry").path())
        .filter(|dir| dir.join("xds.json.gz").is_file())
        .collect();
    meshes.sort();
    meshes
}

fn recording(dir: &Path) -> Recording {
    let bytes = std::fs::read(dir.join("xds.json.gz")).expect("recording");
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).expect("gzip");
    Recording::parse(&text).expect("json")
}

/// Client pods in the order of their numbers, as `addresses.json` names them.
fn clients(dir: &Path) -> Vec<ClientPod> {
    let text = std::fs::read_to_string(dir.join("addresses.json")).expect("addresses");
    let addresses: Value = serde_json::from_str(&text).expect("json");
    let mut numbered = BTreeMap::new();
    for (text, name) in addresses["clients"].as_object().expect("clients") {
        let pod: Value = serde_json::from_str(text).expect("a client is JSON");
        let number: usize = name.as_str().and_then(|n| n.rsplit('-').next()?.parse().ok()).expect("number");
        let labels = pod["labels"].as_object().expect("labels").iter();
        let client = ClientPod {
            namespace: pod["namespace"].as_str().expect("namespace").to_owned(),
            labels: labels.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect(),
            service_account: pod["serviceAccount"].as_str().map(str::to_owned),
            sidecar: pod["sidecar"].as_bool(),
            ..ClientPod::default()
        };
        numbered.insert(number, client);
    }
    numbered.into_values().collect()
}

fn lowering(dir: &Path) -> Lowering {
    let mut options = MeshOptions { clients: clients(dir), ..MeshOptions::default() };
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(dir).expect("directory").map(|entry| entry.expect("entry").path()).collect();
    files.sort();
    let mut objects = Vec::new();
    for (number, path) in (0..).zip(files.iter().filter(|p| p.extension().is_some_and(|e| e == "yaml"))) {
        let text = std::fs::read_to_string(path).expect("manifest");
        if path.file_name().is_some_and(|name| name == "meshconfig.yaml") {
            options.config.extend(config_layers::of_text(FileId(number), &text).0);
        } else {
            objects.extend(mesh_config::load::read_text(FileId(number), &text).0);
        }
    }
    let (inventory, _) = Inventory::new(objects, "default");
    let (mesh, _) = Mesh::new(inventory, &options);
    Lowering::new(Arc::new(mesh))
}

/// Differences of one mesh, with the proxy in front.
fn differences(dir: &Path) -> Vec<String> {
    let (recording, lowering) = (recording(dir), lowering(dir));
    assert_eq!(recording.proxies().count(), lowering.mesh.proxies.len(), "{}", dir.display());
    let mut out = Vec::new();
    for (id, proxy) in (0..).map(ProxyId).zip(&lowering.mesh.proxies) {
        let snapshot = lowering.snapshot(id).expect("a snapshot");
        for kind in [Kind::Listeners, Kind::Routes, Kind::Clusters] {
            let found = recording.differences(&proxy.id, &snapshot, kind);
            out.extend(found.iter().map(|d| format!("{} {kind:?} {d}", proxy.id)));
        }
    }
    out
}

#[test]
fn every_proxy_is_sent_what_istiod_sent() {
    let mut all = Vec::new();
    let corpus = corpus();
    assert_eq!(corpus.len(), 15, "{corpus:?}");
    for dir in corpus {
        let found = differences(&dir);
        let mesh = dir.file_name().expect("name").to_string_lossy().into_owned();
        all.extend(found.iter().take(40).map(|d| format!("{mesh} {d}")));
    }
    assert!(all.is_empty(), "{} differences\n{}", all.len(), all[..all.len().min(120)].join("\n"));
}
