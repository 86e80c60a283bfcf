//! One egress listener of a Sidecar: the services and VirtualServices its host list imports (istiod:
//! `convertIstioListenerToWrapper`; semantics: istio-networking 3.3, 5.2, 5.3).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::Indexes;
use super::super::hosts::{HostMap, is_wildcard, matches, subset_of};
use super::super::virtual_service::{RouteSemantics, VirtualServiceConfig};
use super::{mesh_virtual_services, select};
use crate::mesh::protocol::Protocol;
use crate::mesh::service::Service;
use crate::resource::sidecar::{CaptureMode, EgressListener as Written};
use crate::source::Span;

/// Port of an egress listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerPort {
    /// Number; 0 with a unix socket.
    pub number: u16,
    /// Protocol, which replaces that of the services.
    pub protocol: Protocol,
    /// Name.
    pub name: String,
}

/// An egress listener with what it imports.
#[derive(Debug)]
pub struct EgressListener {
    /// Its port; `None` is the catch-all.
    pub port: Option<ListenerPort>,
    /// Address to bind to; empty is the services' own.
    pub bind: String,
    /// Binds for real instead of receiving redirected connections.
    pub capture_none: bool,
    /// Services, in registry order within each visibility pool.
    pub services: Vec<Arc<Service>>,
    /// VirtualServices in selection order.
    pub virtual_services: Vec<Arc<VirtualServiceConfig>>,
    by_host: BTreeMap<String, Vec<usize>>,
    with_wildcards: Vec<usize>,
    /// The VirtualService (namespace, name) whose host is the most specific for a service.
    pub owner: BTreeMap<String, (String, String)>,
    /// Place in the YAML.
    pub origin: Span,
}

impl EgressListener {
    /// The listener that a Sidecar without `egress` has: `*/*`.
    pub(super) fn everything(indexes: &Indexes, namespace: &str) -> Self {
        Self::importing(
            indexes,
            namespace,
            &Imports::new(std::iter::once("*/*"), namespace),
            &Written::default(),
        )
    }

    /// A written listener.
    pub(super) fn new(indexes: &Indexes, namespace: &str, written: &Written) -> Self {
        let hosts = written.hosts.iter().map(|h| h.value.as_str());
        Self::importing(indexes, namespace, &Imports::new(hosts, namespace), written)
    }

    fn importing(indexes: &Indexes, namespace: &str, imports: &Imports, written: &Written) -> Self {
        let port = written.port.as_ref().map(|p| ListenerPort {
            number: u16::try_from(p.number).unwrap_or(0),
            protocol: Protocol::parse(&p.protocol),
            name: p.name.clone(),
        });
        let mut listener = EgressListener {
            port,
            bind: written.bind.clone(),
            capture_none: written.capture_mode == CaptureMode::None,
            services: Vec::new(),
            virtual_services: Vec::new(),
            by_host: BTreeMap::new(),
            with_wildcards: Vec::new(),
            owner: BTreeMap::new(),
            origin: written.origin,
        };
        listener.virtual_services = select_virtual_services(indexes, namespace, imports);
        listener.services = select::services(indexes, namespace, imports, listener.match_port());
        listener.file_virtual_services();
        listener.owner = owners(&listener.virtual_services, &listener.services);
        listener
    }

    /// Lets lookups by host skip VirtualServices of other hosts.
    fn file_virtual_services(&mut self) {
        for (at, vs) in self.virtual_services.iter().enumerate() {
            for host in &vs.spec.hosts {
                let list = if is_wildcard(&host.value) {
                    &mut self.with_wildcards
                } else {
                    self.by_host.entry(host.value.to_lowercase()).or_default()
                };
                if list.last() != Some(&at) {
                    list.push(at);
                }
            }
        }
    }

    /// The VirtualServices that may name one of these hosts (exactly, in lower case) or a wildcard, in order.
    pub fn virtual_services_of_hosts<'h>(
        &self,
        hosts: impl Iterator<Item = &'h str>,
    ) -> Vec<&Arc<VirtualServiceConfig>> {
        let named = hosts.filter_map(|host| self.by_host.get(host)).flatten();
        let found: std::collections::BTreeSet<usize> = named.chain(&self.with_wildcards).copied().collect();
        found.into_iter().filter_map(|at| self.virtual_services.get(at)).collect()
    }

    /// The VirtualServices with TLS or TCP routes for a host, in selection order; specificity does not count there.
    #[must_use]
    pub fn l4_virtual_services(&self, host: &str) -> Vec<&Arc<VirtualServiceConfig>> {
        let candidates = if is_wildcard(host) {
            self.virtual_services.iter().collect()
        } else {
            self.virtual_services_of_hosts(std::iter::once(host.to_lowercase().as_str()))
        };
        candidates
            .into_iter()
            .filter(|vs| !(vs.spec.tls.is_empty() && vs.spec.tcp.is_empty()))
            .filter(|vs| vs.spec.hosts.iter().any(|h| matches(&h.value, host)))
            .collect()
    }

    /// The port number that services must expose, if the listener asks for one.
    #[must_use]
    pub fn match_port(&self) -> Option<u16> {
        let port = self.port.as_ref()?;
        (port.number != 0 && port.protocol != Protocol::HttpProxy).then_some(port.number)
    }
}

/// Whether one line of a host list, read in `namespace`, imports a service. What other lines exclude does not count.
#[must_use]
pub fn imports(line: &str, namespace: &str, service: &Service) -> bool {
    let imports = Imports::new(std::iter::once(line), namespace);
    imports.of(&service.namespace).any(|hosts| hosts.covers(&service.host))
}

/// The host list of an egress listener, by namespace.
#[derive(Debug, Default)]
pub(super) struct Imports {
    namespaces: BTreeMap<String, Hosts>,
    /// No wildcard anywhere: services can be looked up instead of filtered.
    pub all_exact: bool,
}

/// Hosts of one namespace entry.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    pub exact: std::collections::BTreeSet<String>,
    wildcards: Vec<String>,
    excluded: Vec<String>,
}

impl Imports {
    fn new<'a>(entries: impl Iterator<Item = &'a str>, namespace: &str) -> Self {
        let mut out = Imports { all_exact: true, ..Imports::default() };
        for entry in entries {
            // Anything else is refused by validation.
            let Some((owner, host)) = entry.split_once('/').filter(|(_, host)| !host.contains('/')) else {
                continue;
            };
            let (owner, excluded) = match owner.strip_prefix('~') {
                // `~/*` alone imports nothing: it excludes everything.
                Some("") => ("*", true),
                Some(owner) => (owner, true),
                None => (owner, false),
            };
            let owner = if owner == "." { namespace } else { owner };
            let hosts = out.namespaces.entry(owner.to_owned()).or_default();
            if excluded {
                hosts.excluded.push(host.to_owned());
                continue;
            }
            out.all_exact &= !is_wildcard(host) && owner != "*";
            if is_wildcard(host) {
                hosts.wildcards.push(host.to_owned());
            } else {
                hosts.exact.insert(host.to_owned());
            }
        }
        out
    }

    /// The entries for a namespace, and those for all namespaces.
    pub(super) fn of(&self, namespace: &str) -> impl Iterator<Item = &Hosts> {
        self.namespaces.get(namespace).into_iter().chain(self.namespaces.get("*"))
    }

    /// Entries that name exact hosts only, with their namespace.
    pub(super) fn exact_hosts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.namespaces
            .iter()
            .flat_map(|(ns, hosts)| hosts.exact.iter().map(move |h| (ns.as_str(), h.as_str())))
    }

    /// Whether an exclusion takes the host of a namespace out.
    pub(super) fn excludes(&self, namespace: &str, host: &str) -> bool {
        self.of(namespace).any(|hosts| hosts.excluded.iter().any(|excluded| subset_of(host, excluded)))
    }
}

impl Hosts {
    /// Whether the list covers a service's host.
    pub(super) fn covers(&self, host: &str) -> bool {
        self.exact.contains(host) || self.wildcards.iter().any(|import| subset_of(host, import))
    }

    /// Whether the list takes a VirtualService's host; classic ones match symmetrically.
    fn takes_virtual_service(&self, host: &str, semantics: RouteSemantics) -> bool {
        let matches = if semantics == RouteSemantics::GatewayApi { subset_of } else { matches };
        self.exact.contains(host)
            || self.wildcards.iter().any(|import| matches(host, import))
            || (is_wildcard(host) && self.exact.iter().any(|import| matches(host, import)))
    }
}

/// istiod: `SelectVirtualServices`. The whole VirtualService is taken when one of its hosts is.
fn select_virtual_services(
    indexes: &Indexes,
    namespace: &str,
    imports: &Imports,
) -> Vec<Arc<VirtualServiceConfig>> {
    mesh_virtual_services(indexes, namespace)
        .into_iter()
        .filter(|vs| {
            imports.of(&vs.meta.namespace).any(|hosts| {
                vs.spec.hosts.iter().any(|host| {
                    hosts.takes_virtual_service(&host.value, vs.semantics)
                        && !imports.excludes(&vs.meta.namespace, &host.value)
                })
            })
        })
        .cloned()
        .collect()
}

/// The VirtualService with the most specific host for each service (istiod: `computeWildcardHostVirtualServiceIndex`).
fn owners(
    virtual_services: &[Arc<VirtualServiceConfig>],
    services: &[Arc<Service>],
) -> BTreeMap<String, (String, String)> {
    let mut by_host: HostMap<Option<usize>> = HostMap::default();
    for (at, vs) in virtual_services.iter().enumerate() {
        for host in &vs.spec.hosts {
            by_host.insert_first(&host.value, Some(at));
        }
    }
    let owner = |service: &Arc<Service>| {
        let vs = virtual_services.get((*by_host.most_specific(&service.host)?)?)?;
        Some((service.host.clone(), (vs.meta.namespace.clone(), vs.meta.name.clone())))
    };
    services.iter().filter_map(owner).collect()
}
