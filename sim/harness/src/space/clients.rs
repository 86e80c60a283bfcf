//! Who may call: one caller per identity, labels, namespace and data plane; callers that no manifest has but some
//! rule names; the world outside, through every gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use mesh_config::resource::authorization_policy::{Rule, Source};
use mesh_engine::world::PodId;

use super::Scope;
use crate::directory::PodEntry;
use crate::format::client::{Client, GatewayClient, PodClient, WorkloadRef};
use crate::loaded::LoadedMesh;

/// A namespace that no manifest should have.
const STRANGE: &str = "mesh-sim-elsewhere";

/// A caller that stands for all that the mesh cannot tell from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientClass {
    /// Who sends, in the words of `from:`.
    pub client: Client,
    /// What runs beside it.
    pub plane: Plane,
}

/// A caller's data plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plane {
    /// A sidecar.
    Sidecar,
    /// No proxy.
    None,
    /// Outside of the cluster, through a gateway.
    Outside,
}

impl ClientClass {
    /// As `explain --from` takes it: `default/productpage-v1`, `pod:test/default`, `pod+sidecar:test/default`,
    /// `gateway:istio-system/istio-ingressgateway`.
    #[must_use]
    pub fn reference(&self) -> String {
        match &self.client {
            Client::Workload(reference) => reference.to_string(),
            Client::Gateway(gateway) => format!("gateway:{}", gateway.gateway),
            Client::Pod(pod) => pod.reference(),
        }
    }
}

/// The pods that no manifest has, with and without a sidecar.
#[must_use]
pub fn strangers() -> [PodClient; 2] {
    [true, false].map(|sidecar| PodClient {
        namespace: STRANGE.to_owned(),
        sidecar: Some(sidecar),
        ..PodClient::default()
    })
}

/// Gives all meshes the same further callers: strangers, and one for every identity, namespace, address block and
/// source label that a rule of any of them names and no pod has.
#[must_use]
pub fn all_populated(meshes: &[&LoadedMesh]) -> Vec<LoadedMesh> {
    let wanted = wanted(meshes);
    meshes.iter().map(|mesh| mesh.with_clients(&wanted)).collect()
}

fn wanted(meshes: &[&LoadedMesh]) -> Vec<PodClient> {
    let mut wanted: Vec<PodClient> = strangers().to_vec();
    for mesh in meshes {
        for client in named(mesh) {
            if !wanted.contains(&client) {
                wanted.push(client);
            }
        }
    }
    // The same pods in the same order everywhere: addresses must not differ between two sides.
    wanted.sort();
    wanted
}

/// [`all_populated`] for one mesh.
#[must_use]
pub fn populated(mesh: &LoadedMesh) -> LoadedMesh {
    mesh.with_clients(&wanted(&[mesh]))
}

fn account(mesh: &LoadedMesh, pod: PodId) -> String {
    let model = mesh.lowering.mesh.pods.get(pod.0 as usize);
    model.map(|p| format!("{}/{}", p.namespace, p.service_account)).unwrap_or_default()
}

/// Callers that rules name and no pod is.
fn named(mesh: &LoadedMesh) -> Vec<PodClient> {
    let model = &mesh.lowering.mesh;
    let pods: Vec<(&str, String, &BTreeMap<String, String>, IpAddr)> = mesh
        .directory
        .pods
        .iter()
        .map(|p| (p.namespace.as_str(), account(mesh, p.id), &p.labels, p.ip))
        .collect();
    let mut found = Vec::new();
    let pod = |namespace: &str, account: &str| PodClient {
        namespace: namespace.to_owned(),
        service_account: account.to_owned(),
        sidecar: Some(true),
        ..PodClient::default()
    };
    for policy in &model.inventory.authorization_policies {
        let names = Named::of(&policy.spec.rules, &policy.meta.namespace);
        for (namespace, account) in &names.accounts {
            let full = format!("{namespace}/{account}");
            if !pods.iter().any(|(_, a, ..)| *a == full) {
                found.push(pod(namespace, account));
            }
        }
        for namespace in names.namespaces.iter().filter(|n| !pods.iter().any(|(p, ..)| p == n)) {
            found.push(pod(namespace, "default"));
        }
        for block in &names.blocks {
            if pods.iter().any(|(.., ip)| block.contains(ip)) {
                continue;
            }
            for sidecar in [true, false] {
                let ip = block.hosts().next();
                found.push(PodClient { sidecar: Some(sidecar), ip, ..pod(STRANGE, "default") });
            }
        }
    }
    for service in &model.inventory.virtual_services {
        let own = &service.meta.namespace;
        for m in service.spec.http.iter().flat_map(|h| &h.match_) {
            let namespace = if m.source_namespace.is_empty() { own } else { &m.source_namespace };
            let fits = |(n, _, labels, _): &(&str, String, &BTreeMap<String, String>, IpAddr)| {
                (m.source_namespace.is_empty() || *n == m.source_namespace)
                    && m.source_labels.iter().all(|(k, v)| labels.get(k) == Some(v))
            };
            let conditional = !m.source_labels.is_empty() || !m.source_namespace.is_empty();
            if conditional && !pods.iter().any(fits) {
                found.push(PodClient { labels: m.source_labels.clone(), ..pod(namespace, "default") });
            }
        }
    }
    found
}

/// What the sources of rules name.
#[derive(Default)]
struct Named {
    accounts: BTreeSet<(String, String)>,
    namespaces: BTreeSet<String>,
    blocks: BTreeSet<IpNet>,
}

impl Named {
    fn of(rules: &[Rule], own: &str) -> Named {
        let mut named = Named::default();
        for source in rules.iter().flat_map(|r| &r.from).filter_map(|f| f.source.as_ref()) {
            named.source(source, own);
        }
        for condition in rules.iter().flat_map(|r| &r.when) {
            let values = condition.values.iter().chain(&condition.not_values);
            for value in values {
                match condition.key.as_str() {
                    "source.principal" => named.principal(value),
                    "source.namespace" => named.namespace(value),
                    "source.serviceAccount" => named.account(value, own),
                    "source.ip" => named.block(value),
                    _ => {}
                }
            }
        }
        named
    }

    fn source(&mut self, source: &Source, own: &str) {
        source.principals.iter().chain(&source.not_principals).for_each(|p| self.principal(p));
        source.namespaces.iter().chain(&source.not_namespaces).for_each(|n| self.namespace(n));
        let accounts = source.service_accounts.iter().chain(&source.not_service_accounts);
        accounts.for_each(|a| self.account(a, own));
        source.ip_blocks.iter().chain(&source.not_ip_blocks).for_each(|b| self.block(b));
    }

    /// `cluster.local/ns/NS/sa/SA`; stars stand for some text.
    fn principal(&mut self, text: &str) {
        let Some((_, rest)) = text.split_once("/ns/") else { return };
        let Some((namespace, account)) = rest.split_once("/sa/") else { return };
        self.accounts.insert((example(namespace), example(account)));
    }

    fn namespace(&mut self, text: &str) {
        if text != "*" {
            self.namespaces.insert(example(text));
        }
    }

    fn account(&mut self, text: &str, own: &str) {
        let (namespace, account) = text.split_once('/').unwrap_or((own, text));
        self.accounts.insert((example(namespace), example(account)));
    }

    fn block(&mut self, text: &str) {
        let block = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        self.blocks.extend(block);
    }
}

fn example(text: &str) -> String {
    text.replace('*', "x")
}

/// One caller per class, of all meshes, in order of their references.
pub(super) fn callers(meshes: &[&LoadedMesh], scope: &Scope) -> Vec<ClientClass> {
    let mut all: BTreeMap<String, ClientClass> = BTreeMap::new();
    for mesh in meshes {
        for caller in of_mesh(mesh, scope) {
            all.entry(caller.reference()).or_insert(caller);
        }
    }
    all.into_values().collect()
}

fn of_mesh(mesh: &LoadedMesh, scope: &Scope) -> Vec<ClientClass> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    let chosen: Vec<&PodEntry> = match &scope.from {
        Some(reference) => mesh.directory.find(reference),
        None => mesh.directory.pods.iter().collect(),
    };
    for pod in chosen {
        if pod.gateway {
            let gateway = format!("{}/{}", pod.namespace, pod.workload);
            let client = Client::Gateway(GatewayClient { gateway, source_ip: None });
            found.push(ClientClass { client, plane: Plane::Outside });
            continue;
        }
        if !seen.insert((account(mesh, pod.id), pod.labels.clone(), pod.sidecar, made_up(mesh, pod))) {
            continue;
        }
        let client = match mesh.clients.iter().find(|(_, id)| *id == pod.id) {
            Some((client, _)) => Client::Pod(client.clone()),
            None => Client::Workload(WorkloadRef::Name {
                namespace: Some(pod.namespace.clone()),
                name: pod.workload.clone(),
                ordinal: (pod.ordinal > 0).then_some(pod.ordinal),
            }),
        };
        found.push(ClientClass { client, plane: if pod.sidecar { Plane::Sidecar } else { Plane::None } });
    }
    found
}

/// Client pods with an address of their own were made because a rule looks at it.
fn made_up(mesh: &LoadedMesh, pod: &PodEntry) -> Option<IpAddr> {
    mesh.clients.iter().find(|(_, id)| *id == pod.id).and_then(|(client, _)| client.ip)
}
