//! What a pod's resolver and kube-proxy do: names to addresses, service addresses to ready endpoints.
//!
//! Plain lookups over the mesh. Which of several ready endpoints kube-proxy picks is the caller's draw; names outside of the
//! cluster are the caller's world.

use std::net::IpAddr;

use super::Mesh;
use super::pod::Pod;
use super::registry::{CLUSTER_DOMAIN, service_host};
use super::service::{Endpoint, Health, PodId, Registry, Resolution, Service, ServiceId, UNSPECIFIED_IP};

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Addresses, in order.
    Addresses(Vec<IpAddr>),
    /// A name that the cluster does not know: somebody else's DNS.
    External(String),
    /// The cluster says there is no such name (NXDOMAIN), or no address behind it.
    NoSuchName,
}

/// Where a connection to an address goes without any proxy.
#[derive(Debug, Clone, PartialEq)]
pub enum Destination<'a> {
    /// To a pod.
    Pod(PodId),
    /// To one of these ready endpoints of a service port; none refuses the connection.
    Service {
        /// The service.
        service: ServiceId,
        /// Index into its ports.
        port: usize,
        /// Ready endpoints, in order.
        endpoints: Vec<&'a Endpoint>,
    },
    /// A service address on a port it does not have: refused.
    UnknownPort(ServiceId),
    /// An address that nobody in the cluster has.
    Elsewhere,
}

/// How often a name may lead to another.
const MAX_CNAMES: usize = 8;
/// Names with fewer dots are tried with the search domains first (kubelet's `ndots:5`).
const NDOTS: usize = 5;

impl Mesh {
    /// Resolves a name as a pod of `namespace` would: IP literals, then the search domains, then the name itself.
    pub fn resolve(&self, namespace: &str, name: &str) -> Answer {
        if let Ok(ip) = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Answer::Addresses(vec![ip]);
        }
        let name = name.to_ascii_lowercase();
        if let Some(absolute) = name.strip_suffix('.') {
            return self.resolve_absolute(absolute, 0);
        }
        let search = [
            format!("{namespace}.svc.{CLUSTER_DOMAIN}"),
            format!("svc.{CLUSTER_DOMAIN}"),
            CLUSTER_DOMAIN.to_owned(),
        ];
        let searched =
            || search.iter().find_map(|domain| self.resolve_in_cluster(&format!("{name}.{domain}"), 0));
        if name.matches('.').count() >= NDOTS {
            return match self.resolve_absolute(&name, 0) {
                Answer::NoSuchName => searched().unwrap_or(Answer::NoSuchName),
                found => found,
            };
        }
        searched().unwrap_or_else(|| self.resolve_absolute(&name, 0))
    }

    /// Resolves a name as a pod whose proxy answers DNS (`ISTIO_META_DNS_CAPTURE`): hosts of ServiceEntries have their
    /// addresses, or the VIP allocated for them (semantics: istio-networking 1.5). `visible` says which services the
    /// proxy knows.
    pub fn resolve_captured(
        &self,
        namespace: &str,
        name: &str,
        visible: impl Fn(&Service) -> bool,
    ) -> Answer {
        let wanted = name.trim_end_matches('.').to_ascii_lowercase();
        let entry = |s: &&Service| s.registry == Registry::External && visible(s);
        let exact = self.services_of(&wanted).filter(entry);
        let mut addresses: Vec<IpAddr> = exact.filter_map(captured_address).collect();
        if addresses.is_empty() {
            // The longest wildcard wins, as for virtual hosts.
            let labels =
                wanted.match_indices('.').map(|(at, _)| format!("*{}", wanted.get(at..).unwrap_or_default()));
            let found = labels.map(|wildcard| {
                let services = self.services_of(&wildcard).filter(entry);
                services.filter_map(captured_address).collect::<Vec<_>>()
            });
            addresses = found.into_iter().find(|list| !list.is_empty()).unwrap_or_default();
        }
        if addresses.is_empty() { self.resolve(namespace, name) } else { Answer::Addresses(addresses) }
    }

    fn resolve_absolute(&self, name: &str, depth: usize) -> Answer {
        if let Some(found) = self.resolve_in_cluster(name, depth) {
            return found;
        }
        // No public name is a single label, and nobody else answers for the cluster's domain.
        let ours = !name.contains('.') || name.ends_with(&format!(".{CLUSTER_DOMAIN}"));
        if ours || name == CLUSTER_DOMAIN { Answer::NoSuchName } else { Answer::External(name.to_owned()) }
    }

    /// A name below the cluster's domain; `None` is NXDOMAIN.
    fn resolve_in_cluster(&self, name: &str, depth: usize) -> Option<Answer> {
        let below = name.strip_suffix(CLUSTER_DOMAIN)?.strip_suffix('.')?;
        let mut labels: Vec<&str> = below.split('.').collect();
        match labels.pop()? {
            "svc" => {
                let namespace = labels.pop()?;
                let service = labels.pop()?;
                match labels.as_slice() {
                    [] => self.resolve_service(service, namespace, depth),
                    [host] => self.resolve_pod_name(host, service, namespace),
                    _ => None,
                }
            }
            "pod" => {
                let (ip, _namespace) = (labels.first()?, labels.get(1)?);
                ip.replace('-', ".").parse().ok().map(|ip| Answer::Addresses(vec![ip]))
            }
            _ => None,
        }
    }

    fn resolve_service(&self, name: &str, namespace: &str, depth: usize) -> Option<Answer> {
        let service = self.kubernetes_service(name, namespace)?;
        if let Some(target) =
            service.external_name.as_ref().filter(|_| service.resolution == Resolution::Alias)
        {
            if depth >= MAX_CNAMES {
                return Some(Answer::NoSuchName);
            }
            return Some(self.resolve_absolute(target.trim_end_matches('.'), depth + 1));
        }
        if service.is_headless() {
            let mut addresses: Vec<IpAddr> = Vec::new();
            for ip in self.ready(service).filter_map(|e| e.address.parse().ok()) {
                if !addresses.contains(&ip) {
                    addresses.push(ip);
                }
            }
            return (!addresses.is_empty()).then_some(Answer::Addresses(addresses));
        }
        let all = std::iter::once(&service.address).chain(&service.extra_addresses);
        let addresses: Vec<IpAddr> =
            all.filter(|a| *a != UNSPECIFIED_IP).filter_map(|a| a.parse().ok()).collect();
        (!addresses.is_empty()).then_some(Answer::Addresses(addresses))
    }

    /// `<hostname>.<service>`: pods that name the headless service as their subdomain.
    fn resolve_pod_name(&self, host: &str, service: &str, namespace: &str) -> Option<Answer> {
        let headless = self.kubernetes_service(service, namespace).filter(|s| s.is_headless())?;
        let mut found = self.ready(headless).filter_map(|e| self.pod(e.pod?));
        let named =
            |pod: &&Pod| pod.hostname.as_deref() == Some(host) && pod.subdomain.as_deref() == Some(service);
        found.find(named).map(|pod| Answer::Addresses(vec![pod.ip]))
    }

    fn kubernetes_service(&self, name: &str, namespace: &str) -> Option<&Service> {
        let host = service_host(name, namespace);
        self.services_of(&host).find(|s| s.registry == Registry::Kubernetes)
    }

    fn ready<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a Endpoint> {
        self.endpoints
            .of(service)
            .iter()
            .filter(|e| matches!(e.health, Health::Healthy | Health::Unspecified | Health::Draining))
    }

    /// Where a connection to `address:port` goes without any proxy: kube-proxy for service addresses, else the pod itself.
    pub fn destination(&self, address: IpAddr, port: u32) -> Destination<'_> {
        if let Some(id) = self.pod_by_ip(address) {
            return Destination::Pod(id);
        }
        let Some(id) = self.service_by_address(address) else { return Destination::Elsewhere };
        let Some(service) = self.service(id) else { return Destination::Elsewhere };
        let Some(index) = service.ports.iter().position(|p| p.number == port) else {
            return Destination::UnknownPort(id);
        };
        let name = service.ports.get(index).map(|p| p.name.as_str()).unwrap_or_default();
        let endpoints = self.ready(service).filter(|e| e.port_name == name).collect();
        Destination::Service { service: id, port: index, endpoints }
    }
}

/// The address a capturing proxy answers for a ServiceEntry host.
fn captured_address(service: &Service) -> Option<IpAddr> {
    let given = Some(&service.address).filter(|a| *a != UNSPECIFIED_IP);
    given.or(service.auto_allocated.as_ref())?.parse().ok()
}
