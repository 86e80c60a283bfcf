//! The request space of a mesh, cut into classes that the mesh cannot tell apart inside: one representative request
//! per class. The one foundation of `forAll`, `diff`, mutation and snapshots.
//!
//! The cuts are the conditions that occur in what istiod would send to the proxies on a request's way
//! (`predicates`): who calls (`clients`), where to (`targets`), and which combinations of path, method, headers,
//! parameters, tokens and addresses are told apart (`combine`, `texts`, `tokens`). Texts are found by automata,
//! so a class is missed only where [`Space::limits`] says so. Not in the space: calls to pod addresses and to ports
//! that no service has, bodies, and what clients forge in headers that no rule names.

mod class;
mod clients;
mod combine;
mod ending;
mod predicates;
mod shadows;
mod targets;
mod texts;
mod tokens;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use mesh_config::source::Span;
use mesh_engine::plan::ClientRequest;
use mesh_engine::world::PodId;
use mesh_reports::outcome::Unknown;

pub(crate) use class::quoted;
pub use class::{Class, command};
pub use clients::{ClientClass, Plane, all_populated, populated, strangers};
pub use ending::{Ending, Endings};
pub use shadows::shadows;
pub use tokens::shorthand;

use crate::format::client::{Client, WorkloadRef};
use crate::loaded::LoadedMesh;
use crate::plan::behavior::Behaviors;
use crate::plan::traffic::{Sender, client_request, sender};
use crate::predict::{Prediction, predict};
use crate::stop::Stop;
use combine::{Asked, Only, authority_matchers, classify, header_texts, requests};
use predicates::{Place, Predicates, Walk};
use targets::{Speech, Target, gateway_target, servers, targets};
use texts::Automata;

/// Most requests from one caller to one place.
const MAX_PER_PLACE: usize = 4096;

/// The request classes of one mesh, or of several that are compared.
#[derive(Debug, Clone, Default)]
pub struct Space {
    /// In order of their keys.
    pub classes: Vec<Class>,
    /// What is not told apart, with its place: when this is not empty, results over the classes are no proof.
    pub limits: Vec<Unknown>,
}

/// Which part of the space is wanted.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Only this caller.
    pub from: Option<WorkloadRef>,
    /// Only requests that may arrive at this workload.
    pub to: Option<WorkloadRef>,
    /// Only this port (as dialled).
    pub port: Option<u16>,
    /// Only these methods, taken as they are.
    pub methods: Vec<String>,
    /// Only these paths, taken as they are.
    pub paths: Vec<String>,
    /// Most classes; more are cut off, and [`Space::limits`] says so.
    pub max_classes: usize,
    /// Asked when the user wants no more; [`Space::limits`] says so.
    pub stop: Stop,
}

impl Default for Scope {
    fn default() -> Self {
        Scope {
            from: None,
            to: None,
            port: None,
            methods: Vec::new(),
            paths: Vec::new(),
            max_classes: 50_000,
            stop: Stop::default(),
        }
    }
}

impl Space {
    /// The classes that any of the meshes tells apart. Callers that no manifest has take part when the meshes were
    /// [`populated`] with them.
    #[must_use]
    pub fn of(meshes: &[&LoadedMesh], scope: &Scope) -> Space {
        let mut making = Making {
            meshes,
            scope,
            limits: BTreeSet::new(),
            known: BTreeMap::new(),
            derived: BTreeMap::new(),
            texts: Automata::default(),
        };
        let mut classes = BTreeMap::new();
        for client in clients::callers(meshes, scope) {
            for class in making.of_client(&client) {
                classes.entry(class.key.clone()).or_insert(class);
            }
        }
        let total = classes.len();
        if total > scope.max_classes {
            let what = format!("{total} request classes: only the first {} are asked", scope.max_classes);
            making.limits.insert(Unknown { what, place: None });
        }
        Space {
            classes: classes.into_values().take(scope.max_classes).collect(),
            limits: making.limits.into_iter().collect(),
        }
    }
}

/// Every outcome of a class in one mesh.
///
/// # Errors
/// When the mesh has no such caller, or there are too many outcomes.
pub fn outcomes(mesh: &LoadedMesh, class: &Class) -> Result<Vec<Prediction>, String> {
    outcomes_with(mesh, class, &Behaviors::default())
}

/// [`outcomes`] with applications that behave.
///
/// # Errors
/// As [`outcomes`].
pub fn outcomes_with(
    mesh: &LoadedMesh,
    class: &Class,
    behaviors: &Behaviors,
) -> Result<Vec<Prediction>, String> {
    ask(mesh, class, behaviors, false)
}

/// [`outcomes_with`], with the steps of every outcome.
///
/// # Errors
/// As [`outcomes`].
pub fn explained_with(
    mesh: &LoadedMesh,
    class: &Class,
    behaviors: &Behaviors,
) -> Result<Vec<Prediction>, String> {
    ask(mesh, class, behaviors, true)
}

/// Who sends what to ask a class.
pub(crate) fn question_of(mesh: &LoadedMesh, class: &Class) -> Result<(Sender, ClientRequest), String> {
    let sender = sender_of(mesh, &class.client.client)?;
    let request = client_request(&class.request, &sender, &mesh.directory)?;
    Ok((sender, request))
}

fn ask(
    mesh: &LoadedMesh,
    class: &Class,
    behaviors: &Behaviors,
    explain: bool,
) -> Result<Vec<Prediction>, String> {
    let (sender, request) = question_of(mesh, class)?;
    predict(mesh, &sender, &request, behaviors, explain)
}

fn sender_of(mesh: &LoadedMesh, client: &Client) -> Result<Sender, String> {
    sender(client, Span::NONE, &mesh.directory, &mesh.clients).map_err(|d| d.message.clone())
}

/// Whether the mesh has the caller of a class.
#[must_use]
pub fn exists(mesh: &LoadedMesh, class: &Class) -> bool {
    sender_of(mesh, &class.client.client).is_ok()
}

/// The resource that decided the most probable outcome (the last hop that names one), and its place.
#[must_use]
pub fn decision(predictions: &[Prediction], mesh: &LoadedMesh) -> Option<(String, String)> {
    let likely = predictions.iter().max_by(|a, b| a.p.total_cmp(&b.p))?;
    let (object, place) = likely.record.hops.iter().rev().find_map(|h| mesh.decision(h))?;
    Some((object.to_string(), place.unwrap_or_default()))
}

/// The pods that a reference means.
#[must_use]
pub fn pods(mesh: &LoadedMesh, reference: &WorkloadRef) -> BTreeSet<PodId> {
    mesh.directory.find(reference).iter().map(|p| p.id).collect()
}

/// A request to one place, with the `Host` header where it is not the place's own.
type Call = (Option<String>, Asked);

/// The proxies that decide for a caller, by address: callers with the same ones are asked the same.
type Views = Vec<usize>;

struct Making<'a> {
    meshes: &'a [&'a LoadedMesh],
    scope: &'a Scope,
    limits: BTreeSet<Unknown>,
    known: BTreeMap<(Views, Target), Vec<Call>>,
    /// Requests and gaps by the conditions they were made from: proxies of equal configuration are many, and automata
    /// take long.
    derived: BTreeMap<String, (Vec<Asked>, Vec<String>)>,
    texts: Automata,
}

impl Making<'_> {
    fn of_client(&mut self, client: &ClientClass) -> Vec<Class> {
        let senders: Vec<Option<Sender>> =
            self.meshes.iter().map(|mesh| sender_of(mesh, &client.client).ok()).collect();
        let mut places: BTreeSet<Target> = BTreeSet::new();
        for (mesh, sender) in self.meshes.iter().zip(&senders) {
            if let Some(sender) = sender {
                places.extend(targets(mesh, sender, client.plane, self.scope));
            }
        }
        let mut classes = Vec::new();
        for target in places {
            if self.scope.stop.asked() {
                let what = "interrupted: not all requests were found".to_owned();
                self.limits.insert(Unknown { what, place: None });
                return classes;
            }
            let key = (self.views(&senders), target);
            if !self.known.contains_key(&key) {
                let asked = self.of_place(client, &senders, &key.1);
                self.known.insert(key.clone(), asked);
            }
            let asked = self.known.get(&key).map(Vec::as_slice).unwrap_or_default();
            classes.extend(asked.iter().map(|(host, a)| class::class(client, &key.1, host.as_deref(), a)));
        }
        classes
    }

    fn views(&self, senders: &[Option<Sender>]) -> Views {
        let view = |(mesh, sender): (&&LoadedMesh, &Option<Sender>)| {
            let Some(sender) = sender else { return 0 };
            let pod = match (&sender.gateway, sender.pod) {
                (Some(gateway), _) => mesh
                    .directory
                    .pods
                    .iter()
                    .find(|p| format!("{}/{}", p.namespace, p.workload) == *gateway)
                    .map(|p| p.id),
                (None, pod) => pod,
            };
            let proxy = pod.and_then(|p| mesh.world.pod(p)?.proxy).and_then(|id| mesh.world.proxy(id));
            proxy.map_or(1, |p| std::sync::Arc::as_ptr(p.snapshot()) as usize)
        };
        self.meshes.iter().zip(senders).map(view).collect()
    }

    /// The requests of a caller to one place.
    fn of_place(&mut self, client: &ClientClass, senders: &[Option<Sender>], target: &Target) -> Vec<Call> {
        let own = target.authority();
        let first = self.gather(senders, target, &own);
        if !self.wanted(senders, &first) {
            return Vec::new();
        }
        let mut out = Vec::new();
        let matchers = authority_matchers(&first);
        let readable = target.speech == Speech::Http || client.plane == Plane::Outside;
        let mut variants = vec![(None, first)];
        if readable && !matchers.is_empty() {
            let refs: Vec<_> = matchers.iter().collect();
            let mut gaps = Vec::new();
            let texts = header_texts(&refs, &mut gaps, &mut self.texts);
            self.gaps(gaps);
            let hosts = variants.iter().flat_map(|(_, p)| p.virtual_hosts.clone()).collect::<Vec<_>>();
            let mut seen = BTreeSet::from([(classify(&refs, ":authority", Some(&own)), hosts)]);
            for host in spellings(&own).into_iter().chain(texts).filter(|h| !h.is_empty()) {
                let there = self.gather(senders, target, &host);
                if seen.insert((classify(&refs, ":authority", Some(&host)), there.virtual_hosts.clone())) {
                    variants.push((Some(host), there));
                }
            }
        }
        for (host, predicates) in variants {
            let opaque = target.speech == Speech::Tcp || !readable;
            let predicates = if opaque { Predicates::default() } else { predicates };
            let only = Only {
                methods: if opaque { &[] } else { &self.scope.methods },
                paths: if opaque { &[] } else { &self.scope.paths },
                limit: MAX_PER_PLACE,
                outside: client.plane == Plane::Outside,
            };
            let (asked, gaps) = self.derive(&predicates, only);
            self.gaps(gaps);
            for (what, origin) in &predicates.gaps {
                let place = self.meshes.iter().find_map(|m| m.place(m.lowering.origin(*origin)?.span));
                self.limits.insert(Unknown { what: what.clone(), place });
            }
            out.extend(asked.into_iter().map(|a| (host.clone(), a)));
        }
        out
    }

    fn derive(&mut self, predicates: &Predicates, only: Only<'_>) -> (Vec<Asked>, Vec<String>) {
        let Predicates { rules, rewrites, providers, reach: _, virtual_hosts: _, gaps: _ } = predicates;
        let key = format!("{rules:?} {rewrites:?} {providers:?} {only:?}");
        let texts = &mut self.texts;
        self.derived.entry(key).or_insert_with(|| requests(predicates, only, texts)).clone()
    }

    fn gaps(&mut self, gaps: Vec<String>) {
        self.limits.extend(gaps.into_iter().map(|what| Unknown { what, place: None }));
    }

    /// Whether requests to the place may arrive at the workload that is meant.
    fn wanted(&self, senders: &[Option<Sender>], found: &Predicates) -> bool {
        let Some(to) = &self.scope.to else { return true };
        let present = self.meshes.iter().zip(senders).filter(|(_, s)| s.is_some());
        present.flat_map(|(mesh, _)| pods(mesh, to)).any(|pod| found.reach.contains(&pod))
    }

    fn gather(&self, senders: &[Option<Sender>], target: &Target, authority: &str) -> Predicates {
        let mut all = Predicates::default();
        for (mesh, sender) in self.meshes.iter().zip(senders) {
            let Some(sender) = sender else { continue };
            let mut walk = Walk::new(mesh);
            let sni = (target.speech == Speech::Https).then_some(target.host.as_str());
            let place = Place { port: target.port, authority, sni };
            match (&sender.gateway, sender.pod) {
                (Some(gateway), _) => {
                    let port = gateway_target(mesh, gateway, target.port);
                    let address = mesh.directory.gateway_address(gateway, target.port);
                    let pod = address.and_then(|a| mesh.world.pod_by_ip(a.ip()));
                    let proxy =
                        pod.and_then(|p| mesh.world.pod(p)?.proxy).and_then(|id| mesh.world.proxy(id));
                    if let Some(proxy) = proxy {
                        walk.outbound(proxy.snapshot(), Place { port, ..place }, 0);
                    }
                }
                (None, Some(pod)) => {
                    let proxy = mesh.world.pod(pod).and_then(|p| p.proxy).and_then(|id| mesh.world.proxy(id));
                    if let Some(proxy) = proxy {
                        walk.outbound(proxy.snapshot(), place, 0);
                    }
                    for (pod, port) in servers(mesh, target) {
                        walk.server(pod, Place { port, sni: None, ..place }, 1);
                    }
                }
                (None, None) => {}
            }
            all.join(walk.done());
        }
        all
    }
}

/// The ways to write the `Host` header of a service of the cluster.
fn spellings(authority: &str) -> Vec<String> {
    let (host, port) = authority.split_once(':').map_or((authority, ""), |(h, p)| (h, p));
    let mut hosts = vec![host.to_owned()];
    if let Some((short, _)) = host.split_once(".svc.") {
        hosts.push(format!("{short}.svc"));
        hosts.push(short.to_owned());
        hosts.extend(short.split_once('.').map(|(name, _)| name.to_owned()));
    }
    let mut all = Vec::new();
    for host in hosts {
        if !port.is_empty() {
            all.push(format!("{host}:{port}"));
        }
        all.push(host);
    }
    all
}
