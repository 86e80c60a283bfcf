//! What one request passes through, from the steps and hops of its predicted outcomes.
//!
//! Passing through means deciding: a route that was looked at and did not match is not passed through, a policy rule
//! only when it is the one that Envoy reports.

use std::collections::BTreeSet;

use mesh_config::diagnostic::ObjectRef;
use mesh_config::lower::hosts::{matches, resolve_gateway_name, resolve_short_name};
use mesh_config::lower::sidecar_scope::{egress, select_sidecar};
use mesh_config::mesh::registry::CLUSTER_DOMAIN;
use mesh_config::resource::gateway::Gateway;
use mesh_config::resource::http_route::Destination;
use mesh_config::resource::meta::Object;
use mesh_config::resource::selector::is_subset;
use mesh_config::resource::sidecar::Sidecar;
use mesh_config::source::Span;
use mesh_core::OriginId;
use mesh_core::cx::Step;
use mesh_engine::record::{Hop, Side};

use super::targets::{Sign, Target};
use crate::loaded::LoadedMesh;
use crate::predict::{Prediction, outbound_parts};

/// Everything that some predictions passed through.
pub(super) struct Exercised<'a> {
    mesh: &'a LoadedMesh,
    places: BTreeSet<Span>,
    refused: BTreeSet<ObjectRef>,
    /// Cluster names that proxies chose, with the place of the choice.
    chosen: BTreeSet<(Span, String)>,
    /// Hops of sidecars to services: position of the proxy in the model, port, host.
    left: BTreeSet<(usize, u16, String)>,
    /// Hops of gateways: position of the proxy, port, name asked for, VirtualService.
    entered: BTreeSet<(usize, u16, String, Option<ObjectRef>)>,
}

impl<'a> Exercised<'a> {
    pub(super) fn new(mesh: &'a LoadedMesh) -> Self {
        Exercised {
            mesh,
            places: BTreeSet::new(),
            refused: BTreeSet::new(),
            chosen: BTreeSet::new(),
            left: BTreeSet::new(),
            entered: BTreeSet::new(),
        }
    }

    /// Adds every outcome of a request; the steps must have been asked for.
    pub(super) fn add(&mut self, predictions: &[Prediction]) {
        for prediction in predictions {
            let mut virtual_hosts = Vec::new();
            for step in &prediction.steps {
                if let Step::VirtualHost(_, _, origin) = step {
                    virtual_hosts.push(self.mesh.named(*origin).map(|(object, _)| object));
                }
                self.step(step);
            }
            let mut virtual_hosts = virtual_hosts.into_iter();
            for hop in &prediction.record.hops {
                // Every HTTP hop that found a virtual host announced it.
                let found = hop.virtual_host.is_some().then(|| virtual_hosts.next().flatten()).flatten();
                self.hop(hop, found);
            }
        }
    }

    fn step(&mut self, step: &Step) {
        let origin = match step {
            Step::Listener(_, origin)
            | Step::FilterChain(_, origin)
            | Step::Route(_, origin)
            | Step::Filter(_, _, origin) => *origin,
            Step::Cluster(name, _, origin) => {
                if let Some(span) = self.span(*origin) {
                    self.chosen.insert((span, name.to_string()));
                }
                *origin
            }
            _ => OriginId::NONE,
        };
        self.places.extend(self.span(origin));
    }

    fn span(&self, origin: OriginId) -> Option<Span> {
        self.mesh.lowering.origin(origin).map(|o| o.span)
    }

    fn hop(&mut self, hop: &Hop, virtual_service: Option<ObjectRef>) {
        if hop.details.as_deref().is_some_and(|d| d.ends_with("[none]"))
            || hop.connection_details.as_deref().is_some_and(|d| d.ends_with("[none]"))
        {
            self.refused.extend(self.mesh.decision(hop).map(|(object, _)| object));
        }
        let Some(proxy) = self.mesh.proxy_position(hop) else { return };
        let model = &self.mesh.lowering.mesh;
        let snapshot = self.mesh.world.proxy(hop.proxy).map(|p| p.snapshot());
        let cluster = hop.cluster.and_then(|id| snapshot?.clusters.get(id.0 as usize));
        self.places.extend(cluster.and_then(|c| self.span(c.origin)));
        let port = hop.local.port();
        match hop.side {
            Side::Inbound => {
                let Some(model) = model.proxies.get(proxy) else { return };
                let index = &self.mesh.lowering.indexes.peer_authentication;
                let decision = index.effective(&model.namespace, &model.labels).port(port);
                self.places.extend(decision.by.map(|(_, span)| span));
            }
            Side::Outbound => {
                let host = hop.cluster_name.as_deref().and_then(outbound_parts).map(|(_, _, host)| host);
                self.left.extend(host.map(|h| (proxy, port, h.to_owned())));
            }
            Side::Gateway => {
                let asked = hop.authority.as_deref().or(hop.sni.as_deref()).unwrap_or("*");
                let name = asked.rsplit_once(':').map_or(asked, |(name, _)| name).to_ascii_lowercase();
                // A server that answers 404 to everything was not used.
                let used =
                    hop.virtual_host.is_some() || (hop.authority.is_none() && hop.cluster_name.is_some());
                if used {
                    self.entered.insert((proxy, port, name, virtual_service));
                }
            }
        }
    }

    /// Whether the part was passed through.
    pub(super) fn covers(&self, target: &Target) -> bool {
        match &target.sign {
            Sign::Place(spans) => spans.iter().any(|s| self.places.contains(s)),
            Sign::Refused(object) => self.refused.contains(object),
            Sign::Chosen { first, destination, namespace } => self.chose(*first, destination, namespace),
            Sign::Egress { sidecar, listener, line } => self.left.iter().any(|(proxy, port, host)| {
                self.egress(sidecar, *listener, line, (*proxy, *port, host)).unwrap_or(false)
            }),
            Sign::Server { gateway, server } => {
                self.entered.iter().any(|entry| self.server(gateway, *server, entry).unwrap_or(false))
            }
        }
    }

    fn chose(&self, first: Span, destination: &Destination, namespace: &str) -> bool {
        let host = resolve_short_name(&destination.host, namespace, CLUSTER_DOMAIN);
        self.chosen.iter().filter(|(span, _)| *span == first).any(|(_, cluster)| {
            outbound_parts(cluster).is_some_and(|(port, subset, chosen)| {
                chosen == host
                    && subset == destination.subset
                    && destination.port.as_ref().is_none_or(|p| p.number == u32::from(port))
            })
        })
    }

    /// Whether a request to a service left through the listener of this Sidecar by this line.
    fn egress(
        &self,
        sidecar: &Object<Sidecar>,
        listener: usize,
        line: &str,
        (proxy, port, host): (usize, u16, &str),
    ) -> Option<bool> {
        let lowering = &self.mesh.lowering;
        let model = lowering.mesh.proxies.get(proxy)?;
        let root = &lowering.mesh.settings.root_namespace;
        let own = select_sidecar(&lowering.indexes.sidecars, root, &model.namespace, &model.labels)?;
        if own.meta.namespace != sidecar.meta.namespace || own.meta.name != sidecar.meta.name {
            return None;
        }
        // istiod: `GetEgressListenerForRDS`, the first listener of the port or of all ports.
        let takes = |l: &mesh_config::resource::sidecar::EgressListener| {
            l.port.as_ref().is_none_or(|p| p.number == u32::from(port))
        };
        if own.spec.egress.iter().position(takes) != Some(listener) {
            return None;
        }
        let mut services = lowering.mesh.services.iter().filter(|s| s.host == host);
        Some(services.any(|service| egress::imports(line, &model.namespace, service)))
    }

    /// Whether a request came in through this server.
    fn server(
        &self,
        gateway: &Object<Gateway>,
        server: usize,
        (proxy, port, name, virtual_service): &(usize, u16, String, Option<ObjectRef>),
    ) -> Option<bool> {
        let mesh = &self.mesh.lowering.mesh;
        let model = mesh.proxies.get(*proxy)?;
        let written = gateway.spec.servers.get(server)?;
        let number = u16::try_from(written.port.as_ref()?.number).ok()?;
        // The Service of the gateway leads its ports to those the pod listens on.
        let led = |g: &crate::directory::GatewayPort| {
            g.port == number && g.target == *port && g.workload.starts_with(&format!("{}/", model.namespace))
        };
        let listens = number == *port || self.mesh.directory.gateway_ports.iter().any(led);
        let bound = virtual_service.as_ref().is_none_or(|object| {
            let own = format!("{}/{}", gateway.meta.namespace, gateway.meta.name);
            let mut all = mesh.inventory.virtual_services.iter();
            let vs = all.find(|v| v.meta.namespace == object.namespace && v.meta.name == object.name);
            vs.is_none_or(|vs| {
                let names = |g: &mesh_config::decode::Spanned<String>| {
                    resolve_gateway_name(&g.value, &vs.meta.namespace) == own
                };
                vs.spec.gateways.iter().any(names)
            })
        });
        let serves = written.hosts.iter().any(|host| {
            let bare = host.value.rsplit_once('/').map_or(host.value.as_str(), |(_, bare)| bare);
            matches(&bare.to_ascii_lowercase(), name)
        });
        Some(is_subset(&gateway.spec.selector, &model.labels) && listens && bound && serves)
    }
}
