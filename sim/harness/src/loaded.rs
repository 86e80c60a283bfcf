//! A mesh that was read, modelled, lowered and turned into the engine's world, with everything needed to explain it.

mod given;
mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use mesh_config::decode::Spanned;
use mesh_config::diagnostic::{Diagnostic, Severity, Stage, codes};
use mesh_config::document::RawObject;
use mesh_config::inventory::Inventory;
use mesh_config::load::{admission, read_into};
use mesh_config::lower::Lowering;
use mesh_config::mesh::meshconfig::Outside;
use mesh_config::mesh::workload::ClientPod;
use mesh_config::mesh::{Mesh, MeshOptions};
use mesh_config::source::{Sources, Span};
use mesh_core::ir::Snapshot;
use mesh_engine::world::{Configuration, PodId, World};

use crate::directory::Directory;
use crate::format::client::{Client, PodClient};
use crate::format::mesh::{InjectionDefault, MeshWords};
use crate::world;

/// Semantics profiles that exist.
pub const PROFILES: [&str; 1] = ["istio-1.32"];

/// Instead of a JWKS document: istiod cannot fetch it.
pub(crate) const UNREACHABLE: &str = "unreachable";

/// Namespace of objects that state none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// What a mesh is read from.
#[derive(Debug, Clone, Default)]
pub struct MeshInput {
    /// The words of the document.
    pub words: MeshWords,
    /// Client pods that no manifest defines, by first appearance.
    pub clients: Vec<PodClient>,
    /// Namespace of objects that state none; empty = `default`.
    pub namespace: String,
}

impl MeshInput {
    /// Notes the client pod of a `from:`, once.
    pub fn note_client(&mut self, client: &Client) {
        if let Client::Pod(pod) = client
            && !self.clients.contains(pod)
        {
            self.clients.push(pod.clone());
        }
    }
}

/// A mesh, ready to be asked.
pub struct LoadedMesh {
    /// The file table of all places.
    pub sources: Sources,
    /// The objects as written, for changes on the way.
    pub objects: Vec<RawObject>,
    /// The model's options.
    pub options: MeshOptions,
    /// Namespace of objects that state none.
    pub namespace: String,
    /// The model, lowered on demand.
    pub lowering: Arc<Lowering>,
    /// The engine's world.
    pub world: Arc<World>,
    /// Its pods by reference.
    pub directory: Directory,
    /// Pods that other versions of the mesh have; see [`LoadedMesh::expect`].
    pub later: Directory,
    /// The pods of `from: {pod: …}`.
    pub clients: Vec<(PodClient, PodId)>,
    /// Everything that was found on the way.
    pub diagnostics: Vec<Diagnostic>,
}

impl LoadedMesh {
    /// Reads the manifests (relative to `base`) and builds the mesh. Problems are in `diagnostics`; with an error
    /// among them predictions must not be shown.
    #[must_use]
    pub fn load(mut sources: Sources, input: &MeshInput, base: &Path) -> LoadedMesh {
        let (files, mut diagnostics) = input.files(base);
        let (mut objects, problems) = read_into(&mut sources, files);
        diagnostics.extend(problems);
        input.override_objects(&mut objects, &mut diagnostics);
        diagnostics.extend(admission(&objects));
        let mut input = input.clone();
        input.read_key_sets(base, &mut diagnostics);
        LoadedMesh::of_objects(sources, objects, &input, diagnostics)
    }

    /// Builds the mesh of objects that were read already.
    #[must_use]
    pub fn of_objects(
        sources: Sources,
        objects: Vec<RawObject>,
        input: &MeshInput,
        mut diagnostics: Vec<Diagnostic>,
    ) -> LoadedMesh {
        if let Some(profile) = input.words.profile.as_deref().filter(|p| !PROFILES.contains(p)) {
            let message = format!("there is no semantics profile `{profile}`");
            diagnostics.push(
                Diagnostic::error(codes::NO_SUCH_NAME, Stage::Schema, Span::NONE, message)
                    .help(format!("known: {}", PROFILES.join(", "))),
            );
        }
        let namespace = if input.namespace.is_empty() { DEFAULT_NAMESPACE } else { &input.namespace };
        let options = options(input);
        let (lowering, problems) = lower(&objects, namespace, &options);
        // What admission said already is not said again by the decoder.
        let said = |d: &Diagnostic, all: &[Diagnostic]| {
            all.iter().any(|o| o.message == d.message && o.span() == d.span())
        };
        for problem in problems {
            if !said(&problem, &diagnostics) {
                diagnostics.push(problem);
            }
        }
        let mesh = Arc::clone(&lowering.mesh);
        let world = world_of(&lowering);
        let clients = clients_of(&mesh, &input.clients);
        LoadedMesh {
            sources,
            objects,
            options,
            namespace: namespace.to_owned(),
            directory: world::directory(&mesh),
            later: Directory::default(),
            world: Arc::new(world),
            lowering,
            clients,
            diagnostics,
        }
    }

    /// The same mesh with further client pods; those it has already are not made twice.
    #[must_use]
    pub fn with_clients(&self, more: &[PodClient]) -> LoadedMesh {
        let mut all: Vec<PodClient> = self.clients.iter().map(|(pod, _)| pod.clone()).collect();
        for pod in more {
            if !all.contains(pod) {
                all.push(pod.clone());
            }
        }
        self.again(self.objects.clone(), all)
    }

    /// The same mesh with other objects; what is wrong with them is in its diagnostics.
    #[must_use]
    pub fn with_objects(&self, objects: Vec<RawObject>) -> LoadedMesh {
        self.again(objects, self.clients.iter().map(|(pod, _)| pod.clone()).collect())
    }

    fn again(&self, objects: Vec<RawObject>, clients: Vec<PodClient>) -> LoadedMesh {
        let mut options = self.options.clone();
        options.pod_addresses.extend(client_addresses(&clients));
        options.clients = clients.iter().map(client_pod).collect();
        let (lowering, diagnostics) = lower(&objects, &self.namespace, &options);
        LoadedMesh {
            sources: self.sources.clone(),
            objects,
            options,
            namespace: self.namespace.clone(),
            world: Arc::new(world_of(&lowering)),
            directory: world::directory(&lowering.mesh),
            later: self.later.clone(),
            clients: clients_of(&lowering.mesh, &clients),
            lowering,
            diagnostics,
        }
    }

    /// Makes room for the pods of other versions of the mesh: they can be named, and every pod has its address for as
    /// long as it is there, whoever else comes or goes.
    pub fn expect(&mut self, versions: &[Vec<RawObject>]) {
        let own = pod_names(&self.lowering);
        let mut all = own.clone();
        let mut later = BTreeMap::new();
        for objects in versions {
            let (lowering, ..) = self.version(objects);
            all.extend(pod_names(&lowering));
            let pods = world::directory(&lowering.mesh).pods.into_iter();
            let new = pods.filter(|pod| !own.contains(&(pod.namespace.clone(), pod.name.clone())));
            later.extend(new.map(|pod| (pod.reference.clone(), pod)));
        }
        self.options.other_pods = all;
        if !later.is_empty() {
            let diagnostics = std::mem::take(&mut self.diagnostics);
            *self = LoadedMesh { diagnostics, ..self.with_objects(self.objects.clone()) };
            // A client pod that a test defines is in every version.
            later
                .retain(|reference, _| self.directory.pods.iter().all(|known| known.reference != *reference));
        }
        self.later = Directory { pods: later.into_values().collect(), gateway_ports: Vec::new() };
    }

    /// Another version of the same mesh: other objects, same options and clients.
    #[must_use]
    pub fn version(&self, objects: &[RawObject]) -> (Arc<Lowering>, World, Vec<Diagnostic>) {
        let (lowering, diagnostics) = lower(objects, &self.namespace, &self.options);
        let world = world_of(&lowering);
        (lowering, world, diagnostics)
    }

    /// The same mesh with other objects, as a mesh of its own: same options and clients. `sources` must hold the files
    /// of the objects.
    #[must_use]
    pub fn changed(&self, sources: Sources, objects: Vec<RawObject>) -> LoadedMesh {
        let (lowering, world, diagnostics) = self.version(&objects);
        let made = lowering.mesh.pods.iter().enumerate().filter(|(_, p)| p.is_client());
        let made = made.map(|(index, _)| PodId(index as u32));
        LoadedMesh {
            sources,
            objects,
            options: self.options.clone(),
            namespace: self.namespace.clone(),
            directory: world::directory(&lowering.mesh),
            later: self.later.clone(),
            clients: self.clients.iter().map(|(client, _)| client.clone()).zip(made).collect(),
            world: Arc::new(world),
            lowering,
            diagnostics,
        }
    }

    /// Whether something is wrong with the mesh.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }

    /// The names of the files that hold objects, in order of reading.
    pub fn manifest_names(&self) -> impl Iterator<Item = &str> {
        let mut files: Vec<_> = self.objects.iter().map(|o| o.span.file).collect();
        files.sort();
        files.dedup();
        files.into_iter().map(|f| self.sources.name(f))
    }

    /// `file:line:column` of a place; `None` for what nobody wrote.
    #[must_use]
    pub fn place(&self, span: Span) -> Option<String> {
        (!span.is_none()).then(|| self.sources.location(span))
    }
}

fn options(input: &MeshInput) -> MeshOptions {
    let text = |(name, ip): (&String, &IpAddr)| (name.clone(), written(*ip));
    let mut pod_addresses: BTreeMap<String, Spanned<String>> =
        input.words.addresses.pods.iter().map(text).collect();
    pod_addresses.extend(client_addresses(&input.clients));
    let keys = |(uri, keys): (&String, &String)| {
        (uri.clone(), Some(keys.clone()).filter(|keys| keys != UNREACHABLE))
    };
    MeshOptions {
        config: input.words.config.iter().cloned().collect(),
        injection: input.words.injection != Some(InjectionDefault::Disabled),
        pod_addresses,
        other_pods: BTreeSet::new(),
        service_addresses: input.words.addresses.services.iter().map(text).collect(),
        outside: Outside {
            authorizers: input.words.authorizers.clone(),
            jwks: input.words.jwks.iter().map(keys).collect(),
        },
        clients: input.clients.iter().map(client_pod).collect(),
    }
}

/// Namespaces and names of the pods that manifests define.
fn pod_names(lowering: &Lowering) -> BTreeSet<(String, String)> {
    let pods = lowering.mesh.pods.iter().filter(|pod| !pod.is_client());
    pods.map(|pod| (pod.namespace.clone(), pod.name.clone())).collect()
}

fn written(ip: IpAddr) -> Spanned<String> {
    Spanned { value: ip.to_string(), span: Span::NONE }
}

/// The addresses that client pods state, by the names the model gives them.
fn client_addresses(clients: &[PodClient]) -> Vec<(String, Spanned<String>)> {
    let stated = clients
        .iter()
        .enumerate()
        .filter_map(|(i, pod)| pod.ip.map(|ip| (format!("{}/client-{i}", pod.namespace), written(ip))));
    stated.collect()
}

fn client_pod(pod: &PodClient) -> ClientPod {
    ClientPod {
        namespace: pod.namespace.clone(),
        labels: pod.labels.clone(),
        service_account: Some(pod.service_account.clone()),
        sidecar: pod.sidecar,
        origin: Span::NONE,
    }
}

fn clients_of(mesh: &Mesh, clients: &[PodClient]) -> Vec<(PodClient, PodId)> {
    let made = mesh.pods.iter().enumerate().filter(|(_, p)| p.is_client()).map(|(i, _)| PodId(i as u32));
    clients.iter().cloned().zip(made).collect()
}

fn lower(objects: &[RawObject], namespace: &str, options: &MeshOptions) -> (Arc<Lowering>, Vec<Diagnostic>) {
    let (inventory, mut diagnostics) = Inventory::new(objects, namespace);
    let (mesh, problems) = Mesh::new(inventory, options);
    diagnostics.extend(problems);
    (Arc::new(Lowering::new(Arc::new(mesh))), diagnostics)
}

fn world_of(lowering: &Arc<Lowering>) -> World {
    let empty = || {
        Arc::new(Snapshot {
            kind: mesh_core::ir::ProxyKind::Sidecar,
            listeners: Vec::new(),
            routes: Vec::new(),
            clusters: Vec::new(),
            taints: Vec::new(),
            index: mesh_core::index::SnapshotIndex::default(),
        })
    };
    world::world(lowering, |proxy| {
        let lowering = Arc::clone(lowering);
        Configuration::when_used(move || lowering.snapshot(proxy).unwrap_or_else(empty))
    })
}
