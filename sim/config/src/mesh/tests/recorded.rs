//! Every recorded mesh: addresses, proxies, and the endpoints istiod sent, as far as the model decides them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Mesh, MeshOptions, mesh_of};
use crate::mesh::config_layers;
use crate::mesh::service::{Endpoint, Health, Resolution, Service};
use crate::mesh::workload::ClientPod;
use crate::source::FileId;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance")
}

fn json(path: &Path) -> Value {
    let bytes = std::fs::read(path).expect("readable");
    if path.extension().is_some_and(|e| e == "gz") {
        let mut text = String::new();
        flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).expect("gzip");
        return serde_json::from_str(&text).expect("json");
    }
    serde_json::from_slice(&bytes).expect("json")
}

fn recorded_meshes() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(corpus()).expect("corpus").map(|e| e.expect("entry").path());
    let mut found: Vec<PathBuf> = entries.filter(|p| p.join("addresses.json").is_file()).collect();
    found.sort();
    assert_eq!(found.len(), 15, "{found:?}");
    found
}

/// Client pods in the order of their numbers, as `addresses.json` names them.
fn clients(addresses: &Value) -> Vec<ClientPod> {
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

fn load(dir: &Path) -> (Mesh, Value) {
    let addresses = json(&dir.join("addresses.json"));
    let mut text = String::new();
    let mut options = MeshOptions { clients: clients(&addresses), ..MeshOptions::default() };
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(dir).expect("dir").map(|e| e.expect("entry").path()).collect();
    files.sort();
    for path in files.iter().filter(|p| p.extension().is_some_and(|e| e == "yaml")) {
        let content = std::fs::read_to_string(path).expect("readable");
        if path.file_name().is_some_and(|n| n == "meshconfig.yaml") {
            let (config, problems) = config_layers::of_text(FileId(1), &content);
            assert!(problems.is_empty(), "{problems:?}");
            options.config.extend(config);
        } else {
            text.push_str("\n---\n");
            text.push_str(&content);
        }
    }
    let (mesh, problems) = mesh_of(&text, &options);
    let errors: Vec<_> = problems.iter().filter(|d| d.is_error()).collect();
    assert!(errors.is_empty(), "{}: {errors:?}", dir.display());
    (mesh, addresses)
}

fn texts(object: &Value) -> BTreeMap<String, Option<String>> {
    let entries = object.as_object().expect("object").iter();
    entries.map(|(k, v)| (k.clone(), v.as_str().map(str::to_owned))).collect()
}

#[test]
fn addresses_and_proxies_are_the_recorded_ones() {
    for dir in recorded_meshes() {
        let (mesh, addresses) = load(&dir);
        let pods: BTreeMap<_, _> = mesh.pods.iter().map(|p| (p.key(), Some(p.ip.to_string()))).collect();
        assert_eq!(pods, texts(&addresses["pods"]), "pods of {}", dir.display());
        let of =
            |s: &crate::resource::meta::ObjectMeta| mesh.cluster_ips.get(&s.key()).map(|ip| ip.to_string());
        let services: BTreeMap<_, _> =
            mesh.inventory.services.iter().map(|s| (s.meta.key(), of(&s.meta))).collect();
        let external = |key: &String| {
            mesh.services
                .iter()
                .any(|s| s.resolution == Resolution::Alias && format!("{}/{}", s.namespace, s.name) == *key)
        };
        let mut recorded = texts(&addresses["services"]);
        recorded.retain(|key, _| !external(key));
        let mut ours = services;
        ours.retain(|key, _| !external(key));
        assert_eq!(ours, recorded, "services of {}", dir.display());
        let xds = json(&dir.join("xds.json.gz"));
        let recorded: BTreeSet<String> = xds.as_object().expect("proxies").keys().cloned().collect();
        let proxies: BTreeSet<String> = mesh.proxies.iter().map(|p| p.id.replace('/', ".")).collect();
        assert_eq!(proxies, recorded, "proxies of {}", dir.display());
    }
}

/// `address:port health region/zone/subzone` per endpoint of every cluster that istiod sent by EDS.
fn recorded_endpoints(proxy: &Value) -> BTreeMap<String, Vec<String>> {
    let none = Vec::new();
    let list = |v: &'_ Value, key: &str| v[key].as_array().cloned().unwrap_or_default();
    let mut found = BTreeMap::new();
    for cluster in proxy["endpoints"].as_array().unwrap_or(&none) {
        let name = cluster["clusterName"].as_str().unwrap_or_default();
        let mut endpoints = Vec::new();
        for locality in list(cluster, "endpoints") {
            let part = |key: &str| locality["locality"][key].as_str().unwrap_or_default().to_owned();
            let place = format!("{}/{}/{}", part("region"), part("zone"), part("subZone"));
            for endpoint in list(&locality, "lbEndpoints") {
                let socket = &endpoint["endpoint"]["address"]["socketAddress"];
                let health = endpoint["healthStatus"].as_str().unwrap_or("UNKNOWN");
                endpoints.push(format!(
                    "{}:{} {health} {place}",
                    socket["address"].as_str().unwrap_or_default(),
                    socket["portValue"]
                ));
            }
        }
        found.insert(name.to_owned(), endpoints);
    }
    found
}

#[test]
fn endpoints_are_the_recorded_ones() {
    let (mut compared, mut narrowed) = (0, 0);
    for dir in recorded_meshes() {
        let (mesh, _) = load(&dir);
        let xds = json(&dir.join("xds.json.gz"));
        for (proxy, sent) in xds.as_object().expect("proxies") {
            for (cluster, recorded) in recorded_endpoints(sent) {
                // Subsets are a matter of DestinationRules, unseen services one of scope: `lower` is judged on those.
                let mut parts = cluster.split('|');
                let (Some("outbound"), Some(port), Some(""), Some(host)) =
                    (parts.next(), parts.next(), parts.next(), parts.next())
                else {
                    continue;
                };
                compared += 1;
                // Which of several namespaces' services a proxy sees is a matter of scope.
                let number = port.parse().expect("port");
                let candidates: Vec<Vec<String>> =
                    mesh.services_of(host).map(|service| our_endpoints(&mesh, service, number)).collect();
                if candidates.contains(&recorded) {
                    continue;
                }
                // Locality settings may leave endpoints out and order localities: `lower`'s. The rest stays.
                narrowed += 1;
                let mut ours = candidates.first().cloned().unwrap_or_default();
                ours.retain(|e| recorded.contains(e));
                ours.sort();
                let mut sent = recorded.clone();
                sent.sort();
                assert_eq!(ours, sent, "{} {proxy} {cluster}", dir.display());
            }
        }
    }
    assert!(compared > 1_000 && narrowed * 20 < compared, "{narrowed} of {compared} clusters were narrowed");
}

fn our_endpoints(mesh: &Mesh, service: &Service, port: u32) -> Vec<String> {
    let Some(port) = service.port(port) else { return Vec::new() };
    let line = |e: &Endpoint| {
        let health = match e.health {
            Health::Healthy => "HEALTHY",
            Health::Unhealthy => "UNHEALTHY",
            _ => "UNKNOWN",
        };
        let l = &e.locality;
        format!("{}:{} {health} {}/{}/{}", e.address, e.port, l.region, l.zone, l.subzone)
    };
    mesh.endpoints.by_name(service, port).map(line).collect()
}
