//! Every recorded mesh: addresses, proxies, and the endpoints istiod sent, as far as the model decides them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

use super::{Mesh, MeshOptions, mesh_of};
use crate::mesh::cluster_dns::{Answer, Destination};
use crate::mesh::config_layers;
use crate::mesh::pod::DataPlane;
use crate::mesh::proxy::ProxyKind;
use crate::mesh::service::{Endpoint, Health, Resolution, Service};
use crate::mesh::workload::ClientPod;
use crate::resource::selector::is_subset;
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

/// One recorded mesh.
struct Recorded {
    name: String,
    mesh: Mesh,
    addresses: Value,
    xds: Value,
    cases: Vec<Value>,
}

/// All of them, read once.
fn recorded() -> &'static [Recorded] {
    static ALL: OnceLock<Vec<Recorded>> = OnceLock::new();
    ALL.get_or_init(|| recorded_meshes().iter().map(|dir| load(dir)).collect())
}

fn load(dir: &Path) -> Recorded {
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
    let cases = std::fs::read_to_string(dir.join("cases.jsonl")).expect("cases");
    let cases = cases.lines().filter(|l| !l.is_empty());
    Recorded {
        name: dir.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        mesh,
        addresses,
        xds: json(&dir.join("xds.json.gz")),
        cases: cases.map(|l| serde_json::from_str(l).expect("json")).collect(),
    }
}

fn texts(object: &Value) -> BTreeMap<String, Option<String>> {
    let entries = object.as_object().expect("object").iter();
    entries.map(|(k, v)| (k.clone(), v.as_str().map(str::to_owned))).collect()
}

#[test]
fn addresses_and_proxies_are_the_recorded_ones() {
    for Recorded { name, mesh, addresses, xds, .. } in recorded() {
        let pods: BTreeMap<_, _> = mesh.pods.iter().map(|p| (p.key(), Some(p.ip.to_string()))).collect();
        assert_eq!(pods, texts(&addresses["pods"]), "pods of {}", name);
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
        assert_eq!(ours, recorded, "services of {}", name);
        let recorded: BTreeSet<String> = xds.as_object().expect("proxies").keys().cloned().collect();
        let proxies: BTreeSet<String> = mesh.proxies.iter().map(|p| p.id.replace('/', ".")).collect();
        assert_eq!(proxies, recorded, "proxies of {}", name);
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
    for Recorded { name, mesh, xds, .. } in recorded() {
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
                    mesh.services_of(host).map(|service| our_endpoints(mesh, service, number)).collect();
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
                assert_eq!(ours, sent, "{} {proxy} {cluster}", name);
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

/// Whether any resource of this kind is in the mesh.
fn has(mesh: &Mesh, kind: &str) -> bool {
    mesh.inventory.metas().any(|(k, _)| k == kind)
}

#[test]
fn tls_modes_are_the_recorded_ones() {
    let mut compared = 0;
    for Recorded { name, mesh, xds, .. } in recorded() {
        // A PeerAuthentication that disables mutual TLS takes the mode away again: `lower`'s.
        let exact = !has(mesh, "PeerAuthentication");
        for (proxy, sent) in xds.as_object().expect("proxies") {
            for pair in recorded_tls_modes(sent) {
                let (address, istio) = pair;
                let Some(pod) = address.parse().ok().and_then(|ip| mesh.pod_by_ip(ip)) else { continue };
                let pod = mesh.pod(pod).expect("pod");
                let ours = pod.labels.get("security.istio.io/tlsMode").map(String::as_str) == Some("istio");
                assert!(ours == istio || (!exact && ours), "{} {proxy} {address}: {istio}", name);
                compared += 1;
            }
        }
    }
    assert!(compared > 1_000, "only {compared} endpoints compared");
}

fn recorded_tls_modes(proxy: &Value) -> Vec<(String, bool)> {
    let list = |v: &Value, key: &str| v[key].as_array().cloned().unwrap_or_default();
    let endpoints = list(proxy, "endpoints").into_iter().flat_map(|c| list(&c, "endpoints"));
    let endpoints = endpoints.flat_map(|l| list(&l, "lbEndpoints"));
    endpoints
        .filter_map(|e| {
            let metadata = &e["metadata"]["filterMetadata"]["envoy.transport_socket_match"]["tlsMode"];
            let address = e["endpoint"]["address"]["socketAddress"]["address"].as_str()?;
            Some((address.to_owned(), metadata.as_str() == Some("istio")))
        })
        .collect()
}

#[test]
fn inbound_ports_are_those_of_the_service_targets() {
    let mut compared = 0;
    for Recorded { name, mesh, xds, .. } in recorded() {
        for proxy in mesh.proxies.iter().filter(|p| p.kind == ProxyKind::Sidecar) {
            // `ingress` of a Sidecar replaces what services say.
            let replaced = mesh.inventory.sidecars.iter().any(|s| {
                let labels = s.spec.workload_selector.as_ref().map(|w| &w.labels);
                s.meta.namespace == proxy.namespace
                    && !s.spec.ingress.is_empty()
                    && labels.is_none_or(|l| is_subset(l, &proxy.labels))
            });
            if replaced {
                continue;
            }
            let ours: BTreeSet<String> =
                proxy.targets.iter().map(|t| format!("inbound|{}||", t.target_port)).collect();
            let none = Vec::new();
            let clusters = xds[proxy.id.replace('/', ".")]["clusters"].as_array().unwrap_or(&none);
            let names = clusters.iter().filter_map(|c| c["name"].as_str());
            let sent: BTreeSet<String> =
                names.filter(|n| n.starts_with("inbound|")).map(str::to_owned).collect();
            assert_eq!(ours, sent, "{} {}", name, proxy.id);
            compared += 1;
        }
    }
    assert!(compared > 100, "only {compared} proxies compared");
}

/// The address a sidecar was dialled at is the one our resolver gives for the name that was asked for.
#[test]
fn names_lead_to_the_recorded_addresses() {
    let mut compared = 0;
    for Recorded { mesh, cases, .. } in recorded() {
        for case in cases {
            let log = &case["client_log"];
            let (Some("outbound"), Some(local), Some(pod)) =
                (log["dir"].as_str(), log["local"].as_str(), log["pod"].as_str())
            else {
                continue;
            };
            let request = &case["request"];
            let url = request.as_str().and_then(|r| r.split(' ').nth(1)).or_else(|| request["url"].as_str());
            let Some((_, rest)) = url.and_then(|u| u.split_once("://")) else { continue };
            let host = rest.split(['/', ':', '?']).next().unwrap_or_default();
            let namespace = pod.split('/').next().unwrap_or_default();
            let ip: IpAddr = local.rsplit_once(':').expect("port").0.parse().expect("ip");
            match mesh.resolve(namespace, host) {
                Answer::Addresses(found) => assert!(found.contains(&ip), "{} {host}: {found:?}", case["id"]),
                // The recording's own internet.
                // (It also answers for cluster names that do not exist.)
                Answer::External(_) | Answer::NoSuchName => {
                    assert!(ip.to_string().starts_with("198.51.100."), "{} {host} {ip}", case["id"]);
                }
            }
            compared += 1;
        }
    }
    assert!(compared > 500, "only {compared} cases compared");
}

/// Without a sidecar, the recording's router sends a service address to its first ready endpoint.
#[test]
fn plain_clients_reach_the_recorded_pods() {
    let mut compared = 0;
    for Recorded { mesh, cases, .. } in recorded() {
        for case in cases {
            let request = &case["request"];
            let url = request.as_str().and_then(|r| r.split(' ').nth(1)).or_else(|| request["url"].as_str());
            let (Some(workload), Some(url)) = (case["observed"]["workload"].as_str(), url) else { continue };
            let client = case["from"].as_str().and_then(|from| from.split_once('/'));
            let plain = client.filter(|(namespace, name)| {
                let pods = mesh.pods_of_workload(namespace, name);
                pods.first().and_then(|id| mesh.pod(*id)).is_some_and(|p| p.data_plane == DataPlane::None)
            });
            let Some(namespace) = plain.map(|(namespace, _)| namespace).or_else(|| {
                let pod = &case["from"]["pod"];
                (pod["sidecar"] == false).then(|| pod["namespace"].as_str()).flatten()
            }) else {
                continue;
            };
            let Some((_, rest)) = url.split_once("://") else { continue };
            let authority = rest.split(['/', '?']).next().unwrap_or_default();
            let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
            let Answer::Addresses(found) = mesh.resolve(namespace, host) else { continue };
            let pod = match mesh.destination(found[0], port.parse().expect("port")) {
                Destination::Pod(id) => Some(id),
                Destination::Service { endpoints, .. } => endpoints.first().and_then(|e| e.pod),
                _ => None,
            };
            let reached = pod.and_then(|id| mesh.pod(id)).map(crate::mesh::pod::Pod::reference);
            assert_eq!(reached.as_deref(), Some(workload), "{} {url}", case["id"]);
            compared += 1;
        }
    }
    assert!(compared > 10, "only {compared} cases compared");
}
